"""pytest -m browser tests/notebooks/test_page_walk.py: from two clips of one's own to a video.

The one page, 00, walked as by somebody who never used Jupyter: by mouse and keyboard, in a
JupyterLab with its own settings. Clicks are counted. WALK_MINUTES sets how long it trains.
"""

import os
import time

import pytest
from lab import NOTEBOOKS, NotebookPage, jupyter_lab
from test_browser import PICTURES, browser, pytestmark  # noqa: F401

from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import VideoWriter, read_frames, read_video_info

MINUTES = os.environ.get("WALK_MINUTES", "0.2")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two films of 6 s with sound, in a folder with a space in its name."""
    folder, made = tmp_path_factory.mktemp("my films") / "of us", []
    folder.mkdir()
    for name, film in (
        ("holiday.mp4", sample_clips().person_a),
        ("me.mp4", sample_clips().person_b),
    ):
        sound = {"audio_from": film, "audio_start_s": 2.0, "audio_end_s": 8.0}
        with VideoWriter(folder / name, fps=25, size_wh=(384, 384), **sound) as writer:
            for frame in read_frames(film, 2.0, 8.0):
                writer.write(frame)
        made.append(folder / name)
    return made


@pytest.fixture(scope="module")
def lab_address(tmp_path_factory):
    """Where JupyterLab shows a notebook, with the settings that it comes with."""
    folder = tmp_path_factory.mktemp("walk")
    with jupyter_lab(folder, [NOTEBOOKS / "00_quickstart.ipynb"]) as found:
        (
            folder / "config/settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
        ).unlink()
        yield found, folder / "output"


class Walker:
    """A mouse and a keyboard; counts the clicks."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, what):
        what.click()
        self.clicks += 1

    def menu(self, *names):
        for name in names:
            self.click(self.page.get_by_role("menuitem", name=name, exact=True))

    def type(self, text):
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")


def test_two_clips_become_a_video_in_eight_clicks(browser, lab_address, clips, tmp_path):  # noqa: F811
    address, output = lab_address
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    notebook = NotebookPage(page, address.format("00_quickstart.ipynb"), PICTURES)
    walker, began = Walker(page), time.monotonic()
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / "walk_0_first.png")

    walker.menu("Run", "Run All Cells")
    paths = page.get_by_label("path", exact=True)
    focused = "document.activeElement.matches('.widget-text input')"
    page.wait_for_function(focused, timeout=180_000)  # the page came to it by itself
    page.get_by_text("Your turn: choose").wait_for(timeout=60_000)
    page.screenshot(path=PICTURES / "walk_1_panels.png")

    walker.type(str(clips[0]))
    page.get_by_text("holiday.mp4: 384x384").first.wait_for(timeout=60_000)
    walker.click(page.get_by_label("It is me").first)
    walker.click(paths.nth(1))
    walker.type(str(clips[1]))
    page.get_by_text("me.mp4: 384x384").first.wait_for(timeout=60_000)
    walker.click(page.get_by_label("They agreed to exactly this").nth(1))
    page.screenshot(path=PICTURES / "walk_2_chosen.png")
    walker.click(page.get_by_label("minutes"))
    page.keyboard.press("Control+A")
    walker.type(MINUTES)
    walker.menu("Run", "Run All Cells")
    page.screenshot(path=PICTURES / "walk_3_running.png")

    link = page.get_by_role("link", name="Download swap.mp4")
    link.wait_for(timeout=600_000)
    minutes = (time.monotonic() - began) / 60.0
    print(f"{walker.clicks} clicks, {minutes:.1f} minutes, of which {MINUTES} of training")
    assert walker.clicks <= 8

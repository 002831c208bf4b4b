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

SHOWN_ERRORS = (
    ".jp-RenderedText[data-mime-type*='error'], .jp-RenderedText[data-mime-type*='stderr']"
)
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
        yield found


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
        self.page.keyboard.type(str(text))
        self.page.keyboard.press("Enter")


# What sticks out of the page to the right, or scrolls sideways, of all that cells show.
TOO_WIDE = """() => {
  const sheet = document.querySelector('.jp-WindowedPanel-outer');
  const edge = sheet.getBoundingClientRect().right + 1;
  const shown = [...sheet.querySelectorAll('.jp-OutputArea-output *, .jp-RenderedMarkdown *')];
  const wide = shown.filter(each => each.getBoundingClientRect().right > edge);
  return [sheet.scrollWidth - sheet.clientWidth, ...wide.map(each => each.outerHTML.slice(0, 99))];
}"""


class Looker:
    """Looks at the page in both widths, and takes a picture of each."""

    def __init__(self, page):
        self.page = page

    def __call__(self, name):
        for width in (900, 1280):
            self.page.set_viewport_size({"width": width, "height": 900})
            self.page.wait_for_timeout(200)  # until it is laid out
            self.page.screenshot(path=PICTURES / f"walk_{name}_{width}.png")
            assert self.page.evaluate(TOO_WIDE) == [0]


def test_two_clips_become_a_video_in_eight_clicks(browser, lab_address, clips, tmp_path):  # noqa: F811
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    notebook = NotebookPage(page, lab_address.format("00_quickstart.ipynb"), PICTURES)
    walker, look, began = Walker(page), Looker(page), time.monotonic()
    look("0_first")

    walker.menu("Run", "Run All Cells")
    page.get_by_text("Your turn: choose").first.wait_for(timeout=180_000)
    paths = page.get_by_label("path", exact=True)
    page.wait_for_function("document.activeElement.placeholder?.includes('me.mp4')")  # by itself
    look("1_panels")

    walker.type(clips[0].with_name("holidays.mp4"))  # a slip: the panel says what is there
    page.get_by_text("has holiday.mp4, me.mp4").wait_for(timeout=60_000)
    page.keyboard.press("Control+A")
    walker.type(clips[0])
    page.get_by_text("holiday.mp4: 384x384").wait_for(timeout=60_000)
    walker.click(page.get_by_label("It is me").first)
    walker.click(paths.nth(1))
    walker.type(clips[1])
    page.get_by_text("/me.mp4: 384x384").or_(page.get_by_text("me.mp4: 384x384")).first.wait_for()
    look("2_chosen")
    walker.click(page.get_by_label("They agreed to exactly this").nth(1))
    walker.click(page.get_by_label("minutes"))
    page.keyboard.press("Control+A")
    walker.type(MINUTES)
    walker.menu("Run", "Run All Cells")

    link = page.get_by_role("link", name="Download swap.mp4")
    link.wait_for(timeout=900_000)
    minutes = (time.monotonic() - began) / 60.0
    print(f"{walker.clicks} clicks, {minutes:.1f} minutes, of which {MINUTES} of training")
    assert walker.clicks <= 8
    last = page.get_by_text("peak_memory_mb:")  # of the last cell
    last.wait_for(timeout=60_000)
    told = page.locator(".jp-RenderedText[data-mime-type*='err']").all_inner_texts()
    assert not [text for text in told if "Traceback" in text or "Your turn" in text]
    assert notebook.complaints == []

    video = page.locator("video").last
    video.scroll_into_view_if_needed()
    video.evaluate("video => video.play()")
    page.wait_for_function("[...document.querySelectorAll('video')].at(-1).currentTime > 0.1")
    look("4_video")
    with page.expect_download() as coming:
        walker.click(link)
    kept = tmp_path / "kept.mp4"
    coming.value.save_as(kept)
    assert read_provenance(kept).sound and read_provenance(kept).bases == ("consent", "self")
    info = read_video_info(kept)
    assert (info.width, info.has_audio) == (384, True)
    page.close()

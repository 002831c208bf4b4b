"""pytest -m browser tests/test_browser.py: the notebooks as a person uses them, in a real browser.

JupyterLab serves them, Chromium shows them. Screenshots go to output/browser/.
"""

import importlib.util
import re
from pathlib import Path

import pytest
from lab import NOTEBOOKS, NotebookPage, chromium, jupyter_lab

PICTURES = Path(__file__).parents[2] / "output" / "browser"
LACKING = [name for name in ("jupyterlab", "playwright") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(LACKING), reason=f"needs {LACKING}: make test-browser installs them"),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where JupyterLab shows a notebook: address.format(name)."""
    names = sorted(NOTEBOOKS.glob("*.ipynb"))
    with jupyter_lab(tmp_path_factory.mktemp("lab"), names) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = playwright.chromium.launch(executable_path=chromium(), args=options)
        yield opened
        opened.close()


@pytest.fixture
def show(browser, address):
    """show("00_quickstart.ipynb") opens a notebook; at the end nothing may have gone wrong."""
    opened = []
    PICTURES.mkdir(parents=True, exist_ok=True)

    def open_page(name):
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        opened.append(NotebookPage(page, address.format(name), PICTURES))
        return opened[-1]

    yield open_page
    for notebook in opened:
        complaints, errors = notebook.complaints, notebook.errors()
        notebook.page.close()
        assert complaints == []
        assert errors == []


def test_training_is_set_started_watched_and_stopped(show):
    notebook = show("02_train.ipynb")
    notebook.run_all()
    page = notebook.page
    before, after = notebook.move("dssim", "ArrowRight")
    assert after > before
    form = page.locator(".jp-OutputArea-output", has=notebook.slider("dssim")).first
    preset = form.locator("select", has_text="own settings")
    notebook.until("the form to notice", lambda: "own" in preset.input_value())
    notebook.screenshot("02_form", form)

    panel = page.locator(".jp-OutputArea-output", has=page.get_by_role("button", name="Pause"))
    grid = panel.locator("img").first

    def step():
        return int(re.search(r"step (\d+), ", panel.inner_text())[1])

    untrained, began = notebook.picture(grid), step()
    notebook.press("Start")
    notebook.until("steps", lambda: step() > began)
    notebook.until("the grid to change", lambda: notebook.picture(grid) != untrained)
    notebook.screenshot("02_training", panel)
    notebook.press("Stop")
    notebook.until("it to stop", lambda: "saved" in panel.locator("[role=status]").inner_text())
    assert step() > began
    notebook.screenshots("02_train")


@pytest.mark.skipif(not (NOTEBOOKS / "03_swap_video.ipynb").exists(), reason="no such notebook")
def test_a_swap_is_tried_rendered_and_watched(show):
    notebook = show("03_swap_video.ipynb")
    notebook.run_all()
    panel = notebook.page.locator(".jp-OutputArea-output", has=notebook.slider("sharpness"))
    shown = panel.locator("img").first
    tried = notebook.picture(shown)
    notebook.move("sharpness", presses=5)
    notebook.until("the swap to change", lambda: notebook.picture(shown) != tried)
    video = panel.locator("video")  # of the render that ran with all cells
    before = video.get_attribute("src")
    notebook.press("Render the clip")
    notebook.until("the new video", lambda: video.count() and video.get_attribute("src") != before)
    assert notebook.play(video) > 0.1
    notebook.screenshot("03_panel", panel)
    notebook.screenshots("03_swap_video")

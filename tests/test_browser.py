"""pytest -m browser tests/test_browser.py: the notebooks as a person uses them, in a real browser.

JupyterLab serves them, Chromium shows them. Screenshots go to output/browser/.
"""

import importlib.util
from pathlib import Path

import pytest
from lab import NOTEBOOKS, NotebookPage, chromium, jupyter_lab

PICTURES = Path(__file__).parents[1] / "output" / "browser"
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


def test_the_quick_start_swaps_and_plays(show):
    notebook = show("00_quickstart.ipynb")
    notebook.run_all()
    notebook.screenshots("00_quickstart")
    video = notebook.page.locator("video").first
    assert notebook.play(video) > 0.1
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [1152, 384]
    notebook.screenshot("00_video", video)

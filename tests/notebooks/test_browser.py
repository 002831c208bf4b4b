"""pytest -m browser tests/test_browser.py: the notebooks as a person uses them, in a real browser.

JupyterLab serves them, Chromium shows them. Screenshots go to output/browser/.
"""

import contextlib
import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest
from lab import NOTEBOOKS, NotebookPage, chromium, jupyter_lab

from deepfake_utils.samples import sample_clips

WIDGETS = Path(sys.prefix) / "ipywidgets7"  # Colab's, made by `make test-browser`
PICTURES = Path(__file__).parents[2] / "output" / "browser"
LACKING = [name for name in ("jupyterlab", "playwright") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(LACKING), reason=f"needs {LACKING}: make test-browser installs them"),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium"),
]


# Of each panel what a person sees of it, in one notebook: more of them would take minutes.
GALLERY = [
    "import os",
    "import deepfake_utils as du",
    "from deepfake_utils import panels",
    "from deepfake_utils.runs.project import Clip, Project",
    "project = Project(os.environ['DEEPFAKE_OUTPUT'] + '/gallery')",
    "panels.need_faces(project, stride=25)",
    "display(panels.ClipPanel(project, 'a'), panels.FacesPanel(project.faces('a')))",
    "display(panels.consent_form(folder=project.root))",
    "tiny = panels.NetworkChoice('quick', 64, minutes=0.3)",
    "display(panels.train(project, tiny))",
    "part = Clip(str(du.sample_clips().person_a), 14.0, 14.2)",
    "swapper = du.Swapper(tiny.build(), du.MeshLandmarker())",
    "display(panels.SwapPanel(part, swapper, project.root / 'swap.mp4'))",
]


@contextlib.contextmanager
def served(tmp_path_factory, widgets=None):
    """Where JupyterLab shows a notebook: address.format(name)."""
    folder = tmp_path_factory.mktemp("lab")
    gallery = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("\n".join(GALLERY))])
    gallery.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(gallery, folder / "gallery.ipynb")
    names = [folder / "gallery.ipynb", *sorted(NOTEBOOKS.glob("*.ipynb"))]
    with jupyter_lab(folder / "lab", names, widgets) as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="module")
def colabs_address(tmp_path_factory):
    with served(tmp_path_factory, WIDGETS) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        # Playwright hides scroll bars, and so no test would see one that should not be there.
        seen = {"args": options, "ignore_default_args": ["--hide-scrollbars"]}
        opened = playwright.chromium.launch(executable_path=chromium(), **seen)
        yield opened
        opened.close()


@pytest.fixture
def show(browser, request):
    """show("00_quickstart.ipynb") opens a notebook; at the end nothing may have gone wrong."""
    opened = []
    PICTURES.mkdir(parents=True, exist_ok=True)

    def open_page(name, address="address"):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        where = request.getfixturevalue(address)
        opened.append(NotebookPage(page, where.format(name), PICTURES))
        return opened[-1]

    yield open_page
    for notebook in opened:
        complaints, errors = notebook.complaints, notebook.errors()
        notebook.page.close()
        assert complaints == []
        assert errors == []


def panel_of(notebook, button):
    """The newest panel in which there is a button of that name."""
    named = notebook.page.get_by_role("button", name=button, exact=True)
    return notebook.page.locator(".du-panel", has=named).last


def told_dead(panel):
    """Whether a panel says that its kernel is gone."""
    return panel.evaluate(
        """panel => {
          const lost = panel.querySelector('.du-lost');
          const seen = lost !== null && getComputedStyle(lost).visibility === 'visible';
          return seen || getComputedStyle(panel, '::before').content.includes('restarted');
        }"""
    )


def step_of(panel):
    return int(re.search(r"step (\d+), ", panel.inner_text())[1])


def test_training_is_set_started_watched_and_stopped(show):
    notebook = show("02_train.ipynb")
    notebook.run_all()
    assert notebook.faults() == {}
    page = notebook.page
    before, after = notebook.move("dssim", "ArrowRight")
    assert after > before
    form = page.locator(".jp-OutputArea-output", has=notebook.slider("dssim")).first
    preset = form.locator("select", has_text="own settings")
    notebook.until("the form to notice", lambda: "own" in preset.input_value())
    notebook.screenshot("02_form", form)

    panel = panel_of(notebook, "Pause")
    assert "step" not in panel.inner_text() and panel.locator("img:visible").count() == 1
    untrained = notebook.picture(panel.locator("img").first)
    notebook.press("Start")
    notebook.until("steps", lambda: "running: step" in panel.inner_text())
    grid = panel.locator("img").first
    notebook.until("the grid to change", lambda: notebook.picture(grid) != untrained)
    notebook.until("how good it is", lambda: "dB on faces it was not" in panel.inner_text())
    assert notebook.faults() == {}
    notebook.screenshot("02_training", panel)
    notebook.press("Stop")
    notebook.until("it to stop", lambda: "saved" in panel.locator("[role=status]").inner_text())
    notebook.screenshots("02_train")


def test_a_kernel_that_is_restarted_in_training_loses_nothing(show):
    notebook = show("gallery.ipynb")
    notebook.run_all()
    assert notebook.faults() == {}
    panel = panel_of(notebook, "Pause")
    notebook.press("Start")
    notebook.until("a save", lambda: "saved as" in panel.inner_text(), 120)
    notebook.screenshots("gallery")
    notebook.restart()
    notebook.until("the panel to say so", lambda: told_dead(panel), 40)
    notebook.screenshot("gallery_dead", panel)
    notebook.append("\n".join([*GALLERY[:5], "panels.train(project)"]))
    panels = notebook.page.locator(".du-panel", has_text="Pause")
    notebook.until("another panel", lambda: panels.count() == 2)
    panel = panel_of(notebook, "Pause")
    notebook.until("the run to be found again", lambda: step_of(panel) > 0)
    at = step_of(panel)
    notebook.press("Start", panel)
    notebook.until("it to go on", lambda: step_of(panel) > at)
    notebook.press("Stop", panel)
    notebook.until("it to stop", lambda: "saved" in panel.locator("[role=status]").inner_text())


def test_a_path_is_taken_by_enter_and_shown_whole(show, tmp_path):
    notebook = show("gallery.ipynb")
    notebook.run_all()
    clip = tmp_path / "a film in a folder with a long name.mp4"
    clip.write_bytes(sample_clips().person_b.read_bytes())
    panel = notebook.page.locator(".du-panel", has_text="Person A, who is in the video").first
    panel.locator("select").first.select_option("a path or a folder, also in Drive")
    field = panel.get_by_placeholder("me.mp4")
    field.fill(str(clip))
    field.press("Enter")
    notebook.until("the clip", lambda: f"{clip.name}: 384x384" in panel.inner_text())
    assert notebook.faults() == {}
    notebook.screenshot("01_clip", panel)
    field.fill(str(tmp_path / "none.mp4"))
    field.press("Enter")
    alert = panel.get_by_role("alert")
    notebook.until(
        "the mistake to be said", lambda: "no clip at" in " ".join(alert.all_inner_texts())
    )


@pytest.mark.skipif(not (NOTEBOOKS / "03_swap_video.ipynb").exists(), reason="no such notebook")
def test_a_swap_is_tried_rendered_and_watched(show):
    notebook = show("03_swap_video.ipynb")
    notebook.run_all()
    assert notebook.faults() == {}
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


def test_a_lesson_is_short_runs_whole_and_its_sliders_draw(show):
    notebook = show("06_umeyama.ipynb")
    page = notebook.page
    folded = page.get_by_role("heading", name="Step 4: the mirror")
    notebook.until("a folded section", folded.is_visible)
    assert not page.get_by_text("Noise alone can do this").first.is_visible()
    notebook.run_all()  # what is folded, too
    assert notebook.faults() == {}
    for label, key in (("scale", "ArrowRight"), ("second", "ArrowLeft")):
        shown = (
            notebook.page.locator(".widget-vbox", has=notebook.slider(label)).locator("img").first
        )
        before = notebook.picture(shown)
        notebook.move(label, key, presses=2)
        notebook.until("the picture to change", lambda s=shown, b=before: notebook.picture(s) != b)
    notebook.screenshots("06_umeyama")
    notebook.page.get_by_role("link", name="what faces need it for").click()
    station = notebook.page.get_by_role("heading", name="What faces need it for")
    notebook.until("the station to be seen", lambda: 0 <= station.bounding_box()["y"] < 900)


@pytest.mark.skipif(not (WIDGETS / "share").is_dir(), reason="make test-browser installs it")
def test_the_panels_look_right_and_work_with_colabs_widgets(show):
    """ipywidgets 7.7 in the kernel and in the page, by its own part for JupyterLab."""
    notebook = show("gallery.ipynb", "colabs_address")
    notebook.run_all()
    notebook.append("import ipywidgets; print('ipywidgets', ipywidgets.__version__)")
    told = notebook.page.get_by_text("ipywidgets 7.7.1", exact=True)
    notebook.until("its version", lambda: told.count() == 1)
    assert notebook.faults() == {}
    notebook.screenshots("gallery_ipywidgets7")
    panel = panel_of(notebook, "Render the clip")
    shown = panel.locator("img").first
    before = notebook.picture(shown)
    panel.get_by_label("only the face").click()
    notebook.until("the face only", lambda: notebook.picture(shown) != before)
    panel = panel_of(notebook, "Pause")
    notebook.press("Start")
    notebook.until("a save", lambda: "saved as" in panel.inner_text(), 120)
    notebook.press("Stop")
    notebook.until("it to stop", lambda: "saved" in panel.locator("[role=status]").inner_text())

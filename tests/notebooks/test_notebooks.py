"""pytest tests/test_notebooks.py: the notebooks are clean, and run from top to bottom."""

import json
import re
import subprocess
import sys
from pathlib import Path

import av
import cv2
import nbformat
import pytest

from deepfake_utils.dataset import FaceDataset
from deepfake_utils.extraction import load_faces
from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.panels.training import train
from deepfake_utils.runs.checkpoint import HARDLY_TRAINED_DB
from deepfake_utils.runs.project import Clip, Project
from deepfake_utils.runs.store import CheckpointStore
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import read_video_info

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


EVERY = [pytest.param(path, id=path.stem, marks=pytest.mark.slow) for path in NOTEBOOKS]


@pytest.fixture
def quickstart(executed):
    return executed("00_quickstart")


def shown(notebook, kind):
    """What a notebook's cells show of a kind."""
    data = [o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", [])]
    return [each[kind] for each in data if kind in each]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_valid_clean_and_short(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            assert len(cell.source.splitlines()) < 10, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_begin_with_what_one_gets_and_how_long_it_takes(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert re.search(rf"\[!\[.*colab\.research\.google\.com/github/.*/{path.name}\)", first.source)
    for promise in ("**You will get**", "**It takes**"):
        assert f"\n{promise}" in first.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_plain_python_under_headings(path):
    cells = nbformat.read(path, as_version=4).cells
    headings = [c.source for c in cells if c.cell_type == "markdown" and c.source[:1] == "#"]
    assert [h.split()[0] for h in headings] == ["#", *["##"] * (len(headings) - 1)]
    kinds = [cell.cell_type for cell in cells]
    assert cells[kinds.index("code") - 1].source.startswith("## ")
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    magic = [source for source in code if re.search(r"^\s*[%!]", source, re.MULTILINE)]
    assert magic == code[:1]
    assert len(re.findall(r"^\s*[%!]", magic[0], re.MULTILINE)) == 1
    assert "%pip install" in magic[0] and 'find_spec("deepfake_utils") is None' in magic[0]


def test_the_one_page_folds_what_is_not_taught():
    cells = [c for c in nbformat.read(FOLDER / "00_quickstart.ipynb", 4).cells if "outputs" in c]
    folded = [cell.metadata.get("jupyter", {}).get("source_hidden", False) for cell in cells]
    titled = [cell.source.startswith("# @title ") for cell in cells]
    forms = [cell.metadata.get("cellView") == "form" for cell in cells]
    assert folded[0] and folded[1:] == titled[1:] == forms[1:]  # in JupyterLab, and in Colab
    seen = "".join(cell.source for cell, hidden in zip(cells, folded, strict=True) if not hidden)
    for taught in (".extract(", ".build()", "FaceDataset", "in trainer.run(", "swap_video"):
        assert taught in seen
    begin = next(i for i, cell in enumerate(cells) if "panels.begin" in cell.source)
    assert all(folded[: begin + 1])  # nothing but panels above it


@pytest.mark.parametrize("path", EVERY)
def test_notebooks_run_from_top_to_bottom(path, executed):
    output, notebook = executed(path.stem)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert shown(notebook, "image/png") or shown(notebook, "text/html")
    looking = path.stem[:2] in ("04", "06", "07", "08", "09", "10")  # they write nothing
    assert looking or any(output.iterdir())


@pytest.mark.slow
def test_quickstart_leaves_what_it_promises(quickstart):
    output, _ = quickstart
    for name in ("predictions.png", "losses.png"):
        assert cv2.imread(str(output / name)) is not None
    with av.open(str(output / "predictions.gif")) as gif:
        assert len(list(gif.decode(video=0))) >= 2
    info = read_video_info(output / "swap.mp4")
    assert (info.width, info.height, info.frame_count, info.fps) == (384, 384, 25, 25.0)
    assert info.has_audio
    beside = read_video_info(output / "side_by_side.mp4")
    assert (beside.width, beside.height, beside.frame_count) == (3 * 384, 384, 25)
    summary = json.loads((output / "summary.json").read_text())
    film = Clip(str(sample_clips().person_a), 14.0, 15.0)
    assert Project(output).swapped(output / "swap.mp4").film == film  # for 04_score
    store = CheckpointStore(output / "run")
    assert store.latest().step == summary["steps"]
    assert store.best().best_model().config.image_size == 128
    assert len(list((output / "faces" / "a").glob("*.png"))) == 35


@pytest.mark.slow
def test_quickstart_tells_the_score_between_its_bounds(quickstart):
    output, _ = quickstart
    summary = json.loads((output / "summary.json").read_text())
    swap, no_swap, perfect = summary["score"]["psnr"]
    assert 17.0 < no_swap < 20.0
    assert perfect > 33.0
    assert 10.0 < swap < perfect  # after seconds of training only
    assert summary["held_out_psnr_db"] > 10.0
    assert summary["score"]["found"][0] == 100.0
    assert -1.0 <= summary["score"]["mouth"][0] <= 1.0
    assert summary["faces"] == {"a": 35, "b": 35}
    assert sum(summary["frames"].values()) == 25
    assert set(summary["seconds"]) == {"extract", "train", "swap", "score"}
    assert summary["peak_memory_mb"] < 4000
    assert {"python", "torch", "numpy"} <= set(summary["versions"])


@pytest.mark.slow
def test_quickstart_shows_pictures_forms_and_videos(quickstart):
    _, notebook = quickstart
    assert len(shown(notebook, "image/png")) >= 7
    assert len(shown(notebook, "application/vnd.jupyter.widget-view+json")) >= 4
    players = [text for text in shown(notebook, "text/html") if "<video" in text]
    assert len(players) == 2 and 'download="swap.mp4"' in players[-1]
    assert len(shown(notebook, "text/markdown")) == 1  # the scorecard


@pytest.mark.slow
def test_the_faces_notebook_leaves_clips_and_faces(executed):
    project = Project(executed("01_extract_faces")[0])
    assert project.clip("a").path == str(sample_clips().person_a)
    assert project.clip("b").path == str(sample_clips().person_b)
    for person, count in (("a", 35), ("b", 35)):
        faces = load_faces(project.faces(person))
        assert len(faces) == count and faces.images.shape[1:] == (256, 256, 3)
        assert faces.landmarks is not None
        assert faces.consent is not None and faces.consent.note.bases == ("synthetic",)
        assert len(FaceDataset(project.faces(person), 64)) == count


@pytest.mark.slow
def test_the_faces_notebook_shows_panels_and_pictures(executed):
    _, notebook = executed("01_extract_faces")
    assert len(shown(notebook, "image/png")) >= 5
    assert len(shown(notebook, "application/vnd.jupyter.widget-view+json")) >= 4
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    told = "".join(each.get("text", "") for each in outputs)
    assert "person_a.mp4: 384x384" in told and "person b: 35 faces in 35 frames" in told


@pytest.mark.slow
def test_the_training_notebook_trains_and_leaves_a_run_to_go_on_with(executed):
    output, notebook = executed("02_train")
    widgets = shown(notebook, "application/vnd.jupyter.widget-view+json")
    assert len(widgets) == 4  # three forms, the panel
    assert len(shown(notebook, "image/png")) >= 3
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    told = "".join(each.get("text", "") for each in outputs)
    assert "taking the sample clips" in told and "finished: step" in told
    for name in ("predictions.png", "losses.png"):
        assert read_provenance(output / name).sound
    panel = train(Project(output))
    assert panel.status.state == "finished" and panel.step == panel.store.latest().step > 0


@pytest.mark.slow
def test_the_score_notebook_tells_good_swaps_from_bad(executed):
    _, notebook = executed("04_score")
    assert len(shown(notebook, "image/png")) >= 9
    assert len(shown(notebook, "text/markdown")) == 1  # the card
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    told = "".join(output.get("text", "") for output in outputs)
    assert "(good)" in told and "(flickering)" in told and "(a dark box)" in told


@pytest.mark.slow
def test_quickstart_says_if_what_it_drew_is_a_smear(quickstart):
    output, notebook = quickstart
    summary = json.loads((output / "summary.json").read_text())
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    last = [each.text for each in outputs if each.output_type == "stream"][-2]
    smear = summary["held_out_psnr_db"] < HARDLY_TRAINED_DB
    assert ("Careful: this network is hardly trained" in last) == smear, last


@pytest.mark.slow
def test_quickstart_leaves_files_that_say_what_they_are(quickstart):
    output, _ = quickstart
    for name in ("swap.mp4", "predictions.png", "predictions.gif"):
        found = read_provenance(output / name)
        # Smooth faces on white paper hide no watermark that is read again and not seen.
        assert found.layers[-2:] == ("metadata", "manifest")
        assert name == "predictions.png" or "watermark" in found.layers
        assert found.sound and found.bases == ("synthetic",)


@pytest.mark.slow
def test_the_marking_notebook_tells_whole_files_from_changed_ones(executed):
    output, _ = executed("05_marking")
    assert read_provenance(output / "marking" / "marked.mp4").sound
    assert not read_provenance(output / "marking" / "changed.mp4").sound


@pytest.mark.slow
def test_the_swap_notebook_leaves_a_swap_that_the_score_can_take_up(executed):
    output, notebook = executed("03_swap_video")
    assert len(shown(notebook, "image/png")) == 2
    assert len(shown(notebook, "application/vnd.jupyter.widget-view+json")) == 1  # the panel
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    told = "".join(each.get("text", "") for each in outputs)
    assert "no faces here yet" in told and "no saved network here yet" in told
    swap = output / "swap.mp4"
    assert read_video_info(swap).frame_count == 25
    assert read_provenance(swap).sound and read_provenance(swap).bases == ("synthetic",)
    made = Project(output).swapped(swap)
    assert made.film == Clip(str(sample_clips().person_a), 14.0, 15.0) and made.source is None


def test_an_unknown_notebook_is_told():
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "none.ipynb"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "00_quickstart.ipynb" in done.stderr


def test_a_failing_cell_fails_the_run(tmp_path):
    (tmp_path / "run.py").write_text((FOLDER / "run.py").read_text())
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(broken, tmp_path / "broken.ipynb")
    done = subprocess.run(
        [sys.executable, tmp_path / "run.py", "broken.ipynb"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("name", ["06_umeyama", "07_warping"])
def test_long_lessons_have_a_short_way_and_fold_the_rest(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    (way,) = re.findall(r"^\*\*In ten minutes\*\*.*", notebook.cells[0].source, re.MULTILINE)
    stations = re.findall(r"\]\(#(.+?)\)(?=[,;.])", way)
    shown, folded, visible, inside = [], [], 0, False
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            heading, *_ = cell.source.splitlines()
            inside = cell.metadata.get("jp-MarkdownHeadingCollapsed", False)
            if inside:
                folded.append(cell.metadata["id"])
            elif heading != "## Install":
                shown.append(heading.removeprefix("## ").replace(" ", "-"))  # as JupyterLab does
                assert f'<a name="{shown[-1]}"></a>' in cell.source  # for Colab
        visible += not inside
    assert shown == stations and len(stations) >= 5
    assert notebook.metadata["colab"]["collapsed_sections"] == folded
    assert visible < 0.6 * len(notebook.cells)

"""pytest tests/test_notebooks.py: the notebooks are clean, and run from top to bottom."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import nbformat
import pytest

from deepfake_utils.project import Project
from deepfake_utils.storage import CheckpointStore
from deepfake_utils.training_project import train
from deepfake_utils.verification import read_provenance
from deepfake_utils.video import read_video_info

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """(output folder, executed notebook) of a short run of the quick-start notebook."""
    folder = tmp_path_factory.mktemp("quickstart")
    copy = folder / "executed.ipynb"
    environment = {**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(folder / "output")}
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "00_quickstart.ipynb", copy],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "output", nbformat.read(copy, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_valid_clean_and_short(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "colab.research.google.com" in notebook.cells[0].source
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            assert len(cell.source.splitlines()) < 10, cell.source


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
    store = CheckpointStore(output / "run")
    assert store.latest().step == summary["steps"]
    assert store.best().best_model().config.image_size == 96
    assert len(list((output / "faces" / "a").glob("*.png"))) == 35


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


def test_quickstart_shows_pictures_forms_and_videos(quickstart):
    _, notebook = quickstart
    shown = [
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    assert shown.count("image/png") >= 7
    assert shown.count("application/vnd.jupyter.widget-view+json") >= 4
    html = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert sum(text.count("<video") for text in html) == 1
    assert shown.count("text/markdown") == 1  # the scorecard


@pytest.mark.slow
def test_the_training_notebook_trains_and_leaves_a_run_to_go_on_with(tmp_path):
    copy, output = tmp_path / "executed.ipynb", tmp_path / "output"
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "02_train.ipynb", copy],
        env={**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(output)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [o for cell in nbformat.read(copy, 4).cells for o in cell.get("outputs", [])]
    shown = [kind for each in outputs for kind in each.get("data", {})]
    assert shown.count("application/vnd.jupyter.widget-view+json") == 4  # three forms, the panel
    assert shown.count("image/png") >= 3
    told = "".join(each.get("text", "") for each in outputs)
    assert "taking the sample clips" in told and "finished: step" in told
    for name in ("predictions.png", "losses.png"):
        assert read_provenance(output / name).sound
    panel = train(Project(output))
    assert panel.status.state == "finished" and panel.step == panel.store.latest().step > 0


@pytest.mark.slow
def test_the_score_notebook_tells_good_swaps_from_bad(tmp_path):
    copy = tmp_path / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "05_score.ipynb", copy],
        env={**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(tmp_path / "output")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [o for cell in nbformat.read(copy, 4).cells for o in cell.get("outputs", [])]
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/png") >= 9
    assert shown.count("text/markdown") == 1  # the card
    told = "".join(output.get("text", "") for output in outputs)
    assert "(good)" in told and "(flickering)" in told and "(a dark box)" in told


def test_quickstart_leaves_files_that_say_what_they_are(quickstart):
    output, _ = quickstart
    for name in ("swap.mp4", "predictions.png", "predictions.gif"):
        found = read_provenance(output / name)
        assert found.layers == ("watermark", "metadata", "manifest")
        assert found.sound and found.bases == ("synthetic",)


@pytest.mark.slow
def test_marking_notebook_runs(tmp_path):
    copy = tmp_path / "executed.ipynb"
    environment = {**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(tmp_path)}
    command = [sys.executable, FOLDER / "run.py", "10_marking.ipynb", copy]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_provenance(tmp_path / "marking" / "marked.mp4").sound
    assert not read_provenance(tmp_path / "marking" / "changed.mp4").sound


@pytest.mark.slow
def test_the_swap_notebook_leaves_a_swap_that_the_score_can_take_up(tmp_path):
    copy = tmp_path / "executed.ipynb"
    environment = {**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(tmp_path / "output")}
    command = [sys.executable, FOLDER / "run.py", "03_swap_video.ipynb", copy]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [o for cell in nbformat.read(copy, 4).cells for o in cell.get("outputs", [])]
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/png") == 2
    assert shown.count("application/vnd.jupyter.widget-view+json") == 1  # the panel
    assert "lacks a trained network" in "".join(output.get("text", "") for output in outputs)
    swap = tmp_path / "output" / "swap.mp4"
    assert read_video_info(swap).frame_count == 25
    assert read_provenance(swap).sound and read_provenance(swap).bases == ("synthetic",)
    made = json.loads((tmp_path / "output" / "project.json").read_text())["swap"]
    assert made["bytes"] == swap.stat().st_size
    assert made["target"][1:] == [14.0, 15.0]


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

"""pytest -m slow tests/test_notebook_01.py: the notebook leaves clips and faces for the next."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from deepfake_utils.dataset import FaceDataset
from deepfake_utils.extraction import load_faces
from deepfake_utils.project import Project
from deepfake_utils.samples import sample_clips

FOLDER = Path(__file__).parents[1] / "notebooks"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """(project, outputs) of a short run."""
    folder = tmp_path_factory.mktemp("notebook_01")
    copy = folder / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "01_extract_faces.ipynb", copy],
        env={**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(folder / "output")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cells = nbformat.read(copy, as_version=4).cells
    return Project(folder / "output"), [o for cell in cells for o in cell.get("outputs", [])]


@pytest.mark.slow
def test_it_leaves_clips_and_faces(executed):
    project, _ = executed
    assert project.clip("a").path == str(sample_clips().person_a)
    assert project.clip("b").path == str(sample_clips().person_b)
    for person, count in (("a", 35), ("b", 35)):
        faces = load_faces(project.faces(person))
        assert len(faces) == count and faces.images.shape[1:] == (256, 256, 3)
        assert faces.landmarks is not None
        assert faces.consent is not None and faces.consent.note.bases == ("synthetic",)
        assert len(FaceDataset(project.faces(person), 64)) == count


@pytest.mark.slow
def test_it_shows_panels_and_pictures(executed):
    _, outputs = executed
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/png") >= 3
    assert shown.count("application/vnd.jupyter.widget-view+json") >= 2
    told = "".join(output.get("text", "") for output in outputs)
    assert "person_a.mp4: 384x384" in told and "person b: 35 faces in 35 frames" in told

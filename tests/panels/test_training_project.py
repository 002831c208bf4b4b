"""pytest tests/test_training_project.py: whose faces a project has, and which network."""

import pytest

from deepfake_utils.extraction import load_faces
from deepfake_utils.panels.training_project import NetworkChoice, need_faces
from deepfake_utils.runs.project import Clip, Project
from deepfake_utils.samples import sample_clips


def test_an_empty_project_gets_the_sample_people_once(tmp_path):
    project = Project(tmp_path)
    project.choose_clip("a", Clip(str(sample_clips().person_a)))
    assert need_faces(project, stride=50)
    for who, count in (("a", 7), ("b", 7)):
        faces = load_faces(project.faces(who))
        assert len(faces) == count and faces.consent.note.bases == ("synthetic",)
    assert not need_faces(project, stride=50)


def test_own_clips_are_never_replaced_by_the_samples(tmp_path):
    project, mine = Project(tmp_path), tmp_path / "mine.mp4"
    mine.write_bytes(b"film")
    project.choose_clip("a", Clip(str(mine)))
    with pytest.raises(FileNotFoundError, match=r"no faces of person a and b .*01_extract_faces"):
        need_faces(project)
    project.faces("a").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no faces of person b in"):
        need_faces(project)
    assert not project.faces("b").exists()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"image_size": 100}, "image_size: expected .*got 100"),
        ({"minutes": 0.0}, "minutes: expected more than 0, got 0.0"),
        ({"light": -1.0}, "light: expected at least 0, got -1.0"),
    ],
)
def test_a_wrong_choice_of_network_says_why(values, text):
    with pytest.raises(ValueError, match=text):
        NetworkChoice(**values)

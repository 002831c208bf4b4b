"""pytest tests/runs/test_project.py: notebooks hand on what they made through one folder."""

import json

import pytest

from deepfake_utils.runs.project import Clip, Project


def test_what_one_notebook_leaves_another_finds(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    Project(tmp_path / "p").choose_clip("a", Clip(str(film), 1.0, 2.5))
    Project(tmp_path / "p").write("settings", {"batch_size": 16})
    again = Project(tmp_path / "p")
    assert again.clip("a") == Clip(str(film), 1.0, 2.5)
    assert again.read("settings") == {"batch_size": 16}
    assert again.faces("b") == tmp_path / "p" / "faces" / "b"
    assert again.output.is_dir()
    assert again.store().latest() is None


def test_nothing_is_made_by_looking(tmp_path):
    project = Project(tmp_path / "p")
    assert project.clips == {} and project.read("settings", 3) == 3
    assert not (tmp_path / "p").exists()
    with pytest.raises(FileNotFoundError, match=r"no clip of person a .*01_extract"):
        project.clip("a")


def test_the_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPFAKE_OUTPUT", str(tmp_path / "there"))
    assert Project().root == tmp_path / "there"


def test_bad_input_is_told(tmp_path):
    project = Project(tmp_path)
    with pytest.raises(ValueError, match="expected 'a' or 'b', got 'c'"):
        project.faces("c")
    with pytest.raises(FileNotFoundError, match="expected a video at"):
        project.choose_clip("a", Clip(str(tmp_path / "missing.mp4")))
    with pytest.raises(ValueError, match="end_s: expected more than start_s"):
        Clip("x.mp4", 3.0, 2.0)
    with pytest.raises(ValueError, match="start_s"):
        Clip("x.mp4", -1.0)
    (tmp_path / "project.json").write_text("{")
    for act in (lambda: project.read("x"), lambda: project.write("x", 1)):
        with pytest.raises(ValueError, match="mend the file or move it away"):
            act()
    assert (tmp_path / "project.json").read_text() == "{"


def test_a_value_json_cannot_hold_leaves_the_file_as_it_was(tmp_path):
    project = Project(tmp_path)
    project.write("x", 1)
    with pytest.raises(TypeError):
        project.write("y", object())
    assert json.loads((tmp_path / "project.json").read_text()) == {"x": 1}

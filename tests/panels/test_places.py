"""pytest tests/panels/test_places.py: what a text field names; Google Drive; uploads."""

import hashlib
import io
import shutil
import sys
from pathlib import Path

import pytest

from deepfake_utils.panels import places
from deepfake_utils.panels.places import (
    find_path,
    in_colab,
    list_videos,
    mount_drive,
    open_project,
    sample_of,
    save_upload,
    uploaded,
    videos_at,
)
from deepfake_utils.samples import sample_clips, sample_consent

FAKE_COLAB = str(Path(__file__).parents[1] / "fake_colab")
FILM = hashlib.shake_256(b"film").digest(3_000_000)

# Folders ------------------------------------------------------------------------------------


def test_of_a_folder_the_videos_are_found(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="expected a video in the folder"):
        videos_at(folder)
    for name in ("b.mp4", "a.MOV", "c.webm", "0.txt", ".b.part.mp4"):
        (folder / name).write_bytes(b"film")
    (folder / "folder.mp4").mkdir()
    assert [path.name for path in list_videos(folder)] == ["a.MOV", "b.mp4", "c.webm"]
    assert videos_at(folder) == list_videos(folder)
    assert videos_at(folder / "b.mp4") == [folder / "b.mp4"]
    with pytest.raises(FileNotFoundError, match=r"no clip at .*check the path"):
        videos_at(folder / "none.mp4")
    with pytest.raises(FileNotFoundError, match="no folder at"):
        list_videos(folder / "none")


def test_a_path_may_be_written_as_file_managers_copy_it(tmp_path):
    film = tmp_path / "my films" / "Ich übe.mp4"
    film.parent.mkdir()
    film.write_bytes(b"film")
    for text in (f'"{film}"', f"'{film}'", f' "{film}" ', film.as_uri()):
        assert find_path(text) == film
    for text in ("", ' "" '):
        with pytest.raises(ValueError, match="expected a path, got none"):
            find_path(text)
    with pytest.raises(ValueError, match=r"got the link 'https://a\.b/c\.mp4'; give it as a link"):
        find_path("https://a.b/c.mp4")


def test_where_no_clip_is_those_near_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no clip at .*check the path: .* has no video"):
        videos_at(tmp_path / "none.mp4")
    for name in "abcdefg":
        (tmp_path / f"{name}.mov").write_bytes(b"film")
    with pytest.raises(FileNotFoundError, match=r"has a\.mov, b\.mov, .*e\.mov and 2 more"):
        videos_at(tmp_path / "none.mp4")
    with pytest.raises(FileNotFoundError, match=r"check the path: .* has no such folder"):
        videos_at(tmp_path / "none" / "none.mp4")


def test_outside_colab_there_is_no_drive(tmp_path):
    assert not in_colab()
    assert mount_drive() is None
    for look in (open_project, find_path):
        with pytest.raises(FileNotFoundError, match=r"expected Google Drive for 'drive:me.mp4'"):
            look("drive:me.mp4")


@pytest.fixture
def colab(monkeypatch):
    """Colab's modules, as far as they are needed."""
    monkeypatch.syspath_prepend(FAKE_COLAB)
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        del sys.modules[name]


def test_in_colab_a_project_lies_in_drive(tmp_path, colab):
    assert in_colab()
    drive = tmp_path / "drive"
    for _ in range(2):
        project = open_project("drive:my_swap", drive=drive)
        assert project.root == drive / "MyDrive" / "my_swap"
    assert project.output.is_dir()
    (project.output / "me.mp4").write_bytes(b"film")
    assert find_path("drive:my_swap/me.mp4", drive) == project.output / "me.mp4"


def test_a_new_runtime_offers_the_last_project_in_drive(tmp_path, colab, monkeypatch):
    monkeypatch.setenv("DEEPFAKE_OUTPUT", str(tmp_path / "usual"))
    drive, said, answers = tmp_path / "drive", [], []
    monkeypatch.setattr("builtins.input", lambda text: said.append(text) or answers.pop())
    assert open_project("", take_up=True, drive=drive).root == tmp_path / "usual"
    assert not said  # nobody is there to be asked
    monkeypatch.setattr(places, "attended", lambda: True)
    answers += ["yes"]
    with pytest.raises(FileNotFoundError, match="expected a project in that Drive"):
        open_project("", take_up=True, drive=drive)
    open_project("drive:swaps/mine", drive=drive)
    answers += ["no", "Yes"]
    mine = drive / "MyDrive" / "swaps" / "mine"
    assert open_project("", take_up=True, drive=drive).root == mine
    assert open_project("", take_up=True, drive=drive).root == tmp_path / "usual"
    assert "Take up your last project in Google Drive?" in said[0] and len(said) == 3
    open_project("").write("clips", {})  # now there is a project here
    for take_up in (False, True):
        assert open_project("", take_up, drive).root == tmp_path / "usual"
    (drive / "MyDrive" / places.LAST).write_text("{}")
    shutil.rmtree(tmp_path / "usual")
    answers += ["y"]
    with pytest.raises(ValueError, match="the last project"):
        open_project("", take_up=True, drive=drive)


def test_a_project_is_opened_where_one_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPFAKE_OUTPUT", str(tmp_path / "usual"))
    assert open_project().root == tmp_path / "usual"
    assert open_project(f" {tmp_path / 'mine'} ").root == tmp_path / "mine"
    assert not list(tmp_path.iterdir())  # nothing is made by opening it


# Uploads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, memoryview, io.BytesIO])
def test_uploads_are_written_and_nothing_is_overwritten(tmp_path, kind):
    paths = [save_upload(tmp_path / "clips", "../my: film.mp4", kind(FILM)) for _ in range(2)]
    assert [path.name for path in paths] == ["my_ film.mp4", "my_ film-2.mp4"]
    assert {path.parent for path in paths} == {tmp_path / "clips"}
    assert all(path.read_bytes() == FILM for path in paths)
    assert len(list((tmp_path / "clips").iterdir())) == 2


def test_both_versions_of_the_upload_widget_are_understood():
    seven = {"me.mp4": {"metadata": {"name": "me.mp4", "size": 4}, "content": b"film"}}
    eight = ({"name": "me.mp4", "type": "video/mp4", "size": 4, "content": memoryview(b"film")},)
    assert uploaded(seven) == uploaded(eight) == [("me.mp4", b"film")]
    assert uploaded({}) == uploaded(()) == []


def test_a_sample_stands_for_each_person():
    assert sample_of("a") == (sample_clips().person_a, sample_consent("A"))
    assert sample_of("b") == (sample_clips().person_b, sample_consent("B"))

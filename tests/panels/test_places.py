"""pytest tests/panels/test_places.py: what a text field names; Google Drive; uploads."""

import hashlib
import io
import shutil
import sys
from pathlib import Path

import pytest
from test_downloads import server  # noqa: F401

from deepfake_utils.panels.places import (
    ClipChoice,
    find_clip,
    find_path,
    in_colab,
    list_videos,
    mount_drive,
    open_project,
    sample_of,
    save_upload,
    uploaded,
)
from deepfake_utils.samples import sample_clips, sample_consent

FAKE_COLAB = str(Path(__file__).parents[1] / "fake_colab")
FILM = hashlib.shake_256(b"film").digest(3_000_000)

# Folders ------------------------------------------------------------------------------------


def test_clips_are_found_by_what_a_text_field_says(tmp_path, server):  # noqa: F811
    address, served, _ = server
    sample = sample_clips().person_a
    for text in ("sample", "  sample ", ""):
        assert find_clip(text, sample) == sample
    folder = tmp_path / "clips"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="expected a video in the folder"):
        find_clip(str(folder), sample)
    for name in ("b.mp4", "a.MOV", "c.webm", "0.txt", ".b.part.mp4"):
        (folder / name).write_bytes(b"film")
    (folder / "folder.mp4").mkdir()
    assert [path.name for path in list_videos(folder)] == ["a.MOV", "b.mp4", "c.webm"]
    assert find_clip(str(folder / "b.mp4"), sample) == folder / "b.mp4"
    assert find_clip(str(folder), sample) == folder / "a.MOV"
    shutil.copy(sample, served / "c.mp4")
    found = find_clip(f"{address}/c.mp4", sample, tmp_path / "got")
    assert found.name == "c.mp4" and found.is_file()
    with pytest.raises(FileNotFoundError, match=r"no clip at .*check the path"):
        find_clip(str(folder / "none.mp4"), sample)
    with pytest.raises(FileNotFoundError, match="no folder at"):
        list_videos(folder / "none")


def test_a_path_may_be_written_as_file_managers_copy_it(tmp_path):
    sample, film = sample_clips().person_a, tmp_path / "my films" / "Ich übe.mp4"
    film.parent.mkdir()
    film.write_bytes(b"film")
    for text in (f'"{film}"', f"'{film}'", f' "{film}" ', film.as_uri()):
        assert find_path(text) == film == find_clip(text, sample)
    for text in ("", ' "" '):
        with pytest.raises(ValueError, match="expected a path, got none"):
            find_path(text)
    with pytest.raises(ValueError, match=r"got the link 'https://a\.b/c\.mp4'; give it as a link"):
        find_path("https://a.b/c.mp4")


def test_where_no_clip_is_those_near_are_named(tmp_path):
    sample = sample_clips().person_a
    with pytest.raises(FileNotFoundError, match=r"no clip at .*check the path: .* has no video"):
        find_clip(str(tmp_path / "none.mp4"), sample)
    for name in "abcdefg":
        (tmp_path / f"{name}.mov").write_bytes(b"film")
    with pytest.raises(FileNotFoundError, match=r"has a\.mov, b\.mov, .*e\.mov and 2 more"):
        find_clip(str(tmp_path / "none.mp4"), sample)
    with pytest.raises(FileNotFoundError, match=r"check the path: .* has no such folder"):
        find_clip(str(tmp_path / "none" / "none.mp4"), sample)


def test_outside_colab_there_is_no_drive(tmp_path):
    assert not in_colab()
    assert mount_drive() is None
    for look in (open_project, lambda text: find_clip(text, sample_clips().person_a)):
        with pytest.raises(FileNotFoundError, match=r"expected Google Drive for 'drive:me.mp4'"):
            look("drive:me.mp4")


def test_in_colab_a_project_lies_in_drive(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FAKE_COLAB)
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        monkeypatch.delitem(sys.modules, name)
    try:
        assert in_colab()
        drive = tmp_path / "drive"
        for _ in range(2):
            project = open_project("drive:my_swap", drive)
            assert project.root == drive / "MyDrive" / "my_swap"
        assert project.output.is_dir()
        (project.output / "me.mp4").write_bytes(b"film")
        found = find_clip("drive:my_swap", sample_clips().person_a, drive=drive)
        assert found == project.output / "me.mp4"
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
            del sys.modules[name]


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
    with pytest.raises(ValueError, match=r"swap_from_s: expected at least 0, got -1"):
        ClipChoice(swap_from_s=-1.0)

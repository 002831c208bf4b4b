"""pytest tests/test_fetching.py: downloads that break off and go on, folders, Google Drive."""

import functools
import hashlib
import http.server
import inspect
import io
import re
import sys
import threading
import zipfile
from pathlib import Path

import gdown
import pytest

from deepfake_utils.panels import downloads as downloading
from deepfake_utils.panels.downloads import download
from deepfake_utils.panels.places import (
    find_clip,
    find_path,
    in_colab,
    list_videos,
    mount_drive,
    open_project,
    save_upload,
    uploaded,
)
from deepfake_utils.samples import sample_clips

FAKE_COLAB = str(Path(__file__).parents[1] / "fake_colab")
FILM = hashlib.shake_256(b"film").digest(3_000_000)
SHA256 = hashlib.sha256(FILM).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """A server that goes on where it is asked to, and breaks off where it is told to."""

    ranges = True  # whether it goes on at a byte
    breaks = ()  # after how many bytes each of the next answers breaks off
    version = '"one"'
    asked = ()  # (Range, If-Range) of each request

    def do_GET(self):
        cls = type(self)
        cls.asked = (*cls.asked, (self.headers["Range"], self.headers["If-Range"]))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = self.headers["If-Range"] in (None, self.version)
        begin = int(found[1]) if found and same and self.ranges else 0
        if begin >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", self.version)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        end = len(data)
        if cls.breaks:
            end, cls.breaks = begin + cls.breaks[0], cls.breaks[1:]
        self.wfile.write(data[begin:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(address, folder, handler) of a web server on this machine, and no waiting."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(downloading.time, "sleep", lambda seconds: None)
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (Handler,), {})
    made = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder, handler
        running.shutdown()


def test_a_file_is_downloaded_once_and_checked(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    steps = []
    path = download(
        f"{address}/clip.mp4", tmp_path / "new", SHA256.upper(), lambda *at: steps.append(at)
    )
    assert path.name == "clip.mp4" and path.read_bytes() == FILM
    assert steps[0] == (0, len(FILM)) and steps[-1] == (len(FILM), len(FILM))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert download(f"{address}/clip.mp4", tmp_path / "new") == path
    assert len(handler.asked) == 1
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.mp4", "link.json"]


def test_a_connection_that_breaks_goes_on_by_itself(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    handler.breaks = (1_000_000, 500_000, 1)
    assert download(f"{address}/clip.mp4", tmp_path, SHA256).read_bytes() == FILM
    begins = ["bytes=1000000-", "bytes=1500000-", "bytes=1500001-"]
    assert handler.asked == ((None, None), *((begin, '"one"') for begin in begins))


def test_a_download_that_was_given_up_goes_on_when_asked_again(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    handler.breaks = (1_200_000, *(0,) * downloading.TRIES)
    with pytest.raises(ConnectionError, match=r"broke off after 1\.2 of 3\.0 MB; .* is kept"):
        download(f"{address}/clip.mp4", tmp_path, SHA256)
    (part,) = tmp_path.glob("link-*/*.part")
    assert part.read_bytes() == FILM[:1_200_000]
    handler.asked = ()
    assert download(f"{address}/clip.mp4", tmp_path, SHA256).read_bytes() == FILM
    assert handler.asked == (("bytes=1200000-", '"one"'),)


def test_a_person_who_interrupts_keeps_what_has_come(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)

    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{address}/clip.mp4", tmp_path, progress=stop)
    assert download(f"{address}/clip.mp4", tmp_path).read_bytes() == FILM
    assert handler.asked[-1] == (f"bytes={downloading.PIECE}-", '"one"')


@pytest.mark.parametrize("why", ["the file has changed", "the server cannot go on"])
def test_what_cannot_go_on_begins_anew(tmp_path, server, why):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM[::-1])
    handler.breaks = (1_200_000, *(0,) * downloading.TRIES)
    with pytest.raises(ConnectionError, match="broke off"):
        download(f"{address}/clip.mp4", tmp_path)
    (folder / "clip.mp4").write_bytes(FILM)
    if why == "the file has changed":
        handler.version = '"two"'
    else:
        handler.ranges = False
    assert download(f"{address}/clip.mp4", tmp_path, SHA256).read_bytes() == FILM


def test_a_part_longer_than_the_file_begins_anew(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    handler.breaks = (1_200_000, *(0,) * downloading.TRIES)
    with pytest.raises(ConnectionError, match="broke off"):
        download(f"{address}/clip.mp4", tmp_path)
    (folder / "clip.mp4").write_bytes(b"short")
    assert download(f"{address}/clip.mp4", tmp_path).read_bytes() == b"short"


def test_a_wrong_checksum_is_told_and_not_kept(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM[::-1])
    with pytest.raises(ValueError, match=rf"expected SHA-256 {SHA256} .*, got \w+; do not use it"):
        download(f"{address}/clip.mp4", tmp_path, SHA256)
    assert not list(tmp_path.glob("link-*/*.mp4"))
    (folder / "clip.mp4").write_bytes(FILM)
    assert download(f"{address}/clip.mp4", tmp_path, SHA256).read_bytes() == FILM
    assert handler.asked[-1] == (None, None)  # not glued to the wrong one
    with pytest.raises(ValueError, match="do not use it"):
        download(f"{address}/clip.mp4", tmp_path, "0" * 64)
    assert len(list(tmp_path.glob("link-*/clip.mp4"))) == 1  # this one was right once


def test_files_of_one_name_do_not_meet(tmp_path, server):
    address, folder, _ = server
    for place in ("x", "y"):
        (folder / place).mkdir()
        (folder / place / "clip.mp4").write_bytes(place.encode())
    found = [download(f"{address}/{place}/clip.mp4", tmp_path) for place in ("x", "y")]
    assert [path.read_bytes() for path in found] == [b"x", b"y"]


def test_an_archive_is_unpacked_once(tmp_path, server):
    address, folder, _ = server
    with zipfile.ZipFile(folder / "faces.zip", "w") as file:
        file.writestr("sub/b.txt", b"two" * 1000)
    for _ in range(2):
        unpacked = download(f"{address}/faces.zip", tmp_path)
        assert (unpacked / "sub" / "b.txt").read_bytes() == b"two" * 1000


def test_bad_links_are_told(tmp_path, server, monkeypatch):
    address, folder, _ = server
    (folder / "watch.html").write_text("<html>a player</html>")
    (folder / "clip.mp4").write_bytes(FILM)
    for link, error, text in (
        (f"{address}/none.mp4", ConnectionError, "could not download .* 404 .*check the link"),
        (f"{address}/watch.html", ValueError, "leads to a web page, not to a file"),
        ("http://127.0.0.1:9/x.mp4", ConnectionError, "could not download .*check the address"),
        ("file:///etc/passwd", ValueError, "expected a link that begins with http"),
    ):
        with pytest.raises(error, match=text):
            download(link, tmp_path / "new")
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="expected 3 MB of free disk space for the download, got 1"):
        download(f"{address}/clip.mp4", tmp_path / "new")
    assert not [path for path in (tmp_path / "new").rglob("*.mp4")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, "a film.mp4"),
        ('attachment; filename="me.mp4"', "me.mp4"),
        ('attachment; filename="../../evil.mp4"', "evil.mp4"),
        ("attachment; filename*=UTF-8''caf%C3%A9.mp4", "café.mp4"),
        ('attachment; filename="link.json"', "download"),
        ('attachment; filename=".."', "download"),
    ],
)
def test_a_file_is_called_as_the_server_says_but_never_a_path(tmp_path, server, header, name):
    address, folder, handler = server
    (folder / "a film.mp4").write_bytes(b"film")
    if header is not None:
        handler.end_headers = lambda self: (
            self.send_header("Content-Disposition", header),
            http.server.SimpleHTTPRequestHandler.end_headers(self),
        )
    path = download(f"{address}/a%20film.mp4?x=1", tmp_path / "new")
    assert path.name == name and path.parent.parent == tmp_path / "new"


@pytest.mark.parametrize("newer", [True, False])
def test_drive_is_left_to_gdown(tmp_path, monkeypatch, newer):
    """Google cannot be reached here, so gdown is stood in for: old ones tell no progress."""
    asked = []

    def fetch(id, output, resume, progress=None, quiet=False):
        asked.append((id, resume))
        path = Path(output) / "me.mp4"
        path.write_bytes(FILM)
        if progress is not None:
            progress(len(FILM), len(FILM))
        return str(path)

    def old_fetch(id, output, resume):
        return fetch(id, output, resume)

    assert {"id", "output", "resume"} <= set(inspect.signature(gdown.download).parameters)
    monkeypatch.setattr(gdown, "download", fetch if newer else old_fetch)
    told = []
    link = "https://drive.google.com/file/d/1AbC_-xyz/view?usp=sharing"
    with pytest.raises(ValueError, match="do not use it"):
        download(link, tmp_path, "0" * 64)
    path = download(link, tmp_path, SHA256, lambda *at: told.append(at))
    assert path.name == "me.mp4" and path.read_bytes() == FILM
    assert told == ([(len(FILM), len(FILM))] if newer else [])
    download("1AbC_-xyz", tmp_path)
    assert asked == [("1AbC_-xyz", True)] * 3
    monkeypatch.setattr(gdown, "download", lambda **_: None)
    with pytest.raises(ConnectionError, match="check that anyone with the link may view it"):
        download("another", tmp_path)


# Folders ------------------------------------------------------------------------------------


def test_clips_are_found_by_what_a_text_field_says(tmp_path, server):
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
    (served / "c.mp4").write_bytes(b"film")
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

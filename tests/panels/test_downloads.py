"""pytest tests/panels/test_downloads.py: files from links, checked, and archives unpacked."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import inspect
import io
import json
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import gdown
import pytest

from deepfake_utils.panels import downloads
from deepfake_utils.panels.downloads import ARCHIVES, download, unpack
from deepfake_utils.panels.places import check_clip
from deepfake_utils.samples import sample_clips

FILM = hashlib.shake_256(b"film").digest(3_000_000)
SHA256 = hashlib.sha256(FILM).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """A server that breaks off where it is told to, or stops in the middle of the second answer."""

    breaks = ()  # after how many bytes each of the next answers breaks off
    hangs = False
    asked = ()  # paths

    def do_GET(self):
        cls = type(self)
        cls.asked = (*cls.asked, self.path)
        second = len(cls.asked) == 2  # known before the answer begins, or the next may overtake it
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        end = len(data)
        if cls.breaks:
            end, cls.breaks = cls.breaks[0], cls.breaks[1:]
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if cls.hangs and second:
            self.wfile.write(data[: end // 2])
            cls.hanging.set()
            cls.ended.wait(60)
            return
        with contextlib.suppress(ConnectionError):  # who only asked what is there has gone
            self.wfile.write(data[:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(address, folder, handler) of a web server on this machine."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type(
        "Handler", (Handler,), {"hanging": threading.Event(), "ended": threading.Event()}
    )
    made = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder, handler
        handler.ended.set()
        running.shutdown()


def test_a_file_is_downloaded_once_checked_and_with_a_bar(tmp_path, server, capsys):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    path = download(f"{address}/clip.mp4", tmp_path / "new", SHA256.upper())
    assert path.name == "clip.mp4" and path.read_bytes() == FILM
    assert "100%" in capsys.readouterr().err
    asked = handler.asked
    assert download(f"{address}/clip.mp4", tmp_path / "new") == path
    assert handler.asked == asked
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.mp4", "link.json"]
    (path.parent / "link.json").write_text("{")  # half a note: nothing is known
    assert download(f"{address}/clip.mp4", tmp_path / "new", SHA256) == path
    assert len(handler.asked) > len(asked)


def test_a_download_that_broke_off_begins_anew(tmp_path, server):
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    handler.breaks = (len(FILM), 1_200_000)  # what is there, then the file
    with pytest.raises(ConnectionError, match=r"broke off after 1\.2 of 3\.0 MB; .* begins anew"):
        download(f"{address}/clip.mp4", tmp_path, SHA256)
    assert not [path for path in tmp_path.glob("link-*/*")]
    assert download(f"{address}/clip.mp4", tmp_path, SHA256).read_bytes() == FILM


def test_a_person_can_interrupt_a_download(tmp_path, server):
    """As the kernel's interrupt does: a signal, while the server takes its time."""
    address, folder, handler = server
    (folder / "clip.mp4").write_bytes(FILM)
    handler.hangs = True
    program = "import sys; from deepfake_utils.panels.downloads import download\n"
    program += "download(sys.argv[1], sys.argv[2])"
    command = [sys.executable, "-c", program, f"{address}/clip.mp4", str(tmp_path / "new")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert handler.hanging.wait(60)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert not [path for path in (tmp_path / "new").glob("link-*/*")]  # nothing half done


def test_a_wrong_checksum_is_told_and_not_kept(tmp_path, server):
    address, folder, _ = server
    (folder / "clip.mp4").write_bytes(FILM[::-1])
    with pytest.raises(ValueError, match=rf"expected SHA-256 {SHA256} .*, got \w+; do not use it"):
        download(f"{address}/clip.mp4", tmp_path, SHA256)
    assert not list(tmp_path.glob("link-*/*.mp4"))
    (folder / "clip.mp4").write_bytes(FILM)
    assert download(f"{address}/clip.mp4", tmp_path, SHA256).read_bytes() == FILM
    with pytest.raises(ValueError, match="do not use it"):
        download(f"{address}/clip.mp4", tmp_path, "0" * 64)
    assert len(list(tmp_path.glob("link-*/clip.mp4"))) == 1  # this one was right once


@pytest.mark.parametrize("page", ["<!DOCTYPE html><p>no", "\ufeff\n <HTML>no", "<head>no"])
def test_an_error_page_is_not_taken_for_the_file(tmp_path, server, page):
    address, folder, _ = server
    (folder / "clip.mp4").write_text(page, encoding="utf-8")  # said to be a film
    with pytest.raises(ValueError, match="expected a file, got a web page"):
        download(f"{address}/clip.mp4", tmp_path / "new")
    assert not list((tmp_path / "new").glob("link-*"))
    (folder / "clip.mp4").write_bytes(FILM)
    assert download(f"{address}/clip.mp4", tmp_path / "new").read_bytes() == FILM


def test_half_a_film_is_not_kept_and_asked_for_again(tmp_path, server):
    address, folder, handler = server
    film, new = sample_clips().person_b_as_a.read_bytes(), tmp_path / "new"
    served = folder / "clip.mp4"

    def find():
        return download(f"{address}/clip.mp4", new, check=check_clip)

    for size in (100, len(film) // 2, len(film) - 20_000):
        served.write_bytes(film[:size])  # the server says that this is all
        with pytest.raises(ValueError, match="expected"):
            find()
        assert not list(new.glob("link-*"))
    served.write_bytes(film)
    path = find()
    assert path.read_bytes() == film
    asked = len(handler.asked)
    assert find() == path and len(handler.asked) == asked
    path.write_bytes(film[:-20_000])  # half of it was kept by an older version
    note = json.loads((path.parent / "link.json").read_text())
    (path.parent / "link.json").write_text(json.dumps({**note, "bytes": len(film) - 20_000}))
    assert find().read_bytes() == film


def test_a_damaged_archive_is_asked_for_again(tmp_path, server):
    address, folder, _ = server
    make_zip(folder / "faces.zip", GOOD)
    whole = (folder / "faces.zip").read_bytes()
    (folder / "faces.zip").write_bytes(whole[:-30])
    with pytest.raises(ValueError, match="expected a whole archive"):
        download(f"{address}/faces.zip", tmp_path / "new")
    (folder / "faces.zip").write_bytes(whole)
    assert (download(f"{address}/faces.zip", tmp_path / "new") / "a.txt").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["..", ".", "a/../../../mine.txt", "/etc/passwd", "", 7, None, []])
def test_a_doctored_note_leads_nowhere(tmp_path, server, name):
    address, folder, _ = server
    (folder / "clip.mp4").write_bytes(FILM)
    path = download(f"{address}/clip.mp4", tmp_path / "new")
    note = {"name": name, "bytes": len(FILM)}
    (path.parent / "link.json").write_text(json.dumps(note))
    assert download(f"{address}/clip.mp4", tmp_path / "new") == path


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
        (f"{address}/none.mp4", ConnectionError, "could not download .* 404: .*check the link"),
        (f"{address}/watch.html", ValueError, "leads to a web page, not to a file"),
        ("http://127.0.0.1:9/x.mp4", ConnectionError, "could not download .*check the address"),
        ("file:///etc/passwd", ValueError, "expected a link that begins with http"),
    ):
        with pytest.raises(error, match=text):
            download(link, tmp_path / "new")
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
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


def test_drive_is_left_to_gdown_which_goes_on_where_it_broke_off(tmp_path, monkeypatch):
    """Google cannot be reached here, so gdown is stood in for."""
    asked = []

    def fetch(id, output, resume):
        asked.append((id, resume))
        path = Path(output) / "me.mp4"
        path.write_bytes(FILM)
        return str(path)

    assert {"id", "output", "resume"} <= set(inspect.signature(gdown.download).parameters)
    monkeypatch.setattr(gdown, "download", fetch)
    link = "https://drive.google.com/file/d/1AbC_-xyz/view?usp=sharing"
    with pytest.raises(ValueError, match="do not use it"):
        download(link, tmp_path, "0" * 64)
    path = download(link, tmp_path, SHA256)
    assert path.name == "me.mp4" and path.read_bytes() == FILM
    download("1AbC_-xyz", tmp_path)
    assert asked == [("1AbC_-xyz", True)] * 3
    monkeypatch.setattr(gdown, "download", lambda **_: None)
    with pytest.raises(ConnectionError, match="check that anyone with the link may view it"):
        download("another", tmp_path)


# Archives -----------------------------------------------------------------------------------


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def make_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, data in members.items():
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                member.size = len(data)
            file.addfile(member, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


GOOD = {"a.txt": b"one", "sub/b.txt": b"two" * 1000}


@pytest.mark.parametrize("name", [f"faces{suffix}" for suffix in ARCHIVES] + ["FACES.ZIP"])
def test_archives_are_unpacked_beside_themselves(tmp_path, name):
    if name.lower().endswith(".zip"):
        archive = make_zip(tmp_path / name, GOOD)
    else:
        archive = make_tar(tmp_path / name, GOOD, "w" if name.endswith(".tar") else "w:gz")
    folder = unpack(archive)
    assert folder == tmp_path / name.split(".")[0]
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == GOOD
    with pytest.raises(FileExistsError, match="exists already; move it away"):
        unpack(archive)


@pytest.mark.parametrize(
    "name", ["../evil.txt", "sub/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_that_would_leave_the_folder_are_refused(tmp_path, make, name):
    (tmp_path / "in").mkdir()
    archive = tmp_path / "in" / ("x.zip" if make is make_zip else "x.tar")
    make(archive, {"good.txt": b"good", name: b"evil"})
    with pytest.raises(ValueError, match="would leave it; do not use this archive"):
        unpack(archive)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [archive.name]
    assert not (tmp_path / "in" / "x").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "x.tar", {"good.txt": b"good", "link": link})
    with pytest.raises(ValueError, match="'link', which is a link"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="'link', which is a link"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def damaged(tmp_path, kind):
    noise = hashlib.shake_256(b"seed").hexdigest(200_000).encode()  # compresses by half
    if kind.startswith("zip"):
        path = make_zip(tmp_path / "x.zip", {"a.bin": noise, "b.txt": b"text" * 5000})
        data = path.read_bytes()
        if kind == "zip cut off":
            path.write_bytes(data[:-30])
        else:  # "zip with wrong bytes": inside the compressed text
            at = data.index(b"b.txt") + 5
            path.write_bytes(data[:at] + b"\xff" * 20 + data[at + 20 :])
        return path
    path = make_tar(tmp_path / f"x.{kind.split()[0]}", {"a.bin": noise, "b.bin": noise}, "w")
    data = path.read_bytes()
    if kind.startswith("tar.gz"):
        data = gzip.compress(data)
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "zip cut off",
        "zip with wrong bytes",
        "tar cut off",
        "tar.gz cut off",
    ],
)
def test_damaged_archives_say_so_and_leave_nothing(tmp_path, kind):
    archive = damaged(tmp_path, kind)
    with pytest.raises(ValueError, match="damaged"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_an_archive_with_a_password_says_so(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"a.txt": b"one"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag "encrypted", in the file's own header ...
    data[data.index(b"PK\x01\x02") + 8] |= 1  # ... and in the directory
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.zip"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_what_is_no_archive_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"expected an archive .*got 'x\.rar'"):
        unpack(tmp_path / "x.rar")
    for name in ("x.zip", "x.tar", "x.tgz"):
        (tmp_path / name).write_bytes(b"hello" * 1000)
        with pytest.raises(ValueError, match="expected a whole archive"):
            unpack(tmp_path / name)
        (tmp_path / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            unpack(tmp_path / name)
    assert list(tmp_path.iterdir()) == []

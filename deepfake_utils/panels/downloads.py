"""Files from links: fetched once, checked by their hash, and unpacked if they are archives."""

from __future__ import annotations

import gzip
import http.client
import os
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from torch.hub import download_url_to_file

from ..files import is_plain, plain_name, read_json, sha256_of, write_json

DONE_FILE = "link.json"  # what a finished download is
TIMEOUT_S = 30.0  # until a server answers
NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
LOCKED = RuntimeError  # how zipfile says that it needs a password, or another way of unpacking
LEAST_ROOM, MOST_TIMES = 1 << 26, 50  # bytes, and times its own size, that an archive may take
BLOCK = 4096  # bytes that even an empty file costs
SYMLINK = 0xA  # the file type that zip keeps in the top four bits of `external_attr`


def download(
    source: str,
    folder: str | os.PathLike[str] = "downloads",
    sha256: str | None = None,
    check: Callable[[Path], None] = lambda path: None,
) -> Path:
    """Fetch a file from Google Drive or any address, with a bar; an archive is unpacked.

    Each link has a folder of its own, so that files of one name do not meet. What is complete is
    not fetched again. Of a download that broke off or was interrupted, one from Google Drive goes
    on from there when the same link is asked for again; one from elsewhere begins anew.

    Args:
        source: a link, or the id of a file in Google Drive.
        folder: where to put it; made if missing.
        sha256: what the file's SHA-256 must be; None does not check.
        check: looks at what came, a file or unpacked folder, and raises ValueError if it is not
            what was wanted; then it is not kept.

    Returns:
        The file, or the folder that an archive was unpacked to.

    Raises:
        ConnectionError: if it could not be fetched, or broke off.
        OSError: if the disk has no room for it.
        ValueError: if the link leads to a page instead of a file, the hash differs, or an archive
            has members that would leave the folder.
    """
    source = source.strip()
    place = Path(folder) / f"link-{sha256_of(source.encode())[:10]}"
    path = _finished(place)
    if path is not None:
        _check_hash(path, sha256, source)
        try:
            return _opened(path, check)
        except ValueError:  # kept by an older version: it is fetched anew
            shutil.rmtree(place)
    place.mkdir(parents=True, exist_ok=True)
    drive_id = _drive_id(source)
    path = _fetch(source, place) if drive_id is None else _fetch_drive(drive_id, source, place)
    try:
        _check_hash(path, sha256, source)
        opened = _opened(path, check)
    except ValueError:
        shutil.rmtree(place)  # it is of no use
        raise
    note = {"source": source, "name": path.name, "bytes": path.stat().st_size}
    write_json(place / DONE_FILE, note, indent=2)
    return opened


def _opened(path: Path, check: Callable[[Path], None]) -> Path:
    """What was downloaded, unpacked if it is an archive, and looked at."""
    with path.open("rb") as file:
        begins = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begins.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        raise ValueError(f"expected a file, got a web page as {path.name}; check the link")
    unpacked = _unpacked(path)
    found = path if unpacked is None else unpacked if unpacked.is_dir() else unpack(path)
    check(found)
    return found


def _drive_id(source: str) -> str | None:
    """The id in a Google Drive link, or `source` itself if it is no link; None for other links."""
    if "://" not in source:
        return source
    if not re.match(r"https?://(drive|docs)\.google\.com/", source):
        return None
    found = re.search(r"/d/([\w-]+)|[?&]id=([\w-]+)", source)
    return (found[1] or found[2]) if found else None


def _finished(place: Path) -> Path | None:
    """The file that was downloaded to a link's folder, if it is still there as it was."""
    try:
        note = read_json(place / DONE_FILE, "download it again")
    except (OSError, ValueError):  # none, or half of one: then nothing is known
        return None
    if not is_plain(note.get("name")):
        return None
    path = place / note["name"]
    return path if path.is_file() and path.stat().st_size == note.get("bytes") else None


def _check_hash(path: Path, sha256: str | None, source: str) -> None:
    if sha256 is not None and (found := sha256_of(path)) != sha256.strip().lower():
        raise ValueError(
            f"expected SHA-256 {sha256} of what {source!r} leads to, got {found}; do not use it: "
            "download it again, or ask where it came from"
        )


def _fetch_drive(drive_id: str, source: str, place: Path) -> Path:
    """By gdown, which knows Google's pages of confirmation."""
    import gdown

    advice = f"could not download {source!r}; check that anyone with the link may view it"
    try:
        fetched = gdown.download(id=drive_id, output=f"{place}{os.sep}", resume=True)
    except Exception as error:  # which of its own and requests' classes depends on the version
        raise ConnectionError(f"{advice} ({error})") from error
    if not fetched:
        raise ConnectionError(advice)
    return Path(str(fetched))


def _fetch(source: str, place: Path) -> Path:
    """By HTTP: ask what is there, then have torch fetch it."""
    if not re.match(r"https?://", source):
        raise ValueError(f"expected a link that begins with http:// or https://, got {source!r}")
    try:
        path, size = _look(source, place)
        download_url_to_file(source, str(path))
    except NETWORK as error:
        advice = "check the address and the network"
        if isinstance(error, urllib.error.HTTPError):
            denied = error.code in (401, 403)
            advice = f"check {'that anyone with the link may view it' if denied else 'the link'}"
        raise ConnectionError(f"could not download {source!r} ({error}); {advice}") from error
    if size is not None and (came := path.stat().st_size) < size:
        path.unlink()
        raise ConnectionError(
            f"the download of {source!r} broke off after {came / 1e6:.1f} of {size / 1e6:.1f} MB; "
            "ask for the same link again, it begins anew"
        )
    return path


def _look(source: str, place: Path) -> tuple[Path, int | None]:
    """Where a link's file goes, and how many bytes it has, if the server says so."""
    # Not by HEAD, which not every server answers; the body stays where it is.
    request = urllib.request.Request(source, headers={"User-Agent": "deepfake-utils"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        headers = answer.headers
        address = urllib.parse.unquote(urllib.parse.urlsplit(answer.url).path)
    if headers.get_content_type() == "text/html":
        raise ValueError(
            f"{source!r} leads to a web page, not to a file; give the link of the file itself"
        )
    size = int(headers["Content-Length"]) if headers["Content-Length"] else None
    free = shutil.disk_usage(place).free
    if size is not None and size > free:
        raise OSError(
            f"expected {size / 1e6:.0f} MB of free disk space for the download, got "
            f"{free / 1e6:.0f} MB; make room, or choose another folder"
        )
    name = plain_name(headers.get_filename() or address)
    return place / (name if name and name != DONE_FILE else "download"), size


def unpack(archive: str | os.PathLike[str], largest: int | None = None) -> Path:
    """Unpack a .zip or .tar(.gz) into a new folder beside it; only plain files and folders.

    Args:
        largest: how many bytes it may unpack to; None is 50 times its own size, and at least 64 MB.

    Raises:
        FileExistsError: if that folder exists.
        ValueError: if the file is no archive, or a member is a link or would leave the folder, or
            all together are too large; then nothing is unpacked.
    """
    archive = Path(archive)
    folder = _unpacked(archive)
    if folder is None:
        raise ValueError(f"expected an archive ({', '.join(ARCHIVES)}), got {archive.name!r}")
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; move it away to unpack {archive} again")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=archive.parent) as temporary:
        part = Path(temporary) / folder.name
        part.mkdir()
        try:
            _extract(archive, part, largest)
        except (*DAMAGED, LOCKED) as error:
            raise ValueError(
                f"expected a whole archive without a password, got {error!r} from {archive}; "
                "download it again"
            ) from error
        part.rename(folder)
    return folder


def _unpacked(archive: Path) -> Path | None:
    """The folder that an archive is unpacked to; None for another file."""
    end = next((end for end in ARCHIVES if archive.name.lower().endswith(end)), None)
    return None if end is None else archive.with_name(archive.name[: -len(end)])


def _extract(archive: Path, folder: Path, largest: int | None) -> None:
    if largest is None:
        largest = max(LEAST_ROOM, MOST_TIMES * archive.stat().st_size)
    room = largest
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                _check_member(info.filename, info.external_attr >> 28 != SYMLINK)
                room -= max(BLOCK, info.file_size)
            _check_room(room, largest, archive)
            file.extractall(folder)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            _check_member(member.name, member.isfile() or member.isdir())
            room -= max(BLOCK, member.size)
            _check_room(room, largest, archive)
        tar.extractall(folder, filter="data")


def _check_room(room: int, largest: int, archive: Path) -> None:
    if room < 0:
        raise ValueError(
            f"expected {archive} to unpack to at most {largest} bytes, got more; if you trust it, "
            "allow them by unpack(archive, largest=...)"
        )


def _check_member(name: str, plain: bool) -> None:
    """Refuse what zipfile would rename without a word, and tarfile's filter let through."""
    path = PurePosixPath(name.replace("\\", "/"))
    drive_letter = bool(path.parts) and path.parts[0].endswith(":")
    if not plain or path.is_absolute() or drive_letter or ".." in path.parts:
        raise ValueError(
            f"expected only files inside the archive's folder, got member {name!r}, which is a "
            "link or would leave it; do not use this archive"
        )

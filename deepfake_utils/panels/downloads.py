"""Downloads that show how far they are, go on where they broke off, and are checked."""

from __future__ import annotations

import hashlib
import http.client
import inspect
import json
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from .archives import ARCHIVES, unpack

logger = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int | None], None]  # (bytes so far, of how many if known)

PART_FILE, PART_NOTE = "download.part", "download.json"  # what has come; what is known of it
DONE_FILE = "link.json"  # what a finished download is
PIECE = 1 << 20  # bytes read at once
TRIES = 4  # that bring nothing, one after another, before giving up
TIMEOUT_S = 30.0  # without a single byte


def download(
    source: str,
    folder: str | os.PathLike[str] = "downloads",
    sha256: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch a file from Google Drive or any address; an archive is unpacked.

    Each link has a folder of its own, so that files of one name do not meet. A download that broke
    off is kept there, and goes on from that point when the same link is asked for again; one that
    is complete is not fetched again.

    Args:
        source: a link, or the id of a file in Google Drive.
        folder: where to put it; made if missing.
        sha256: what the file's SHA-256 must be; None does not check.
        progress: is told (bytes so far, bytes in all or None); None shows a bar.

    Returns:
        The file, or the folder that an archive was unpacked to.

    Raises:
        ConnectionError: if it could not be fetched, or broke off.
        OSError: if the disk has no room for it.
        ValueError: if the link leads to a page instead of a file, the hash differs, or an archive
            has members that would leave the folder.
    """
    source = source.strip()
    place = Path(folder) / f"link-{hashlib.sha256(source.encode()).hexdigest()[:10]}"
    path = _finished(place)
    if path is None:
        place.mkdir(parents=True, exist_ok=True)
        drive_id = _drive_id(source)
        if drive_id is None:
            path = _fetch(source, place, progress)
        else:
            path = _fetch_from_drive(drive_id, source, place, progress)
        try:
            _check_hash(path, sha256, source)
        except ValueError:
            path.unlink()  # else the next try would take it for complete
            raise
        note = {"source": source, "name": path.name, "bytes": path.stat().st_size}
        (place / DONE_FILE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    else:
        _check_hash(path, sha256, source)
    suffix = next((end for end in ARCHIVES if path.name.lower().endswith(end)), "")
    if not suffix:
        return path
    unpacked = path.with_name(path.name[: -len(suffix)])
    return unpacked if unpacked.is_dir() else unpack(path)


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
    note = _read_note(place / DONE_FILE)
    path = place / Path(str(note.get("name", ""))).name
    if not note or not path.is_file() or path.stat().st_size != note.get("bytes"):
        return None
    return path


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or half of one: then nothing is known
        return {}
    return note if isinstance(note, dict) else {}


def _check_hash(path: Path, sha256: str | None, source: str) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(PIECE):
            digest.update(piece)
    if digest.hexdigest() != sha256.strip().lower():
        raise ValueError(
            f"expected SHA-256 {sha256} of what {source!r} leads to, got {digest.hexdigest()}; do "
            "not use it: download it again, or ask where it came from"
        )


def _fetch_from_drive(drive_id: str, source: str, place: Path, progress: Progress | None) -> Path:
    """By gdown, which knows Google's pages of confirmation."""
    import gdown

    # Older ones (5.2 in Colab) tell nobody how far they are, but draw a bar of their own.
    told = progress is not None and "progress" in inspect.signature(gdown.download).parameters
    more: dict[str, Any] = {"progress": progress, "quiet": True} if told else {}
    advice = f"could not download {source!r}; check that anyone with the link may view it"
    try:
        fetched = gdown.download(id=drive_id, output=f"{place}{os.sep}", resume=True, **more)
    except Exception as error:  # which of its own and requests' classes depends on the version
        raise ConnectionError(f"{advice} ({error})") from error
    if not fetched:
        raise ConnectionError(advice)
    return Path(str(fetched))


def _fetch(source: str, place: Path, progress: Progress | None) -> Path:
    """By HTTP, over as many connections as it takes."""
    if not re.match(r"https?://", source):
        raise ValueError(f"expected a link that begins with http:// or https://, got {source!r}")
    if progress is None:
        from tqdm.auto import tqdm

        with tqdm(desc="download", unit="B", unit_scale=True, unit_divisor=1024) as bar:
            return _fetch(source, place, lambda done, total: _move(bar, done, total))
    part, failed, most = place / PART_FILE, 0, _size(place / PART_FILE)
    while True:
        try:
            name = _receive(source, place, progress)
            break
        except (TimeoutError, ConnectionResetError, http.client.HTTPException) as error:
            failed = 0 if _size(part) > most else failed + 1
            most = max(most, _size(part))
            logger.info("%s broke off at byte %d (%r)", source, _size(part), error)
            if failed >= TRIES:
                raise ConnectionError(_broken_off(source, place)) from error
            time.sleep(0.2 * 2**failed)
    path = place / name
    part.replace(path)
    (place / PART_NOTE).unlink(missing_ok=True)
    return path


def _move(bar: Any, done: int, total: int | None) -> None:
    bar.total = total
    bar.update(done - bar.n)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _broken_off(source: str, place: Path) -> str:
    total = _read_note(place / PART_NOTE).get("total")
    known = f" of {total / 1e6:.1f}" if total else ""
    return (
        f"the download of {source!r} broke off after {_size(place / PART_FILE) / 1e6:.1f}{known} "
        "MB; what has come is kept: ask for the same link again and it goes on from there"
    )


def _request(source: str, begin: int, note: dict[str, Any]) -> Any:
    """Ask for a file from byte `begin` on; the server's answer."""
    headers = {"User-Agent": "deepfake-utils", "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
        if note.get("version"):  # a file that has changed since comes whole
            headers["If-Range"] = note["version"]
    try:
        request = urllib.request.Request(source, headers=headers)
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and begin:  # the part is longer than the file
            return _request(source, 0, {})
        advice = "check the link"
        if error.code in (401, 403):
            advice = "check that anyone with the link may view it"
        raise ConnectionError(
            f"could not download {source!r}: the server answers {error.code} {error.reason}; "
            f"{advice}"
        ) from error
    except urllib.error.URLError as error:
        if begin or isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise ConnectionResetError(str(error.reason)) from error
        raise ConnectionError(
            f"could not download {source!r} ({error.reason}); check the address and the network"
        ) from error


def _receive(source: str, place: Path, progress: Progress) -> str:
    """Receive what is missing of a file, over one connection; the name it should have.

    Raises:
        TimeoutError, ConnectionResetError, http.client.HTTPException: if the connection broke; what
            has come is kept.
    """
    part = place / PART_FILE
    note = _read_note(place / PART_NOTE)
    begin = _size(part) if note else 0
    with _request(source, begin, note) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise ValueError(
                f"{source!r} leads to a web page, not to a file; give the link of the file itself"
            )
        begin = _where(answer, begin, note)
        length = answer.headers.get("Content-Length")
        total = begin + int(length) if length is not None else None
        _check_room(place, total, begin)
        version = answer.headers.get("ETag") or ""
        if not version or version.startswith("W/"):  # a weak one does not tell bytes apart
            version = answer.headers.get("Last-Modified") or ""
        note = {"source": source, "version": version, "total": total}
        (place / PART_NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        with part.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            progress(begin, total)
            while piece := answer.read(PIECE):
                file.write(piece)
                begin += len(piece)
                progress(begin, total)
        if total is not None and begin < total:
            raise http.client.IncompleteRead(b"", total - begin)
        return _file_name(answer)


def _where(answer: Any, begin: int, note: dict[str, Any]) -> int:
    """The byte that an answer begins with: `begin` if the server goes on there, else 0."""
    if answer.status != 206:
        return 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    same = found is not None and found[2] in ("*", str(note.get("total") or found[2]))
    if found is None or int(found[1]) != begin or not same:
        raise ConnectionError(
            f"expected the rest of the file from byte {begin} on, got "
            f"{answer.headers.get('Content-Range')!r}; remove the .part file and download it anew"
        )
    return begin


def _check_room(place: Path, total: int | None, begin: int) -> None:
    free = shutil.disk_usage(place).free
    if total is not None and total - begin > free:
        raise OSError(
            f"expected {(total - begin) / 1e6:.0f} MB of free disk space for the download, got "
            f"{free / 1e6:.0f} MB; make room, or choose another folder"
        )


def _file_name(answer: Any) -> str:
    """What to call a file: as the server says, or as the address ends."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(answer.url).path)
    name = plain_name(answer.headers.get_filename() or path)
    return name if name and name not in (PART_FILE, PART_NOTE, DONE_FILE) else "download"


def plain_name(name: str) -> str:
    """The last part of a name from elsewhere, without what a file system may not like."""
    return re.sub(r'[\x00-\x1f<>:"|?*]', "_", re.split(r"[/\\]", name)[-1]).strip(" .")

"""Files from elsewhere: Google Drive, links, archives. Only notebooks use it."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import logging
import os
import re
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from .video import VIDEO_SUFFIXES

logger = logging.getLogger(__name__)

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # zipfile: needs a password
    NotImplementedError,  # zipfile: an unknown way of packing
)
SYMLINK = 0xA  # the file type that zip keeps in the top four bits of `external_attr`


def in_colab() -> bool:
    """True inside a Google Colab runtime."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is not even a package `google`
        return False


def mount_drive(path: str | os.PathLike[str] = "/content/drive") -> Path | None:
    """Mount Google Drive and return its "MyDrive" folder; None outside Colab."""
    if not in_colab():
        logger.info("not in Colab: there is no Drive to mount, use local folders")
        return None
    from google.colab import drive

    drive.mount(str(path))
    return Path(path) / "MyDrive"


def download(
    source: str, folder: str | os.PathLike[str] = "downloads", sha256: str | None = None
) -> Path:
    """Fetch a file from Google Drive or any address; an archive is unpacked.

    Args:
        source: a link, or the id of a file in Google Drive.
        folder: where to put it; made if missing.
        sha256: what the file's SHA-256 must be; None does not check.

    Returns:
        The file, or the folder that an archive was unpacked to.

    Raises:
        ConnectionError: if it could not be fetched.
        ValueError: if the hash differs, or an archive has members that would leave the folder.
    """
    import gdown

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    drive_id = _drive_id(source)
    advice = f"could not download {source!r}; check that anyone with the link may view it"
    try:
        fetched = gdown.download(
            url=None if drive_id else source, id=drive_id, output=f"{folder}{os.sep}", resume=True
        )
    except Exception as error:  # which of its own and requests' classes depends on the version
        raise ConnectionError(f"{advice} ({error})") from error
    if not fetched:
        raise ConnectionError(advice)
    path = Path(str(fetched))
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256.lower():
            raise ValueError(
                f"expected SHA-256 {sha256} of {path}, got {found}; do not use the file, "
                "download it again or ask where it came from"
            )
    return unpack(path) if path.name.lower().endswith(ARCHIVES) else path


def _drive_id(source: str) -> str | None:
    """The id in a Google Drive link, or `source` itself if it is no link; None for other links."""
    if "://" not in source:
        return source
    if not re.match(r"https?://(drive|docs)\.google\.com/", source):
        return None
    found = re.search(r"/d/([\w-]+)|[?&]id=([\w-]+)", source)
    return (found[1] or found[2]) if found else None


def unpack(archive: str | os.PathLike[str]) -> Path:
    """Unpack a .zip or .tar(.gz) into a new folder beside it; only plain files and folders.

    Raises:
        FileExistsError: if that folder exists.
        ValueError: if the file is no archive, or a member is a link or would leave the folder;
            then nothing is unpacked.
    """
    archive = Path(archive)
    suffix = next((end for end in ARCHIVES if archive.name.lower().endswith(end)), "")
    if not suffix:
        raise ValueError(f"expected an archive ({', '.join(ARCHIVES)}), got {archive.name!r}")
    folder = archive.with_name(archive.name[: -len(suffix)])
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; move it away to unpack {archive} again")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=archive.parent) as temporary:
        part = Path(temporary) / folder.name
        part.mkdir()
        try:
            _extract(archive, part)
        except DAMAGED as error:
            raise ValueError(
                f"expected a whole archive without a password, got {error!r} from {archive}; "
                "download it again"
            ) from error
        part.rename(folder)
    return folder


def _extract(archive: Path, folder: Path) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                _check_member(info.filename, info.external_attr >> 28 != SYMLINK)
            file.extractall(folder)
        return
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _check_member(member.name, member.isfile() or member.isdir())
        tar.extractall(folder, filter="data")


def _check_member(name: str, plain: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    drive_letter = bool(path.parts) and path.parts[0].endswith(":")
    if not plain or path.is_absolute() or drive_letter or ".." in path.parts:
        raise ValueError(
            f"expected only files inside the archive's folder, got member {name!r}, which is a "
            "link or would leave it; do not use this archive"
        )


def find_clip(
    text: str,
    sample: Path,
    folder: str | os.PathLike[str] = "downloads",
    drive: str = "/content/drive",
) -> Path:
    """The clip that a text field names.

    Args:
        text: "sample"; a path; "drive:clips/me.mp4", a path in your Google Drive; or a link to
            a file, in Google Drive or elsewhere. Of a folder the first video is taken.
        sample: the clip that "sample" stands for.
        folder: where downloads go.
        drive: where Drive is mounted.

    Raises:
        FileNotFoundError: if there is no such file, or no Drive.
        ConnectionError, ValueError: as `download`.
    """
    text = text.strip()
    if text in ("", "sample"):
        return sample
    if "://" in text:
        path = download(text, folder)
    elif text.startswith("drive:"):
        root = mount_drive(drive)
        if root is None:
            raise FileNotFoundError(
                f"expected Google Drive for {text!r}, but this is not Colab; give a local path"
            )
        path = root / text.removeprefix("drive:").lstrip("/")
    else:
        path = Path(text).expanduser()
    if path.is_dir():
        clips = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if not clips:
            raise FileNotFoundError(f"expected a video in the folder {path}, got none")
        path = clips[0]
    if not path.is_file():
        raise FileNotFoundError(f"no clip at {path}; check the path (now in {Path.cwd()})")
    return path

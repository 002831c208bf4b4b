"""Unpack .zip and .tar archives from elsewhere, which are trusted with nothing."""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

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

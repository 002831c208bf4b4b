"""Where clips and projects are: the samples, local folders, Google Drive, links, uploads."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import shutil
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..consent import Subject
from ..files import CHUNK, plain_name
from ..runs.project import Person, Project
from ..samples import TEST_START_S, sample_clips, sample_consent
from ..settings import Settings, setting
from ..video import VIDEO_SUFFIXES, read_timed_frames, read_video_info
from .downloads import download

logger = logging.getLogger(__name__)

DRIVE_FOLDER = "/content/drive"  # where Colab mounts Google Drive
# What is offered of a folder; whatever FFmpeg opens can be named.
CLIP_SUFFIXES = VIDEO_SUFFIXES | {".3gp", ".avi", ".m4v", ".mpeg", ".mpg", ".mts", ".wmv"}


@dataclass(frozen=True)
class ClipChoice(Settings):
    """Which clips a notebook works on, and which part of them."""

    person_a: str = setting(
        "sample", 'who is in the video: "sample", a path, "drive:..." or a link'
    )
    person_b: str = setting("sample", "whose face is put there")
    train_until_s: float = setting(
        TEST_START_S, "A's clip is trained on up to this second; 0 takes all of it", least=0.0
    )
    swap_from_s: float = setting(TEST_START_S, "and swapped from this second on", least=0.0)


def sample_of(person: Person) -> tuple[Path, Subject]:
    """The sample clip that stands for a person of a project, and why that face may be used."""
    clips = sample_clips()
    if person == "a":
        return clips.person_a, sample_consent("A")
    return clips.person_b, sample_consent("B")


def in_colab() -> bool:
    """True inside a Google Colab runtime."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is not even a package `google`
        return False


def mount_drive(path: str | os.PathLike[str] = DRIVE_FOLDER) -> Path | None:
    """Mount Google Drive and return its "MyDrive" folder; None outside Colab."""
    if not in_colab():
        logger.info("not in Colab: there is no Drive to mount, use local folders")
        return None
    from google.colab import drive

    drive.mount(str(path))
    return Path(path) / "MyDrive"


def find_path(text: str | os.PathLike[str], drive: str | os.PathLike[str] = DRIVE_FOLDER) -> Path:
    """A path as people write it.

    Args:
        text: a path, also in quotation marks or as file:///, as file managers copy it; or
            "drive:clips/me.mp4", a path in your Google Drive, which is mounted.
        drive: where Drive is mounted.

    Raises:
        FileNotFoundError: if it is in a Drive, and there is none.
        ValueError: if it is empty, or a link.
    """
    text = str(text).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    if text.startswith("file://"):
        text = urllib.request.url2pathname(urllib.parse.urlsplit(text).path)
    if not text:
        raise ValueError('expected a path, got none; write one, such as "me.mp4"')
    if "://" in text:
        raise ValueError(f"expected a path, got the link {text!r}; give it as a link instead")
    if not text.startswith("drive:"):
        return Path(text).expanduser()
    root = mount_drive(drive)
    if root is None:
        raise FileNotFoundError(
            f"expected Google Drive for {text!r}, but this is not Colab; give a local path"
        )
    return root / text.removeprefix("drive:").lstrip("/")


def open_project(where: str = "", drive: str | os.PathLike[str] = DRIVE_FOLDER) -> Project:
    """The folder that the notebooks share.

    Args:
        where: "" for the usual folder (see `Project`); a path; or "drive:my_swap", a folder in your
            Google Drive, which outlives the runtime.
        drive: where Drive is mounted.

    Raises:
        FileNotFoundError: if it is in a Drive, and there is none.
    """
    return Project(find_path(where, drive) if where.strip() else None)


def videos_at(path: Path) -> list[Path]:
    """The file at a path, or the videos of the folder there, by their names.

    Raises:
        FileNotFoundError: if there is none; it names the videos that are near.
    """
    if path.is_dir():
        if found := list_videos(path):
            return found
        kinds = ", ".join(sorted(CLIP_SUFFIXES))
        raise FileNotFoundError(
            f"expected a video in the folder {path}, got none; it may end in {kinds}, and folders "
            "inside it are not looked into"
        )
    if not path.is_file():
        raise _no_clip(path)
    return [path]


def _no_clip(path: Path) -> FileNotFoundError:
    near = next(folder for folder in path.absolute().parents if folder.is_dir())
    if near != path.absolute().parent:
        return FileNotFoundError(f"no clip at {path}; check the path: {near} has no such folder")
    names = [each.name for each in list_videos(near)]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    has = f"has {', '.join(names[:5])}{more}" if names else "has no video"
    return FileNotFoundError(f"no clip at {path}; check the path: {near} {has}")


def list_videos(folder: str | os.PathLike[str]) -> list[Path]:
    """The videos in a folder, by their names; not those in folders inside it.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"no folder at {folder}; check the path (now in {Path.cwd()})")
    found = (path for path in folder.iterdir() if path.suffix.lower() in CLIP_SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def save_upload(
    folder: str | os.PathLike[str], name: str, content: bytes | memoryview | BinaryIO
) -> Path:
    """Write a file that came from the browser, piece by piece; others of that name stay.

    Args:
        folder: where to put it; made if missing.
        name: what it is called there; folders in it are ignored.
        content: the file's bytes, or an open file.

    Raises:
        OSError: if it cannot be written.
    """
    folder, plain = Path(folder), plain_name(name) or "upload"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{plain}.part"
    with part.open("wb") as file:
        source = io.BytesIO(content) if isinstance(content, bytes | memoryview) else content
        shutil.copyfileobj(source, file, CHUNK)
    path, number = folder / plain, 2
    while path.exists():
        path = folder / f"{Path(plain).stem}-{number}{Path(plain).suffix}"
        number += 1
    return part.replace(path)


def uploaded(value: Any) -> list[tuple[str, bytes | memoryview]]:
    """What a FileUpload widget holds: (name, content) of each file.

    Args:
        value: of ipywidgets 7, a dict of names; or of 8, a tuple of dicts.
    """
    if isinstance(value, dict):
        return [(name, each["content"]) for name, each in value.items()]
    return [(each["name"], each["content"]) for each in value]


def find_clip(
    text: str,
    sample: Path,
    folder: str | os.PathLike[str] = "downloads",
    drive: str | os.PathLike[str] = DRIVE_FOLDER,
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
        ConnectionError, OSError, ValueError: as `download`.
    """
    text = str(text).strip()
    if text in ("", "sample"):
        return sample
    link = "://" in text and not text.startswith("file://")
    return videos_at(download(text, folder, check=check_clip) if link else find_path(text, drive))[
        0
    ]


def check_clip(path: Path) -> None:
    """See that a file, or the first video of a folder, is a film up to its end.

    Raises:
        FileNotFoundError, ValueError: if it is not.
    """
    film = videos_at(path)[0]
    info = read_video_info(film)
    frames = read_timed_frames(film, 0.9 * info.duration_s)
    for _ in frames:
        pass
    if frames.breaks_off_s is not None:
        raise ValueError(f"expected all of {film}, but it is incomplete, download it again")

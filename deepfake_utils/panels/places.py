"""Where clips and projects are: the samples, local folders, Google Drive, links, uploads."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO

from ..consent import Subject
from ..files import CHUNK, plain_name, read_json, reading, write_json
from ..runs.project import ADVICE, Person, Project
from ..samples import sample_clips, sample_consent
from ..video import VIDEO_SUFFIXES, read_timed_frames, read_video_info
from .notebook import attended

logger = logging.getLogger(__name__)

DRIVE_FOLDER = "/content/drive"  # where Colab mounts Google Drive
LAST = "deepfake_utils.json"  # in the Drive, where it is remembered which project was open last
TAKE_UP = (
    "Nothing is here yet. Take up your last project in Google Drive? (yes, or no: the samples) "
)
# What is offered of a folder; whatever FFmpeg opens can be named.
CLIP_SUFFIXES = VIDEO_SUFFIXES | {".3gp", ".avi", ".m4v", ".mpeg", ".mpg", ".mts", ".wmv"}


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


def open_project(
    where: str = "", take_up: bool = False, drive: str | os.PathLike[str] = DRIVE_FOLDER
) -> Project:
    """The folder that the notebooks share.

    Args:
        where: "" for the usual folder (see `Project`); a path; or "drive:my_swap", a folder in your
            Google Drive, which outlives the runtime, and is remembered there.
        take_up: whether the notebook goes on with a project; where a Colab runtime has none, it
            asks whether to take up the one that was last open in Google Drive.
        drive: where Drive is mounted.

    Raises:
        FileNotFoundError: if it is in a Drive, and there is none, or no project to take up in it.
        ValueError: if what the Drive remembers is damaged.
    """
    where, usual = where.strip(), Project()
    new = not where and not (usual.root / "project.json").is_file()
    if new and take_up and in_colab() and attended() and input(TAKE_UP).lower().startswith("y"):
        where = _last_in(drive)
    if not where:
        return usual
    project = Project(find_path(where, drive))
    if where.startswith("drive:"):
        write_json(Path(drive) / "MyDrive" / LAST, {"project": where})
    return project


def _last_in(drive: str | os.PathLike[str]) -> str:
    """The project that was last open in a Drive, as for `open_project`."""
    file = find_path(f"drive:{LAST}", drive)
    if not file.is_file():
        raise FileNotFoundError(
            "expected a project in that Drive, got none that was opened here before; write its "
            'folder, as in open_project("drive:my_swap")'
        )
    with reading(file, "the last project", ADVICE):
        return "drive:" + str(read_json(file, ADVICE)["project"]).removeprefix("drive:")


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


def check_clip(path: Path) -> None:
    """See that a file, or the first video of a folder, is a film up to its end.

    Raises:
        FileNotFoundError, ValueError: if it is not.
    """
    film = videos_at(path)[0]
    info = read_video_info(film)
    # Of a film of few frames, the last one begins before nine tenths have passed.
    frames = read_timed_frames(film, max(0.0, 0.9 * info.duration_s - 1.0 / info.fps))
    for _ in frames:
        pass
    if frames.breaks_off_s is not None:
        raise ValueError(f"expected all of {film}, but it is incomplete, download it again")

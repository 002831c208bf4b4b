"""One folder in which each notebook leaves what the next one takes up; local, or on a Drive."""

from __future__ import annotations

import dataclasses
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ..files import read_json, reading, set_aside, sha256_of, write_json
from ..settings import Settings, setting
from ..video import to_seconds
from .store import CheckpointStore

__all__ = ["Clip", "Person", "Project", "Swapped"]

logger = logging.getLogger(__name__)

ADVICE = "mend the file or move it away"
Person = Literal["a", "b"]  # a: who is in the video; b: whose face is put there


@dataclass(frozen=True)
class Clip(Settings):
    """A video, and which part of it is used."""

    path: str = setting(help="the file")
    start_s: float = setting(0.0, "the part begins here, in seconds", least=0.0)
    end_s: float | None = setting(None, "and ends here, in seconds; None: at the file's end")

    def __post_init__(self) -> None:
        """Check the part.

        Raises:
            ValueError: naming what is wrong.
        """
        for name in ("start_s", "end_s"):  # "0:02" and the like
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, to_seconds(value))
        super().__post_init__()
        if self.end_s is not None and not self.end_s > self.start_s:
            raise ValueError(
                f"end_s: expected more than start_s ({self.start_s}) or None, got {self.end_s}"
            )


class Swapped(NamedTuple):
    """What a swapped video was made of."""

    film: Clip  # whose face was swapped
    source: str | None  # the clip of person B; None if none was chosen, which takes the sample
    caution: str | None  # what was said of the network that drew it


class Project:
    """The folder of one swap: which clips, whose faces, the training run, what came out.

        project.json     which clips are used, and what else the notebooks hand on
        clips/           uploads and downloads
        faces/a faces/b  the crops of each person, with faces.json and consent.json
        run/             the checkpoints
        swap.mp4 ...     what came out, with predictions.png and the rest

    Nothing is made until it is needed, and nothing is ever deleted.

    Args:
        root: of the folder; None: $DEEPFAKE_OUTPUT if set, else "output" of the project if the
            notebook runs in its notebooks folder, else "output".
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        if root is None:
            here = Path("..") if Path("../deepfake_utils/__init__.py").is_file() else Path()
            root = os.environ.get("DEEPFAKE_OUTPUT") or here / "output"
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"

    @property
    def clips_folder(self) -> Path:
        """Where uploads and downloads go."""
        return self.root / "clips"

    @property
    def output(self) -> Path:
        """Where what comes out goes: the folder itself; it is made."""
        self.root.mkdir(parents=True, exist_ok=True)
        return self.root

    def faces(self, person: Person) -> Path:
        """The folder of a person's crops.

        Raises:
            ValueError: if the person is neither "a" nor "b".
        """
        if person not in get_args(Person):
            raise ValueError(f"person: expected 'a' or 'b', got {person!r}")
        return self.root / "faces" / person

    def store(self, keep_last: int = 3) -> CheckpointStore:
        """The training run's checkpoints, of which it keeps the newest `keep_last` in number."""
        return CheckpointStore(self.root / "run", keep_last=keep_last)

    def leave_run(self) -> None:
        """Move an unfinished run aside, so that it does not go on with the faces of other clips.

        Raises:
            RuntimeError: if another program trains it.
        """
        store = self.store()
        saved = store.latest()
        if saved is not None and saved.unfinished:
            store.hold()
            moved = set_aside(store.folder)
            store.release()
            logger.warning("the run of the clips before was not finished; it is now in %s", moved)

    @property
    def clips(self) -> dict[str, Clip]:
        """The clip of each person, by "a" and "b", as far as they were chosen."""
        with reading(self._file, "clips", ADVICE):
            return {name: Clip(**said) for name, said in self.read("clips", {}).items()}

    def choose_clip(self, person: Person, clip: Clip) -> None:
        """Remember a person's clip.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        self.faces(person)
        if not Path(clip.path).is_file():
            raise FileNotFoundError(f"expected a video at {clip.path}, got none; choose another")
        clips = {**self.clips, person: clip}
        self.write("clips", {name: dataclasses.asdict(each) for name, each in clips.items()})

    def clip(self, person: Person) -> Clip:
        """A person's clip.

        Raises:
            FileNotFoundError: if none was chosen.
        """
        self.faces(person)
        if person not in self.clips:
            raise FileNotFoundError(
                f"no clip of person {person} in {self.root}; choose one in 01_extract_faces.ipynb"
            )
        return self.clips[person]

    def note_swap(
        self, video: str | os.PathLike[str], clip: Clip, caution: str | None = None
    ) -> None:
        """Remember which film a video was made of, so that it can be compared with that one.

        Args:
            video: the swapped film.
            clip: whose face was swapped in it.
            caution: what was said of the network that drew it.

        Raises:
            FileNotFoundError: if there is no such video.
        """
        source = self.clips["b"].path if "b" in self.clips else None
        known = {"film": dataclasses.asdict(clip), "source": source, "caution": caution}
        self.write("swap", {"sha256": sha256_of(Path(video)), **known})

    def swapped(self, video: str | os.PathLike[str]) -> Swapped | None:
        """What a video was made of; None if it is not what was written last.

        Raises:
            ValueError: if project.json is damaged.
        """
        made = self.read("swap", {})
        if not Path(video).is_file() or made.get("sha256") != sha256_of(Path(video)):
            return None
        with reading(self._file, "swap", ADVICE):
            return Swapped(Clip(**made["film"]), made["source"], made["caution"])

    def read(self, key: str, otherwise: object = None) -> Any:
        """What a notebook left under a name in project.json.

        Raises:
            ValueError: if the file is damaged.
        """
        return self._read().get(key, otherwise)

    def write(self, key: str, value: object) -> Path:
        """Leave a value that JSON can hold under a name in project.json; the rest of it stays.

        Raises:
            ValueError: if the file that is there is damaged, or JSON has no word for the value.
            TypeError: if JSON cannot hold the value.
        """
        return write_json(self._file, {**self._read(), key: value}, indent=2)

    @property
    def _file(self) -> Path:
        return self.root / "project.json"

    def _read(self) -> dict[str, Any]:
        if not self._file.is_file():
            return {}
        return read_json(self._file, ADVICE)

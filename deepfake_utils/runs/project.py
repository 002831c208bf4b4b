"""One folder in which each notebook leaves what the next one takes up; local, or on a Drive."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from .store import CheckpointStore

__all__ = ["Clip", "Person", "Project"]

Person = Literal["a", "b"]  # a: who is in the video; b: whose face is put there


@dataclass(frozen=True)
class Clip:
    """A video, and which part of it is used."""

    path: str  # of the file
    start_s: float = 0.0  # from here
    end_s: float | None = None  # to here; None: to its end

    def __post_init__(self) -> None:
        """Check the part.

        Raises:
            ValueError: naming what is wrong.
        """
        if not self.start_s >= 0.0:
            raise ValueError(f"start_s: expected at least 0, got {self.start_s}")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise ValueError(
                f"end_s: expected more than start_s ({self.start_s}) or None, got {self.end_s}"
            )


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
            here = Path("..") if Path("../deepfake_utils/project.py").is_file() else Path()
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
        """The training run's checkpoints."""
        return CheckpointStore(self.root / "run", keep_last=keep_last)

    @property
    def clips(self) -> dict[str, Clip]:
        """The clip of each person, by "a" and "b", as far as they were chosen."""
        return {name: Clip(**said) for name, said in self.read("clips", {}).items()}

    def choose_clip(self, person: Person, clip: Clip) -> None:
        """Remember a person's clip.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        self.faces(person)
        if not Path(clip.path).is_file():
            raise FileNotFoundError(f"expected a video at {clip.path}, got none; choose another")
        self.write("clips", {**self.read("clips", {}), person: dataclasses.asdict(clip)})

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

    def read(self, key: str, otherwise: object = None) -> Any:
        """What a notebook left under a name in project.json.

        Raises:
            ValueError: if the file is damaged.
        """
        path = self.root / "project.json"
        if not path.is_file():
            return otherwise
        try:
            return json.loads(path.read_text(encoding="utf-8")).get(key, otherwise)
        except (json.JSONDecodeError, AttributeError) as error:
            raise ValueError(
                f"{path}: expected a JSON object ({error}); mend the file or move it away"
            ) from error

    def write(self, key: str, value: object) -> Path:
        """Leave a value that JSON can hold under a name in project.json; the rest of it stays.

        Raises:
            ValueError: if the file that is there is damaged.
            TypeError: if JSON cannot hold the value.
        """
        self.read(key)
        path = self.root / "project.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        text = json.dumps({**known, key: value}, indent=2) + "\n"
        self.root.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".json.part")
        half.write_text(text, encoding="utf-8")
        half.replace(path)  # a reader never sees half a file
        return path

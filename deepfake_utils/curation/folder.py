"""Crops that move out of a faces folder and back: where each lies, and how that changed.

A dropped crop moves to the folder `dropped` inside the faces folder, where `extraction.load_faces`
does not look. faces.json goes on listing every crop and is never written here, so whether a crop
is kept depends on nothing but the folder that it lies in, and one rename changes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from ..extraction import FACES_FILE, check_crop, read_record
from ..files import (
    flush_folder,
    read_json,
    reading,
    restore_folder,
    set_aside,
    sha256_of,
    write_json,
)

logger = logging.getLogger(__name__)

DROPPED = "dropped"  # the folder of what was dropped, inside the faces folder
JOURNAL_FILE = "journal.json"  # in there: what was dropped and kept, step by step, for undo

Step = dict[Literal["drop", "keep"], list[str]]  # one of the two, and the names that moved


class CropFolder:
    """A faces folder whose crops can be dropped and kept.

    What is kept is read from the disk each time, so another object for the same folder, or a later
    session, sees the same. The journal is written before crops are moved, and a move that was cut
    short is finished when the folder is opened again. If faces were extracted anew into the folder,
    an earlier `dropped` is renamed to `dropped-1` and so on.

    Args:
        folder: what `extract_clip` or `extract_faces` wrote.

    Attributes:
        names: of all crops, kept or dropped, in the order of the frames.
        record: what faces.json says.
        sha256: of that file.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder, or no faces.json in it.
        ValueError: if faces.json or the journal is damaged, no crop that it lists is there, or one
            is not the picture that was cut out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.away = folder, folder / DROPPED
        self.record = _checked_record(folder)
        self.sha256 = sha256_of(folder / FACES_FILE)
        entries = self.record["faces"]
        self._listed = sorted(entries, key=lambda name: (entries[name].get("frame", 0), name))
        self._set_aside_what_is_outdated()
        self._finish()
        there = {*self.kept, *self.dropped}
        self.names = tuple(name for name in self._listed if name in there)
        if not self.names:
            raise ValueError(
                f"expected crops that {folder / FACES_FILE} lists, got none; extract them again"
            )
        for name in self.names:
            check_crop(self.path(name), entries[name])

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the crops that `load_faces` gives, in the order of the frames."""
        return self._in(self.folder)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of those that were dropped."""
        return self._in(self.away)

    def path(self, name: str) -> Path:
        """Where a crop lies now."""
        away = self.away / name
        return away if away.is_file() else self.folder / name

    def undo(self) -> list[str]:
        """Take the last step back; as often as there are steps.

        Returns:
            The names of the crops that moved; none if there is nothing to undo.
        """
        steps = self._steps
        if not steps:
            return []
        self._write_journal(steps[:-1], moving=True)
        moved = self._move("keep", steps[-1].get("drop", []))
        moved += self._move("drop", steps[-1].get("keep", []))
        self._write_journal(steps[:-1], moving=False)
        return moved

    @property
    def _steps(self) -> list[Step]:
        """What was done so far, as far as it is of the crops that faces.json lists."""
        with reading(self.away / JOURNAL_FILE, "steps with names of crops", self._advice):
            known = set(self._listed)  # nothing else is moved, whatever a journal says
            return [
                {kind: [name for name in names if name in known] for kind, names in step.items()}
                for step in self._journal().get("steps", [])
            ]

    def _step(self, kind: Literal["drop", "keep"], names: Iterable[str]) -> list[str]:
        """Drop or keep crops, as one step; the names of those that moved.

        Raises:
            ValueError: if none would be left.
        """
        kept = self.kept
        places = set(kept if kind == "drop" else self.dropped)
        names = [name for name in names if name in places]
        if not names:
            return []
        if kind == "drop" and len(names) == len(kept):
            raise ValueError(
                f"expected some crops to stay, but this would drop all {len(kept)} of "
                f"{self.folder}; choose a milder limit"
            )
        steps: list[Step] = [*self._steps, {kind: names}]
        self._write_journal(steps, moving=True)
        self._move(kind, names)
        self._write_journal(steps, moving=False)
        return names

    def _in(self, place: Path) -> tuple[str, ...]:
        files = {path.name for path in place.iterdir()} if place.is_dir() else set()
        return tuple(name for name in self._listed if name in files)

    def _move(self, kind: Literal["drop", "keep"], names: Iterable[str]) -> list[str]:
        """Rename each file to its new place; those that are there, or gone, stay."""
        source, target = (self.folder, self.away) if kind == "drop" else (self.away, self.folder)
        target.mkdir(exist_ok=True)
        moved = []
        for name in names:
            if (source / name).is_file() and not (target / name).exists():
                (source / name).rename(target / name)
                moved.append(name)
        # In this order a power cut may leave a crop in both folders, but never in neither.
        flush_folder(target)
        flush_folder(source)
        return moved

    def _journal(self) -> dict[str, Any]:
        path = self.away / JOURNAL_FILE
        if not path.is_file():
            return {}
        return read_json(path, self._advice)

    @property
    def _advice(self) -> str:
        path = self.away / JOURNAL_FILE
        return f"move {path} away: every crop stays where it is, only `undo` has nothing to undo"

    def _write_journal(self, steps: list[Step], moving: bool) -> None:
        record = {"version": 1, "faces_sha256": self.sha256, "steps": steps, "moving": moving}
        write_json(self.away / JOURNAL_FILE, record, durable=True)

    def _finish(self) -> None:
        """Finish moves that were cut short: put every crop where the journal says."""
        if not self._journal().get("moving"):
            return
        away: set[str] = set()
        for step in self._steps:
            away = (away | set(step.get("drop", ()))) - set(step.get("keep", ()))
        moved = self._move("drop", [name for name in self.kept if name in away])
        moved += self._move("keep", [name for name in self.dropped if name not in away])
        logger.warning("%s: finished a move cut short, %d crops were left", self.folder, len(moved))
        self._write_journal(self._steps, moving=False)

    def _set_aside_what_is_outdated(self) -> None:
        """Rename a `dropped` that belongs to an earlier extraction."""
        if not self.away.is_dir():
            return
        earlier = self._journal().get("faces_sha256", self.sha256) != self.sha256
        if not earlier and not set(self.kept) & set(self.dropped):
            return
        aside = set_aside(self.away)
        logger.warning("%s: the faces are new; what was dropped is in %s", self.folder, aside)


def _checked_record(folder: Path) -> dict[str, Any]:
    """The faces.json of a folder, which must be there and list something."""
    restore_folder(folder)
    if not folder.exists():
        raise FileNotFoundError(f"no folder at {folder}; check the path (now in {Path.cwd()})")
    if not folder.is_dir():
        raise NotADirectoryError(f"expected a folder of faces, got the file {folder}")
    if not (folder / FACES_FILE).is_file():
        raise FileNotFoundError(
            f"expected {FACES_FILE} in {folder}, got none; extract the faces of a clip into it"
        )
    record = read_record(folder)
    if not record["faces"]:
        raise ValueError(f"expected crops in {folder / FACES_FILE}, got none; extract them again")
    return record

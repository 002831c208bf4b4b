"""Looking through a faces folder: what to keep for training, and what to leave out."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..files import whole_file
from ..images import check_one_of
from ..scoring.identity import IdentityModel, identity_available
from .folder import CropFolder, read_object
from .inspection import (
    NEAR,
    FaceFolder,
    FaceMeasures,
    Measure,
    Thumbs,
    measure_faces,
    near_duplicates,
    read_thumbs,
)

logger = logging.getLogger(__name__)

MEASURES_FILE = "measures.json"  # in the faces folder: measuring takes long enough to remember it

Which: TypeAlias = int | str | Iterable[int | str]  # numbers of rows of the table, or file names


class Curation:
    """The crops of a faces folder, those kept and those dropped.

    Nothing is deleted: dropped crops move to the folder `dropped` inside the faces folder, and
    `undo` brings them back, in a later session, too. `load_faces` gives what is kept.

    Args:
        folder: what `extract_clip` or `extract_faces` wrote.
        identity: whether likeness is measured by `IdentityModel` (80 ms a face, remembered);
            None does so if it is installed.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder, or no faces.json in it.
        ValueError: if faces.json or the journal is damaged, or no crop that it lists is there.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: bool | None = None) -> None:
        self.folder = Path(folder)
        self._crops = CropFolder(self.folder)
        self._names = tuple(self._crops.names)
        self._identity = identity_available() if identity is None else identity

    def __repr__(self) -> str:
        kept, dropped = len(self.kept), len(self.dropped)
        return f"Curation({str(self.folder)!r}): {kept} kept, {dropped} dropped"

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the crops that `load_faces` gives, in the order of the frames."""
        return tuple(self._crops.kept)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of those that were dropped."""
        return tuple(self._crops.dropped)

    @functools.cached_property
    def table(self) -> tuple[FaceMeasures, ...]:
        """What is known of each crop, kept or dropped: measured once, and remembered on disk."""
        found = self._remembered()
        if found is None:
            model = IdentityModel() if self._identity else None
            found = {row.name: row for row in measure_faces(self._faces, model)}
            self._remember(found)
        return tuple(found[name] for name in self._names)

    def number(self, name: str) -> int:
        """Which row of the table a crop has.

        Raises:
            KeyError: if there is no such crop.
        """
        if name not in self._numbers:
            raise KeyError(f"expected the name of a crop in {self.folder}, got {name!r}")
        return self._numbers[name]

    def path(self, name: str) -> Path:
        """Where a crop lies now."""
        return self._crops.path(name)

    def outside(
        self, measure: Measure, low: float | None = None, high: float | None = None
    ) -> list[str]:
        """Which of the kept crops have less than `low` or more than `high` of a measure.

        Raises:
            ValueError: if there is no such measure.
        """
        check_one_of(measure, Measure, "measure")
        bottom = -np.inf if low is None else low
        top = np.inf if high is None else high
        rows = [self.table[self.number(name)] for name in self.kept]
        return [row.name for row in rows if not bottom <= getattr(row, measure) <= top]

    def duplicates(self, threshold: float = NEAR) -> list[list[str]]:
        """Groups of kept crops that show almost the same, the sharpest of each first.

        Args:
            threshold: how far apart they may be, 0..1; see `inspection.near_duplicates`.

        Raises:
            ValueError: if `threshold` is not in 0..1.
        """
        kept = self.kept
        numbers = [self.number(name) for name in kept]
        sharp = [self.table[number].sharpness for number in numbers]
        groups = near_duplicates(self._thumbs[numbers], sharp, threshold)
        return [[kept[index] for index in group] for group in groups]

    def drop(self, which: Which) -> list[str]:
        """Leave crops out of training.

        Args:
            which: numbers of rows of the table, or file names.

        Returns:
            The names of those that were dropped, less what had been before.

        Raises:
            IndexError, KeyError: if there is no such crop.
            ValueError: if none would be left.
        """
        return self._crops.step("drop", self._chosen(which))

    def keep(self, which: Which) -> list[str]:
        """Take dropped crops back.

        Args:
            which: numbers of rows of the table, or file names.

        Returns:
            The names of those that were taken back.

        Raises:
            IndexError, KeyError: if there is no such crop.
        """
        return self._crops.step("keep", self._chosen(which))

    def drop_below(self, measure: Measure, threshold: float) -> list[str]:
        """Drop what has less than `threshold` of a measure, e.g. ("sharpness", 0.08).

        Raises:
            ValueError: if there is no such measure, or no crop would be left.
        """
        return self._crops.step("drop", self.outside(measure, low=threshold))

    def drop_above(self, measure: Measure, threshold: float) -> list[str]:
        """Drop what has more than `threshold` of a measure; as `drop_below`."""
        return self._crops.step("drop", self.outside(measure, high=threshold))

    def drop_duplicates(self, threshold: float = NEAR) -> list[str]:
        """Of each group of near-duplicates keep only the sharpest; see `duplicates`."""
        twins = [name for group in self.duplicates(threshold) for name in group[1:]]
        return self._crops.step("drop", twins)

    def undo(self) -> list[str]:
        """Take the last step back; as often as there are steps.

        Returns:
            The names of the crops that moved; none if there is nothing to undo.
        """
        return self._crops.undo()

    def reset(self) -> list[str]:
        """Take back all that was dropped, as one more step, which can be undone."""
        return self._crops.step("keep", self.dropped)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self._names)}

    @functools.cached_property
    def _thumbs(self) -> Thumbs:
        return read_thumbs(self._faces)

    @property
    def _faces(self) -> FaceFolder:
        paths = tuple(self._crops.path(name) for name in self._names)
        return FaceFolder(self._names, paths, self._crops.record)

    def _chosen(self, which: Which) -> list[str]:
        """The names meant, without repetition."""
        some = [which] if isinstance(which, int | str | np.integer) else list(which)
        chosen: dict[str, None] = {}
        for each in some:
            number = self.number(each) if isinstance(each, str) else each
            if not 0 <= number < len(self._names):
                raise IndexError(f"expected 0 to {len(self._names) - 1}, got crop number {each}")
            chosen[self._names[number]] = None
        return list(chosen)

    def _remembered(self) -> dict[str, FaceMeasures] | None:
        """The table as it was written, None if it is not there or not of these crops."""
        try:
            record = read_object(self.folder / MEASURES_FILE)
            if (record["faces_sha256"], record["identity"]) != (self._crops.sha256, self._identity):
                return None
            rows = {row["name"]: FaceMeasures(**row) for row in record["rows"]}
            same = all(record["bytes"][name] == size for name, size in self._bytes().items())
        except (KeyError, TypeError, ValueError):  # damaged, or of another version: measure again
            return None
        return rows if same and set(self._names) <= set(rows) else None

    def _bytes(self) -> dict[str, int]:
        """The size of each file: of a picture that was edited it is another."""
        return {name: self._crops.path(name).stat().st_size for name in self._names}

    def _remember(self, rows: dict[str, FaceMeasures]) -> None:
        record = {
            "faces_sha256": self._crops.sha256,
            "identity": self._identity,
            "bytes": self._bytes(),
            "rows": [dataclasses.asdict(row) for row in rows.values()],
        }
        try:
            with whole_file(self.folder / MEASURES_FILE) as part:
                part.write_text(json.dumps(record), encoding="utf-8")
        except OSError as error:  # a folder that cannot be written can be looked at all the same
            logger.warning("%s: could not remember the measures (%s)", self.folder, error)

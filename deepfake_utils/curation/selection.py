"""Looking through a faces folder: what to keep for training, and what to leave out."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..files import ODD, read_json, write_json
from ..images import check_one_of
from ..tracking.identity import IdentityModel, identity_available
from .covering import COVERED
from .folder import CropFolder
from .inspection import (
    BLURRED,
    NEAR,
    FaceMeasures,
    LabColour,
    Measure,
    Thumbs,
    measure_faces,
    near_duplicates,
    read_thumbs,
)

logger = logging.getLogger(__name__)

MEASURES_FILE = "measures.json"  # in the faces folder: measuring takes long enough to remember it
# Only one face in 200 is beyond on either side: a blink lasts a few frames, a wrong landmark one.
_PERCENT = (0.5, 50.0, 99.5)

Which: TypeAlias = int | str | Iterable[int | str]  # numbers of rows of the table, or file names


class Reach(NamedTuple):
    """How far a measure goes in a set."""

    low: float  # all but one face in 200 have more
    middle: float  # median
    high: float  # all but one face in 200 have less


NOWHERE = Reach(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class SetSummary:
    """What the kept faces of one person show."""

    faces: int
    dropped: int  # faces that were dropped before
    duplicates: int  # faces of which a sharper near-duplicate is there
    blurred: int
    sharpness: Reach
    size: Reach  # in the film, pixels
    yaw: Reach  # degrees, positive to the picture's right
    pitch: Reach  # degrees, positive looking down
    mouth: Reach  # `expression.mouth_opening`
    eyelids: Reach  # 0 as usual, 1 if only lid is seen: by `expression.visible_eyelid_closing`
    colour: LabColour  # mean L*, a*, b* of the inner faces
    contrast: LabColour  # mean over the faces of the standard deviation in each
    gaze: Reach = NOWHERE  # -1 to the picture's left, 1 to its right
    light: Reach = NOWHERE  # by how much L* the picture's right half is lighter than the left
    covered: int = 0  # faces before which something is


class Curation(CropFolder):
    """The crops of a faces folder, those kept and those dropped.

    Nothing is deleted: dropped crops move to the folder `dropped` inside the faces folder, and
    `undo` brings them back, in a later session, too. `load_faces` gives what is kept.

    `kept`, `dropped`, `path` and `undo` are those of `CropFolder`.

    Args:
        folder: what `extract_clip` or `extract_faces` wrote.
        identity: whether likeness is measured by `IdentityModel` (80 ms a face, once); None does
            so if it is installed.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder, or no faces.json in it.
        ValueError: if faces.json or the journal is damaged, or no crop that it lists is there.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: bool | None = None) -> None:
        super().__init__(Path(folder))
        self._identity = identity_available() if identity is None else identity

    def __repr__(self) -> str:
        kept, dropped = len(self.kept), len(self.dropped)
        return f"Curation({str(self.folder)!r}): {kept} kept, {dropped} dropped"

    @functools.cached_property
    def table(self) -> tuple[FaceMeasures, ...]:
        """What is known of each crop, kept or dropped: measured once, and remembered on disk."""
        found = self._remembered()
        if found is None:
            model = IdentityModel() if self._identity else None
            found = {row.name: row for row in measure_faces(self._paths(), self.record, model)}
            self._remember(found)
        return tuple(found[name] for name in self.names)

    @property
    def kept_table(self) -> tuple[FaceMeasures, ...]:
        """The rows of `table` that are of kept crops."""
        return tuple(self.table[self.number(name)] for name in self.kept)

    @property
    def kept_thumbs(self) -> Thumbs:
        """The inner faces of the kept crops in grey, (N, 64, 64)."""
        return self._thumbs[[self.number(name) for name in self.kept]]

    def number(self, name: str) -> int:
        """Which row of the table a crop has.

        Raises:
            KeyError: if there is no such crop.
        """
        if name not in self._numbers:
            raise KeyError(f"expected the name of a crop in {self.folder}, got {name!r}")
        return self._numbers[name]

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
        return [row.name for row in self.kept_table if not bottom <= getattr(row, measure) <= top]

    def duplicates(self, threshold: float = NEAR) -> list[list[str]]:
        """Groups of kept crops that show almost the same, the sharpest of each first.

        Args:
            threshold: how far apart they may be, 0..1; see `inspection.near_duplicates`.

        Raises:
            ValueError: if `threshold` is not in 0..1.
        """
        rows = self.kept_table
        groups = near_duplicates(self.kept_thumbs, [row.sharpness for row in rows], threshold)
        return [[rows[index].name for index in group] for group in groups]

    def groups(self) -> dict[tuple[int, int], list[str]]:
        """Names of all crops by (person, shot), as `extract_clip` numbered them; 0 is not known."""
        found: dict[tuple[int, int], list[str]] = {}
        for name in self.names:
            entry = self.record["faces"][name]
            group = int(entry.get("person", 0)), int(entry.get("shot", 0))
            found.setdefault(group, []).append(name)
        return dict(sorted(found.items()))

    def drop_group(self, person: int, shot: int | None = None) -> list[str]:
        """Drop the crops of one person, or of one person in one shot, by their numbers from 1.

        Raises:
            ValueError: if there is no such group, or no crop would be left.
        """
        groups = self.groups()
        meant = [key for key in groups if key[0] == person and shot in (None, key[1])]
        if not meant:
            raise ValueError(
                f"expected (person, shot) as one of {list(groups)}, got {person, shot}"
            )
        return self._step("drop", [name for key in meant for name in groups[key]])

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
        return self._step("drop", self._chosen(which))

    def keep(self, which: Which) -> list[str]:
        """Take dropped crops back.

        Args:
            which: numbers of rows of the table, or file names.

        Returns:
            The names of those that were taken back.

        Raises:
            IndexError, KeyError: if there is no such crop.
        """
        return self._step("keep", self._chosen(which))

    def drop_below(self, measure: Measure, threshold: float) -> list[str]:
        """Drop what has less than `threshold` of a measure, e.g. ("sharpness", 0.08).

        Raises:
            ValueError: if there is no such measure, or no crop would be left.
        """
        return self._step("drop", self.outside(measure, low=threshold))

    def drop_above(self, measure: Measure, threshold: float) -> list[str]:
        """Drop what has more than `threshold` of a measure; as `drop_below`."""
        return self._step("drop", self.outside(measure, high=threshold))

    def drop_duplicates(self, threshold: float = NEAR) -> list[str]:
        """Of each group of near-duplicates keep only the sharpest; see `duplicates`."""
        twins = [name for group in self.duplicates(threshold) for name in group[1:]]
        return self._step("drop", twins)

    def reset(self) -> list[str]:
        """Take back all that was dropped, as one more step, which can be undone."""
        return self._step("keep", self.dropped)

    def summary(self) -> SetSummary:
        """What the kept crops show.

        Raises:
            ValueError: if none is kept.
        """
        rows = self.kept_table
        if not rows:
            raise ValueError(f"expected kept faces in {self.folder}, got none; keep some, or undo")
        lids = np.array([row.eyelids for row in rows])
        usual = float(np.median(lids))  # differs with the colours of eyes and skin; 1 is all skin
        return SetSummary(
            faces=len(rows),
            dropped=len(self.dropped),
            duplicates=sum(len(group) - 1 for group in self.duplicates()),
            blurred=sum(row.sharpness < BLURRED for row in rows),
            sharpness=_reach([row.sharpness for row in rows]),
            size=_reach([row.size for row in rows]),
            yaw=_reach([row.yaw for row in rows]),
            pitch=_reach([row.pitch for row in rows]),
            mouth=_reach([row.mouth for row in rows]),
            eyelids=_reach((lids - usual) / max(1.0 - usual, 1e-6)),
            colour=tuple(np.mean([row.colour for row in rows], axis=0).tolist()),
            contrast=tuple(np.mean([row.contrast for row in rows], axis=0).tolist()),
            gaze=_reach([row.gaze for row in rows]),
            light=_reach([row.light for row in rows]),
            covered=sum(row.covered > COVERED for row in rows),
        )

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    @functools.cached_property
    def _thumbs(self) -> Thumbs:
        return read_thumbs(self._paths(), self.record)

    def _paths(self) -> list[Path]:
        return [self.path(name) for name in self.names]

    def _chosen(self, which: Which) -> list[str]:
        """The names meant, without repetition."""
        some = [which] if isinstance(which, int | str | np.integer) else list(which)
        chosen: dict[str, None] = {}
        for each in some:
            number = self.number(each) if isinstance(each, str) else each
            if not 0 <= number < len(self.names):
                raise IndexError(f"expected 0 to {len(self.names) - 1}, got crop number {each}")
            chosen[self.names[number]] = None
        return list(chosen)

    def _remembered(self) -> dict[str, FaceMeasures] | None:
        """The table from the disk, None if there is none or it is of other crops."""
        try:
            record = read_json(self.folder / MEASURES_FILE, "delete it")
            if (record["faces_sha256"], record["identity"]) != (self.sha256, self._identity):
                return None
            rows = {row["name"]: FaceMeasures(**row) for row in record["rows"]}
            same = all(record["bytes"][name] == size for name, size in self._bytes().items())
        except (OSError, *ODD):
            return None  # there is none, or it is damaged or of another version: measure again
        return rows if same and set(self.names) <= set(rows) else None

    def _bytes(self) -> dict[str, int]:
        """The size of each file, which changes if a picture is edited."""
        return {name: self.path(name).stat().st_size for name in self.names}

    def _remember(self, rows: dict[str, FaceMeasures]) -> None:
        record = {
            "faces_sha256": self.sha256,
            "identity": self._identity,
            "bytes": self._bytes(),
            "rows": [dataclasses.asdict(row) for row in rows.values()],
        }
        # A folder that cannot be written can be looked at all the same.
        try:
            write_json(self.folder / MEASURES_FILE, record)
        except (OSError, ValueError) as error:
            logger.warning("%s: could not remember the measures (%s)", self.folder, error)


def _reach(values: Sequence[float] | NDArray[np.float64]) -> Reach:
    return Reach(*np.percentile(np.asarray(values, np.float64), _PERCENT).tolist())

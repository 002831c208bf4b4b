"""A faces folder page by page: which crops are looked at, and what is written under each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ..curation.inspection import NEAR, Measure
from ..curation.selection import Curation, Which
from ..images import Image, check_one_of, read_image
from ..plotting import show_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shown = Literal["all", "kept", "dropped"]

THUMB = 104  # pixels; eight fit into 1000 with what is between them
COLUMNS = 8
_VISIBLE = 0.8  # of a crop's side: the middle, where the face is


class FacePages:
    """The crops of a faces folder in pages, and what can be done with them, without any widget.

    Numbers of crops are those under the pictures, which are the rows of `curation.table`.

    Args:
        folder: what `extract_clip` or `extract_faces` wrote.
        identity: as `Curation`.
        page_size: pictures on a page.

    Attributes:
        curation: what does the work.
        page: which page is shown, from 0.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: as `Curation`, or if `page_size` is
            below 1.
    """

    def __init__(
        self, folder: str | os.PathLike[str], identity: bool | None = None, page_size: int = 24
    ) -> None:
        if page_size < 1:
            raise ValueError(f"page_size: expected at least 1, got {page_size}")
        self.curation = Curation(folder, identity)
        self.page_size, self.page = page_size, 0
        self.order: Measure = "frame"
        self.highest_first = False
        self.shown: Shown = "all"

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.curation!r}"

    def __str__(self) -> str:
        kept, dropped = len(self.curation.kept), len(self.curation.dropped)
        return f"{self.curation.folder}: {kept} faces kept, {dropped} dropped"

    # What is looked at ------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Names of the crops that are looked at, in their order, on all pages."""
        dropped = set(self.curation.dropped)
        rows = [
            row
            for row in self.curation.table
            if self.shown == "all" or (self.shown == "dropped") == (row.name in dropped)
        ]
        rows.sort(key=lambda row: getattr(row, self.order), reverse=self.highest_first)
        return [row.name for row in rows]

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-len(self.names) // self.page_size))

    @property
    def on_page(self) -> list[str]:
        """Names of the crops on this page."""
        return self.names[self.page * self.page_size :][: self.page_size]

    def label(self, name: str) -> tuple[str, str, str, str]:
        """Four short lines of what is known of a crop: number, size and blur, likeness, pose."""
        number = self.curation.number(name)
        row = self.curation.table[number]
        return (
            f"#{number}",
            f"{row.size:.0f} px, sharp {row.sharpness:.2f}",
            f"like {row.likeness:.2f}",
            f"yaw {row.yaw:+.0f}°, pitch {row.pitch:+.0f}°",
        )

    def thumbnail(self, name: str) -> Image:
        """The middle of a crop, (104, 104, 3) RGB uint8; pale and grey if it was dropped."""
        path = self.curation.path(name)
        crop = read_image(path)
        edge = round(len(crop) * (1.0 - _VISIBLE) / 2.0)
        inner = crop[edge : len(crop) - edge, edge : len(crop) - edge]
        small = cv2.resize(inner, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
        if name in self.curation.dropped:
            grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[..., None]
            small = np.repeat(160 + grey // 3, 3, axis=2).astype(np.uint8)
        return np.asarray(small, np.uint8)

    def plot(self) -> Figure:
        """This page as a figure, which needs no widgets.

        Raises:
            ValueError: if there is nothing to show.
        """
        names, dropped = self.on_page, set(self.curation.dropped)
        if not names:
            raise ValueError(f"expected crops to show, got none that are {self.shown}")
        titles = ["\n".join([*self.label(n), *["dropped"] * (n in dropped)]) for n in names]
        return show_images([self.thumbnail(n) for n in names], COLUMNS, titles)

    def sort(self, measure: Measure, highest_first: bool = False) -> None:
        """Order the crops by a measure, e.g. "sharpness", and go to the first page.

        Raises:
            ValueError: if there is no such measure.
        """
        check_one_of(measure, Measure, "measure")
        self.order, self.highest_first, self.page = measure, highest_first, 0
        self._refresh()

    def show(self, which: Shown) -> None:
        """Look at "all" crops, or only at those "kept" or "dropped", from the first page on.

        Raises:
            ValueError: if it is none of the three.
        """
        check_one_of(which, Shown, "which")
        self.shown, self.page = which, 0
        self._refresh()

    def go(self, page: int) -> None:
        """Turn to a page, counted from 0; beyond the last, to that."""
        self.page = min(max(0, page), self.pages - 1)
        self._refresh()

    # What is done -----------------------------------------------------------------------------

    def drop(self, which: Which) -> list[str]:
        """As `Curation.drop`."""
        return self._done(self.curation.drop(which))

    def keep(self, which: Which) -> list[str]:
        """As `Curation.keep`."""
        return self._done(self.curation.keep(which))

    def drop_below(self, measure: Measure, threshold: float) -> list[str]:
        """As `Curation.drop_below`."""
        return self._done(self.curation.drop_below(measure, threshold))

    def drop_above(self, measure: Measure, threshold: float) -> list[str]:
        """As `Curation.drop_above`."""
        return self._done(self.curation.drop_above(measure, threshold))

    def drop_duplicates(self, threshold: float = NEAR) -> list[str]:
        """As `Curation.drop_duplicates`."""
        return self._done(self.curation.drop_duplicates(threshold))

    def undo(self) -> list[str]:
        """As `Curation.undo`."""
        return self._done(self.curation.undo())

    def reset(self) -> list[str]:
        """As `Curation.reset`."""
        return self._done(self.curation.reset())

    def _done(self, names: list[str]) -> list[str]:
        self.page = min(self.page, self.pages - 1)
        self._refresh()
        return names

    def _refresh(self) -> None:
        """Show what has changed; a panel does so."""

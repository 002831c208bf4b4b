"""A panel to look through a faces folder: page by page, dropping and keeping crops."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np

from ..curation.covering import COVERED
from ..curation.inspection import BLURRED, NEAR, Measure
from ..curation.selection import Curation, Which
from ..images import Image, check_one_of, read_image
from ..plotting import show_images
from .base import Panel, View, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shown = Literal["all", "kept", "dropped"]

THUMB = 104  # pixels; eight fit into 1000 with what is between them
COLUMNS = 8
MOST_CARDS = 40  # of people in shots; by calls there are all
_VISIBLE = 0.8  # of a crop's side: the middle, where the face is


class FacesPanel(Panel):
    """Look through the crops of a faces folder page by page, and drop or keep them.

    Everything can be done by calls as well as by the widgets. Nothing is deleted; see `Curation`.
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

    methods = (
        "Without ipywidgets, look with panel.plot(), panel.go(1) and panel.sort('sharpness'), and "
        "call panel.drop([3, 5]), panel.drop_below('sharpness', 0.08), panel.drop_duplicates(), "
        "panel.drop_covered(), panel.drop_group(2) (person 2) or "
        "panel.undo()."
    )

    def __init__(
        self, folder: str | os.PathLike[str], identity: bool | None = None, page_size: int = 24
    ) -> None:
        if page_size < 1:
            raise ValueError(f"page_size: expected at least 1, got {page_size}")
        self.curation = Curation(folder, identity)
        self.page_size, self.page = page_size, 0
        people = {person for person, _ in self.curation.groups()}
        self.order: Measure = "person" if len(people) > 1 else "frame"
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

    def label(self, name: str) -> tuple[str, ...]:
        """Short lines of what is known of a crop: number, size and blur, likeness, pose.

        One more says whose it is, where there are several groups, and that it is covered.
        """
        number = self.curation.number(name)
        row = self.curation.table[number]
        more = [_group_name(row.person, row.shot)] * (len(self.curation.groups()) > 1)
        more += [f"covered {row.covered:.2f}"] * (row.covered > COVERED)
        return (
            f"#{number}",
            f"{row.size:.0f} px, sharp {row.sharpness:.2f}",
            f"like {row.likeness:.2f}",
            f"yaw {row.yaw:+.0f}°, pitch {row.pitch:+.0f}°",
            *([", ".join(more)] if more else []),
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
        self.refresh()

    def show(self, which: Shown) -> None:
        """Look at "all" crops, or only at those "kept" or "dropped", from the first page on.

        Raises:
            ValueError: if it is none of the three.
        """
        check_one_of(which, Shown, "which")
        self.shown, self.page = which, 0
        self.refresh()

    def go(self, page: int) -> None:
        """Turn to a page, counted from 0; beyond the last, to that."""
        self.page = min(max(0, page), self.pages - 1)
        self.refresh()

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

    def drop_covered(self) -> list[str]:
        """Drop the faces before which something is: a hand, hair, a cup."""
        return self.drop_above("covered", COVERED)

    def drop_group(self, person: int, shot: int | None = None) -> list[str]:
        """As `Curation.drop_group`."""
        return self._done(self.curation.drop_group(person, shot))

    def undo(self) -> list[str]:
        """As `Curation.undo`."""
        return self._done(self.curation.undo())

    def reset(self) -> list[str]:
        """As `Curation.reset`."""
        return self._done(self.curation.reset())

    def _done(self, names: list[str]) -> list[str]:
        self.page = min(self.page, self.pages - 1)
        self.refresh()
        return names

    # The panel --------------------------------------------------------------------------------

    def make_view(self) -> FacesView:
        """Thumbnails, sliders and buttons."""
        return FacesView(self)

    @property
    def widgets(self) -> dict[str, Any]:
        """The widgets one acts with, by name: what the labels say."""
        return dict(self.view.fields)


def _belongs(group: tuple[int, int], person: int, shot: int | None) -> bool:
    return group[0] == person and shot in (None, group[1])


def _group_name(person: int, shot: int | None) -> str:
    who = f"person {person}" if person else "somebody"
    return who if not shot else f"{who}, shot {shot}"


class FacesView(View):
    """The widgets of a `FacesPanel`.

    Attributes:
        fields: those one acts with, by their labels.
    """

    def __init__(self, panel: FacesPanel) -> None:
        super().__init__(panel)
        w = self._w
        self._pictures: dict[tuple[str, bool], bytes] = {}
        self.fields: dict[str, Any] = {}
        self._group_texts: dict[tuple[int, int | None], tuple[Any, list[str]]] = {}
        self._count, self._page = w.HTML(), w.HTML()
        self._beyond = w.HTML()
        self._cells = [self._cell() for _ in range(panel.page_size)]
        grid = w.Box([cell[0] for cell in self._cells])
        grid.add_class("du-thumbs")
        rows = [self._looking(), self._limits(), self._steps()]
        self.box = self.page(self._count, *rows, self._group_cards(), self.said, grid)
        self._new_limits()
        self.refresh()

    # The rows ---------------------------------------------------------------------------------

    def _looking(self) -> Any:
        """Which crops, in which order, and turning the page."""
        panel = self._panel
        measure = self._choice("sort by", get_args(Measure), panel.order)
        highest = self._choice("from", ["lowest", "highest"], "lowest", 130)
        shown = self._choice("show", get_args(Shown), panel.shown, 140)
        for field in (measure, highest):
            self._do_on(field, lambda: panel.sort(measure.value, highest.value == "highest"))
        self._do_on(shown, lambda: panel.show(shown.value))
        back = self._act("previous page", lambda: panel.go(panel.page - 1))
        on = self._act("next page", lambda: panel.go(panel.page + 1))
        return self.row(measure, highest, shown, back, self._page, on)

    def _limits(self) -> Any:
        """Dropping by a threshold, and how many that would be."""
        self._measure = self._choice("limit of", get_args(Measure), "sharpness")
        self._side = self._choice("drop", ["below", "above"], "below", 130)
        self._limit = self.field("FloatSlider", "limit", 330, {"continuous_update": False})
        self.fields["limit"] = self._limit
        self._do_on(self._measure, self._new_limits)
        self._do_on(self._side, self._count_beyond)
        self._do_on(self._limit, self._count_beyond)
        drop = self._act("drop these", self._drop_beyond, main=True)
        return self.row(self._measure, self._side, self._limit, self._beyond, drop)

    def _steps(self) -> Any:
        """Near-duplicates, undo, and all back."""
        span = {"value": NEAR, "max": 0.3, "step": 0.01, "continuous_update": False}
        near = self.field("FloatSlider", "alike within", 330, span)
        self.fields["alike within"], panel = near, self._panel
        acts: dict[str, Callable[[], object]] = {
            "drop near-duplicates": lambda: self._tell(
                "dropped", panel.drop_duplicates(near.value)
            ),
            "drop covered": lambda: self._tell("dropped", panel.drop_covered()),
            "undo": lambda: self._tell("undone:", panel.undo()),
            "take all back": lambda: self._tell("taken back", panel.reset()),
        }
        buttons = [self._act(name, act) for name, act in acts.items()]
        return self.row(near, *buttons)

    def _group_cards(self) -> Any:
        """A picture of each person in each shot, with a button that drops them; none if alone."""
        groups = self._panel.curation.groups()
        people = {person for person, _ in groups}
        meant: list[tuple[int, int | None]] = []
        for person in sorted(people):
            shots = [shot for one, shot in groups if one == person]
            if len(shots) > 1 and len(people) > 1:  # else it is all, or the same as the shot
                meant.append((person, None))
            meant += [(person, shot) for shot in shots]
        cards = [self._card(*group) for group in meant[:MOST_CARDS]] if len(groups) > 1 else []
        return self.row(*cards)

    def _card(self, person: int, shot: int | None) -> Any:
        groups = self._panel.curation.groups()
        names = [n for key, own in groups.items() for n in own if _belongs(key, person, shot)]
        image = self._panel.thumbnail(names[len(names) // 2])
        picture = self._w.Image(format="png", value=png_bytes(image), layout={"width": "56px"})
        name = _group_name(person, shot)
        act = self._act(f"drop {name}", lambda: self._tell("dropped", self._drop(person, shot)))
        text = self._w.HTML(f"<small>{name}: {len(names)} faces</small>")
        self._group_texts[person, shot] = (text, names)
        side = self._w.VBox([text, act])
        card = self._w.HBox([picture, side])
        card.add_class("du-card")
        return card

    def _drop(self, person: int, shot: int | None) -> list[str]:
        return self._panel.drop_group(person, shot)

    def _cell(self) -> tuple[Any, Any, Any, Any]:
        """A thumbnail, a box to tick, and what is known; filled by `refresh`."""
        picture = self._w.Image(format="png", layout={"width": f"{THUMB}px"})
        tick = self._w.Checkbox(indent=False, layout={"width": "auto"})
        text = self._w.HTML()
        cell = self._w.VBox([picture, tick, text])
        number = len(self.fields)
        self.fields[f"tick {number}"] = tick
        self._do_on(tick, lambda: self._ticked(number, bool(tick.value)))
        return cell, picture, tick, text

    # What the user does -----------------------------------------------------------------------

    def _ticked(self, number: int, keep: bool) -> None:
        which: Which = self._panel.on_page[number]
        try:
            names = self._panel.keep(which) if keep else self._panel.drop(which)
        except ValueError:
            self.refresh()  # the tick goes back to what is so
            raise
        self._tell("kept" if keep else "dropped", names)

    def _drop_beyond(self) -> None:
        act = self._panel.drop_below if self._side.value == "below" else self._panel.drop_above
        self._tell("dropped", act(self._measure.value, self._limit.value))

    def _new_limits(self) -> None:
        """Let the slider span what there is of the chosen measure."""
        measure = self._measure.value
        values = [float(getattr(row, measure)) for row in self._panel.curation.table]
        low, high = min(values), max(values)
        span = max(high - low, 1e-6)
        with self.quietly():  # each change has to leave lowest below highest
            self._limit.min = min(self._limit.min, low)
            self._limit.max = high + 0.01 * span
            self._limit.min = low
            self._limit.step = span / 100.0
            self._limit.readout_format = ".0f" if span > 20.0 else ".2f"
            usual = {"sharpness": BLURRED, "covered": COVERED}.get(measure, low)
            self._limit.value = usual if low < usual < high else low
            self._side.value = "above" if measure == "covered" else "below"
        self._count_beyond()

    def _count_beyond(self) -> None:
        low, high = self._limit.value, None
        if self._side.value == "above":
            low, high = high, low
        count = len(self._panel.curation.outside(self._measure.value, low, high))
        self._beyond.value = f"would drop <b>{count}</b>&nbsp;"

    # What it shows ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the page as it is now."""
        panel, curation = self._panel, self._panel.curation
        kept, dropped = len(curation.kept), set(curation.dropped)
        folder = html.escape(str(curation.folder))
        self._count.value = (
            f"<b>{folder}</b>: {kept} faces kept, {len(dropped)} dropped. Dropped faces move to "
            "the folder <i>dropped</i>; nothing is deleted."
        )
        for (person, shot), (line, members) in self._group_texts.items():
            here = len(members) - len(dropped.intersection(members))
            what = f"{_group_name(person, shot)}: {here} of {len(members)} kept"
            line.value = f"<small>{what}</small>"
        covered = len(curation.outside("covered", high=COVERED))
        if covered:
            self._count.value += f" <b>{covered}</b> seem covered by something."
        self._page.value = f"&nbsp;page {panel.page + 1} of {panel.pages}&nbsp;"
        names = panel.on_page
        with self.quietly():
            self.fields["sort by"].value, self.fields["show"].value = panel.order, panel.shown
            self.fields["from"].value = "highest" if panel.highest_first else "lowest"
            for number, (cell, picture, tick, text) in enumerate(self._cells):
                cell.layout.display = "flex" if number < len(names) else "none"
                if number < len(names):
                    name = names[number]
                    picture.value = self._png(name, name in dropped)
                    first, *rest = panel.label(name)
                    tick.description, tick.value = f"keep {first}", name not in dropped
                    lines = "<br>".join(html.escape(line) for line in rest)
                    text.value = f"<small>{lines}</small>"
        self._count_beyond()

    def _png(self, name: str, dropped: bool) -> bytes:
        """The thumbnail, which is made again only if the crop was dropped or taken back."""
        if (name, dropped) not in self._pictures:
            self._pictures[name, dropped] = png_bytes(self._panel.thumbnail(name))
        return self._pictures[name, dropped]

    def _tell(self, what: str, names: list[str]) -> None:
        faces = "1 face" if len(names) == 1 else f"{len(names)} faces"
        self.say(f"{what} {faces}")

    # Making widgets ---------------------------------------------------------------------------

    def _choice(self, name: str, options: Sequence[str], value: str, width: int = 190) -> Any:
        field = self.field("Dropdown", name, width, {"options": list(options), "value": value})
        self.fields[name] = field
        return field

    def _act(self, name: str, act: Callable[[], object], main: bool = False) -> Any:
        self.fields[name] = self.button(name, act, main)
        return self.fields[name]

    def _do_on(self, field: Any, act: Callable[[], object]) -> None:
        self.on_change(field, lambda _: act())

    def attempt(self, act: Callable[[], object]) -> None:
        """As `View.attempt`; what was said before is taken away."""
        self.say("")
        super().attempt(act)

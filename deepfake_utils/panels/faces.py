"""A panel to look through a faces folder: thumbnails, sliders and buttons."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from typing import Any, get_args

from ..curation.inspection import BLURRED, NEAR, Measure
from ..curation.selection import Which
from .base import has_widgets, png_bytes
from .faces_pages import COLUMNS, THUMB, FacePages, Shown

WITHOUT_WIDGETS = (
    "Without ipywidgets, look with panel.plot(), panel.go(1) and panel.sort('sharpness'), and call "
    "panel.drop([3, 5]), panel.drop_below('sharpness', 0.08), panel.drop_duplicates() or "
    "panel.undo()."
)


class FacesPanel(FacePages):
    """Look through the crops of a faces folder, and drop or keep them.

    Shows itself as widgets where ipywidgets is installed; everything can be done by calling, too:
    `drop`, `keep`, `drop_below`, `drop_above`, `drop_duplicates`, `undo`, `reset`, and `sort`,
    `show`, `go` and `plot` for looking. Nothing is deleted; see `Curation`.

    Args:
        folder: what `extract_clip` or `extract_faces` wrote.
        identity: as `Curation`.
        page_size: pictures on a page.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: as `FacePages`.
    """

    def __init__(
        self, folder: str | os.PathLike[str], identity: bool | None = None, page_size: int = 24
    ) -> None:
        super().__init__(folder, identity, page_size)
        self._view: _View | None = None

    @property
    def box(self) -> Any:
        """The widgets, made when first asked for.

        Raises:
            ImportError: if ipywidgets is not installed.
        """
        if self._view is None:
            self._view = _View(self)
        return self._view.box

    @property
    def widgets(self) -> dict[str, Any]:
        """The widgets one acts with, by name: what the labels say."""
        _ = self.box
        return {} if self._view is None else self._view.fields

    def _refresh(self) -> None:
        if self._view is not None:
            self._view.refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_widgets():
            display(self.box)
        else:
            display({"text/plain": f"{self!r}. {WITHOUT_WIDGETS}"}, raw=True)


class _View:
    """The widgets of a panel, which call its methods and show what they changed."""

    def __init__(self, panel: FacesPanel) -> None:
        import ipywidgets

        self._make, self._panel = ipywidgets, panel
        self._quiet = False  # while widgets are set by us rather than by the user
        self._pictures: dict[tuple[str, bool], bytes] = {}
        self.fields: dict[str, Any] = {}
        self._said = ipywidgets.HTML()
        self._count, self._page = ipywidgets.HTML(), ipywidgets.HTML()
        self._beyond = ipywidgets.HTML()
        self._cells = [self._cell() for _ in range(panel.page_size)]
        columns = f"repeat({COLUMNS}, {THUMB + 16}px)"
        self.box = ipywidgets.VBox(
            [
                self._count,
                self._looking(),
                self._limits(),
                self._steps(),
                self._said,
                ipywidgets.GridBox(
                    [cell[0] for cell in self._cells],
                    layout=ipywidgets.Layout(grid_template_columns=columns, grid_gap="4px 2px"),
                ),
            ],
            layout=ipywidgets.Layout(width="100%", max_width="1000px"),
        )
        self._new_limits()
        self.refresh()

    # The rows ---------------------------------------------------------------------------------

    def _looking(self) -> Any:
        """Which crops, in which order, and turning the page."""
        panel = self._panel
        measure = self._choice("sort by", get_args(Measure), panel.order)
        highest = self._choice("from", ["lowest", "highest"], "lowest", "130px")
        shown = self._choice("show", get_args(Shown), panel.shown, "140px")
        for field in (measure, highest):
            self._on_change(field, lambda: panel.sort(measure.value, highest.value == "highest"))
        self._on_change(shown, lambda: panel.show(shown.value))
        back = self._button("previous page", lambda: panel.go(panel.page - 1))
        on = self._button("next page", lambda: panel.go(panel.page + 1))
        return self._make.HBox([measure, highest, shown, back, self._page, on])

    def _limits(self) -> Any:
        """Dropping by a threshold, and how many that would be."""
        self._measure = self._choice("limit of", get_args(Measure), "sharpness")
        self._side = self._choice("drop", ["below", "above"], "below", "130px")
        self._limit = self._make.FloatSlider(
            description="limit", layout=self._make.Layout(width="330px"), continuous_update=False
        )
        self.fields["limit"] = self._limit
        self._on_change(self._measure, self._new_limits)
        self._on_change(self._side, self._count_beyond)
        self._on_change(self._limit, self._count_beyond)
        return self._make.HBox(
            [
                self._measure,
                self._side,
                self._limit,
                self._beyond,
                self._button("drop these", self._drop_beyond),
            ]
        )

    def _steps(self) -> Any:
        """Near-duplicates, undo, and all back."""
        near = self._make.FloatSlider(
            value=NEAR, min=0.0, max=0.3, step=0.01, description="alike within",
            style={"description_width": "initial"}, layout=self._make.Layout(width="330px"),
            continuous_update=False,
        )  # fmt: skip
        self.fields["alike within"] = near
        panel = self._panel
        return self._make.HBox(
            [
                near,
                self._button(
                    "drop near-duplicates",
                    lambda: self._tell("dropped", panel.drop_duplicates(near.value)),
                ),
                self._button("undo", lambda: self._tell("undone:", panel.undo())),
                self._button("take all back", lambda: self._tell("taken back", panel.reset())),
            ]
        )

    def _cell(self) -> tuple[Any, Any, Any, Any]:
        """A thumbnail, a box to tick, and what is known; filled by `refresh`."""
        layout = self._make.Layout
        picture = self._make.Image(format="png", layout=layout(width=f"{THUMB}px"))
        tick = self._make.Checkbox(indent=False, layout=layout(width=f"{THUMB}px", height="24px"))
        text = self._make.HTML()
        cell = self._make.VBox([picture, tick, text], layout=layout(overflow="hidden"))
        number = len(self.fields)
        self.fields[f"tick {number}"] = tick
        self._on_change(tick, lambda: self._ticked(number, bool(tick.value)))
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
        self._quiet = True
        # Each change has to leave lowest below highest.
        self._limit.min = min(self._limit.min, low)
        self._limit.max = high + 0.01 * span
        self._limit.min = low
        self._limit.step = span / 100.0
        self._limit.readout_format = ".0f" if span > 20.0 else ".2f"
        self._limit.value = BLURRED if measure == "sharpness" and low < BLURRED < high else low
        self._quiet = False
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
        self._page.value = f"&nbsp;page {panel.page + 1} of {panel.pages}&nbsp;"
        names = panel.on_page
        self._quiet = True
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
                text.value = f'<div style="font-size:11px;line-height:1.3">{lines}</div>'
        self._quiet = False
        self._count_beyond()

    def _png(self, name: str, dropped: bool) -> bytes:
        """The thumbnail, which is made again only if the crop was dropped or taken back."""
        if (name, dropped) not in self._pictures:
            self._pictures[name, dropped] = png_bytes(self._panel.thumbnail(name))
        return self._pictures[name, dropped]

    def _tell(self, what: str, names: list[str]) -> None:
        faces = "1 face" if len(names) == 1 else f"{len(names)} faces"
        self._said.value = f"{what} {faces}"

    # Making widgets ---------------------------------------------------------------------------

    def _choice(self, name: str, options: Any, value: str, width: str = "190px") -> Any:
        field = self._make.Dropdown(
            options=list(options), value=value, description=name,
            style={"description_width": "initial"}, layout=self._make.Layout(width=width),
        )  # fmt: skip
        self.fields[name] = field
        return field

    def _button(self, name: str, act: Callable[[], object]) -> Any:
        width = f"{max(90, 9 * len(name) + 20)}px"
        button = self._make.Button(description=name, layout=self._make.Layout(width=width))
        button.on_click(lambda _: self._guard(act))
        self.fields[name] = button
        return button

    def _on_change(self, field: Any, act: Callable[[], object]) -> None:
        field.observe(lambda _: None if self._quiet else self._guard(act), names="value")

    def _guard(self, act: Callable[[], object]) -> None:
        """Do it, and say in the panel what went wrong."""
        self._said.value = ""
        try:
            act()
        except (ValueError, OSError, KeyError, IndexError) as error:
            self._said.value = f'<b style="color:#b00020">{html.escape(str(error))}</b>'

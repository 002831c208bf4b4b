"""The widgets of a training panel: buttons, how good it is, what is drawn now, and the losses."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .base import View

if TYPE_CHECKING:
    from .training_loop import Quality, TrainingStatus

# What is said of each quality; the quality bar names them in this order.
SAID: dict[Quality, str] = {
    "not yet": "the faces it draws are a smear, or not yet those of these two people",
    "usable": "it draws faces; how much better they will get is not known yet",
    "still improving": "every minute makes the faces better",
    "done": "more minutes would change little",
}
# What the style sheet shows when nothing has come from the kernel for a while.
LOST = (
    "This panel hears nothing from the kernel. If the kernel was stopped or restarted, run the "
    "notebook's cells again down to this one and press Start: training goes on from its last save."
)


class TrainingView(View):
    """What a `training.TrainingPanel` looks like; everything is changed in its place.

    Args:
        actions: what each button does, by what is written on it; the first is the main one.
        columns: titles above the columns of the grid.

    Raises:
        ImportError: if ipywidgets is missing.
    """

    def __init__(
        self, actions: Mapping[str, Callable[[], object]], columns: tuple[str, ...]
    ) -> None:
        super().__init__(None)
        w, first = self._w, next(iter(actions))
        self.buttons = {name: self.button(name, do, name == first) for name, do in actions.items()}
        self.quality, self.status = w.HTML(), w.HTML()
        self.bar = w.FloatProgress(max=1.0, layout={"width": "100%"})
        self.grid, self.curve = (w.Image(format="png", layout={"width": "100%"}) for _ in range(2))
        titles = "".join(f"<span>{html.escape(name)}</span>" for name in columns)
        head = w.HTML(f'<div class="du-titles">{titles}</div>')
        mark = w.HTML("<small>AI modified</small>")
        pictures = [w.VBox([head, self.grid, mark]), w.VBox([self.curve])]
        for picture in pictures:
            picture.add_class("du-picture")
        rows = [self.row(*self.buttons.values()), self.quality, self.bar, self.status, self.said]
        self.box = self.page(*rows, *pictures)
        self._show()

    def tell(self, status: TrainingStatus) -> None:
        """Show how far it is, and how good."""
        self.bar.value = status.share
        words = html.escape(str(status), quote=False)
        lost = f'<div class="du-lost">{LOST}</div>' if status.state == "running" else ""
        # No role: a screen reader need not read it out each second.
        self.status.value = f"<small>{words}</small>{lost}"
        self.quality.value = quality_bar(status) if status.quality else ""
        self._show()

    def allow(self, names: set[str]) -> None:
        """Only these buttons can be pressed."""
        for name, button in self.buttons.items():
            button.disabled = name not in names

    def draw(self, grid: bytes | None, curve: bytes | None) -> None:
        """Show pictures, PNG files in memory; None leaves what is shown."""
        if grid is not None:
            self.grid.value = grid
        if curve is not None:
            self.curve.value = curve
        self._show()

    def _show(self) -> None:
        """Leave out what there is nothing to show of yet."""
        known = {self.bar: self.bar.value, self.quality: self.quality.value}
        for widget, value in {**known, self.curve: self.curve.value}.items():
            widget.layout.display = None if value else "none"


def quality_bar(status: TrainingStatus) -> str:
    """The four qualities in a row, those that were reached in colour, and a sentence, as HTML."""
    names = list(SAID)
    reached = names.index(status.quality) if status.quality else -1
    steps = ""
    for place, name in enumerate(names):
        marks = " du-reached" * (place <= reached) + " du-now" * (place == reached)
        steps += f'<span class="du-step{marks}">{name}</span>'
    score = f"{status.score:.1f} dB on faces it was not trained on"
    left = f", {status.left} left" if status.state == "running" and status.left else ""
    said = f"<b>{names[reached].capitalize()}</b>: {SAID[names[reached]]} ({score}){left}."
    return f'<div class="du-steps" aria-hidden="true">{steps}</div><div>{said}</div>'

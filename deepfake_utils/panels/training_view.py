"""The widgets of a training panel: buttons, a bar, what is drawn now, and the losses."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

from .base import GREY, View


class TrainingView(View):
    """What a `training.TrainingPanel` looks like; everything is changed in its place.

    Args:
        actions: what each button does, by what is written on it.
        columns: titles above the columns of the grid.

    Raises:
        ImportError: if ipywidgets is missing.
    """

    def __init__(
        self, actions: Mapping[str, Callable[[], object]], columns: tuple[str, ...]
    ) -> None:
        super().__init__(None)
        w = self._w
        self.buttons = {name: self.button(name, do, "150px") for name, do in actions.items()}
        self.bar = w.IntProgress(description="steps", layout={"width": "98%"})
        self.status = w.HTML()
        self.grid = w.Image(format="png", layout={"width": "600px"})
        self.curve = w.Image(format="png", layout={"width": "600px"})
        titles = "".join(
            f'<span style="flex:1;text-align:center">{html.escape(name)}</span>' for name in columns
        )
        head = w.HTML(f'<div style="display:flex;width:600px">{titles}</div>')
        mark = w.HTML(f'<small style="color:{GREY}">AI modified</small>')
        parts = [self.bar, self.status, self.said, head, self.grid, mark, self.curve]
        self.box = w.VBox([w.HBox(list(self.buttons.values())), *parts])

    def tell(self, step: int, steps: int, text: str) -> None:
        """Show how far it is."""
        self.bar.max, self.bar.value = max(1, steps), step
        # No role: a screen reader need not read it out each second.
        self.status.value = f'<span style="color:{GREY}">{html.escape(text, quote=False)}</span>'

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

"""The widgets of a training panel: buttons, a bar, what is drawn now, and the losses."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets as widgets

RED, GREY = "#b00020", "#444"


class TrainingView:
    """What a `training_panel.TrainingPanel` looks like; everything is changed in its place.

    Args:
        actions: what each button does, by what is written on it.
        columns: titles above the columns of the grid.

    Raises:
        ImportError: if ipywidgets is missing.
    """

    def __init__(
        self, actions: Mapping[str, Callable[[], object]], columns: tuple[str, ...]
    ) -> None:
        import ipywidgets as widgets

        self.buttons = {name: self._button(name, do) for name, do in actions.items()}
        wide = widgets.Layout(width="98%")
        self.bar = widgets.IntProgress(description="steps", layout=wide)
        self.status, self.said = widgets.HTML(), widgets.HTML()
        self.grid = widgets.Image(format="png", layout=widgets.Layout(width="600px"))
        self.curve = widgets.Image(format="png", layout=widgets.Layout(width="600px"))
        titles = "".join(
            f'<span style="flex:1;text-align:center">{name}</span>' for name in columns
        )
        self.box: widgets.VBox = widgets.VBox(
            [
                widgets.HBox(list(self.buttons.values())),
                self.bar,
                self.status,
                self.said,
                widgets.HTML(f'<div style="display:flex;width:600px">{titles}</div>'),
                self.grid,
                widgets.HTML(f'<small style="color:{GREY}">AI modified</small>'),
                self.curve,
            ]
        )

    def tell(self, step: int, steps: int, text: str) -> None:
        """Show how far it is."""
        self.bar.max, self.bar.value = max(1, steps), step
        self.status.value = f'<span style="color:{GREY}">{html.escape(text, quote=False)}</span>'

    def say(self, text: str, wrong: bool = False) -> None:
        """Show a sentence, in red if something went wrong."""
        colour, text = RED if wrong else GREY, html.escape(text, quote=False)
        self.said.value = f'<b role="status" style="color:{colour}">{text}</b>' if text else ""

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

    def _button(self, name: str, do: Callable[[], object]) -> Any:
        import ipywidgets as widgets

        button = widgets.Button(description=name)

        def click(_: Any) -> None:
            try:
                do()
            except (OSError, RuntimeError, ValueError) as error:
                self.say(str(error), wrong=True)

        button.on_click(click)
        return button

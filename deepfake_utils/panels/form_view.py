"""The widgets of a form: a row for each field with its help text, presets, reset, save and load."""

from __future__ import annotations

import contextlib
import html
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .form_fields import FormField

if TYPE_CHECKING:
    import ipywidgets as widgets

OWN = "own settings"  # what the list of presets says once something was changed
RED, GREEN = "#b00020", "#1b5e20"
LABEL = {"description_width": "130px"}


class FormView:
    """The widgets of a `form.ConfigForm`, which they call.

    Args:
        form: whose widgets these are.
        known: its fields.
        values: what they show at first.
        file: adds buttons that save to and load from this file.
        actions: more buttons, by what is written on them; each returns what to say.

    Attributes:
        fields: the widget of each field.
        box: all of them, with the rest; the last one says what is wrong.

    Raises:
        ImportError: if ipywidgets is missing.
    """

    def __init__(
        self,
        form: Any,
        known: Mapping[str, FormField],
        values: Mapping[str, Any],
        file: str | os.PathLike[str] | None,
        actions: Mapping[str, Callable[[], str]],
    ) -> None:
        import ipywidgets as widgets

        self._form = form
        self.fields = {name: _widget(each, values[name]) for name, each in known.items()}
        for name, made in self.fields.items():
            made.observe(lambda change, name=name: self._edited(name, change["new"]), "value")
        help_look = {"layout": widgets.Layout(width="540px")}
        rows = [
            widgets.HBox([made, widgets.HTML(html.escape(known[name].help), **help_look)])
            for name, made in self.fields.items()
        ]
        self._said = widgets.HTML()
        tools = widgets.HBox([*self._presets(), self._button("reset", self._reset)])
        if file is not None:
            tools.children = [*tools.children, *self._files(str(file))]
        buttons = [self._button(name, do) for name, do in actions.items()]
        self.box = widgets.VBox([*rows, tools, *buttons, self._said])

    def show(self, values: Mapping[str, Any]) -> None:
        """Show these values, and whether the form accepts them."""
        for name, value in values.items():
            _show(self.fields[name], value)
        self.tell()

    def tell(self, text: str = "") -> None:
        """Say what is wrong with the form, or else `text`, and which preset it holds."""
        problem = self._form.problem
        self._say(problem or text, RED if problem else GREEN)
        if self._form.presets:
            self._preset.value = self._form.preset or OWN

    def _say(self, text: str, colour: str) -> None:
        text = html.escape(text, quote=False)
        self._said.value = f'<b role="status" style="color:{colour}">{text}</b>' if text else ""

    def _edited(self, name: str, value: Any) -> None:
        self._form.edited(name, value)
        self.tell()

    def _reset(self) -> str:
        self._form.reset()
        return "as it was at the start"

    def _presets(self) -> list[Any]:
        import ipywidgets as widgets

        if not self._form.presets:
            return []
        options = [OWN, *self._form.presets]
        look = {
            "description": "start from",
            "style": LABEL,
            "layout": widgets.Layout(width="400px"),
        }
        self._preset = widgets.Dropdown(options=options, value=OWN, **look)

        def choose(change: dict[str, Any]) -> None:
            if change["new"] not in (OWN, self._form.preset):
                self._form.choose(change["new"])

        self._preset.observe(choose, "value")
        return [self._preset]

    def _files(self, file: str) -> list[Any]:
        import ipywidgets as widgets

        path = widgets.Text(value=file, description="file", style={"description_width": "40px"})

        def load() -> str:
            self._form.load(path.value)
            return f"loaded {path.value}"

        save = self._button("save", lambda: f"saved to {self._form.save(path.value)}")
        return [save, self._button("load", load), path]

    def _button(self, name: str, do: Callable[[], str]) -> Any:
        import ipywidgets as widgets

        button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))

        def click(_: Any) -> None:
            with self._aloud():
                self.tell(do())

        button.on_click(click)
        return button

    @contextlib.contextmanager
    def _aloud(self) -> Iterator[None]:
        """Say in the form what goes wrong inside."""
        try:
            yield
        except (OSError, ValueError) as error:
            self._say(str(error), RED)


def _widget(field: FormField, value: Any) -> widgets.Widget:
    """A slider, dropdown, box or tick for a field, with its label."""
    import ipywidgets as widgets

    look: dict[str, Any] = {
        "description": field.name.replace("_", " "),
        "style": LABEL,
        "layout": widgets.Layout(width="400px"),
    }
    if field.choices:
        made = widgets.Dropdown(options=_with(field.choices, value), value=value, **look)
    elif field.kind == "yes or no":
        made = widgets.Checkbox(value=value, **look)
    elif field.kind == "text":
        made = widgets.Text(value=value or "", continuous_update=False, **look)
    elif field.range is None or not math.isfinite(value):
        box = widgets.IntText if field.kind == "whole number" else widgets.FloatText
        made = box(value=value, **look)
    else:
        low, high, step = field.range
        whole = field.kind == "whole number"
        slider = widgets.IntSlider if whole else widgets.FloatSlider
        if not whole:
            look["readout_format"] = f".{max(0, math.ceil(-math.log10(step)))}f"
        made = slider(min=min(low, value), max=max(high, value), step=step, **look)
        made.continuous_update = False
        made.value = value
    return made


def _show(made: widgets.Widget, value: Any) -> None:
    """Have a field's widget show a value; a slider or dropdown makes room for it."""
    if hasattr(made, "options"):
        if value not in made.options:
            made.options = _with(made.options, value)
    elif hasattr(made, "readout"):
        made.min, made.max = min(made.min, value), max(made.max, value)
    made.value = "" if value is None else value


def _with(choices: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """The choices, and the value among them."""
    if value in choices:
        return tuple(choices)
    numbers = all(isinstance(each, int | float) for each in (*choices, value))
    return tuple(sorted((*choices, value))) if numbers else (value, *choices)

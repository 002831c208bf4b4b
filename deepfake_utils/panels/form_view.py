"""The widgets of a form: a row for each field with its help text, presets, reset, save and load."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from .base import GREEN, RED, View, short_path

Words: TypeAlias = Mapping[Any, str] | None  # what a dropdown says for each choice
OWN = "own settings"  # what the list of presets says once something was changed


class FormView(View):
    """The widgets of a `form.ConfigForm`, which they call.

    Args:
        form: whose widgets these are.
        known: its fields, `form.FormField`.
        values: what they show at first.
        file: adds buttons that save to and load from this file.
        words: of some fields, what a dropdown says for each choice.

    Attributes:
        fields: the widget of each field.

    Raises:
        ImportError: if ipywidgets is missing.
    """

    def __init__(
        self,
        form: Any,
        known: Mapping[str, Any],
        values: Mapping[str, Any],
        file: str | os.PathLike[str] | None,
        words: Mapping[str, Mapping[Any, str]],
    ) -> None:
        super().__init__(form)
        w, self._words = self._w, words
        self.fields = {
            name: setting_widget(
                self, each, values[name], name.replace("_", " "), (400, 130), words.get(name)
            )
            for name, each in known.items()
        }
        for name, made in self.fields.items():
            made.observe(lambda change, name=name: self._edited(name, change["new"]), "value")
        rows = [
            self.row(made, w.HTML(html.escape(known[name].help)))
            for name, made in self.fields.items()
        ]
        tools = [*self._presets(), self._tool("reset", self._reset)]
        if file is not None:
            tools += self._files(str(file))
        buttons = [self._tool(name, do, main=True) for name, do in form.actions.items()]
        self.box = self.page(*rows, self.row(*tools), *map(self.row, buttons), self.said)
        self.tell()

    def show(self, values: Mapping[str, Any]) -> None:
        """Show these values, and whether the form accepts them."""
        for name, value in values.items():
            show_setting(self.fields[name], value, self._words.get(name))
        self.tell()

    def tell(self, text: str = "") -> None:
        """Say what is wrong with the form, or else `text`, and which preset it holds."""
        problem = self._panel.problem
        self.say(problem or text, RED if problem else GREEN)
        if self._panel.presets:
            self._preset.value = self._panel.preset or OWN

    def _edited(self, name: str, value: Any) -> None:
        self._panel.take_edit(name, value)
        self.tell()

    def _reset(self) -> str:
        self._panel.reset()
        return "as it was at the start"

    def _presets(self) -> list[Any]:
        form = self._panel
        if not form.presets:
            return []
        options = [OWN, *form.presets]
        self._preset = self.field("Dropdown", "start from", 330, {"options": options}, "130px")

        def choose(name: str) -> None:
            if name not in (OWN, form.preset):
                form.choose(name)

        self.on_change(self._preset, choose)
        return [self._preset]

    def _files(self, file: str) -> list[Any]:
        path = self.field("Text", "file", 520, {"value": short_path(file)}, "40px")

        def load() -> str:
            self._panel.load(path.value)
            return f"loaded {path.value}"

        save = self._tool("save", lambda: f"saved to {self._panel.save(path.value)}")
        return [save, self._tool("load", load), path]

    def _tool(self, name: str, do: Callable[[], str], main: bool = False) -> Any:
        return self.button(name, lambda: self.tell(do()), main)


def setting_widget(
    view: View, field: Any, value: Any, text: str, size: tuple[int, int], words: Words = None
) -> Any:
    """A slider, dropdown, box or tick for a setting.

    Args:
        view: whose widget it is.
        field: the setting, a `form.FormField`.
        value: what it shows at first.
        text: what it is called.
        size: width of the whole and of its text, in pixels.
        words: what a dropdown says for each choice.
    """
    more: dict[str, Any] = {"value": value, "continuous_update": False}
    if field.choices:
        kind, more = "Dropdown", {"options": _options(field.choices, value, words), "value": value}
    elif field.kind == "yes or no":
        kind, more = "Checkbox", {"value": value}
    elif field.kind == "text":
        kind, more["value"] = "Text", value or ""
    else:
        whole = field.kind == "whole number"
        kind = "IntText" if whole else "FloatText"
        if field.range is not None and math.isfinite(value):
            low, high, step = field.range
            kind = "IntSlider" if whole else "FloatSlider"
            more |= {"min": min(low, value), "max": max(high, value), "step": step}
            if not whole:
                more["readout_format"] = f".{max(0, math.ceil(-math.log10(step)))}f"
    width, label = size
    made = view.field(kind, text, width, more, f"{label}px")
    setattr(made, "tooltip" if hasattr(made, "tooltip") else "description_tooltip", field.help)
    return made


def show_setting(made: Any, value: Any, words: Words = None) -> None:
    """Have a widget of `setting_widget` show a value; a slider or dropdown makes room for it."""
    if hasattr(made, "options"):
        known = [each[1] if isinstance(each, tuple) else each for each in made.options]
        if value not in known:
            made.options = _options(known, value, words)
    elif hasattr(made, "readout"):
        made.min, made.max = min(made.min, value), max(made.max, value)
    made.value = "" if value is None else value


def _options(choices: Iterable[Any], value: Any, words: Words) -> tuple[Any, ...]:
    """What a dropdown offers: the choices, and the value among them."""
    known = list(choices)
    if value not in known:
        known.insert(0, value)
        if all(isinstance(each, int | float) for each in known):
            known.sort()
    return tuple((words.get(each, "choose ..."), each) for each in known) if words else (*known,)

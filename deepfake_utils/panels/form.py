"""A form made from a dataclass: change settings by hand, and see at once why a value is wrong.

form = config_form(TrainConfig(), presets={"quick": recipe("quick")})
form                         # in a notebook: sliders, dropdowns, boxes
form.set({"batch_size": 8})  # the same without widgets
Trainer(..., form.value)
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..consent import Subject, write_consent
from ..files import whole_file
from .base import has_widgets
from .form_fields import form_fields
from .form_view import FormView

if TYPE_CHECKING:
    import ipywidgets as widgets

Config = TypeVar("Config")


class ConfigForm(Generic[Config]):
    """The fields of a dataclass to be changed by hand; `value` is what the form holds now.

    Its widgets are made when it is first shown, or when `fields` or `box` is asked for.

    Args:
        config: what it starts with.
        names: the fields to show; None shows all that a form can change.
        presets: configurations by name, to choose from.
        file: adds buttons that save to and load from this JSON file.
        ask: of these fields no choice is made yet, and `value` refuses until one is.

    Attributes:
        presets: those configurations.
        actions: buttons by what is written on them; each does something and returns what to say.

    Raises:
        TypeError: if `config` is not a dataclass instance, or a preset is of another class.
        ValueError: if a name is not one of its fields.
    """

    def __init__(
        self,
        config: Config,
        names: Sequence[str] | None = None,
        presets: Mapping[str, Config] | None = None,
        file: str | os.PathLike[str] | None = None,
        ask: Sequence[str] = (),
    ) -> None:
        known = form_fields(config)
        for name in (*(names or ()), *ask):
            if name not in known:
                raise ValueError(f"expected a field of {list(known)}, got {name!r}")
        for name, preset in (presets or {}).items():
            if type(preset) is not type(config):
                raise TypeError(
                    f"presets: expected a {type(config).__name__} as {name!r}, got {preset!r}"
                )
        self._known = {name: known[name] for name in (known if names is None else names)}
        for name in ask:
            field = self._known[name]
            self._known[name] = dataclasses.replace(field, choices=("", *field.choices))
        self.presets, self.actions = dict(presets or {}), dict[str, Callable[[], str]]()
        self._file, self._ask = file, tuple(ask)
        self._first = self._base = config
        self._values = self._of(config) | dict.fromkeys(ask, "")
        self._view: FormView | None = None

    @property
    def value(self) -> Config:
        """A new configuration with what the form holds.

        Raises:
            ValueError: if the configuration refuses a value; its text says why.
        """
        return self._made(self._values)

    @property
    def problem(self) -> str:
        """Why the form's values are refused; "" if they are not."""
        try:
            _ = self.value
        except ValueError as error:
            return str(error)
        return ""

    @property
    def preset(self) -> str | None:
        """The name of the preset that the form holds; None if it is none of them."""
        if self.problem:
            return None
        return next((name for name, each in self.presets.items() if each == self.value), None)

    def set(self, values: Mapping[str, Any]) -> None:
        """Change some values, all of them or none.

        Args:
            values: by the name of their field.

        Raises:
            ValueError: if there is no such field or the configuration refuses a value; then the
                form stays as it was.
        """
        for name in values:
            if name not in self._known:
                raise ValueError(f"expected a field of {list(self._known)}, got {name!r}")
        given = {name: self._known[name].check(value) for name, value in values.items()}
        self._made({**self._values, **given})
        self._take(given)

    def choose(self, preset: str) -> None:
        """Take the values of a preset, also those of fields that are not shown.

        Raises:
            ValueError: if there is none of that name.
        """
        if preset not in self.presets:
            raise ValueError(f"expected a preset of {list(self.presets)}, got {preset!r}")
        self._base = self.presets[preset]
        self._take(self._of(self._base))

    def reset(self) -> None:
        """Go back to what the form started with."""
        self._base = self._first
        self._take(self._of(self._first) | dict.fromkeys(self._ask, ""))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the form's values as a JSON object.

        Raises:
            ValueError: if the configuration refuses a value; then nothing is written.
            OSError: if the file cannot be written.
        """
        config, path = self.value, Path(path)
        values = {name: getattr(config, name) for name in self._known}
        with whole_file(path) as part:
            part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return path

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take the values of a JSON file that `save` wrote; what it does not name stays.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a JSON object, or names a field or a value that is wrong; then
                the form stays as it was.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no settings at {path}; save some there first")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: expected a JSON object, got {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{path}: expected a JSON object, got {values!r:.60}")
        try:
            self.set(values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def fields(self) -> dict[str, Any]:
        """The widget of each field, by name.

        Raises:
            ImportError: if ipywidgets is missing.
        """
        return self._shown().fields

    @property
    def box(self) -> widgets.VBox:
        """All widgets of the form; the last one says what is wrong.

        Raises:
            ImportError: if ipywidgets is missing.
        """
        return self._shown().box

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_widgets():
            display(self.box)
            return
        text = (
            "Without ipywidgets, change this form by form.set({...}) and read form.value. "
            f"Its fields are {', '.join(self._known)}."
        )
        display({"text/plain": text}, raw=True)

    def _shown(self) -> FormView:
        if self._view is None:
            self._view = FormView(self, self._known, self._values, self._file, self.actions)
            self._view.tell()
        return self._view

    def _of(self, config: Config) -> dict[str, Any]:
        return {name: getattr(config, name) for name in self._known}

    def _made(self, values: Mapping[str, Any]) -> Config:
        given = {name: field.check(values[name]) for name, field in self._known.items()}
        return dataclasses.replace(self._base, **given)  # type: ignore[type-var]

    def _take(self, values: Mapping[str, Any]) -> None:
        """Hold these values, in the widgets too."""
        self._values |= values
        if self._view is not None:
            self._view.show(values)

    def edited(self, name: str, value: Any) -> None:
        """Hold what was typed into a widget, right or wrong."""
        self._values[name] = value


def config_form(
    config: Config,
    names: Sequence[str] | None = None,
    presets: Mapping[str, Config] | None = None,
    file: str | os.PathLike[str] | None = None,
) -> ConfigForm[Config]:
    """A form to change a configuration by hand, generated from its dataclass.

    A choice becomes a dropdown, yes or no a tick, a number a slider if a range is known for it
    (`form_fields.RANGES`) and a box if not; the comment behind the field is its help text.

    Args:
        config: a dataclass instance; its values are what the form starts with.
        names: the fields to show; None shows all that a form can change.
        presets: configurations by name, to choose from.
        file: adds buttons that save to and load from this JSON file.

    Raises:
        TypeError: if `config` is not a dataclass instance, or a preset is of another class.
        ValueError: if a name is not one of its fields.
    """
    return ConfigForm(config, names, presets, file)


def consent_form(
    subject: Subject | None = None, folder: str | os.PathLike[str] | None = None
) -> ConfigForm[Subject]:
    """A form for whose face is in a training set and why it may be used; no name is asked for.

    Its `value` is for `extract_faces(..., consent=form.value)`.

    Args:
        subject: what it starts with; None leaves the basis open, and `value` raises ValueError
            until one is chosen.
        folder: adds a button that writes consent.json there.
    """
    names = ["id", "basis", "role", "audience", "given", "expires"]
    form = ConfigForm(subject or Subject(), names, ask=() if subject else ("basis",))
    if folder is not None:
        form.actions["write consent.json"] = lambda: str(write_consent(folder, form.value))
    return form

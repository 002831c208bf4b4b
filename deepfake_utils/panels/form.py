"""A form made from a dataclass: change settings by hand, and see at once why a value is wrong.

form = config_form(TrainConfig(), presets={"quick": recipe("quick")})
form                         # in a notebook: sliders, dropdowns, boxes
form.set({"batch_size": 8})  # the same without widgets
Trainer(..., form.value)
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from ..consent import Basis, Subject, write_consent
from ..files import read_json, write_json
from ..settings import meanings
from .base import Panel
from .form_view import FormView

Config = TypeVar("Config")
Kind = Literal["choice", "yes or no", "whole number", "number", "text"]
KINDS: dict[Any, Kind] = {bool: "yes or no", int: "whole number", float: "number", str: "text"}

# The grounds on which a face may be used, in plain words; `Subject.basis`.
GROUNDS: dict[Basis, str] = {
    "self": "It is me",
    "consent": "They agreed to exactly this",
    "synthetic": "It is no real person",
    "licensed-dataset": "The data set's licence allows it",
    "public-domain": "The pictures are in the public domain",
}


@dataclass(frozen=True)
class FormField:
    """One field of a dataclass, as a form shows it."""

    name: str
    kind: Kind
    hint: Any  # its type
    help: str  # what it means
    choices: tuple[Any, ...]  # of a dropdown; more values may be valid
    range: tuple[float, float, float] | None  # of a slider: from, to, step

    def check(self, value: Any) -> Any:
        """The value, if it is of the field's type.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        wanted = f"a {self.kind}"
        optional = self.hint is not str  # a text that may be left open
        if self.kind == "choice":
            known = typing.get_args(self.hint)
            fits, wanted = value in known, f"one of {known}"
        elif self.kind == "yes or no":
            fits, wanted = isinstance(value, bool), "True or False"
        elif self.kind == "text":
            value = None if value == "" and optional else value
            fits = isinstance(value, str) or (value is None and optional)
        else:
            numbers = int if self.kind == "whole number" else int | float
            fits = isinstance(value, numbers) and not isinstance(value, bool)
        if not fits:
            raise ValueError(f"{self.name}: expected {wanted}, got {value!r}")
        return value


def form_fields(config: Any) -> dict[str, FormField]:
    """The fields of a dataclass that a form can change, by name.

    Args:
        config: a dataclass instance; of fields made by `settings.setting` more is known.

    Raises:
        TypeError: if it is not one.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a dataclass instance, got {config!r}")
    hints, found = typing.get_type_hints(type(config)), {}
    for name, meaning in meanings(type(config)).items():
        hint = hints[name]
        kind, choices = KINDS.get(hint), meaning.only or meaning.useful
        if typing.get_origin(hint) is Literal:
            kind, choices = "choice", typing.get_args(hint)
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            kind = "text" if set(typing.get_args(hint)) == {str, type(None)} else None
        if kind is not None:  # else a form cannot change it
            found[name] = FormField(name, kind, hint, meaning.help, choices, meaning.slider)
    return found


class ConfigForm(Panel, Generic[Config]):
    """The fields of a dataclass to be changed by hand; `value` is what the form holds now.

    Args:
        config: what it starts with.
        names: the fields to show; None shows all that a form can change.
        presets: configurations by name, to choose from.
        file: adds buttons that save to and load from this JSON file.
        ask: of these fields no choice is made yet, and `value` refuses until one is.
        words: of some fields, what a dropdown says for each choice.

    Attributes:
        presets: those configurations.
        actions: buttons by what is written on them; each does something and returns what to say.
        edited: called after somebody changed a widget, be it to what is refused.

    Raises:
        TypeError: if `config` is not a dataclass instance, or a preset is of another class.
        ValueError: if a name is not one of its fields.
    """

    methods = "Without ipywidgets, change this form by form.set({...}) and read form.value."

    def __init__(
        self,
        config: Config,
        names: Sequence[str] | None = None,
        presets: Mapping[str, Config] | None = None,
        file: str | os.PathLike[str] | None = None,
        ask: Sequence[str] = (),
        words: Mapping[str, Mapping[Any, str]] | None = None,
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
        self.edited: Callable[[], None] = lambda: None
        self._file, self._ask, self._words = file, tuple(ask), words or {}
        self._first = self._base = config
        self._values = self._of(config) | dict.fromkeys(ask, "")

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
        return write_json(Path(path), self._of(self.value), indent=2)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take the values of a JSON file that `save` wrote; what it does not name stays.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no JSON object, or names a field or a value that is wrong; then
                the form stays as it was.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no settings at {path}; save some there first")
        values = read_json(path, "save the settings again")
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
        return dict(self.view.fields)

    def make_view(self) -> FormView:
        """Rows of widgets; the last one says what is wrong."""
        return FormView(self, self._known, self._values, self._file, self._words)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values})"

    def take_edit(self, name: str, value: Any) -> None:
        """Hold what was typed into a widget, right or wrong."""
        self._values[name] = value
        self.edited()

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


def config_form(
    config: Config,
    names: Sequence[str] | None = None,
    presets: Mapping[str, Config] | None = None,
    file: str | os.PathLike[str] | None = None,
) -> ConfigForm[Config]:
    """A form to change a configuration by hand, generated from its dataclass.

    A choice becomes a dropdown, yes or no a tick, a number a slider or a dropdown if it was made by
    `settings.setting` with `slider=` or `useful=`, and a box if not.

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
    subject: Subject | None = None, folder: str | os.PathLike[str] | None = None, id: str = "A"
) -> ConfigForm[Subject]:
    """A form for whose face is in a training set and why it may be used; no name is asked for.

    Its `value` is for `extract_faces(..., consent=form.value)`.

    Args:
        subject: what it starts with; None leaves the basis open, and `value` raises ValueError
            until one is chosen.
        folder: adds a button that writes consent.json there.
        id: what the person is called if `subject` is None.
    """
    names = ["id", "basis", "role", "audience", "given", "expires"]
    ask = () if subject else ("basis",)
    form = ConfigForm(subject or Subject(id), names, ask=ask, words={"basis": GROUNDS})
    if folder is not None:
        form.actions["write consent.json"] = lambda: str(write_consent(folder, form.value))
    return form

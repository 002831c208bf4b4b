"""From a dataclass's field to what a form needs: its kind, its help text, its range."""

from __future__ import annotations

import dataclasses
import inspect
import io
import tokenize
import types
import typing
from typing import Any, Literal

Kind = Literal["choice", "yes or no", "whole number", "number", "text"]

# Where a slider begins and ends, and its step. What is valid is for the dataclass to say: these are
# the values that are of use. A field's metadata, {"range": (0.0, 1.0, 0.1)}, comes first.
RANGES: dict[str, tuple[float, float, float]] = {
    "average": (0.9, 0.9995, 0.0005),
    "batch_size": (1, 128, 1),
    "coverage": (0.2, 1.0, 0.05),
    "dssim": (0.0, 1.0, 0.05),
    "erode": (-0.5, 0.5, 0.01),
    "feather": (0.0, 0.5, 0.01),
    "final_rate": (0.0, 1.0, 0.01),
    "flip": (0.0, 1.0, 0.1),
    "forehead": (0.0, 1.0, 0.05),
    "grid": (2, 9, 1),
    "jitter": (0.0, 0.05, 0.001),
    "least_visible": (0.0, 1.0, 0.05),
    "light": (0.0, 2.0, 0.1),
    "mask": (0.0, 1.0, 0.05),
    "most_yaw_deg": (5.0, 90.0, 5.0),
    "rotation_deg": (0.0, 30.0, 0.5),
    "sharpness": (-1.0, 5.0, 0.1),
    "shift": (0.0, 0.2, 0.01),
    "zoom": (0.0, 0.3, 0.01),
}
# The same for numbers of which only some make sense; metadata: {"choices": (2, 3, 4)}.
CHOICES: dict[str, tuple[Any, ...]] = {
    "image_size": (64, 96, 128, 160, 192, 256),
    "kernel": (3, 5),
    "scale": (2, 3, 4),
}


@dataclasses.dataclass(frozen=True)
class FormField:
    """One field of a dataclass, as a form shows it."""

    name: str
    kind: Kind
    hint: Any  # its type
    help: str = ""  # the comment behind it in the source
    choices: tuple[Any, ...] = ()  # of a dropdown; more values may be valid
    range: tuple[float, float, float] | None = None  # of a slider: from, to, step

    def check(self, value: Any) -> Any:
        """The value, if it is of the field's type.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        wanted: str = f"a {self.kind}"
        if self.kind == "choice":
            known = typing.get_args(self.hint)
            fits, wanted = value in known, f"one of {known}"
        elif self.kind == "yes or no":
            fits, wanted = isinstance(value, bool), "True or False"
        elif isinstance(value, bool):
            fits = False
        elif self.kind == "whole number":
            fits = isinstance(value, int)
        elif self.kind == "number":
            fits = isinstance(value, int | float)
        else:
            value = None if value == "" and self.hint is not str else value
            fits = isinstance(value, str) or (value is None and self.hint is not str)
        if not fits:
            raise ValueError(f"{self.name}: expected {wanted}, got {value!r}")
        return value


def form_fields(config: Any) -> dict[str, FormField]:
    """The fields of a dataclass that a form can change, by name.

    Args:
        config: a dataclass instance.

    Raises:
        TypeError: if it is not one.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a dataclass instance, got {config!r}")
    hints, helps = typing.get_type_hints(type(config)), comments(type(config))
    found = {}
    for field in dataclasses.fields(config):
        name, hint = field.name, hints[field.name]
        kind = _kind(hint)
        if kind is None:
            continue
        choices = typing.get_args(hint) if kind == "choice" else ()
        span = None
        if kind in ("number", "whole number"):
            choices = field.metadata.get("choices", CHOICES.get(name, ()))
            span = field.metadata.get("range", RANGES.get(name)) if not choices else None
        found[name] = FormField(
            name, kind, hint, helps.get(name, "").replace("`", ""), tuple(choices), span
        )
    return found


def _kind(hint: Any) -> Kind | None:
    """What a type is to a form; None if a form cannot change it."""
    if typing.get_origin(hint) is Literal:
        return "choice"
    kinds: dict[Any, Kind] = {
        bool: "yes or no",
        int: "whole number",
        float: "number",
        str: "text",
    }
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return "text" if set(typing.get_args(hint)) == {str, type(None)} else None
    return kinds.get(hint)


def comments(kind: type) -> dict[str, str]:
    """The comment behind each field of a class; {} where its source is not at hand.

    Args:
        kind: a class whose fields are written as `name: type = value  # what it is`.
    """
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        try:
            found |= _comments(inspect.getsource(each))
        except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # typed in at a prompt
            continue
    return found


def _comments(source: str) -> dict[str, str]:
    """The comments of one class by the first name of the statement they stand behind."""
    found: dict[str, str] = {}
    name, depth = "", 0  # of the statement that is being read
    line: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc(source)).readline):
        if token.type == tokenize.INDENT:
            depth += 1
        elif token.type == tokenize.DEDENT:
            depth -= 1
        elif token.type == tokenize.NEWLINE:
            name, line = "", []
        elif token.type == tokenize.COMMENT:
            if name:
                said = token.string.lstrip("# ")
                found[name] = f"{found[name]} {said}" if name in found else said
        elif token.type != tokenize.NL:
            line.append(token)
            if len(line) == 2 and token.string == ":" and line[0].type == tokenize.NAME:
                name = line[0].string if depth == 1 else ""
    return found

"""Settings that know what they mean: a dataclass field with its help text and its range, said once.

    @dataclass(frozen=True)
    class WarpConfig(Settings):
        flip: float = setting(0.5, "chance to be mirrored", least=0.0, most=1.0)

The check on construction, the forms of the notebooks and their sliders all read the same.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Meaning:
    """What is known of a setting beside its name, type and default."""

    help: str = ""
    least: float | None = None  # smallest valid value ...
    above: float | None = None  # ... or what a valid one must be above
    most: float | None = None  # largest valid value ...
    below: float | None = None  # ... or what a valid one must be below
    only: tuple[Any, ...] = ()  # the only valid values, if there are so few
    useful: tuple[Any, ...] = ()  # values to choose from; more may be valid
    slider: tuple[float, float, float] | None = None  # from, to, step: the range that is of use

    def allows(self, value: Any) -> bool:
        """Whether a value is valid; text and NaN never are where there is a bound."""
        bounds = (self.least, self.above, self.most, self.below)
        if self.only or bounds == (None,) * 4:
            return not self.only or value in self.only
        return (
            isinstance(value, int | float)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """The range in words."""
        if self.only:
            return f"one of {self.only}"
        low = high = ""
        if self.least is not None:
            low = f"at least {self.least:g}"
        elif self.above is not None:
            low = f"more than {self.above:g}"
        if self.most is not None:
            high = f"at most {self.most:g}"
        elif self.below is not None:
            high = "a finite number" if self.below == math.inf else f"less than {self.below:g}"
        return " and ".join(filter(None, (low, high)))


def setting(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    factory: Callable[[], Any] | None = None,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    only: tuple[Any, ...] = (),
    useful: tuple[Any, ...] = (),
    slider: tuple[float, float, float] | None = None,
) -> Any:
    """A field of a `Settings` dataclass; the arguments are those of `Meaning`.

    Args:
        default: its value if none is given.
        help: what it means, with its unit, in half a sentence.
        factory: makes the default, if that is only known when asked for.
    """
    meaning = Meaning(help, least, above, most, below, only, useful, slider)
    metadata = {"meaning": meaning}
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Settings:
    """Base of dataclasses whose fields are made by `setting`: checks them when one is made."""

    def __post_init__(self) -> None:
        """Check that each value is one of its type's (`Literal`) and in its range.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        hints = typing.get_type_hints(type(self))
        for name, meaning in meanings(type(self)).items():
            value, hint = getattr(self, name), hints[name]
            if typing.get_origin(hint) is Literal:
                meaning = Meaning(only=typing.get_args(hint))
            if value is None and type(None) in typing.get_args(hint):  # what may be left open
                continue
            if not all(map(meaning.allows, value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name}: expected {meaning}, got {value!r}")


def meanings(kind: type) -> Mapping[str, Meaning]:
    """What is known of each field of a dataclass; nothing of one not made by `setting`."""
    return {
        field.name: field.metadata.get("meaning", Meaning())
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    }

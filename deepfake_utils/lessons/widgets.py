"""What the teaching notebooks share: pictures with sliders, questions with answers that unfold.

Works with ipywidgets 7 (Colab) and 8, and without a screen.
"""

from __future__ import annotations

import html
import importlib.util
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from IPython.display import HTML, display

__all__ = ["HEADLESS", "ask", "what_if"]

HEADLESS = "DEEPFAKE_HEADLESS"  # in the environment: nobody is there to move a slider
# (low, high) or (low, high, step), a list of choices, or True or False for a box to tick.
Slider: TypeAlias = tuple[float, ...] | list[Any] | bool


def ask(questions: Sequence[tuple[str, object]]) -> HTML:
    """Questions in a numbered list, each with an answer that unfolds by a click or a key.

    Args:
        questions: (question, answer) each, plain text. An answer may be any object: a fraction is
            told with four digits, the rest as `str` tells it.

    Raises:
        ValueError: if there is no question.
    """
    if not questions:
        raise ValueError("expected at least one question, got none")
    items = [
        f'<li style="margin:0.4em 0"><details><summary>{html.escape(question)}</summary>'
        f'<p style="white-space:pre-wrap">{html.escape(_told(answer))}</p></details></li>'
        for question, answer in questions
    ]
    return HTML(f"<ol>{''.join(items)}</ol>")


def _told(answer: object) -> str:
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)


def what_if(draw: Callable[..., object], **sliders: Slider) -> None:
    """Show what `draw` gives, with a slider for each of its settings.

    The picture is drawn anew when a slider is let go, or moved by the arrow keys, or when a number
    is typed beside it. Without ipywidgets, or without a screen, it is drawn once.

        what_if(lambda angle=30.0: du.show_images([turn(face, angle)]), angle=(-180.0, 180.0))

    A slider bears the name of an argument of `draw` and is (low, high) or (low, high, step), of
    whole numbers or not; a list of choices; or True or False for a box to tick.

    Args:
        draw: is called with the sliders' values by name; what it returns is displayed. Its default
            values are where the sliders start; without one, a range starts in its middle, and a
            list with its first.

    Raises:
        ValueError: if there is no slider, or one does not fit its range or its start.
    """
    if not sliders:
        raise ValueError("expected at least one slider, got none; call draw() itself")
    start = {name: _start(draw, name, slider) for name, slider in sliders.items()}
    if os.environ.get(HEADLESS) or not importlib.util.find_spec("ipywidgets"):
        _show(draw(**start))
        return
    import ipywidgets as widgets

    fields = {name: _field(name, sliders[name], start[name]) for name in sliders}
    drawn = widgets.interactive_output(lambda **values: _show(draw(**values)), fields)
    display(widgets.VBox([*fields.values(), drawn]))


def _show(result: object) -> None:
    if result is not None:
        display(result)


def _start(draw: Callable[..., object], name: str, slider: Slider) -> Any:
    """Where a slider begins: the default of the function's argument, or the middle."""
    given = inspect.signature(draw).parameters.get(name)
    default: Any = inspect.Parameter.empty if given is None else given.default
    if isinstance(slider, bool):
        return slider if default is inspect.Parameter.empty else bool(default)
    if isinstance(slider, list):
        start = slider[0] if default is inspect.Parameter.empty and slider else default
        if start not in slider:
            raise ValueError(f"{name}: expected to start with one of {slider}, got {start!r}")
        return start
    if len(slider) not in (2, 3) or not slider[0] < slider[1]:
        raise ValueError(f"{name}: expected (low, high) or (low, high, step), got {slider}")
    low, high = slider[:2]
    if default is inspect.Parameter.empty:
        return low + (high - low) // 2 if _whole(slider) else (low + high) / 2.0
    if not low <= default <= high:
        raise ValueError(f"{name}: expected to start within {low} to {high}, got {default}")
    return default


def _whole(numbers: tuple[float, ...]) -> bool:
    return all(isinstance(number, int) for number in numbers)


def _field(name: str, slider: Slider, start: Any) -> Any:
    """The widget for one slider."""
    import ipywidgets as widgets

    look = {
        "description": name.replace("_", " "),
        "style": {"description_width": "160px"},
        "layout": widgets.Layout(width="520px"),
        "value": start,
    }
    if isinstance(slider, bool):
        return widgets.Checkbox(**look)
    if isinstance(slider, list):
        return widgets.Dropdown(options=slider, **look)
    low, high = slider[:2]
    look |= {"min": low, "max": high, "continuous_update": False}
    if _whole((*slider, start)):
        return widgets.IntSlider(step=slider[2] if len(slider) == 3 else 1, **look)
    return widgets.FloatSlider(step=slider[2] if len(slider) == 3 else (high - low) / 100.0, **look)

"""What all panels share: a `Panel` that a notebook shows, and the `View` that holds its widgets.

A panel is acted on by plain methods; its widgets, which call them, are made when it is first shown.
"""

from __future__ import annotations

import contextlib
import html
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from ..images import Image, check_image

if TYPE_CHECKING:
    import ipywidgets

# Of what is said; the first two are set by the style sheet, for light and for dark pages.
RED, GREEN, GREY = "var(--du-bad, #b00020)", "var(--du-good, #1b6e20)", "inherit"
STYLE = Path(__file__).parents[1] / "data" / "panels.css"
# What may go wrong by what a user chose; it is said in the panel.
EXPECTED = (LookupError, OSError, RuntimeError, ValueError)


class View:
    """The widgets of a panel, which call its methods and show how it is afterwards.

    Args:
        panel: whose widgets these are.

    Attributes:
        box: all of them.
        said: the line that says what was done, or what went wrong.

    Raises:
        ImportError: if ipywidgets is missing.
    """

    box: ipywidgets.VBox

    def __init__(self, panel: Any) -> None:
        import ipywidgets

        self._w, self._panel = ipywidgets, panel
        self._quiet = False  # while widgets are set by us rather than by the user
        self.said = ipywidgets.HTML()

    def say(self, text: str, colour: str = GREY) -> None:
        """Show sentences, one on each line; "" takes away what was said."""
        self.said.value = coloured(text, colour)

    def attempt(self, act: Callable[[], object]) -> None:
        """Do what a widget asks for; what is wrong with it is said in the panel."""
        try:
            act()
        except EXPECTED as error:
            self.say(str(error), RED)

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Inside, a widget that is set does nothing but show its value."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def fill(self, widget: Any, values: Mapping[str, object]) -> None:
        """Set a widget without its doing anything."""
        with self.quietly():
            for name, value in values.items():
                setattr(widget, name, value)

    def field(
        self,
        kind: str,
        text: str,
        width: int,
        values: Mapping[str, Any] | None = None,
        label: str = "initial",
    ) -> Any:
        """A widget with a text before it.

        Args:
            kind: its class in ipywidgets, such as "Dropdown".
            text: what it is called.
            width: of text and widget together, in pixels.
            values: what else the widget is given.
            label: width of the text.
        """
        look = {"style": {"description_width": label}, "layout": {"width": f"{width}px"}}
        return getattr(self._w, kind)(description=text, **look, **(values or {}))

    def page(self, *parts: Any) -> Any:
        """All of a panel, one below the other, in the look that panels share."""
        style = self._w.HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>")
        style.layout.display = "none"
        page = self._w.VBox([style, *parts], layout={"width": "100%", "max_width": "1000px"})
        page.add_class("du-panel")
        return page

    def row(self, *parts: Any) -> Any:
        """Side by side, and below each other where the page is narrow."""
        row = self._w.HBox(parts)
        row.add_class("du-row")
        return row

    def button(self, text: str, act: Callable[[], object], main: bool = False) -> Any:
        """A button that attempts to do something; a panel has one main button, in colour."""
        button = self._w.Button(description=text, button_style="primary" if main else "")
        button.on_click(lambda _: self.attempt(act))
        return button

    def on_change(self, widget: Any, act: Callable[[Any], object]) -> None:
        """Attempt to do something with a widget's new value whenever a user changes it."""

        def changed(change: Any) -> None:
            if not self._quiet:
                self.attempt(lambda: act(change["new"]))

        widget.observe(changed, "value")


class Panel:
    """What a notebook shows as widgets, or where ipywidgets is missing as a text.

    A subclass makes its widgets in `make_view`, and calls `refresh` after each change.
    """

    methods = ""  # a sentence on what to call where there are no widgets
    _view: Any = None  # the view, once somebody has looked

    def make_view(self) -> Any:
        """The panel's `View`."""
        raise NotImplementedError

    @property
    def view(self) -> Any:
        """The panel's widgets, made when first asked for.

        Raises:
            ImportError: if ipywidgets is missing.
        """
        if self._view is None:
            self._view = self.make_view()
        return self._view

    @property
    def box(self) -> ipywidgets.VBox:
        """All widgets in a box.

        Raises:
            ImportError: if ipywidgets is missing.
        """
        return self.view.box

    def refresh(self) -> None:
        """Show what has changed, if anybody looks."""
        if self._view is not None:
            self._view.refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_widgets():
            display(self.box)
        else:
            display({"text/plain": f"{self}\n{self.methods}"}, raw=True)


def has_widgets() -> bool:
    """Whether ipywidgets is installed."""
    return importlib.util.find_spec("ipywidgets") is not None


def coloured(text: str, colour: str) -> str:
    """Lines of text as HTML, read out by screen readers when they change."""
    lines = "<br>".join(html.escape(text, quote=False).splitlines())
    role = "alert" if colour == RED else "status"
    look = f"color:{colour};max-width:950px;line-height:1.4"
    return f'<div role="{role}" style="{look}">{lines}</div>' if text else ""


def short_path(path: str | os.PathLike[str]) -> str:
    """A path as it is, or from the notebook's folder if that is shorter."""
    whole = Path(path)
    near = whole.absolute().drive == Path.cwd().drive  # there is no way from one to another
    return min(str(whole), os.path.relpath(whole) if near else str(whole), key=len)


def png_bytes(image: Image) -> bytes:
    """(H, W, 3) RGB uint8 as a PNG, for `widgets.Image`.

    Raises:
        TypeError, ValueError: if it is no such picture.
    """
    check_image(image)
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # quick: it goes to the browser and is forgotten
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise ValueError(f"OpenCV could not encode a {image.shape} image as PNG")
    return bytes(data.tobytes())

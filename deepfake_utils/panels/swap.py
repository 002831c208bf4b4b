"""The swap panel: settings beside the picture they give, then the whole clip, then a download."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any, get_args

from ..compositing.blending import Blend
from ..compositing.colour import ColourMatch
from ..swapping import Outcome
from .base import has_widgets, png_bytes
from .places import in_colab
from .swap_trial import SwapTrial, passages

__all__ = ["SwapPanel", "passages"]

# What is said of a frame.
SAID: dict[Outcome, str] = {
    "swapped": "swapped",
    "partly covered": "swapped, but for what covers the face",
    "covered": "the face is covered: the frame stays as filmed",
    "turned away": "the head is turned away: the frame stays as filmed",
    "no face": "no face was found: the frame stays as filmed",
    "other person": "only other people were found: the frame stays as filmed",
}
# Field of SwapConfig -> what its slider says, from, to, step.
SLIDERS = {
    "erode": ("mask smaller by", -0.3, 0.3, 0.01),
    "feather": ("soft edge of the mask", 0.0, 0.5, 0.01),
    "sharpness": ("sharpness", -1.0, 2.0, 0.1),
}
CHOICES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "colour": ("colours by", get_args(ColourMatch)),
    "blend": ("laid over by", get_args(Blend)),
    "identity": ("whose face", (("person B: the swap", "B"), ("person A, redrawn", "A"))),
}
SHOWN_MB = 60  # a larger video is not sent to the browser
HELP = (
    "The panel needs ipywidgets (pip install ipywidgets). Without it, "
    'panel.set({"erode": -0.04}) changes settings, panel.show_frame(15.0) gives the picture of a '
    "frame, and panel.render() writes the video."
)


class SwapPanel(SwapTrial):
    """Settings of a swap, tried on a frame, then rendered: by hand in a notebook, or by calls.

        panel = SwapPanel("film.mp4", swapper, "swap.mp4")
        panel  # shows the widgets, which call the methods below
        panel.set({"erode": -0.04, "colour": "covariance"})
        panel.show_frame(15.0)  # a picture: as filmed and as swapped
        report = panel.render()

    Arguments and errors are those of `SwapTrial`.
    """

    _view: _View | None = None

    @property
    def box(self) -> Any:
        """The widgets, an `ipywidgets.VBox`; made when first asked for.

        Raises:
            ImportError: if ipywidgets is missing.
        """
        if self._view is None:
            self._view = _View(self)
        return self._view.box

    def _changed(self) -> None:
        if self._view is not None:
            self._view.show()

    def _job_moved(self) -> None:
        if self._view is not None:
            self._view.tell()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_widgets():
            display(self.box)
        else:
            display({"text/plain": HELP}, raw=True)


def download_link(path: str | os.PathLike[str]) -> str:
    """A link that downloads a file, relative to the notebook's folder, as HTML."""
    there = html.escape(Path(os.path.relpath(path)).as_posix(), quote=True)
    name = html.escape(Path(path).name)
    return f'<a href="{there}" download="{name}">Download {name}</a>'


class _View:
    """The panel's widgets. They call its methods, and show how it is after each call."""

    def __init__(self, panel: SwapPanel) -> None:
        import ipywidgets

        self._w, self._panel = ipywidgets, panel
        self._quiet = False  # while widgets are set to what the panel says
        self._fields = self._make_fields()
        self._outline = self._check("show the mask", "outline")
        self._close = self._check("only the face", "close")
        last_s = max(panel.clip.start_s, panel.end_s - 1.0 / panel.info.fps)
        self._time = self._slider("frame at, s", panel.clip.start_s, last_s, 1.0 / panel.info.fps)
        self._time.layout.width = "660px"
        self._time.observe(self._on(panel.show_frame), "value")
        self._picture = self._w.Image(format="png", layout={"max_width": "990px"})
        self._said, self._far, self._ended = (self._w.HTML() for _ in range(3))
        self._bar = self._w.IntProgress(layout={"width": "440px"})
        self._render, self._stop = (
            self._w.Button(description=text, disabled=off, layout={"width": "160px"})
            for text, off in (("Render the clip", False), ("Stop", True))
        )
        self._render.on_click(lambda _: self._try(panel.start))
        self._stop.on_click(lambda _: panel.cancel())
        self._film = self._w.VBox()
        self.box = self._lay_out()
        self.show()
        self.tell()

    def _lay_out(self) -> Any:
        w, fields = self._w, list(self._fields.values())
        sliders = [each for name, each in self._fields.items() if name in SLIDERS]
        others = [each for each in fields if each not in sliders]
        columns = [
            w.VBox(each, layout={"width": "490px"})
            for each in (sliders, [*others, w.HBox([self._outline, self._close])])
        ]
        run = w.HBox([self._render, self._stop, self._bar])
        parts = [self._time, self._said, self._picture, w.HBox(columns), run, self._far]
        return w.VBox([*parts, self._ended, self._film], layout={"max_width": "1000px"})

    def _make_fields(self) -> dict[str, Any]:
        """A widget for each setting, by its name in SwapConfig."""
        fields = {name: self._slider(*said) for name, said in SLIDERS.items()}
        for name, (text, options) in CHOICES.items():
            fields[name] = self._w.Dropdown(options=options, description=text, **self._look())
        if self._panel.draws_mask:
            fields["learned_mask"] = self._w.Checkbox(
                description="take the network's own mask", indent=False
            )
        for name, widget in fields.items():
            widget.observe(self._on(partial(self._set, name)), "value")
        return fields

    def _set(self, name: str, value: object) -> None:
        self._panel.set({name: value})

    def _look(self) -> dict[str, Any]:
        return {"style": {"description_width": "150px"}, "layout": {"width": "470px"}}

    def _slider(self, text: str, low: float, high: float, step: float) -> Any:
        # A slider that tells its way, too, sends back what the kernel sets it to; of two settings
        # in a row the first would come back after the second.
        return self._w.FloatSlider(
            description=text,
            min=low,
            max=high,
            step=step,
            readout_format=".2f",
            continuous_update=False,
            **self._look(),
        )

    def _check(self, text: str, name: str) -> Any:
        """A box to tick for an attribute of the panel."""
        box = self._w.Checkbox(description=text, indent=False, layout={"width": "200px"})

        def turn(value: bool) -> None:
            setattr(self._panel, name, value)
            self._panel.show_frame()

        box.observe(self._on(turn), "value")
        return box

    def _on(self, act: Callable[[Any], object]) -> Callable[[Any], None]:
        """What is done when somebody changes a widget."""

        def changed(change: Any) -> None:
            if not self._quiet:
                self._try(lambda: act(change["new"]))

        return changed

    def _try(self, act: Callable[[], object]) -> None:
        """Do what was asked for; what is wrong is said in the panel."""
        try:
            act()
        except (OSError, ValueError, RuntimeError) as error:
            self._said.value = _alert(error)

    def show(self) -> None:
        """Draw the frame anew, and set the widgets to what the panel says."""
        panel = self._panel
        self._quiet = True
        try:
            for name, widget in self._fields.items():
                value = getattr(panel.config, name)
                if name in SLIDERS:  # a setting may lie outside of what its slider offered
                    widget.min, widget.max = min(widget.min, value), max(widget.max, value)
                widget.value = value
            self._time.value = panel.time_s
            self._outline.value, self._close.value = panel.outline, panel.close
        finally:
            self._quiet = False
        self._try(self._draw)

    def _draw(self) -> None:
        pair = self._panel.look()
        self._picture.value = png_bytes(pair.image)
        self._said.value = (
            f"<b>Left</b> as filmed, <b>right</b> {SAID[pair.outcome]} ({pair.time_s:.2f} s)"
        )

    def tell(self) -> None:
        """Show how far the rendering is, or how it ended."""
        job = self._panel.job
        self._render.disabled, self._stop.disabled = job.running, not job.running
        done, total = (0, 1) if job.progress is None else job.progress[:2]
        self._bar.max, self._bar.value = total, done
        self._far.value = "" if job.progress is None else str(job.progress)
        if job.running:
            self._ended.value, self._film.children = "", ()
        elif isinstance(job.error, CancelledError):
            self._ended.value = f"{html.escape(str(job.error))}; nothing was written"
        elif job.error is not None:
            self._ended.value = _alert(job.error)
        elif job.report is not None:
            lines = [str(job.report), *passages(job.report)]
            self._ended.value = "<br>".join(html.escape(line) for line in lines)
            self._film.children = self._results()

    def _results(self) -> tuple[Any, ...]:
        """The film with its sound, and a way to download it."""
        path = self._panel.path
        shown: list[Any] = []
        if path.stat().st_size <= SHOWN_MB * 1e6:
            film = self._w.Video(value=path.read_bytes(), format="mp4", autoplay=False)
            film.layout.max_width, film.layout.max_height = "640px", "480px"
            shown.append(film)
        if in_colab():
            button = self._w.Button(description=f"Download {path.name}")
            button.on_click(lambda _: self._try(lambda: _download_in_colab(path)))
            return (*shown, button)
        # A notebook finds relative links in outputs, not in widgets, so the link is an output.
        data = {"text/html": download_link(path), "text/plain": str(path)}
        link = self._w.Output()
        link.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        return (*shown, link)


def _alert(error: Exception) -> str:
    return f'<b role="alert">{html.escape(str(error))}</b>'


def _download_in_colab(path: Path) -> None:
    from google.colab import files

    files.download(str(path))

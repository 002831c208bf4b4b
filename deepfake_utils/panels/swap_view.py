"""The widgets of a `swap.SwapPanel`, and what is said of frames and films in words."""

from __future__ import annotations

import html
import os
import urllib.parse
from concurrent.futures import CancelledError
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from ..rendering import SwapReport
from ..swapping import Outcome
from .base import GREY, RED, View, coloured, png_bytes
from .form import form_fields
from .form_view import setting_widget, show_setting
from .places import in_colab

# What is said of a frame.
SAID: dict[Outcome, str] = {
    "swapped": "swapped",
    "partly covered": "swapped, but for what covers the face",
    "covered": "the face is covered: the frame stays as filmed",
    "turned away": "the head is turned away: the frame stays as filmed",
    "no face": "no face was found: the frame stays as filmed",
    "other person": "only other people were found: the frame stays as filmed",
}
# Field of SwapConfig -> what its widget is called; the first four are in the left column.
SHOWN = {
    "erode": "mask smaller by",
    "feather": "soft edge of the mask",
    "sharpness": "sharpness",
    "grain": "the film's grain",
    "colour": "colours by",
    "blend": "laid over by",
    "identity": "whose face",
    "learned_mask": "take the network's own mask",
}
WORDS = {"identity": {"B": "person B: the swap", "A": "person A, redrawn"}}
SHOWN_MB = 60  # a larger video is not sent to the browser


def passages(report: SwapReport) -> list[str]:
    """Where a film was not swapped whole, and why: one line for frames of a kind in a row."""
    lines = []
    numbered = enumerate(report.notes)
    for (outcome, _), group in groupby(
        numbered, lambda each: (each[1].outcome, each[1].frame - each[0])
    ):
        notes = [note for _, note in group]
        count = f"{len(notes)} frame{'s' if len(notes) > 1 else ''}"
        lines.append(f"{notes[0].time_s:.2f} to {notes[-1].time_s:.2f} s: {outcome}, {count}")
    return lines


def download_link(path: str | os.PathLike[str]) -> str:
    """A link that downloads a file, relative to the notebook's folder, as HTML."""
    there = urllib.parse.quote(Path(os.path.relpath(path)).as_posix())
    name = html.escape(Path(path).name, quote=True)
    return f'<a href="{there}" download="{name}">Download {name}</a>'


class SwapView(View):
    """Widgets of a `swap.SwapPanel`: settings beside the picture they give, then the film."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        w = self._w
        self._fields = self._settings()
        self._outline = self._tick("show the mask", "outline")
        self._close = self._tick("only the face", "close")
        last_s = max(panel.clip.start_s, panel.end_s - 1.0 / panel.info.fps)
        # A slider that also tells where it is while it is drawn sends back what the kernel sets it
        # to: of two settings in a row the first would come back after the second.
        span = {"min": panel.clip.start_s, "max": last_s, "step": 1.0 / panel.info.fps}
        span["continuous_update"] = False
        self._time = self.field("FloatSlider", "frame at, s", 660, span)
        self.on_change(self._time, panel.show_frame)
        self._picture = w.Image(format="png")
        self._far, self._ended = w.HTML(), w.HTML()
        self._bar = w.IntProgress(layout={"width": "300px"})
        self._render = self.button("Render the clip", panel.start, main=True)
        self._stop = self.button("Stop", panel.cancel)
        self._film = w.VBox()
        self.box = self._lay_out()
        self.refresh()
        self.tell()

    def _lay_out(self) -> Any:
        w, fields = self._w, list(self._fields.values())
        ticks = self.row(self._outline, self._close)
        columns = [w.VBox(column) for column in (fields[:4], [*fields[4:], ticks])]
        run = self.row(self._render, self._stop, self._bar, self._far)
        parts = [self._time, self.said, self._picture, self.row(*columns), run]
        return self.page(*parts, self._ended, self._film)

    def _settings(self) -> dict[str, Any]:
        """A widget for each setting, by its name in SwapConfig."""
        known, made = form_fields(self._panel.config), {}
        for name, text in SHOWN.items():
            if name != "learned_mask" or self._panel.draws_mask:
                value, words = getattr(self._panel.config, name), WORDS.get(name)
                made[name] = setting_widget(self, known[name], value, text, (470, 150), words)
                self.on_change(made[name], partial(self._set, name))
        return made

    def _set(self, name: str, value: object) -> None:
        self._panel.set({name: value})

    def _tick(self, text: str, name: str) -> Any:
        """A box to tick for an attribute of the panel."""
        box = self.field("Checkbox", text, 200, {"indent": False})

        def turn(value: bool) -> None:
            setattr(self._panel, name, value)
            self._panel.show_frame()

        self.on_change(box, turn)
        return box

    def refresh(self) -> None:
        """Draw the frame anew, and set the widgets to what the panel says."""
        panel = self._panel
        with self.quietly():
            for name, widget in self._fields.items():
                show_setting(widget, getattr(panel.config, name), WORDS.get(name))
            self._time.value = panel.time_s
            self._outline.value, self._close.value = panel.outline, panel.close
        self.attempt(self._draw)

    def _draw(self) -> None:
        pair = self._panel.look()
        self._picture.value = png_bytes(pair.image)
        said = f"Left: as filmed. Right: {SAID[pair.outcome]} ({pair.time_s:.2f} s)."
        if (caution := self._panel.caution) is not None:
            said += f" Careful: {caution}."
        self.say(said, GREY if caution is None else RED)

    def tell(self) -> None:
        """Show how far the rendering is, or how it ended."""
        job = self._panel.job
        self._render.disabled, self._stop.disabled = job.running, not job.running
        done, total = (0, 1) if job.progress is None else job.progress[:2]
        self._bar.max, self._bar.value = total, done
        self._far.value = "" if job.progress is None else str(job.progress)
        ended, colour = "", GREY
        if job.running:
            self._film.children = ()
        elif isinstance(job.error, CancelledError):
            ended = f"{job.error}; nothing was written"
        elif job.error is not None:
            ended, colour = str(job.error), RED
        elif job.result is not None:
            ended = "\n".join([str(job.result), *passages(job.result)])
            self._film.children = self._results()
        self._ended.value = coloured(ended, colour)

    def _results(self) -> tuple[Any, ...]:
        """The film with its sound, and a way to download it."""
        path, shown = self._panel.path, []
        if path.stat().st_size <= SHOWN_MB * 1e6:
            film = self._w.Video(value=path.read_bytes(), format="mp4", autoplay=False)
            film.layout.max_height = "480px"
            shown.append(film)
        if in_colab():
            return (*shown, self.button(f"Download {path.name}", lambda: _to_browser(path)))
        # A notebook finds relative links in outputs, not in widgets, so the link is an output.
        data = {"text/html": download_link(path), "text/plain": str(path)}
        link = self._w.Output()
        link.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        return (*shown, link)


def _to_browser(path: Path) -> None:
    from google.colab import files

    files.download(str(path))

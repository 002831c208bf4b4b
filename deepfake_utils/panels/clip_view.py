"""The widgets of a `clip.ClipPanel`, for ipywidgets 7 and 8."""

from __future__ import annotations

import contextlib
import dataclasses
import html
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from ..consent import Subject
from ..images import Image, Points
from .base import GREY, RED, View, coloured, png_bytes
from .form import GROUNDS, ConfigForm
from .places import uploaded

WHO = {"a": "Person A, who is in the video", "b": "Person B, whose face is put there"}
WAYS = {
    "the sample clip": "sample",
    "a file to upload": "upload",
    "a path or a folder, also in Drive": "path",
    "a link": "link",
}
DETAILS = ["given", "expires", "audience", "role"]  # of an agreement
PLACES = ("first", "middle", "last")  # of the frames that are shown
PICTURE_PX = 300  # width of each of the three pictures


def picture(frame: Image, points: Points) -> Image:
    """A frame made small, with the points of its face, (H, 300, 3) RGB uint8.

    Args:
        frame: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in the frame's pixels; (0, 2) without a face.
    """
    scale = PICTURE_PX / frame.shape[1]
    size = (PICTURE_PX, max(1, round(frame.shape[0] * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    for x, y in points * scale:
        centre = round(float(x)), round(float(y))
        cv2.circle(small, centre, 2, (0, 220, 120), -1, cv2.LINE_AA)
    return np.asarray(small, np.uint8)


class ClipView(View):
    """Widgets of a `clip.ClipPanel`: choose, trim, see what was found, say why it may be used."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        w = self._w
        self._choices()
        self._trimming()
        self._agreeing()
        title = w.HTML(f"<b>{WHO[panel.person]}</b>")
        parts = [title, self._way, *self._rows.values(), self._output, self.said, self._pictures]
        parts += [self._sliders, self._ground, self._agreed]
        self.box = self.page(*parts)
        self._show_way()
        self.refresh()

    # What they are ----------------------------------------------------------------------------

    def _agreeing(self) -> None:
        """A choice in words; day, end and audience of an agreement are folded below it."""
        w = self._w
        grounds = [("Nobody has agreed yet", ""), *((text, name) for name, text in GROUNDS.items())]
        self._basis = w.RadioButtons(options=grounds, layout={"width": "auto"})
        self._form = ConfigForm(Subject(self._panel.person.upper()), DETAILS)
        self._form.edited = self._agree
        self.on_change(self._basis, lambda _: self._agree())
        more = w.Accordion([self._form.box], selected_index=None)
        more.set_title(0, "Since when, until when, and for whom")
        self._ground = w.VBox([w.HTML("<b>Whose face is it?</b>"), self._basis, more])
        self._agreed, self._agreed_for = w.HTML(), ""  # what is said, and of which clip

    def _choices(self) -> None:
        w, panel = self._w, self._panel
        self._way = self._field(
            "Dropdown",
            "take the clip from",
            {"options": list(WAYS.items()), "value": "path"},
        )
        self._upload = w.FileUpload(accept="video/*,.mkv", multiple=False, description="choose")
        # Of a text that is not sent while it is typed, the change is Enter, or leaving the field.
        self._path = self._field(
            "Text",
            "path",
            {"placeholder": "me.mp4, clips/ or drive:clips", "continuous_update": False},
            860,
        )
        self._whole = w.HTML()  # of a long path the field shows a part only
        self._videos = self._field("Dropdown", "video in the folder", {"options": [("-", "")]})
        self._link = self._field("Text", "link or Drive id", {"placeholder": "https://..."}, 860)
        self._hash = self._field("Text", "SHA-256", {"placeholder": "optional"})
        sample = self.button("use it", panel.use_sample, main=True)
        path = self.button("look there", self._look_there, main=True)
        link = self.button("download", self._fetch, main=True)
        self._rows = {
            "sample": self.row(sample, w.Label("a synthetic person: nobody's face is needed")),
            "upload": self.row(self._upload, w.Label("a long film is better put into a Drive")),
            "path": w.VBox([self.row(self._path, path), self._whole, self._videos]),
            "link": w.VBox([self.row(self._link, link), self._hash]),
        }
        self._path.value = "" if panel.is_sample else panel.clip.path
        self._output = w.Output()  # the bar of a download, and what Drive says of itself
        self._way.observe(lambda _: self._show_way(), "value")
        self.on_change(self._upload, lambda _: self._take_upload())
        self.on_change(self._videos, panel.use_path)
        self.on_change(self._path, lambda text: self._look_there() if text.strip() else None)

    def _trimming(self) -> None:
        w = self._w
        self._images = [w.Image(format="png", layout={"width": "100%"}) for _ in PLACES]
        self._captions = [w.HTML() for _ in PLACES]
        columns = zip(self._images, self._captions, strict=True)
        self._pictures = w.HBox([w.VBox(column) for column in columns])
        self._pictures.add_class("du-columns")
        span = {"max": 1.0, "step": 0.1, "readout_format": ".1f", "continuous_update": False}
        self._start, self._end = (
            self._field("FloatSlider", name, span) for name in ("start / s", "end / s")
        )
        self._sliders = self.row(self._start, self._end)
        for slider in (self._start, self._end):
            self.on_change(slider, lambda _: self._trim())

    def _field(self, kind: str, text: str, values: dict[str, Any], width: int = 415) -> Any:
        return self.field(kind, text, width, values, "130px")

    # What they do -----------------------------------------------------------------------------

    def attempt(self, act: Callable[[], object]) -> None:
        """As `View.attempt`, with a word that it may take a moment; it can be interrupted."""
        self.say("a moment ...")
        with self._output:  # it swallows what is raised inside, so nothing may be
            try:
                super().attempt(act)
            except KeyboardInterrupt:
                self.say("stopped", RED)
        self._output.clear_output()

    def _look_there(self) -> None:
        """Take what the path names; of a folder, list the videos and take the first."""
        found = self._panel.videos(self._path.value)
        self.fill(self._videos, {"options": [(path.name, str(path)) for path in found]})
        self._videos.layout.display = "none" if len(found) < 2 else None
        self._panel.use_path(str(found[0]))

    def _take_upload(self) -> None:
        for name, content in uploaded(self._upload.value):
            self._panel.use_upload(name, content)
        # So that the browser's copy does not stay in memory.
        if hasattr(self._upload, "_counter"):  # ipywidgets 7
            self.fill(self._upload, {"metadata": [], "data": [], "_counter": 0})
        else:
            self.fill(self._upload, {"value": ()})

    def _fetch(self) -> None:
        self.say("downloading; interrupt the kernel to stop")
        self._panel.use_link(self._link.value, self._hash.value.strip() or None)

    def _trim(self) -> None:
        end_s = self._end.value
        whole = end_s > self._end.max - self._end.step  # its last step may be shorter
        self._panel.trim(self._start.value, None if whole else end_s)

    def _agree(self) -> None:
        """Take what was chosen; what is wrong with the details, their form says itself."""
        basis = self._basis.value
        if not self._quiet and (not basis or not self._form.problem):
            agreed = dataclasses.replace(self._form.value, basis=basis) if basis else None
            self.attempt(lambda: self._panel.agree(agreed))

    def focus(self) -> None:
        """Put the cursor where a path is written; ipywidgets 7 cannot."""
        if hasattr(self._path, "focus"):
            self._path.focus()

    # What they show ---------------------------------------------------------------------------

    def _show_way(self) -> None:
        for name, row in self._rows.items():
            row.layout.display = None if name == self._way.value else "none"

    def refresh(self) -> None:
        """Show what was found in the clip."""
        panel = self._panel
        self._videos.layout.display = "none" if len(self._videos.options) < 2 else None
        try:
            found = panel.found
        except (OSError, ValueError) as error:
            self.say(str(error), RED)
            return
        whole = "" if panel.is_sample else html.escape(panel.clip.path)
        self._whole.value = f"<small>{whole}</small>"
        self.say(panel.described, GREY if any(found.faces) else RED)
        moments = (found.start_s, (found.start_s + found.end_s) / 2, found.end_s)
        for index, image in enumerate(self._images):
            points = panel.points[index]
            image.value = png_bytes(picture(panel.frames[index], points))
            seen = "a face" if len(points) else "no face"
            self._captions[index].value = f"{PLACES[index]} frame, {moments[index]:.1f} s: {seen}"
        for slider, value in ((self._start, found.start_s), (self._end, found.end_s)):
            self.fill(slider, {"max": found.info.duration_s, "value": value})
        self._show_consent()

    def _show_consent(self) -> None:
        panel, form = self._panel, self._form
        if panel.clip.path != self._agreed_for:  # else what is being written stays
            self._agreed_for = panel.clip.path
            with self.quietly():
                form.reset()
                self._basis.value = ""
                with contextlib.suppress(ValueError):  # nobody has agreed yet
                    said = dataclasses.asdict(panel.consent)
                    self._basis.value = said["basis"]
                    form.set({name: said[name] for name in form.fields})
        self._ground.layout.display = "none" if panel.is_sample else None
        holds, said = panel.agreement
        missing = panel.asked or self._basis.value  # red only once it was needed, or is over
        self._agreed.value = coloured(said, RED if missing and not holds else GREY)

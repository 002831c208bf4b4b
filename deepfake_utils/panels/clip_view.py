"""The widgets of `data_panel`, for ipywidgets 7 and 8; what they do is in `data_choice`."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, get_args

import cv2
import numpy as np

from ..consent import Audience, Subject
from ..images import Image, Points
from .base import png_bytes
from .clip import DataChoice
from .clip_facts import PLACES
from .clip_words import GROUNDS, PROBLEMS, agreement, describe
from .places import uploaded

WHO = {"a": "Person A, who is in the video", "b": "Person B, whose face is put there"}
WAYS = {
    "the sample clip": "sample",
    "a file to upload": "upload",
    "a path or a folder, also in Drive": "path",
    "a link": "link",
}
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


class DataWidgets:
    """The widgets of one panel; `box` holds them.

    Args:
        panel: whose methods they call.
    """

    def __init__(self, panel: DataChoice) -> None:
        import ipywidgets as widgets

        self._widgets, self._panel = widgets, panel
        self._filling = False  # true while the sliders are set by us
        self._choices()
        self._trimming()
        self._agreeing()
        look = widgets.Layout(
            width="100%", max_width="980px", border="1px solid #ccc", padding="8px"
        )
        title = widgets.HTML(f"<b>{WHO[panel.person]}</b>")
        parts = [title, self._way, *self._rows.values(), self._progress, self._output, self._said]
        self.box = widgets.VBox([*parts, self._pictures, self._sliders, self._form], layout=look)
        self._show_way()
        self.refresh()

    # What they are ----------------------------------------------------------------------------

    def _choices(self) -> None:
        w = self._widgets
        start = "sample" if not self._panel.project.clips or self._is_sample() else "path"
        self._way = w.Dropdown(
            options=list(WAYS.items()), value=start, **_labelled(w, "take the clip from")
        )
        self._upload = w.FileUpload(accept="video/*,.mkv", multiple=False, description="choose")
        self._path = w.Text(placeholder="me.mp4, clips/ or drive:clips", **_labelled(w, "path"))
        self._videos = w.Dropdown(options=[("-", "")], **_labelled(w, "video in the folder"))
        self._link = w.Text(placeholder="https://...", **_labelled(w, "link or Drive id"))
        self._hash = w.Text(placeholder="optional", **_labelled(w, "SHA-256"))
        sample, path, link = (
            w.Button(description=text) for text in ("use it", "look there", "download")
        )
        self._rows = {
            "sample": _row(w, [sample, w.Label("a synthetic person: nobody's face is needed")]),
            "upload": _row(w, [self._upload, w.Label("a long film is better put into a Drive")]),
            "path": w.VBox([_row(w, [self._path, path]), self._videos]),
            "link": w.VBox([_row(w, [self._link, link]), self._hash]),
        }
        self._progress = w.IntProgress(max=1000, **_labelled(w, "download"))
        self._progress.layout.display = "none"
        self._output = w.Output()  # what Drive and an older gdown say of themselves
        self._said = w.HTML()
        self._way.observe(lambda _: self._show_way(), "value")
        sample.on_click(lambda _: self._do(self._panel.use_sample))
        path.on_click(lambda _: self._do(self._look_there))
        link.on_click(lambda _: self._do(self._fetch))
        self._upload.observe(lambda _: self._do(self._take_upload), "value")
        self._videos.observe(lambda _: self._do(self._take_video), "value")

    def _trimming(self) -> None:
        w = self._widgets
        wide, third = w.Layout(width="100%"), w.Layout(width="33%")
        self._images = [w.Image(format="png", layout=wide) for _ in PLACES]
        self._captions = [w.Label() for _ in PLACES]
        columns = zip(self._images, self._captions, strict=True)
        self._pictures = w.HBox([w.VBox(column, layout=third) for column in columns])
        self._start, self._end = (
            w.FloatSlider(
                min=0.0,
                max=1.0,
                step=0.1,
                continuous_update=False,
                readout_format=".1f",
                **_labelled(w, name),
            )
            for name in ("start / s", "end / s")
        )
        self._sliders = _row(w, [self._start, self._end])
        for slider in (self._start, self._end):
            slider.observe(lambda _: self._do(self._trim), "value")

    def _agreeing(self) -> None:
        w = self._widgets
        known, self._agreed_for = [("choose ...", ""), *GROUNDS.items()], ""
        self._fields = {
            "basis": w.Dropdown(options=known, **_labelled(w, "why it may be used")),
            "id": w.Text(**_labelled(w, "a letter, no name")),
            "audience": w.Dropdown(options=get_args(Audience), **_labelled(w, "for whom")),
            "expires": w.Text(placeholder="YYYY-MM-DD", **_labelled(w, "holds until")),
        }
        self._agreed = w.HTML()
        self._form = w.VBox(
            [
                w.HTML("<b>Whose face it is, and why it may be used</b>"),
                _row(w, [self._fields["basis"], self._fields["id"]]),
                _row(w, [self._fields["audience"], self._fields["expires"]]),
                self._agreed,
            ]
        )
        for field in self._fields.values():
            field.observe(lambda _: self._agree(), "value")

    # What they do -----------------------------------------------------------------------------

    def _do(self, action: Callable[[], object]) -> None:
        """Run what a widget asks for; what goes wrong is said in the panel."""
        if self._filling:
            return
        self._say("a moment ...")
        with self._output:  # it swallows what is raised inside, so nothing may be
            try:
                action()
                self.refresh()
            except PROBLEMS as error:
                self._say(str(error), "#b00020")
            except KeyboardInterrupt:
                self._say("stopped; what has come of a download is kept", "#b00020")
        self._progress.layout.display = "none"
        self._output.clear_output()

    def _look_there(self) -> None:
        """Take what the path names; of a folder, list the videos and take the first."""
        found = self._panel.videos(self._path.value)
        self._fill(self._videos, options=[(path.name, str(path)) for path in found])
        self._videos.layout.display = "none" if len(found) < 2 else None
        self._panel.use_path(str(found[0]))

    def _take_video(self) -> None:
        self._panel.use_path(self._videos.value)

    def _take_upload(self) -> None:
        for name, content in uploaded(self._upload.value):
            self._panel.use_upload(name, content)
        # So that the browser's copy does not stay in memory.
        if hasattr(self._upload, "_counter"):  # ipywidgets 7
            self._fill(self._upload, metadata=[], data=[], _counter=0)
        else:
            self._fill(self._upload, value=())

    def _fetch(self) -> None:
        self._progress.value = 0
        self._progress.layout.display = None
        self._panel.use_link(self._link.value, self._hash.value.strip() or None, self._tell)

    def _tell(self, done: int, total: int | None) -> None:
        self._progress.value = round(1000 * done / total) if total else 0
        known = f" of {total / 1e6:.1f}" if total else ""
        self._say(f"{done / 1e6:.1f}{known} MB; interrupt the kernel to stop, it can go on later")

    def _trim(self) -> None:
        end_s = self._end.value
        whole = end_s > self._end.max - self._end.step  # its last step may be shorter
        self._panel.trim(self._start.value, None if whole else end_s)

    def _agree(self) -> None:
        if self._filling:
            return
        values = {name: field.value for name, field in self._fields.items()}
        try:
            self._panel.agree(Subject(**values) if values["basis"] else None)
        except PROBLEMS as error:
            self._agreed.value = _coloured(str(error), "#b00020")

    # What they show ---------------------------------------------------------------------------

    def _say(self, text: str, colour: str = "#333") -> None:
        self._said.value = _coloured(text, colour)

    def _fill(self, widget: Any, **values: object) -> None:
        """Set a widget without its doing anything."""
        self._filling = True
        try:
            for name, value in values.items():
                setattr(widget, name, value)
        finally:
            self._filling = False

    def _show_way(self) -> None:
        for name, row in self._rows.items():
            row.layout.display = None if name == self._way.value else "none"

    def _is_sample(self) -> bool:
        return self._panel.is_sample

    def _subject(self) -> Subject | None:
        try:
            return self._panel.consent
        except ValueError:
            return None

    def refresh(self) -> None:
        """Show what was found in the clip."""
        self._videos.layout.display = "none" if len(self._videos.options) < 2 else None
        try:
            found = self._panel.found
        except PROBLEMS as error:
            self._say(str(error), "#b00020")
            return
        self._say(describe(self._panel), "#333" if any(found.faces) else "#b00020")
        moments = (found.start_s, (found.start_s + found.end_s) / 2, found.end_s)
        frames, points = self._panel.frames, self._panel.points
        for index, image in enumerate(self._images):
            image.value = png_bytes(picture(frames[index], points[index]))
            seen = ("no face", "a face")[len(points[index]) > 0]
            self._captions[index].value = f"{PLACES[index]} frame, {moments[index]:.1f} s: {seen}"
        length_s = found.info.duration_s
        self._fill(self._start, max=length_s, value=found.start_s)
        self._fill(self._end, max=length_s, value=found.end_s)
        self._show_consent()

    def _show_consent(self) -> None:
        sample, subject, clip = self._is_sample(), self._subject(), self._panel.clip.path
        if clip != self._agreed_for:  # else what is being written stays
            self._agreed_for, start = clip, subject or Subject(self._panel.person.upper())
            for name, field in self._fields.items():
                self._fill(field, value=getattr(start, name) or "", disabled=sample)
            if subject is None:
                self._fill(self._fields["basis"], value="")
        holds, text = agreement(self._panel)
        self._agreed.value = _coloured(text, "#333" if holds else "#b00020")


def _labelled(widgets: Any, text: str) -> dict[str, Any]:
    """Description and look that all fields share."""
    look = {"style": {"description_width": "140px"}, "layout": widgets.Layout(width="415px")}
    return {"description": text, **look}


def _row(widgets: Any, children: list[Any]) -> Any:
    """Side by side, or below each other where the page is narrow."""
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap"))


def _coloured(text: str, colour: str) -> str:
    lines = "<br>".join(html.escape(text).splitlines())
    return f'<div style="color:{colour};max-width:950px;line-height:1.4">{lines}</div>'

"""One frame of a swap, quickly, again and again with other settings: as filmed, and swapped.

Reading a frame, finding its face and drawing it do not depend on how the face is laid over the
frame, so each is done once and remembered; a change of mask, colours or blending only blends anew.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from ..faces import AlignedFace
from ..images import Image, Points, scale_points
from ..landmarks import Face, Landmarker, Watcher, watch
from ..marking.label import draw_label
from ..marking.watermark import SMALLEST, Watermark, WatermarkConfig, new_mark_id
from ..swapping import DrawnFace, Layers, Outcome, SwapConfig, Swapped, Swapper
from ..tracking.people import FaceChoice, FaceFollower
from ..umeyama import invert, transform_points
from ..video import TimedFrame, read_timed_frames

FRAMES = 8  # kept as read; one of 1080 lines takes 6 MB
FACES = 64  # kept as found and as drawn; each takes far less than a frame
BOX_WH = (490, 480)  # pixels; two pictures of this size lie beside each other in a notebook
GAP = 8  # pixels between them
CLOSE = 1.7  # side of a close view, in sizes of the 68 points
LINES = ((0.02, (240, 240, 240)), (0.5, (255, 220, 60)))  # levels of the mask, colours


class Pair(NamedTuple):
    """One frame twice, at the size it is shown."""

    filmed: Image  # (h, w, 3) RGB uint8
    swapped: Image  # (h, w, 3) RGB uint8, with label and watermark; as filmed if nothing changed
    time_s: float  # of the frame, seconds after the clip's first
    outcome: Outcome  # what became of the frame

    @property
    def image(self) -> Image:
        """Both beside each other, (h, 2 w + `GAP`, 3) RGB uint8."""
        gap = np.full((len(self.filmed), GAP, 3), 255, np.uint8)
        return np.hstack([self.filmed, gap, self.swapped])


class _Found(NamedTuple):
    """The face that is swapped in a frame; if there is none, why."""

    face: AlignedFace | None
    outcome: Outcome


class Preview:
    """Shows frames of a clip as they will be in the swap.

    The landmarks are those of the frame alone; `rendering.swap_video` steadies them by the frames
    around it, which moves them by about a pixel.

    Args:
        path: the clip.
        swapper: draws the faces; its settings do not matter here.
        choose: whose face is swapped where several are seen; None takes the largest.
    """

    def __init__(
        self, path: str | os.PathLike[str], swapper: Swapper, choose: FaceChoice | None = None
    ) -> None:
        self.path, self._swapper, self._choose = path, swapper, choose
        self._watermark = Watermark(WatermarkConfig(refresh=1))  # each picture stands for itself
        self._mark_id = new_mark_id()
        # Caches of this object, not of the class: they go when it goes.
        self._frame = lru_cache(FRAMES)(self._read)
        self._found = lru_cache(FACES)(self._find)
        self._drawn = lru_cache(FACES)(self._draw)

    def pair(
        self, time_s: float, config: SwapConfig, outline: bool = False, close: bool = False
    ) -> Pair:
        """A frame as filmed, and as swapped with its marks.

        Args:
            time_s: seconds after the clip's first frame; the first frame then or later.
            config: how the face is put into the frame.
            outline: draws the mask's middle (yellow) and its outer end (white) over the filmed one.
            close: True shows the face only, if there is one.

        Raises:
            FileNotFoundError, ValueError: if the clip cannot be read or has no such frame.
        """
        frame, swapped = self._swap(time_s, config)
        box, face = _whole(frame.image), self._found(time_s).face
        if close and face is not None:
            box = _around(transform_points(face.landmarks, invert(face.matrix)), frame.image)
        left, scale = _cut(frame.image, box)
        if outline and swapped.layers is not None:
            _draw_mask(left, swapped.layers, box, scale)
        right = left if swapped.image is None else self._marked(_cut(swapped.image, box)[0])
        return Pair(left, right, frame.time_s, swapped.outcome)

    def _swap(self, time_s: float, config: SwapConfig) -> tuple[TimedFrame, Swapped]:
        """The frame, and what becomes of it, still without its marks."""
        frame, found = self._frame(time_s), self._found(time_s)
        if found.face is None:
            return frame, Swapped(None, found.outcome)
        (drawn,) = self._drawn(time_s, SwapConfig(config.identity, covered=config.covered))
        return frame, self._swapper.with_config(config).blend(frame.image, found.face, drawn)

    def _marked(self, image: Image) -> Image:
        labelled = draw_label(image)
        if min(image.shape[:2]) < SMALLEST:
            return labelled
        return self._watermark.write(labelled, self._mark_id)

    def _read(self, time_s: float) -> TimedFrame:
        return next(read_timed_frames(self.path, time_s, quiet=True))

    def _find(self, time_s: float) -> _Found:
        frame = self._frame(time_s)
        faces = self._swapper.landmarker(frame.image)
        points = FaceFollower(self._choose)(frame.image, frame.time_s, faces)
        if points is None:
            return _Found(None, "other person" if faces else "no face")
        return _Found(self._swapper.align(frame.image, points), "swapped")

    def _draw(self, time_s: float, config: SwapConfig) -> list[DrawnFace]:
        face = self._found(time_s).face
        return self._swapper.with_config(config).swap_faces([] if face is None else [face])


class InTurn:
    """A landmarker that several threads may call: one after the other.

    Args:
        landmarker: frame -> list of (68, 2) points.
    """

    def __init__(self, landmarker: Landmarker) -> None:
        self._landmarker, self._lock = landmarker, threading.Lock()

    def __call__(self, frame: Image) -> list[Points]:
        """The landmarks of a frame, (H, W, 3) RGB uint8."""
        with self._lock:
            return self._landmarker(frame)

    def follow(self) -> Watcher:
        """What finds the faces in the frames of one film, in turn with all else."""
        look = watch(self._landmarker)

        def in_turn(frame: Image, time_s: float) -> list[Face]:
            with self._lock:
                return look(frame, time_s)

        return in_turn


Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the frame, the last two not included


def _whole(frame: Image) -> Box:
    return (0, 0, frame.shape[1], frame.shape[0])


def _around(points: Points, frame: Image) -> Box:
    """A square around a face, as far as it lies in the frame."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = CLOSE * float((high - low).max()) / 2.0
    x0, y0 = np.maximum(np.floor((low + high) / 2.0 - half), 0).astype(int)
    x1, y1 = np.minimum(np.ceil((low + high) / 2.0 + half), frame.shape[1::-1]).astype(int)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return _whole(frame)
    return (int(x0), int(y0), int(x1), int(y1))


def _cut(frame: Image, box: Box) -> tuple[Image, float]:
    """A part of a frame at the size it is shown, and by what it was enlarged."""
    x0, y0, x1, y1 = box
    scale = min(BOX_WH[0] / (x1 - x0), BOX_WH[1] / (y1 - y0))
    if box == _whole(frame):
        scale = min(scale, 1.0)
    wh = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame[y0:y1, x0:x1], wh, interpolation=how), np.uint8), scale


def _draw_mask(image: Image, layers: Layers, box: Box, scale: float) -> None:
    """Draw lines of equal mask into a picture of a part of the frame."""
    ratio = len(layers.image) / len(layers.mask)
    to_frame = invert(layers.matrix)
    for level, colour in LINES:
        inside = (layers.mask >= level).astype(np.uint8)
        found, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for line in found:
            at = scale_points(line[:, 0], ratio)
            shown = scale_points(transform_points(at, to_frame) - box[:2], scale)
            smooth = np.rint(shown * 8.0).astype(np.int32)  # 3 bits of sub-pixel position
            cv2.polylines(image, [smooth], True, colour, 1, cv2.LINE_AA, shift=3)

"""Finding faces: BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047), in its two sizes.

The net for the back camera looks at 256x256 pixels and finds small, turned and many faces; the one
for the short range looks at 128x128 pixels and takes a tenth of the time. Both give a box and six
points for each face. How their numbers are to be read follows the paper and the public description
of the models.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points, check_image
from .weights import BACK_FILE, SHORT_FILE, forward, read_model

SIZES = {BACK_FILE: 256, SHORT_FILE: 128}  # side of the square that each net sees, pixels
OVERLAP = 0.3  # boxes that share more than this part of their union are one face
TILE = 512  # least side of the tiles that small faces are looked for in, pixels of the frame
SHARED = 0.2  # part of a tile's side that its neighbour sees, too: more than its small faces need


@dataclass(frozen=True)
class Detection:
    """One face as BlazeFace sees it.

    Attributes:
        score: 0..1.
        box: left, top, right, bottom in frame pixels, (4,) float64.
        points: (6, 2) in frame pixels: the eye on the left of the picture (the person's right),
            the other eye, nose tip, mouth, the ear on the left of the picture, the other ear.
    """

    score: float
    box: NDArray[np.float64]
    points: Points

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return float(np.prod(self.box[2:] - self.box[:2]))


def anchors() -> NDArray[np.float64]:
    """Centres of BlazeFace's 896 anchors, (896, 2), as (x, y) in 0..1 of its square.

    A 16x16 grid with two anchors to a cell, then an 8x8 grid with six. All have the same size,
    so that a centre is all there is to know.
    """
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        centres = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(grids)


def overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box (4,) with each of `boxes` (N, 4), in 0..1."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    both = np.prod(np.clip(high - low, 0.0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return both / np.maximum(areas + np.prod(box[2:] - box[:2]) - both, 1e-9)


def _merge(scores: NDArray[np.float64], raw: NDArray[np.float64]) -> list[Detection]:
    """Make one detection of each group of overlapping boxes: their mean, weighted by score.

    The mean of a group moves less from frame to frame than the best box of it does.

    Args:
        scores: (N,).
        raw: (N, 16), rows of left, top, right, bottom and six points.
    """
    found = []
    order = np.argsort(-scores)
    while order.size:
        same = overlap(raw[order[0], :4], raw[order, :4]) > OVERLAP
        same[0] = True  # also where the box has no area
        group = order[same]
        mean = np.average(raw[group], axis=0, weights=scores[group])
        found.append(Detection(float(scores[order[0]]), mean[:4], mean[4:].reshape(6, 2)))
        order = order[~same]
    return found


Square = tuple[float, float, float]  # left, top, side; frame pixels


def views(height: int, width: int) -> list[Square]:
    """Squares of a frame to look for faces in.

    The net for the back camera sees 256x256 pixels and knows faces that are 14 pixels high or
    fill them. The first square is the whole frame; then come overlapping tiles for small faces, a
    third of the longer side long or `TILE`, whichever is more. So faces of 40 pixels are within
    reach up to 1920x1080, and those of a 48th of the longer side in larger frames.
    """
    side = float(max(height, width))
    found = [((width - side) / 2, (height - side) / 2, side)]
    tile = max(float(TILE), side / 3.0)
    if tile < side:
        tops, lefts = _steps(height, tile), _steps(width, tile)
        found += [(left, top, tile) for top in tops for left in lefts]
    return found


def _steps(length: float, side: float) -> list[float]:
    """Starts of intervals `side` long that cover `length` and share `SHARED` with the next."""
    if length <= side:
        return [(length - side) / 2]
    count = int(np.ceil((length - side) / (side * (1.0 - SHARED)))) + 1
    return [float(start) for start in np.linspace(0.0, length - side, count)]


class BlazeFace:
    """One of the two nets: the faces in a square."""

    def __init__(
        self, file: str = BACK_FILE, models_dir: str | os.PathLike[str] | None = None
    ) -> None:
        """Load the model.

        Args:
            file: which one, a key of `SIZES`.
            models_dir: folder with the model; None is the package's own.

        Raises:
            ValueError: if the model file is not the expected one.
        """
        self.size = SIZES[file]
        self._net = read_model(file, models_dir)
        self._anchors = anchors()

    def __call__(
        self, square: Image, min_score: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Candidates in a picture (size, size, 3).

        Returns:
            Scores (N,), and (N, 8, 2): two corners of the box and the six points, (x, y) in shares
            of the square, 0 at the outer edge of its first pixels and 1 at that of its last.
        """
        # 0..255 -> -1..1, the range the networks were trained on
        self._net.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        regressed, logits = forward(self._net, ["regressors", "classificators"])
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1).astype(np.float64), -80, 80)))
        keep = scores >= min_score
        # 16 numbers per anchor, in pixels of the square and relative to the anchor's centre:
        # the box's centre, its size (not relative), six points
        raw = regressed.reshape(-1, 8, 2)[keep].astype(np.float64) / self.size
        half = raw[:, 1] / 2
        raw[:, 1] = 0.0
        raw += self._anchors[keep][:, None]
        raw[:, 0], raw[:, 1] = raw[:, 0] - half, raw[:, 0] + half
        return scores[keep], raw


class FaceDetector:
    """Where the faces in a frame are, also small, turned and many."""

    def __init__(
        self,
        *,
        min_score: float = 0.5,
        search: bool = True,
        models_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Load the model.

        Args:
            min_score: faces with a lower score are left out, 0..1.
            search: False looks at the whole frame only, not at all of its `views`.
            models_dir: folder with the model; None is the package's own.

        Raises:
            ValueError: if `min_score` is not in 0..1, or the model file is not the expected one.
        """
        if not 0.0 < min_score < 1.0:
            raise ValueError(f"min_score: expected a number between 0 and 1, got {min_score}")
        self.min_score = min_score
        self.search = search
        self._net = BlazeFace(BACK_FILE, models_dir)

    def __call__(self, frame: Image) -> list[Detection]:
        """Faces in `frame` (H, W, 3), largest first; [] if there is none.

        Takes about 20 ms for each of the `views`: of one at 512x512 pixels, three at 640x360, seven
        at 1280x720 and nine at 1920x1080.

        Raises:
            TypeError: if `frame` is not a uint8 array.
            ValueError: if its shape is not (H, W, 3).
        """
        check_image(frame, "frame")
        squares = views(*frame.shape[:2])
        results = [self._look(frame, *square) for square in squares[: None if self.search else 1]]
        scores, raw = (np.concatenate(part) for part in zip(*results, strict=True))
        return sorted(_merge(scores, raw), key=lambda d: d.area, reverse=True)

    def _look(
        self, frame: Image, left: float, top: float, side: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores (N,) and boxes with points (N, 16) in frame pixels of the faces in a square."""
        small = _cut_square(frame, left, top, side, self._net.size)
        scores, unit = self._net(small, self.min_score)
        # 0..1 of the square runs over its pixels' outer edges, half a pixel before their centres
        return scores, unit.reshape(-1, 16) * side + np.tile([left - 0.5, top - 0.5], 8)


def _cut_square(frame: Image, left: float, top: float, side: float, size: int) -> Image:
    """The square of `frame` that starts at (left, top), resized to size x size, black outside.

    Pixels are averaged (INTER_AREA) rather than sampled, so that fine texture does not flicker.
    """
    height, width = frame.shape[:2]
    x0, y0 = max(round(left), 0), max(round(top), 0)
    x1, y1 = min(round(left + side), width), min(round(top + side), height)
    scale = size / side
    out = np.zeros((size, size, 3), np.uint8)
    # where that part of the frame goes; never empty, also for a frame one pixel high
    u0, u1 = (round(float(np.clip((x - left) * scale, 0, size))) for x in (x0, x1))
    v0, v1 = (round(float(np.clip((y - top) * scale, 0, size))) for y in (y0, y1))
    u0, v0 = min(u0, size - 1), min(v0, size - 1)
    u1, v1 = max(u1, u0 + 1), max(v1, v0 + 1)
    part = np.ascontiguousarray(frame[y0:y1, x0:x1])
    out[v0:v1, u0:u1] = cv2.resize(part, (u1 - u0, v1 - v0), interpolation=cv2.INTER_AREA)
    return out

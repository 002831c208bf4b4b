"""Finding faces: BlazeFace, short range (Bazarevsky et al. 2019, arXiv:1907.05047).

It looks at a square of 128x128 pixels and gives a box and six points for each face in it. How its
numbers are to be read follows the paper and the public description of the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points, check_image
from .weights import DETECTOR_FILE, forward, read_model

DETECTOR_SIZE = 128  # side of the square that BlazeFace sees, pixels
OVERLAP = 0.3  # boxes that share more than this part of their union are one face


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


def views(height: int, width: int) -> list[list[Square]]:
    """Squares of a frame to look for faces in, in rounds: the next only if one shows no face.

    BlazeFace sees 128x128 pixels and knows faces that fill about 15 to 70 % of them. The whole
    frame comes first; then a square half as large again, for a face that fills the frame; then
    overlapping squares of half the side, for small faces.
    """
    side = float(max(height, width))
    rounds = [[((width - s) / 2, (height - s) / 2, s)] for s in (side, 1.5 * side)]
    if side > DETECTOR_SIZE:  # else the whole frame was seen in full detail
        half = side / 2
        tops, lefts = _steps(height, half), _steps(width, half)
        rounds.append([(left, top, half) for top in tops for left in lefts])
    return rounds


def _steps(length: float, side: float) -> list[float]:
    """Starts of intervals `side` long that cover `length` and overlap by at least half."""
    if length <= side:
        return [(length - side) / 2]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [float(start) for start in np.linspace(0.0, length - side, count)]


class FaceDetector:
    """BlazeFace, short range: where the faces in a frame are."""

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
            search: where the whole frame shows no face, also look at a larger and at smaller
                squares of it (see `views`).
            models_dir: folder with the model; None is the package's own.

        Raises:
            ValueError: if `min_score` is not in 0..1, or the model file is not the expected one.
        """
        if not 0.0 < min_score < 1.0:
            raise ValueError(f"min_score: expected a number between 0 and 1, got {min_score}")
        self.min_score = min_score
        self.search = search
        self._net = read_model(DETECTOR_FILE, models_dir)
        self._anchors = anchors()

    def __call__(self, frame: Image) -> list[Detection]:
        """Faces in `frame` (H, W, 3), largest first; [] if there is none.

        Raises:
            TypeError: if `frame` is not a uint8 array.
            ValueError: if its shape is not (H, W, 3).
        """
        return next((found for found in self.rounds(frame) if found), [])

    def rounds(self, frame: Image) -> Iterator[list[Detection]]:
        """What each round of `views` finds, largest first; only one round unless `search` is set.

        For callers with a better judgement of what is a face, who can go on if all that a round
        found is none.

        Args:
            frame: (H, W, 3) RGB uint8.

        Raises:
            TypeError, ValueError: if `frame` is not such an array.
        """
        check_image(frame, "frame")
        rounds = views(*frame.shape[:2])
        for squares in rounds if self.search else rounds[:1]:
            results = [self._run(frame, *square) for square in squares]
            scores, raw = (np.concatenate(part) for part in zip(*results, strict=True))
            yield sorted(_merge(scores, raw), key=lambda d: d.area, reverse=True)

    def _run(
        self, frame: Image, left: float, top: float, side: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores (N,) and boxes with points (N, 16) of the candidates in one square."""
        small = _cut_square(frame, left, top, side, DETECTOR_SIZE)
        # 0..255 -> -1..1, the range the network was trained on
        self._net.setInput(cv2.dnn.blobFromImage(small, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        regressed, logits = forward(self._net, ["regressors", "classificators"])
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1).astype(np.float64), -80, 80)))
        keep = scores >= self.min_score
        # 16 numbers per anchor, in pixels of the square and relative to the anchor's centre:
        # the box's centre, its size (not relative), six points
        raw = regressed.reshape(-1, 16)[keep].astype(np.float64) / DETECTOR_SIZE
        centre = self._anchors[keep]
        middle, size = raw[:, :2] + centre, raw[:, 2:4]
        points = raw[:, 4:].reshape(-1, 6, 2) + centre[:, None]
        unit = np.concatenate(
            [middle - size / 2, middle + size / 2, points.reshape(-1, 12)], axis=1
        )
        # 0..1 of the square runs over its pixels' outer edges, half a pixel before their centres
        return scores[keep], unit * side + np.tile([left - 0.5, top - 0.5], 8)


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

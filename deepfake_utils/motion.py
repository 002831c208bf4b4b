"""Carrying points along with the picture, which moves more truly than landmarks do.

Landmarks err by a few pixels that hardly tremble but depend on the pose: as a head turns from side
to side they slide over its skin, on each person in another way. The skin's own motion from one
frame to the next is known better, to a few hundredths of a pixel, but adds up to a drift. So points
go along with the skin and are drawn slowly towards the landmarks, once forwards and once backwards
in time; in the mean of the two most of the drift cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Image, Points
from .umeyama import transform_points, umeyama

# All in shares of a face's size, the square root of the area of the box around its points.
FACE_PIXELS = 140.0  # ... which is made that small if it is larger
SIDE = 2.2  # of a patch
WINDOW = 0.3  # side of the square around a point that is looked for again
TRUST = 0.003  # a point that does not come back so closely was lost
LIMIT = 0.1  # points that on average went farther from the landmarks than that begin anew


class Patch(NamedTuple):
    """The part of a frame around a face, without colour."""

    grey: NDArray[np.uint8]  # (S, S)
    low: Points  # (1, 2), where its first pixel lies in the frame made smaller
    scale: Points  # (1, 2), how much smaller, along x and y


def cut_patch(image: Image, points: Points, like: Patch | None = None) -> Patch:
    """Cut out a face.

    Args:
        image: (H, W, 3) RGB uint8; what lies outside is filled with its edge pixels.
        points: (K, 2) of the face, in pixels.
        like: the patch of the frame before. Its size and scale are kept as long as the face fits,
            as only such patches can be compared.
    """
    size, width_height = _size(points), np.array([image.shape[1::-1]])
    if like is None or not 0.6 < size * like.scale[0, 0] * SIDE / len(like.grey) < 1.4:
        side = math.ceil(SIDE * min(size, FACE_PIXELS))
        smaller = np.maximum(np.rint(width_height * min(1.0, FACE_PIXELS / size)), 1.0)
        scale = smaller / width_height  # as it is after rounding to whole pixels
    else:
        side, scale = len(like.grey), like.scale
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale.min() < 1.0:
        wh = np.rint(width_height * scale).astype(int)[0]
        grey = cv2.resize(grey, tuple(wh.tolist()), interpolation=cv2.INTER_AREA)
    low = np.rint((points.mean(axis=0) + 0.5) * scale - 0.5 - side / 2.0)
    shift = np.hstack([np.eye(2), -low.T])  # whole pixels: nothing is interpolated
    patch = cv2.warpAffine(
        grey, shift, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return Patch(np.asarray(patch, np.uint8), low, scale)


def _size(points: Points) -> float:
    return max(math.sqrt(float(np.prod(np.ptp(points, axis=0)))), 1.0)


def carry(before: Patch, after: Patch, points: Points, guess: Points) -> Points | None:
    """Where points go from one frame to the next, by the picture around each.

    B. D. Lucas and T. Kanade, "An Iterative Image Registration Technique with an Application to
    Stereo Vision", IJCAI 1981, with pyramids, there and back again: a point that does not come back
    was lost, and goes with the others by their similarity.

    Args:
        before: around the face in the first frame.
        after: in the second.
        points: (K, 2) in pixels of the first frame.
        guess: (K, 2) about where they are in the second.

    Returns:
        (K, 2) float64 in pixels of the second frame; None if most were lost, or the patches differ
        in size or scale.
    """
    if before.grey.shape != after.grey.shape or not np.array_equal(before.scale, after.scale):
        return None
    size = _size(points) * float(before.scale[0, 0])
    window = max(9, round(WINDOW * size) | 1)
    start = _in_patch(points, before)
    there = _flow(before.grey, after.grey, start, _in_patch(guess, after), window)
    again = _flow(after.grey, before.grey, there, start, window)
    kept = np.linalg.norm(again - start, axis=1) < max(TRUST * size, 0.2)
    if kept.sum() < max(4, len(points) // 4):
        return None
    rest = transform_points(start, umeyama(start[kept], there[kept]))
    moved = np.where(kept[:, None], there, rest)
    return np.asarray((moved + after.low + 0.5) / after.scale - 0.5, np.float64)


def _in_patch(points: Points, patch: Patch) -> Points:
    """Frame pixels -> pixels of a patch."""
    return (points + 0.5) * patch.scale - 0.5 - patch.low


def _flow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], start: Points, guess: Points, side: int
) -> Points:
    """Where points (K, 2) of `before` are in `after`."""
    moved, _, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        start.astype(np.float32)[:, None],
        guess.astype(np.float32)[:, None].copy(),
        winSize=(side, side),
        maxLevel=2,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.01),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved[:, 0], np.float64)


class MotionFollower:
    """Points that stick to a moving face, in one direction of time.

    In each frame they are carried along, then drawn towards the landmarks by a share
    1 - exp(-T / memory_s), T the time between the frames; at the start by 1 / n in frame n, so that
    they soon are the mean of all landmarks so far.

    Args:
        memory_s: for how long the picture's motion is believed; longer slides less, drifts more.

    Raises:
        ValueError: if `memory_s` is not above 0.
    """

    def __init__(self, memory_s: float = 2.0) -> None:
        if not memory_s > 0.0:
            raise ValueError(f"memory_s: expected more than 0 s, got {memory_s}")
        self.memory_s = memory_s
        self._last: tuple[Patch, float, Points, Points] | None = None
        self._count = 0

    def __call__(self, patch: Patch, time_s: float, found: Points) -> Points:
        """Where the points are in the next frame.

        Args:
            patch: around the face.
            time_s: of the frame.
            found: (K, 2) landmarks in frame pixels, the same K each time.

        Returns:
            (K, 2) float64 in frame pixels.
        """
        points = None
        if self._last is not None:
            before, before_s, was, was_found = self._last
            points = carry(before, patch, was, was + found - was_found)
            share = 1.0 - math.exp(-abs(time_s - before_s) / self.memory_s)
        if points is None or _far(points, found):
            points, self._count = found, 1
        else:
            self._count += 1
            points = points + max(share, 1.0 / self._count) * (found - points)
        self._last = patch, time_s, points, found
        return points


def _far(points: Points, found: Points) -> bool:
    """Whether points have left their landmarks."""
    return bool(np.linalg.norm((points - found).mean(axis=0)) > LIMIT * _size(found))


def follow_back(
    patches: Sequence[Patch], times_s: Sequence[float], found: Sequence[Points], memory_s: float
) -> list[Points]:
    """`MotionFollower` from the last frame to the first.

    Returns:
        Points (K, 2) of each frame, in the frames' own order.
    """
    follower = MotionFollower(memory_s)
    backwards = zip(reversed(patches), reversed(times_s), reversed(found), strict=True)
    return [follower(*each) for each in backwards][::-1]

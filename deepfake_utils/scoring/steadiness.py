"""Whether a swapped face trembles or flickers from frame to frame more than the film did."""

from __future__ import annotations

import cv2
import numpy as np

from ..images import Image, Points, check_image, check_points
from ..landmarks import INNER, STEADY, outer_eye_distance
from ..umeyama import umeyama


def landmark_jitter(before: Points, now: Points, after: Points) -> float:
    """How far the landmarks of one frame are off the way between its neighbours.

    The second difference, whose size for noise of standard deviation s is sqrt(6) s, root mean
    square of points 17-67. Heads move smoothly, so what is left is mostly noise; compare with
    that of the film before the swap, found by the same landmarker.

    Args:
        before: (68, 2), (x, y) in pixels, of the frame before.
        now: of the frame itself.
        after: of the next frame.

    Returns:
        The standard deviation of a coordinate, in percent of the distance between the outer
        corners of the eyes.

    Raises:
        ValueError: if points are not (68, 2).
    """
    before, now, after = (check_points(points, 68) for points in (before, now, after))
    off = (before - 2.0 * now + after)[INNER]
    return 100.0 * float(np.sqrt(np.square(off).mean() / 6.0)) / outer_eye_distance(now)


def frame_change(before: Image, now: Image, points_before: Points, points_now: Points) -> float:
    """How much the inner face changes from one frame to the next, its motion taken out.

    The earlier frame is laid onto the later by the similarity between their landmarks. What is left
    is what the mouth, the eyes and the light do, and flicker; take the film's own off.

    Args:
        before: (H, W, 3) RGB uint8.
        now: the same shape.
        points_before: (68, 2), (x, y) in pixels, of the face in `before`; for a swap those of the
            film, for the face ought to follow it.
        points_now: of the face in `now`.

    Returns:
        Mean absolute difference inside the hull of points 17-67, in levels of 0..255.

    Raises:
        TypeError, ValueError: if a frame or the points have a wrong type or shape, or no point lies
            inside the picture.
    """
    check_image(before, "before")
    check_image(now, "now")
    points_before = check_points(points_before, 68, "points_before")
    points_now = check_points(points_now, 68, "points_now")
    matrix = umeyama(points_before[STEADY], points_now[STEADY])  # before -> now
    height, width = now.shape[:2]
    hull = np.rint(cv2.convexHull(points_now[INNER].astype(np.float32))).astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), hull, 1) > 0
    if not inside.any():
        raise ValueError("points_now: expected points inside the picture, got all outside")
    laid = cv2.warpAffine(
        before, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return float(np.abs(laid[inside].astype(np.float64) - now[inside]).mean())

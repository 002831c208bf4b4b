"""Whether a swapped face does what the filmed one does: does the mouth open, do the eyes blink?

PSNR hardly sees it, as a blink is a few pixels of a few frames. A person's own film scores high
here, too: this says what a face does, not whose it is.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points, check_image, check_points
from ..umeyama import umeyama

Curve = NDArray[np.float64]  # (N,), one number a frame, NaN where no face was found

MIN_FRAMES = 10  # with fewer, chance decides over a correlation

_EYES = (36, 39), (42, 45)  # corners, left to right in the picture
_UPPER_LIP, _LOWER_LIP = (61, 62, 63), (67, 66, 65)  # inside, each above the other
# The picture of an eye, 48 pixels from corner to corner. What the lids cover and uncover is inside
# _OPENING; the skin on the cheekbone below is never covered by them, and lies in the same light.
_PATCH_WH = 48, 64
_CORNERS: Points = np.array([[0.0, 36.0], [47.0, 36.0]])
_OPENING = slice(15, 50), slice(6, 42)  # rows, columns
_SKIN = slice(58, 64), slice(0, 48)


def mouth_opening(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the lips are apart, as a share of the distance between the outer corners of the eyes.

    The mean of three gaps between the inner lips (61-67, 62-66, 63-65), across the line from one
    corner of the eyes to the other. By the eyes, because the mouth's own width changes as it opens.
    No correction for the head's pitch.

    Args:
        points: (68, 2) or (N, 68, 2), (x, y) in any unit.

    Returns:
        () or (N,) float64: 0 for closed lips, about 0.3 for a wide open mouth, negative where the
        points of the upper lip lie below the lower.

    Raises:
        ValueError: if the shape is another, a value is not finite, or the corners of the eyes
            coincide.
    """
    return gap(points, _UPPER_LIP, _LOWER_LIP, (36, 45))


def visible_eyelid_closing(frame: Image, points: Points) -> float:
    """How far the lids are closed, by what is seen between the corners of the eyes.

    An eye is white, grey, blue or brown, and a lid is of the colour of skin. Measured is how far
    the colours of the eye's surroundings are, on average, from that of the cheekbone below: the
    distance in the a and b of CIE Lab (so shadows count little) as a share of the skin's own
    distance from grey. Only the corners of the eyes are used, which landmarkers find well even
    where they do not see the lids.

    Compare values of one clip only, as the height depends on the colours of eyes and skin.

    Args:
        frame: (H, W, 3) RGB uint8, in colour.
        points: (68, 2), (x, y) in frame pixels.

    Returns:
        1 where all is skin, less the more of the eyes is seen; mean of both eyes.

    Raises:
        TypeError, ValueError: if the frame is no image or the points are not (68, 2).
    """
    check_image(frame, "frame")
    points = check_points(points, 68, "points")
    seen = 0.0
    for corners in _EYES:
        matrix = umeyama(points[list(corners)], _CORNERS)
        patch = cv2.warpAffine(frame, matrix, _PATCH_WH, borderMode=cv2.BORDER_REPLICATE)
        colours = cv2.cvtColor(patch.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[..., 1:]
        skin = np.median(colours[_SKIN].reshape(-1, 2), axis=0)
        away = np.linalg.norm(colours[_OPENING] - skin, axis=-1).mean()
        seen += float(away / max(float(np.linalg.norm(skin)), 1.0)) / len(_EYES)
    return 1.0 - seen


def gaze(frame: Image, points: Points) -> float:
    """Where between the corners of the eyes the irises are seen, by where it is darkest.

    The mean place of what is nearer in brightness to the darkest than to the median between the
    corners of an eye, weighed by how dark it is; the mean of both eyes. A turned head shows them
    off the middle, too, as it is what is seen that is drawn. Closed lids say little.

    Args:
        frame: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in frame pixels.

    Returns:
        From -1 (at the corner to the picture's left) to 1, 0 in the middle.

    Raises:
        TypeError, ValueError: if the frame is no image or the points are not (68, 2).
    """
    check_image(frame, "frame")
    points = check_points(points, 68, "points")
    found = []
    for corners in _EYES:
        matrix = umeyama(points[list(corners)], _CORNERS)
        patch = cv2.warpAffine(frame, matrix, _PATCH_WH, borderMode=cv2.BORDER_REPLICATE)
        grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)[30:42, 6:42].astype(np.float64)
        limit = (np.percentile(grey, 5.0) + np.median(grey)) / 2.0
        dark = np.clip(limit - grey, 0.0, None).sum(axis=0)
        place = float(dark @ np.linspace(-1.0, 1.0, len(dark)))
        found.append(place / max(float(dark.sum()), 1e-9))
    return float(np.mean(found))


def gap(
    points: NDArray[np.float64],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    ends: tuple[int, int],
) -> NDArray[np.float64]:
    """How far some of the 68 points lie below others, across the line between two more.

    Args:
        points: (68, 2) or (N, 68, 2), (x, y) in any unit.
        upper: numbers of the upper points.
        lower: numbers of as many lower points.
        ends: numbers of the two points that the line joins, from left to right in the picture.

    Returns:
        () or (N,) float64, the mean over the pairs as a share of the line's length.

    Raises:
        ValueError: if the shape is another, a value is not finite, or the ends coincide.
    """
    faces = np.asarray(points, np.float64)
    if faces.ndim not in (2, 3) or faces.shape[-2:] != (68, 2):
        raise ValueError(f"points: expected shape (68, 2) or (N, 68, 2), got {faces.shape}")
    check_points(faces.reshape(-1, 2), name="points")
    along = faces[..., ends[1], :] - faces[..., ends[0], :]
    down = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    squared = np.square(along).sum(axis=-1)
    if not squared.all():
        raise ValueError(f"points: expected {ends[0]} and {ends[1]} apart, got them in one place")
    apart = (faces[..., lower, :] - faces[..., upper, :]).mean(axis=-2)
    return np.asarray((apart * down).sum(axis=-1) / squared, np.float64)


def without_slow_part(curve: Curve, reach: int) -> Curve:
    """A curve less its median over `reach` frames before and after."""
    slow = np.full(len(curve), math.nan)
    for index in np.flatnonzero(np.isfinite(curve)):
        slow[index] = np.nanmedian(curve[max(0, index - reach) : index + reach + 1])
    return np.asarray(curve - slow, np.float64)


def correlation(seen: Curve, truth: Curve) -> float:
    """Pearson's correlation; 0 where only the truth moves, NaN where it does not."""
    if np.ptp(truth) < 1e-9:
        return math.nan
    if np.ptp(seen) < 1e-9:
        return 0.0
    return float(np.corrcoef(seen, truth)[0, 1])

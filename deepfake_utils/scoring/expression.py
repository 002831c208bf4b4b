"""Whether a swapped face does what the filmed one does: does the mouth open, do the eyes blink?

PSNR hardly sees it, as a blink is a few pixels of a few frames. A person's own film scores high
here, too: this says what a face does, not whose it is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points, check_image, check_points
from ..landmarks import Landmarker
from ..samples import FPS, TEST_START_S, load_truth
from ..umeyama import umeyama
from ..video import read_frames

Curve = NDArray[np.float64]  # (N,), one number a frame, NaN where no face was found

MIN_FRAMES = 10  # with fewer, chance decides over a correlation

_EYES = (36, 39), (42, 45)  # corners, left to right in the picture
_UPPER_LIDS, _LOWER_LIDS = ((37, 38), (43, 44)), ((41, 40), (47, 46))
_UPPER_LIP, _LOWER_LIP = (61, 62, 63), (67, 66, 65)  # inside, each above the other
# The picture of an eye, 48 pixels from corner to corner. What the lids cover and uncover is inside
# _OPENING; the skin on the cheekbone below is never covered by them, and lies in the same light.
_PATCH_WH = 48, 64
_CORNERS: Points = np.array([[0.0, 36.0], [47.0, 36.0]])
_OPENING = slice(15, 50), slice(6, 42)  # rows, columns
_SKIN = slice(58, 64), slice(0, 48)


@dataclass(frozen=True)
class ExpressionScore:
    """How closely a face follows what the renderer did: Pearson correlations over the frames.

    1 is perfect, 0 is no relation, as of a face that never moves. NaN where the truth does not
    move either, so that there is nothing to follow.
    """

    mouth: float  # of `mouth_opening` with the jaw's
    eyelids: float  # of `visible_eyelid_closing`, without what changes slowly, with the blinks
    frames: int  # frames that showed a face
    frames_without_face: int  # these are left out


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
    faces = _faces(points)
    return _gap(faces, _UPPER_LIP, _LOWER_LIP, (36, 45))


def eyelid_closing(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the lids are closed, by landmarks: 1 less the eye aspect ratio, mean of both eyes.

    T. Soukupova, J. Cech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016, eq. 1,
    with gaps measured across the eye and signed: closed lids of the renderer pass each other, and
    unsigned they would seem to open again. No better than the landmarks: `MeshLandmarker`'s follow
    lids loosely, for which there is `visible_eyelid_closing`.

    Args:
        points: (68, 2) or (N, 68, 2), (x, y) in any unit.

    Returns:
        () or (N,) float64: 1 where the lids meet, about 0.6 for open eyes.

    Raises:
        ValueError: if the shape is another, a value is not finite, or the corners of the eyes
            coincide.
    """
    faces = _faces(points)
    right, left = (
        _gap(faces, upper, lower, corners)
        for upper, lower, corners in zip(_UPPER_LIDS, _LOWER_LIDS, _EYES, strict=True)
    )
    return np.asarray(1.0 - (right + left) / 2.0, np.float64)


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


def score_expression(
    frames: Iterable[Image],
    jaw: NDArray[np.float64],
    blink: NDArray[np.float64],
    landmarker: Landmarker,
    fps: float = FPS,
) -> ExpressionScore:
    """How closely the largest face of each frame follows known movements of jaw and lids.

    The lids are measured relative to their median over the second around each frame: smiling,
    looking down and turning the head change slowly how much of an eye is seen, a blink takes a
    fifth of a second. Only the frames are looked at; what the landmarker says is its own affair, so
    one that knows the answer would score the mouth of any picture high.

    Args:
        frames: N frames (H, W, 3) RGB uint8.
        jaw: (N,), how far the jaw is open, in any unit.
        blink: (N,), how far the lids are closed, in any unit.
        landmarker: frame -> list of (68, 2) points, largest face first.
        fps: frames per second.

    Raises:
        ValueError: if the numbers of frames differ, or fewer than 10 frames show a face.
    """
    jaw, blink = np.asarray(jaw, np.float64), np.asarray(blink, np.float64)
    mouth, lids = _measure(frames, landmarker)
    if not jaw.shape == blink.shape == mouth.shape:
        raise ValueError(
            f"expected a number of jaw and blink for each of {len(mouth)} frames, got shapes "
            f"{jaw.shape} and {blink.shape}; cut all three to the same part"
        )
    found = np.isfinite(mouth)
    count = int(found.sum())
    if count < MIN_FRAMES:
        raise ValueError(
            f"expected a face in at least {MIN_FRAMES} frames, got {count} of {len(found)}; score "
            "a longer part, or look whether the swap still shows a face"
        )
    quick = without_slow_part(lids, round(fps / 2.0))
    return ExpressionScore(
        correlation(mouth[found], jaw[found]),
        correlation(quick[found], blink[found]),
        count,
        len(found) - count,
    )


def score_sample_expression(
    path: str | os.PathLike[str], landmarker: Landmarker, start_s: float = TEST_START_S
) -> ExpressionScore:
    """`score_expression` of a video in which sample person B's face was put on A.

    With `MeshLandmarker` the right answer itself, `sample_clips().person_b_as_a`, scores 0.96 for
    the mouth and 0.99 for the lids, person A as filmed 0.97 and 0.98: there is no more to reach.
    The sample has two blinks in its 100 frames.

    Args:
        path: the swapped video; its first frame is A's frame at `start_s`, and it may end early.
        landmarker: frame -> list of (68, 2) points, largest face first.
        start_s: from 14 s, where A's part for testing begins.

    Raises:
        FileNotFoundError, ValueError: if the video cannot be read, is longer than A's clip, or
            shows a face in fewer than 10 frames.
    """
    known = load_truth()
    frames = list(read_frames(path))
    skip = round((start_s - TEST_START_S) * FPS)
    left = len(known.jaw_b_as_a) - skip
    if skip < 0 or len(frames) > left:
        raise ValueError(
            f"expected start_s from {TEST_START_S} and at most {max(left, 0)} frames from there, "
            f"got start_s {start_s} and {len(frames)} frames in {path}"
        )
    part = slice(skip, skip + len(frames))
    return score_expression(frames, known.jaw_b_as_a[part], known.blink_b_as_a[part], landmarker)


def _faces(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points as float64 (..., 68, 2), checked."""
    points = np.asarray(points, np.float64)
    if points.ndim not in (2, 3) or points.shape[-2:] != (68, 2):
        raise ValueError(f"points: expected shape (68, 2) or (N, 68, 2), got {points.shape}")
    check_points(points.reshape(-1, 2), name="points")
    return points


def _gap(
    faces: NDArray[np.float64],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    ends: tuple[int, int],
) -> NDArray[np.float64]:
    """How far the lower points lie below the upper, across the line between the ends' points.

    A mean, as a share of that line's length.
    """
    along = faces[..., ends[1], :] - faces[..., ends[0], :]
    down = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    squared = np.square(along).sum(axis=-1)
    if not squared.all():
        raise ValueError(f"points: expected {ends[0]} and {ends[1]} apart, got them in one place")
    apart = (faces[..., lower, :] - faces[..., upper, :]).mean(axis=-2)
    return np.asarray((apart * down).sum(axis=-1) / squared, np.float64)


def _measure(frames: Iterable[Image], landmarker: Landmarker) -> tuple[Curve, Curve]:
    """`mouth_opening` and `visible_eyelid_closing` of each frame, NaN where there is no face."""
    rows: list[tuple[float, float]] = []
    for frame in frames:
        faces = landmarker(frame)
        if faces:
            rows.append((float(mouth_opening(faces[0])), visible_eyelid_closing(frame, faces[0])))
        else:
            rows.append((math.nan, math.nan))
    mouth, lids = np.array(rows, np.float64).reshape(-1, 2).T
    return mouth, lids


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

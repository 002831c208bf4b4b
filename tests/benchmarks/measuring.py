"""Measures that only benchmarks and tests need.

Scripts beside this file import it as `measuring`, tests as `benchmarks.measuring`.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deepfake_utils.images import Image
from deepfake_utils.landmarks import Landmarker
from deepfake_utils.samples import FPS, TEST_START_S, load_truth
from deepfake_utils.scoring.expression import (
    MIN_FRAMES,
    Curve,
    correlation,
    gap,
    mouth_opening,
    visible_eyelid_closing,
    without_slow_part,
)
from deepfake_utils.video import read_frames

EYES = (36, 39), (42, 45)  # corners, left to right in the picture
UPPER_LIDS, LOWER_LIDS = ((37, 38), (43, 44)), ((41, 40), (47, 46))


def luma_psnr(drawn: torch.Tensor, target: torch.Tensor, scale: int) -> float:
    """Peak signal-to-noise ratio of luma as papers on super-resolution state it, in dB.

    Args:
        drawn: (1, 1, H, W) float, as of `superres.network.luma`; rounded to 8 bits here.
        target: same shape, what it should be.
        scale: pixels along each side that do not count.

    Raises:
        ValueError: if the shapes differ or nothing is left inside.
    """
    if drawn.shape != target.shape or min(drawn.shape[-2:]) <= 2 * scale:
        raise ValueError(
            f"expected two lumas of one size, larger than {2 * scale} pixels, "
            f"got {tuple(drawn.shape)} and {tuple(target.shape)}"
        )
    inside = (..., slice(scale, -scale), slice(scale, -scale))
    seen = drawn.double().clamp(0.0, 1.0).mul(255.0).round() / 255.0
    error = (seen - target)[inside].square().mean()
    return float(-10.0 * error.clamp_min(1e-10).log10())


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
    right, left = (
        gap(points, upper, lower, corners)
        for upper, lower, corners in zip(UPPER_LIDS, LOWER_LIDS, EYES, strict=True)
    )
    return np.asarray(1.0 - (right + left) / 2.0, np.float64)


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

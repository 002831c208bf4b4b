"""For benchmarks and tests of tracking: how much points tremble, and how late they come."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def jitter(points: Array, truth: Array | None = None) -> float:
    """How much points tremble from frame to frame: root mean square, in their unit (pixels).

    Measured on the second difference in time, p[n + 1] - 2 p[n] + p[n - 1], divided by sqrt(6), so
    that noise which is independent from frame to frame counts with its own size, steady motion
    with nothing, and acceleration with little: a sway of 1 Hz and 10 px at 25 frames a second
    counts 0.18 px. With `truth` that is measured on the difference to it, so that no motion
    counts at all.

    Args:
        points: (N, K, 2), K points in N >= 3 frames that are evenly spaced in time.
        truth: (N, K, 2), where they really are.

    Returns:
        Root mean square of the length of the (x, y) vectors, over frames and points.

    Raises:
        ValueError: if the shapes are not these.
    """
    points = _check_track(points, 3, "points")
    if truth is not None:
        points = points - _check_like(truth, points)
    second = np.diff(points, 2, axis=0) / math.sqrt(6.0)
    return float(np.sqrt(np.square(second).sum(axis=-1).mean()))


def lag(points: Array, truth: Array, most: int = 3) -> float:
    """By how many frames points come later than the truth; below 0 they come earlier.

    Each point's mean offset from the truth is taken out. Then the mean square distance between the
    points and the truth shifted by -most..most frames is worked out, always over the same frames of
    the points, and the lowest point of the parabola through the least of these and its neighbours
    is the lag.

    Args:
        points: (N, K, 2), evenly spaced in time, N >= 2 most + 3.
        truth: (N, K, 2), where they really are; something must move.
        most: the longest lag that is looked for, in frames, 1 or more.

    Raises:
        ValueError: if the shapes are not these, or no point of the truth moves.
    """
    if most < 1:
        raise ValueError(f"most: expected 1 or more, got {most}")
    points = _check_track(points, 2 * most + 3, "points")
    truth = _check_like(truth, points)
    if not np.diff(truth, axis=0).any():
        raise ValueError("truth: expected points that move, got none that does")
    points, truth = points - points.mean(axis=0), truth - truth.mean(axis=0)
    length = len(points) - 2 * most
    middle = points[most : most + length]
    shifts = range(-most, most + 1)
    apart = np.array(
        [
            np.square(middle - truth[most - shift : most - shift + length]).sum(-1).mean()
            for shift in shifts
        ]
    )
    best = int(np.clip(apart.argmin(), 1, 2 * most - 1))
    before, least, after = apart[best - 1 : best + 2]
    bend = before - 2.0 * least + after
    return float(shifts[best] + (0.5 * (before - after) / bend if bend > 0.0 else 0.0))


def _check_track(points: Array, fewest: int, name: str) -> Array:
    points = np.asarray(points, np.float64)
    if points.ndim != 3 or len(points) < fewest or points.shape[2] != 2:
        raise ValueError(f"{name}: expected shape (N >= {fewest}, K, 2), got {points.shape}")
    return points


def _check_like(truth: Array, points: Array) -> Array:
    truth = np.asarray(truth, np.float64)
    if truth.shape != points.shape:
        raise ValueError(f"truth: expected the points' shape {points.shape}, got {truth.shape}")
    return truth

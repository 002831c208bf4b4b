"""Making measured values steady over time: a smoother that looks ahead, and a filter that does not.

`adaptive_smooth` fits polynomials on both sides of a frame, so that it does not lag, and leaves
fast motion alone. `OneEuroFilter` knows only the past, for live pictures. `jitter` and `lag` say
what either of them did. Times are in seconds and may be unevenly spaced; values are in any unit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fit_weights(times_s: Array, at_s: float, width_s: float, degree: int = 2) -> Array:
    """How much each value counts in a local polynomial fit, read off at one moment.

    A polynomial is fitted to the values by least squares, weighted by a Gaussian around `at_s`, and
    its value there is a weighted sum of them (W. S. Cleveland, "Robust Locally Weighted Regression
    and Smoothing Scatterplots", JASA 74, 1979, sec. 2, with another weight). Any polynomial of that
    degree passes through unchanged, wherever the values lie: a steady motion never lags, also next
    to the first and last value.

    Args:
        times_s: (N,) seconds, all different.
        at_s: the moment that is asked for, in seconds; no value need be there.
        width_s: standard deviation of the Gaussian.
        degree: of the polynomial; lowered where there are too few values.

    Returns:
        (N,) float64, which sum to 1; some may be negative.

    Raises:
        ValueError: if there are no times, or `width_s` or `degree` is out of range.
    """
    times_s = np.asarray(times_s, np.float64)
    if times_s.ndim != 1 or not len(times_s):
        raise ValueError(f"times_s: expected shape (N,) with N >= 1, got {times_s.shape}")
    if not width_s > 0.0:
        raise ValueError(f"width_s: expected more than 0 s, got {width_s}")
    if degree < 0:
        raise ValueError(f"degree: expected 0 or more, got {degree}")
    distance = (times_s - at_s) / width_s  # (N,)
    # Measured from the nearest value, so that weights far out in the Gaussian do not all vanish.
    root = np.exp((np.square(distance).min() - np.square(distance)) / 4.0)
    powers = distance[:, None] ** np.arange(min(degree, len(times_s) - 1) + 1)  # (N, degree + 1)
    return np.asarray(np.linalg.pinv(root[:, None] * powers)[0] * root, np.float64)


def adaptive_smooth(
    times_s: Array, values: Array, index: int, widths_s: tuple[float, float], tolerance: float
) -> Array:
    """One value of a series, smoothed over its neighbours as far as nothing moves.

    Two fits, one over a narrow stretch of time and one over a wide one, are compared. Where they
    agree within the tolerance, the wide one counts, which is the steadier; where they do not, there
    is a motion that the wide one cannot follow, and the narrow one counts:
    narrow + (wide - narrow) / (1 + (|wide - narrow| / tolerance)^2).

    Args:
        times_s: (N,) seconds, rising.
        values: (N, K, D), K things of D coordinates, each thing judged by itself.
        index: which of the N values.
        widths_s: standard deviations of the narrow and the wide fit; a narrow one of 0 takes the
            value as it is.
        tolerance: in the unit of `values`; 0 always takes the narrow fit.

    Returns:
        (K, D).

    Raises:
        ValueError: if the shapes do not fit or a width is out of range.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 3 or len(values) != len(times_s):
        raise ValueError(
            f"values: expected shape (N, K, D) with N = {len(times_s)}, got {values.shape}"
        )
    narrow_s, wide_s = widths_s
    at_s = float(times_s[index])
    narrow = values[index]
    if narrow_s:
        narrow = np.tensordot(fit_weights(times_s, at_s, narrow_s), values, 1)
    if not tolerance:
        return np.asarray(narrow, np.float64)
    apart = np.tensordot(fit_weights(times_s, at_s, wide_s), values, 1) - narrow  # (K, D)
    moved = np.linalg.norm(apart, axis=-1, keepdims=True) / tolerance
    return np.asarray(narrow + apart / (1.0 + np.square(moved)), np.float64)


class OneEuroFilter:
    """A low-pass filter for live use, whose cutoff rises with speed.

    G. Casiez, N. Roussel and D. Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for
    Noisy Input in Interactive Systems", CHI 2012: y = a x + (1 - a) y', where y' is what came out
    before, a = 1 / (1 + tau / T), T the time since then, tau = 1 / (2 pi f), and the cutoff
    f = min_cutoff_hz + beta |speed|. The speed passes the same filter with a constant cutoff.

    Args:
        min_cutoff_hz: the cutoff of what stands still; lower is steadier and lags more.
        beta: how fast the cutoff rises with speed, in Hz per (unit of the values a second).
        speed_cutoff_hz: the cutoff of the speed itself; the paper's is 1.

    Raises:
        ValueError: if a cutoff is not above 0 or `beta` is negative.
    """

    def __init__(
        self, min_cutoff_hz: float = 1.0, beta: float = 0.0, speed_cutoff_hz: float = 1.0
    ) -> None:
        for name, value in (("min_cutoff_hz", min_cutoff_hz), ("speed_cutoff_hz", speed_cutoff_hz)):
            if not value > 0.0:
                raise ValueError(f"{name}: expected more than 0 Hz, got {value}")
        if beta < 0.0:
            raise ValueError(f"beta: expected 0 or more, got {beta}")
        self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self.reset()

    def reset(self) -> None:
        """Forget all that came before, as at a cut."""
        self._value: Array | None = None  # what came out last
        self._last: Array | None = None  # what went in last
        self._speed: Array | float = 0.0
        self._time_s = -math.inf

    def __call__(self, values: Array, time_s: float) -> Array:
        """The next values, filtered; the first ones come back as they are.

        Args:
            values: any shape, the same each time; each number is filtered by itself.
            time_s: when they were measured, in seconds.

        Raises:
            ValueError: if the time is not later than the one before, or the shape changed.
        """
        values = np.array(values, np.float64)
        if not time_s > self._time_s:
            raise ValueError(f"expected a time after {self._time_s} s, got {time_s} s")
        if self._value is None or self._last is None:
            smooth = values
        else:
            if values.shape != self._value.shape:
                raise ValueError(f"expected shape {self._value.shape}, got {values.shape}")
            elapsed_s = time_s - self._time_s
            share = _low_pass_share(self.speed_cutoff_hz, elapsed_s)
            speed = (values - self._last) / elapsed_s
            self._speed = share * speed + (1.0 - share) * self._speed
            cutoff_hz = self.min_cutoff_hz + self.beta * np.abs(self._speed)
            share = _low_pass_share(cutoff_hz, elapsed_s)
            smooth = share * values + (1.0 - share) * self._value
        self._value, self._last, self._time_s = smooth, values, time_s
        return smooth.copy()


def _low_pass_share(cutoff_hz: Array | float, elapsed_s: float) -> Array:
    """How much the newest value counts in a first-order low-pass filter, 0..1."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff_hz * elapsed_s)), np.float64)


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

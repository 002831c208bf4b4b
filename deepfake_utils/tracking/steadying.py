"""Steadying one run: frames with the face of one person that no cut, gap or other person parts.

Two things are smoothed apart. The alignment, the similarity between face and mean face, follows the
head and may be smoothed much; the shape that is left holds blinks and speech and may be smoothed
only a little. Both are smoothed by polynomials that are fitted to the frames before and after, so
that nothing lags behind a motion.

An alignment is four numbers: the natural logarithm of the size of the mean face's unit in pixels,
its angle in radians, and (x, y) in pixels of the middle of the mean face's steady points. They can
be averaged, which a matrix cannot. A shape is (68, 2) in units of the mean face.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..faces import MEAN_FACE
from ..images import Image, Matrix, Points
from ..landmarks import STEADY
from ..settings import Settings, setting
from ..umeyama import invert, transform_points, umeyama
from ..video import TimedFrame

Array = NDArray[np.float64]
Status = Literal["found", "bridged", "no face", "other person"]

_REACH = 3.0  # standard deviations of the wider Gaussian that a smoothed frame looks ahead and back
_MIDDLE = MEAN_FACE[STEADY].mean(axis=0)
# How far a steady point lies from that middle, root mean square, in units of the mean face: by so
# much it moves if the logarithm of the size, or the angle, changes by 1.
_RADIUS = float(np.sqrt(np.square(MEAN_FACE[STEADY] - _MIDDLE).sum(axis=1).mean()))


class TrackedFrame(NamedTuple):
    """A frame and the face of the person followed."""

    image: Image  # (H, W, 3) RGB uint8
    time_s: float  # seconds after the clip's first frame
    points: Points | None  # (68, 2) in frame pixels, smoothed; None if there is no such face
    raw: Points | None  # (68, 2) as the landmarker found them; None if it did not
    status: Status  # "bridged" has points but no raw ones; the last two have neither
    cut: bool  # whether a new shot begins here
    confidence: float = 1.0  # of the landmarker in the raw points, 0..1; 0 where there are none
    dissolve: int = 0  # so many frames before, and around, were a dissolve to that shot
    seen: tuple[tuple[int, Points], ...] = ()  # everybody: a number each, and (68, 2) as found


@dataclass(frozen=True)
class TrackConfig(Settings):
    """How faces are followed and steadied; lengths are shares of the mean face's unit.

    Times and widths (`_s`) are in seconds. A moving point's shape stays as it was found.
    """

    smoothing: Literal["zero-lag", "off"] = setting("zero-lag", "how points are steadied over time")
    max_gap_s: float = setting(0.2, "longest time without the face that is bridged", least=0)
    look_ahead: int = setting(
        16, "most frames held back for smoothing, and again for bridging", least=1
    )
    align_widths_s: tuple[float, float] = setting(
        (0.04, 0.16), "of the fits to a moving and to a still head", least=0
    )
    align_tolerance: float = setting(
        0.01, "how far the two may differ before the head counts as moving", least=0
    )
    shape_width_s: float = setting(0.06, "of the fit to a point that rests", above=0)
    shape_tolerance: float = setting(
        0.008, "how far that fit may move a point before it counts as moving", least=0
    )
    min_change: float = setting(0.06, "of a thumbnail at a cut, 0..1; see CutDetector", above=0)

    def __post_init__(self) -> None:
        """Check the ranges, and that the two widths are in order.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        super().__post_init__()
        narrow_s, wide_s = self.align_widths_s
        if narrow_s > wide_s or wide_s == 0.0:
            raise ValueError(
                "align_widths_s: expected two widths, the smaller first, the other above 0 s, "
                f"got {self.align_widths_s}"
            )


@dataclass(eq=False)
class Seen:
    """What is known of a frame on its way through."""

    frame: TimedFrame
    status: Status
    cut: bool
    track: int  # which choice of a person it belongs to
    raw: Points | None
    confidence: float  # in those points, 0..1
    alignment: NDArray[np.float64] | None = None  # (4,)
    shape: Points | None = None  # (68, 2) in units of the mean face
    dissolve: int = 0  # frames of it, if one leads to the shot that begins here
    seen: tuple[tuple[int, Points], ...] = ()  # everybody, by number
    run: int = 0  # frames of one run may be smoothed together

    def tracked(self, points: Points | None) -> TrackedFrame:
        """The frame as it comes out."""
        image, time_s = self.frame
        known = self.raw, self.status, self.cut, self.confidence, self.dissolve, self.seen
        return TrackedFrame(image, time_s, points, *known)


def as_found(run: Iterable[Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """No smoothing."""
    for each in run:
        if each.raw is not None or each.alignment is None or each.shape is None:
            yield each.tracked(each.raw)
        else:
            yield each.tracked(join(each.alignment, each.shape))


def zero_lag(run: Iterable[Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """Smooth by what comes before and after, within one run."""
    reach_s = _REACH * config.align_widths_s[1]
    window: deque[Seen] = deque()
    at = 0  # the place in the window of the next frame to come out
    for new in run:
        window.append(new)
        while at < len(window) and _complete(window, at, reach_s, config.look_ahead):
            yield _smoothed(window, at, reach_s, config)
            at += 1
        while at and window[at - 1].frame.time_s - window[0].frame.time_s > reach_s:
            window.popleft()
            at -= 1
    for place in range(at, len(window)):
        yield _smoothed(window, place, reach_s, config)


def _complete(window: deque[Seen], at: int, reach_s: float, look_ahead: int) -> bool:
    """Whether all that frame `at` depends on has been read."""
    if window[at].alignment is None or len(window) - 1 - at >= look_ahead:
        return True
    return window[-1].frame.time_s - window[at].frame.time_s >= reach_s


def _smoothed(window: deque[Seen], at: int, reach_s: float, config: TrackConfig) -> TrackedFrame:
    """One frame of a window, smoothed over those within reach."""
    middle = window[at]
    if middle.alignment is None:
        return middle.tracked(None)
    near = [
        each
        for place, each in enumerate(window)
        if abs(each.frame.time_s - middle.frame.time_s) <= reach_s
        and abs(place - at) <= config.look_ahead
    ]
    times_s = np.array([each.frame.time_s for each in near])
    index = near.index(middle)
    alignments = np.stack([each.alignment for each in near if each.alignment is not None])
    apart = moves(alignments, middle.alignment)[:, :, None]  # (N, 4, 1)
    by = adaptive_smooth(times_s, apart, index, config.align_widths_s, config.align_tolerance)[:, 0]
    shape = adaptive_smooth(
        times_s,
        np.stack([each.shape for each in near if each.shape is not None]),
        index,
        (0.0, config.shape_width_s),
        config.shape_tolerance,
    )
    return middle.tracked(join(move(middle.alignment, by), shape))


def alignment_of(steady: Points) -> Array:
    """The alignment (4,) of the points of `STEADY`, (39, 2) in pixels, as `align_face` aligns."""
    to_frame = invert(umeyama(steady, MEAN_FACE[STEADY]))
    cos, sin = to_frame[:, 0]
    centre = to_frame[:, :2] @ _MIDDLE + to_frame[:, 2]
    return np.array([math.log(math.hypot(cos, sin)), math.atan2(sin, cos), *centre])


def shape_of(points: Points) -> Points:
    """The shape (68, 2) of points (68, 2) in pixels: laid onto the mean face by their own fit."""
    return transform_points(points, umeyama(points[STEADY], MEAN_FACE[STEADY]))


def to_frame(alignment: Array) -> Matrix:
    """Alignment (4,) -> (2, 3), maps the mean face to frame pixels."""
    log_size, angle, *centre = alignment
    cos, sin = math.exp(log_size) * math.cos(angle), math.exp(log_size) * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([linear, (centre - linear @ _MIDDLE)[:, None]])


def join(alignment: Array, shape: Points) -> Points:
    """Points (68, 2) in frame pixels that `align_face` aligns by exactly that alignment."""
    # A mean of shapes is no longer aligned to the last digit.
    return transform_points(shape_of(shape), to_frame(alignment))


def moves(alignments: Array, origin: Array) -> Array:
    """Alignments (N, 4) -> (N, 4), by how far each part moves a steady point, seen from `origin`.

    In units of the mean face at `origin` (4,), so that one tolerance fits all four numbers. Angles
    go the shorter way round.
    """
    off = alignments - origin
    off[:, 1] = (off[:, 1] + math.pi) % (2.0 * math.pi) - math.pi
    return off * _units(origin)


def move(origin: Array, by: Array) -> Array:
    """The alignment (4,) that lies `by` (4,), as from `moves`, off `origin` (4,)."""
    return origin + by / _units(origin)


def _units(origin: Array) -> Array:
    per_pixel = math.exp(-origin[0])
    return np.array([_RADIUS, _RADIUS, per_pixel, per_pixel])


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

"""Steadying one run: frames with the face of one person that no cut, gap or other person parts.

Two things are smoothed apart. The alignment, the similarity between face and mean face, follows the
head and may be smoothed much; the shape that is left holds blinks and speech and may be smoothed
only a little.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points
from ..video import TimedFrame
from .alignment import join, move, moves
from .smoothing import OneEuroFilter, adaptive_smooth

Status = Literal["found", "bridged", "no face", "other person"]

_REACH = 3.0  # standard deviations of the wider Gaussian that a smoothed frame looks ahead and back


class TrackedFrame(NamedTuple):
    """A frame and the face of the person followed."""

    image: Image  # (H, W, 3) RGB uint8
    time_s: float  # seconds after the clip's first frame
    points: Points | None  # (68, 2) in frame pixels, smoothed; None if there is no such face
    raw: Points | None  # (68, 2) as the landmarker found them; None if it did not
    status: Status  # "bridged" has points but no raw ones; the last two have neither
    cut: bool  # whether a new shot begins here


@dataclass(frozen=True)
class TrackConfig:
    """How faces are followed and steadied; lengths are shares of the mean face's unit."""

    smoothing: Literal["zero-lag", "one-euro", "off"] = "zero-lag"  # one-euro needs no look-ahead
    max_gap_s: float = 0.2  # longest time between two found faces that is bridged; 0 is none
    look_ahead: int = 16  # most frames held back for smoothing, and again for bridging
    align_widths_s: tuple[float, float] = (0.04, 0.16)  # of the fits to a moving and a still head
    align_tolerance: float = 0.01  # how far the two may differ before the head counts as moving
    shape_width_s: float = 0.06  # of the fit to a point that rests; a moving one stays as found
    shape_tolerance: float = 0.008  # how far the fit may move a point before it counts as moving
    min_cutoff_hz: float = 1.5  # one-euro: of what rests
    beta: float = 50.0  # one-euro: Hz more for each mean face's unit a second
    min_change: float = 0.06  # of a thumbnail's colours at a cut, 0..1; see `CutDetector`

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        if self.smoothing not in ("zero-lag", "one-euro", "off"):
            raise ValueError(
                f"smoothing: expected 'zero-lag', 'one-euro' or 'off', got {self.smoothing!r}"
            )
        if self.look_ahead < 1:
            raise ValueError(f"look_ahead: expected 1 or more frames, got {self.look_ahead}")
        narrow_s, wide_s = self.align_widths_s
        if not 0.0 <= narrow_s <= wide_s or not wide_s > 0.0:
            raise ValueError(
                "align_widths_s: expected two widths, the smaller first, the other above 0 s, "
                f"got {self.align_widths_s}"
            )
        for name in ("shape_width_s", "min_cutoff_hz", "min_change"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("max_gap_s", "align_tolerance", "shape_tolerance", "beta"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")


@dataclass(eq=False)
class Seen:
    """What is known of a frame on its way through."""

    frame: TimedFrame
    status: Status
    cut: bool
    track: int  # which choice of a person it belongs to
    raw: Points | None
    alignment: NDArray[np.float64] | None = None  # (4,)
    shape: Points | None = None  # (68, 2) in units of the mean face
    run: int = 0  # frames of one run may be smoothed together

    def tracked(self, points: Points | None) -> TrackedFrame:
        """The frame as it comes out."""
        return TrackedFrame(*self.frame, points, self.raw, self.status, self.cut)


def as_found(run: Iterable[Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """No smoothing."""
    for each in run:
        if each.raw is not None or each.alignment is None or each.shape is None:
            yield each.tracked(each.raw)
        else:
            yield each.tracked(join(each.alignment, each.shape))


def one_euro(run: Iterable[Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """Smooth by what came before only."""
    origin: NDArray[np.float64] | None = None
    align, shape = (OneEuroFilter(config.min_cutoff_hz, config.beta) for _ in range(2))
    for each in run:
        if each.alignment is None or each.shape is None:
            yield each.tracked(None)
            continue
        origin = each.alignment if origin is None else origin
        moved = align(moves(each.alignment[None], origin)[0], each.frame.time_s)
        smooth = shape(each.shape, each.frame.time_s)
        yield each.tracked(join(move(origin, moved), smooth))


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

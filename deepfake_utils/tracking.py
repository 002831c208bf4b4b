"""A person's face through a film: found frame by frame, bridged over short gaps, and steadied.

Landmarks tremble by about a pixel even if the head is still, and a pasted face trembles with them.
Here two things are smoothed apart: the alignment, the similarity between face and mean face, which
follows the head and may be smoothed much; and the shape that is left, which holds blinks and speech
and may be smoothed only a little. Nothing is smoothed or bridged across a cut.

Frames go through one at a time: what is held back is a short look-ahead, not the film.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .faces import MEAN_FACE
from .following import CutDetector, FaceChoice, FaceFollower
from .images import Image, Matrix, Points, check_points
from .landmarks import STEADY, Landmarker
from .smoothing import OneEuroFilter, adaptive_smooth
from .umeyama import invert, transform_points, umeyama
from .video import TimedFrame

Status = Literal["found", "bridged", "no face", "other person"]

# An alignment is four numbers: the natural logarithm of the size of the mean face's unit in pixels,
# its angle in radians, and (x, y) in pixels of the middle of the mean face's steady points.
_MIDDLE = MEAN_FACE[STEADY].mean(axis=0)
# How far a steady point lies from that middle, root mean square, in units of the mean face: by so
# much it moves if the logarithm of the size, or the angle, changes by 1.
_RADIUS = float(np.sqrt(np.square(MEAN_FACE[STEADY] - _MIDDLE).sum(axis=1).mean()))
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
class _Seen:
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


def track_faces(
    frames: Iterable[TimedFrame],
    landmarker: Landmarker,
    config: TrackConfig | None = None,
    choose: FaceChoice | None = None,
) -> Iterator[TrackedFrame]:
    """Follow one person through a film and steady their 68 points.

    Every frame comes out once, in order. The landmarker sees each frame once. A frame comes out
    as soon as what it depends on has been read: with "zero-lag" at most 3 widths of the wider
    alignment fit plus `max_gap_s` later, with the others at once or, in a gap, after `max_gap_s`;
    and never more than 2 `look_ahead` + 2 frames later.

    Args:
        frames: with rising times, e.g. `video.read_timed_frames(path)`.
        landmarker: frame -> list of (68, 2) points, largest face first.
        config: how; None is `TrackConfig()`.
        choose: whom; None is the largest face of each shot's first frame with one.

    Raises:
        ValueError: while iterating, if the times do not rise or points are not (68, 2).
    """
    config = config or TrackConfig()
    seen = _bridge(_watch(frames, landmarker, config, choose), config)
    smooth = {"zero-lag": _zero_lag, "one-euro": _one_euro, "off": _as_found}[config.smoothing]
    for _, run in groupby(_number_runs(seen), key=lambda each: each.run):
        yield from smooth(run, config)


def _watch(
    frames: Iterable[TimedFrame],
    landmarker: Landmarker,
    config: TrackConfig,
    choose: FaceChoice | None,
) -> Iterator[_Seen]:
    """Find the person in each frame by itself."""
    cuts, follower = CutDetector(config.min_change), FaceFollower(choose)
    before_s = -math.inf
    for frame in frames:
        image, time_s = frame
        if not time_s > before_s:
            raise ValueError(f"expected a frame after {before_s} s, got one at {time_s} s")
        before_s = time_s
        faces = [check_points(face, 68, "landmarks") for face in landmarker(image)]
        cut = cuts(image, follower.jumped(faces, time_s))
        if cut:
            follower.reset()
        raw = follower(image, time_s, faces)
        if raw is None:
            yield _Seen(frame, "other person" if faces else "no face", cut, follower.track, None)
        else:
            yield _Seen(frame, "found", cut, follower.track, raw, *_split(raw))


def _split(points: Points) -> tuple[NDArray[np.float64], Points]:
    """Points (68, 2) -> alignment (4,), by which `align_face` cuts, and shape (68, 2)."""
    to_mean = umeyama(points[STEADY], MEAN_FACE[STEADY])  # frame -> mean face
    to_frame = invert(to_mean)
    cos, sin = to_frame[:, 0]
    centre = to_frame[:, :2] @ _MIDDLE + to_frame[:, 2]
    alignment = np.array([math.log(math.hypot(cos, sin)), math.atan2(sin, cos), *centre])
    return alignment, transform_points(points, to_mean)


def _to_frame(alignment: NDArray[np.float64]) -> Matrix:
    """Alignment (4,) -> (2, 3), maps the mean face to frame pixels."""
    log_size, angle, *centre = alignment
    cos, sin = math.exp(log_size) * math.cos(angle), math.exp(log_size) * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([linear, (centre - linear @ _MIDDLE)[:, None]])


def _join(alignment: NDArray[np.float64], shape: Points) -> Points:
    """Points (68, 2) in frame pixels that `align_face` aligns by exactly that alignment."""
    # A mean of aligned shapes is no longer aligned to the last digit.
    steady = umeyama(shape[STEADY], MEAN_FACE[STEADY])
    return transform_points(transform_points(shape, steady), _to_frame(alignment))


def _differences(
    alignments: NDArray[np.float64], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Alignments (N, 4) -> (N, 4) by how far each part moves a steady point, seen from `origin`.

    In units of the mean face at `origin` (4,), so that one tolerance fits all four.
    """
    off = alignments - origin
    off[:, 1] = (off[:, 1] + math.pi) % (2.0 * math.pi) - math.pi
    return off * _units(origin)


def _units(origin: NDArray[np.float64]) -> NDArray[np.float64]:
    per_pixel = math.exp(-origin[0])
    return np.array([_RADIUS, _RADIUS, per_pixel, per_pixel])


def _bridge(seen: Iterable[_Seen], config: TrackConfig) -> Iterator[_Seen]:
    """Fill in short gaps between two faces of one track, in straight lines."""
    last: _Seen | None = None  # the newest frame with a face
    gap: list[_Seen] = []  # frames since, as long as they may still be bridged
    for new in seen:
        if new.cut or last is None or new.track != last.track:
            yield from gap
            gap, last = [], None
        elif new.frame.time_s - last.frame.time_s > config.max_gap_s + 1e-6:
            yield from gap
            gap = []
            last = None if new.raw is None else new
        if new.raw is not None:
            if last is not None:
                for each in gap:
                    _interpolate(each, last, new)
            yield from gap
            gap, last = [], new
            yield new
        elif last is None or len(gap) >= config.look_ahead:
            yield from gap
            yield new
            gap, last = [], None
        else:
            gap.append(new)
    yield from gap


def _interpolate(each: _Seen, before: _Seen, after: _Seen) -> None:
    """Give a frame without a face one between those of its neighbours."""
    if before.alignment is None or after.alignment is None:
        return
    if before.shape is None or after.shape is None:
        return
    span_s = after.frame.time_s - before.frame.time_s
    share = (each.frame.time_s - before.frame.time_s) / span_s
    apart = _differences(after.alignment[None], before.alignment)[0] / _units(before.alignment)
    each.alignment = before.alignment + share * apart
    each.shape = (1.0 - share) * before.shape + share * after.shape
    each.status = "bridged"


def _number_runs(seen: Iterable[_Seen]) -> Iterator[_Seen]:
    """Count the runs of frames with a face that no cut, gap or change of person interrupts."""
    run, before = 0, None
    for new in seen:
        together = (
            before is not None
            and not new.cut
            and new.track == before.track
            and (new.alignment is None) == (before.alignment is None)
        )
        run += not together
        new.run, before = run, new
        yield new


def _as_found(run: Iterable[_Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """No smoothing."""
    for each in run:
        if each.raw is not None or each.alignment is None or each.shape is None:
            yield each.tracked(each.raw)
        else:
            yield each.tracked(_join(each.alignment, each.shape))


def _one_euro(run: Iterable[_Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """Smooth by what came before only."""
    origin: NDArray[np.float64] | None = None
    align, shape = (OneEuroFilter(config.min_cutoff_hz, config.beta) for _ in range(2))
    for each in run:
        if each.alignment is None or each.shape is None:
            yield each.tracked(None)
            continue
        origin = each.alignment if origin is None else origin
        moved = align(_differences(each.alignment[None], origin)[0], each.frame.time_s)
        smooth = shape(each.shape, each.frame.time_s)
        yield each.tracked(_join(origin + moved / _units(origin), smooth))


def _zero_lag(run: Iterable[_Seen], config: TrackConfig) -> Iterator[TrackedFrame]:
    """Smooth by what comes before and after, within one run."""
    reach_s = _REACH * config.align_widths_s[1]
    window: deque[_Seen] = deque()
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


def _complete(window: deque[_Seen], at: int, reach_s: float, look_ahead: int) -> bool:
    """Whether all that frame `at` depends on has been read."""
    if window[at].alignment is None or len(window) - 1 - at >= look_ahead:
        return True
    return window[-1].frame.time_s - window[at].frame.time_s >= reach_s


def _smoothed(window: deque[_Seen], at: int, reach_s: float, config: TrackConfig) -> TrackedFrame:
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
    moves = _differences(alignments, middle.alignment)[:, :, None]  # (N, 4, 1)
    move = adaptive_smooth(times_s, moves, index, config.align_widths_s, config.align_tolerance)[
        :, 0
    ]
    shape = adaptive_smooth(
        times_s,
        np.stack([each.shape for each in near if each.shape is not None]),
        index,
        (0.0, config.shape_width_s),
        config.shape_tolerance,
    )
    return middle.tracked(_join(middle.alignment + move / _units(middle.alignment), shape))

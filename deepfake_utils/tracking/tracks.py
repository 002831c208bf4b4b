"""A person's face through a film: found frame by frame, bridged over short gaps, and steadied.

Landmarks tremble by about a pixel even if the head is still, and a pasted face trembles with them.
Nothing is smoothed or bridged across a cut. Frames go through one at a time, and only a short
look-ahead is held back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TypeVar

from ..landmarks import STEADY, Landmarker, watch
from ..video import TimedFrame, VideoInfo
from .cuts import CutDetector
from .people import FaceChoice, FaceFollower
from .steadying import (
    Seen,
    Status,
    TrackConfig,
    TrackedFrame,
    alignment_of,
    as_found,
    move,
    moves,
    shape_of,
    zero_lag,
)

_SMOOTHERS = {"zero-lag": zero_lag, "off": as_found}
_Frame = TypeVar("_Frame")
# Told how many frames are done, and about how many there will be.
ProgressCallback = Callable[[int, int], None]


def track_faces(
    frames: Iterable[TimedFrame],
    landmarker: Landmarker,
    config: TrackConfig | None = None,
    choose: FaceChoice | None = None,
) -> Iterator[TrackedFrame]:
    """Follow one person through a film and steady their 68 points.

    Every frame comes out once, in order. The landmarker sees each frame once, and follows faces
    from one to the next if it can (`landmarks.watch`). A frame comes out
    as soon as what it depends on has been read: with "zero-lag" at most 3 widths of the wider
    alignment fit plus `max_gap_s` later, with "off" at once or, in a gap, after `max_gap_s`; and
    never more than 2 `look_ahead` + 2 frames later. To all of these come 0.34 s, or 12 frames, by
    which cuts are told from flashes.

    Args:
        frames: with rising times, e.g. `video.read_timed_frames(path)`.
        landmarker: frame -> list of (68, 2) points, largest face first.
        config: how; None is `TrackConfig()`.
        choose: whom; None is the largest face of each shot's first frame with one.

    Raises:
        ValueError: while iterating, if the times do not rise or points are not (68, 2).
    """
    config = config or TrackConfig()
    smooth = _SMOOTHERS[config.smoothing]
    for run in _runs(frames, landmarker, config, choose):
        yield from smooth(run, config)


def tell_progress(
    frames: Iterable[_Frame],
    progress: ProgressCallback | None,
    info: VideoInfo,
    start_s: float = 0.0,
    end_s: float | None = None,
    stride: int = 1,
) -> Iterator[_Frame]:
    """Pass on the frames of a part of a clip, and say after each how many are done.

    Args:
        frames: anything that comes once for each frame.
        progress: what is told, once whoever asked for a frame is done with it; None is nobody.
        info: of the clip.
        start_s: where the part begins, in seconds.
        end_s: where it ends; None for the clip's end.
        stride: only every stride-th frame comes.
    """
    until_s = info.duration_s if end_s is None else min(end_s, info.duration_s)
    expected = min(info.frame_count, round((until_s - start_s) * info.fps))
    expected = -(-expected // stride)  # the first frame always comes
    for number, frame in enumerate(frames, start=1):
        yield frame
        if progress is not None:
            progress(number, max(expected, number))


def _runs(
    frames: Iterable[TimedFrame],
    landmarker: Landmarker,
    config: TrackConfig,
    choose: FaceChoice | None,
) -> Iterator[Iterator[Seen]]:
    """The frames of the film, parted into runs."""
    seen = _bridge(_watch(frames, landmarker, config, choose), config)
    for _, run in groupby(_number_runs(seen), key=lambda each: each.run):
        yield run


def _watch(
    frames: Iterable[TimedFrame],
    landmarker: Landmarker,
    config: TrackConfig,
    choose: FaceChoice | None,
) -> Iterator[Seen]:
    """Find the person in each frame by itself."""
    look, cuts, follower = watch(landmarker), CutDetector(config.min_change), FaceFollower(choose)
    for frame, change in cuts.watch(_rising(frames)):
        image, time_s = frame
        found = look(image, time_s)
        faces = [face.points for face in found]
        cut = cuts.is_cut(change, follower.jumped(faces, time_s))
        if cut:
            follower.reset()
        raw = follower(image, time_s, faces)
        if raw is None:
            status: Status = "other person" if faces else "no face"
            seen = Seen(frame, status, cut, follower.track, None, 0.0)
        else:
            sure = next(face.confidence for face in found if face.points is raw)
            place = alignment_of(raw[STEADY]), shape_of(raw)
            seen = Seen(frame, "found", cut, follower.track, raw, sure, *place)
        seen.dissolve, seen.seen = change.dissolve, follower.seen
        yield seen


def _rising(frames: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
    """Check that times rise."""
    before_s = -math.inf
    for frame in frames:
        if not frame.time_s > before_s:
            raise ValueError(f"expected a frame after {before_s} s, got one at {frame.time_s} s")
        before_s = frame.time_s
        yield frame


def _bridge(seen: Iterable[Seen], config: TrackConfig) -> Iterator[Seen]:
    """Fill in short gaps between two faces of one track, in straight lines."""
    last: Seen | None = None  # the newest frame with a face
    gap: list[Seen] = []  # frames since, as long as they may still be bridged
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


def _interpolate(each: Seen, before: Seen, after: Seen) -> None:
    """Give a frame without a face one between those of its neighbours."""
    if before.alignment is None or after.alignment is None:
        return
    if before.shape is None or after.shape is None:
        return
    span_s = after.frame.time_s - before.frame.time_s
    share = (each.frame.time_s - before.frame.time_s) / span_s
    apart = moves(after.alignment[None], before.alignment)[0]
    each.alignment = move(before.alignment, share * apart)
    each.shape = (1.0 - share) * before.shape + share * after.shape
    each.status = "bridged"


def _number_runs(seen: Iterable[Seen]) -> Iterator[Seen]:
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

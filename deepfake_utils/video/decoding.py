"""Read video files: what they are, and their frames as RGB pictures; every time is in seconds.

Time 0 of a clip is the first moment that its picture has in the file (the lowest time stamp of its
frames), whatever its container calls that moment.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..images import Image
from .picture import Decoded, Developer, deinterlaced
from .stream import facts_of, open_media, open_video, pixel_aspect, shown_size, tick
from .times import Time, check_segment

_log = logging.getLogger(__name__)

_AHEAD = 16  # packets that are looked at before the first frame is decoded
_SORTED = 5  # frames whose time stamps are put in order; those of AVI are up to 3 places off
_HELD = 8  # frames in a row whose time stamps may make no sense
BREAK_S = 1.0  # stamps that step back further begin anew, as in films joined without care
_LEAD_S = 0.1  # before a part: what deinterlacing its first frame takes
_TRIES = 100  # times in a row that a file may fail to give a packet


@dataclass(frozen=True)
class VideoInfo:
    """What `read_video_info` found out."""

    path: Path
    width: int  # of a picture as read and displayed: upright, of square pixels
    height: int
    fps: float  # the average, if the rate varies
    frame_count: int  # how many frames reading the whole clip yields, if none is damaged
    duration_s: float
    has_audio: bool
    rotation: int  # what a player does: degrees counterclockwise; an upright phone's is often -90
    variable_rate: bool  # whether frames are unevenly spaced
    full_range: bool  # whether black is 0 and white 255 in its luma, instead of 16 and 235
    changed: tuple[str, ...] = ()  # what reading does to its pictures, beside rotation, in words


class TimedFrame(NamedTuple):
    """A frame, (H, W, 3) RGB uint8, and when it appears: seconds after the clip's first frame."""

    image: Image
    time_s: float


def read_tags(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text tags of a video or sound file, such as "comment", by lower-case names.

    Raises:
        FileNotFoundError, IsADirectoryError, ValueError: as `read_video_info`.
    """
    with open_media(Path(path)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


def slack_s(stream: VideoStream) -> float:
    """How far a time stamp may lie off the true time: containers round, MKV to 1 ms."""
    return float(min(tick(stream), 1 / (2 * _nominal_rate(stream))))


def _nominal_rate(stream: VideoStream) -> Fraction:
    return stream.guessed_rate or stream.average_rate or Fraction(25)


def _has_full_index(stream: VideoStream) -> bool:
    return len(stream.index_entries) == stream.frames > 0


class _Film:
    """A film that is being read: its packets, its frames, their times, and what is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container, self.stream = open_video(path)
        self.aspect = pixel_aspect(self.stream)
        self.size_wh = shown_size(self.stream)  # before the first packet: it may change later
        self.tick = tick(self.stream)  # kept, as a closed file does not tell
        self.bad: set[int] = set()  # time stamps of frames that are missing or mended
        self.doubtful: set[int] = set()  # of those that may have been decoded from such
        self.cut_short = False  # whether the file ended before its last frame
        self._source = self._demux()
        self._ahead = list(itertools.islice(self._source, _AHEAD))
        stamps = [p.pts for p in self._ahead if p.pts is not None and not p.is_discard]
        # Not the stream's start time: that of an AVI is when decoding starts.
        self.zero = min(stamps, default=self.stream.start_time or 0)
        self._stamped = bool(stamps)  # else nothing can be searched
        # Frames that are decoded in another order than shown, but stamped in that of decoding.
        reordered = self.stream.codec_context.has_b_frames and stamps == sorted(stamps)
        self._depth = _SORTED if reordered else 0

    def seconds(self, stamp: float) -> float:
        """Convert a time stamp to seconds after the first one."""
        return float((stamp - self.zero) * self.tick.numerator / self.tick.denominator)

    def packets(self) -> Iterator[Packet]:
        """Those from the beginning, once."""
        return itertools.chain(self._ahead, self._source)

    def seek(self, time_s: float) -> Iterator[Packet]:
        """Those from a key frame at or before `time_s`, or all if the file cannot be searched."""
        try:
            stamp = self.zero + math.floor(time_s / self.tick)
            self.container.seek(stamp, stream=self.stream)
        except av.error.FFmpegError:  # where it stands now is anybody's guess
            self.container.close()
            self.container, self.stream = open_video(self.path)
        return self._demux()

    def _demux(self) -> Iterator[Packet]:
        """Packets from where the file stands; what cannot be read is passed over."""
        for _ in range(_TRIES):
            with contextlib.suppress(av.error.FFmpegError):
                yield from self.container.demux(self.stream)
                return

    def decode(self, packets: Iterable[Packet], start_s: float = -math.inf) -> Iterator[VideoFrame]:
        """Their frames; some of those before `start_s` may be skipped.

        A packet that is damaged costs its own frames; when they would have come goes to `bad`. When
        those come that were decoded later, up to the next key frame, goes to `doubtful`.
        """
        sent: dict[int, int] = {}  # stamp of a frame still to come -> its place in decoding
        broken: int | None = None  # place of what could not be decoded, until all is well again
        place, last, cut = 0, -math.inf, False
        for packet in packets:
            if not place and not packet.is_keyframe:  # a recording that begins in the middle
                broken = 0
            early = packet.pts is not None and self.seconds(packet.pts) < start_s - _LEAD_S
            # Often half of the frames are such as no other one builds on: need not be decoded.
            self.stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            if packet.size:
                place, last, cut = place + 1, max(last, packet.dts or 0), packet.is_corrupt
                broken = place if cut else broken
            if packet.size and packet.pts is not None and not packet.is_discard and not early:
                sent[packet.pts] = place
                if packet.is_corrupt:
                    self.bad.add(packet.pts)
            try:
                frames = packet.decode()
            except av.error.FFmpegError:  # of the packet before those that its threads hold
                broken, frames = place - self.stream.codec_context.delay, []
            for frame in frames:
                at = sent.get(frame.pts or 0, place)
                passed = {stamp for stamp in sent if stamp <= (frame.pts or 0)}
                for stamp in passed:
                    del sent[stamp]
                if frame.is_corrupt and frame.pts is not None:
                    self.bad.add(frame.pts)
                    broken = at
                if broken is not None:  # else what is missing is never shown
                    self.bad |= passed - {frame.pts}
                    if at > broken and frame.key_frame:
                        broken = None
                    elif at > broken and frame.pts is not None:
                        self.doubtful.add(frame.pts)
                yield frame
        if broken is not None:
            self.bad |= sent.keys()
        if _has_full_index(self.stream):  # an MP4 may promise more than its file holds
            self.cut_short = cut or self.stream.index_entries[-1].timestamp > last

    def frames(self, start_s: float) -> Iterator[Decoded]:
        """Frames with their times, from a key frame at or before `start_s`."""
        if start_s <= 0 or not self._stamped:
            return self._timed(self.decode(self.packets()))
        # MPEG-TS seeks to any frame, later key frames too; and a key frame may be damaged.
        for back_s in (0.0, 3.0, 30.0, math.inf):
            self.bad.clear()
            self.doubtful.clear()
            packets = self.seek(max(start_s - back_s, -1.0))
            frames = self._timed(self.decode(packets, start_s - slack_s(self.stream)))
            first = next(frames, None)
            if first is not None and (first.time_s <= start_s or back_s == math.inf):
                return itertools.chain([first], frames)
        return iter(())

    def _timed(self, frames: Iterator[VideoFrame]) -> Iterator[Decoded]:
        """Give frames, which come in the order in which they are shown, times that rise."""
        step = float(1 / (_nominal_rate(self.stream) * self.tick))
        held: list[VideoFrame] = []  # whose stamps make no sense, until one does
        last: float | None = None
        for frame, stamp in _in_order(frames, self._depth, step, BREAK_S / float(self.tick)):
            held.append(frame)
            if last is not None and stamp <= last:
                if len(held) < _HELD:
                    continue
                stamp = last + len(held) * step
            before = stamp - step * len(held) if last is None else last
            for number, each in enumerate(held, 1):
                time = before + (stamp - before) * number / len(held)
                yield Decoded(each, facts_of(each, self.stream, self.aspect), self.seconds(time))
            held, last = [], stamp
        for number, each in enumerate(held, 1):
            time = (last or 0) + number * step
            yield Decoded(each, facts_of(each, self.stream, self.aspect), self.seconds(time))


def _in_order(
    frames: Iterator[VideoFrame], depth: int, step: float, longest: float
) -> Iterator[tuple[VideoFrame, float]]:
    """Frames with time stamps that do not fall, as far as sorting those of neighbours can do it.

    Args:
        frames: in the order in which they are shown.
        depth: how many places a stamp may be away from its frame.
        step: from a stamp to the next, as a rule.
        longest: how far a stamp may step back; one further back begins a new count.
    """
    waiting: deque[VideoFrame] = deque()
    stamps: list[float] = []
    newest: float | None = None
    moved = 0.0  # what is added to all further ones
    for frame in frames:
        stated = frame.dts if frame.pts is None else frame.pts
        expected = moved if newest is None else newest + step
        if stated is not None and newest is not None and stated + moved < newest - longest:
            moved = expected - stated
        stamp = expected if stated is None else stated + moved
        newest = stamp if newest is None else max(newest, stamp)
        waiting.append(frame)
        heapq.heappush(stamps, stamp)
        if len(waiting) > depth:
            yield waiting.popleft(), heapq.heappop(stamps)
    while waiting:
        yield waiting.popleft(), heapq.heappop(stamps)


def _stamps(film: _Film) -> tuple[list[int], int]:
    """(sorted time stamps of all frames, how many of them are shown), without decoding any."""
    stream = film.stream
    if _has_full_index(stream):
        entries = list(stream.index_entries)
        return sorted(e.timestamp for e in entries), sum(not e.is_discard for e in entries)
    packets = [(p.pts or p.dts or 0, p.is_discard) for p in film.packets() if p.size]
    return sorted(stamp for stamp, _ in packets), sum(not hidden for _, hidden in packets)


def _rate(stream: VideoStream, stamps: list[int]) -> tuple[float, bool]:
    """(average frames per second, whether the rate varies)."""
    nominal = float(_nominal_rate(stream))
    if len(stamps) < 2 or stamps[0] == stamps[-1]:
        return nominal, False
    gaps = np.diff(np.asarray(stamps, dtype=np.int64))
    variable = bool(gaps.max() - gaps.min() > max(2.0, 0.01 * gaps.mean()))
    measured = float(len(gaps) / ((stamps[-1] - stamps[0]) * tick(stream)))
    # The nominal rate is free of rounding (30000/1001), but some headers are simply wrong.
    return (nominal if not variable and abs(nominal / measured - 1) < 0.005 else measured), variable


def read_video_info(path: str | os.PathLike[str]) -> VideoInfo:
    """Read the facts of a video; decodes one frame and counts the others without decoding.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        IsADirectoryError: if `path` is a folder.
        ValueError: if the file is no video, or not even one frame can be decoded.
    """
    path = Path(path)
    film = _Film(path)
    with film.container:
        first = next(film.decode(film.packets()), None)
        if first is None:
            raise ValueError(
                f"expected a video with at least one frame in {path}, got none; export it again"
            )
        facts = facts_of(first, film.stream, film.aspect)
    width, height = film.size_wh
    film = _Film(path)  # anew, as not every container can go back
    with film.container:
        stamps, shown = _stamps(film)
        stream = film.stream
        fps, variable = _rate(stream, stamps)
        span_s = float((stamps[-1] - stamps[0]) * tick(stream)) + 1 / fps
        return VideoInfo(
            path=path,
            width=height if facts.transposed else width,
            height=width if facts.transposed else height,
            fps=fps,
            frame_count=shown,
            duration_s=float(stream.duration * tick(stream)) if stream.duration else span_s,
            has_audio=bool(film.container.streams.audio),
            rotation=first.rotation,
            variable_rate=variable,
            full_range=facts.full_range,
            changed=facts.changes,
        )


class FilmFrames(Iterator[TimedFrame]):
    """The frames of a part of a film, as `read_timed_frames` gives them, and what is damaged."""

    def __init__(
        self, path: Path, start_s: float, end_s: float | None, stride: int, quiet: bool
    ) -> None:
        self._film = _Film(path)  # here, so that a bad file is reported at once
        self._start_s, self._end_s, self._stride, self._quiet = start_s, end_s, stride, quiet
        self._frames = self._segment()
        self.breaks_off_s: float | None = None  # when the last frame is shown of a film cut short

    def __next__(self) -> TimedFrame:
        """The next frame."""
        return next(self._frames)

    def first_s(self) -> tuple[float, Fraction]:
        """When the first frame appears, and what the file's own clock shows at time 0."""
        first = next(self).time_s
        self._film.container.close()
        return first, self._film.zero * self._film.tick

    @property
    def damaged_s(self) -> tuple[float, ...]:
        """When frames were missing or had to be mended, of what was read so far, in seconds."""
        return self._times(self._film.bad)

    @property
    def doubtful_s(self) -> tuple[float, ...]:
        """When others came that may show that damage: up to the next key frame."""
        return self._times(self._film.doubtful - self._film.bad)

    def _times(self, stamps: set[int]) -> tuple[float, ...]:
        end_s = math.inf if self._end_s is None else self._end_s
        times = sorted(map(self._film.seconds, stamps))
        return tuple(round(time, 6) for time in times if self._start_s <= time < end_s)

    def _segment(self) -> Iterator[TimedFrame]:
        film, found = self._film, 0
        time_s: float | None = None
        slack, start_s, end_s = slack_s(film.stream), self._start_s, self._end_s
        develop = Developer(film.size_wh)
        told: set[str] = set()
        try:
            for frame, facts, time_s in deinterlaced(film.frames(start_s)):
                if end_s is not None and time_s >= end_s - slack:
                    break
                if time_s >= start_s - slack:
                    if new := set(facts.changes) - told:
                        told |= new
                        if not self._quiet:
                            _log.warning("%s: %s", film.path, ", ".join(sorted(new)))
                    if found % self._stride == 0:
                        yield TimedFrame(develop(frame, facts), time_s)
                    found += 1
        finally:
            film.container.close()
        if film.cut_short:
            self.breaks_off_s = time_s
        damage = describe_damage(self.damaged_s, self.doubtful_s, self.breaks_off_s)
        if damage and not self._quiet:
            _log.warning("%s: %s", film.path, damage)
        if time_s is None:
            raise ValueError(
                f"expected a video whose frames can be decoded in {film.path}, got none; "
                "if it is an incomplete download, download it again"
            )
        if not found:
            advice = "choose a segment inside the clip"
            advice = "it is incomplete, download it again" if film.cut_short else advice
            raise ValueError(
                f"expected a frame between {start_s} s and {end_s or 'the end'} in {film.path}, "
                f"got none (the nearest is at {time_s:.2f} s); {advice}"
            )


def describe_damage(
    damaged_s: Sequence[float], doubtful_s: Sequence[float], breaks_off_s: float | None
) -> str:
    """What `FilmFrames` says of a film's damage, in words; "" if there is none."""
    said = []
    if damaged_s:
        said.append(f"frames damaged or missing: {len(damaged_s)}, from {damaged_s[0]:.2f} s on")
    if doubtful_s:
        count, first = len(doubtful_s), doubtful_s[0]
        said.append(f"perhaps damaged, up to the next key frame: {count}, from {first:.2f} s on")
    if breaks_off_s is not None:
        said.append(f"the film breaks off at {breaks_off_s:.2f} s; if it is longer, get it again")
    return "; ".join(said)


def read_timed_frames(
    path: str | os.PathLike[str],
    start_s: Time = 0.0,
    end_s: Time | None = None,
    stride: int = 1,
    quiet: bool = False,
) -> FilmFrames:
    """Read the frames with start_s <= time < end_s, each with its time, one at a time.

    It seeks to the segment instead of decoding all that comes before. Times are compared to the
    precision of the file's time stamps, so start_s=14.0 at 25 fps begins with frame 350; they
    always rise, whatever the file's stamps do.

    Frames are made upright, of square pixels, progressive, and SDR in the colours of BT.709 (a
    matrix that is not stated is taken for that of BT.709 from 720 lines on, else of BT.601). All
    have the size of the first. What is changed, beside rotation, is logged once. A damaged packet
    costs its own frames: the others come, and `damaged_s` of what is returned says when;
    `doubtful_s` says which of the others may show it. Of a film that breaks off comes what is
    there, and `breaks_off_s` says where it ends.

    Args:
        start_s: after the clip's first frame: seconds, or text such as "0:02" or "00:00:02.500".
        end_s: likewise, not included; None or beyond the end reads to the end.
        stride: yield every stride-th frame of the segment, its first one included.
        quiet: True logs nothing.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        IsADirectoryError: if `path` is a folder.
        ValueError: if the file is no video, the segment or stride makes no sense, or, while
            iterating, the segment holds no frame.
    """
    start, end = check_segment(start_s, end_s)
    if stride < 1:
        raise ValueError(f"expected a stride of 1 or more, got {stride}")
    return FilmFrames(Path(path), start, end, stride, quiet)


def read_frames(
    path: str | os.PathLike[str], start_s: Time = 0.0, end_s: Time | None = None, stride: int = 1
) -> Iterator[Image]:
    """Read frames without their times; arguments and errors are those of `read_timed_frames`.

    Returns:
        Iterator of (H, W, 3) RGB uint8.
    """
    return (frame.image for frame in read_timed_frames(path, start_s, end_s, stride))

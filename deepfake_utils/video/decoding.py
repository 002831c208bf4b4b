"""Read video files: what they are, and their frames as RGB pictures; every time is in seconds.

Time 0 of a clip is its first video frame (the stream's start time), whatever its container calls
that moment.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from ..images import Image, check_pixels

# Codes of matrices -> what swscale calls them, in its numbers: PyAV named them all only later.
_ITU709, _FCC, _ITU601, _SMPTE240M, _BT2020 = 1, 4, 5, 7, 9
_MATRICES = {1: _ITU709, 4: _FCC, 5: _ITU601, 6: _ITU601, 7: _SMPTE240M, 9: _BT2020, 10: _BT2020}
# swscale's default rounds down: each reading would darken a video by a level.
_BILINEAR, _ACCURATE_RND, _FULL_CHR_H_INT = 0x2, 0x40000, 0x2000
EXACT = _BILINEAR | _ACCURATE_RND | _FULL_CHR_H_INT


@dataclass(frozen=True)
class VideoInfo:
    """What `read_video_info` found out."""

    path: Path
    width: int  # of a frame as displayed, in pixels: rotation is applied, pixels taken as square
    height: int
    fps: float  # the average, if the rate varies
    frame_count: int  # how many frames reading the whole clip yields
    duration_s: float
    has_audio: bool
    rotation: int  # what a player does: degrees counterclockwise; an upright phone's is often -90
    variable_rate: bool  # whether frames are unevenly spaced
    full_range: bool  # whether black is 0 and white 255 in its luma, instead of 16 and 235


class TimedFrame(NamedTuple):
    """A frame, (H, W, 3) RGB uint8, and when it appears: seconds after the clip's first frame."""

    image: Image
    time_s: float


def open_media(path: Path) -> InputContainer:
    """Open a video or sound file, or raise an error that says what is wrong with it."""
    if path.is_dir():
        raise IsADirectoryError(f"expected a video file, got the folder {path}")
    if not path.is_file():
        raise FileNotFoundError(f"no video at {path}; check the path (now in {Path.cwd()})")
    try:
        return av.open(str(path.absolute()))  # absolute: "a:b.mp4" would be taken for a URL
    except PermissionError:
        raise
    except av.error.FFmpegError as error:
        raise ValueError(
            f"expected a video, got something that cannot be opened as one in {path} "
            f"({path.stat().st_size} bytes); if it is an incomplete download, download it again"
        ) from error


def read_tags(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text tags of a video or sound file, such as "comment", by lower-case names.

    Raises:
        FileNotFoundError, IsADirectoryError, ValueError: as `read_video_info`.
    """
    with open_media(Path(path)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


def find_video(container: InputContainer) -> VideoStream | None:
    """The first video stream; the cover picture of a song does not count."""
    for stream in container.streams.video:
        if stream.codec_context is not None and Disposition.attached_pic not in stream.disposition:
            return stream
    return None


def _open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    container = open_media(path)
    stream = find_video(container)
    if stream is None:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        container.close()
        raise ValueError(f"expected a video stream that can be decoded in {path}, got {kinds}")
    check_pixels(stream.codec_context.width, stream.codec_context.height, path)
    stream.thread_type = "AUTO"
    return container, stream


def tick(stream: VideoStream | AudioStream) -> Fraction:
    """Seconds that one unit of a stream's time stamps lasts."""
    return stream.time_base or Fraction(1, av.time_base)


def seconds_of(stream: VideoStream, pts: int | None) -> float:
    """Convert a time stamp of the container to seconds after the first frame."""
    if pts is None:
        raise ValueError("expected a video with time stamps, got a bare stream; convert it to MP4")
    return float((pts - (stream.start_time or 0)) * tick(stream))


def slack_s(stream: VideoStream) -> float:
    """How far a time stamp may lie off the true time: containers round, MKV to 1 ms."""
    return float(min(tick(stream), 1 / (2 * (stream.average_rate or Fraction(25)))))


def _has_full_index(stream: VideoStream) -> bool:
    return len(stream.index_entries) == stream.frames > 0


def _stamps(container: InputContainer, stream: VideoStream) -> tuple[list[int], int]:
    """(sorted time stamps of all frames, how many of them are shown), without decoding any."""
    if _has_full_index(stream):
        entries = list(stream.index_entries)
        return sorted(e.timestamp for e in entries), sum(not e.is_discard for e in entries)
    packets = [(p.pts or p.dts or 0, p.is_discard) for p in container.demux(stream) if p.size]
    return sorted(stamp for stamp, _ in packets), sum(not hidden for _, hidden in packets)


def _rate(stream: VideoStream, stamps: list[int]) -> tuple[float, bool]:
    """(average frames per second, whether the rate varies)."""
    nominal = float(stream.guessed_rate or stream.average_rate or 25)
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
    container, stream = _open_video(path)
    with container:
        first = next(_decode(container, stream, path), None)
    if first is None:
        raise ValueError(f"expected at least one frame in {path}, got none; export it again")
    container, stream = _open_video(path)  # anew, as not every container can go back
    with container:
        stamps, shown = _stamps(container, stream)
        fps, variable = _rate(stream, stamps)
        span_s = float((stamps[-1] - stamps[0]) * tick(stream)) + 1 / fps
        turned = round(first.rotation / 90) % 2 == 1
        return VideoInfo(
            path=path,
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            fps=fps,
            frame_count=shown,
            duration_s=float(stream.duration * tick(stream)) if stream.duration else span_s,
            has_audio=bool(container.streams.audio),
            rotation=first.rotation,
            variable_rate=variable,
            full_range=_is_full_range(first),
        )


def _decode(
    container: InputContainer, stream: VideoStream, path: Path, start_s: float = -math.inf
) -> Iterator[VideoFrame]:
    """All frames from where the container stands; ValueError if its data is damaged or cut off.

    Some of those before `start_s` may be skipped.
    """
    count, time_s, complete = 0, 0.0, True
    try:
        for packet in container.demux(stream):
            early = packet.pts is not None and seconds_of(stream, packet.pts) < start_s
            # Often half of the frames are such as no other one builds on: need not be decoded.
            stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            if packet.size and packet.dts is not None:
                # An MP4 has its index in front, so it may promise more than the file holds.
                last = stream.index_entries[-1].timestamp if _has_full_index(stream) else None
                complete = not packet.is_corrupt and (last is None or packet.dts >= last)
            for frame in packet.decode():
                count, time_s = count + 1, seconds_of(stream, frame.pts)
                yield frame
    except av.error.FFmpegError as error:
        raise ValueError(
            f"expected intact video data in {path}, got a decoding error ({error.strerror}) after "
            f"reading {count} frames, at {time_s:.2f} s; download or export it again"
        ) from error
    if not complete:
        raise ValueError(
            f"expected {stream.frames or 'more'} frames in {path}, but its data breaks off at "
            f"{time_s:.2f} s, after reading {count} frames; it is incomplete, download it again"
        )


def seek(container: InputContainer, stream: VideoStream, time_s: float) -> None:
    """Go to a key frame at or before `time_s`, if the file can be searched."""
    with contextlib.suppress(av.error.FFmpegError):  # cannot seek: then we are at the beginning
        container.seek((stream.start_time or 0) + int(time_s / tick(stream)), stream=stream)


def _decode_from(
    container: InputContainer, stream: VideoStream, path: Path, start_s: float
) -> Iterator[VideoFrame]:
    """Frames from a key frame at or before `start_s`."""
    if start_s <= 0:
        yield from _decode(container, stream, path)
        return
    for back_s in (0.0, 3.0, 30.0, math.inf):  # MPEG-TS seeks to any frame, later key frames too
        seek(container, stream, max(start_s - back_s, -1.0))
        frames = _decode(container, stream, path, start_s - slack_s(stream))
        first = next(frames, None)
        if first is not None and (seconds_of(stream, first.pts) <= start_s or back_s == math.inf):
            yield from itertools.chain([first], frames)
            return


def _is_full_range(frame: VideoFrame) -> bool:
    """Whether the luma of a frame takes all of 0..255; a frame without luma has no such range."""
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def _to_rgb(frame: VideoFrame) -> Image:
    """Decoded frame -> (H, W, 3) RGB uint8, upright, by its own matrix and range."""
    if frame.format.is_rgb:
        image = frame.to_ndarray(format="rgb24")
    else:
        guess = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        image = frame.reformat(
            format="rgb24",
            src_colorspace=_MATRICES.get(frame.colorspace, guess),
            src_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT,
            threads=1,  # starting more of them takes longer than the work
        ).to_ndarray()
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def check_segment(start_s: float, end_s: float | None) -> None:
    """Raise ValueError unless 0 <= start_s < end_s."""
    if not 0.0 <= start_s < math.inf:
        raise ValueError(f"expected a start of 0 s or later, got {start_s}")
    if end_s is not None and not end_s > start_s:
        raise ValueError(f"expected an end after the start ({start_s} s), got {end_s} s")


def read_timed_frames(
    path: str | os.PathLike[str], start_s: float = 0.0, end_s: float | None = None, stride: int = 1
) -> Iterator[TimedFrame]:
    """Read the frames with start_s <= time < end_s, each with its time, one at a time.

    It seeks to the segment instead of decoding all that comes before. Times are compared to the
    precision of the file's time stamps, so start_s=14.0 at 25 fps begins with frame 350. Rotation
    metadata is applied. Colours follow the stream's own matrix and range (matrix not stated:
    BT.709 from 720 lines on, else BT.601); HDR is not tone-mapped.

    Args:
        start_s: seconds after the clip's first frame.
        end_s: likewise, not included; None or beyond the end reads to the end.
        stride: yield every stride-th frame of the segment, its first one included.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        IsADirectoryError: if `path` is a folder.
        ValueError: if the file is no video, the segment or stride makes no sense, or, while
            iterating, the segment holds no frame or the data is damaged or cut off.
    """
    check_segment(start_s, end_s)
    if stride < 1:
        raise ValueError(f"expected a stride of 1 or more, got {stride}")
    path = Path(path)
    container, stream = _open_video(path)  # here, so that a bad file is reported at once
    slack = slack_s(stream)

    def segment() -> Iterator[TimedFrame]:
        found, time_s = 0, 0.0
        with container:
            for frame in _decode_from(container, stream, path, start_s):
                time_s = seconds_of(stream, frame.pts)
                if end_s is not None and time_s >= end_s - slack:
                    break
                if time_s >= start_s - slack:
                    if found % stride == 0:
                        yield TimedFrame(_to_rgb(frame), time_s)
                    found += 1
        if not found:
            raise ValueError(
                f"expected a frame between {start_s} s and {end_s or 'the end'} in {path}, got "
                f"none (the nearest is at {time_s:.2f} s); choose a segment inside the clip"
            )

    return segment()


def read_frames(
    path: str | os.PathLike[str], start_s: float = 0.0, end_s: float | None = None, stride: int = 1
) -> Iterator[Image]:
    """Read frames without their times; arguments and errors are those of `read_timed_frames`.

    Returns:
        Iterator of (H, W, 3) RGB uint8.
    """
    return (frame.image for frame in read_timed_frames(path, start_s, end_s, stride))

"""Write frames, and the sound of another clip, as a video that browsers play.

Times are in seconds on the clock of `decoding`: one pair (start_s, end_s) cuts picture and sound
alike.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..images import Image, check_image
from .decoding import EXACT, check_segment, open_media
from .sound import add_sound

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm"})  # what VideoWriter writes

_log = logging.getLogger(__name__)

_PRESET = "veryfast"  # of x264: twice as fast as "medium" at nearly the same quality
# VP9 takes seven times as long without them. With a rate of 0 its quality is constant.
_VP9_FAST = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "b": "0"}
_VP9_SCALE = 63 / 51  # its crf ends at 63, that of x264 at 51
_BT709 = 1  # ISO H.273 code of matrix, primaries and transfer


def _exact_rate(fps: float | Fraction) -> Fraction:
    """29.97 -> 30000/1001, 25.0 -> 25; anything else as the nearest simple fraction."""
    if not 0.01 <= fps <= 1000:
        raise ValueError(f"expected 0.01 to 1000 frames per second, got {fps}")
    ntsc = Fraction(round(float(fps) * 1.001) * 1000, 1001)
    if abs(float(fps - ntsc)) < 0.005 < abs(float(fps - round(fps))):
        return ntsc
    return Fraction(fps).limit_denominator(1001)


def _reserve(path: Path) -> Path:
    """Make the hidden file in which the video for `path` grows, which proves that we may write."""
    if path.is_dir():
        raise IsADirectoryError(f"expected the name of a video file, got the folder {path}")
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise ValueError(
            f"expected a name that ends in {', '.join(sorted(VIDEO_SUFFIXES))}, got {path.name!r}"
        )
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:  # given an errno, OSError() becomes PermissionError and the like
        problem = f"cannot write there ({error.strerror}); choose a folder that you may write to"
        raise OSError(error.errno, problem, str(path.parent)) from error
    return part


def _range_of(full_range: bool) -> ColorRange:
    return ColorRange.JPEG if full_range else ColorRange.MPEG


def _to_yuv(image: Image, full_range: bool) -> VideoFrame:
    """(H, W, 3) RGB -> BT.709, padded to even sides."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        # In 8 bits swscale rounds the chroma of full range down, which would tint the video.
        format="yuv420p12le" if full_range else "yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=_range_of(full_range),
        interpolation=EXACT,
        threads=1,
    )
    return frame.reformat(format="yuv420p", interpolation=EXACT, threads=1)


def planes_of(frame: VideoFrame) -> tuple[NDArray[np.uint8], ...]:
    """Luma (H, W) and the two chromas (H / 2, W / 2) of a yuv420p frame, to be changed in place."""
    return tuple(
        np.asarray(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[
            :, : plane.width
        ]
        for plane in frame.planes
    )


@dataclass(eq=False)
class VideoWriter:
    """Write frames, and the sound of another clip, as a video that browsers play: H.264 or VP9.

    `path` appears whole or not at all: the video grows in a hidden file beside it, which takes its
    place on a successful end of the `with` block and is removed after an exception. A block that
    writes no frame raises ValueError at its end.

        with VideoWriter("out.mp4", fps=info.fps, size_wh=(w, h), audio_from="in.mp4") as writer:
            for image, time_s in read_timed_frames("in.mp4"):
                writer.write(image, time_s)

    The first frame written is at time 0 of the video; the sound heard there is that of the first
    frame of `audio_from` at or after `audio_start_s`, so pass the start_s that you read with. Sound
    ends with the video at the latest. A clip without sound gives a video without sound.

    Colours at half resolution need even sides: an odd width or height grows by one, by repeating
    the last column or row, and a warning is logged.

    Args:
        path: ends in .mp4, .mov, .mkv or .webm; its folder is made.
        fps: frames per second, for frames written without a time; 29.97 means 30000/1001.
        size_wh: (width, height) of every frame in pixels.
        audio_from: a video or sound file, or None for silence.
        audio_start_s: where its sound begins, in seconds after its first video frame.
        audio_end_s: where it ends; None for the end of the video.
        crf: quality, 1 (best, largest) to 51; 18 looks like the original. A .webm gets the same
            place on the scale of VP9.
        comment: text for the file's "comment" and "description" metadata.
        full_range: whether luma takes all of 0..255, as some phones write it, instead of 16..235.
            Both show the same colours; pass that of the target.

    Raises:
        FileNotFoundError: if there is no file at `audio_from`.
        IsADirectoryError: if `path` or `audio_from` is a folder.
        ValueError: if an argument makes no sense or `audio_from` is no video or sound.
        OSError: if the folder of `path` cannot be made or written.
    """

    path: str | os.PathLike[str]
    _: KW_ONLY
    fps: float | Fraction
    size_wh: tuple[int, int]
    audio_from: str | os.PathLike[str] | None = None
    audio_start_s: float = 0.0
    audio_end_s: float | None = None
    crf: int = 18
    comment: str | None = None
    full_range: bool = False

    def __post_init__(self) -> None:
        """Check the arguments and begin the file; errors as above."""
        self._path, self._size_wh = Path(self.path), (int(self.size_wh[0]), int(self.size_wh[1]))
        if min(self._size_wh) < 1 or not 1 <= self.crf <= 51:
            raise ValueError(
                f"expected sides >= 1 and a crf in 1..51, got {self.size_wh} and {self.crf}"
            )
        check_segment(self.audio_start_s, self.audio_end_s)
        self._sound_s = (
            math.inf if self.audio_end_s is None else self.audio_end_s - self.audio_start_s
        )
        rate = _exact_rate(self.fps)
        # Ticks of at most 1/90000 s of which a frame takes a whole number, so rates are exact.
        fine = math.ceil(90_000 / rate.numerator)
        self._scale, self._frame_ticks = rate.numerator * fine, rate.denominator * fine
        self._end = 0  # where the last frame ends, in ticks
        self._zero_s: float | None = None  # time 0 of the video on the caller's clock
        self._closed = False
        suffix = self._path.suffix.lower()
        with contextlib.ExitStack() as undo:
            self._part = _reserve(self._path)
            undo.callback(self._part.unlink, missing_ok=True)
            self._source = None if self.audio_from is None else open_media(Path(self.audio_from))
            if self._source is not None:
                undo.callback(self._source.close)
            options = {"movflags": "+faststart"} if suffix in (".mp4", ".mov") else {}
            self._output = av.open(str(self._part.absolute()), "w", container_options=options)
            undo.callback(self._output.close)
            if self.comment is not None:
                self._output.metadata.update(comment=self.comment, description=self.comment)
            self._stream = self._add_video(rate, vp9=suffix == ".webm")
            self._sound: Iterator[Packet] = iter(())
            if self._source is not None and self._source.streams.audio:
                self._sound = add_sound(self._source, self._output, self.audio_start_s)
            self._packet = next(self._sound, None)
            self._undo = undo.pop_all()

    def _add_video(self, rate: Fraction, vp9: bool) -> VideoStream:
        width, height = (side + side % 2 for side in self._size_wh)
        if (width, height) != self._size_wh:
            even = (width, height)
            _log.warning("%s: colours need even sides: %s -> %s", self._path, self._size_wh, even)
        if vp9:
            options = _VP9_FAST | {"crf": str(round(self.crf * _VP9_SCALE))}
            stream = self._output.add_stream("libvpx-vp9", rate=rate, options=options)
        else:
            options = {"crf": str(self.crf), "preset": _PRESET}
            stream = self._output.add_stream("libx264", rate=rate, options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, self._scale)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _range_of(self.full_range)
        return stream

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._closed = True
        with self._undo:  # after a success there is nothing left to undo
            if kind is None:
                self._finish()

    def write(self, image: Image, time_s: float | None = None) -> None:
        """Append one (H, W, 3) RGB uint8 frame.

        Args:
            time_s: when it appears, on any clock, e.g. that of `TimedFrame`: only differences to
                the first frame count, and uneven ones are kept. None: 1 / fps after the last one.

        Raises:
            TypeError: if the frame is not uint8.
            ValueError: if its size is not `size_wh`, its time is not after the last frame's, or
                the writer is closed.
        """
        if self._closed:
            raise ValueError(f"expected an open writer, got a closed one for {self._path}")
        check_image(image, "frame")
        height, width = image.shape[:2]
        if (width, height) != self._size_wh:
            raise ValueError(
                f"expected frames of {self._size_wh} (width, height), got {(width, height)}; "
                "resize the frame or pass its size as size_wh"
            )
        ticks = self._end if time_s is None else self._ticks(time_s)
        frame = _to_yuv(image, self.full_range)
        self._draw(planes_of(frame))
        frame.pts, frame.time_base = ticks, Fraction(1, self._scale)
        self._output.mux(self._stream.encode(frame))
        self._end = ticks + self._frame_ticks
        self._mux_sound(ticks / self._scale)

    def _ticks(self, time_s: float) -> int:
        if not math.isfinite(time_s):
            raise ValueError(f"expected a time in seconds, got {time_s}")
        if self._zero_s is None:
            self._zero_s = time_s - self._end / self._scale
        ticks = round((time_s - self._zero_s) * self._scale)
        last = self._end - self._frame_ticks
        if ticks <= last:
            last_s = self._zero_s + last / self._scale
            raise ValueError(
                f"expected a time after the last frame's {last_s:.6f} s, got {time_s:.6f} s; "
                "write frames in the order of their times"
            )
        return ticks

    def _mux_sound(self, video_s: float, *, last: bool = False) -> None:
        """Mux the sound that ends by `video_s`; as the last, cut it off right there."""
        limit_s = min(video_s, self._sound_s)
        while self._packet is not None:
            packet, tick = self._packet, self._packet.time_base
            begin_s = float((packet.pts or 0) * tick)
            if begin_s + (packet.duration or 0) * tick > limit_s:
                if not last or begin_s >= limit_s:
                    return
                packet.duration = max(1, round((limit_s - begin_s) / tick))
            self._output.mux(packet)
            self._packet = next(self._sound, None)

    def _finish(self) -> None:
        if not self._end:
            raise ValueError(f"expected at least one frame for {self._path}, got none")
        self._output.mux(self._stream.encode(None))
        self._mux_sound(self._end / self._scale, last=True)
        self._output.close()
        if self._source is not None:
            self._source.close()  # it may be the file that is replaced
        self._seal(self._part)
        self._part.replace(self._path)

    def _draw(self, planes: tuple[NDArray[np.uint8], ...]) -> None:
        """Draw on a frame before it is encoded, for subclasses; planes as of `planes_of`."""

    def _seal(self, part: Path) -> None:
        """Add to the finished file before it takes its place, for subclasses."""

"""Write frames, and the sound of another clip, as a video: for browsers, or for an editor.

Times are in seconds on the clock of `decoding`: one pair (start_s, end_s) cuts picture and sound
alike.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import av
import cv2
import numpy as np
from av.codec import Codec
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..files import helper_of
from ..images import Image, check_image, check_one_of
from .picture import EXACT
from .sound import add_sound
from .stream import open_media
from .times import Time, check_segment

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm"})  # what VideoWriter writes

_log = logging.getLogger(__name__)

VideoCodec = Literal["auto", "h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Quality = Literal["small", "good", "high", "best"]


@dataclass(frozen=True)
class _Coding:
    """How a codec is asked for."""

    encoder: str  # FFmpeg's name
    suffixes: tuple[str, ...]  # of the files that may hold it
    scale: str  # the option that sets its quality
    levels: tuple[int, int, int, int]  # its values for "small" to "best"
    options: dict[str, str]
    pixels: str = "yuv420p"
    tag: str | None = None


_BROAD, _WEB = (".mp4", ".mov", ".mkv"), (".mp4", ".mkv", ".webm")
_X265 = {"preset": "fast", "x265-params": "log-level=error"}
# Without these VP9 takes seven times as long. With a rate of 0 its quality is constant.
_VP9_FAST = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "b": "0"}
_CHECKED = {"slicecrc": "1", "slices": "4"}
_CODINGS = {
    # "veryfast" is twice as fast as "medium" at nearly the same quality.
    "h264": _Coding("libx264", _BROAD, "crf", (28, 23, 18, 8), {"preset": "veryfast"}),
    # Players of Apple want this name of it.
    "hevc": _Coding("libx265", _BROAD, "crf", (30, 25, 20, 10), _X265, tag="hvc1"),
    "av1": _Coding("libsvtav1", _WEB, "crf", (45, 35, 26, 12), {"preset": "8"}),
    "vp9": _Coding("libvpx-vp9", _WEB, "crf", (35, 28, 22, 10), _VP9_FAST),
    # Profiles "proxy", "LT", "standard" and "HQ".
    "prores": _Coding("prores_ks", (".mov", ".mkv"), "profile", (0, 1, 2, 3), {}, "yuv422p10le"),
    # Without loss whatever the quality.
    "ffv1": _Coding("ffv1", (".mkv",), "level", (3, 3, 3, 3), _CHECKED, "yuv444p"),
}
_BT709 = 1  # ISO H.273 code of matrix, primaries and transfer


def _exact_rate(fps: float | Fraction) -> Fraction:
    """29.97 -> 30000/1001, 25.0 -> 25; anything else as the nearest simple fraction."""
    if not 0.01 <= fps <= 1000:
        raise ValueError(f"expected 0.01 to 1000 frames per second, got {fps}")
    ntsc = Fraction(round(float(fps) * 1.001) * 1000, 1001)
    if abs(float(fps - ntsc)) < 0.005 < abs(float(fps - round(fps))):
        return ntsc
    return Fraction(fps).limit_denominator(1001)


def _reserve(path: Path, beside: Path | None = None) -> Path:
    """Make the hidden file in which the video for `path` grows, once all names can be written."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise ValueError(
            f"expected a name that ends in {', '.join(sorted(VIDEO_SUFFIXES))}, got {path.name!r}"
        )
    part = helper_of(path, f".part{path.suffix}")
    try:
        if path.is_dir():
            raise IsADirectoryError(f"expected the name of a video file, got the folder {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        for final in filter(None, (path, beside)):
            with contextlib.suppress(FileExistsError):  # only trying it tells
                final.open("xb").close()
                final.unlink()
        part.touch()
    except IsADirectoryError:
        raise
    except OSError as error:  # given an errno, OSError() becomes PermissionError and the like
        advice = "choose a folder that you may write to"
        if error.errno == errno.ENAMETOOLONG:
            advice = "choose a shorter name"
        problem = f"cannot write there ({error.strerror}); {advice}"
        raise OSError(error.errno, problem, str(path.parent)) from error
    return part


def _coding_of(codec: str, suffix: str) -> _Coding:
    """How to code for a file; errors as `VideoWriter`."""
    coding = _CODINGS[("vp9" if suffix == ".webm" else "h264") if codec == "auto" else codec]
    if suffix not in coding.suffixes:
        raise ValueError(
            f"codec: {codec} goes into {', '.join(coding.suffixes)}, got {suffix}; "
            "choose another codec or name"
        )
    try:
        Codec(coding.encoder, "w")
    except av.error.FFmpegError as error:  # PyAV's own error is one as well
        raise ValueError(
            f"codec: {codec} needs the encoder {coding.encoder}, which this PyAV lacks; "
            "choose another codec"
        ) from error
    return coding


@contextlib.contextmanager
def _scheduled_as_before() -> Iterator[None]:
    """Keep this thread's priority: SVT-AV1 gives whoever opens it, if root, one above all others.

    What this thread starts later would inherit it, and leave no time to the rest of the machine.
    """
    if not hasattr(os, "sched_getscheduler"):  # not Linux
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != before[0]:
            os.sched_setscheduler(0, *before)


def _range_of(full_range: bool) -> ColorRange:
    return ColorRange.JPEG if full_range else ColorRange.MPEG


def _to_yuv(image: Image, full_range: bool, pixels: str) -> VideoFrame:
    """(H, W, 3) RGB -> BT.709 in 8 bits, padded to even sides."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        # In 8 bits swscale rounds the chroma of full range down, which would tint the video.
        format=f"{pixels}12le" if full_range else pixels,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=_range_of(full_range),
        interpolation=EXACT,
        threads=1,
    )
    return frame.reformat(format=pixels, interpolation=EXACT, threads=1)


def planes_of(frame: VideoFrame) -> tuple[NDArray[np.uint8], ...]:
    """Luma (H, W) and the two chromas of a YUV frame of 8 bits, to be changed in place."""
    return tuple(
        np.asarray(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[
            :, : plane.width
        ]
        for plane in frame.planes
    )


@dataclass(eq=False)
class VideoWriter:
    """Write frames, and the sound of another clip, as a video; browsers play H.264, VP9 and AV1.

    `path` appears whole or not at all: the video grows in a hidden file beside it, which takes its
    place on a successful end of the `with` block and is removed after an exception. A block that
    writes no frame raises ValueError at its end.

        with VideoWriter("out.mp4", fps=info.fps, size_wh=(w, h), audio_from="in.mp4") as writer:
            for image, time_s in read_timed_frames("in.mp4"):
                writer.write(image, time_s)

    The first frame written is at time 0 of the video; the sound heard there is that of the first
    frame of `audio_from` at or after `audio_start_s`, so pass the start_s that you read with. Sound
    ends with the video at the latest. All its tracks are kept, the default one first. A clip
    without sound gives a video without sound.

    Colours at half resolution need even sides: an odd width or height grows by one, by repeating
    the last column or row, and a warning is logged.

    Args:
        path: ends in .mp4, .mov, .mkv or .webm; its folder is made.
        fps: frames per second, for frames written without a time; 29.97 means 30000/1001.
        size_wh: (width, height) of every frame in pixels.
        audio_from: a video or sound file, or None for silence.
        audio_start_s: where its sound begins, after its first video frame: in seconds, or text such
            as "0:02".
        audio_end_s: where it ends; None for the end of the video.
        codec: "auto" is VP9 for .webm, else H.264. "hevc" and "av1" make smaller files, more slowly
            (HEVC: .mp4, .mov, .mkv; AV1: .mp4, .mkv, .webm). For an editor "prores" (.mov, .mkv),
            4:2:2 in 10 bits, or "ffv1" (.mkv), 4:4:4 without loss.
        quality: "small", "good", "high", which looks like the original, or "best".
        comment: text for the file's "comment" and "description" metadata.
        full_range: whether luma takes all of 0..255, as some phones write it, instead of 16..235.
            Both show the same colours; pass that of the target.

    Raises:
        FileNotFoundError: if there is no file at `audio_from`.
        IsADirectoryError: if `path` or `audio_from` is a folder.
        ValueError: if an argument makes no sense, `audio_from` is no video or sound, or PyAV cannot
            write the codec.
        OSError: if `path` cannot be written: its folder, or a name that is too long.
    """

    path: str | os.PathLike[str]
    _: KW_ONLY
    fps: float | Fraction
    size_wh: tuple[int, int]
    audio_from: str | os.PathLike[str] | None = None
    audio_start_s: Time = 0.0
    audio_end_s: Time | None = None
    codec: VideoCodec = "auto"
    quality: Quality = "high"
    comment: str | None = None
    full_range: bool = False

    def __post_init__(self) -> None:
        """Check the arguments and begin the file; errors as above."""
        self._path, self._size_wh = Path(self.path), (int(self.size_wh[0]), int(self.size_wh[1]))
        if min(self._size_wh) < 1:
            raise ValueError(f"expected sides >= 1, got {self.size_wh}")
        check_one_of(self.codec, VideoCodec, "codec")
        check_one_of(self.quality, Quality, "quality")
        start_s, end_s = check_segment(self.audio_start_s, self.audio_end_s)
        self._sound_s = math.inf if end_s is None else end_s - start_s
        rate = _exact_rate(self.fps)
        # Ticks of at most 1/90000 s of which a frame takes a whole number, so rates are exact.
        fine = math.ceil(90_000 / rate.numerator)
        self._scale, self._frame_ticks = rate.numerator * fine, rate.denominator * fine
        self._end = 0  # where the last frame ends, in ticks
        self._zero_s: float | None = None  # time 0 of the video on the caller's clock
        self._closed = False
        suffix = self._path.suffix.lower()
        with contextlib.ExitStack() as undo:
            self._part = _reserve(self._path, self._beside())
            undo.callback(self._part.unlink, missing_ok=True)
            self._coding = _coding_of(self.codec, suffix)
            self._source = None if self.audio_from is None else open_media(Path(self.audio_from))
            if self._source is not None:
                undo.callback(self._source.close)
            options = {"movflags": "+faststart"} if suffix in (".mp4", ".mov") else {}
            self._output = av.open(str(self._part.absolute()), "w", container_options=options)
            undo.callback(self._output.close)
            if self.comment is not None:
                self._output.metadata.update(comment=self.comment, description=self.comment)
            self._stream = self._add_video(rate)
            self._sound: Iterator[Packet] = iter(())
            if self._source is not None and self._source.streams.audio:
                self._sound = add_sound(self._source, self._output, start_s)
            self._packet = next(self._sound, None)
            self._undo = undo.pop_all()

    def _add_video(self, rate: Fraction) -> VideoStream:
        width, height = (side + side % 2 for side in self._size_wh)
        if (width, height) != self._size_wh:
            even = (width, height)
            _log.warning("%s: colours need even sides: %s -> %s", self._path, self._size_wh, even)
        coding = self._coding
        level = coding.levels[get_args(Quality).index(self.quality)]
        options = coding.options | {coding.scale: str(level)}
        stream = self._output.add_stream(coding.encoder, rate=rate, options=options)
        if not isinstance(stream, VideoStream):
            raise TypeError(f"expected an encoder of video, got {coding.encoder}")
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, coding.pixels
        if coding.tag is not None and self._output.format.name != "matroska":
            context.codec_tag = coding.tag
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
        # The marks are drawn in 8 bits, on as many chromas as the file keeps.
        fine = self._coding.pixels != "yuv420p"
        frame = _to_yuv(image, self.full_range, "yuv444p" if fine else "yuv420p")
        self._draw(planes_of(frame))
        frame = frame.reformat(format=self._coding.pixels, interpolation=EXACT, threads=1)
        frame.pts, frame.time_base = ticks, Fraction(1, self._scale)
        with _scheduled_as_before():
            packets = self._stream.encode(frame)
        self._output.mux(packets)
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
        ended: set[int] = set()  # tracks
        while self._packet is not None:
            packet, tick = self._packet, self._packet.time_base
            begin_s = float((packet.pts or 0) * tick)
            if begin_s + (packet.duration or 0) * tick > limit_s:
                if not last:
                    return
                packet.duration = max(1, round((limit_s - begin_s) / tick))
            if begin_s < limit_s:
                with contextlib.suppress(av.error.InvalidDataError):  # damaged: it stays out
                    self._output.mux(packet)
            else:
                ended.add(packet.stream_index)
                if len(ended) == len(self._output.streams.audio):
                    return
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

    def _beside(self) -> Path | None:
        """A file that `_seal` writes beside the video, for subclasses: its name is tried early."""
        return None

    def _seal(self, part: Path) -> None:
        """Add to the finished file before it takes its place, for subclasses."""

"""What a video file and its picture stream say of themselves, read in one place.

Codes of colours are those of ITU-T H.273: 1 is BT.709, 2 "not stated".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from ..images import check_pixels

# Codes of matrices -> what swscale calls them, in its numbers: PyAV named them all only later.
_ITU709, _FCC, _ITU601, _SMPTE240M, _BT2020 = 1, 4, 5, 7, 9
_MATRICES = {1: _ITU709, 4: _FCC, 5: _ITU601, 6: _ITU601, 7: _SMPTE240M, 9: _BT2020, 10: _BT2020}
PQ, HLG = 16, 18  # codes of the transfers of HDR
_NOT_STATED = 2
_TRANSFERS = {PQ: "PQ", HLG: "HLG"}
_PRIMARIES = {5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020", 12: "P3"}


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


def find_video(container: InputContainer) -> VideoStream | None:
    """The video stream to read; the cover picture of a song does not count."""
    pictures = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and Disposition.attached_pic not in stream.disposition
    ]
    return next(iter(default_first(pictures)), None)


def default_first(streams: list) -> list:
    """Streams of one kind, those a player takes unless told otherwise first."""
    return sorted(streams, key=lambda each: Disposition.default not in each.disposition)


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a video, or raise an error that says what is wrong with it."""
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


def shown_size(stream: VideoStream) -> tuple[int, int]:
    """(width, height) of a film's pictures with square pixels, before they are turned upright."""
    width, height = stream.codec_context.width, stream.codec_context.height
    aspect = pixel_aspect(stream)
    # The side whose pixels are too few is stretched, so that none is lost; even, as writers need.
    if aspect > 1:
        width = 2 * round(width * aspect / 2)
    elif aspect < 1:
        height = 2 * round(height / aspect / 2)
    return width, height


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width of a pixel over its height; 1 if it is square, not stated, or nonsense."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if 0.005 < abs(aspect - 1) and Fraction(1, 8) <= aspect <= 8 else Fraction(1)


@dataclass(frozen=True)
class Facts:
    """What is stated of a frame."""

    matrix: int  # from RGB to luma and chroma, in swscale's numbers
    primaries: int
    transfer: int
    full_range: bool  # whether black is 0 and white 255 in its luma, instead of 16 and 235
    deep: bool  # whether it has more than 8 bits
    interlaced: bool
    # Where its rows and columns go: (a, b, c, d) of x' = a x + c y, y' = b x + d y.
    turn: tuple[int, int, int, int]
    aspect: Fraction

    @property
    def transposed(self) -> bool:
        """Whether a row of the frame is a column of the picture."""
        a, b, c, d = self.turn
        return abs(b) + abs(c) > abs(a) + abs(d)

    @property
    def foreign_colours(self) -> bool:
        """Whether its colours have to be converted to those of SDR BT.709."""
        return self.transfer in _TRANSFERS or self.primaries in _PRIMARIES

    @property
    def changes(self) -> tuple[str, ...]:
        """What is done to its picture, beside turning it upright, in words."""
        said = []
        if self.transfer in _TRANSFERS:
            said.append(f"HDR ({_TRANSFERS[self.transfer]}) tone-mapped to SDR")
        elif self.primaries in _PRIMARIES:
            said.append(f"colours converted from {_PRIMARIES[self.primaries]} to BT.709")
        if self.interlaced:
            said.append("deinterlaced")
        if self.aspect != 1:
            ratio = f"{self.aspect.numerator}:{self.aspect.denominator}"
            said.append(f"pixels of {ratio} made square")
        a, b, c, d = self.turn
        if a * d - b * c < 0:
            said.append("mirrored, as its file asks")
        return tuple(said)


def facts_of(frame: VideoFrame, stream: VideoStream, aspect: Fraction) -> Facts:
    """What is stated of a decoded frame, by itself or by its stream; `pixel_aspect` is known."""
    context = stream.codec_context
    # An SD film that does not state its matrix has that of BT.601, as players take it.
    guess = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    return Facts(
        matrix=_MATRICES.get(frame.colorspace, int(guess)),
        primaries=context.color_primaries or _NOT_STATED,
        transfer=context.color_trc or _NOT_STATED,
        full_range=frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"),
        deep=frame.format.components[0].bits > 8,
        interlaced=frame.interlaced_frame,
        turn=_turn(frame),
        aspect=aspect,
    )


def _turn(frame: VideoFrame) -> tuple[int, int, int, int]:
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d = itertools.islice(memoryview(bytes(matrix)).cast("i"), 5)
        if a * d - b * c:  # else it is damaged
            return a, b, c, d
    return 1, 0, 0, 1

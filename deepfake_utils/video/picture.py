"""From decoded frames of any kind to pictures: upright, square pixels, progressive, SDR BT.709 RGB.

What FFmpeg has a filter for is done by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from ..images import Image
from .colour import colour_filter
from .stream import Facts

# swscale's default rounds down: each reading would darken a video by a level.
_BILINEAR, _BICUBIC, _ACCURATE_RND, _FULL_CHR_H_INT = 0x2, 0x4, 0x40000, 0x2000
EXACT = _BILINEAR | _ACCURATE_RND | _FULL_CHR_H_INT
_COUNT = Fraction(1)  # frames go through filters by their number
_SCALED = _BICUBIC | _ACCURATE_RND | _FULL_CHR_H_INT


class Decoded(NamedTuple):
    """A frame as it came from the decoder, what is stated of it, and when it appears."""

    frame: VideoFrame
    facts: Facts
    time_s: float


class _Filter:
    """One of FFmpeg's filters for frames of one kind."""

    def __init__(self, like: VideoFrame, add: Callable[[Graph], Any]) -> None:
        self._graph = Graph()
        self._given = 0
        self._source = self._graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=_COUNT
        )
        self._sink = self._graph.add("buffersink")
        middle = add(self._graph)
        self._source.link_to(middle)
        middle.link_to(self._sink)
        self._graph.configure()

    def push(self, frame: VideoFrame | None) -> list[VideoFrame]:
        """Give it a frame, or None as the last; what is ready by then."""
        if frame is not None:
            frame.pts, frame.time_base = self._given, _COUNT
            self._given += 1
        self._source.push(frame)
        ready: list[VideoFrame] = []
        try:
            while True:
                ready.append(cast(VideoFrame, self._sink.pull()))
        except (BlockingIOError, av.error.EOFError):
            return ready


def _kind(frame: VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height


def deinterlaced(frames: Iterator[Decoded]) -> Iterator[Decoded]:
    """The same frames in the same number, those of two fields at different times made one.

    From the first interlaced one on, each frame comes when the next one is known.
    """
    bwdif: _Filter | None = None
    kind: tuple[str, int, int] | None = None
    waiting: deque[Decoded] = deque()
    for each in frames:
        if bwdif is not None and _kind(each.frame) != kind:  # the size changes in mid-film
            for ready in bwdif.push(None):
                yield waiting.popleft()._replace(frame=ready)
            bwdif = None
        if bwdif is None and not each.facts.interlaced:
            yield each
            continue
        if bwdif is None:
            kind = _kind(each.frame)
            bwdif = _Filter(
                each.frame, lambda graph: graph.add("bwdif", mode="send_frame", deint="interlaced")
            )
        waiting.append(each)
        for ready in bwdif.push(each.frame):
            yield waiting.popleft()._replace(frame=ready)
    if bwdif is not None:
        for ready in bwdif.push(None):
            yield waiting.popleft()._replace(frame=ready)


class Developer:
    """Makes pictures of one film's frames, all of one size.

    Args:
        size_wh: (width, height) of its pictures before they are turned upright; a frame of
            another shape is laid into it, with black beside it.
    """

    def __init__(self, size_wh: tuple[int, int]) -> None:
        self._size_wh = size_wh
        self._reformat = VideoReformatter().reformat  # one, which keeps what it has worked out
        self._colours: dict[tuple[Any, ...], _Filter] = {}

    def __call__(self, frame: VideoFrame, facts: Facts) -> Image:
        """(H, W, 3) RGB uint8, upright, by the frame's own matrix and range."""
        width, height = inner = self._fitted(frame, facts)
        converted = facts.foreign_colours
        # Through 8 bits where the film has no more.
        rgb = "gbrp16le" if converted and facts.deep else "rgb24"
        frame = self._reformat(
            frame,
            width=width,
            height=height,
            format=rgb,
            src_colorspace=None if frame.format.is_rgb else facts.matrix,
            src_color_range=ColorRange.JPEG if facts.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT if (frame.width, frame.height) == inner else _SCALED,
            threads=1,  # starting more of them takes longer than the work
        )
        if converted:
            frame = self._convert(frame, facts).reformat(format="rgb24", threads=1)
        image: Image = np.asarray(frame.to_ndarray(), np.uint8)
        if inner != self._size_wh:
            image = _laid_in(image, self._size_wh)
        a, b, c, d = facts.turn
        if facts.transposed:
            return np.ascontiguousarray(image.transpose(1, 0, 2)[:: _sign(b), :: _sign(c)])
        return np.ascontiguousarray(image[:: _sign(d), :: _sign(a)])

    def _fitted(self, frame: VideoFrame, facts: Facts) -> tuple[int, int]:
        """(width, height) that a frame takes in the picture."""
        width, height = self._size_wh
        shape = float(facts.aspect) * frame.width / frame.height
        if abs(shape * height / width - 1) < 0.02:  # by rounding
            return width, height
        high = min(width / shape, height)
        return max(1, round(shape * high)), max(1, round(high))

    def _convert(self, frame: VideoFrame, facts: Facts) -> VideoFrame:
        key = (facts.transfer, facts.primaries, *_kind(frame))
        if key not in self._colours:
            self._colours = {
                key: _Filter(
                    frame, lambda graph: colour_filter(graph, facts.transfer, facts.primaries)
                )
            }
        return self._colours[key].push(frame)[0]


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


def _laid_in(image: Image, size_wh: tuple[int, int]) -> Image:
    """A picture in the middle of a larger black one."""
    width, height = size_wh
    framed = np.zeros((height, width, 3), np.uint8)
    top, left = (height - len(image)) // 2, (width - image.shape[1]) // 2
    framed[top : top + len(image), left : left + image.shape[1]] = image
    return framed

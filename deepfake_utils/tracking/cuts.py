"""Where a film changes from one shot to another: at a cut or over a dissolve, but not at a flash.

All is judged by thumbnails, small enough that a moving head changes little of them. Differences are
means of absolute differences of their colours, 0..1.

A cut is where no frame shortly before is like one shortly after: after a camera flash the scene is
back, however many frames it took and however much of them it lit. A dissolve is a slow change whose
pictures in between are mixtures of its first and its last, or lead from one to the other by way of
a single colour; those of a moving camera do neither. Light alone changes no shot: pictures that
correlate are of one scene.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from statistics import median
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image
from ..video import TimedFrame

THUMBNAIL_WH = (32, 18)
SIDE_S = 0.17  # how long before and after a cut is looked at: three frames of flash at 25 a second
SIDE = 6  # most frames of a side
RECENT = 12  # frames whose changes a cut is measured against
DISSOLVE_S = 3.0  # the longest dissolve, with what is seen of the new shot before it is noticed
MIXED = 3  # frames that show both shots make a dissolve; with fewer it is a cut
STILL = 4  # frames of the old and of the new shot that a dissolve is told by, at least
_LIT, _OTHER = 0.95, 0.6  # correlation from which on only the light differs; up to which all does
_FLAT = 0.01  # standard deviation of a picture of one colour, in which nothing can correlate

Thumbnail = NDArray[np.float32]  # (18, 32, 3), 0..1
_Item = TypeVar("_Item", bound="tuple[Any, ...]")  # its first is its time in seconds


class Change(NamedTuple):
    """How a frame differs from those before it."""

    size: float  # the least difference of a frame before from one after; 0 if a better cut is near
    usual: float  # how much neighbours differ anyway, on the livelier of the two sides
    dissolve: int = 0  # so many frames were a dissolve to the shot that begins here


class CutDetector:
    """Says where a film changes from one shot to another.

    Args:
        min_change: a cut changes a thumbnail by at least this much, 0..1. A quarter of it will do
            where the face jumps as well.
        ratio: and by this many times as much as frames differ anyway.
    """

    def __init__(self, min_change: float = 0.06, ratio: float = 3.0) -> None:
        self.min_change, self.ratio = min_change, ratio
        self._shot: deque[tuple[float, Thumbnail]] = deque()  # the newest frames of this shot
        self._dissolves: dict[float, int] = {}  # when a new shot begins, by how long a dissolve
        self._given_s = -math.inf  # when the last frame that came out is shown
        self._pictures = 0  # frames so far that are not of one colour

    def watch(self, frames: Iterable[TimedFrame]) -> Iterator[tuple[TimedFrame, Change]]:
        """Each frame, and how it differs; held back by 12 frames, or until 0.34 s more are known.

        Args:
            frames: (H, W, 3) RGB uint8 each, with rising times.
        """
        small = ((frame.time_s, frame, _thumbnail(frame.image)) for frame in frames)
        for near, at in _neighbours(self._changes(small)):
            time_s, frame, _, change = near[at]
            self._given_s = time_s
            # Of two places beside a flash that is like neither side, the later is after it.
            beaten = any(
                rival.size > change.size * (2.0 if place < at else 0.5)
                for place, (*_, rival) in enumerate(near)
                if place != at and self._stands_out(rival)
            )
            size = 0.0 if beaten else change.size
            yield frame, change._replace(size=size, dissolve=self._dissolves.pop(time_s, 0))

    def is_cut(self, change: Change, face_jumped: bool = False) -> bool:
        """Whether a new shot begins with a frame that `watch` gave.

        Args:
            change: of that frame.
            face_jumped: whether a face that was followed is not where it could be.
        """
        return change.dissolve > 0 or self._stands_out(change, 0.25 if face_jumped else 1.0)

    def _stands_out(self, change: Change, share: float = 1.0) -> bool:
        return change.size > max(share * self.min_change, self.ratio * change.usual)

    def _changes(
        self, frames: Iterable[tuple[float, TimedFrame, Thumbnail]]
    ) -> Iterator[tuple[float, TimedFrame, Thumbnail, Change]]:
        """Each frame, and how the frames on both sides differ."""
        steps: deque[float] = deque(maxlen=RECENT)
        for near, at in _neighbours(frames):
            thumbs = [thumbnail for _, _, thumbnail in near]
            before, after = thumbs[:at], thumbs[at:]
            change = Change(0.0, 0.0)
            if before:
                size = difference(before[-1], after[0])
                usual = median(steps) if steps else 0.0
                steps.append(float(np.abs(before[-1] - after[0]).mean()))
                if size > 0.25 * self.min_change:  # else the least of all is no more than this
                    size = min(difference(one, other) for one in before for other in after)
                    usual = max(usual, _liveliness(before), _liveliness(after))
                change = Change(size, usual)
            if self._stands_out(change):
                self._shot.clear()
            self._note_dissolve(near[at][0], thumbs[at])
            yield (*near[at], change)

    def _note_dissolve(self, time_s: float, thumbnail: Thumbnail) -> None:
        """Look whether a dissolve is over with this frame, and note where the new shot begins."""
        shot = self._shot
        shot.append((time_s, thumbnail))
        self._pictures += float(thumbnail.std(axis=(0, 1)).max()) > _FLAT
        while time_s - shot[0][0] > DISSOLVE_S:
            shot.popleft()
        mixed, since = _dissolve(np.stack([each for _, each in shot]), self.min_change)
        if not mixed:
            return
        if self._pictures > mixed + since:  # else the film fades in
            # Frames that came out already stay in the old shot.
            waiting = [at_s for at_s, _ in list(shot)[-since:] if at_s > self._given_s]
            self._dissolves[waiting[0]] = mixed
        self._shot = deque(list(shot)[-since:])


def difference(one: Thumbnail, other: Thumbnail) -> float:
    """How unlike two thumbnails are, 0..1; little where only the light differs."""
    plain = float(np.abs(one - other).mean())
    first, second = ((each - each.mean(axis=(0, 1))).ravel() for each in (one, other))
    if min(float(first.std()), float(second.std())) < _FLAT:
        return plain
    alike = float(first @ second) / float(np.linalg.norm(first) * np.linalg.norm(second))
    return plain * min(1.0, max(0.0, (_LIT - alike) / (_LIT - _OTHER)))


def _thumbnail(image: Image) -> Thumbnail:
    small = np.asarray(cv2.resize(image, THUMBNAIL_WH, interpolation=cv2.INTER_AREA))
    return small.astype(np.float32) / 255.0


def _neighbours(items: Iterable[_Item]) -> Iterator[tuple[list[_Item], int]]:
    """Each item among those up to SIDE_S before and after it, and its place there.

    At most SIDE on each side; the one before it always.
    """
    window: list[_Item] = []
    at = 0

    def near() -> tuple[list[_Item], int]:
        time_s = window[at][0]
        low, high = max(0, at - SIDE), min(len(window), at + SIDE + 1)
        while low < at - 1 and time_s - window[low][0] > SIDE_S:
            low += 1
        while high > at + 1 and window[high - 1][0] - time_s > SIDE_S:
            high -= 1
        return window[low:high], at - low

    for item in items:
        window.append(item)
        while at < len(window) - SIDE or window[-1][0] - window[at][0] > SIDE_S:
            yield near()
            at += 1
        gone = max(0, at - SIDE)
        del window[:gone]
        at -= gone
    while at < len(window):
        yield near()
        at += 1


def _liveliness(side: Sequence[Thumbnail]) -> float:
    """How much neighbours differ, whatever a flash or two among them add."""
    steps = sorted(difference(one, other) for one, other in combinations(side, 2))
    return steps[1] if len(steps) > 1 else 0.0


def _dissolve(thumbs: NDArray[np.float32], least: float) -> tuple[int, int]:
    """Whether a dissolve is just over in the newest frames (N, 18, 32, 3).

    Args:
        thumbs: the last is the newest.
        least: how far the ends of a dissolve must differ.

    Returns:
        How many frames were mixed, and how many there have been since; 0, 0 if none were.
    """
    away = np.abs(thumbs - thumbs[-1]).mean(axis=(1, 2, 3))
    most = float(away.max())
    if len(thumbs) <= MIXED + STILL or most < least or away[-STILL] > 0.25 * most:
        return 0, 0
    first = int(np.flatnonzero(away >= 0.95 * most)[-1])  # the last that was still the old shot
    shapes = (thumbs - thumbs.mean(axis=(1, 2), keepdims=True)).reshape(len(thumbs), -1)
    spread = shapes.std(axis=1)
    if first and spread[first] < 0.3 * spread.max():  # one colour on the way, which is no shot
        first = int(np.flatnonzero(spread[:first] >= 0.95 * spread[:first].max())[-1])
        most = float(away[first])
    if difference(thumbs[first], thumbs[-1]) < max(least, 0.7 * most) or spread[-1] < _FLAT:
        return 0, 0
    ends = shapes[[first, -1]]
    old, new = shares = np.linalg.lstsq(ends.T, shapes.T, rcond=None)[0]
    since = int(np.argmax(new[::-1] < 0.9))
    mixed = len(shapes) - 1 - since - first
    rest = max(STILL, mixed // 3)
    if mixed < MIXED or first < STILL or since < rest:
        return 0, 0
    between = slice(first + 1, first + 1 + mixed)
    off = np.abs(shapes - shares.T @ ends).mean(axis=1)[between].mean() / most
    total, least_share = (old + new)[between], shares[:, between].min(axis=0)
    stood = old[max(0, first - rest) : first + 1].min() > 0.9 or spread[first] < _FLAT
    faded = total.min() < 0.4 and least_share.max() < 0.15 and off < 0.1
    blended = np.abs(total - 1.0).max() < 0.2 and off < 0.2
    return (mixed, since) if stood and (faded or blended) and least_share.min() > -0.1 else (0, 0)

"""An invisible mark in the brightness of a picture: 40 bits that outlive encoding and cropping.

Spread spectrum, as I. J. Cox et al., "Secure Spread Spectrum Watermarking for Multimedia", IEEE
Trans. Image Processing 6(12), 1997: a faint pattern that is known but for its bits is added, and
found again by correlation. Here the pattern is a tile of 32x32 chips, laid over the frame again and
again, the same in every frame. The tile is the sum of ten codes out of 64, each plus or minus: ten
symbols of 7 bits, which are 40 bits of id and 30 of CRC. An eleventh code, the pilot, is always
there and tells where a tile begins.

The key is public, so that anyone can read the mark. So anyone can also remove or forge it: it is a
note that survives honest handling, not a lock.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .codes import GRID, ID_BITS, KIND, SYMBOLS, Plane, best_id, symbols_of, tile_codes
from .images import Image, check_image

MAX_FRAMES = 96  # that the reader adds up: as many as CRF 33 needs
SMALLEST = 64  # pixels; a picture with a shorter side has no room for a tile

_REFERENCE = 360.0  # short side, in pixels, of the frames for which `chip` is given
# Shares of the strength, chosen by eye and so that CRF 33 is outlived. The eye sees a pattern best
# on flat ground, and on dark ground, where a level is a larger share of the brightness.
_FLAT, _BUSY, _DARK = 0.85, 3.5, 0.5
_AROUND = np.ones((3, 3), np.uint8)
_FINE = 4  # samples along a chip when the reader looks for the tile
_CANDIDATES = 12  # highest peaks of the pilot that are looked at
_LOWEST_PEAK = 4.5  # standard deviations; below it is chance
_TRIES = frozenset({4, 16, 48})  # frames after which the reader tries for the first times
_SHARES = (1.0, 0.9, 0.95, 0.8, 0.85)  # of the short side that a crop may have left
# Half a percent apart, as a larger error of scale would smear the chips at the frame's far side.
_ANY_SHARE = tuple(float(share) for share in np.geomspace(0.4, 3.0, 404))


@dataclass(frozen=True)
class WatermarkConfig:
    """What writer and reader have to agree on, and how strong the mark is."""

    key: bytes = b"deepfake_utils"  # chooses the codes; another key does not read the mark
    chip: float = 5.0  # side of a chip in pixels of a frame of 360 lines; it grows with the frame
    pilot: float = 0.5  # the pilot's share of the amplitude
    strength: float = 1.2  # levels of 255; less on flat and dark ground, more where it is busy
    psnr_db: float = 42.0  # a busy frame gets a weaker mark rather than a lower PSNR
    refresh: int = 3  # frames that share a map of busy places, unless the scene changes

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        if not self.chip >= 2.0:
            raise ValueError(f"chip: expected at least 2 pixels, got {self.chip}")
        if not 0.0 < self.pilot < 1.0:
            raise ValueError(f"pilot: expected between 0 and 1, got {self.pilot}")
        if self.refresh < 1:
            raise ValueError(f"refresh: expected at least 1, got {self.refresh}")
        if not self.strength > 0.0:
            raise ValueError(f"strength: expected more than 0, got {self.strength}")


@dataclass(frozen=True)
class WatermarkFound:
    """A mark that was read, its CRC right."""

    mark_id: int  # 40 bits
    peak: float  # height of the pilot, in standard deviations of what is around it
    frames: int  # frames added up for it
    share: float  # of the short side that is left; not 1 if the picture was cropped
    mirrored: bool

    @property
    def face_swap(self) -> bool:
        """Whether this package gave the id."""
        return self.mark_id >> (ID_BITS - 8) == KIND


@dataclass
class _Gain:
    """How strong the mark is at each pixel of a frame, for it and the next few."""

    gain: Plane  # (H, W)
    luma: Plane  # (h, w), small
    left: int  # further frames that it may serve

    def serves(self, luma: Plane, size_hw: tuple[int, int]) -> bool:
        """Whether the next frame looks almost the same."""
        self.left -= 1
        if self.left < 0 or luma.shape != self.luma.shape or size_hw != self.gain.shape:
            return False
        return cv2.norm(luma, self.luma, cv2.NORM_L1) < 3.0 * luma.size  # 3 levels on average


class Watermark:
    """Writes and reads the mark.

    Args:
        config: None takes the public key that all files of this package are marked with.
    """

    def __init__(self, config: WatermarkConfig | None = None) -> None:
        self.config = config or WatermarkConfig()
        self._codes, self._pilot = tile_codes(self.config.key)
        self._drawn: tuple[tuple[int, int, int], tuple[Plane, float]] | None = None
        self._last: _Gain | None = None

    def write(self, image: Image, mark_id: int, share: float = 1.0) -> Image:
        """A copy of a picture with the mark added to its brightness.

        Args:
            image: (H, W, 3) RGB uint8, at least `SMALLEST` pixels high and wide; the frames of a
                clip in their order.
            mark_id: 40 bits, 0 to 2**40 - 1.
            share: of the usual strength; less where the picture bears the same mark already.

        Returns:
            (H, W, 3) RGB uint8; red, green and blue of a pixel change alike.

        Raises:
            TypeError, ValueError: if the image is none or too small, or the id too large.
        """
        check_image(image)
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST:
            raise ValueError(
                f"expected a picture of at least {SMALLEST} pixels in height and width, got "
                f"{width}x{height}, which has no room for the watermark; enlarge it first"
            )
        if not 0 <= mark_id < 1 << ID_BITS:
            raise ValueError(f"mark_id: expected {ID_BITS} bits, got {mark_id}")
        pattern, rms = self._pattern(height, width, mark_id)
        gain = self._gain(image, rms) * share
        levels = cv2.add(cv2.multiply(gain, pattern), 128.0, dtype=cv2.CV_8U)  # 128 is no change
        # Adding and subtracting bytes is four times faster than adding signed numbers to bytes.
        more, less = cv2.subtract(levels, 128), cv2.subtract(128, levels)
        brighter = cv2.add(image, cv2.cvtColor(more, cv2.COLOR_GRAY2RGB))
        marked = cv2.subtract(brighter, cv2.cvtColor(less, cv2.COLOR_GRAY2RGB))
        return np.asarray(marked, np.uint8)

    def read(self, frames: Iterable[Image], thorough: bool = False) -> WatermarkFound | None:
        """Look for a mark.

        Args:
            frames: (H, W, 3) RGB uint8 of one size; up to `MAX_FRAMES` of them are added up.
            thorough: also try any other scale, as of a screenshot, which takes about two seconds.

        Returns:
            The mark, or None if there is none that can be read.

        Raises:
            ValueError: if there is no frame.
        """
        added: Plane | None = None
        count = 0
        for count, frame in enumerate(itertools.islice(frames, MAX_FRAMES), 1):
            white = self._whiten(frame, 720.0 if thorough else _REFERENCE)
            added = white if added is None else cv2.add(added, white)
            if count in _TRIES and (found := self._search(added, count, _SHARES)):
                return found
        if added is None:
            raise ValueError("expected at least one frame to read the watermark of, got none")
        return self._search(added, count, _SHARES + _ANY_SHARE if thorough else _SHARES)

    def _pitch(self, height: int, width: int) -> float:
        """Side of a chip in pixels."""
        return self.config.chip * min(height, width) / _REFERENCE

    def _tile(self, mark_id: int) -> Plane:
        """The tile of an id, (GRID, GRID), mean square 1."""
        weight = np.sqrt((1.0 - self.config.pilot**2) / SYMBOLS)
        tile = self.config.pilot * self._pilot
        for codes, symbol in zip(self._codes, symbols_of(mark_id), strict=True):
            sign = -1.0 if symbol & 64 else 1.0
            tile = tile + weight * sign * codes[symbol & 63]
        return tile.reshape(GRID, GRID).astype(np.float32)

    def _pattern(self, height: int, width: int, mark_id: int) -> tuple[Plane, float]:
        """The tile laid over a whole frame, and its root mean square; kept for the next one."""
        wanted = (height, width, mark_id)
        if self._drawn is None or self._drawn[0] != wanted:
            step = 1.0 / self._pitch(height, width)  # chips a pixel
            tile = self._tile(mark_id)
            times = (int(height * step) // GRID + 2, int(width * step) // GRID + 2)
            to_chips = np.array([[step, 0.0, step / 2 - 0.5], [0.0, step, step / 2 - 0.5]])
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            drawn = cv2.warpAffine(
                np.tile(tile, times),
                to_chips,
                (width, height),
                flags=flags,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            self._drawn = (wanted, (drawn, float(np.sqrt(np.square(drawn).mean()))))
        return self._drawn[1]

    def _gain(self, image: Image, pattern_rms: float) -> Plane:
        """How strong the mark is at each pixel: more where the picture is busy and hides it."""
        height, width = image.shape[:2]
        factor = max(2.0, min(height, width) / 90.0)
        small_wh = (round(width / factor), round(height / factor))
        small = cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if self._last is not None and self._last.serves(luma, (height, width)):
            return self._last.gain
        mean = cv2.blur(luma, (3, 3))
        spread = cv2.sqrt(np.abs(cv2.blur(luma * luma, (3, 3)) - mean * mean))
        # Eroded, or the mark would grow strong, and be seen, on the flat side of an edge.
        inner = cv2.blur(cv2.erode(spread, _AROUND), (3, 3))
        busy = cv2.sqrt(cv2.min(cv2.max(inner - 0.2, 0.0), 18.0) / 18.0)  # 0..1
        gain = (_FLAT + (_BUSY - _FLAT) * busy) * cv2.min(_DARK + (1.0 - _DARK) * mean / 60.0, 1.0)
        rms = cv2.norm(gain) / gain.size**0.5 * pattern_rms
        allowed = 0.98 * 255.0 / 10.0 ** (self.config.psnr_db / 20.0)  # 0.98: what rounding adds
        gain *= min(self.config.strength, allowed / rms)
        self._last = _Gain(cv2.resize(gain, (width, height)), luma, self.config.refresh - 1)
        return self._last.gain

    def _whiten(self, image: Image, lines: float) -> Plane:
        """Brightness at up to `lines`, without the scene's coarse shapes, and equally strong."""
        check_image(image, "frame")
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        height, width = luma.shape
        if min(height, width) > lines:
            shrink = lines / min(height, width)
            wh = (round(width * shrink), round(height * shrink))
            luma = cv2.resize(luma, wh, interpolation=cv2.INTER_AREA)
        plane = luma.astype(np.float32)
        pitch = self._pitch(*plane.shape)
        plane -= cv2.GaussianBlur(plane, (0, 0), 0.9 * pitch)
        power = cv2.GaussianBlur(plane * plane, (0, 0), pitch)
        return np.asarray(plane / (cv2.sqrt(power) + 0.2), np.float32)

    def _search(self, added: Plane, frames: int, shares: Sequence[float]) -> WatermarkFound | None:
        """Try scales, both ways round; the first mark with a right CRC."""
        for share in shares:
            period = GRID * self._pitch(*added.shape) / share
            folded = _fold(added, period)
            # The mirrored frame folds to the mirrored tile, begun elsewhere.
            for mirrored, tile in ((False, folded), (True, folded[:, ::-1])):
                for peak, mark_id in self._decode(tile):
                    return WatermarkFound(mark_id, peak, frames, share, mirrored)
        return None

    def _decode(self, folded: Plane) -> Iterator[tuple[float, int]]:
        """Peaks of the pilot, and ids there whose CRC is right."""
        side = len(folded)
        spectrum = np.fft.rfft2(folded)
        for power in (0.75, 1.0):  # how far what is left of the scene is flattened
            yield from self._decode_flat(spectrum / (np.abs(spectrum) ** power + 1e-9), side)

    def _decode_flat(
        self, spectrum: NDArray[np.complex128], side: int
    ) -> Iterator[tuple[float, int]]:
        """As `_decode`, of the spectrum of a folded tile."""
        match = np.fft.irfft2(spectrum * np.conj(_pilot_spectrum(self.config.key)), (side, side))
        match /= match.std() + 1e-12
        flat = np.fft.irfft2(spectrum, (side, side))
        places = np.argsort(match, axis=None)[: -_CANDIDATES - 1 : -1]
        for row, column in zip(*np.unravel_index(places, match.shape), strict=True):
            peak = float(match[row, column])
            if peak < _LOWEST_PEAK:
                return
            begun = np.roll(flat, (-row, -column), (0, 1))
            chips = begun.reshape(GRID, _FINE, GRID, _FINE).mean((1, 3)).ravel()
            mark_id = best_id(self._codes @ chips.astype(np.float32), peak)
            if mark_id is not None:
                yield peak, mark_id


@functools.lru_cache(maxsize=4)
def _pilot_spectrum(key: bytes) -> NDArray[np.complex128]:
    """Spectrum of the pilot, drawn as finely as the reader folds."""
    pilot = np.tile(tile_codes(key)[1].reshape(GRID, GRID), (3, 3))
    side = GRID * _FINE
    fine = cv2.resize(pilot, (3 * side, 3 * side), interpolation=cv2.INTER_CUBIC)
    return np.fft.rfft2(fine[side : 2 * side, side : 2 * side])


def _fold(plane: Plane, period: float) -> Plane:
    """The mean of all tiles of a frame, (GRID * _FINE, GRID * _FINE)."""
    side = GRID * _FINE
    scale = side / period
    way = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    resized = cv2.resize(plane, None, fx=scale, fy=scale, interpolation=way)
    rows, columns = (-(-length // side) for length in resized.shape)
    padded = np.zeros((rows * side, columns * side), np.float32)
    padded[: resized.shape[0], : resized.shape[1]] = resized
    times = [np.bincount(np.arange(length) % side, minlength=side) for length in resized.shape]
    total = padded.reshape(rows, side, columns, side).sum((0, 2))
    return np.asarray(total / np.maximum(np.outer(*times), 1), np.float32)

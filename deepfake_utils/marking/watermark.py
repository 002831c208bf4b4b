"""An invisible mark in the brightness of a picture: 40 bits that outlive encoding and cropping.

Spread spectrum, as I. J. Cox et al., "Secure Spread Spectrum Watermarking for Multimedia", IEEE
Trans. Image Processing 6(12), 1997: a faint pattern that is known but for its bits is added, and
found again by correlation. Here the pattern is a tile of 32x32 chips, laid over the frame again and
again, the same in every frame. The tile is the sum of ten codes, each one of 64 Walsh functions,
plus or minus (biorthogonal signalling; J. G. Proakis, "Digital Communications"): ten symbols of 7
bits, which are 40 bits of id and 30 of CRC. An eleventh code, the pilot, is always there and tells
where a tile begins. `visibility` says how strong the pattern may be at each place; `lattice` finds
it again after scaling, cropping and turning.

By chance one of 2**30 readings passes the CRC. Where no peak of the pilot says that there is a mark
at this size, and at the 12 scales and angles of the thorough search, only ids that this package
gives are believed, which leaves one in 2**38.

The key is public, so that anyone can read the mark. So anyone can also remove or forge it: it is a
note that survives honest handling, not a lock.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, check_image
from ..settings import Settings, setting
from .lattice import find_lattices
from .visibility import Luma, Plane, strength_map

GRID = 32  # chips along a side of the tile
SYMBOLS, SYMBOL_BITS = 10, 7
ID_BITS, CHECK_BITS = 40, 30
KIND = 0xA1  # first byte of the ids that this package gives: a swapped face, version 1
MAX_FRAMES = 240  # that the reader adds up: as many, spread over a longer film, as CRF 33 needs
SMALLEST = 64  # pixels; a picture with a shorter side has no room for a tile

_CHOICES = 3  # the likeliest values of a symbol, which are tried
_REFERENCE = 360.0  # short side, in pixels, of the frames for which `chip` is given
_FINE = 4  # samples along a chip when the reader looks for the tile
_CANDIDATES = 12  # highest peaks of the pilot that are looked at
_LOWEST_PEAK = 4.5  # standard deviations; below it is chance
_CLEAR_PEAK = 5.0  # hardly reached where there is no mark; above it doubtful readings count, too
_MANY_TRIES, _FEW_TRIES = 4096, 64
_BLANK = 1e-3  # of the spread that a textured frame has; a mark that can be read leaves far more
_STOPS = frozenset({4, 16, 48, 96})  # frames after which the reader tries for the first times
_LATTICES = 12  # scales and angles that the thorough search looks at
_COARSE = 0.9  # chips; what is coarser is taken out of pattern and picture alike
_HIGHEST = 2.0  # root mean squares; higher peaks of the pattern are cut off, as the eye finds them


@dataclass(frozen=True)
class WatermarkConfig(Settings):
    """What writer and reader have to agree on, and how strong the mark is."""

    key: bytes = setting(b"deepfake_utils", "chooses the codes; another key does not read the mark")
    chip: float = setting(
        5.0, "side of a chip, in pixels of a frame of 360 lines; it grows with the frame", least=2.0
    )
    pilot: float = setting(0.5, "the pilot's share of the amplitude", above=0.0, below=1.0)
    strength: float = setting(1.0, "times what `strength_map` allows", above=0.0)
    psnr_db: float = setting(44.0, "a busy frame gets a weaker mark rather than a lower PSNR, dB")
    refresh: int = setting(
        4, "frames that share a map of busy places, unless the scene changes", least=1
    )


@dataclass(frozen=True)
class WatermarkFound:
    """A mark that was read, its CRC right."""

    mark_id: int  # 40 bits
    peak: float  # height of the pilot, in standard deviations of what is around it
    frames: int  # frames added up for it
    share: float  # of the short side that is left; not 1 if the picture was cropped
    mirrored: bool
    turned: float  # degrees, counter-clockwise as seen; before that it may have been mirrored

    @property
    def face_swap(self) -> bool:
        """Whether this package gave the id."""
        return self.mark_id >> (ID_BITS - 8) == KIND


@dataclass
class _Change:
    """What the mark does to a frame, and to the next few if they look the same."""

    more: Luma  # (H, W), added
    less: Luma  # (H, W), taken away
    few: Luma  # (h, w), some pixels of the frame
    wanted: tuple[int, int, int, float, bool]  # what it was made for
    left: int  # frames that it may still serve

    def serves(self, few: Luma, wanted: tuple[int, int, int, float, bool]) -> bool:
        """Whether it may be used for another frame."""
        if self.left <= 0 or wanted != self.wanted:
            return False
        return cv2.norm(few, self.few, cv2.NORM_L1) < 8.0 * few.size  # 8 levels on average


class Watermark:
    """Writes and reads the mark.

    Args:
        config: None takes the public key that all files of this package are marked with.
    """

    def __init__(self, config: WatermarkConfig | None = None) -> None:
        self.config = config or WatermarkConfig()
        self._codes, self._pilot = tile_codes(self.config.key)
        self._drawn: tuple[tuple[int, int, int], tuple[Plane, float]] | None = None
        self._last: _Change | None = None

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
        luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        more, less = self._change(luma, mark_id, share, limited=False)
        brighter = cv2.add(image, cv2.cvtColor(more, cv2.COLOR_GRAY2RGB))
        marked = cv2.subtract(brighter, cv2.cvtColor(less, cv2.COLOR_GRAY2RGB))
        return np.asarray(marked, np.uint8)

    def write_luma(
        self, luma: Luma, mark_id: int, share: float = 1.0, full_range: bool = False
    ) -> None:
        """Add the mark to the luma of a video frame, in place, as strongly as `write` does.

        Args:
            luma: (H, W) uint8; otherwise as for `write`.
            mark_id: as there.
            share: as there.
            full_range: whether black is 0 and white 255 in the luma, instead of 16 and 235.

        Raises:
            ValueError: if it is too small, or the id too large.
        """
        more, less = self._change(luma, mark_id, share, limited=not full_range)
        cv2.add(luma, more, dst=luma)
        cv2.subtract(luma, less, dst=luma)

    def read(self, frames: Iterable[Image], thorough: bool = False) -> WatermarkFound | None:
        """Look for a mark.

        Args:
            frames: (H, W, 3) RGB uint8 of one size; up to `MAX_FRAMES` of them are added up.
            thorough: also look for tiles of other scales (0.4 to 2.3), turned by up to 6 degrees
                from upright or lying, which takes about a second.

        Returns:
            The mark, or None if there is none that can be read.

        Raises:
            ValueError: if there is no frame.
        """
        first = list(itertools.islice(frames := iter(frames), 2))
        lines = 720.0 if thorough and len(first) == 1 else _REFERENCE
        added: Plane | None = None
        count = 0
        some = itertools.islice(itertools.chain(first, frames), MAX_FRAMES)
        for count, frame in enumerate(some, 1):
            white = self._whiten(frame, lines)
            added = white if added is None else cv2.add(added, white)
            if count in _STOPS and (found := self._search(added, count, False)):
                return found
        if added is None:
            raise ValueError("expected at least one frame to read the watermark of, got none")
        return self._search(added, count, thorough)

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
            drawn -= cv2.GaussianBlur(drawn, (0, 0), _COARSE / step)
            drawn = np.clip(drawn / drawn.std(), -_HIGHEST, _HIGHEST)
            self._drawn = (wanted, (drawn, float(np.sqrt(np.square(drawn).mean()))))
        return self._drawn[1]

    def _change(self, luma: Luma, mark_id: int, share: float, limited: bool) -> tuple[Luma, Luma]:
        """What to add to the brightness of each pixel, and what to take away from it.

        Adding and subtracting bytes is four times faster than adding signed numbers to bytes.
        """
        height, width = luma.shape
        if min(height, width) < SMALLEST:
            raise ValueError(
                f"expected a picture of at least {SMALLEST} pixels in height and width, got "
                f"{width}x{height}, which has no room for the watermark; enlarge it first"
            )
        if not 0 <= mark_id < 1 << ID_BITS:
            raise ValueError(f"mark_id: expected {ID_BITS} bits, got {mark_id}")
        wanted = (height, width, mark_id, share, limited)
        few = luma[::8, ::8].copy()
        if self._last is None or not self._last.serves(few, wanted):
            pattern, rms = self._pattern(height, width, mark_id)
            gain = strength_map(luma, limited)
            # 0.98 leaves room for what rounding adds.
            allowed = 0.98 * 255.0 / 10.0 ** (self.config.psnr_db / 20.0)
            strongest = allowed / max(cv2.norm(gain) / gain.size**0.5 * rms, 1e-6)
            span = 219.0 / 255.0 if limited else 1.0
            gain *= share * min(self.config.strength, strongest) * span
            gain = cv2.resize(gain, (width, height))
            levels = cv2.add(cv2.multiply(gain, pattern), 128.0, dtype=cv2.CV_8U)  # 128: no change
            change = cv2.subtract(levels, 128), cv2.subtract(128, levels)
            self._last = _Change(*change, few, wanted, self.config.refresh)
        self._last.left -= 1
        return self._last.more, self._last.less

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
        plane -= cv2.GaussianBlur(plane, (0, 0), _COARSE * pitch)
        return _evened(plane, pitch, 0.2)

    def _search(self, added: Plane, frames: int, thorough: bool) -> WatermarkFound | None:
        """Try all ways round, and if asked other scales and angles; the first right CRC."""
        pitch = self._pitch(*added.shape)
        if float(added.std()) < _BLANK * frames:
            return None  # in what rounding left of blank pictures, chance finds peak upon peak
        even = _evened(cv2.multiply(added, 1.0 / frames), pitch, 0.05)
        period = GRID * pitch
        places = [(1.0, 0.0, _MANY_TRIES)]
        if thorough:
            found = find_lattices(even, period, _LATTICES)
            # The more is tried, the fewer doubtful readings may be, or chance would find one.
            places += [(lattice.scale, lattice.angle, _FEW_TRIES) for lattice in found]
        for scale, angle, tries in places:
            folded = _fold(even, period * scale, angle)
            for turns, mirrored in itertools.product(range(4), (False, True)):
                # A turned or mirrored frame folds to such a tile, begun elsewhere.
                tile = np.rot90(folded, -turns)
                tile = tile[:, ::-1] if mirrored else tile
                # A frame that was only encoded anew begins with a tile: no peak is needed to try.
                first = tries == _MANY_TRIES and not turns and not mirrored
                for peak, mark_id in self._decode(tile, tries, first):
                    sure = tries == _MANY_TRIES and peak >= _LOWEST_PEAK
                    if sure or mark_id >> (ID_BITS - 8) == KIND:
                        turned = 180.0 - (180.0 - 90.0 * turns - angle) % 360.0
                        return WatermarkFound(mark_id, peak, frames, 1 / scale, mirrored, turned)
        return None

    def _decode(self, folded: Plane, tries: int, first: bool) -> Iterator[tuple[float, int]]:
        """Peaks of the pilot, and ids there whose CRC is right."""
        side = len(folded)
        spectrum = np.fft.rfft2(folded)
        for power in (0.5, 0.9):  # how far what is left of the scene is flattened
            flat = spectrum / (np.abs(spectrum) ** power + 1e-9)
            yield from self._decode_flat(flat, side, tries, first)

    def _decode_flat(
        self, spectrum: NDArray[np.complex128], side: int, tries: int, first: bool
    ) -> Iterator[tuple[float, int]]:
        """As `_decode`, of the spectrum of a folded tile."""
        match = np.fft.irfft2(spectrum * np.conj(_pilot_spectrum(self.config.key)), (side, side))
        match /= match.std() + 1e-12
        flat = np.fft.irfft2(spectrum, (side, side))
        places = np.argsort(match, axis=None)[: -_CANDIDATES - 1 : -1]
        for place in (0, *places) if first else places:
            row, column = divmod(int(place), side)
            peak = float(match[row, column])
            if peak < _LOWEST_PEAK and not (first and place == 0):
                return
            begun = np.roll(flat, (-row, -column), (0, 1))
            chips = begun.reshape(GRID, _FINE, GRID, _FINE).mean((1, 3)).ravel()
            scores = self._codes @ chips.astype(np.float32)
            clear = peak >= _CLEAR_PEAK or (first and place == 0)
            mark_id = best_id(scores, tries if clear else 1)
            if mark_id is not None:
                yield peak, mark_id


@functools.lru_cache(maxsize=4)
def _pilot_spectrum(key: bytes) -> NDArray[np.complex128]:
    """Spectrum of the pilot, drawn as finely as the reader folds."""
    pilot = np.tile(tile_codes(key)[1].reshape(GRID, GRID), (3, 3))
    side = GRID * _FINE
    fine = cv2.resize(pilot, (3 * side, 3 * side), interpolation=cv2.INTER_CUBIC)
    return np.fft.rfft2(fine[side : 2 * side, side : 2 * side])


def _evened(plane: Plane, pitch: float, least: float) -> Plane:
    """A plane as strong everywhere, so that no part of the picture drowns the others."""
    power = cv2.GaussianBlur(plane * plane, (0, 0), pitch)
    return np.asarray(plane / (cv2.sqrt(power) + least), np.float32)


def _fold(plane: Plane, period: float, angle: float = 0.0) -> Plane:
    """The sum of all tiles of a frame turned by `angle` degrees, (GRID * _FINE, GRID * _FINE)."""
    side = GRID * _FINE
    height, width = plane.shape
    # Pixels of the frame -> of the upright one, larger or smaller so that a tile has `side` pixels.
    upright = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, side / period)
    reach = np.abs(upright[:, :2]) @ (width, height)
    rows, columns = (int(-(-length // side)) for length in reach[::-1])
    upright[:, 2] += np.array([columns, rows]) * side / 2 - (width / 2, height / 2)
    if period > side:
        plane = cv2.blur(plane, (2, 2)) if period > 1.6 * side else plane
    drawn = cv2.warpAffine(plane, upright, (columns * side, rows * side))
    return np.asarray(drawn.reshape(rows, side, columns, side).sum((0, 2)), np.float32)


def new_mark_id() -> int:
    """A random id of 40 bits: `KIND` and 32 bits of chance."""
    return KIND << (ID_BITS - 8) | secrets.randbits(ID_BITS - 8)


@functools.lru_cache(maxsize=4)
def tile_codes(key: bytes) -> tuple[Plane, Plane]:
    """Walsh functions, some of them, scrambled: (SYMBOLS, 64, chips) and the pilot (chips,).

    They are all orthogonal. The choice and the scrambling come from SHAKE-256, whose bytes stay the
    same for ever, as a file has to be readable in years to come; numpy's random streams may change.
    """
    chips = GRID * GRID
    walsh = np.ones((1, 1), np.float32)
    while len(walsh) < chips:
        walsh = np.block([[walsh, walsh], [walsh, -walsh]])
    stream = hashlib.shake_256(key).digest(5 * chips)
    # The first function is constant and would only change the mean.
    order = np.frombuffer(stream, "<u4", chips)[1:].argsort(kind="stable") + 1
    signs = 1.0 - 2.0 * (np.frombuffer(stream, np.uint8, chips, 4 * chips) & 1)
    chosen = (walsh[order[: SYMBOLS * 64 + 1]] * signs).astype(np.float32)
    return chosen[:-1].reshape(SYMBOLS, 64, chips), chosen[-1]


def _check(mark_id: int) -> int:
    return zlib.crc32(mark_id.to_bytes(8, "big")) & ((1 << CHECK_BITS) - 1)


def symbols_of(mark_id: int) -> list[int]:
    """Id and CRC as ten symbols, the lowest bits first."""
    word = mark_id << CHECK_BITS | _check(mark_id)
    return [word >> (SYMBOL_BITS * index) & 127 for index in range(SYMBOLS)]


def id_of(symbols: Sequence[int]) -> int | None:
    """The id, or None if the CRC is wrong."""
    word = sum(symbol << (SYMBOL_BITS * index) for index, symbol in enumerate(symbols))
    mark_id, check = word >> CHECK_BITS, word & ((1 << CHECK_BITS) - 1)
    return mark_id if check == _check(mark_id) else None


def best_id(scores: Plane, tries: int) -> int | None:
    """The id with a right CRC among the likeliest readings of (SYMBOLS, 64) correlations.

    Args:
        tries: how many readings are looked at; each may pass by chance, once in 2**30 times.
    """
    size = np.abs(scores)
    order = np.argsort(size, axis=1)[:, : -_CHOICES - 1 : -1]  # (SYMBOLS, _CHOICES)
    best = np.take_along_axis(size, order, axis=1)
    symbols = order + 64 * (np.take_along_axis(scores, order, axis=1) < 0)
    # How much likelier the likeliest reading is than each of the _CHOICES ** SYMBOLS others.
    losses = functools.reduce(np.add.outer, best[:, :1] - best)
    readings = np.argsort(losses, axis=None)[:tries] if tries > 1 else np.zeros(1, int)
    for reading in zip(*np.unravel_index(readings, losses.shape), strict=True):
        mark_id = id_of(symbols[np.arange(SYMBOLS), reading].tolist())
        if mark_id is not None:
            return mark_id
    return None

"""The alphabet of the watermark: an id as ten symbols, a symbol as one of 128 orthogonal codes.

A symbol of 7 bits is one of 64 Walsh functions, plus or minus, as biorthogonal signalling has it
(J. G. Proakis, "Digital Communications"). 40 bits of id and 30 bits of CRC make ten.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GRID = 32  # chips along a side of the tile
SYMBOLS, SYMBOL_BITS = 10, 7
ID_BITS, CHECK_BITS = 40, 30
KIND = 0xA1  # first byte of the ids that this package gives: a swapped face, version 1

_CHOICES = 3  # the likeliest values of a symbol, which are tried

Plane = NDArray[np.float32]  # (H, W)


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

"""From the colours of HDR and of other primaries to those of SDR BT.709, as a table.

HDR is shown as ITU-R BT.2408 wants it: white of SDR is 203 cd/m2, HLG is seen on a display of
1000 cd/m2 (BT.2100). What is brighter is compressed by the curve of BT.2390 (its section 5.4.1).
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from .stream import HLG, PQ

Colours = NDArray[np.float64]  # (..., 3)

_STEPS = 33  # of the table, a side
_WHITE, _PEAK = 203.0, 1000.0  # cd/m2
_GAMMA = 2.4  # of SDR, BT.1886
_GAMMAS = {4: 2.2, 5: 2.8}  # code of a transfer -> its gamma, if another
# Code of primaries -> (x, y) of red, green and blue; the white of all is D65.
_D65 = (0.3127, 0.3290)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_SMPTE = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_XY = {
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: _SMPTE,
    7: _SMPTE,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
# BT.2100: constants of PQ and HLG.
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073


def _to_xyz(xy: tuple[tuple[float, float], ...]) -> Colours:
    """(3, 3), maps linear RGB to XYZ."""
    corners = np.array([(x / y, 1.0, (1.0 - x - y) / y) for x, y in (*xy, _D65)]).T
    return corners[:, :3] * np.linalg.solve(corners[:, :3], corners[:, 3])


def _pq_light(signal: Colours) -> Colours:
    """PQ signal 0..1 -> cd/m2."""
    root = signal ** (1 / _M2)
    return 10_000.0 * (np.maximum(root - _C1, 0.0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _pq_signal(light: Any) -> Any:
    """cd/m2 -> PQ signal 0..1."""
    power = (np.asarray(light) / 10_000.0) ** _M1
    return ((_C1 + _C2 * power) / (1.0 + _C3 * power)) ** _M2


def _compressed(light: Colours) -> Colours:
    """Luminance up to `_PEAK` -> up to `_WHITE`, both cd/m2; BT.2390's curve, black kept."""
    peak = _pq_signal(_PEAK)
    most = _pq_signal(_WHITE) / peak
    knee = 1.5 * most - 0.5  # below it nothing changes
    signal = np.minimum(_pq_signal(light) / peak, 1.0)
    t = np.maximum(signal - knee, 0.0) / (1.0 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * most
    )
    return _pq_light(np.where(signal < knee, signal, bent) * peak)


def to_sdr(signal: Colours, transfer: int, primaries: int) -> Colours:
    """RGB of a film to RGB of SDR BT.709.

    Args:
        signal: (..., 3) in 0..1, as coded.
        transfer: code of the film's transfer.
        primaries: code of its primaries.

    Returns:
        (..., 3) in 0..1, as coded; colours that BT.709 lacks are clipped.
    """
    to_xyz = _to_xyz(_XY.get(primaries, _BT709))
    if transfer in (PQ, HLG):
        light = _pq_light(signal)
        if transfer == HLG:
            scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
            light = _PEAK * scene * (scene @ to_xyz[1])[..., None] ** 0.2
        luminance = (light @ to_xyz[1])[..., None]
        light = light * _compressed(luminance) / np.maximum(luminance, 1e-9) / _WHITE
    else:
        light = signal ** _GAMMAS.get(transfer, _GAMMA)
    light = light @ np.linalg.solve(_to_xyz(_BT709), to_xyz).T
    return np.clip(light, 0.0, 1.0) ** (1 / _GAMMA)


@functools.lru_cache(maxsize=4)
def _cube(transfer: int, primaries: int) -> str:
    """`to_sdr` as a table in the format .cube, which FFmpeg reads: red changes fastest."""
    axis = np.linspace(0.0, 1.0, _STEPS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    table = to_sdr(np.stack([red, green, blue], axis=-1), transfer, primaries).reshape(-1, 3)
    rows = "\n".join("{:.6f} {:.6f} {:.6f}".format(*row) for row in table.tolist())
    return f"LUT_3D_SIZE {_STEPS}\n{rows}\n"


def colour_filter(graph: Graph, transfer: int, primaries: int) -> Any:
    """Add FFmpeg's filter to `graph` that does `to_sdr` on frames of RGB."""
    with tempfile.TemporaryDirectory() as folder:  # it is read when the filter is made
        path = Path(folder) / "table.cube"
        path.write_text(_cube(transfer, primaries), encoding="ascii")
        return graph.add("lut3d", file=str(path), interp="tetrahedral")

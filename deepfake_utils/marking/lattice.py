"""At which scale and angle a picture repeats itself, as marked pictures do that were turned.

The mark is one tile laid side by side, so all its power lies on a lattice of frequencies, wherever
the tile begins. Turning and scaling the picture turn and scale that lattice, as M. Kutter used it,
"Watermarking resistant to translation, rotation, and scaling", Proc. SPIE 3528, 1998; he looked for
peaks of the autocorrelation, here the power on the lattice is added up for every scale and angle.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]  # (H, W)

SCALES = (0.36, 2.3)  # times the period that the frame's size tells
ANGLES = 6.0  # degrees, both ways
_SCALE_STEP, _ANGLE_STEP = 0.004, 0.25
_LOWEST, _HIGHEST = 2.5, 12.5  # of the lattice's points: coarser ones drown in the scene
_LOUDEST = 6.0  # times the power around it; a single louder peak is no lattice


class Lattice(NamedTuple):
    """A scale and an angle at which tiles may lie."""

    scale: float  # times the period that was expected
    angle: float  # degrees, counter-clockwise as seen
    score: float  # standard deviations above other scales and angles


def find_lattices(plane: Plane, period: float, count: int) -> list[Lattice]:
    """The likeliest scales and angles of the tiles in a picture.

    Args:
        plane: (H, W) float32, without the scene's coarse shapes.
        period: side of a tile in pixels if the picture was neither scaled nor turned.
        count: how many to give, the likeliest first.
    """
    power, side = _spectrum(plane)
    scales = np.geomspace(*SCALES, round(np.log(SCALES[1] / SCALES[0]) / _SCALE_STEP))
    angles = np.arange(-ANGLES, ANGLES + _ANGLE_STEP / 2, _ANGLE_STEP)
    scores = _power_on(power, side / period, scales, angles)
    # The scene favours some scales and angles; a lattice stands out among near ones.
    scores -= cv2.blur(scores, (25, 13), borderType=cv2.BORDER_REFLECT)
    scores /= np.sqrt(cv2.blur(np.square(scores).mean(0)[None], (81, 1))) + 1e-9
    found = []
    for _ in range(count):
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        score = float(scores[row, column])
        near_scales = scales[column] * np.linspace(0.995, 1.005, 11)
        near_angles = angles[row] + np.linspace(-0.3, 0.3, 13)
        near = _power_on(power, side / period, near_scales, near_angles)
        y, x = np.unravel_index(int(near.argmax()), near.shape)
        found.append(Lattice(float(near_scales[x]), float(near_angles[y]), score))
        scores[max(0, row - 3) : row + 4, max(0, column - 4) : column + 5] = -np.inf
    return found


def _spectrum(plane: Plane) -> tuple[Plane, int]:
    """Power at each frequency, times that around it; zero frequency in the middle, (S, S), S."""
    side = cv2.getOptimalDFTSize(round(2.0 * max(plane.shape)))
    padded = np.zeros((side, side), np.float32)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    real, imaginary = cv2.split(cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT))
    power = np.fft.fftshift(real * real + imaginary * imaginary)
    around = cv2.blur(power, (41, 41))
    even = cv2.min(power / (around + 1e-9), _LOUDEST)
    return np.asarray(even, np.float32), side


def _power_on(
    power: Plane, first: float, scales: NDArray[np.float64], angles: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Mean power on the lattice of each angle and scale, (angles, scales).

    Args:
        power: (S, S), zero frequency in the middle.
        first: distance of neighbouring points of the lattice, in pixels of `power`, at scale 1.
        scales: of the tile.
        angles: in degrees.
    """
    far = int(_HIGHEST)
    down, right = np.mgrid[-far : far + 1, 0 : far + 1].reshape(2, -1)
    size = np.hypot(down, right)
    kept = (size >= _LOWEST) & (size <= _HIGHEST) & ((right > 0) | (down > 0))
    points = right[kept] + 1j * down[kept]
    middle = len(power) // 2
    rows = []
    for angle in np.deg2rad(angles):
        places = (first / scales)[:, None] * (points * np.exp(-1j * angle))[None]
        x, y = (np.float32(part + middle) for part in (places.real, places.imag))
        rows.append(cv2.remap(power, x, y, cv2.INTER_LINEAR, borderValue=1.0).mean(axis=1))
    return np.stack(rows)

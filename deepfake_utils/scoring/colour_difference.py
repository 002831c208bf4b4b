"""How different two colours look: CIEDE2000.

G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes,
Supplementary Test Data, and Mathematical Observations", Color Research and Application 30(1), 2005.
Equation numbers in the comments are the paper's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, check_image

Lab = NDArray[np.float64]  # (..., 3): L 0..100, a and b about -128..127


def to_lab(image: Image) -> Lab:
    """(H, W, 3) RGB uint8, taken as sRGB -> (H, W, 3) CIE L*a*b* under D65."""
    check_image(image)
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float64)


def ciede2000(one: Lab, other: Lab) -> NDArray[np.float64]:
    """The difference between colours, 1 being about the least that is seen side by side.

    Weights k_L, k_C and k_H are 1.

    Args:
        one: (..., 3) CIE L*a*b*.
        other: (..., 3), of a shape that broadcasts with the first.

    Returns:
        (...) float64, 0 for equal colours.

    Raises:
        ValueError: if a last axis is not 3.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    for lab in (one, other):
        if lab.shape[-1:] != (3,):
            raise ValueError(f"expected colours (..., 3) in L*a*b*, got shape {lab.shape}")
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2.0  # (2), (3)
    redder = 1.0 + 0.5 * (1.0 - _saturating(mean_c))  # (4), (5): 1 + G
    c1, c2 = np.hypot(redder * a1, b1), np.hypot(redder * a2, b2)  # (6)
    h1, h2 = np.arctan2(b1, redder * a1), np.arctan2(b2, redder * a2)  # (7), radians
    # The shorter way around the circle of hues; grey has none.
    turn = (h2 - h1 + np.pi) % (2.0 * np.pi) - np.pi  # (10)
    turn = np.where(c1 * c2 == 0.0, 0.0, turn)
    d_l, d_c = l2 - l1, c2 - c1  # (8), (9)
    d_h = 2.0 * np.sqrt(c1 * c2) * np.sin(turn / 2.0)  # (11)
    mean_l, mean_c = (l1 + l2) / 2.0, (c1 + c2) / 2.0  # (12), (13)
    mean_h = np.where(c1 * c2 == 0.0, h1 + h2, h1 + turn / 2.0)  # (14), up to whole circles
    t = 1.0 - 0.17 * np.cos(mean_h - np.radians(30.0)) + 0.24 * np.cos(2.0 * mean_h)  # (15)
    t += 0.32 * np.cos(3.0 * mean_h + np.radians(6.0))
    t -= 0.20 * np.cos(4.0 * mean_h - np.radians(63.0))
    blue = (np.degrees(mean_h) % 360.0 - 275.0) / 25.0
    rotation = -2.0 * _saturating(mean_c) * np.sin(np.radians(60.0) * np.exp(-(blue**2)))
    squared = np.square(mean_l - 50.0)
    s_l = 1.0 + 0.015 * squared / np.sqrt(20.0 + squared)  # (18)
    s_c, s_h = 1.0 + 0.045 * mean_c, 1.0 + 0.015 * mean_c * t  # (19), (20)
    x, y, z = d_l / s_l, d_c / s_c, d_h / s_h
    # (22); rounding may take a difference of nothing just below 0
    return np.asarray(np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0.0)))


def _saturating(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for grey towards 1 for strong colours: the root in (4) and (17)."""
    seventh = chroma**7
    return np.asarray(np.sqrt(seventh / (seventh + 25.0**7)))

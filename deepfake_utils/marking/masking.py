"""How much of a change the eye lets pass, at each place of a picture.

It sees a faint pattern best on flat ground, where nothing hides it, and on dark ground, where a
level is a larger share of the brightness.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .codes import Plane

Luma = NDArray[np.uint8]  # (H, W)

# Shares of the strength, chosen by eye and so that CRF 33 is outlived.
_FLAT, _BUSY, _DARK = 0.78, 3.2, 0.45
_AROUND = np.ones((3, 3), np.uint8)


def unseen(luma: Luma, limited: bool = False) -> Plane:
    """How strong a pattern may be, about 0.4 to 3.5 times what is hardly seen on grey.

    Args:
        luma: (H, W) uint8.
        limited: whether black is 16 and white 235, as in videos, instead of 0 and 255.

    Returns:
        (h, w), about 90 pixels on the shorter side.
    """
    height, width = luma.shape
    factor = max(2.0, min(height, width) / 90.0)
    small_wh = (round(width / factor), round(height / factor))
    small = cv2.resize(luma, small_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    if limited:
        small = (small - 16.0) * np.float32(255 / 219)
    mean = cv2.blur(small, (3, 3))
    spread = cv2.sqrt(np.abs(cv2.blur(small * small, (3, 3)) - mean * mean))
    # Eroded, or the mark would grow strong, and be seen, on the flat side of an edge.
    inner = cv2.blur(cv2.erode(spread, _AROUND), (3, 3))
    busy = cv2.sqrt(cv2.min(cv2.max(inner - 0.2, 0.0), 18.0) / 18.0)  # 0..1
    light = cv2.min(_DARK + (1.0 - _DARK) * cv2.max(mean, 0.0) / 60.0, 1.0)
    return np.asarray((_FLAT + (_BUSY - _FLAT) * busy) * light, np.float32)

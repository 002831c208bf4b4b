"""How strong a pattern may be at each place before the eye sees it.

Two effects, after A. B. Watson, "DCT quantization matrices visually optimized for individual
images", Proc. SPIE 1913, 1993: on dark ground a level is a larger share of the brightness
(luminance masking), and texture hides what is added to it (contrast masking). Texture varies in
every direction. An edge varies across itself only and hides little beside it, so contrast is
measured as the smaller eigenvalue of the structure tensor (W. Foerstner and E. Guelch, "A fast
operator for detection and precise location of distinct points", 1987).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]  # (H, W)
Luma = NDArray[np.uint8]  # (H, W)

FLAT = 0.5  # levels of 255, root mean square, on smooth ground of middle brightness, with grain
_GRAIN = 0.25  # levels a pixel; ground that is smoother than that hides less
_MASKED = 0.45  # levels for each level a pixel of the weaker slope of a texture, at 180 lines
_STRONGEST = 3.0  # levels, however busy it is
_LINES = 180.0  # at which contrast is measured; finer detail hides little of a pattern this coarse


def strength_map(luma: Luma, limited: bool = False) -> Plane:
    """How strong a pattern of a few pixels' grain may be, root mean square.

    Args:
        luma: (H, W) uint8.
        limited: whether black is 16 and white 235, as in videos, instead of 0 and 255.

    Returns:
        (h, w) in levels of 255, at most 180 pixels on the shorter side: 0 on black and white, half
        of `FLAT` on even ground between, up to 3 in texture.
    """
    height, width = luma.shape
    shrink = min(1.0, _LINES / min(height, width))
    small_wh = (round(width * shrink), round(height * shrink))
    small = cv2.resize(luma, small_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    if limited:
        small = (small - 16.0) * np.float32(255 / 219)
    mean = cv2.blur(small, (5, 5))
    right, down = (cv2.Sobel(small, cv2.CV_32F, *each, scale=0.125) for each in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.blur(each, (5, 5)) for each in (right * right, down * down, right * down))
    half = cv2.multiply(xx - yy, 0.5)
    weaker = cv2.multiply(xx + yy, 0.5) - cv2.sqrt(half * half + xy * xy)
    texture = cv2.sqrt(cv2.max(weaker, 0.0))
    light = cv2.min(0.4 + cv2.max(mean, 0.0) / 150.0, cv2.max(252.0 - mean, 0.0) / 20.0)
    grain = cv2.min(0.5 + cv2.sqrt(xx + yy) * (0.5 / _GRAIN), 1.0)
    strength = FLAT * grain * cv2.min(light, 1.0) + _MASKED * cv2.max(texture - 0.3, 0.0)
    return np.asarray(cv2.min(strength, _STRONGEST), np.float32)

"""How close two pictures are, and ways to spoil one, to see what PSNR and SSIM notice.

PSNR is the mean squared error on a logarithmic scale. SSIM compares means, contrasts and patterns
around each pixel: Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE TIP 13(4), 2004.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

from ..images import Image, check_image, to_tensor
from ..losses import ssim_map
from .attacks import jpeg

# The strengths that each way allows, from least to most, and what they mean.
WAYS = {
    "noise": (0.0, 120.0),  # standard deviation in levels
    "blur": (0.0, 20.0),  # standard deviation of a Gaussian in pixels
    "shift": (0.0, 20.0),  # pixels to the right
    "brighter": (0.0, 120.0),  # levels more
    "less contrast": (0.0, 1.0),  # share that is taken away
    "JPEG": (0.0, 99.0),  # 100 - quality
}


def psnr(drawn: Image, target: Image) -> float:
    """Peak signal-to-noise ratio over all pixels and colours, in dB; infinite if equal.

    Args:
        drawn: (H, W, 3) RGB uint8.
        target: same shape, what it should be.

    Raises:
        TypeError, ValueError: if they are no two pictures of one size.
    """
    _check_pair(drawn, target)
    error = np.square(drawn.astype(np.float64) - target).mean()
    return 10.0 * math.log10(255.0**2 / error) if error else math.inf


def ssim(drawn: Image, target: Image) -> float:
    """Mean structural similarity over windows of 7 px and the three colours: 1 if equal.

    The paper's windows are Gaussians of 11 px; see `losses.ssim_map`.

    Args:
        drawn: (H, W, 3) RGB uint8, 7 px or more each way.
        target: same shape, what it should be.

    Raises:
        TypeError, ValueError: if they are no two pictures of one size.
    """
    _check_pair(drawn, target)
    first, second = (to_tensor(image)[None].to(torch.float64) for image in (drawn, target))
    return float(ssim_map(first, second).mean())


def spoil(image: Image, way: str, strength: float) -> Image:
    """Make a picture worse in one way.

    Args:
        image: (H, W, 3) RGB uint8.
        way: one of `WAYS`, which says what the strength is.
        strength: 0 changes nothing, but for JPEG, which is never quite without loss.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        ValueError: if the way is unknown or the strength outside its range.
    """
    check_image(image)
    if way not in WAYS:
        raise ValueError(f"way: expected one of {tuple(WAYS)}, got {way!r}")
    low, high = WAYS[way]
    if not low <= strength <= high:
        raise ValueError(f"strength: expected {low:g} to {high:g} for {way}, got {strength}")
    if way == "JPEG":
        return jpeg([image], round(100 - strength))[0]
    seen = image.astype(np.float32)
    if way == "noise":
        seen += strength * np.random.default_rng(0).standard_normal(seen.shape, np.float32)
    elif way == "blur" and strength > 0.0:
        seen = cv2.GaussianBlur(seen, (0, 0), strength, borderType=cv2.BORDER_REPLICATE)
    elif way == "shift":
        matrix = np.array([[1.0, 0.0, strength], [0.0, 1.0, 0.0]])  # maps old to new (x, y)
        size = (image.shape[1], image.shape[0])
        # Cubic, as linear interpolation would blur it besides.
        seen = cv2.warpAffine(seen, matrix, size, flags=cv2.INTER_CUBIC, borderMode=1)
    elif way == "brighter":
        seen += strength
    elif way == "less contrast":
        seen += strength * (seen.mean((0, 1)) - seen)
    return np.asarray(np.clip(np.rint(seen), 0, 255), np.uint8)


def spoil_to(image: Image, way: str, target_db: float) -> tuple[Image, float]:
    """Spoil a picture until its PSNR against the original has fallen to a value.

    Args:
        image: (H, W, 3) RGB uint8.
        way: one of `WAYS`.
        target_db: found to within what whole levels, or steps of JPEG's quality, allow.

    Returns:
        The picture, and the strength that it took; the full strength if even that is too little.
    """
    low, high = WAYS[way]
    for _ in range(20):
        middle = (low + high) / 2.0
        if psnr(spoil(image, way, middle), image) > target_db:
            low = middle
        else:
            high = middle
    nearest = min(low, high, key=lambda s: abs(psnr(spoil(image, way, s), image) - target_db))
    return spoil(image, way, nearest), nearest


def drawn_picture(size: int = 192, seed: int = 0) -> Image:
    """A picture made by code, with what is hard to enlarge: text, thin lines, rings, leaves.

    Returns:
        (size, size, 3) RGB uint8.
    """
    big = np.full((4 * size, 4 * size, 3), 235, np.uint8)  # drawn large, then averaged
    rng = np.random.default_rng(seed)
    for _ in range(60):
        at, axes = rng.integers(0, 4 * size, 2), rng.integers(size // 12, size // 3, 2)
        colour = tuple(int(level) for level in rng.integers(20, 236, 3))
        turn = int(rng.integers(0, 180))
        cv2.ellipse(big, tuple(map(int, at)), tuple(map(int, axes)), turn, 0, 360, colour, -1)
    for ring in range(size // 8, 2 * size, size // 12):
        cv2.circle(big, (0, 0), ring, (30, 30, 40), size // 48, cv2.LINE_AA)
    for step in range(12):
        end = (4 * size, int(rng.integers(2 * size, 4 * size)))
        cv2.line(big, (2 * size, 4 * size - step * size // 6), end, (20, 20, 60), 4, cv2.LINE_AA)
    for line in range(4):
        text = "".join(chr(code) for code in rng.integers(97, 123, 9))
        place, height = (size // 4, size * (2 * line + 5) // 3), size / 96 * (1.0 - 0.12 * line)
        cv2.putText(big, text, place, 2, height, (10, 10, 10), max(2, size // 60), cv2.LINE_AA)
    return np.asarray(cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA))


def _check_pair(drawn: Image, target: Image) -> None:
    check_image(drawn, "drawn")
    check_image(target, "target")
    if drawn.shape != target.shape:
        raise ValueError(f"expected two pictures of one size, got {drawn.shape}, {target.shape}")

"""What a viewer sees: "AI MODIFIED" at the top right of a picture."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, check_image

LABEL = "AI MODIFIED"
DISCLOSURE = (
    "AI MODIFIED: the face in this file was replaced or drawn by a neural network "
    "(deepfake_utils). It does not show what happened."
)
_GROUND = 0.35  # of the brightness that is left under the letters


def draw_label(image: Image, text: str = LABEL) -> Image:
    """A copy of a picture with a label at its top right, legible on any background.

    Args:
        image: (H, W, 3) RGB uint8.
        text: what it says.

    Returns:
        (H, W, 3) RGB uint8.
    """
    check_image(image)
    labelled = image.copy()
    letters = _letters(*image.shape[:2], text)
    height, width = letters.shape
    _lay(labelled[:height, -width:], letters[..., None], 0.0, 255.0)
    return labelled


def label_planes(planes: tuple[NDArray[np.uint8], ...], full_range: bool = False) -> None:
    """Draw the label on a video frame, in place.

    Args:
        planes: luma (H, W) and two chromas of that size or half of it, uint8.
        full_range: whether black is 0 and white 255 in the luma, instead of 16 and 235.
    """
    luma, *chromas = planes
    letters = _letters(*luma.shape, LABEL)
    height, width = letters.shape
    black, white = (0.0, 255.0) if full_range else (16.0, 235.0)
    _lay(luma[:height, -width:], letters, black, white)
    for chroma in chromas:
        share = luma.shape[0] // chroma.shape[0]
        size = width // share, height // share
        small = cv2.resize(letters, size, interpolation=cv2.INTER_AREA)
        _lay(chroma[: size[1], -size[0] :], small, 128.0, 128.0)


@functools.lru_cache(maxsize=8)
def _letters(height: int, width: int, text: str) -> NDArray[np.float32]:
    """Opacity of the text in its box, (h, w), even sides, for a frame of that size."""
    scale = max(0.3, min(height, width) / 700.0)
    thick = max(1, round(1.5 * scale))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_w, text_h), _ = cv2.getTextSize(text, font, scale, thick)
    pad = max(2, round(text_h * 0.5))
    sides = min(height, text_h + 2 * pad), min(width, text_w + 2 * pad)
    box = np.zeros([max(2, side // 2 * 2) for side in sides], np.uint8)
    cv2.putText(box, text, (pad, pad + text_h), font, scale, 255, thick, cv2.LINE_AA)
    return np.asarray(box / np.float32(255.0), np.float32)


def _lay(box: NDArray[np.uint8], letters: NDArray[np.float32], black: float, white: float) -> None:
    """Darken a box and write on it, in place."""
    ground = black + _GROUND * (box - np.float32(black))
    box[:] = np.rint(ground + letters * (white - ground))

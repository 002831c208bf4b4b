"""What a viewer sees: "AI MODIFIED" at the top right of a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Image, check_image

LABEL = "AI MODIFIED"
DISCLOSURE = (
    "AI MODIFIED: the face in this file was replaced or drawn by a neural network "
    "(deepfake_utils). It does not show what happened."
)


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
    height, width = image.shape[:2]
    scale = max(0.3, min(height, width) / 700.0)
    thick = max(1, round(1.5 * scale))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_w, text_h), _ = cv2.getTextSize(text, font, scale, thick)
    pad = max(2, round(text_h * 0.5))
    left, bottom = max(0, width - text_w - 2 * pad), text_h + 2 * pad
    box = labelled[:bottom, left:]
    box[:] = np.rint(box * 0.35).astype(np.uint8)
    at = (left + pad, bottom - pad)
    cv2.putText(labelled, text, at, font, scale, (255, 255, 255), thick, cv2.LINE_AA)
    return labelled


class LabelTimer:
    """Says of each frame of a video whether it comes soon after the beginning or a cut.

    A cut is where brightness changes by more than `threshold` on average, measured on a small
    picture.

    Args:
        seconds: how long the label stays.
        threshold: levels of 255.
    """

    def __init__(self, seconds: float = 3.0, threshold: float = 30.0) -> None:
        self.seconds, self.threshold = seconds, threshold
        self._before: NDArray[np.int16] | None = None
        self._since_s = 0.0

    def due(self, image: Image, time_s: float) -> bool:
        """Whether the frame, (H, W, 3) RGB uint8, shown at `time_s`, shall bear the label."""
        small = cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.int16)
        before, self._before = self._before, luma
        if before is None or np.abs(luma - before).mean() > self.threshold:
            self._since_s = time_s
        return time_s - self._since_s < self.seconds

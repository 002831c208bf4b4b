"""Saying that a picture or video was modified by AI: a visible label and a note in the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .images import Image, check_image, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def save_figure(path: str | os.PathLike[str], figure: Figure) -> Path:
    """Write a figure as PNG, with a visible line below it and a note in its metadata.

    Raises:
        ValueError: if the name does not end in .png.
        OSError: if it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"expected a name ending in .png, got {path.name!r}")
    note = figure.text(0.995, -0.005, LABEL, ha="right", va="top", fontsize=8, color="0.35")
    try:
        with whole_file(path) as part:
            figure.savefig(
                part,
                format="png",
                dpi=100,
                bbox_inches="tight",  # takes the note in, which lies below the picture
                metadata={"Description": DISCLOSURE},
            )
    finally:
        note.remove()
    return path


def write_gif(path: str | os.PathLike[str], images: Sequence[Image], fps: float = 10.0) -> Path:
    """Write pictures as an endless GIF, each labelled, with a note in its comment.

    Args:
        path: ends in .gif.
        images: (H, W, 3) RGB uint8, all of one size.
        fps: pictures per second, at most 50.

    Raises:
        ValueError: if the name, the number of pictures or their sizes are wrong.
        OSError: if it cannot be written.
    """
    from PIL import Image as Pillow

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"expected a name ending in .gif, got {path.name!r}")
    if not images or len({image.shape for image in images}) != 1:
        raise ValueError(
            "expected at least one picture, all of one size, "
            f"got {sorted({image.shape for image in images})}"
        )
    if not 0.0 < fps <= 50.0:
        raise ValueError(f"fps: expected more than 0 and at most 50, got {fps}")
    pages = [Pillow.fromarray(draw_label(image)) for image in images]
    with whole_file(path) as part:
        pages[0].save(
            part,
            format="GIF",
            save_all=True,
            append_images=pages[1:],
            duration=round(1000.0 / fps),
            loop=0,
            comment=DISCLOSURE.encode(),
        )
    return path

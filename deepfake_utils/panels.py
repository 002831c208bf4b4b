"""What the panels of the notebooks share: pictures for widgets, and whether there are any."""

from __future__ import annotations

import importlib.util

import cv2

from .images import Image, check_image


def has_widgets() -> bool:
    """True where ipywidgets is installed; without it a panel's plain methods do the same."""
    return importlib.util.find_spec("ipywidgets") is not None


def png_bytes(image: Image) -> bytes:
    """A picture as a PNG in memory, for `ipywidgets.Image`.

    Args:
        image: (H, W, 3) RGB uint8.
    """
    check_image(image)
    _, data = cv2.imencode(".png", image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()

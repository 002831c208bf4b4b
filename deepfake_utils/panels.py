"""What the panels of the notebooks have in common."""

from __future__ import annotations

import importlib.util

import cv2

from .images import Image, check_image


def has_widgets() -> bool:
    """Whether ipywidgets is installed."""
    return importlib.util.find_spec("ipywidgets") is not None


def png_bytes(image: Image) -> bytes:
    """A picture (H, W, 3) RGB uint8 as a PNG file in memory, to be shown in a page.

    Raises:
        TypeError, ValueError: if it is no such picture.
    """
    check_image(image)
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return bytes(data)

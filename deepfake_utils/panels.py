"""What the panels of notebooks share."""

from __future__ import annotations

import importlib.util

import cv2

from .images import Image, check_image


def png_bytes(image: Image) -> bytes:
    """(H, W, 3) RGB uint8 as a PNG in memory, for an image widget.

    Raises:
        TypeError, ValueError: if it is no image.
    """
    check_image(image)
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def has_widgets() -> bool:
    """Whether ipywidgets is installed; without it panels name the methods to call instead."""
    return importlib.util.find_spec("ipywidgets") is not None

"""What all panels share: pictures for a browser, and whether there are widgets."""

from __future__ import annotations

import importlib.util

import cv2

from ..images import Image, check_image


def has_widgets() -> bool:
    """Whether ipywidgets is installed."""
    return importlib.util.find_spec("ipywidgets") is not None


def png_bytes(image: Image) -> bytes:
    """(H, W, 3) RGB uint8 as a PNG, for `widgets.Image`.

    Raises:
        TypeError, ValueError: if it is no such picture.
    """
    check_image(image)
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # quick: it goes to the browser and is forgotten
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise ValueError(f"OpenCV could not encode a {image.shape} image as PNG")
    return bytes(data.tobytes())

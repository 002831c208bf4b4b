"""Random changes of light and colour, by albumentations, on the processor."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from .images import Image

Augment = Callable[[Image, int], Image]  # (face, seed) -> face of the same shape


class PhotometricAugment:
    """Random brightness, contrast and colour shift, by albumentations.

    Called with (face, seed), it returns the face changed: (H, W, 3) RGB uint8 in and out. Equal
    seeds change a face equally.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._pipeline: Any = None

    def __call__(self, face: Image, seed: int) -> Image:
        """Change light and colour of `face` as `seed` says."""
        if self._pipeline is None:
            self._pipeline = self._build()
        # One generator for all transforms: given a seed each, they would all draw the same.
        self._pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return np.asarray(self._pipeline(image=face)["image"], np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes build the pipeline themselves."""
        return {"strength": self.strength, "_pipeline": None}

    def _build(self) -> Any:
        # albumentations asks the network for news when it is imported, unless told not to.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        light, shift = 0.15 * self.strength, round(12 * self.strength)
        return albumentations.Compose(
            [
                albumentations.RandomBrightnessContrast(light, light, p=0.8),
                albumentations.RGBShift(*[(-shift, shift)] * 3, p=0.8),
            ]
        )


def photometric_augment(strength: float = 1.0) -> PhotometricAugment:
    """A random change of brightness, contrast and colour for `FaceDataset`.

    Args:
        strength: 1 is about what differs between two rooms; 0 changes nothing.

    Raises:
        ValueError: if `strength` is negative.
    """
    if not 0.0 <= strength < math.inf:
        raise ValueError(f"strength: expected at least 0, got {strength}")
    return PhotometricAugment(strength)

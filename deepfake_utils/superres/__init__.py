"""Super-resolution by sub-pixel convolution: `network` is the paper's, `training` trains it.

Useful by itself, and to enlarge swapped faces: `Swapper(enlarge=enlarger(model))`.
"""

from .network import (
    SuperResolutionConfig,
    SuperResolver,
    bicubic,
    enlarger,
    load_superres,
    luma,
    save_superres,
    upscale,
    upscale_rgb,
)
from .training import (
    Muon,
    SuperResolutionStep,
    SuperResolutionTrainConfig,
    train_superres,
)

__all__ = [
    "Muon",
    "SuperResolutionConfig",
    "SuperResolutionStep",
    "SuperResolutionTrainConfig",
    "SuperResolver",
    "bicubic",
    "enlarger",
    "load_superres",
    "luma",
    "save_superres",
    "train_superres",
    "upscale",
    "upscale_rgb",
]

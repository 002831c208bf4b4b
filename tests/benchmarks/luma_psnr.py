"""The measure that papers on super-resolution report."""

import torch


def luma_psnr(drawn: torch.Tensor, target: torch.Tensor, scale: int) -> float:
    """Peak signal-to-noise ratio of luma as papers on super-resolution state it, in dB.

    Args:
        drawn: (1, 1, H, W) float luma, see `network.luma`; rounded to 8 bits here, as in a file.
        target: same shape, what it should be.
        scale: pixels along each side that do not count.

    Raises:
        ValueError: if the shapes differ or nothing is left inside.
    """
    if drawn.shape != target.shape or min(drawn.shape[-2:]) <= 2 * scale:
        raise ValueError(
            f"expected two lumas of one size, larger than {2 * scale} pixels, "
            f"got {tuple(drawn.shape)} and {tuple(target.shape)}"
        )
    inside = (..., slice(scale, -scale), slice(scale, -scale))
    seen = drawn.double().clamp(0.0, 1.0).mul(255.0).round() / 255.0
    error = (seen - target)[inside].square().mean()
    return float(-10.0 * error.clamp_min(1e-10).log10())

"""How far a drawn face is from the one asked for."""

from __future__ import annotations

import torch

SSIM_WINDOW = 7  # pixels; a box costs a fraction of the usual 11x11 Gaussian window
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # Wang et al. 2004, section III.B, for a range of 1


def _box_means(maps: torch.Tensor, stride: int) -> torch.Tensor:
    """Means over 7x7 boxes, every `stride` pixels: (B, C, H, W) -> (B, C, H', W').

    As two products with banded matrices: on a CPU several times as fast as pooling.
    """

    def band(length: int) -> torch.Tensor:  # (length', length), each row the mean of 7 neighbours
        ones = torch.ones(length, length, device=maps.device, dtype=maps.dtype)
        rows = ones.triu().tril(SSIM_WINDOW - 1) / SSIM_WINDOW
        return rows[: length - SSIM_WINDOW + 1 : stride]

    return band(maps.shape[2]) @ (maps @ band(maps.shape[3]).T)


def ssim_map(x: torch.Tensor, y: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Structural similarity around each pixel, 1 where both pictures agree.

    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
    IEEE TIP 13(4), 2004, eq. 13, with a box window.

    Args:
        x: (B, C, H, W) float in 0..1.
        y: same shape.
        stride: pixels from one window to the next; 2 costs a third and loses little, as windows
            overlap.

    Returns:
        (B, C, H - 6, W - 6) in -1..1 with stride 1, else every `stride`-th of these.
    """
    maps = torch.cat([x, y, x * x + y * y, x * y], dim=1)
    mean_x, mean_y, squares, products = _box_means(maps, stride).chunk(4, dim=1)
    cross, mean_squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    numerator = (2 * cross + SSIM_C1) * (2 * (products - cross) + SSIM_C2)
    return numerator / ((mean_squares + SSIM_C1) * (squares - mean_squares + SSIM_C2))


def face_loss(
    drawn: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    dssim: float = 0.5,
    edges: float = 0.0,
) -> torch.Tensor:
    """Weighted absolute error, structural dissimilarity (1 - SSIM) / 2, and the error of edges.

    Args:
        drawn: (B, 3, S, S) float in 0..1, what the network made.
        target: same shape, what it should be.
        weight: (B, 1, S, S) float, how much each pixel matters; 1 is normal, 0 is ignored.
        dssim: weight of the structural term; 0 leaves it out.
        edges: weight of the absolute error of differences between neighbouring pixels (M. Mathieu
            et al., "Deep multi-scale video prediction beyond mean square error", ICLR 2016, eq. 6,
            with the sign of the differences); 0 leaves it out.

    Returns:
        A scalar: 0 for equal pictures.
    """
    drawn, target, weight = drawn.float(), target.float(), weight.float()
    error = drawn - target
    loss = (error.abs() * weight).mean()
    if edges > 0.0:
        for along in (2, 3):
            length = error.shape[along] - 1
            near, far = error.narrow(along, 0, length), error.narrow(along, 1, length)
            loss = loss + edges * ((far - near).abs() * weight.narrow(along, 1, length)).mean()
    if dssim > 0.0:
        edge = SSIM_WINDOW // 2
        inside = weight[:, :, edge:-edge:2, edge:-edge:2]  # the windows' centres
        loss = loss + dssim * ((1.0 - ssim_map(drawn, target, stride=2)) * inside).mean() / 2.0
    return loss


def masked_psnr(drawn: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> float:
    """Mean over a batch of the peak signal-to-noise ratio inside a mask, in dB; higher is better.

    Args:
        drawn: (B, 3, S, S) float in 0..1.
        target: same shape.
        mask: (B, 1, S, S) float in 0..1, how much each pixel counts.
    """
    squares = ((drawn.float() - target).square() * mask).sum((1, 2, 3))
    errors = squares / (3.0 * mask.sum((1, 2, 3))).clamp_min(1e-6)  # (B,)
    return float((-10.0 * errors.clamp_min(1e-10).log10()).mean())

"""What covers a face: a hand, hair, a microphone; found by what the network cannot redraw.

A network that has learned a person draws that person's face again closely, and what it has not
learned, hardly. So where a face and its own redrawing differ much more than they do elsewhere, over
more than a small spot, something lies before the face, and a swap must leave it alone. Teeth, a
catch-light or a blink differ too, but are small: differences are averaged over a neighbourhood.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

REACH = 0.06  # of the average, as a share of the picture's side: larger than a pupil or a tooth
FLOOR = 0.01  # of the usual difference: a network that redraws better than that is not better


def usual_error(faces: torch.Tensor, redrawn: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """How far faces and their redrawings usually differ: the median inside each face.

    Args:
        faces: (B, 3, S, S) float in 0..1, as filmed.
        redrawn: same shape, the network's drawings of the same person.
        inside: (B, S, S) float in 0..1, where the face is.

    Returns:
        (B,) float32, mean difference of a neighbourhood, 0..1; NaN where there is no face.

    Raises:
        ValueError: if the shapes do not fit.
    """
    return _median(_differences(faces, redrawn, inside), inside)


def visible(
    faces: torch.Tensor,
    redrawn: torch.Tensor,
    inside: torch.Tensor,
    limit: float = 3.5,
    usual: float | None = None,
) -> torch.Tensor:
    """How far each pixel of a face is uncovered.

    Args:
        faces: (B, 3, S, S) float in 0..1, as filmed.
        redrawn: same shape, the network's drawings of the same person.
        inside: (B, S, S) float in 0..1, where the face is.
        limit: how many times the usual difference counts as half covered. Wholly visible below
            three quarters of it, wholly covered above five quarters.
        usual: `usual_error` of faces that nothing covers. A face may differ by up to twice that
            all over, as in other light. None takes each face's own, which is less sure the more of
            it is covered.

    Returns:
        (B, S, S) float32 in 0..1: 1 is the face itself, 0 is something else.

    Raises:
        ValueError: if the shapes do not fit or `limit` is not positive.
    """
    if not limit > 0.0:
        raise ValueError(f"limit: expected more than 0, got {limit}")
    near = _differences(faces, redrawn, inside)
    own = _median(near, inside).nan_to_num(1.0).clamp_min(FLOOR)  # (B,)
    if usual is not None:
        own = own.clamp(max(usual, FLOOR), 2.0 * max(usual, FLOOR))
    return (1.0 - (near / (limit * own[:, None, None]) - 0.75) * 2.0).clamp(0.0, 1.0)


def _differences(faces: torch.Tensor, redrawn: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Mean difference around each pixel, (B, S, S)."""
    if faces.shape != redrawn.shape or faces.ndim != 4 or inside.shape != faces[:, 0].shape:
        raise ValueError(
            f"expected twice (B, 3, S, S) and (B, S, S), got {tuple(faces.shape)}, "
            f"{tuple(redrawn.shape)} and {tuple(inside.shape)}"
        )
    away = (faces.float() - redrawn.float()).abs().mean(dim=1)
    return _blur(away, REACH * faces.shape[-1])


def _median(maps: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Median of (B, S, S) inside each face, (B,); NaN where there is none."""
    outside = torch.full_like(maps, torch.nan)
    return torch.where(inside > 0.5, maps, outside).flatten(1).nanmedian(dim=1).values


def _blur(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of (B, S, S), one axis after the other; edges are repeated."""
    half = max(1, round(2.5 * sigma))
    ticks = torch.arange(-half, half + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (ticks / max(sigma, 1e-3)).square())
    kernel = (kernel / kernel.sum())[None, None, None]  # (1, 1, 1, k)
    wide = F.pad(maps[:, None], (half,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, kernel), kernel.transpose(2, 3))[:, 0]

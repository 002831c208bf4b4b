"""What covers a face: a hand, hair, a microphone; found by what a swap there and back loses.

A face is drawn as the other person, and that drawing as the first one again. Face and expression
come back, as both decoders know them. What lies before the face does not: one decoder has never
drawn it. So where a face and its return are built differently over more than a small spot, a swap
must leave it alone. Drawing a person once as itself would not do, as a hand that was there in
training has been learned and is drawn along; here it is lost on the way, unless both people were
filmed with it. Compared is structure, not colour: a hand has the colour of the face, and light that
differs covers nothing. Going there and back is the cycle of Zhu et al. 2017 (arXiv 1703.10593,
section 3.2), here to test a network, not to train it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..losses import SSIM_WINDOW, ssim_map

REACH = 0.04  # of the average, as a share of the picture's side: larger than a pupil or a tooth
SOFT = 0.1  # from wholly visible to wholly covered it is twice this
NOTICED = (0.02, 0.045)  # share of the face beside eyes and mouth: less covers nothing, more counts
BESIDE = 0.08  # of the average that tells what lies beside eyes and mouth, as REACH
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def usual_error(faces: torch.Tensor, back: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """How unlike faces and their returns usually are: the median inside each face.

    Args:
        faces: (B, 3, S, S) float in 0..1, as filmed.
        back: same shape, the same faces drawn as the other person and back again.
        inside: (B, S, S) float in 0..1, where the face is.

    Returns:
        (B,) float32, 1 less the structural similarity: about 0.1, or 1 for an untrained network;
        NaN where there is no face.

    Raises:
        ValueError: if the shapes do not fit.
    """
    return _median(_unlike(faces, back, inside), inside)


def visible(
    faces: torch.Tensor,
    back: torch.Tensor,
    inside: torch.Tensor,
    limit: float = 0.3,
    usual: float | None = None,
    changing: torch.Tensor | None = None,
) -> torch.Tensor:
    """How far each pixel of a face is uncovered.

    Eyes and mouth come back less surely than the rest (teeth, a tongue, a blink). So they count as
    covered only as far as the face right beside them is, too: a hand is larger than either.

    Args:
        faces: (B, 3, S, S) float in 0..1, as filmed.
        back: same shape, the same faces drawn as the other person and back again.
        inside: (B, S, S) float in 0..1, where the face is.
        limit: how much more than usual, in structural similarity, a place has to be unlike its
            return to count as half covered.
        usual: `usual_error` of faces that nothing covers. None takes each face's own, which is less
            sure the more of it is covered.
        changing: (B, S, S) float, 1 on eyes and mouth (`faces.feature_mask`); None: nowhere.

    Returns:
        (B, S, S) float32 in 0..1: 1 is the face itself, 0 is something else.

    Raises:
        ValueError: if the shapes do not fit or `limit` is not positive.
    """
    if not limit > 0.0:
        raise ValueError(f"limit: expected more than 0, got {limit}")
    unlike = _unlike(faces, back, inside)
    level = _median(unlike, inside).nan_to_num(1.0)  # (B,)
    if usual is not None:
        level = torch.full_like(level, usual)
    cover = (0.5 + (unlike - level[:, None, None] - limit) / (2.0 * SOFT)).clamp(0.0, 1.0)
    beside = inside if changing is None else inside * (1.0 - changing)
    share = (cover * beside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1.0)  # (B,)
    counts = ((share - NOTICED[0]) / (NOTICED[1] - NOTICED[0])).clamp(0.0, 1.0)
    if changing is not None:
        near = _blur(torch.cat([cover * beside, beside]), BESIDE * faces.shape[-1])
        around, room = near.tensor_split(2)  # how much of the face around is covered, and is there
        cover = cover * (
            1.0 - changing * (1.0 - 2.0 * around / room.clamp(min=1e-3)).clamp(0.0, 1.0)
        )
    return 1.0 - counts[:, None, None] * cover


def _unlike(faces: torch.Tensor, back: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """1 less the structural similarity of the brightness around each pixel, (B, S, S)."""
    if faces.shape != back.shape or faces.ndim != 4 or inside.shape != faces[:, 0].shape:
        raise ValueError(
            f"expected twice (B, 3, S, S) and (B, S, S), got {tuple(faces.shape)}, "
            f"{tuple(back.shape)} and {tuple(inside.shape)}"
        )
    weights = torch.tensor(_LUMA, device=faces.device)[:, None, None]
    bright, drawn = ((each.float() * weights).sum(1, keepdim=True) for each in (faces, back))
    edge = SSIM_WINDOW // 2
    alike = F.pad(ssim_map(bright, drawn), (edge,) * 4, mode="replicate")[:, 0]
    return _blur(1.0 - alike, REACH * faces.shape[-1])


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

"""Training a super-resolution network: pictures made small, and the network asked to undo it.

W. Shi et al., arXiv 1609.05158, train on patches of 17 px for days or hours on a GPU. To train in
minutes on a processor, patches here are turned and mirrored, and also cut from smaller copies of
the pictures, the learning rate rises and falls once, and the weights are moved by Muon (`muon` says
why). At x3, on eleven pictures of T91 that were held out, 1600 steps with patches of 32 px brought
30.20 dB by Muon and 29.20 dB by Adam at a rate of 4e-3; with patches of 21 px, 3200 steps (the same
work) brought 30.23 dB, and 16000 brought 30.40 dB. With two layers more and `residual`, 1600 steps
of 21 px brought 30.50 dB. See `superres` for the network.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..devices import pick_device, pick_dtype, place
from ..images import Image, check_image, to_tensor
from .muon import Muon
from .network import MARGIN, SuperResolver, bicubic, luma, shrink

logger = logging.getLogger(__name__)

LEVELS = 33  # plain pictures in a step, black to white


@dataclass(frozen=True)
class SuperResolutionTrainConfig:
    """How the network is trained."""

    steps: int = 6000  # length of the run; the learning rate falls to nothing at its end
    batch_size: int = 16  # patches in a step, a multiple of 8: an eighth is turned each way
    patch: int = 21  # side of what is drawn of each patch, in pixels of the small picture
    learning_rate: float = 2e-2  # of Muon, at its highest; biases have a tenth of it, of Adam
    momentum: float = 0.95  # of Muon
    warmup: float = 0.03  # share of the run in which the learning rate rises to that
    shrink: tuple[float, ...] = (1.0, 0.8, 0.6)  # sizes at which each picture is trained on
    seed: int = 0  # of the choice of patches
    plain: float = 1.0  # weight of plain pictures, which the network shall leave plain

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        for name in ("steps", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.batch_size < 8 or self.batch_size % 8:
            raise ValueError(f"batch_size: expected a multiple of 8, got {self.batch_size}")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate: expected more than 0, got {self.learning_rate}")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum: expected 0 to below 1, got {self.momentum}")
        if not 0.0 < self.warmup < 1.0:
            raise ValueError(f"warmup: expected a share in 0..1, got {self.warmup}")
        if not self.plain >= 0.0:
            raise ValueError(f"plain: expected at least 0, got {self.plain}")
        if not self.shrink or not all(0.0 < share <= 1.0 for share in self.shrink):
            raise ValueError(f"shrink: expected shares in 0..1, got {self.shrink}")

    def rate_at(self, step: int) -> float:
        """Learning rate at `step`: a linear rise, with half a cosine down to nothing."""
        rise = min(1.0, step / (self.warmup * self.steps))
        return self.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


class _Pair(NamedTuple):
    """One picture to learn from."""

    small: torch.Tensor  # (h + 2m, w + 2m) float luma, continued m pixels by its edge
    large: torch.Tensor  # (r h, r w) float luma


class SuperResolutionStep(NamedTuple):
    """What one training step reports."""

    step: int  # counted from 1
    loss: float  # mean squared error of luma in 0..1; -10 log10 of it is the PSNR in dB


def train_superres(
    model: SuperResolver,
    images: Sequence[Image],
    config: SuperResolutionTrainConfig | None = None,
    device: str | torch.device | None = None,
) -> Iterator[SuperResolutionStep]:
    """Train on pictures made small, yielding after each step.

    The network is asked for the picture that a small one was made from, and the mean squared error
    (section 3.2 of the paper) is brought down by Muon. Each picture is also used at smaller sizes,
    and each patch turned and mirrored in one of eight ways. Beside them come plain pictures of all
    levels, for next to nothing: a network that never saw a level as plain would tint it.

    Args:
        model: the network, trained in place; the learning rate falls to nothing at the run's end,
            so a run that is left before is worse than a shorter whole one.
        images: (H, W, 3) RGB uint8 each, of any sizes: photographs, or crops of faces. Those too
            small for a patch are left out.
        config: how to train.
        device: None picks the GPU if there is one.

    Raises:
        TypeError, ValueError: if something is no such picture, or none is large enough for a patch.
    """
    config = config or SuperResolutionTrainConfig()
    device = pick_device(device)
    pairs = []
    for index, image in enumerate(images):
        check_image(image, f"images[{index}]")
        pairs += _make_pairs(image, model.config.scale, config, model.config.margin)
    if not pairs:
        raise ValueError(
            "images: expected a picture with sides of at least scale * patch = "
            f"{model.config.scale * config.patch} pixels, got {len(images)} smaller ones; "
            "take a smaller patch"
        )
    logger.info("training on %d pictures made of %d", len(pairs), len(images))
    return _steps(place(model, device).train(), pairs, config, device)


def _make_pairs(
    image: Image, scale: int, config: SuperResolutionTrainConfig, margin: int = MARGIN
) -> list[_Pair]:
    """Small and large luma of one picture, at each size that a patch fits into."""
    pairs = []
    whole = to_tensor(image)[None]  # (1, 3, H, W)
    for share in config.shrink:
        # In units of `scale`, so that the large side is a multiple of it.
        height, width = (int(side * share) // scale for side in image.shape[:2])
        if min(height, width) < config.patch:
            continue
        size_hw = (scale * height, scale * width)
        if share == 1.0:
            large = whole[..., : size_hw[0], : size_hw[1]]
        else:
            large = bicubic(whole, size_hw).clamp(0.0, 1.0)
        small = F.pad(luma(shrink(large, scale)), (margin,) * 4, mode="replicate")
        pairs.append(_Pair(small[0, 0], luma(large)[0, 0]))
    return pairs


def _steps(
    model: SuperResolver,
    pairs: list[_Pair],
    config: SuperResolutionTrainConfig,
    device: torch.device,
) -> Iterator[SuperResolutionStep]:
    rng = np.random.default_rng(config.seed)
    greys = torch.linspace(0.0, 1.0, LEVELS, device=device)[:, None, None, None]
    margin = model.config.margin
    level, side = luma(greys.expand(-1, 3, 1, 1)), 2 * margin + 1  # seen for one small pixel each
    bfloat16 = pick_dtype(device) == torch.bfloat16  # float16 would need its gradients scaled
    weights, biases = ([p for p in model.parameters() if (p.ndim > 1) == w] for w in (True, False))
    muon = Muon(weights, config.learning_rate, config.momentum)
    adam = torch.optim.Adam(biases, betas=(0.9, 0.99))
    for step in range(1, config.steps + 1):
        batch = _draw_batch(pairs, config, rng, model.config.scale, margin)
        small, large = (part.to(device) for part in batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            drawn = model.inside(small)
            plain = model.inside(level.expand(-1, 1, side, side))  # (33, 1, r, r)
        loss = F.mse_loss(drawn, large)
        muon.param_groups[0]["lr"] = config.rate_at(step)
        adam.param_groups[0]["lr"] = 0.1 * config.rate_at(step)
        model.zero_grad()
        (loss + config.plain * F.mse_loss(plain, level.expand_as(plain))).backward()
        muon.step()
        adam.step()
        yield SuperResolutionStep(step, loss.item())
    model.eval()


def _draw_batch(
    pairs: list[_Pair],
    config: SuperResolutionTrainConfig,
    rng: np.random.Generator,
    scale: int,
    margin: int = MARGIN,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches from anywhere, (B, 1, patch + 2m, same) and (B, 1, r patch, r patch)."""
    areas = np.array([pair.large.numel() for pair in pairs], np.float64)
    smalls, larges, side = [], [], config.patch
    for index in rng.choice(len(pairs), config.batch_size, p=areas / areas.sum()):
        small, large = pairs[index]
        y, x = (int(rng.integers(length - 2 * margin - side + 1)) for length in small.shape)
        smalls.append(small[y : y + side + 2 * margin, x : x + side + 2 * margin])
        larges.append(large[scale * y : scale * (y + side), scale * x : scale * (x + side)])
    return _turn(torch.stack(smalls)[:, None]), _turn(torch.stack(larges)[:, None])


def _turn(patches: torch.Tensor) -> torch.Tensor:
    """(B, 1, S, S) -> same: each eighth of the batch turned or mirrored in its own way."""
    parts = enumerate(patches.chunk(8))
    ways = [(part.mT if way >= 4 else part).rot90(way % 4, (2, 3)) for way, part in parts]
    return torch.cat(ways)

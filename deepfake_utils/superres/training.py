"""Training a super-resolution network: pictures made small, and the network asked to undo it.

W. Shi et al., arXiv 1609.05158, train on patches of 17 px for days or hours on a GPU. To train in
minutes on a processor, patches here are turned and mirrored, and also cut from smaller copies of
the pictures, the learning rate rises and falls once, and the weights are moved by Muon.

At x3, on eleven pictures of T91 that were held out, 1600 steps with patches of 32 px brought 30.20
dB by Muon and 29.20 dB by Adam at a rate of 4e-3; with patches of 21 px, 3200 steps (the same work)
brought 30.23 dB, and 16000 brought 30.40 dB. With two layers more and `residual`, 1600 steps of 21
px brought 30.50 dB. See `network` for the network.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..devices import pick_device, pick_dtype, place
from ..images import Image, check_image, to_tensor
from ..settings import Settings, setting
from .network import MARGIN, SuperResolver, bicubic, luma, shrink

logger = logging.getLogger(__name__)

LEVELS = 33  # plain pictures in a step, black to white
# One round of the iteration is x -> a x + b x^3 + c x^5 on each singular value. The post's numbers:
# steep at 0, so that five rounds bring everything above about 0.01 into 0.7..1.2.
ROUND = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


@dataclass(frozen=True)
class SuperResolutionTrainConfig(Settings):
    """How the network is trained."""

    steps: int = setting(6000, "length of the run; the learning rate ends at 0", least=1)
    batch_size: int = setting(
        16, "patches in a step: an eighth is turned each way", least=8, slider=(8, 128, 8)
    )
    patch: int = setting(21, "side of a patch, in pixels of the small picture", least=1)
    learning_rate: float = setting(2e-2, "of Muon, at its highest; biases: a tenth", above=0.0)
    momentum: float = setting(0.95, "of Muon", least=0.0, below=1.0)
    warmup: float = setting(0.03, "share of the run in which the rate rises", above=0.0, below=1.0)
    shrink: tuple[float, ...] = setting(
        (1.0, 0.8, 0.6), "sizes at which each picture is trained on", above=0.0, most=1.0
    )
    seed: int = setting(0, "of the choice of patches", least=0)
    plain: float = setting(1.0, "weight of plain pictures, which must stay plain", least=0.0)

    def __post_init__(self) -> None:
        """Check the ranges; errors as `Settings`."""
        super().__post_init__()
        if self.batch_size % 8:
            raise ValueError(f"batch_size: expected a multiple of 8, got {self.batch_size}")
        if not self.shrink:
            raise ValueError("shrink: expected at least one size, got none")

    def rate_at(self, step: int) -> float:
        """Learning rate at `step`: a linear rise, with half a cosine down to nothing."""
        rise = min(1.0, step / (self.warmup * self.steps))
        return self.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """Bring all singular values near 1 and keep the singular vectors, by five Newton-Schulz rounds.

    Args:
        matrix: (M, N) float32.

    Returns:
        (M, N) float32, about U V' of the singular value decomposition U S V'; zeros stay zeros.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)  # Frobenius: at least as large as the first singular value
    a, b, c = ROUND
    for _ in range(ROUNDS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal layer by layer.

    Adam gives each weight its own rate, which helps little where it is mixtures of weights that
    differ in size: the 25 pixels that a first convolution sees are nearly equal to each other, so
    their mean gets a thousand times the gradient of their differences, and the differences are what
    sharpens. Muon takes the momentum of a layer as a matrix U S V' and steps along U V': each
    mixture moves equally far. This is K. Jordan et al., "Muon: An optimizer for hidden layers in
    neural networks", 2024 (kellerjordan.github.io/posts/muon); newer versions of PyTorch have it
    for matrices, not for the weights of convolutions.

    Args:
        weights: of convolutions (out, in, h, w) or linear layers (out, in). Biases are another
            optimiser's business.
        learning_rate: how far each mixture of weights moves in a step.
        momentum: share of the past in the mean of gradients; Nesterov's form is used.

    Raises:
        ValueError: if something is no such weight, or a number is out of range.
    """

    def __init__(
        self, weights: Iterable[torch.Tensor], learning_rate: float = 2e-2, momentum: float = 0.95
    ) -> None:
        if not learning_rate > 0.0:
            raise ValueError(f"learning_rate: expected more than 0, got {learning_rate}")
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum: expected 0 to below 1, got {momentum}")
        super().__init__(weights, {"lr": learning_rate, "momentum": momentum})
        for weight in (each for group in self.param_groups for each in group["params"]):
            if weight.ndim < 2:
                raise ValueError(
                    f"expected weights of two or more dimensions, got {tuple(weight.shape)}; give "
                    "biases to another optimiser"
                )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move each weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if "mean" not in self.state[weight]:
                    self.state[weight]["mean"] = torch.zeros_like(weight)
                momentum = group["momentum"]
                mean = self.state[weight]["mean"].lerp_(weight.grad, 1.0 - momentum)
                ahead = torch.lerp(weight.grad, mean, momentum)
                step = orthogonalise(ahead.flatten(1).float())  # (outputs, inputs * k * k)
                # A tall matrix has more rows than singular values: each row would move less.
                tall = max(1.0, step.shape[0] / step.shape[1]) ** 0.5
                weight.add_(step.view(weight.shape), alpha=-group["lr"] * tall)


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

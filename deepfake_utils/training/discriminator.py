"""A patch discriminator: it learns to tell drawn faces from real ones, so that they get sharper.

Where a code does not say how a detail lies, the mean of all ways it may lie has the least absolute
error, so a network trained on that alone blurs. A second network that learns to tell drawn patches
from real ones asks for one of the ways instead (P. Isola et al., "Image-to-Image Translation with
Conditional Adversarial Networks", CVPR 2017, arXiv 1611.07004, section 3.2.2).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ..autoencoder import IDENTITIES, LEAK
from ..dataset import Batch
from ..files import Tensors
from ..runs.checkpoint import load_optimizer, optimizer_tensors

WIDTH = 32  # channels after the first layer
RATE = 4e-4  # of its own Adam
MATCHING = 10.0  # weight of the features' difference beside the verdict, as in pix2pixHD


class PatchDiscriminator(nn.Module):
    """How real each patch of 38x38 pixels of a face looks, as one of A and as one of B.

    All its convolutions but the first are spectrally normalised (T. Miyato et al., "Spectral
    Normalization for Generative Adversarial Networks", ICLR 2018), which keeps it from winning.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        widths = [3, WIDTH, 2 * WIDTH, 4 * WIDTH]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            first, *others = (
                nn.Conv2d(narrow, wide, 4, stride=2, padding=1)
                for narrow, wide in itertools.pairwise(widths)
            )
            others.append(nn.Conv2d(widths[-1], len(IDENTITIES), 3, padding=1))
            self.layers = nn.ModuleList([first, *map(spectral_norm, others)])

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, S, S) in 0..1 -> what each layer makes of it, at last (B, 2, S/8, S/8)."""
        x = faces * 2.0 - 1.0
        outcomes = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 2 * LEAK)
            outcomes.append(x)
        return [*outcomes, self.layers[-1](x)]


class Adversary:
    """A discriminator, its optimiser, and what they ask of drawn faces.

    Args:
        device: where the faces are.
    """

    def __init__(self, device: torch.device) -> None:
        self.network = PatchDiscriminator().to(device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE, betas=(0.5, 0.99))

    def penalties(self, drawn: Sequence[torch.Tensor], real: Sequence[Batch]) -> torch.Tensor:
        """How much drawn faces look drawn; the gradient goes to them only.

        The verdict (the hinge loss's side for what draws, J. H. Lim and J. C. Ye, "Geometric GAN",
        arXiv 1705.02894), and how unlike the target's the features of a drawn face are (T.-C. Wang
        et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
        CVPR 2018, eq. 4).

        Args:
            drawn: faces of A and of B, (B, 3, S, S) each, in 0..1.
            real: what they should be.

        Returns:
            (2,), of A and of B.
        """
        self.network.requires_grad_(False)
        found = []
        for person, (picture, batch) in enumerate(zip(drawn, real, strict=True)):
            seen, wanted = self.network(picture.float()), self.network(batch.target)
            unlike = [
                _weighted((a - b).abs().mean(1, keepdim=True), batch.weight)
                for a, b in zip(seen[:-1], wanted[:-1], strict=True)
            ]
            verdict = _weighted(-seen[-1][:, [person]], batch.weight)
            found.append(verdict + MATCHING * torch.stack(unlike).mean())
        self.network.requires_grad_(True)
        return torch.stack(found)

    def learn(
        self, drawn: Sequence[torch.Tensor], real: Sequence[Batch], shares: torch.Tensor
    ) -> None:
        """Add the gradients of telling these drawn faces from real ones, by the hinge loss.

        Args:
            drawn: as for `penalties`.
            real: as for `penalties`.
            shares: (2,), which part of the step's faces of A and of B these are.
        """
        for person, (picture, batch) in enumerate(zip(drawn, real, strict=True)):
            true = self.network(batch.target)[-1][:, [person]]
            false = self.network(picture.detach().float())[-1][:, [person]]
            loss = _weighted(F.relu(1.0 - true), batch.weight)
            loss = loss + _weighted(F.relu(1.0 + false), batch.weight)
            (shares[person] * loss).backward()

    def state(self) -> Tensors:
        """Everything that going on exactly needs, by name."""
        network = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        moments = optimizer_tensors(self.optimizer)
        return network | {f"optimizer.{name}": value for name, value in moments.items()}

    def take_up(self, saved: Tensors) -> None:
        """Go on from a `state`.

        Raises:
            KeyError: if something is missing.
            RuntimeError: if the weights are those of another network.
            ValueError: if the optimiser's numbers are.
        """
        parts: dict[str, Tensors] = {"network": {}, "optimizer": {}}
        for name, value in saved.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        self.network.load_state_dict(parts["network"])
        if parts["optimizer"]:
            load_optimizer(self.optimizer, parts["optimizer"])


def _weighted(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The mean of (B, 1, H, W), by how much each place of a face matters, (B, 1, S, S)."""
    weight = F.interpolate(weight.float(), maps.shape[2:], mode="area")
    return (maps * weight).sum() / weight.sum().clamp_min(1e-6)

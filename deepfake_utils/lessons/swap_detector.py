"""A small network that tells swapped faces from filmed ones, to show what it is worth.

It is for teaching: it learns the faults of the swaps it was shown, and notebook 09 measures how
much of that helps with other swaps. What a file says of itself (`marking.reading`) does not depend
on how the swap was made.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from ..faces import align_face
from ..images import Image, Points, to_tensor
from ..settings import Settings, setting


@dataclass(frozen=True)
class SwapDetectorConfig(Settings):
    """The network's shape and training."""

    size: int = setting(64, "side of the faces it looks at, in pixels", least=32)
    coverage: float = setting(
        1.0, "share of that side which the mean face spans; at 1 there is no background", above=0.0
    )
    channels: int = setting(
        16, "after the first convolution; each further one doubles them", least=1
    )
    steps: int = setting(200, "of training", least=1)
    batch_size: int = setting(32, "faces in a step, half of them swapped", least=2)
    learning_rate: float = setting(2e-3, "of Adam, falling to 0 along a cosine", above=0.0)
    seed: int = setting(0, "of the first weights and of the batches")


class SwapDetector(nn.Module):
    """Four convolutions with stride 2, a mean over what is left, one number."""

    def __init__(self, config: SwapDetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config or SwapDetectorConfig()
        widths = [3, *(self.config.channels * 2**i for i in range(4))]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after)]
            layers += [nn.LeakyReLU(0.1, inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(widths[-1], 1)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in 0..1 -> (B,), above 0 for what looks swapped."""
        maps = self.layers(faces - 0.5)  # (B, C, S/16, S/16)
        return self.last(maps.mean((2, 3))).squeeze(1)


def cut_faces(
    frames: Sequence[Image], points: Sequence[Points], config: SwapDetectorConfig | None = None
) -> torch.Tensor:
    """Cut the aligned inner faces out of frames, as a `SwapDetector` looks at them.

    Args:
        frames: (H, W, 3) RGB uint8 each.
        points: (68, 2) of one face in each.
        config: gives size and coverage.

    Returns:
        (N, 3, S, S) float32 in 0..1.

    Raises:
        ValueError: if there are no frames, or not as many faces.
    """
    config = config or SwapDetectorConfig()
    if not len(frames) or len(frames) != len(points):
        raise ValueError(
            f"expected as many faces as frames, got {len(points)} in {len(frames)} frames"
        )
    faces = [
        align_face(frame, at, config.size, config.coverage).image
        for frame, at in zip(frames, points, strict=True)
    ]
    return torch.stack([to_tensor(face) for face in faces])


def train_swap_detector(
    filmed: torch.Tensor, swapped: torch.Tensor, config: SwapDetectorConfig | None = None
) -> SwapDetector:
    """Learn to tell two sets of faces apart; they are mirrored, and shifted by some pixels.

    Args:
        filmed: (N, 3, S, S) float in 0..1.
        swapped: (M, 3, S, S) float in 0..1.
        config: how.

    Returns:
        The trained detector, in evaluation mode.

    Raises:
        ValueError: if a set is empty or the sizes differ.
    """
    if not len(filmed) or not len(swapped) or filmed.shape[1:] != swapped.shape[1:]:
        raise ValueError(
            "expected two sets of faces of one size, "
            f"got {tuple(filmed.shape)} and {tuple(swapped.shape)}"
        )
    config = config or SwapDetectorConfig()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        detector = SwapDetector(config).train()
        optimiser = torch.optim.Adam(detector.parameters(), config.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
        half = config.batch_size // 2
        labels = torch.cat([torch.zeros(half), torch.ones(half)])
        for _ in range(config.steps):
            batch = torch.cat(
                [faces[torch.randint(len(faces), (half,))] for faces in (filmed, swapped)]
            )
            loss = F.binary_cross_entropy_with_logits(detector(_moved(batch)), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return detector.eval()


def _moved(batch: torch.Tensor) -> torch.Tensor:
    """Half of the faces mirrored, all shifted together by up to 3 pixels."""
    mirrored = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, batch.flip(3), batch)
    across, down = (int(n) for n in torch.randint(-3, 4, (2,)))
    return mirrored.roll((down, across), (2, 3))


@torch.inference_mode()
def suspicion(detector: SwapDetector, faces: torch.Tensor) -> NDArray[np.float32]:
    """How swapped each face looks to a detector.

    Args:
        detector: what `train_swap_detector` gave.
        faces: (N, 3, S, S) float in 0..1, from `cut_faces`.

    Returns:
        (N,) float32 from 0, filmed, to 1, swapped.
    """
    return np.asarray(torch.sigmoid(detector(faces)).numpy(), np.float32)


def area_under_roc(filmed: NDArray[np.floating], swapped: NDArray[np.floating]) -> float:
    """How often a swapped face scores above a filmed one, 0..1; 0.5 is guessing, ties count half.

    That is the area under the receiver operating characteristic (J. Hanley and B. McNeil 1982, doi
    10.1148/radiology.143.1.7063747).

    Args:
        filmed: (N,) scores.
        swapped: (M,) scores.

    Raises:
        ValueError: if there is no score of one kind.
    """
    if not len(filmed) or not len(swapped):
        raise ValueError(f"expected scores of both, got {len(filmed)} and {len(swapped)}")
    above = np.sign(np.asarray(swapped)[:, None] - np.asarray(filmed)[None, :])
    return float((above.mean() + 1.0) / 2.0)

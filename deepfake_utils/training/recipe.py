"""How long, how fast and how strongly to train: settings, presets and when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..autoencoder import Preset
from ..devices import Precision
from ..settings import Settings, setting

Sharpness = Literal["plain", "adversarial"]
Start = Literal["pretrained", "scratch"]
Compile = Literal["off", "default", "reduce-overhead"]  # the last uses CUDA graphs


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How the network is trained."""

    steps: int = setting(
        10_000,
        "length of a run not given in minutes; the learning rate falls towards its end",
        least=1,
    )
    batch_size: int = setting(16, "faces of each person in a step", least=1, slider=(1, 128, 1))
    learning_rate: float = setting(
        2e-3, "of Adam, at its highest; large networks need less (see recipe)", above=0.0
    )
    warmup_steps: int = setting(
        50, "steps in which the learning rate rises to its highest", least=0
    )
    final_rate: float = setting(
        0.02, "share of the learning rate left at the end", least=0, most=1, slider=(0, 1, 0.01)
    )
    beta1: float = setting(0.9, "Adam's memory of the gradient", least=0.0, below=1.0)
    beta2: float = setting(0.99, "Adam's memory of its square", least=0.0, below=1.0)
    dssim: float = setting(
        0.5,
        "weight of structure, (1 - SSIM) / 2, beside absolute error",
        least=0,
        slider=(0, 1, 0.05),
    )
    edges: float = setting(0.0, "weight of the error of fine edges", least=0, slider=(0, 3, 0.1))
    sharpness: Sharpness = setting(
        "plain",
        "adversarial: in the last third a second network asks for faces that look real; for GPUs",
    )
    adversarial: float = setting(
        0.1, "weight of what that network says", above=0.0, slider=(0.005, 0.5, 0.005)
    )
    encoder_rate: float = setting(
        1.0,
        "share of the learning rate for the encoder up to the code; 0 leaves it as it began",
        least=0,
        most=1,
        slider=(0, 1, 0.05),
    )
    texture_rate: float = setting(
        5.0, "times the learning rate for the picture of the skin in each decoder", above=0.0
    )
    mask: float = setting(
        0.5, "weight of the mask's error, if the network draws one", least=0, slider=(0, 1, 0.05)
    )
    average: float = setting(
        0.995,
        "memory of the averaged weights, used to draw",
        least=0,
        below=1,
        slider=(0.9, 0.9995, 0.0005),
    )
    precision: Precision = setting("auto", "number format of the network's heavy parts")
    compile: Compile = setting("off", "torch.compile: minutes to start, then quicker on a GPU")
    max_skips: int = setting(
        8, "steps in a row without a finite loss before the run stops", least=0
    )

    def rate_at(self, step: int, passed: float | None = None) -> float:
        """Learning rate at `step`: a linear rise, then half a cosine down to its final share.

        Args:
            step: counted from 1; the rise goes by it.
            passed: share of the run's time that has passed, 0..1; None: the share of its `steps`.
        """
        rise = min(1.0, step / max(1, self.warmup_steps))
        share = self._passed(step, passed)
        fall = 0.5 * (1.0 + math.cos(math.pi * share))
        return self.learning_rate * rise * (self.final_rate + (1 - self.final_rate) * fall)

    def adversarial_at(self, step: int, passed: float | None = None) -> float:
        """Weight of the adversary at `step`: it rises from 0 in the last third of the run.

        Args:
            step: counted from 1.
            passed: as for `rate_at`.
        """
        if self.sharpness == "plain":
            return 0.0
        return self.adversarial * min(1.0, max(0.0, self._passed(step, passed) * 12.0 - 8.0))

    def _passed(self, step: int, passed: float | None) -> float:
        return min(1.0, step / self.steps if passed is None else passed)


def recipe(preset: Preset, start: Start = "scratch") -> TrainConfig:
    """Settings that suit a network of `autoencoder.preset`.

    The large network's loss runs away at the small one's learning rate. What came pretrained is
    kept up to the code, as two people alone would teach it again who they are, and learns slowly
    beyond it: the more it fits these two, the less it draws B with what A does. Only the pictures
    of the skin, which are theirs alone, learn as fast as ever.

    Args:
        preset: the network's name.
        start: what it begins from.

    Raises:
        ValueError: if the name is unknown.
    """
    recipes = {
        "sharp": TrainConfig(edges=1.0),
        "quick": TrainConfig(),
        "original": TrainConfig(batch_size=32, learning_rate=1e-4),
    }
    if preset not in recipes:
        raise ValueError(f"expected a preset of {sorted(recipes)}, got {preset!r}")
    if start == "pretrained":
        return replace(recipes[preset], learning_rate=4e-4, texture_rate=25.0, encoder_rate=0.0)
    return recipes[preset]


def plateaued(scores: Sequence[float], patience: int = 5, gain: float = 0.05) -> bool:
    """When to stop: True once the newest scores are hardly better than what came before them.

    Args:
        scores: of faces held out of training, higher is better, oldest first, e.g. the PSNR in dB
            of `Trainer.evaluate` at equal intervals.
        patience: how many scores in a row may bring nothing.
        gain: what the best of these must add to the best before them.

    Raises:
        ValueError: if `patience` is below 1.
    """
    if patience < 1:
        raise ValueError(f"patience: expected at least 1, got {patience}")
    if len(scores) <= patience:
        return False
    return max(scores[-patience:]) < max(scores[:-patience]) + gain

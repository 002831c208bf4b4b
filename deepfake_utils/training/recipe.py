"""How long, how fast and how strongly to train: settings, presets, pace and when to stop."""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..devices import Precision

Compile = Literal["off", "default", "reduce-overhead"]  # the last uses CUDA graphs


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    steps: int = 10_000  # length of the run; the learning rate falls towards its end
    batch_size: int = 16  # faces of each person in a step
    learning_rate: float = 2e-3  # of Adam, at its highest; see `recipe` for larger networks
    warmup_steps: int = 50  # steps in which the learning rate rises to that
    final_rate: float = 0.02  # share of the learning rate that is left at the end
    beta1: float = 0.9  # Adam's memory of the gradient
    beta2: float = 0.99  # Adam's memory of its square
    dssim: float = 0.5  # weight of structure (1 - SSIM) / 2 beside the mean absolute error
    mask: float = 0.5  # weight of the mask's mean absolute error, if the network draws one
    average: float = 0.995  # memory of the averaged weights that pictures are drawn with
    precision: Precision = "auto"  # auto, float32, bfloat16 or float16
    compile: Compile = "off"  # torch.compile: minutes to start, then quicker on a GPU
    max_skips: int = 8  # steps in a row without a finite loss before the run stops

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate: expected more than 0, got {self.learning_rate}")
        for name in ("beta1", "beta2", "average"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}: expected 0 to below 1, got {getattr(self, name)}")
        for name, known in (("precision", Precision), ("compile", Compile)):
            if getattr(self, name) not in typing.get_args(known):
                raise ValueError(
                    f"{name}: expected one of {typing.get_args(known)}, got {getattr(self, name)!r}"
                )
        for name in ("warmup_steps", "dssim", "mask", "max_skips"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if not 0.0 <= self.final_rate <= 1.0:
            raise ValueError(f"final_rate: expected a share in 0..1, got {self.final_rate}")

    def rate_at(self, step: int) -> float:
        """Learning rate at `step`: a linear rise, then half a cosine down to its final share."""
        rise = min(1.0, step / max(1, self.warmup_steps))
        fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.steps)))
        return self.learning_rate * rise * (self.final_rate + (1 - self.final_rate) * fall)


def recipe(preset: Literal["quick", "original"]) -> TrainConfig:
    """Settings that suit a network of `autoencoder.preset`.

    The large network's loss runs away at the small one's learning rate.

    Raises:
        ValueError: if the name is unknown.
    """
    recipes = {
        "quick": TrainConfig(),
        "original": TrainConfig(batch_size=32, learning_rate=1e-4),
    }
    if preset not in recipes:
        raise ValueError(f"expected a preset of {sorted(recipes)}, got {preset!r}")
    return recipes[preset]


@dataclass(frozen=True)
class Pace:
    """How fast a run goes, and what that means for its length."""

    seconds_per_step: float
    faces_per_step: int  # of both people, in all processes together
    steps_left: int  # to the end of the run as planned

    @property
    def images_per_second(self) -> float:
        """Faces trained on in a second."""
        return self.faces_per_step / self.seconds_per_step

    @property
    def eta_s(self) -> float:
        """Seconds to the planned end."""
        return self.steps_left * self.seconds_per_step

    def steps_in(self, minutes: float) -> int:
        """Steps that fit into so much time."""
        return int(60.0 * minutes / self.seconds_per_step)

    def __str__(self) -> str:
        left = f"{self.eta_s / 60.0:.0f} min" if self.eta_s >= 90.0 else f"{self.eta_s:.0f} s"
        return (
            f"{self.images_per_second:.0f} images a second: {left} to go for {self.steps_left} "
            f"steps; {self.steps_in(90)} steps fit into 90 minutes, {self.steps_in(720)} into "
            "12 hours"
        )


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

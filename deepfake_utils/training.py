"""The training loop: one step, and a generator of steps that the caller's own loop drives.

    for result in trainer.run():
        if result.step % 100 == 0:
            display(plotting.plot_losses(trainer.history))

Stopping that loop loses nothing: the state is on the trainer, and `run` goes on where it was.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import os
import time
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from .autoencoder import FaceSwapAutoencoder
from .checkpoint import Checkpoint, Tensors, load_checkpoint, save_checkpoint
from .dataset import Batch
from .devices import Precision, pick_device, pick_dtype, place
from .losses import face_loss

logger = logging.getLogger(__name__)


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
    average: float = 0.995  # memory of the averaged weights that pictures are drawn with
    precision: Precision = "auto"  # auto, float32, bfloat16 or float16

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
        if self.precision not in typing.get_args(Precision):
            raise ValueError(
                f"precision: expected one of {typing.get_args(Precision)}, got {self.precision!r}"
            )
        if self.warmup_steps < 0 or self.dssim < 0.0 or not 0.0 <= self.final_rate <= 1.0:
            raise ValueError(
                "expected warmup_steps >= 0, dssim >= 0 and final_rate in 0..1, "
                f"got {self.warmup_steps}, {self.dssim} and {self.final_rate}"
            )


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


class StepResult(NamedTuple):
    """What one training step reports."""

    step: int  # counted from 1
    loss_a: float  # `losses.face_loss` of person A, 0 is perfect
    loss_b: float  # the same of person B


class Trainer:
    """A network in training: its weights, their running average, and the optimiser.

    Args:
        model: the network; it is moved to `device`.
        batches_a: endless pairs of person A, e.g. `dataset.endless_batches(...)`.
        batches_b: the same of person B.
        config: how to train.
        device: None picks the GPU if there is one.

    Attributes:
        average: a network with the running mean of the weights: draws better than `model`.
        history: one `StepResult` a step so far.
        step: steps made so far.
    """

    def __init__(
        self,
        model: FaceSwapAutoencoder,
        batches_a: Iterator[Batch],
        batches_b: Iterator[Batch],
        config: TrainConfig | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.config = config or TrainConfig()
        self.device = pick_device(device)
        self.dtype = pick_dtype(self.device, self.config.precision)
        self.model = place(model, self.device).train()
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.batches_a, self.batches_b = batches_a, batches_b
        # One optimiser over everything: with one for each person the shared encoder would be
        # stepped twice.
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=self.config.learning_rate,
            betas=(self.config.beta1, self.config.beta2),
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        self.step = 0
        self.history: list[StepResult] = []

    def learning_rate(self, step: int) -> float:
        """Rate at `step`: a linear rise, then half a cosine down to its final share."""
        config = self.config
        rise = min(1.0, step / max(1, config.warmup_steps))
        progress = min(1.0, step / config.steps)
        fall = 0.5 * (1.0 + math.cos(math.pi * progress))
        return config.learning_rate * rise * (config.final_rate + (1 - config.final_rate) * fall)

    def train_step(self) -> StepResult:
        """One step on one batch of each person.

        Raises:
            FloatingPointError: if the loss is not finite; the weights stay as they were.
            ValueError: if a source of batches has run dry.
        """
        a, b = self._next(self.batches_a, "A"), self._next(self.batches_b, "B")
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step + 1)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            drawn_a, drawn_b = self.model.forward_pair(a.warped, b.warped)
        loss_a = face_loss(drawn_a, a.target, a.weight, self.config.dssim)
        loss_b = face_loss(drawn_b, b.target, b.weight, self.config.dssim)
        result = StepResult(self.step + 1, loss_a.item(), loss_b.item())
        if not (math.isfinite(result.loss_a) and math.isfinite(result.loss_b)):
            raise FloatingPointError(
                f"expected a finite loss, got {result.loss_a} (A) and {result.loss_b} (B) at step "
                f"{result.step}; the weights are those of step {self.step}: save them, then go on "
                "with a lower learning_rate or precision='float32'"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss_a + loss_b).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step = result.step
        self._update_average()
        self.history.append(result)
        return result

    def plan(self, minutes: float, sample: int = 20) -> int:
        """Make the run as long as fits into `minutes`, by timing a few of its first steps.

        Args:
            minutes: how long the whole run may take, these steps included.
            sample: how many steps to time; they count as training.

        Returns:
            The number of steps, now `config.steps`.

        Raises:
            ValueError: if `minutes` is not positive or `sample` below 2.
        """
        if not minutes > 0.0 or sample < 2:
            raise ValueError(f"expected minutes > 0 and sample >= 2, got {minutes} and {sample}")
        self.train_step()  # the first step also sets up the device's libraries
        began = time.monotonic()
        for _ in range(sample - 1):
            self.train_step()
        seconds = (time.monotonic() - began) / (sample - 1)
        steps = max(self.step, self.step + int((60.0 * minutes - seconds * sample) / seconds))
        self.config = dataclasses.replace(self.config, steps=steps)
        logger.info("%.3f s a step: %d steps fit into %g minutes", seconds, steps, minutes)
        return steps

    def run(self, steps: int | None = None) -> Iterator[StepResult]:
        """Train, yielding after each step; leave the loop whenever you like.

        Args:
            steps: how many; None goes on to `config.steps` in all.
        """
        last = self.config.steps if steps is None else self.step + steps
        while self.step < last:
            yield self.train_step()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a checkpoint that `Trainer.load` continues from.

        Raises:
            ValueError, OSError: as `checkpoint.save_checkpoint`.
        """
        optimizer: Tensors = {
            f"{index}.{name}": value
            for index, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        extra = {
            "train": dataclasses.asdict(self.config),
            "history": [list(result) for result in self.history],
            "scaler": self.scaler.state_dict(),
        }
        return save_checkpoint(
            path, Checkpoint(self.model, self.step, self.average.state_dict(), optimizer, extra)
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        batches_a: Iterator[Batch],
        batches_b: Iterator[Batch],
        config: TrainConfig | None = None,
        device: str | torch.device | None = None,
    ) -> Trainer:
        """Continue a run from the checkpoint at `path`.

        Args:
            config: None takes the settings the run was saved with.

        Raises:
            FileNotFoundError, ValueError: as `checkpoint.load_checkpoint`, or if the file holds
                weights only.
        """
        saved = load_checkpoint(path, device)
        if not saved.average or not saved.optimizer or "train" not in saved.extra:
            raise ValueError(
                f"expected a checkpoint of a training run, got weights only in {path}; "
                "start a new Trainer with them as its model"
            )
        try:
            config = config or TrainConfig(**saved.extra["train"])
            trainer = cls(saved.model, batches_a, batches_b, config, device)
            trainer.average.load_state_dict(saved.average)
            trainer._load_optimizer(saved.optimizer)
            scaler = dict(saved.extra["scaler"])  # empty where no scaler was needed
            if trainer.scaler.is_enabled() and scaler:
                trainer.scaler.load_state_dict(scaler)
            trainer.history = [
                StepResult(int(step), float(loss_a), float(loss_b))
                for step, loss_a, loss_b in saved.extra["history"]
            ]
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"expected the state of a training run in {path}, got another or damaged one "
                f"({error}); start a new Trainer with load_checkpoint(path).model"
            ) from error
        trainer.step = saved.step
        logger.info("continuing %s at step %d", path, trainer.step)
        return trainer

    def _load_optimizer(self, saved: Tensors) -> None:
        """Take up Adam's moments, laid out in memory as the weights are.

        The fused step walks weights and moments side by side without looking at their strides.
        """
        state: dict[int, Tensors] = {}
        for index, parameter in enumerate(self.model.parameters()):
            for key in ("step", "exp_avg", "exp_avg_sq"):
                moment = saved[f"{index}.{key}"]
                wanted = torch.zeros(()) if key == "step" else parameter.detach()
                if moment.shape != wanted.shape:
                    raise ValueError(
                        f"expected {key} of parameter {index} of shape {tuple(wanted.shape)}, "
                        f"got {tuple(moment.shape)}"
                    )
                state.setdefault(index, {})[key] = torch.empty_like(wanted).copy_(moment)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _next(self, batches: Iterator[Batch], name: str) -> Batch:
        try:
            batch = next(batches)
        except StopIteration as error:
            raise ValueError(
                f"expected endless batches of person {name}, got to their end after step "
                f"{self.step}; make them with dataset.endless_batches"
            ) from error
        warped = batch.warped.to(self.device, memory_format=torch.channels_last)
        return Batch(warped, batch.target.to(self.device), batch.weight.to(self.device))

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first, or the untrained weights would linger in the mean.
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, 1.0 - keep)


def start_or_resume(
    path: str | os.PathLike[str],
    model: FaceSwapAutoencoder,
    batches_a: Iterator[Batch],
    batches_b: Iterator[Batch],
    config: TrainConfig | None = None,
    device: str | torch.device | None = None,
) -> Trainer:
    """A trainer that goes on with the unfinished run at `path`, or a new one if there is none.

    Args:
        path: where the run saves its checkpoints.
        model: the network to start with; a run of another shape of network is not taken up.

    Raises:
        ValueError: if the file at `path` is not a whole checkpoint; move it away to start anew.
    """
    if Path(path).exists():
        saved = load_checkpoint(path)
        length = saved.extra.get("train", {}).get("steps", 0)
        if saved.model.config == model.config and saved.step < length:
            return Trainer.load(path, batches_a, batches_b, None, device)
        logger.info("%s holds another or a finished run: starting anew", path)
    return Trainer(model, batches_a, batches_b, config, device)

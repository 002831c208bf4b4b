"""One file that a training run can be continued from: weights, optimiser, step and settings.

The file is a safetensors file: numbers and one JSON header, nothing that is executed on loading.
It is written beside its place, flushed to disk and then renamed, so a killed run leaves either
the old file or the new one, never half of one.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..autoencoder import IDENTITIES, UNKNOWN, AutoencoderConfig, FaceSwapAutoencoder
from ..consent import ConsentNote
from ..devices import pick_device
from ..files import (
    Tensors,
    parse_json,
    read_tensors,
    reading,
    tensors_sha256,
    write_tensors,
)

FORMAT = "deepfake-utils-2"
# PSNR in dB of faces held out below which a network draws a smear. Measured on the sample pair
# (`quick`, rate of a run of 1,800 steps, `Trainer.evaluate`, at 64 / 96 px): untrained 14.9 / 13.5,
# after 25 steps 21.2 / 21.1, after 50 22.7 / 22.6, after 400 29.3 / 29.7.
HARDLY_TRAINED_DB = 22.0
LARGEST_SIDE = 2048  # pixels; a face of so many fills a frame of 4K


@dataclass
class Checkpoint:
    """Everything in a checkpoint file."""

    model: FaceSwapAutoencoder  # the weights that training goes on with, and whose consent it has
    step: int  # training steps made so far
    average: Tensors = field(default_factory=dict)  # running mean of the weights, {} if none
    optimizer: Tensors = field(default_factory=dict)  # "<parameter index>.<name>", {} if none
    history: torch.Tensor | None = None  # (N, 3) float64: step, loss of A, loss of B
    extra: dict[str, Any] = field(default_factory=dict)  # settings and state, plain JSON values
    adversary: Tensors = field(default_factory=dict)  # `Adversary.state`, {} if none

    @property
    def unfinished(self) -> bool:
        """Whether something is left of a training run's minutes, or else of its steps."""
        minutes = self.extra.get("minutes")
        if minutes is not None:
            return float(self.extra.get("spent_s", 0.0)) < 60.0 * float(minutes)
        return self.step < int(self.extra.get("train", {}).get("steps", 0))

    def best_model(self) -> FaceSwapAutoencoder:
        """The network to draw with: the averaged weights where there are some."""
        if self.average:
            self.model.load_state_dict(self.average)
        scores = self.extra.get("scores") or [(self.step, None)]
        measured_at, score = scores[-1]
        self.model.held_out_db = score if measured_at == self.step else None
        return self.model.eval()


def hardly_trained(model: FaceSwapAutoencoder) -> str | None:
    """A sentence if a network's score on faces held out is too low to show what it draws.

    Args:
        model: from `Checkpoint.best_model`, or a `Trainer.average`.

    Returns:
        None if the score is high enough, or was not measured.
    """
    score = model.held_out_db
    if score is None or score >= HARDLY_TRAINED_DB:
        return None
    return (
        f"this network is hardly trained: {score:.1f} dB on faces held out, below "
        f"{HARDLY_TRAINED_DB:g} dB; it draws a smear, train it for longer"
    )


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; an existing file is replaced only once the new one is complete.

    Args:
        path: ends in .safetensors; its folder is made if missing.
        checkpoint: what to write.

    Raises:
        ValueError: if the name does not end in .safetensors.
        OSError: if it cannot be written; an earlier file at `path` stays as it was.
    """
    groups = {
        "model": checkpoint.model.state_dict(),
        "average": checkpoint.average,
        "optimizer": checkpoint.optimizer,
        "adversary": checkpoint.adversary,
        "history": {} if checkpoint.history is None else {"rows": checkpoint.history},
    }
    tensors = {
        f"{group}.{name}": tensor
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    consent = [note._asdict() for note in checkpoint.model.consent]
    header = {
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(checkpoint.model.config)),
        "step": str(checkpoint.step),
        "extra": json.dumps(
            {**checkpoint.extra, "consent": consent, "start": checkpoint.model.start}
        ),
    }
    return write_tensors(Path(path), tensors, header)


def load_checkpoint(
    path: str | os.PathLike[str],
    device: str | torch.device | None = "cpu",
    largest_side: int = LARGEST_SIDE,
) -> Checkpoint:
    """Read a checkpoint and rebuild its network.

    Args:
        path: a file that `save_checkpoint` wrote.
        device: where the tensors go; None picks the GPU if there is one.
        largest_side: how large the pictures of its network may be, in pixels: nothing else in the
            file tells how much memory they take.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if the file is not a checkpoint of this package, or damaged.
    """
    where = pick_device(device)
    tensors, header = read_tensors(Path(path), FORMAT, where)
    names = ("model", "average", "optimizer", "adversary", "history")
    groups: dict[str, Tensors] = {name: {} for name in names}
    advice = "use an earlier checkpoint, or another file"
    with reading(Path(path), "weights that fit the network described there", advice):
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        step, extra = int(header["step"]), parse_json(header["extra"])
        # Older files have the network's usual error here instead of among its tensors.
        errors = extra.pop("usual_error", {})
        usual = torch.tensor([errors.get(name, UNKNOWN) for name in IDENTITIES], device=where)
        for state in filter(None, (groups["model"], groups["average"])):
            state.setdefault("usual_error", usual)
        config = AutoencoderConfig(**parse_json(header["config"]))
        _check_size(config, groups["model"], largest_side)
        model = FaceSwapAutoencoder(config).to(where)
        model.load_state_dict(groups["model"])
        model.start = str(extra.pop("start", "scratch"))
        notes = extra.pop("consent", [])
        model.consent = tuple(
            ConsentNote(n["sha256"], tuple(n["bases"]), n.get("swaps", True) is True) for n in notes
        )
    history = groups["history"].get("rows")
    average, optimizer = groups["average"], groups["optimizer"]
    return Checkpoint(model, step, average, optimizer, history, extra, groups["adversary"])


def _check_size(config: AutoencoderConfig, weights: Tensors, largest_side: int) -> None:
    """Raise unless a network is as large as its weights, before any memory is taken for it."""
    if config.image_size > largest_side:
        raise ValueError(
            f"image_size: expected at most {largest_side} pixels, got {config.image_size}; pass "
            "largest_side to allow more"
        )
    if config.residual_blocks > len(weights):
        raise ValueError(f"expected {config.residual_blocks} blocks, got {len(weights)} tensors")
    with torch.device("meta"):  # shapes without numbers
        shapes = {name: t.shape for name, t in FaceSwapAutoencoder(config).state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in weights.items()}:
        raise ValueError("expected its weights and no others, got other names or shapes")


def weights_sha256(model: torch.nn.Module) -> str:
    """SHA-256 of a network's weights, on whatever device: their names, shapes, types and bytes.

    Of what training moves only: what was measured of a network (its buffers) does not change it.
    """
    return tensors_sha256(model.named_parameters())


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """What Adam remembers, named "<parameter index>.<name>"."""
    return {
        f"{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Adam, saved: Tensors) -> None:
    """Take up what `optimizer_tensors` gave, laid out in memory as the weights are.

    The fused step walks weights and moments side by side without looking at their strides.

    Raises:
        KeyError: if something is missing.
        ValueError: if a shape is not the weight's.
    """
    state: dict[int, Tensors] = {}
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    for index, parameter in enumerate(parameters):
        for key in ("step", "exp_avg", "exp_avg_sq"):
            moment = saved[f"{index}.{key}"]
            wanted = torch.zeros(()) if key == "step" else parameter.detach()
            if moment.shape != wanted.shape:
                raise ValueError(
                    f"expected {key} of parameter {index} of shape {tuple(wanted.shape)}, "
                    f"got {tuple(moment.shape)}"
                )
            state.setdefault(index, {})[key] = torch.empty_like(wanted).copy_(moment)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

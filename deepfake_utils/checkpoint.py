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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .autoencoder import AutoencoderConfig, FaceSwapAutoencoder
from .devices import pick_device
from .images import whole_file

FORMAT = "deepfake-utils-1"
Tensors = dict[str, torch.Tensor]


@dataclass
class Checkpoint:
    """Everything in a checkpoint file."""

    model: FaceSwapAutoencoder  # the weights that training goes on with
    step: int  # training steps made so far
    average: Tensors = field(default_factory=dict)  # running mean of the weights, {} if none
    optimizer: Tensors = field(default_factory=dict)  # "<parameter index>.<name>", {} if none
    extra: dict[str, Any] = field(default_factory=dict)  # settings and history, plain JSON values

    def best_model(self) -> FaceSwapAutoencoder:
        """The network to draw with: the averaged weights where there are some."""
        if self.average:
            self.model.load_state_dict(self.average)
        return self.model.eval()


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; an existing file is replaced only once the new one is complete.

    Args:
        path: ends in .safetensors; its folder is made if missing.
        checkpoint: what to write.

    Raises:
        ValueError: if the name does not end in .safetensors.
        OSError: if it cannot be written; an earlier file at `path` stays as it was.
    """
    path = _check_name(path)
    groups = {
        "model": checkpoint.model.state_dict(),
        "average": checkpoint.average,
        "optimizer": checkpoint.optimizer,
    }
    tensors = {
        f"{group}.{name}": tensor.detach().cpu().contiguous()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    header = {
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(checkpoint.model.config)),
        "step": str(checkpoint.step),
        "extra": json.dumps(checkpoint.extra),
    }
    try:
        with whole_file(path) as part:
            save_file(tensors, part, metadata=header)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
    except SafetensorError as error:  # how safetensors reports a full disk or a missing right
        raise OSError(f"could not write {path}: {error}; free some space there") from error
    return path


def load_checkpoint(
    path: str | os.PathLike[str], device: str | torch.device | None = "cpu"
) -> Checkpoint:
    """Read a checkpoint and rebuild its network.

    Args:
        path: a file that `save_checkpoint` wrote.
        device: where the tensors go; None picks the GPU if there is one.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if the file is not a checkpoint of this package, or damaged.
    """
    path = _check_name(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; train first, or check the path")
    where = pick_device(device)
    try:
        with safe_open(path, framework="pt", device=str(where)) as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"expected a whole safetensors file, got a damaged or other one at {path} ({error}); "
            "use an earlier checkpoint"
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"expected a checkpoint of format {FORMAT!r}, got {header.get('format')!r} in {path}; "
            "it was written by another program or version"
        )
    groups: dict[str, Tensors] = {"model": {}, "average": {}, "optimizer": {}}
    try:
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        model = FaceSwapAutoencoder(AutoencoderConfig(**json.loads(header["config"]))).to(where)
        model.load_state_dict(groups["model"])
        step, extra = int(header["step"]), json.loads(header["extra"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"expected weights that fit the network described in {path}, got others: {error}"
        ) from error
    return Checkpoint(model, step, groups["average"], groups["optimizer"], extra)


def _check_name(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a checkpoint name ending in .safetensors, got {path.name!r}")
    return path

"""One file that a training run can be continued from: weights, optimiser, step and settings.

The file is a safetensors file: numbers and one JSON header, nothing that is executed on loading.
It is written beside its place, flushed to disk and then renamed, so a killed run leaves either
the old file or the new one, never half of one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..autoencoder import IDENTITIES, AutoencoderConfig, FaceSwapAutoencoder
from ..consent import ConsentNote
from ..devices import pick_device
from ..files import whole_file

FORMAT = "deepfake-utils-2"
Tensors = dict[str, torch.Tensor]


@dataclass
class Checkpoint:
    """Everything in a checkpoint file."""

    model: FaceSwapAutoencoder  # the weights that training goes on with
    step: int  # training steps made so far
    average: Tensors = field(default_factory=dict)  # running mean of the weights, {} if none
    optimizer: Tensors = field(default_factory=dict)  # "<parameter index>.<name>", {} if none
    history: torch.Tensor | None = None  # (N, 3) float64: step, loss of A, loss of B
    extra: dict[str, Any] = field(default_factory=dict)  # settings and state, plain JSON values

    def best_model(self) -> FaceSwapAutoencoder:
        """The network to draw with: the averaged weights where there are some."""
        if self.average:
            self.model.load_state_dict(self.average)
        self.model.usual_error = dict(self.extra.get("usual_error", {}))
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
        "history": {} if checkpoint.history is None else {"rows": checkpoint.history},
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
        with whole_file(path, durable=True) as part:
            save_file(tensors, part, metadata=header)
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
            # Copies, as the tensors may be mapped to the file, and a mounted drive may go away.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
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
    groups: dict[str, Tensors] = {"model": {}, "average": {}, "optimizer": {}, "history": {}}
    try:
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        model = FaceSwapAutoencoder(AutoencoderConfig(**json.loads(header["config"]))).to(where)
        model.load_state_dict(groups["model"])
        step, extra = int(header["step"]), json.loads(header["extra"])
        notes = extra.get("consent", [])
        model.consent = tuple(ConsentNote(n["sha256"], tuple(n["bases"])) for n in notes)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"expected weights that fit the network described in {path}, got others: {error}"
        ) from error
    history = groups["history"].get("rows")
    return Checkpoint(model, step, groups["average"], groups["optimizer"], history, extra)


def weights_sha256(model: torch.nn.Module) -> str:
    """SHA-256 of a network's weights, on whatever device: their names, shapes, types and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        data = array.reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tuple(array.shape)} {array.dtype}".encode())
        digest.update(data.numpy().data)
    return digest.hexdigest()


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


def load_seed_weights(
    path: str | os.PathLike[str], colours: Literal["BGR", "RGB"] = "BGR"
) -> FaceSwapAutoencoder:
    """Read old weights: the 64 px `Autoencoder` of 2017's faceswap in PyTorch, as a `.pth` file.

    Only numbers are read from the file; code in it is refused. The network pads its first
    convolutions as TensorFlow does (`AutoencoderConfig.pad_after`), and its pixel shuffle reads
    channel (2 i + j) C + c for row i and column j of a pixel, PyTorch's reads 4 c + 2 i + j: those
    channels are put in order here.

    Args:
        path: a state dict that `torch.save` wrote, or a dict with one under "state".
        colours: the order in which that network was shown colours. The one returned takes and
            draws RGB, as everything here does.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if the file holds anything but tensors, or those of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; check the path")
    if colours not in ("BGR", "RGB"):
        raise ValueError(f"colours: expected 'BGR' or 'RGB', got {colours!r}")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, KeyError, OSError, RuntimeError, UnpicklingError, ValueError) as error:
        raise ValueError(
            f"expected a state dict of tensors in {path}, got another kind of file or code in it "
            f"({' '.join(str(error).split())[:200]}); never load it in another way if you do not "
            "know who wrote it"
        ) from error
    if isinstance(saved, dict) and isinstance(saved.get("state"), dict):
        saved = saved["state"]
    model = FaceSwapAutoencoder(AutoencoderConfig(pad_after=True))
    ours = model.state_dict()
    try:
        found = {ours_name: _ordered(saved[name], name) for name, ours_name in SEED_NAMES.items()}
        if colours == "BGR":
            first = "encoder.down.0.0.weight"
            found[first] = found[first].flip(1)
            for name in IDENTITIES:
                for kind in ("weight", "bias"):
                    last = f"decoders.{name}.3.{kind}"
                    found[last] = found[last].flip(0)
        model.load_state_dict({name: found[name].to(ours[name].dtype) for name in ours})
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"expected the weights of the 64 px network of 2017 in {path}, got others: {error}"
        ) from error
    return model.eval()


def _ordered(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """The weights or biases before a pixel shuffle, channels in PyTorch's order."""
    if ".conv2_." not in name:
        return tensor
    groups = tensor.reshape(4, len(tensor) // 4, *tensor.shape[1:])  # (offset, channel, ...)
    return groups.transpose(0, 1).reshape(tensor.shape)


def _seed_names() -> dict[str, str]:
    """Its name of each tensor -> ours."""
    layers = {f"encoder.{i}.conv2": f"encoder.down.{i}.0" for i in range(4)}
    layers |= {"encoder.5": "encoder.to_code", "encoder.6": "encoder.from_code"}
    layers["encoder.8.conv2_"] = "encoder.up.1.0"
    for name in IDENTITIES:
        layers |= {f"decoder_{name}.{i}.conv2_": f"decoders.{name}.{i}.0" for i in range(3)}
        layers[f"decoder_{name}.3"] = f"decoders.{name}.3"
    return {f"{a}.{kind}": f"{b}.{kind}" for a, b in layers.items() for kind in ("weight", "bias")}


SEED_NAMES = _seed_names()


def _check_name(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a checkpoint name ending in .safetensors, got {path.name!r}")
    return path

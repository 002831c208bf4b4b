"""Weights of 2017: the network of the first faceswap programs, as old `.pth` files hold it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch

from ..autoencoder import IDENTITIES, AutoencoderConfig, FaceSwapAutoencoder


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
        _check_room(path)
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
    ours = dict(model.named_parameters())
    try:
        found = {ours_name: _ordered(saved[name], name) for name, ours_name in SEED_NAMES.items()}
        if colours == "BGR":
            first = "encoder.down.0.0.weight"
            found[first] = found[first].flip(1)
            for name in IDENTITIES:
                for kind in ("weight", "bias"):
                    last = f"decoders.{name}.3.{kind}"
                    found[last] = found[last].flip(0)
        weights = {name: found[name].to(weight.dtype) for name, weight in ours.items()}
        model.load_state_dict({**model.state_dict(), **weights})
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


def _check_room(path: Path) -> None:
    """Raise ValueError if the file, a zip, holds more than its own size: torch never packs."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            held = sum(each.file_size for each in file.infolist())
        if held > path.stat().st_size:
            raise ValueError(f"{held} bytes in a file of {path.stat().st_size}")


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

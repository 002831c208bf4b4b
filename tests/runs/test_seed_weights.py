"""pytest tests/runs/test_seed_weights.py

Old weights, from the description of the network that they belong to. That network is built here
layer by layer, so that two readings of one description have to agree.
"""

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepfake_utils.autoencoder import AutoencoderConfig
from deepfake_utils.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from deepfake_utils.runs.seed_weights import load_seed_weights


class Down(nn.Module):
    """5x5, stride 2, one pixel of padding left and top, two right and bottom."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv2 = nn.Conv2d(inputs, outputs, 5, stride=2)

    def forward(self, x):
        return F.leaky_relu(self.conv2(F.pad(x, (1, 2, 1, 2))), 0.1)


class Up(nn.Module):
    """3x3 to four times the channels; channel (2 i + j) C + c becomes row i, column j of c."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv2_ = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x):
        maps = F.leaky_relu(self.conv2_(x), 0.1)
        count, channels, height, width = maps.shape
        grown = torch.empty(count, channels // 4, 2 * height, 2 * width)
        for i in range(2):
            for j in range(2):
                start = (2 * i + j) * (channels // 4)
                grown[:, :, i::2, j::2] = maps[:, start : start + channels // 4]
        return grown


class Seed(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [3, 128, 256, 512, 1024]
        self.encoder = nn.Sequential(
            *(Down(i, o) for i, o in itertools.pairwise(widths)),
            nn.Flatten(),
            nn.Linear(16384, 1024),
            nn.Linear(1024, 16384),
            nn.Unflatten(1, (1024, 4, 4)),
            Up(1024, 2048),
        )
        for name in ("decoder_A", "decoder_B"):
            layers = [Up(512, 1024), Up(256, 512), Up(128, 256), nn.Conv2d(64, 3, 5, padding=2)]
            setattr(self, name, nn.Sequential(*layers, nn.Sigmoid()))

    def forward(self, faces, identity):
        return getattr(self, f"decoder_{identity}")(self.encoder(faces))


@pytest.fixture(scope="module")
def seed() -> Seed:
    torch.manual_seed(0)
    network = Seed().eval()
    with torch.no_grad():  # strong enough that a wrong order would be seen in every pixel
        for weight in network.parameters():
            if weight.ndim > 1:
                nn.init.kaiming_normal_(weight, a=0.1)
            else:
                nn.init.normal_(weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def path(seed, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "seed.pth"
    torch.save(seed.state_dict(), path)
    return path


@pytest.mark.parametrize("colours", ["BGR", "RGB"])
def test_old_weights_draw_what_they_always_drew(path, seed, colours):
    faces = torch.rand(2, 3, 64, 64)  # RGB
    loaded = load_seed_weights(path, colours)
    assert loaded.config == AutoencoderConfig(pad_after=True)
    order = slice(None) if colours == "RGB" else [2, 1, 0]
    with torch.inference_mode():
        drawn = []
        for identity in ("A", "B"):
            wanted = seed(faces[:, order], identity)[:, order]
            drawn.append(loaded(faces, identity))
            assert (drawn[-1] - wanted).abs().max() < 1e-5
    assert drawn[0].std() > 0.05
    assert (drawn[0] - drawn[1]).abs().mean() > 0.01


def test_a_run_can_go_on_from_old_weights(path, seed, tmp_path):
    loaded = load_seed_weights(path)
    kept = load_checkpoint(save_checkpoint(tmp_path / "new.safetensors", Checkpoint(loaded, 0)))
    faces = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(kept.best_model()(faces, "B"), loaded(faces, "B"))


def test_weights_in_a_dict_of_other_things_are_found(seed, tmp_path):
    torch.save({"state": seed.state_dict(), "epoch": 3}, tmp_path / "more.pth")
    assert load_seed_weights(tmp_path / "more.pth").config.pad_after


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harm-done"),)


def test_code_in_a_file_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder.5.weight": Harmful()}, "new.pth")
    torch.save({"encoder.5.weight": Harmful()}, "old.pth", _use_new_zipfile_serialization=False)
    Path("plain.pth").write_bytes(pickle.dumps(Harmful()))
    for name in ("new.pth", "old.pth", "plain.pth"):
        with pytest.raises(ValueError, match=r"expected a state dict of tensors in .*code in it"):
            load_seed_weights(name)
    assert not Path("harm-done").exists()


def test_other_files_say_so(path, seed, tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights at"):
        load_seed_weights(tmp_path / "none.pth")
    with pytest.raises(ValueError, match="colours: expected 'BGR' or 'RGB', got 'HSV'"):
        load_seed_weights(path, "HSV")
    for name, content in (("empty.pth", b""), ("text.pth", b"hello"), ("zip.pth", b"PK\3\4" * 9)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="expected a state dict of tensors"):
            load_seed_weights(tmp_path / name)
    whole = seed.state_dict()
    lacking = {name: value for name, value in whole.items() if name != "decoder_B.3.bias"}
    for wrong in (
        lacking,
        {**whole, "encoder.5.weight": torch.zeros(3, 3)},
        {**whole, "encoder.8.conv2_.weight": 7},
        {"weights": np.float64(1.0)},
        [1, 2],
    ):
        torch.save(wrong, tmp_path / "wrong.pth")
        with pytest.raises(ValueError, match="expected"):
            load_seed_weights(tmp_path / "wrong.pth")

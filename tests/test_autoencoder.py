"""pytest tests/test_autoencoder.py"""

import dataclasses

import pytest
import torch
from torch import nn

from deepfake_utils.autoencoder import (
    AutoencoderConfig,
    FaceSwapAutoencoder,
    preset,
    smallest_map,
)


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_original_has_the_published_number_of_weights():
    with torch.device("meta"):  # shapes without memory
        network = FaceSwapAutoencoder(preset("original", 64))
    assert parameters(network) == 82_062_470


@pytest.mark.parametrize("size", [64, 80, 96, 128, 192, 256])
def test_quick_takes_every_size(size):
    model = FaceSwapAutoencoder(preset("quick", size)).eval()
    with torch.inference_mode():
        drawn = model(torch.rand(1, 3, size, size), "B")
    assert drawn.shape == (1, 3, size, size)
    assert 0.0 <= drawn.min() and drawn.max() <= 1.0


@pytest.mark.parametrize("size", [64, 128, 192])
def test_original_keeps_the_shape(size):
    with torch.device("meta"):
        model = FaceSwapAutoencoder(preset("original", size))
        assert model(torch.rand(2, 3, size, size), "A").shape == (2, 3, size, size)


@pytest.mark.parametrize(
    "changes",
    [{"shuffled_output": True}, {"residual_blocks": 2}, {"kernel": 3}, {"pad_after": True}],
)
def test_parts_can_be_chosen(tiny, changes):
    model = FaceSwapAutoencoder(dataclasses.replace(tiny, **changes))
    assert model(torch.rand(1, 3, 32, 32), "A").shape == (1, 3, 32, 32)
    blocks = sum(type(layer).__name__ == "Residual" for layer in model.decoders["A"])
    doublings = sum(isinstance(layer, nn.PixelShuffle) for layer in model.decoders["A"].modules())
    assert blocks == changes.get("residual_blocks", 0) * 2
    assert doublings == 2  # after the shared one: 4 -> 8 -> 16 -> 32


def test_one_persons_loss_leaves_the_other_decoder_alone(model):
    model(torch.rand(2, 3, 32, 32), "A").mean().backward()
    assert all(parameter.grad is None for parameter in model.decoders["B"].parameters())
    for part in (model.encoder, model.decoders["A"]):
        assert all(parameter.grad.abs().max() > 0.0 for parameter in part.parameters())


def test_the_two_decoders_begin_differently(model):
    faces = torch.rand(1, 3, 32, 32)
    assert not torch.equal(model(faces, "A"), model(faces, "B"))


def test_first_weights_follow_the_seed_and_nothing_else(tiny):
    before = torch.get_rng_state()
    one = FaceSwapAutoencoder(tiny, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again, other = FaceSwapAutoencoder(tiny, seed=3), FaceSwapAutoencoder(tiny, seed=4)
    faces = torch.rand(1, 3, 32, 32)
    assert torch.equal(one(faces, "A"), again(faces, "A"))
    assert not torch.equal(one(faces, "A"), other(faces, "A"))


@pytest.mark.parametrize("name", ["original", "quick"])
def test_first_weights_keep_the_size_of_signals(name):
    config = dataclasses.replace(preset(name), base_channels=32, decoder_channels=128)
    model = FaceSwapAutoencoder(config)
    sizes = []
    encoder = model.encoder
    for layer in (
        *(*encoder.down, encoder.to_code, encoder.from_code, *encoder.up),
        *model.decoders["A"],
    ):
        layer.register_forward_hook(lambda _, __, out: sizes.append(out.square().mean().sqrt()))
    with torch.inference_mode():
        drawn = model(torch.rand(4, 3, 64, 64), "A")
    assert len(sizes) > 8
    # PyTorch's own first weights lose a factor of two or more at each of these layers.
    assert all(0.2 < float(size) < 5.0 for size in sizes[:-3])
    assert 0.01 < drawn.std() < 0.3  # the sigmoid is in its middle
    assert 0.4 < drawn.mean() < 0.6


def test_upscaling_starts_without_a_checkerboard(model):
    with torch.inference_mode():
        grown = model.encoder.up[1](torch.rand(1, 16, 4, 4))
    for row, column in ((0, 1), (1, 0), (1, 1)):
        assert torch.allclose(grown[..., row::2, column::2], grown[..., ::2, ::2], atol=1e-6)


def test_both_at_once_are_the_same_as_one_by_one(model):
    a, b = torch.rand(2, 3, 32, 32), torch.rand(3, 3, 32, 32)
    drawn_a, drawn_b = model.forward_pair(a, b)
    assert drawn_a.shape == a.shape and drawn_b.shape == b.shape
    assert torch.allclose(drawn_a, model(a, "A"), atol=1e-6)
    assert torch.allclose(drawn_b, model(b, "B"), atol=1e-6)


def test_pixel_shuffle_is_the_papers_rearrangement():
    # Shi et al. 2016, eq. 4: PS(T)[x, y, c] = T[x // r, y // r, C r (y mod r) + C (x mod r) + c];
    # torch orders the channels as c r^2 + r (row mod r) + (column mod r).
    x = torch.rand(2, 12, 5, 4)
    by_hand = x.reshape(2, 3, 2, 2, 5, 4).permute(0, 1, 4, 2, 5, 3).reshape(2, 3, 10, 8)
    assert torch.equal(nn.PixelShuffle(2)(x), by_hand)
    assert by_hand[1, 2, 7, 4] == x[1, 2 * 4 + 1 * 2 + 0, 3, 2]


def test_smallest_map():
    assert smallest_map(32) == (3, 4)
    assert smallest_map(64) == (4, 4)
    assert smallest_map(80) == (4, 5)
    assert smallest_map(96) == (4, 6)
    assert smallest_map(112) == (4, 7)
    assert smallest_map(256) == (6, 4)


@pytest.mark.parametrize("size", [0, -64, 1, 8, 16, 28, 33, 65, 72, 100, 144, 250])
def test_sizes_that_do_not_fit_say_so(size):
    with pytest.raises(ValueError, match=f"image_size: expected .* 64.*got {size}"):
        preset("quick", size)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"base_channels": 0}, "base_channels: expected at least 1, got 0"),
        ({"code_size": -3}, "code_size: expected at least 1, got -3"),
        ({"kernel": 4}, "kernel: expected one of \\(3, 5\\), got 4"),
        ({"residual_blocks": -1}, "residual_blocks: expected at least 0, got -1"),
        ({"min_channels": 0}, "min_channels: expected at least 1, got 0"),
        ({"coverage": 1.5}, "coverage: expected at least 0.2 and at most 1, got 1.5"),
        ({"coverage": float("nan")}, "coverage"),
    ],
)
def test_wrong_settings_say_so(wrong, text):
    with pytest.raises(ValueError, match=text):
        AutoencoderConfig(**wrong)


def test_wrong_faces_say_so(model):
    with pytest.raises(ValueError, match=r"expected faces \(B, 3, 32, 32\), got \(1, 3, 64, 64\)"):
        model(torch.rand(1, 3, 64, 64), "A")
    with pytest.raises(ValueError, match=r"got \(3, 32, 32\)"):
        model(torch.rand(3, 32, 32), "A")
    with pytest.raises(ValueError, match=r"got \(1, 1, 32, 32\)"):
        model.forward_pair(torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32))
    with pytest.raises(ValueError, match="identity 'A' or 'B', got 'C'"):
        model(torch.rand(1, 3, 32, 32), "C")
    with pytest.raises(ValueError, match=r"preset of \['original', 'quick', 'sharp'\], got 'slow'"):
        preset("slow")


# Masks and landmarks ------------------------------------------------------------------------


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_mask_is_a_fourth_plane(tiny, shuffled):
    config = dataclasses.replace(tiny, mask=True, shuffled_output=shuffled)
    drawn_a, drawn_b = FaceSwapAutoencoder(config).forward_pair(*torch.rand(2, 3, 3, 32, 32))
    assert drawn_a.shape == drawn_b.shape == (3, 4, 32, 32)
    assert 0.0 <= drawn_a.min() and drawn_a.max() <= 1.0


def test_landmarks_join_the_code(tiny):
    network = FaceSwapAutoencoder(dataclasses.replace(tiny, landmarks=True))
    faces, points = torch.rand(2, 3, 32, 32), torch.rand(2, 68, 2)
    drawn = network(faces, "A", points)
    assert drawn.shape == (2, 3, 32, 32)
    assert not torch.allclose(drawn, network(faces, "A", points.flip(0)))
    pair = network.forward_pair(faces, faces, points, points.flip(0))
    assert torch.allclose(pair[0], drawn, atol=1e-5)
    assert torch.allclose(pair[1], network(faces, "B", points.flip(0)), atol=1e-5)


@pytest.mark.parametrize("landmarks", [False, True])
def test_points_must_fit_the_network(tiny, landmarks):
    network = FaceSwapAutoencoder(dataclasses.replace(tiny, landmarks=landmarks))
    faces = torch.rand(2, 3, 32, 32)
    wrong = [None, torch.rand(2, 67, 2), torch.rand(1, 68, 2)] if landmarks else [faces]
    for points in wrong:
        with pytest.raises(ValueError, match=rf"expected points .* landmarks={landmarks}, got"):
            network(faces, "B", points)


@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_after_sees_one_pixel_further_right_and_below(tiny, kernel):
    config = dataclasses.replace(tiny, pad_after=True, kernel=kernel)
    layer = FaceSwapAutoencoder(config).encoder.down[0][0]
    assert layer(torch.rand(1, 3, 32, 32)).shape == (1, 8, 16, 16)
    picture = torch.zeros(1, 3, 32, 32)
    seen = []
    for at in range(12, 22):
        picture.zero_()[..., at] = 1.0
        seen.append((layer(picture) - layer(torch.zeros_like(picture))).abs().sum((0, 1, 2))[8] > 0)
    first = 16 - (kernel // 2 - 1)  # output column 8 sits at input column 16
    assert [index for index, hit in enumerate(seen, 12) if hit] == list(
        range(first, first + kernel)
    )

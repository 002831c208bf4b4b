"""pytest tests/superres/test_superres.py"""

import json
import math

import cv2
import numpy as np
import pytest
import torch
from benchmarks.measuring import luma_psnr
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import save_file

from deepfake_utils.files import CHECKSUM
from deepfake_utils.images import to_image, to_tensor
from deepfake_utils.superres.network import (
    MARGIN,
    SCALES,
    SuperResolutionConfig,
    SuperResolver,
    bicubic,
    enlarge,
    load_superres,
    luma,
    save_superres,
    shrink,
    upscale,
    upscale_rgb,
)
from deepfake_utils.superres.training import (
    SuperResolutionTrainConfig,
    _draw_batch,
    _make_pairs,
    train_superres,
)

QUICK = SuperResolutionTrainConfig(steps=600, batch_size=8, patch=16, learning_rate=3e-2)

QUICK_DEEP = SuperResolutionTrainConfig(steps=60, batch_size=8, patch=16)


def small_network(scale: int = 2, **changes) -> SuperResolver:
    return SuperResolver(SuperResolutionConfig(scale, channels=16, **changes))


@pytest.fixture(scope="module")
def textured() -> np.ndarray:
    """Sharp stripes, circles and flat parts in colours, (96, 120, 3)."""
    y, x = np.mgrid[:96, :120].astype(np.float32)
    stripes = np.sign(np.sin(0.35 * x + 0.2 * y)) * (x < 70)
    circles = np.sign(np.sin(0.6 * np.hypot(x - 95, y - 48))) * (x >= 70)
    grey = 128 + 70 * (stripes + circles) * (y > 14)
    return np.uint8(np.dstack([grey, 0.8 * grey + 30, 255 - 0.5 * grey]).clip(0, 255))


@pytest.fixture(scope="module")
def trained(textured) -> SuperResolver:
    """A small network that was trained on that picture for a moment."""
    torch.manual_seed(0)
    model = small_network()
    for _ in train_superres(model, [textured], QUICK, "cpu"):
        pass
    return model


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size_hw", [(1, 1), (7, 13), (16, 16)])
def test_every_scale_enlarges_pictures_of_any_size(scale, size_hw, residual, rng):
    model = small_network(scale, residual=residual)
    height, width = size_hw
    large = (scale * height, scale * width)
    assert model(torch.rand(2, 1, *size_hw)).shape == (2, 1, *large)
    drawn = upscale_rgb(torch.rand(3, 3, *size_hw), model)
    assert drawn.shape == (3, 3, *large) and drawn.dtype == torch.float32
    assert 0.0 <= drawn.min() and drawn.max() <= 1.0
    image = upscale(rng.integers(0, 256, (*size_hw, 3), np.uint8), model)
    assert image.shape == (*large, 3) and image.dtype == np.uint8


@pytest.mark.parametrize("scale", SCALES)
def test_pixel_shuffle_is_the_papers_equation_4(scale):
    model = small_network(scale)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)  # the first weights are equal for all pixels of a square
    picture = torch.rand(1, 1, 5, 4)
    padded = torch.nn.functional.pad(picture, (MARGIN,) * 4, mode="replicate")
    maps = model.layers[:-1](padded - 0.5)[0]  # (r * r, 5, 4)
    drawn = model(picture)[0, 0] - 0.5
    for y in range(5 * scale):
        for x in range(4 * scale):
            wanted = maps[scale * (y % scale) + x % scale, y // scale, x // scale]
            assert drawn[y, x].item() == pytest.approx(wanted.item(), abs=1e-5)


def test_the_default_is_the_papers_network():
    model = SuperResolver()
    shapes = [tuple(weight.shape) for weight in model.parameters() if weight.ndim == 4]
    assert shapes == [(64, 1, 5, 5), (32, 64, 3, 3), (9, 32, 3, 3)]
    assert sum(isinstance(layer, torch.nn.Tanh) for layer in model.layers) == 2


def test_a_picture_continues_by_its_edge_and_the_margin_is_only_looked_at():
    model, picture = small_network(), torch.rand(1, 1, 20, 22)
    inner = picture[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    edge = 2 * MARGIN
    whole = model(picture)[..., edge:-edge, edge:-edge]
    assert torch.allclose(model.inside(picture), whole, atol=1e-6)
    assert not torch.allclose(model(inner), whole, atol=1e-4)  # at its rim it knows less
    flat = model(torch.full((1, 1, 9, 9), 0.3))
    assert (flat - flat[..., :2, :2].repeat(1, 1, 9, 9)).abs().max() < 1e-6  # no dark rim


@pytest.mark.parametrize("residual", [False, True])
def test_a_deeper_network_looks_further_learns_and_comes_back(tmp_path, textured, residual):
    model = small_network(2, depth=2, residual=residual)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in model.layers) == 5
    losses = [step.loss for step in train_superres(model, [textured], QUICK_DEEP, "cpu")]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    far = torch.zeros(1, 1, 21, 21).index_fill(3, torch.tensor(0), 1.0)  # a line at the left
    with torch.inference_mode():
        change = (model(far) - model(torch.zeros_like(far)))[0, 0, 20].abs()  # (42,)
        assert change[2 * 6 + 1] > 0.0 == change[2 * 7 :].max()
        loaded = load_superres(save_superres(tmp_path / "x2.safetensors", model))
        assert torch.equal(loaded(far), model(far)) and loaded.config.depth == 2


def test_a_residual_network_adds_to_the_bicubic_picture():
    model, picture = small_network(3, residual=True), torch.rand(1, 1, 9, 8)
    torch.nn.init.zeros_(model.layers[4].weight)
    inside = (..., slice(6, -6), slice(6, -6))  # at the rim the margin counts
    assert torch.allclose(model(picture)[inside], enlarge(picture, 3)[inside], atol=1e-6)


@pytest.mark.parametrize("size_hw", [(24, 40), (33, 31), (128, 160)])
def test_bicubic_is_pillows(picture, size_hw):
    wanted = Pillow.fromarray(picture).resize(size_hw[::-1], Pillow.Resampling.BICUBIC)
    found = to_image(bicubic(to_tensor(picture)[None], size_hw)[0])
    assert np.abs(found.astype(int) - np.asarray(wanted)).max() <= 1


def test_shrink_gives_whole_levels_and_wants_whole_pixels(picture):
    small = shrink(to_tensor(picture)[None], 4)
    assert small.shape == (1, 3, 16, 16)
    assert (small * 255.0 - (small * 255.0).round()).abs().max() < 1e-4
    with pytest.raises(ValueError, match="expected sides that are multiples of 3, got 64x64"):
        shrink(to_tensor(picture)[None], 3)


def test_luma_of_known_colours():
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0.2, 0.4, 0.6]])
    found = luma(colours[:, :, None, None]).flatten() * 255.0
    mixed = 16 + 0.2 * 65.481 + 0.4 * 128.553 + 0.6 * 24.966
    assert found.tolist() == pytest.approx([16.0, 235.0, 81.481, mixed], abs=1e-3)


def test_luma_psnr_by_hand():
    target = torch.full((1, 1, 10, 12), 100 / 255)
    drawn = target.clone()
    drawn[0, 0, 4, 5] = 110 / 255
    drawn[..., :2, :] = drawn[..., -2:] = 0.0  # the border does not count
    squares = 10**2 / (6 * 8)
    wanted = 10 * math.log10(255**2 / squares)
    assert luma_psnr(drawn, target, 2) == pytest.approx(wanted, abs=1e-3)
    assert luma_psnr(drawn, target, 1) < wanted - 10
    nearly = target + 0.3 / 255  # gone once it is a file of 8 bits
    assert luma_psnr(nearly, target, 2) > 90


def test_upscaling_keeps_the_chroma_of_the_bicubic_picture(trained):
    rgb = 0.3 + 0.4 * torch.rand(1, 3, 12, 10)  # far from the ends, so that nothing is clamped
    found, grown = (
        part[0].permute(1, 2, 0).numpy() for part in (upscale_rgb(rgb, trained), enlarge(rgb, 2))
    )
    change = found - grown
    assert np.abs(change).max() > 0.01
    chroma = cv2.cvtColor(found, cv2.COLOR_RGB2YCrCb) - cv2.cvtColor(grown, cv2.COLOR_RGB2YCrCb)
    assert np.abs(chroma[..., 1:]).max() < 1e-3


def test_a_batch_gives_what_its_pictures_give(trained, textured):
    images = [textured[:20, :24], textured[30:50, 60:84]]
    batch = upscale_rgb(torch.stack([to_tensor(image) for image in images]), trained)
    for image, drawn in zip(images, batch, strict=True):
        alone = upscale(np.ascontiguousarray(image), trained)
        assert np.abs(alone.astype(int) - to_image(drawn)).max() <= 1


def test_a_short_training_beats_bicubic(trained, textured):
    large = to_tensor(textured)[None]
    small = shrink(large, 2)
    with torch.inference_mode():
        drawn = luma_psnr(trained(luma(small)), luma(large), 2)
    assert drawn > luma_psnr(luma(enlarge(small, 2)), luma(large), 2) + 1.0
    assert not trained.training


@pytest.mark.parametrize("level", [40, 128, 215])
def test_a_plain_picture_stays_plain(trained, level):
    found = upscale(np.full((9, 11, 3), level, np.uint8), trained)
    assert np.abs(found.astype(int) - level).max() <= 1


def test_equal_seeds_train_equally(textured):
    config = SuperResolutionTrainConfig(steps=3, batch_size=8, patch=16)
    runs = [list(train_superres(small_network(), [textured], config, "cpu")) for _ in range(2)]
    assert runs[0] == runs[1]
    assert [result.step for result in runs[0]] == [1, 2, 3]


def test_the_learning_rate_rises_and_falls_to_nothing():
    config = SuperResolutionTrainConfig(steps=100, learning_rate=0.1, warmup=0.05)
    rates = [config.rate_at(step) for step in range(1, 101)]
    assert max(rates) == rates[4] == pytest.approx(0.1, rel=0.01)
    assert rates[:5] == sorted(rates[:5]) and rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_patches_are_turned_together(textured, rng):
    config = SuperResolutionTrainConfig(batch_size=8, patch=16, shrink=(1.0, 0.5))
    pairs = _make_pairs(textured, 2, config)
    assert [pair.large.shape for pair in pairs] == [(96, 120), (48, 60)]
    corner = [pairs[1]._replace(small=pairs[1].small[:24, :24], large=pairs[1].large[:32, :32])]
    small, large = _draw_batch(corner, config, rng, 2)
    assert small.shape == (8, 1, 24, 24) and large.shape == (8, 1, 32, 32)
    assert len({part.numpy().tobytes() for part in large}) == 8
    seen = small[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert (shrink(large, 2) - seen)[..., 2:-2, 2:-2].abs().max() < 1.6 / 255  # rounded twice


def test_what_was_saved_comes_back(tmp_path, trained):
    path = save_superres(tmp_path / "folder" / "x2.safetensors", trained)
    loaded = load_superres(path)
    assert loaded.config == trained.config and not loaded.training
    picture = torch.rand(1, 1, 9, 8)
    with torch.inference_mode():
        assert torch.equal(loaded(picture), trained(picture))
    assert [entry.name for entry in path.parent.iterdir()] == ["x2.safetensors"]


def test_files_that_are_no_network_say_so(tmp_path):
    path = save_superres(tmp_path / "x2.safetensors", small_network())
    with safe_open(path, framework="pt") as file:
        header = {key: text for key, text in file.metadata().items() if key != CHECKSUM}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        load_superres(path)
    for config in ('{"scale": 3, "channels": 16}', '{"scale": 5}', '{"colour": 1}', "[", "[1]"):
        save_file(tensors, path, {**header, "config": config})
        with pytest.raises(ValueError, match="expected weights that fit the network"):
            load_superres(path)
    save_file(tensors, path, {"config": json.dumps({})})
    with pytest.raises(ValueError, match=r"file of format 'deepfake-utils-superres-1', got None"):
        load_superres(path)
    with pytest.raises(FileNotFoundError, match="no weights at"):
        load_superres(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"ending in \.safetensors"):
        save_superres(tmp_path / "x2.pt", small_network())
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(OSError, match=r"taken\.safetensors"):
        save_superres(tmp_path / "taken.safetensors", small_network())


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (SuperResolutionConfig, {"scale": 5}),
        (SuperResolutionConfig, {"channels": 7}),
        (SuperResolutionConfig, {"depth": -1}),
        (SuperResolutionTrainConfig, {"steps": 0}),
        (SuperResolutionTrainConfig, {"batch_size": 12}),
        (SuperResolutionTrainConfig, {"patch": 0}),
        (SuperResolutionTrainConfig, {"learning_rate": 0.0}),
        (SuperResolutionTrainConfig, {"warmup": 1.0}),
        (SuperResolutionTrainConfig, {"momentum": 1.0}),
        (SuperResolutionTrainConfig, {"plain": -1.0}),
        (SuperResolutionTrainConfig, {"shrink": ()}),
        (SuperResolutionTrainConfig, {"shrink": (1.0, 1.5)}),
    ],
    ids=str,
)
def test_settings_out_of_range_say_so(config, changes):
    with pytest.raises(ValueError, match=f"{next(iter(changes))}: expected"):
        config(**changes)


def test_bad_input_says_so(picture):
    model = small_network()
    with pytest.raises(ValueError, match=r"expected luma \(B, 1, H, W\), got \(1, 3, 8, 8\)"):
        model(torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"expected RGB \(B, 3, H, W\), got \(3, 8, 8\)"):
        upscale_rgb(torch.rand(3, 8, 8), model)
    with pytest.raises(TypeError, match="expected uint8"):
        upscale(picture.astype(np.float32), model)
    with pytest.raises(ValueError, match="two lumas of one size"):
        luma_psnr(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 9), 2)
    with pytest.raises(ValueError, match="larger than 8 pixels"):
        luma_psnr(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), 4)
    for images in ([], [picture[:41], picture[:, :40]]):
        with pytest.raises(ValueError, match=f"at least .* 42 pixels, got {len(images)} smaller"):
            train_superres(model, images)
    with pytest.raises(TypeError, match=r"images\[1\]: expected uint8"):
        train_superres(model, [picture, picture / 255.0])

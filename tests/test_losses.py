"""pytest tests/test_losses.py"""

import numpy as np
import pytest
import torch

from deepfake_utils.losses import SSIM_C1, SSIM_C2, SSIM_WINDOW, face_loss, ssim_map


@pytest.fixture
def pair(rng):
    x = torch.from_numpy(rng.random((2, 3, 24, 20)).astype(np.float32))
    return x, (x + 0.2 * torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))).clamp(0, 1)


def ones(x):
    return torch.ones_like(x[:, :1])


def test_ssim_is_one_for_equal_pictures_and_below_for_others(pair):
    x, y = pair
    assert (ssim_map(x, x) - 1.0).abs().max() < 1e-5
    assert ssim_map(x, y).max() < 1.0
    assert ssim_map(x, y).mean() < 0.95
    assert torch.allclose(ssim_map(x, y), ssim_map(y, x))
    assert ssim_map(x, 1.0 - x).mean() < 0.0  # the structure is turned round


def test_ssim_agrees_with_its_definition(pair):
    x, y = pair
    found = ssim_map(x, y)
    assert found.shape == (2, 3, 18, 14)
    one, other = x.double().numpy(), y.double().numpy()
    for row in range(0, 18, 5):
        for column in range(0, 14, 3):
            at = np.s_[:, :, row : row + SSIM_WINDOW, column : column + SSIM_WINDOW]
            a, b = one[at], other[at]
            mean_a, mean_b = a.mean((2, 3)), b.mean((2, 3))
            together = (a * b).mean((2, 3)) - mean_a * mean_b
            wanted = (2 * mean_a * mean_b + SSIM_C1) * (2 * together + SSIM_C2)
            wanted /= (mean_a**2 + mean_b**2 + SSIM_C1) * (a.var((2, 3)) + b.var((2, 3)) + SSIM_C2)
            assert np.abs(found[:, :, row, column].numpy() - wanted).max() < 1e-4


def test_loss_is_zero_for_equal_pictures_and_grows_with_the_error(pair):
    x, y = pair
    assert face_loss(x, x, ones(x)).item() == pytest.approx(0.0, abs=1e-5)
    losses = [face_loss(x + share * (y - x), x, ones(x)).item() for share in (0.1, 0.3, 0.6, 1.0)]
    assert losses == sorted(losses)
    assert losses[0] > 0.0


def test_loss_is_the_mean_error_plus_half_the_dissimilarity(pair):
    x, y = pair
    absolute = (x - y).abs().mean()
    structure = (1.0 - ssim_map(x, y)[:, :, ::2, ::2]).mean() / 2.0  # every second window
    assert face_loss(x, y, ones(x), 0.0).item() == pytest.approx(absolute.item(), rel=1e-5)
    both = absolute + 0.7 * structure
    assert face_loss(x, y, ones(x), 0.7).item() == pytest.approx(both.item(), rel=1e-5)


def test_a_stride_takes_every_so_manieth_window(pair):
    x, y = pair
    assert torch.allclose(ssim_map(x, y, stride=3), ssim_map(x, y)[:, :, ::3, ::3], atol=1e-5)


def test_weight_zero_ignores_a_region(pair):
    x, _ = pair
    weight = ones(x)
    weight[:, :, 6:18, 5:16] = 0.0
    changed = x.clone()
    changed[:, :, 8:16, 7:14] = 0.0
    assert face_loss(changed, x, weight, dssim=0.0).item() == 0.0
    # A window of structure reaches 3 pixels far, so what lies deeper inside counts nowhere.
    deep = x.clone()
    deep[:, :, 9:15, 8:13] = 0.0
    assert face_loss(deep, x, weight).item() == pytest.approx(0.0, abs=1e-5)
    assert face_loss(deep, x, ones(x)).item() > 0.01


def test_weight_counts_linearly_and_where_it_lies(pair):
    x, y = pair
    once = face_loss(x, y, ones(x)).item()
    assert face_loss(x, y, 2.0 * ones(x)).item() == pytest.approx(2.0 * once, rel=1e-5)
    left, right = ones(x), ones(x)
    left[..., 10:] = 0.0
    right[..., :10] = 0.0
    halves = face_loss(x, y, left).item() + face_loss(x, y, right).item()
    assert halves == pytest.approx(once, rel=1e-5)


def test_low_precision_goes_in_and_full_precision_comes_out(pair):
    x, y = pair
    loss = face_loss(x.bfloat16(), y, ones(x))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(face_loss(x, y, ones(x)).item(), rel=0.05)


def test_gradient_is_finite_also_for_plain_pictures():
    plain = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    face_loss(plain, torch.full((1, 3, 16, 16), 0.5), torch.ones(1, 1, 16, 16)).backward()
    assert torch.isfinite(plain.grad).all()

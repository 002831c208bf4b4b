import math

import numpy as np
import pytest

from deepfake_utils.lessons.fidelity import WAYS, drawn_picture, psnr, spoil, spoil_to, ssim


@pytest.fixture(scope="module")
def card():
    return drawn_picture(96)


def test_psnr_by_hand():
    target = np.full((8, 9, 3), 100, np.uint8)
    assert psnr(target + np.uint8(5), target) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(target, target) == math.inf


def test_ssim_is_one_for_equal_pictures_and_symmetric(card):
    noisy = spoil(card, "noise", 30.0)
    assert ssim(card, card) == pytest.approx(1.0)
    assert ssim(noisy, card) == pytest.approx(ssim(card, noisy)) and ssim(noisy, card) < 0.8


@pytest.mark.parametrize("way", WAYS)
def test_more_is_worse(card, way):
    low, high = WAYS[way]
    scores = [psnr(spoil(card, way, low + share * (high - low)), card) for share in (0.02, 0.2, 1)]
    assert scores == sorted(scores, reverse=True)
    if way != "JPEG":
        assert np.array_equal(spoil(card, way, 0.0), card)


def test_a_shift_of_whole_pixels_moves_them(card):
    assert np.array_equal(spoil(card, "shift", 3.0)[:, 3:], card[:, :-3])


@pytest.mark.parametrize("way", WAYS)
def test_pictures_are_spoiled_to_a_value(card, way):
    worse, strength = spoil_to(card, way, 24.0)
    assert psnr(worse, card) == pytest.approx(24.0, abs=0.5)
    assert np.array_equal(worse, spoil(card, way, strength))


def test_equal_psnr_hides_what_ssim_sees(card):
    noisy, lighter = (spoil_to(card, way, 24.0)[0] for way in ("noise", "brighter"))
    assert ssim(lighter, card) > ssim(noisy, card) + 0.1


def test_cards_differ_by_seed_alone():
    first, again, other = drawn_picture(64, 0), drawn_picture(64, 0), drawn_picture(64, 1)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_bad_input_says_so(card):
    with pytest.raises(ValueError, match="two pictures of one size"):
        psnr(card, card[:-1])
    with pytest.raises(TypeError, match="target: expected uint8"):
        ssim(card, card / 255.0)
    with pytest.raises(ValueError, match="way: expected one of"):
        spoil(card, "rust", 1.0)
    with pytest.raises(ValueError, match="strength: expected 0 to 1 for less contrast, got 2"):
        spoil(card, "less contrast", 2)

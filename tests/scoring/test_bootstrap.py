"""pytest tests/scoring/test_bootstrap.py"""

import numpy as np
import pytest

from deepfake_utils.scoring.bootstrap import block_interval


def mean(samples):
    return float(samples[:, 0].mean())


def width(samples, **settings):
    low, high = block_interval(samples, mean, **settings)
    return high - low


def test_independent_frames_give_the_textbook_interval(rng):
    samples = rng.normal(5.0, 2.0, (400, 1))
    low, high = block_interval(samples, mean, block=1, resamples=2000)
    half = 1.96 * samples.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((mean(samples) - half, mean(samples) + half), abs=0.03)


def test_frames_that_look_alike_tell_less(rng):
    alike = np.repeat(rng.normal(size=(40, 1)), 10, axis=0)  # ten times the same
    single, blocks = width(alike, block=1), width(alike, block=10)
    assert blocks > 2.0 * single
    assert blocks == pytest.approx(2 * 1.96 * alike.std() / np.sqrt(40), rel=0.25)


def test_the_interval_holds_the_truth_about_as_often_as_it_says(rng):
    held = 0
    for _ in range(100):
        noise = np.convolve(rng.normal(size=304), np.ones(5) / 5, "valid")[:, None]
        low, high = block_interval(noise, mean, block=15, resamples=200)
        held += low <= 0.0 <= high
    assert 82 <= held <= 100


def test_a_wider_level_is_wider_and_the_seed_fixes_it(rng):
    samples = rng.normal(size=(60, 1))
    assert width(samples, level=0.5) < width(samples, level=0.95)
    assert block_interval(samples, mean, seed=3) == block_interval(samples, mean, seed=3)


def test_pairs_stay_together(rng):
    x = rng.normal(size=(50, 1))
    pairs = np.hstack([x, x])
    low, high = block_interval(pairs, lambda s: float(np.corrcoef(s.T)[0, 1]))
    assert (low, high) == pytest.approx((1.0, 1.0))


def test_too_few_frames_have_no_interval_and_wrong_arguments_say_so():
    assert np.isnan(block_interval(np.zeros((3, 1)), mean)).all()
    with pytest.raises(ValueError, match=r"samples: expected shape \(N, K\), got \(5,\)"):
        block_interval(np.zeros(5), mean)
    with pytest.raises(ValueError, match="block and resamples of at least 1"):
        block_interval(np.zeros((9, 1)), mean, block=0)

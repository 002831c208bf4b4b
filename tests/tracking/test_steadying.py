"""What smoothing keeps and what it takes away, on motions that are known."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.track_measures import jitter, lag

from deepfake_utils.tracking.steadying import adaptive_smooth, fit_weights

FPS = 25.0


def times(count: int) -> np.ndarray:
    return np.arange(count) / FPS


def smooth_all(values: np.ndarray, at: np.ndarray, tolerance: float) -> np.ndarray:
    """All values (N, K, D) of a series by `adaptive_smooth`."""
    return np.stack(
        [adaptive_smooth(at, values, i, (0.03, 0.12), tolerance) for i in range(len(values))]
    )


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_a_polynomial_passes_unchanged_at_uneven_times(rng: np.random.Generator, degree: int):
    at = np.sort(rng.uniform(0.0, 1.0, 20))
    values = sum((k + 2.0) * at**k for k in range(degree + 1))
    for moment in (at[0], 0.5, at[-1]):
        weights = fit_weights(at, moment, 0.15, degree)
        assert weights.sum() == pytest.approx(1.0)
        truth = sum((k + 2.0) * moment**k for k in range(degree + 1))
        assert weights @ values == pytest.approx(truth, abs=1e-6)


def test_few_values_or_far_ones_are_enough():
    assert fit_weights(np.array([3.0]), 3.0, 0.1) == pytest.approx([1.0])
    assert fit_weights(np.array([0.0, 1.0]), 0.0, 0.1)[0] == pytest.approx(1.0)
    far = fit_weights(np.array([0.0, 1.0]), 50.0, 10.0)
    assert np.isfinite(far).all()
    assert far.sum() == pytest.approx(1.0)


def test_weights_are_even_on_both_sides():
    weights = fit_weights(times(21), 10 / FPS, 0.1)
    assert weights == pytest.approx(weights[::-1], abs=1e-9)


def test_noise_on_what_rests_falls_and_a_step_stays(rng: np.random.Generator):
    noise = rng.normal(0.0, 1.0, (200, 1, 2))
    still = smooth_all(noise, times(200), 4.0)
    assert jitter(noise) / jitter(still) > 4.0
    step = np.zeros((60, 1, 2))
    step[30:] = 100.0
    moved = smooth_all(step, times(60), 4.0)
    assert moved.max() < 110.0  # overshoot
    assert moved.min() > -10.0
    assert np.abs(moved[:26]).max() < 2.0
    assert np.abs(moved[34:] - 100.0).max() < 2.0


def test_each_thing_is_judged_by_itself(rng: np.random.Generator):
    resting = rng.normal(0.0, 1.0, (61, 1, 2))
    jumping = np.zeros((61, 1, 2))
    jumping[30:33] = 50.0
    both = adaptive_smooth(times(61), np.hstack([resting, jumping]), 31, (0.0, 0.12), 4.0)
    alone = adaptive_smooth(times(61), resting, 31, (0.0, 0.12), 4.0)
    assert both[0] == pytest.approx(alone[0])
    assert np.abs(both[1] - 50.0).max() < 1.0


def test_no_tolerance_takes_the_value_as_it_is(rng: np.random.Generator):
    values = rng.normal(0.0, 1.0, (9, 3, 2))
    assert np.array_equal(adaptive_smooth(times(9), values, 4, (0.0, 0.1), 0.0), values[4])


def test_jitter_is_the_size_of_independent_noise(rng: np.random.Generator):
    noise = rng.normal(0.0, 0.5, (4000, 2, 2))
    assert jitter(noise) == pytest.approx(0.5 * np.sqrt(2.0), rel=0.03)
    motion = 30.0 * times(4000)[:, None, None] + np.zeros((1, 2, 2))
    assert jitter(motion) < 1e-9
    sway = np.sin(2 * np.pi * times(4000))[:, None, None] * [10.0, 0.0]
    assert 0.15 < jitter(sway) < 0.2
    assert jitter(sway + noise[:, :1], sway) == pytest.approx(jitter(noise[:, :1]))


@pytest.mark.parametrize("late", [-1.5, -0.2, 0.0, 0.3, 1.0, 2.4])
def test_lag_in_parts_of_a_frame(rng: np.random.Generator, late: float):
    def sway(frame: np.ndarray) -> np.ndarray:
        x = 20.0 * np.sin(2 * np.pi * frame / 30.0)
        return np.stack([x, 0.3 * x], axis=-1)[:, None]

    frame = np.arange(120.0)
    points = sway(frame - late) + 7.0 + rng.normal(0.0, 0.3, (120, 1, 2))
    assert lag(points, sway(frame)) == pytest.approx(late, abs=0.03)


def test_wrong_input_says_what_is_expected():
    with pytest.raises(ValueError, match=r"times_s: expected shape \(N,\) with N >= 1"):
        fit_weights(np.empty(0), 0.0, 0.1)
    with pytest.raises(ValueError, match="width_s: expected more than 0 s, got 0"):
        fit_weights(times(3), 0.0, 0.0)
    with pytest.raises(ValueError, match="degree: expected 0 or more, got -1"):
        fit_weights(times(3), 0.0, 0.1, -1)
    with pytest.raises(ValueError, match=r"values: expected shape \(N, K, D\) with N = 3"):
        adaptive_smooth(times(3), np.zeros((4, 1, 2)), 0, (0.0, 0.1), 1.0)
    with pytest.raises(ValueError, match=r"points: expected shape \(N >= 3, K, 2\)"):
        jitter(np.zeros((2, 1, 2)))
    with pytest.raises(ValueError, match="truth: expected the points' shape"):
        jitter(np.zeros((4, 1, 2)), np.zeros((5, 1, 2)))
    with pytest.raises(ValueError, match="truth: expected points that move"):
        lag(np.zeros((20, 1, 2)), np.zeros((20, 1, 2)))
    with pytest.raises(ValueError, match="most: expected 1 or more, got 0"):
        lag(np.zeros((20, 1, 2)), np.zeros((20, 1, 2)), 0)

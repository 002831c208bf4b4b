"""pytest tests/training/test_recipe.py"""

import itertools
import math

import pytest

from deepfake_utils.training.recipe import TrainConfig, plateaued, recipe


def test_learning_rate_rises_then_falls():
    rate = TrainConfig(steps=1000, learning_rate=2e-3, warmup_steps=100, final_rate=0.1).rate_at
    rates = [rate(step) for step in range(1, 1001)]
    assert rates[0] == pytest.approx(2e-5, rel=0.01)
    assert rates[99] == pytest.approx(2e-3 * (0.1 + 0.45 * (1 + math.cos(0.1 * math.pi))))
    assert rates[499] == pytest.approx(2e-3 * 0.55)
    assert rates[999] == pytest.approx(2e-4)
    top = rates.index(max(rates))
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a > b for a, b in itertools.pairwise(rates[top:]))
    assert rate(2000) == pytest.approx(2e-4)  # beyond the end it stays


def test_each_preset_has_a_recipe():
    assert recipe("quick").learning_rate > recipe("original").learning_rate
    with pytest.raises(ValueError, match=r"expected a preset of .*, got 'huge'"):
        recipe("huge")


def test_a_plateau_is_seen_and_slow_gains_are_not_mistaken_for_one():
    rising = [20.0 + 0.1 * step for step in range(40)]
    assert not any(plateaued(rising[:count]) for count in range(41))
    flat = [*rising[:10], *[rising[9] + wobble for wobble in (0.02, -0.3, 0.0, -0.1, 0.03)]]
    assert [plateaued(flat[:count]) for count in (13, 14, 15)] == [False, False, True]
    assert not plateaued([*flat, 22.0])
    assert plateaued([*rising, *reversed(rising)])  # it has been getting worse
    assert not plateaued([1.0])
    with pytest.raises(ValueError, match="patience: expected at least 1, got 0"):
        plateaued(flat, 0)

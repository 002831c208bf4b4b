"""How sure a number is that was measured on the frames of one clip.

Neighbouring frames are almost the same picture, so they are drawn in blocks: H. R. Kuensch, "The
Jackknife and the Bootstrap for General Stationary Observations", Annals of Statistics 17(3), 1989.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]  # (N, K): of each frame the K numbers that the statistic needs
Statistic = Callable[[Samples], float]


def block_interval(
    samples: Samples,
    statistic: Statistic,
    block: int = 10,
    resamples: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic by the moving-block bootstrap.

    Each resample consists of blocks of neighbouring frames, drawn from anywhere in the clip until
    it is as long as the clip. The interval says how much the number depends on which frames of this
    clip were seen. How much one clip differs from another is not in it.

    Args:
        samples: (N, K) float64, in the order of the frames.
        statistic: (n, K) -> the number in question.
        block: frames in a block, about as many as look alike; at most a third of the clip is used.
        resamples: how many clips are drawn.
        level: share of them that the interval holds.
        seed: of the random numbers; the same one gives the same interval.

    Returns:
        Lower and upper end; NaN where there are fewer than four frames.

    Raises:
        ValueError: if `samples` is not (N, K), or another argument is out of range.
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 2:
        raise ValueError(f"samples: expected shape (N, K), got {samples.shape}")
    if block < 1 or resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(
            "expected block and resamples of at least 1 and a level between 0 and 1, got "
            f"{block}, {resamples} and {level}"
        )
    count = len(samples)
    if count < 4:
        return float("nan"), float("nan")
    length = min(block, max(1, count // 3))
    rng = np.random.default_rng(seed)
    begins = rng.integers(0, count - length + 1, (resamples, -(-count // length)))
    rows = (begins[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :count]
    found = [statistic(samples[row]) for row in rows]
    low, high = np.nanquantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)

"""The card itself: which figures it holds, how each is made of many frames' numbers, its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .bootstrap import Samples, Statistic, block_interval
from .expression import correlation

IDENTITY_KEYS = ("to_source", "to_target", "nearer_source")

Better = Literal["higher", "lower", "nearer 0", "nearer 1"]


@dataclass(frozen=True)
class ScoreConfig:
    """How a card is made."""

    compare: bool = True  # also measure no swap and, where the truth is known, a perfect one
    identity_stride: int = 4  # look whose face it is in every n-th frame: 80 ms each, one core
    block: int = 10  # neighbouring frames that are drawn together for the intervals
    resamples: int = 500  # clips that are drawn for the intervals
    level: float = 0.95  # share of them that an interval holds

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        for name in ("identity_stride", "block", "resamples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not 0.0 < self.level < 1.0:
            raise ValueError(f"level: expected between 0 and 1, got {self.level}")


@dataclass(frozen=True)
class Measure:
    """One line of the card, and how its figure is made of the frames' numbers."""

    key: str
    name: str
    unit: str
    better: Better
    digits: int  # after the point
    statistic: Statistic  # (N, K) -> figure


def _mean(samples: Samples) -> float:
    return float(samples[:, 0].mean())


def _ratio(samples: Samples) -> float:
    return float(samples[:, 0].mean() / max(samples[:, 1].mean(), 1e-9))


def _excess(samples: Samples) -> float:
    return float((samples[:, 0] - samples[:, 1]).mean())


def _rms_ratio(samples: Samples) -> float:
    ours, own = np.sqrt(np.square(samples).mean(axis=0))
    return float(ours / max(own, 1e-9))


def _follows(samples: Samples) -> float:
    return correlation(samples[:, 0], samples[:, 1])


MEASURES: tuple[Measure, ...] = (
    Measure("found", "face found", "% of frames", "higher", 0, _mean),
    Measure("psnr", "inner face against the truth, PSNR", "dB", "higher", 1, _mean),
    Measure("ssim", "inner face against the truth, SSIM", "0..1", "higher", 3, _mean),
    Measure("sharpness", "sharpness", "times the truth's", "nearer 1", 2, _ratio),
    Measure("to_source", "identity: distance to the source", "L2", "lower", 3, _mean),
    Measure("to_target", "identity: distance to the target", "L2", "higher", 3, _mean),
    Measure("nearer_source", "identity: nearer the source", "% of frames", "higher", 0, _mean),
    Measure("pose", "pose error", "degrees", "lower", 1, _mean),
    Measure("shape", "68 landmarks off their place", "% of eye distance", "lower", 2, _mean),
    Measure("mouth", "mouth follows", "correlation", "higher", 3, _follows),
    Measure("eyelids", "eyelids follow", "correlation", "higher", 3, _follows),
    Measure("jitter", "jitter of the landmarks", "times the film's", "nearer 1", 2, _rms_ratio),
    Measure("flicker", "flicker beyond the film's", "levels of 255", "nearer 0", 2, _excess),
    Measure("seam", "seam beyond the film's edges", "CIEDE2000", "lower", 2, _mean),
)


@dataclass(frozen=True)
class ScoreRow:
    """One figure, and what it is to be compared with."""

    measure: Measure
    value: float
    low: float  # of the interval around `value`; NaN with fewer than four frames
    high: float
    no_swap: float | None  # the target as filmed, measured in the same way
    perfect: float | None  # the right answer laid into the target's place
    frames: int  # that `value` is made of

    def text(self, value: float | None) -> str:
        """A value as it is written in the card, "" for None."""
        return "" if value is None else f"{value:.{self.measure.digits}f}"


@dataclass(frozen=True)
class Scorecard:
    """All figures of a swap."""

    rows: tuple[ScoreRow, ...]
    frames: int  # that were scored
    level: float  # share of the bootstrap's clips within the intervals
    notes: tuple[str, ...]  # what was left out, and why

    def __getitem__(self, key: str) -> ScoreRow:
        """The row of that key, e.g. card["psnr"].

        Raises:
            KeyError: if the card has no such row; `notes` tells why.
        """
        for row in self.rows:
            if row.measure.key == key:
                return row
        raise KeyError(f"expected one of {[row.measure.key for row in self.rows]}, got {key!r}")

    def __contains__(self, key: str) -> bool:
        return any(row.measure.key == key for row in self.rows)

    def markdown(self) -> str:
        """The card as a table in Markdown, which notebooks show by themselves."""
        head = f"| measure | swap ({100 * self.level:g} % interval) | no swap | perfect | better |"
        lines = [head, "|---|---|---|---|---|"]
        for row in self.rows:
            name = f"{row.measure.name}, {row.measure.unit}"
            value, low, high = (row.text(each) for each in (row.value, row.low, row.high))
            lines.append(
                f"| {name} | **{value}** ({low} to {high}) | "
                f"{row.text(row.no_swap)} | {row.text(row.perfect)} | {row.measure.better} |"
            )
        notes = [f"{self.frames} frames.", *self.notes]
        return "\n".join([*lines, "", " ".join(notes)])

    def _repr_markdown_(self) -> str:
        return self.markdown()


def card_rows(
    found: Mapping[str, Mapping[str, Samples]], config: ScoreConfig
) -> tuple[ScoreRow, ...]:
    """The card's lines, in the order of `MEASURES`.

    Args:
        found: for "swap" and, if measured, "no swap" and "perfect": (N, K) numbers by key.
        config: how the intervals are made.
    """
    rows = []
    for measure in MEASURES:
        ours = found["swap"].get(measure.key)
        if ours is None or not len(ours):
            continue
        stride = config.identity_stride if measure.key in IDENTITY_KEYS else 1
        low, high = block_interval(
            ours,
            measure.statistic,
            max(1, round(config.block / stride)),
            config.resamples,
            config.level,
        )
        others = [found.get(name, {}).get(measure.key) for name in ("no swap", "perfect")]
        no_swap, perfect = (None if each is None else measure.statistic(each) for each in others)
        rows.append(
            ScoreRow(measure, measure.statistic(ours), low, high, no_swap, perfect, len(ours))
        )
    return tuple(rows)

"""The scorecard: what can be measured of a swap, and how sure each figure is.

No single number tells a good swap from a bad one. A blurred face has a high PSNR, the film itself
moves its mouth perfectly, and a still picture of the right person is most like that person. So each
figure stands beside that of no swap and, where the right answer is known, of a perfect one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..detectors import MeshLandmarker
from ..images import Image, check_image
from ..landmarks import Landmarker
from ..samples import FPS, TEST_START_S, sample_clips
from ..settings import Settings, setting
from ..tracking.identity import INSTALL, Descriptor, IdentityModel, identity_available
from ..video import read_frames
from .bootstrap import Samples, Statistic, block_interval
from .expression import correlation
from .likeness import in_step, sample_answer
from .measures import Column, Moment, identity_samples, moment

SOURCE_STRIDE = 25  # of the sample clip: 14 frames of person B
IDENTITY_KEYS = ("to_source", "to_target", "nearer_source")

Better = Literal["higher", "lower", "nearer 0", "nearer 1"]


@dataclass(frozen=True)
class ScoreConfig(Settings):
    """What a card compares with, and how its intervals are found."""

    compare: bool = setting(
        True, "also measure no swap and, where the truth is known, a perfect one"
    )
    identity_stride: int = setting(
        4, "identity is measured in every n-th frame: it takes 80 ms on one core", least=1
    )
    block: int = setting(
        10, "neighbouring frames that are drawn together for the intervals", least=1
    )
    resamples: int = setting(500, "clips that are drawn for the intervals", least=1)
    level: float = setting(
        0.95, "share of those clips that an interval holds", above=0.0, below=1.0
    )


@dataclass(frozen=True)
class Measure:
    """One row of the card: what it is called, and how its figure is made of the frames' numbers."""

    key: str
    name: str
    unit: str
    better: Better
    digits: int  # shown after the decimal point
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
    Measure("detail", "fine detail", "times the truth's", "nearer 1", 2, _ratio),
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
    notes: tuple[str, ...]  # what to be careful about; what was left out, and why

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


def score_swap(
    swapped: Iterable[Image],
    target: Iterable[Image],
    *,
    source: Iterable[Image] | None = None,
    truth: Iterable[Image] | None = None,
    target_points: NDArray[np.float64] | None = None,
    truth_points: NDArray[np.float64] | None = None,
    landmarker: Landmarker | None = None,
    fps: float = FPS,
    config: ScoreConfig | None = None,
    caution: str | None = None,
) -> Scorecard:
    """Measure a swap against the film it was made from and, where it is known, the right answer.

    Where there is a truth, shape, pose and expression are compared with the truth's, else with the
    target's; both as found by the same landmarker, so that its own errors cancel out. Frames are
    taken one by one and not kept; they should be consecutive, as jitter and flicker compare
    neighbours.

    Part of the errors of pose and landmarks is the shape of the target's own head, which a swap
    keeps: the sample target as filmed already has a pose error of 5.3 degrees.

    Args:
        swapped: N frames (H, W, 3) RGB uint8.
        target: the N frames before the swap, of the same size.
        source: some frames of the person whose face was put in, any clip; a dozen will do.
            Without them nothing is said of identity.
        truth: N frames of the source person doing the same, if that is known.
        target_points: (N, 68, 2), where the face is in `target`; None finds them.
        truth_points: (N, 68, 2), where it is in `truth`; None finds them.
        landmarker: frame -> list of (68, 2) points; None is a `MeshLandmarker`.
        fps: frames per second.
        config: what is compared, and how the intervals are found.
        caution: what the card's notes begin with: `SwapReport.caution`, which says so if the
            network is hardly trained.

    Raises:
        TypeError, ValueError: if a frame is no image, there are none, their numbers or sizes
            differ, or no frame of the target shows a face.
    """
    config, landmarker = config or ScoreConfig(), landmarker or MeshLandmarker()
    notes = [] if caution is None else [f"Careful: {caution}."]
    model, person = _source_person(source, landmarker, notes)
    names = ["swap", "no swap", *["perfect"] * (truth is not None)] if config.compare else ["swap"]
    columns = {name: Column(landmarker, model) for name in names}
    filmed: list[Descriptor] = []  # of the target person
    count = without = 0
    for ours, at in _moments(swapped, target, truth, target_points, truth_points, landmarker):
        if at is None:
            without += 1
            for column in columns.values():
                column.gap()
            continue
        describe = model is not None and count % config.identity_stride == 0
        for name, picture in (("swap", ours), ("no swap", at.target), ("perfect", at.perfect)):
            if name in columns and picture is not None:
                columns[name].add(picture, at, describe)
        if model is not None and describe:
            filmed.append(model(at.target, at.place))
        count += 1
    if not count:
        raise ValueError(f"expected a face in the frames to score, got none in {without}")
    if without:
        notes.append(f"{without} frames were left out, as the film shows no face there.")
    found = {name: column.samples(round(fps / 2.0)) for name, column in columns.items()}
    if person is not None:
        for name, column in columns.items():
            who = np.asarray(np.mean(filmed, axis=0), np.float64)
            found[name].update(identity_samples(column.descriptors, person, who))
    missing = [measure.name for measure in MEASURES if measure.key not in found["swap"]]
    if missing:
        notes.append(f"Not measured: {'; '.join(missing)}.")
    return Scorecard(_card_rows(found, config), count, config.level, tuple(notes))


def score_sample(
    path: str | os.PathLike[str],
    start_s: float = TEST_START_S,
    landmarker: Landmarker | None = None,
    config: ScoreConfig | None = None,
    caution: str | None = None,
) -> Scorecard:
    """`score_swap` of a video in which sample person B's face was put on A.

    Args:
        path: the swapped video; its first frame is A's frame at `start_s`, and it may end early.
        start_s: from 14 s, where A's part for testing begins.
        landmarker: frame -> list of (68, 2) points; None is a `MeshLandmarker`.
        config: what is compared, and how the intervals are found.
        caution: as for `score_swap`.

    Raises:
        FileNotFoundError, ValueError: if the video cannot be read or is longer than A's clip.
    """
    sample = sample_answer(path, start_s)
    return score_swap(
        sample.swapped,
        sample.target,
        source=read_frames(sample_clips().person_b, stride=SOURCE_STRIDE),
        truth=sample.truth,
        target_points=sample.target_points,
        truth_points=sample.truth_points,
        landmarker=landmarker,
        config=config,
        caution=caution,
    )


def _source_person(
    source: Iterable[Image] | None, landmarker: Landmarker, notes: list[str]
) -> tuple[IdentityModel | None, Descriptor | None]:
    """The identity model and the source's mean descriptor; None twice if there is no telling."""
    if source is None:
        return None, None
    if not identity_available():
        notes.append(f"Identity is left out, as dlib is not installed; {INSTALL}.")
        return None, None
    model = IdentityModel()
    pairs = [(frame, found[0]) for frame in source if (found := landmarker(frame))]
    return model, model.mean(pairs)


def _card_rows(
    found: Mapping[str, Mapping[str, Samples]], config: ScoreConfig
) -> tuple[ScoreRow, ...]:
    """The card's rows, in the order of `MEASURES`.

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


def _moments(
    swapped: Iterable[Image],
    target: Iterable[Image],
    truth: Iterable[Image] | None,
    target_points: NDArray[np.float64] | None,
    truth_points: NDArray[np.float64] | None,
    landmarker: Landmarker,
) -> Iterator[tuple[Image, Moment | None]]:
    """Each swapped frame and what it is compared with, None where the film shows no face."""
    series = in_step(swapped, target, truth, target_points, truth_points)
    for ours, frame, answer, place, there in series:
        check_image(ours, "swapped")
        check_image(frame, "target")
        if ours.shape != frame.shape:
            raise ValueError(
                f"expected swapped frames of the target's shape {frame.shape}, got {ours.shape}"
            )
        yield ours, moment(frame, place, answer, there, landmarker)

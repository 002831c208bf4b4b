"""Whether a swap holds up: one card with what can be measured of it, and how sure each figure is.

No single number tells a good swap from a bad one. A blurred face has a high PSNR, the film itself
moves its mouth perfectly, and a still picture of the right person is most like that person. So each
figure stands beside that of no swap and, where the right answer is known, of a perfect one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import Image, check_image
from ..landmarks import Landmarker, MeshLandmarker
from ..samples import FPS, TEST_START_S, sample_clips
from ..video import read_frames
from .card import MEASURES, Measure, Scorecard, ScoreConfig, ScoreRow, card_rows
from .identity import INSTALL, Descriptor, IdentityModel, identity_available
from .likeness import (
    SampleScore,
    Score,
    inner_face_psnr,
    perfect_swap,
    sample_answer,
    score_clip,
    score_sample_swap,
)
from .measures import Column, Moment, identity_samples, moment

__all__ = [
    "MEASURES",
    "Measure",
    "SampleScore",
    "Score",
    "ScoreConfig",
    "ScoreRow",
    "Scorecard",
    "inner_face_psnr",
    "perfect_swap",
    "score_clip",
    "score_sample",
    "score_sample_swap",
    "score_swap",
]

SOURCE_STRIDE = 25  # of the sample clip: 14 frames of person B


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
) -> Scorecard:
    """Measure a swap against the film it was made from and, where it is known, the right answer.

    Where there is a truth, shape, pose and expression are compared with the truth's, else with the
    target's; both as found by the same landmarker, so that its habits cancel out. Frames are taken
    one by one and not kept; they should be consecutive, as jitter and flicker compare neighbours.

    Part of the errors of pose and landmarks is the shape of the target's own head, which a swap
    keeps: no swap of the sample people has a pose error of 5.3 degrees.

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
        config: how the card is made.

    Raises:
        TypeError, ValueError: if a frame is no image, there are none, their numbers or sizes
            differ, or no frame of the target shows a face.
    """
    config, landmarker = config or ScoreConfig(), landmarker or MeshLandmarker()
    notes: list[str] = []
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
    return Scorecard(card_rows(found, config), count, config.level, tuple(notes))


def score_sample(
    path: str | os.PathLike[str],
    start_s: float = TEST_START_S,
    landmarker: Landmarker | None = None,
    config: ScoreConfig | None = None,
) -> Scorecard:
    """`score_swap` of a video in which sample person B's face was put on A.

    Args:
        path: the swapped video; its first frame is A's frame at `start_s`, and it may end early.
        start_s: from 14 s, where A's part for testing begins.
        landmarker: frame -> list of (68, 2) points; None is a `MeshLandmarker`.
        config: how the card is made.

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
    )


def _source_person(
    source: Iterable[Image] | None, landmarker: Landmarker, notes: list[str]
) -> tuple[IdentityModel | None, Descriptor | None]:
    """Who should be seen, and what to tell by; None and a note where that cannot be told."""
    if source is None:
        return None, None
    if not identity_available():
        notes.append(f"Identity is left out, as dlib is not installed; {INSTALL}.")
        return None, None
    model = IdentityModel()
    pairs = [(frame, found[0]) for frame in source if (found := landmarker(frame))]
    return model, model.mean(pairs)


def _moments(
    swapped: Iterable[Image],
    target: Iterable[Image],
    truth: Iterable[Image] | None,
    target_points: NDArray[np.float64] | None,
    truth_points: NDArray[np.float64] | None,
    landmarker: Landmarker,
) -> Iterator[tuple[Image, Moment | None]]:
    """Each swapped frame and what it is compared with, None where the film shows no face."""
    given = (swapped, target, truth, target_points, truth_points)
    end = object()
    series: list[Iterator[Any]] = [
        itertools.repeat(None) if each is None else iter(each) for each in given
    ]
    for index in itertools.count():
        row: list[Any] = [next(each, end) for each in series]
        if any(each is end for each in row):
            if any(each is not None and each is not end for each in row):
                raise ValueError(
                    "expected equally many frames and points of swap, target and truth, got "
                    f"different numbers: only the first {index} are complete"
                )
            return
        ours, frame, answer, place, there = row
        check_image(ours, "swapped")
        check_image(frame, "target")
        if ours.shape != frame.shape:
            raise ValueError(
                f"expected swapped frames of the target's shape {frame.shape}, got {ours.shape}"
            )
        yield ours, moment(frame, place, answer, there, landmarker)

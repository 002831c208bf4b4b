"""How good a swap is, where the right answer is known."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Image, Points, check_image, check_points
from .landmarks import INNER
from .samples import FPS, TEST_START_S, load_truth, sample_clips
from .umeyama import umeyama
from .video import read_frames


@dataclass(frozen=True)
class Score:
    """Likeness to the truth over a clip."""

    mean_db: float  # mean of the frames' PSNR in dB, higher is better
    frames_db: NDArray[np.float64]  # (N,) PSNR of each frame in dB


@dataclass(frozen=True)
class SampleScore:
    """A swap of the sample people, and between which bounds it lies; mean PSNR in dB."""

    swap_db: float
    no_swap_db: float  # person A as filmed
    perfect_db: float  # the right answer itself, laid into A's place and back


def inner_face_psnr(
    swapped: Image, target_points: Points, truth: Image, truth_points: Points
) -> float:
    """PSNR of one swapped frame against the truth inside the inner face, in dB.

    The two people differ in their bones, so the swapped frame is first laid onto the truth by the
    similarity that best maps the target person's points 17-67 to the truth's. Then each colour
    channel gets the truth's mean and spread inside the convex hull of the truth's points 17-67,
    as the swap has the target's light. What is left inside that hull is the error.

    Args:
        swapped: (H, W, 3) RGB uint8.
        target_points: (68, 2), where the target person's features are in that frame, in pixels.
        truth: (H, W, 3) RGB uint8, the source person doing the same.
        truth_points: (68, 2), where that person's features are in `truth`, in pixels.

    Raises:
        TypeError, ValueError: if an image or a set of points has a wrong type or shape.
    """
    check_image(swapped, "swapped")
    check_image(truth, "truth")
    target_points = check_points(target_points, 68, "target_points")
    truth_points = check_points(truth_points, 68, "truth_points")
    height, width = truth.shape[:2]
    laid = cv2.warpAffine(
        swapped,
        umeyama(target_points[INNER], truth_points[INNER]),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = np.zeros((height, width), np.uint8)
    hull = cv2.convexHull(np.rint(truth_points[INNER]).astype(np.int32))
    cv2.fillConvexPoly(inside, hull, 1)
    if not inside.any():
        raise ValueError("truth_points: expected points inside the picture, got all outside")
    seen = laid[inside > 0].astype(np.float64)  # (n, 3)
    wanted = truth[inside > 0].astype(np.float64)
    spread = wanted.std(axis=0) / np.maximum(seen.std(axis=0), 1e-6)
    matched = np.clip((seen - seen.mean(axis=0)) * spread + wanted.mean(axis=0), 0.0, 255.0)
    error = float(np.square(matched - wanted).mean())
    return 10.0 * float(np.log10(255.0**2 / max(error, 1e-10)))


def perfect_swap(truth: Image, truth_points: Points, target_points: Points) -> Image:
    """The right answer laid into the target's place: what the best possible swap would look like.

    Its score is not infinite, because pictures blur a little each time they are moved.

    Args:
        truth: (H, W, 3) RGB uint8.
        truth_points: (68, 2), where the source person's features are in it, in pixels.
        target_points: (68, 2), where the target person's features are in the target's frame.

    Returns:
        (H, W, 3) RGB uint8.
    """
    check_image(truth, "truth")
    height, width = truth.shape[:2]
    matrix = umeyama(check_points(truth_points, 68)[INNER], check_points(target_points, 68)[INNER])
    laid = cv2.warpAffine(
        truth, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(laid, np.uint8)


def score_clip(
    swapped: Iterable[Image],
    target_points: NDArray[np.float64],
    truth: Iterable[Image],
    truth_points: NDArray[np.float64],
) -> Score:
    """`inner_face_psnr` of each frame of a clip, and its mean.

    Args:
        swapped: N frames (H, W, 3) RGB uint8.
        target_points: (N, 68, 2) points of the target person in those frames.
        truth: N frames of the right answer.
        truth_points: (N, 68, 2) points in `truth`.

    Raises:
        ValueError: if there is no frame or the numbers of frames differ.
    """
    frames: list[float] = []
    rows = itertools.zip_longest(swapped, target_points, truth, truth_points)
    for ours, our_points, answer, answer_points in rows:
        if ours is None or our_points is None or answer is None or answer_points is None:
            raise ValueError(
                "expected equally many frames and points of swap and truth, got different numbers: "
                f"only the first {len(frames)} are complete"
            )
        frames.append(inner_face_psnr(ours, our_points, answer, answer_points))
    if not frames:
        raise ValueError("expected frames to score, got none")
    return Score(float(np.mean(frames)), np.array(frames))


def score_sample_swap(path: str | os.PathLike[str], start_s: float = TEST_START_S) -> SampleScore:
    """Score a video in which sample person B's face was put on A.

    Args:
        path: the swapped video; its first frame is A's frame at `start_s`, and it may end early.
        start_s: from 14 s, where A's part for testing begins.

    Raises:
        FileNotFoundError, ValueError: if the video cannot be read or is longer than A's clip.
    """
    clips, known = sample_clips(), load_truth()
    swapped = list(read_frames(path))
    answer = list(read_frames(clips.person_b_as_a, start_s - TEST_START_S))
    if len(swapped) > len(answer):
        raise ValueError(
            f"expected at most {len(answer)} frames from {start_s} s of person A, got "
            f"{len(swapped)} in {path}"
        )
    answer = answer[: len(swapped)]
    original = itertools.islice(read_frames(clips.person_a, start_s), len(swapped))
    at = round(start_s * FPS)
    points = known.landmarks_a[at : at + len(swapped)]
    skip = round((start_s - TEST_START_S) * FPS)
    truth_points = known.landmarks_b_as_a[skip : skip + len(swapped)]
    perfect = [
        perfect_swap(image, theirs, ours)
        for image, theirs, ours in zip(answer, truth_points, points, strict=True)
    ]
    return SampleScore(
        score_clip(swapped, points, answer, truth_points).mean_db,
        score_clip(original, points, answer, truth_points).mean_db,
        score_clip(perfect, points, answer, truth_points).mean_db,
    )

"""How like the right answer a swap looks, where that is known, and how sharp it is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..images import Image, Points, check_image, check_points
from ..landmarks import INNER, outer_eye_distance
from ..losses import SSIM_WINDOW, ssim_map
from ..samples import FPS, TEST_START_S, load_truth, sample_clips
from ..umeyama import umeyama
from ..video import read_frames


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
    matched, wanted, inside = _side_by_side(swapped, target_points, truth, truth_points)
    error = float(np.square(matched[inside] - wanted[inside]).mean())
    return 10.0 * float(np.log10(255.0**2 / max(error, 1e-10)))


def inner_face_ssim(
    swapped: Image, target_points: Points, truth: Image, truth_points: Points
) -> float:
    """Structural similarity of one swapped frame with the truth inside the inner face.

    Laid onto the truth and matched in colour as for `inner_face_psnr`; the measure is
    `losses.ssim_map`, averaged over the windows that lie inside the hull.

    Args:
        swapped: (H, W, 3) RGB uint8.
        target_points: (68, 2), where the target person's features are in that frame, in pixels.
        truth: (H, W, 3) RGB uint8, the source person doing the same.
        truth_points: (68, 2), where that person's features are in `truth`, in pixels.

    Returns:
        1 for equal pictures, about 0 for unrelated ones.

    Raises:
        TypeError, ValueError: as `inner_face_psnr`.
    """
    matched, wanted, inside = _side_by_side(swapped, target_points, truth, truth_points)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    x, y = (
        torch.from_numpy(np.ascontiguousarray(image[box].transpose(2, 0, 1))).float()[None] / 255.0
        for image in (matched, wanted)
    )
    whole = cv2.erode(inside[box].astype(np.uint8), np.ones((SSIM_WINDOW, SSIM_WINDOW), np.uint8))
    edge = SSIM_WINDOW // 2
    centres = whole[edge:-edge, edge:-edge] > 0  # of windows inside the hull
    if not centres.any():
        raise ValueError(
            f"truth_points: expected a face of some {4 * SSIM_WINDOW} pixels or more, got one of "
            f"{len(columns)} by {len(rows)}; use a larger picture"
        )
    return float(ssim_map(x, y)[0].numpy()[:, centres].mean())


def sharpness(image: Image, points: Points) -> float:
    """How much fine detail the inner face shows, for its contrast; compare two pictures' values.

    The root mean square of the Laplacian of a Gaussian (D. Marr, E. Hildreth, "Theory of edge
    detection", Proc. R. Soc. B 207, 1980) of a pixel's width, inside the hull of points 17-67,
    divided by the spread of the grey levels there, so that light and exposure do not count. PSNR
    rewards blur, as a wrong sharp edge costs twice; this falls with it.

    Args:
        image: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in pixels.

    Returns:
        About 0.1 to 0.3 for a face; 0 where nothing is seen.

    Raises:
        TypeError, ValueError: if the image or the points have a wrong type or shape, or no point
            lies inside the picture.
    """
    check_image(image, "image")
    inside = _inner_hull(check_points(points, 68), image.shape[:2], "points")
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)
    spread = max(float(grey[inside].std()), 1e-6)
    return float(np.sqrt(np.square(fine[inside]).mean())) / spread


def shape_error(points: Points, wanted: Points) -> float:
    """How far 68 landmarks are from where they should be, on average.

    Args:
        points: (68, 2), (x, y) in pixels.
        wanted: (68, 2), in the same picture.

    Returns:
        Mean distance in percent of that between the outer corners of the eyes of `wanted`.

    Raises:
        ValueError: if points are not (68, 2).
    """
    points, wanted = check_points(points, 68, "points"), check_points(wanted, 68, "wanted")
    apart = np.linalg.norm(points - wanted, axis=1)
    return 100.0 * float(apart.mean()) / outer_eye_distance(wanted)


def _side_by_side(
    swapped: Image, target_points: Points, truth: Image, truth_points: Points
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The swap laid onto the truth in its colours, the truth, and the inner face's pixels.

    Returns:
        Two pictures (H, W, 3) in 0..255 and (H, W).
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
    ).astype(np.float64)
    inside = _inner_hull(truth_points, (height, width), "truth_points")
    wanted = truth.astype(np.float64)
    seen, there = laid[inside], wanted[inside]  # (n, 3)
    spread = there.std(axis=0) / np.maximum(seen.std(axis=0), 1e-6)
    matched = (laid - seen.mean(axis=0)) * spread + there.mean(axis=0)
    return np.clip(matched, 0.0, 255.0), wanted, inside


def _inner_hull(points: Points, size_hw: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """(H, W), True inside the convex hull of points 17-67."""
    filled = np.zeros(size_hw, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(np.rint(points[INNER]).astype(np.int32)), 1)
    if not filled.any():
        raise ValueError(f"{name}: expected points inside the picture, got all outside")
    return filled > 0


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


class SampleAnswer(NamedTuple):
    """A swap of the sample people and what it is compared with, N frames each."""

    swapped: list[Image]
    target: list[Image]  # person A as filmed
    target_points: NDArray[np.float64]  # (N, 68, 2)
    truth: list[Image]
    truth_points: NDArray[np.float64]  # (N, 68, 2)


def sample_answer(path: str | os.PathLike[str], start_s: float = TEST_START_S) -> SampleAnswer:
    """Read a video in which sample person B's face was put on A, and the right answer to it.

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
    original = list(itertools.islice(read_frames(clips.person_a, start_s), len(swapped)))
    at, skip = round(start_s * FPS), round((start_s - TEST_START_S) * FPS)
    return SampleAnswer(
        swapped,
        original,
        known.landmarks_a[at : at + len(swapped)],
        answer[: len(swapped)],
        known.landmarks_b_as_a[skip : skip + len(swapped)],
    )


def score_sample_swap(path: str | os.PathLike[str], start_s: float = TEST_START_S) -> SampleScore:
    """Score a video in which sample person B's face was put on A.

    Args:
        path: the swapped video; its first frame is A's frame at `start_s`, and it may end early.
        start_s: from 14 s, where A's part for testing begins.

    Raises:
        FileNotFoundError, ValueError: if the video cannot be read or is longer than A's clip.
    """
    swapped, original, points, answer, truth_points = sample_answer(path, start_s)
    perfect = [
        perfect_swap(image, theirs, ours)
        for image, theirs, ours in zip(answer, truth_points, points, strict=True)
    ]
    return SampleScore(
        score_clip(swapped, points, answer, truth_points).mean_db,
        score_clip(original, points, answer, truth_points).mean_db,
        score_clip(perfect, points, answer, truth_points).mean_db,
    )

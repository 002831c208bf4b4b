"""How similar a swap is to the right answer, where that is known, and how sharp it is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..faces import inner_face_mask
from ..images import Image, Points, check_image, check_points
from ..landmarks import INNER, outer_eye_distance
from ..losses import SSIM_WINDOW, ssim_map
from ..samples import FPS, TEST_START_S, load_truth, sample_clips
from ..umeyama import umeyama
from ..video import read_frames

Mask = NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class Score:
    """Likeness to the truth over a clip."""

    mean_db: float  # mean of the frames' PSNR in dB, higher is better
    frames_db: NDArray[np.float64]  # (N,) PSNR of each frame in dB


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
    matched, wanted, inside = laid_onto_truth(swapped, target_points, truth, truth_points)
    error = float(np.square(matched[inside] - wanted[inside]).mean())
    return 10.0 * float(np.log10(255.0**2 / max(error, 1e-10)))


def inner_face_ssim(
    swapped: Image, target_points: Points, truth: Image, truth_points: Points
) -> float:
    """Structural similarity of one swapped frame with the truth inside the inner face.

    Arguments, and how the frame is laid onto the truth and matched in colour, are those of
    `inner_face_psnr`; the measure is `losses.ssim_map`, averaged over the windows inside the hull.

    Returns:
        1 for equal pictures, about 0 for unrelated ones.

    Raises:
        TypeError, ValueError: as `inner_face_psnr`.
    """
    matched, wanted, inside = laid_onto_truth(swapped, target_points, truth, truth_points)
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
    """How much fine detail the inner face shows, relative to its contrast.

    The root mean square of the Laplacian of a Gaussian (D. Marr, E. Hildreth, "Theory of edge
    detection", Proc. R. Soc. B 207, 1980) of a pixel's width, inside the hull of points 17-67,
    divided by the spread of the grey levels there, so that light and exposure do not count. Compare
    the values of two pictures. PSNR rewards blur, as a sharp edge in the wrong place costs twice;
    sharpness falls with blur.

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
    inside = inner_face_mask(points, image.shape[:2], "points")
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)
    spread = max(float(grey[inside].std()), 1e-6)
    return float(np.sqrt(np.square(fine[inside]).mean())) / spread


def fine_detail(image: Image, points: Points) -> float:
    """How much changes from one pixel to the next in the inner face: edges, skin, and grain.

    The variance of the Laplacian of the grey levels inside the hull of points 17-67 (J. L.
    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000). Finer than
    `sharpness`, and light and contrast count: compare two pictures of one size and light.

    Args:
        image: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in pixels.

    Returns:
        In squared levels of 255: a few hundred for a sharp face, 0 where nothing is seen.

    Raises:
        TypeError, ValueError: as `sharpness`.
    """
    check_image(image, "image")
    inside = inner_face_mask(points, image.shape[:2], "points")
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[inside].var())


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


def laid_onto_truth(
    swapped: Image, target_points: Points, truth: Image, truth_points: Points
) -> tuple[NDArray[np.float64], NDArray[np.float64], Mask]:
    """The swap as it is compared with the truth; arguments are those of `inner_face_psnr`.

    Returns:
        The swap laid onto the truth in its colours, and the truth, both (H, W, 3) float64 in
        0..255; and where the inner face is, (H, W) bool.

    Raises:
        TypeError, ValueError: as `inner_face_psnr`.
    """
    check_image(swapped, "swapped")
    check_image(truth, "truth")
    target_points = check_points(target_points, 68, "target_points")
    truth_points = check_points(truth_points, 68, "truth_points")
    size_hw = truth.shape[:2]
    laid = lay_onto(swapped, target_points, truth_points, size_hw).astype(np.float64)
    inside = inner_face_mask(truth_points, size_hw, "truth_points")
    wanted = truth.astype(np.float64)
    seen, there = laid[inside], wanted[inside]  # (n, 3)
    spread = there.std(axis=0) / np.maximum(seen.std(axis=0), 1e-6)
    matched = (laid - seen.mean(axis=0)) * spread + there.mean(axis=0)
    return np.clip(matched, 0.0, 255.0), wanted, inside


def lay_onto(
    image: Image,
    points: Points,
    onto: Points,
    size_hw: tuple[int, int],
    by: slice | NDArray[np.intp] = INNER,
) -> Image:
    """Move a face to where another one is, by the similarity between their landmarks.

    Args:
        image: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in pixels, where the face is in it.
        onto: (68, 2), where it is to be.
        size_hw: height and width of the result.
        by: which of the 68 points are laid onto each other.

    Returns:
        (height, width, 3) RGB uint8; beyond the picture's edge its last pixels are repeated.
    """
    matrix = umeyama(points[by], onto[by])  # image -> result
    wh = (size_hw[1], size_hw[0])
    return cv2.warpAffine(image, matrix, wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


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
    truth_points, target_points = check_points(truth_points, 68), check_points(target_points, 68)
    return lay_onto(truth, truth_points, target_points, truth.shape[:2])


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
    series = in_step(swapped, target_points, truth, truth_points)
    frames = [inner_face_psnr(*row) for row in series]
    if not frames:
        raise ValueError("expected frames to score, got none")
    return Score(float(np.mean(frames)), np.array(frames))


def in_step(*series: Iterable[Any] | None) -> Iterator[tuple[Any, ...]]:
    """What belongs to the first frame, to the second and so on, of several series at once.

    A series holds a picture or the points of each frame. One that is None gives None each time.

    Raises:
        ValueError: if one ends before another.
    """
    missing = object()
    given = [each for each in series if each is not None]
    for index, row in enumerate(itertools.zip_longest(*given, fillvalue=missing)):
        if any(each is missing for each in row):
            raise ValueError(
                "expected equally many frames and points of swap, target and truth, got different "
                f"numbers: only the first {index} are complete"
            )
        items = iter(row)
        yield tuple(None if each is None else next(items) for each in series)


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

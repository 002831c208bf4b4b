"""A drawn face gets the film's grain and softness, so that it does not look pasted.

Grain is moved, not made: what a blur takes away from the filmed face is its grain, where that face
is flat, and it is laid over the drawn one. So it has the film's strength, colour and blotches, and
moves or stands still as the film's does: where a video codec freezes the grain, random noise would
shimmer. Film editors do the same with a plate whose grain was taken out and goes back on top. At
edges (eyes, brows, lips) that blur takes away the filmed person's features, too; there the grain is
taken from flat places nearby.

How soft a picture is tells how much its gradients lose by one more blur: S. Zhuo, T. Sim, "Defocus
map estimation from a single image", Pattern Recognition 44(9), 2011. The noise in it is measured
by the mask of J. Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image
Understanding 64(2), 1996.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Mask, Matrix, check_image
from .blending import box_in_frame

Plane = NDArray[np.float32]  # (H, W) or (H, W, 3)

COARSEST = 2.5  # pixels: what a blur of this width takes away is grain, or an edge
WINDOW = 7  # pixels: grain is compared with its surroundings over this square
EDGE = (2.0, 4.0)  # times the usual energy of grain: less is flat, more is an edge
HIGHEST = 3.0  # standard deviations: grain beyond that is a mark on the skin
# Of the variance of white noise, what is left without a blur of the width COARSEST.
_KEPT = 1.0 - 1.0 / (math.pi * COARSEST**2) + 1.0 / (4.0 * math.pi * COARSEST**2)
_STEPS = ((0.0, 0.25), (0.0, -0.25), (0.25, 0.0), (-0.25, 0.0), (0.15, 0.15), (-0.15, 0.15))
STEP = 2.0  # square pixels: the variance of the blur by which softness is measured
UNLIKE = 0.5  # square pixels: by so much two equally sharp people may differ
SOFTEST = 6  # a drawn face is blurred by fewer such steps
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6.0  # of gain 1


class Grain(NamedTuple):
    """What is grain in a picture, and where."""

    residue: Plane  # (H, W, 3) float32 in levels of 255, its mean about 0
    flat: Plane  # (H, W) float32 in 0..1: 1 where the residue is grain, 0 where it is an edge
    energy: Plane  # (H, W) float32, mean square of the residue's luma around each pixel


def grain_level(image: Image, where: Mask) -> float:
    """The standard deviation of a picture's grain, of its luma.

    Args:
        image: (H, W, 3) RGB uint8.
        where: (H, W) float in 0..1, the part of the picture that counts.

    Returns:
        In levels of 255; within a tenth for white noise, low for blotches wider than two pixels,
        and 0 where nothing counts.

    Raises:
        TypeError, ValueError: if the picture is none.
    """
    check_image(image, "image")
    grain = _grain(image, where)
    return math.sqrt(_variance(grain.energy, grain.flat * where) / _KEPT)


def add_grain(
    frame: Image, swapped: Image, matrix: Matrix, mask: Mask, amount: float = 1.0
) -> Image:
    """Lay the grain of the filmed face over the drawn one, as far as that has none of its own.

    Args:
        frame: (H, W, 3) RGB uint8, as filmed.
        swapped: the same shape, with the drawn face in it.
        matrix: (2, 3), maps frame pixels to pixels of `mask`.
        mask: (M, M) float32 in 0..1, where the drawn face lies.
        amount: 1 makes the grain as strong as the film's, 0 adds none.

    Returns:
        (H, W, 3) RGB uint8; pixels outside the mask equal those of `swapped`.

    Raises:
        TypeError, ValueError: if a picture is none, or the two have different shapes.
    """
    check_image(frame, "frame")
    check_image(swapped, "swapped")
    if frame.shape != swapped.shape:
        raise ValueError(f"swapped: expected shape {frame.shape} as the frame, got {swapped.shape}")
    box = box_in_frame(frame, len(mask), matrix)
    if box is None or amount == 0.0:
        return swapped.copy()
    x0, y0, x1, y1 = box
    there = np.array(matrix, np.float64)  # the box -> mask
    there[:, 2] += there[:, :2] @ (x0, y0)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    alpha = np.asarray(cv2.warpAffine(mask, there, (x1 - x0, y1 - y0), flags=how), np.float32)
    patch = swapped[y0:y1, x0:x1]
    filmed = _grain(frame[y0:y1, x0:x1], alpha)
    level = _variance(filmed.energy, filmed.flat * alpha)
    result = swapped.copy()
    if level == 0.0:
        return result
    own = _energy(_residue(_luma(patch)))
    has = _variance(own, filmed.flat * _flat(own, level) * alpha)
    lacks = math.sqrt(max(0.0, 1.0 - has / level))
    around = _variance(filmed.energy, filmed.flat * (alpha == 0.0))
    grain = _without_edges(filmed, math.sqrt(level), min(1.0, math.sqrt(around / level)))
    strength = cv2.merge([alpha * np.float32(amount * lacks)] * 3)
    laid = cv2.add(patch, cv2.multiply(grain, strength), dtype=cv2.CV_32F)
    result[y0:y1, x0:x1] = cv2.convertScaleAbs(cv2.max(laid, 0.0))  # rounds, and ends at 255
    return result


def soften(face: Image, filmed: Image, mask: Mask, matrix: Matrix) -> Image:
    """Blur a drawn face until it is as soft as the filmed one; one that is softer stays as it is.

    Args:
        face: (S, S, 3) RGB uint8, as drawn.
        filmed: (S, S, 3) RGB uint8, the same square as filmed.
        mask: (S, S) float in 0..1, the part of the square that is compared.
        matrix: (2, 3), maps frame pixels to pixels of `face`; where the face gets smaller in the
            frame, the two are compared as they are seen there.

    Returns:
        (S, S, 3) RGB uint8.

    Raises:
        TypeError, ValueError: if a picture is none, or the sizes differ.
    """
    check_image(face, "face")
    check_image(filmed, "filmed")
    if not face.shape[:2] == filmed.shape[:2] == mask.shape:
        sizes = f"{face.shape[:2]}, {filmed.shape[:2]} and {mask.shape}"
        raise ValueError(f"expected face, filmed and mask of one size, got {sizes}")
    shrink = math.sqrt(abs(np.linalg.det(matrix[:, :2])))  # pixels of the face in one of the frame
    size = max(8, round(len(face) / max(1.0, shrink)))
    ours, theirs, weight = (
        cv2.resize(each, (size, size), interpolation=cv2.INTER_AREA)
        for each in (_luma(face), _luma(filmed), mask)
    )
    (wanted,) = _losses(theirs, weight, 1)
    losses = _losses(ours, weight, SOFTEST)
    if wanted >= losses[0]:
        return face
    steps = np.interp(-wanted, -losses, np.arange(SOFTEST))  # a sharper face loses more
    variance = float(steps) * STEP - UNLIKE
    if variance <= 0.0:
        return face
    blur = math.sqrt(variance) * len(face) / size
    return np.asarray(cv2.GaussianBlur(face, (0, 0), blur), np.uint8)


def _luma(image: NDArray[np.number]) -> Plane:
    """ITU-R BT.601 luma of RGB, (H, W) float32."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32)


def _residue(picture: Plane) -> Plane:
    """What a blur takes away."""
    return np.asarray(cv2.subtract(picture, cv2.GaussianBlur(picture, (0, 0), COARSEST)))


def _energy(luma: Plane) -> Plane:
    """Mean square around each pixel."""
    return np.asarray(cv2.boxFilter(cv2.multiply(luma, luma), cv2.CV_32F, (WINDOW, WINDOW)))


def _flat(energy: Plane, usual: float) -> Plane:
    """1 where the energy is that of grain, no more than usual; 0 at edges."""
    low, high = EDGE
    return np.clip((high - energy / np.float32(max(usual, 1e-6))) / (high - low), 0.0, 1.0)


def _grain(image: Image, where: Mask) -> Grain:
    """What a blur takes away, and where it is no edge."""
    residue = _residue(image.astype(np.float32))
    energy = _energy(_luma(residue))
    counted = energy[::3, ::3][where[::3, ::3] > where.max() / 2.0]
    usual = float(np.quantile(counted, 0.35)) if len(counted) else 0.0
    return Grain(residue, _flat(energy, usual), energy)


def _variance(energy: Plane, weight: Plane) -> float:
    """The energy of grain, averaged where it counts; 0 if it counts nowhere."""
    total = float(weight.sum())
    return 0.0 if total < 1.0 else float(np.vdot(energy, weight)) / total


def _without_edges(filmed: Grain, deviation: float, filled: float) -> Plane:
    """The grain of flat places, and in place of edges that of flat places nearby.

    Args:
        filmed: of the face and what is around it.
        deviation: the grain's standard deviation, in levels of 255.
        filled: how strong the grain is in place of edges, as a share of that of the flat places:
            skin has texture, which eyes and teeth have not.

    Returns:
        (H, W, 3) float32 in levels of 255.
    """
    limit = HIGHEST * deviation
    grain = np.clip(filmed.residue, -limit, limit)
    grain = cv2.multiply(grain, cv2.merge([filmed.flat] * 3))
    added = np.zeros_like(filmed.flat)  # brightness only
    luma, missing = _luma(grain), 1.0 - np.square(filmed.flat)
    height, width = missing.shape
    for up, left in _STEPS:
        step = round(up * height), round(left * width)
        added += np.sqrt(missing) * np.roll(luma, step, (0, 1))
        missing *= 1.0 - np.square(np.roll(filmed.flat, step, (0, 1)))
    return np.asarray(cv2.add(grain, cv2.merge([added * np.float32(filled)] * 3)))


def _losses(luma: Plane, mask: Mask, count: int) -> NDArray[np.float64]:
    """What gradients lose by one more blur of the variance `STEP`, after 0, 1, 2 ... such blurs.

    The first blur, of a pixel's width, is for all. The energy of white noise is taken out, which a
    blur of the width s leaves 1 / (4 pi s^4) of.

    Returns:
        (count,): the energy before each blur as a multiple of that after it, falling towards 1.
    """
    second = cv2.filter2D(luma, cv2.CV_32F, _IMMERKAER)
    inside = np.abs(second[mask > mask.max() / 2.0])
    noise = float(np.median(inside)) / 0.6745 if inside.size else 0.0
    blurred, energies = cv2.GaussianBlur(luma, (0, 0), 1.0), []
    for step in range(count + 1):
        if step:
            blurred = cv2.GaussianBlur(blurred, (0, 0), math.sqrt(STEP))
        across, down = (cv2.Sobel(blurred, cv2.CV_32F, *d, scale=0.125) for d in ((1, 0), (0, 1)))
        energy = float(((np.square(across) + np.square(down)) * mask).sum() / (mask.sum() + 1e-6))
        left = noise**2 / (4.0 * math.pi * (1.0 + step * STEP) ** 2)
        energies.append(max(energy - left, 1e-3))
    losses = np.array(energies[:-1]) / np.array(energies[1:])
    return np.minimum.accumulate(losses)

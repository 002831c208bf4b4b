"""Giving a drawn face the light of the frame that it is put into: four ways, by name.

    lab         mean and spread of each channel in CIE Lab (Reinhard et al. 2001)
    covariance  the linear map of RGB that also matches how the channels go together (Pitie 2007)
    histogram   the whole distribution of each RGB channel
    none        as the network drew it

All look at the same part of the face on both sides, weighted by a mask. People differ in the
colour of their skin, hardly in that of teeth and of the white of the eye. So the two linear ways,
`lab` and `covariance`, treat what is white in the drawn face apart from its skin, see `_move`;
`histogram` makes nothing brighter than the film is.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Mask, check_image, check_one_of

ColourMatch = Literal["lab", "covariance", "histogram", "none"]

BRIGHTEST = 0.995  # quantile of lightness that counts as a face's white: less than open eyes show
SKIN_SPREADS = 2.0  # how far from the mean towards white is still skin, in spreads of the skin
LAB_GREY = np.array([1.0, 0.0, 0.0], np.float32)  # the colour without hue whose lightness is 1
RGB_GREY = np.ones(3, np.float32)


def match_colour(face: Image, reference: Image, mask: Mask, how: ColourMatch = "lab") -> Image:
    """Give `face` the colours of `reference`, as far as both are inside the mask.

    Args:
        face: (H, W, 3) RGB uint8, whose colours are changed, all over the picture.
        reference: (H, W, 3) RGB uint8, whose colours are taken.
        mask: (H, W) float in 0..1, how much each pixel counts.
        how: see the module.

    Returns:
        (H, W, 3) RGB uint8; `face` as it is where the mask is empty.

    Raises:
        ValueError: if the sizes differ or `how` is unknown.
    """
    check_image(face, "face")
    check_image(reference, "reference")
    if face.shape != reference.shape or mask.shape != face.shape[:2]:
        raise ValueError(
            "expected face, reference and mask of one size, "
            f"got {face.shape}, {reference.shape} and {mask.shape}"
        )
    check_one_of(how, ColourMatch, "how")
    total = float(mask.sum())
    if how == "none" or total < 1.0:
        return face.copy()
    weight = (mask / total).astype(np.float32)
    match = {"lab": _match_lab, "covariance": _match_covariance, "histogram": _match_histogram}
    return match[how](face, reference, weight)


def _statistics(
    image: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weighted mean (3,) and covariance (3, 3) of an image's channels; the weights sum to 1."""
    flat, share = image.reshape(-1, 3), weight.ravel()
    mean = share @ flat
    off = flat - mean
    return mean, (off.T * share) @ off


def _match_lab(face: Image, reference: Image, weight: NDArray[np.float32]) -> Image:
    """E. Reinhard et al., "Color Transfer between Images", IEEE CG&A 21(5), 2001, eqs. 10-11.

    They do it in a space of the same kind. The spread may change by a factor of two at most.
    """
    lab, wanted = (
        cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        for image in (face, reference)
    )
    ours, theirs = _statistics(lab, weight), _statistics(wanted, weight)
    spread, wanted_spread = (np.sqrt(np.diag(covariance)) for _, covariance in (ours, theirs))
    gain = np.clip(wanted_spread / np.maximum(spread, 1e-3), 0.5, 2.0)
    moved = _move(lab, wanted, weight, ours, theirs[0], np.diag(gain), LAB_GREY)
    return _to_8_bits(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB))


def _match_covariance(face: Image, reference: Image, weight: NDArray[np.float32]) -> Image:
    """F. Pitie, A. Kokaram, "The linear Monge-Kantorovitch colour mapping", CVMP 2007, eq. 9.

    Of all linear maps that carry one covariance into the other, the one that moves colours least.
    """
    rgb, wanted = (image.astype(np.float32) / 2.55 for image in (face, reference))
    ours, theirs = _statistics(rgb, weight), _statistics(wanted, weight)
    floor = 0.1 * np.eye(3)  # one level of 8 bits: a flat face is not blown up into noise
    root, root_back = _roots(ours[1] + floor)
    middle, _ = _roots(root @ (theirs[1] + floor) @ root)
    matrix = root_back @ middle @ root_back  # (3, 3), symmetric
    moved = _move(rgb, wanted, weight, ours, theirs[0], matrix, RGB_GREY)
    return _to_8_bits(moved / 100.0)


def _move(
    face: NDArray[np.float32],
    film: NDArray[np.float32],
    weight: NDArray[np.float32],
    statistics: tuple[NDArray[np.float32], NDArray[np.float32]],
    wanted_mean: NDArray[np.float32],
    matrix: NDArray[np.floating],
    grey: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Map each x to matrix (x - mean) + wanted_mean, but white in the face to the film's white.

    The map alone takes white as far as skin: of a dark face in a fair one's film teeth would glare,
    of a fair face in a dark one's film they would be grey. How far a pixel has left the skin for
    white is its place along the discriminant of both (R. Fisher, "The use of multiple measurements
    in taxonomic problems", 1936): a linear measure, so a mixed pixel at an eyelid moves by its mix.
    White moves from where the map takes it towards the film's, but never past where it was: with
    skins of one tone, the light being another, or where the film shows no white, the map is enough.

    Args:
        face, film: (H, W, 3), lightness 0 to 100.
        weight: (H, W), sums to 1.
        statistics: mean and covariance of the face.
        wanted_mean: that of the film.
        matrix: (3, 3).
        grey: the colour without hue whose lightness is 1, in this space.
    """
    mean = statistics[0]
    inside = weight > 0.5 * weight.max()
    # The brighter of both, so that white stays white while the drawn or the filmed face shows none.
    top, film_white = _brightest(film, inside, grey)
    white = max(top, _brightest(face, inside, grey)[0]) * grey
    mapped = matrix @ (white - mean) + wanted_mean
    led = np.clip(film_white, np.minimum(white, mapped), np.maximum(white, mapped))
    moved = _affine(face, matrix, wanted_mean - matrix @ mean)

    skin, covariance = _skin(face, weight, *statistics)
    away = white - skin
    normal = np.linalg.solve(covariance + np.eye(3), away)  # 1: no spread is below a level or two
    square = max(float(normal @ away), 1e-6)
    edge = SKIN_SPREADS / np.sqrt(square)  # share of the way to white that may still be skin
    rise = max(
        1.0 - edge, 0.5
    )  # a skin that is hardly darker than white is changed less, not at once
    share = _affine(face, normal[None] / (square * rise), -(normal @ skin / square + edge) / rise)
    moved += np.clip(share, 0.0, 1.0)[..., None] * np.float32(led - mapped)

    # What is still brighter than the film's brightest is pressed into the upper half of its lights.
    light = _lightness(moved, grey)
    reached = _quantile(light[inside])
    knee = 0.5 * (top + float(wanted_mean @ grey / grey.sum()))
    if reached > top > knee:
        slope = (top - knee) / (reached - knee)
        moved += _affine(np.maximum(light - knee, 0.0), (slope - 1.0) * grey[:, None])
    return moved


def _affine(
    image: NDArray[np.float32],
    matrix: NDArray[np.floating],
    offset: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Each pixel x becomes matrix x + offset."""
    both = matrix if offset is None else np.c_[matrix, offset]
    return np.asarray(cv2.transform(image, both), np.float32)


def _lightness(image: NDArray[np.float32], grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W): the component along grey."""
    return _affine(image, grey[None] / grey.sum())


def _quantile(light: NDArray[np.float32]) -> float:
    """What few of these values (n,) exceed."""
    last = int(BRIGHTEST * (len(light) - 1))
    return float(np.partition(light, last)[last])


def _brightest(
    image: NDArray[np.float32], inside: NDArray[np.bool_], grey: NDArray[np.float32]
) -> tuple[float, NDArray[np.float32]]:
    """The lightness that few pixels inside exceed, and the mean colour of those that do."""
    light = np.where(inside, _lightness(image, grey), -1.0)
    top = _quantile(light[inside])
    return top, image[light >= top].mean(axis=0)


def _skin(
    face: NDArray[np.float32],
    weight: NDArray[np.float32],
    mean: NDArray[np.float32],
    covariance: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and covariance of the most of a face, by Tukey's biweight, from those of all of it.

    A. Beaton, J. Tukey, "The fitting of power series", Technometrics 16(2), 1974.
    """
    face, weight = face[::2, ::2], weight[::2, ::2]  # a quarter of the pixels says as much
    for _ in range(2):
        scale = 1.0 / (9.0 * np.diag(covariance) + 1.0)
        distance = _affine(np.square(face - mean), scale[None] / 3.0)
        share = weight * np.square(np.maximum(1.0 - distance, 0.0))
        mean, covariance = _statistics(face, share / max(float(share.sum()), 1e-9))
    return mean, covariance


def _roots(matrix: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The square root of a symmetric positive matrix, and that root's inverse."""
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    roots = np.sqrt(np.maximum(values, 1e-12))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def _match_histogram(face: Image, reference: Image, weight: NDArray[np.float32]) -> Image:
    """Each level becomes the one below which `reference` has as large a share of its pixels.

    R. Gonzalez, R. Woods, "Digital Image Processing", section 3.3, histogram specification.
    """
    result = np.empty_like(face)
    levels = np.arange(256.0)
    flat = weight.ravel()
    for channel in range(3):
        ours, theirs = (
            np.bincount(image[..., channel].ravel(), flat, 256) for image in (face, reference)
        )
        # The middle of each step, so that equal histograms change nothing.
        at, wanted = np.cumsum(ours) - ours / 2.0, np.cumsum(theirs) - theirs / 2.0
        seen = theirs > 0.0
        table = np.interp(at, wanted[seen], levels[seen])
        result[..., channel] = np.rint(table).astype(np.uint8)[face[..., channel]]
    return result


def _to_8_bits(image: NDArray[np.float32]) -> Image:
    """RGB in 0..1, (H, W, 3) -> uint8."""
    return np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)

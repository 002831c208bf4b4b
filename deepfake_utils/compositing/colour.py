"""Giving a drawn face the light of the frame that it is put into: four ways, by name.

    lab         mean and spread of each channel in CIE Lab (Reinhard et al. 2001)
    covariance  the linear map of RGB that also matches how the channels go together (Pitie 2007)
    histogram   the whole distribution of each RGB channel
    none        as the network drew it

All look at the same part of the face on both sides, weighted by a mask.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import feature_mask
from ..images import Image, Mask, Points, check_image, check_one_of
from ..landmarks import LEFT_EYE, MOUTH, RIGHT_EYE

ColourMatch = Literal["lab", "covariance", "histogram", "none"]
WHITES = 0.001  # share of the picture that whites must have to count fully
WHITES_REACH = 0.03  # how far they are looked for beyond the hulls, as a share of the side


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
    flat, share = image.reshape(-1, 3), weight.reshape(-1, 1)
    mean = (flat * share).sum(axis=0)
    off = flat - mean
    return mean, (off * share).T @ off


def _match_lab(face: Image, reference: Image, weight: NDArray[np.float32]) -> Image:
    """E. Reinhard et al., "Color Transfer between Images", IEEE CG&A 21(5), 2001, eqs. 10-11.

    They do it in a space of the same kind. The spread may change by a factor of two at most. Where
    that would carry white beyond white, light parts are held back: eyes and teeth of a dark face
    that is put into a light one do not glare.
    """
    lab, wanted = (
        cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        for image in (face, reference)
    )
    (mean, spread), (wanted_mean, wanted_spread) = (
        (mean, np.sqrt(np.diag(covariance)))
        for mean, covariance in (_statistics(lab, weight), _statistics(wanted, weight))
    )
    gain = np.clip(wanted_spread / np.maximum(spread, 1e-3), 0.5, 2.0)
    moved = ((lab - mean) * gain + wanted_mean).astype(np.float32)
    moved[..., 0] = wanted_mean[0] + _held_back(
        moved[..., 0] - wanted_mean[0], (100.0 - mean[0]) * gain[0], 100.0 - wanted_mean[0]
    )
    return _to_8_bits(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB))


def _held_back(
    above: NDArray[np.float32], white: float | np.floating, room: float | np.floating
) -> NDArray[np.float32]:
    """Lightness above the mean, so bent that white stays within its room.

    Args:
        above: (H, W), of each pixel; what is below 0 stays.
        white: what white came to.
        room: what is left up to 100.

    Returns:
        (H, W): the same where white has room; else along a hyperbola of slope 1 at the mean that
        ends at white, so that no step shows.
    """
    if white <= room:
        return above
    share = np.clip(above / np.float32(white), 0.0, 1.0)
    excess = np.float32(white / max(float(room), 1e-3))
    bent = np.float32(white) * share / (1.0 + (excess - 1.0) * share)
    return np.where(above > 0.0, bent, above)


def keep_whites(
    matched: Image, drawn: Image, filmed: Image, skin: Mask, points: Points, share: float = 1.0
) -> Image:
    """Give eyes and teeth back the lightness that matching the skin's took from them.

    A light face that is put into a dark one is darkened by as much as its skin is lighter. The
    whites of the eyes and teeth are as light in one as in the other, and would go grey. They are
    what is lighter and less coloured than the skin in and around the eyes' and the mouth's hulls.
    They become as light as they were drawn, but no lighter than the film's own whites there; where
    the film shows none, nothing changes.

    Args:
        matched: (H, W, 3) RGB uint8, what `match_colour` made of `drawn`.
        drawn: same shape.
        filmed: same shape, the face that it is put over.
        skin: (H, W) float in 0..1, where the face is.
        points: (68, 2), the face's landmarks in pixels of these pictures.
        share: how much of the lightness comes back, 0..1.

    Returns:
        (H, W, 3) RGB uint8.
    """
    # Only what lies around eyes and mouth is looked at: the rest costs time and stays.
    reach = max(1, round(WHITES_REACH * len(drawn)))
    (left, top), (right, bottom) = (
        end(np.rint(points[RIGHT_EYE.start :]).astype(int), axis=0) for end in (np.min, np.max)
    )
    box = tuple(
        slice(max(0, low - 2 * reach), max(0, high + 2 * reach + 1))
        for low, high in ((top, bottom), (left, right))
    )
    weight = skin[box]
    if share <= 0.0 or not weight.any():
        return matched
    labs = [
        cv2.cvtColor(image[box].astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        for image in (matched, drawn, filmed)
    ]
    means = [np.average(lab.reshape(-1, 3), axis=0, weights=weight.ravel()) for lab in labs]
    if means[0][0] >= means[1][0]:  # not darkened
        return matched
    ours, theirs = (_whiteness(lab, mean) for lab, mean in zip(labs[1:], means[1:], strict=True))
    lightness = labs[0][..., 0]
    for parts in ((RIGHT_EYE, LEFT_EYE), (MOUTH,)):
        inside = feature_mask(points, skin.shape, reach, parts)[box]
        inside = cv2.GaussianBlur(inside, (0, 0), reach / 2)
        known = theirs * inside
        sure = share * min(1.0, float(known.sum()) / (WHITES * skin.size))
        if sure > 0.0:
            white = np.float32(np.average(labs[2][..., 0], weights=known))
            lift = np.minimum(labs[1][..., 0], white) - lightness
            lightness += np.float32(sure) * ours * inside * np.maximum(lift, 0.0)
    kept = matched.copy()
    kept[box] = _to_8_bits(cv2.cvtColor(labs[0], cv2.COLOR_LAB2RGB))
    return kept


def _whiteness(lab: NDArray[np.float32], skin: NDArray[np.floating]) -> NDArray[np.float32]:
    """How much lighter and less coloured than the skin (3,) each pixel is, (H, W) in 0..1."""
    colour = np.linalg.norm(lab[..., 1:], axis=2) / max(float(np.linalg.norm(skin[1:])), 1.0)
    less = np.clip((0.8 - colour) / 0.6, 0.0, 1.0)
    return np.asarray(less * np.clip((lab[..., 0] - skin[0]) / 15.0, 0.0, 1.0), np.float32)


def _match_covariance(face: Image, reference: Image, weight: NDArray[np.float32]) -> Image:
    """F. Pitie, A. Kokaram, "The linear Monge-Kantorovitch colour mapping", CVMP 2007, eq. 9.

    Of all linear maps that carry one covariance into the other, the one that moves colours least.
    """
    ours, theirs = (image.astype(np.float32) / 255.0 for image in (face, reference))
    (mean, covariance), (wanted_mean, wanted) = (
        _statistics(ours, weight),
        _statistics(theirs, weight),
    )
    floor = 1e-5 * np.eye(3)  # one level of 8 bits: a flat face is not blown up into noise
    root, root_back = _roots(covariance + floor)
    middle, _ = _roots(root @ (wanted + floor) @ root)
    matrix = root_back @ middle @ root_back  # (3, 3), symmetric
    return _to_8_bits((ours - mean) @ matrix.astype(np.float32) + wanted_mean)


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

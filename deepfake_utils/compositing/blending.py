"""Laying a drawn face over a frame so that no edge shows: three ways, by name.

    alpha    a soft mask mixes both pictures
    pyramid  coarse structures are mixed over a wide edge, fine ones over a narrow one
    poisson  the face keeps its gradients and takes its level from the frame around it

Pyramids: P. Burt, E. Adelson, "A Multiresolution Spline with Application to Image Mosaics", ACM
TOG 2(4), 1983. Poisson: P. Perez et al., "Poisson Image Editing", SIGGRAPH 2003, eq. 3, by OpenCV.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Mask, Matrix, check_image, check_one_of, scale_matrix
from ..umeyama import invert

Blend = Literal["alpha", "pyramid", "poisson"]
LEVELS = 4  # of the pyramid; the coarsest mixes over about 2**4 times the mask's own edge


def sharpen(face: Image, amount: float, radius: float = 1.0) -> Image:
    """Unsharp masking: add `amount` times what a blur takes away.

    Args:
        face: (H, W, 3) RGB uint8.
        amount: 0 changes nothing, 1 is strong; below 0 blurs.
        radius: standard deviation of the blur in pixels.

    Returns:
        (H, W, 3) RGB uint8.
    """
    check_image(face, "face")
    if amount == 0.0:
        return face
    blurred = cv2.GaussianBlur(face, (0, 0), radius)
    return np.asarray(cv2.addWeighted(face, 1.0 + amount, blurred, -amount, 0.0), np.uint8)


def edge_fade(size: int, share: float = 0.05) -> Mask:
    """1 inside a square, falling to 0 at its sides, so that a crop never ends in a visible box.

    Args:
        size: side of the square in pixels.
        share: of that side, over which it falls.

    Returns:
        (size, size) float32 in 0..1.
    """
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (share * size)
    ramp = np.clip(distance, 0.0, 1.0).astype(np.float32)
    return np.minimum(ramp[:, None], ramp[None, :])


def paste_face(
    frame: Image, face: Image, matrix: Matrix, mask: Mask, blend: Blend = "alpha"
) -> Image:
    """Lay a face over a frame where the mask says so.

    Args:
        frame: (H, W, 3) RGB uint8; not changed.
        face: (S, S, 3) RGB uint8, square.
        matrix: (2, 3), maps frame pixels to pixels of `face`.
        mask: (M, M) float32 in 0..1 over the same square as `face`, at any resolution.
        blend: see the module.

    Returns:
        (H, W, 3) RGB uint8; pixels outside the mask equal the frame's.

    Raises:
        TypeError, ValueError: if a picture is none, or `blend` is unknown.
    """
    check_image(frame, "frame")
    check_image(face, "face")
    check_one_of(blend, Blend, "blend")
    face, matrix = _no_larger_than_pasted(face, np.asarray(matrix, np.float64))
    box = box_in_frame(frame, len(face), matrix)
    if box is None:
        return frame.copy()
    x0, y0, x1, y1 = box
    drawn, alpha = _lay(face, mask, matrix, box)
    result = frame.copy()
    patch = result[y0:y1, x0:x1]
    if blend == "pyramid":
        mixed = _mix_pyramids(patch, drawn, alpha)
    elif blend == "poisson":
        mixed = _mix(patch, _clone(patch, drawn, alpha), alpha)
    else:
        mixed = _mix(patch, drawn, alpha)
    patch[:] = np.where(alpha[..., None] > 0.0, mixed, patch)
    return result


def _no_larger_than_pasted(face: Image, matrix: Matrix) -> tuple[Image, Matrix]:
    """A face that gets smaller has its pixels averaged, instead of some of them sampled."""
    shrink = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink <= 1.25:
        return face, matrix
    size = len(face)
    smaller = max(8, round(size / shrink))
    small = np.asarray(cv2.resize(face, (smaller,) * 2, interpolation=cv2.INTER_AREA))
    return small, scale_matrix(matrix, smaller / size)


def box_in_frame(frame: Image, size: int, matrix: Matrix) -> tuple[int, int, int, int] | None:
    """The part of a frame that a square covers.

    Args:
        frame: (H, W, 3).
        size: side of the square in its own pixels.
        matrix: (2, 3), maps frame pixels to pixels of the square.

    Returns:
        x0, y0, x1, y1 in frame pixels, the last two outside the part; None if none is covered.
    """
    height, width = frame.shape[:2]
    corners = np.array([[-0.5, -0.5, 1], [size, -0.5, 1], [-0.5, size, 1], [size, size, 1]])
    at = corners @ invert(matrix).T
    x0, y0 = np.clip(np.floor(at.min(0)).astype(int), 0, [width, height])
    x1, y1 = np.clip(np.ceil(at.max(0)).astype(int) + 1, 0, [width, height])
    return None if x0 >= x1 or y0 >= y1 else (int(x0), int(y0), int(x1), int(y1))


def _lay(
    face: Image, mask: Mask, matrix: Matrix, box: tuple[int, int, int, int]
) -> tuple[Image, Mask]:
    """Face (h, w, 3) and mask (h, w) where they come to lie in that box of the frame."""
    x0, y0, x1, y1 = box
    back = invert(matrix)  # face -> frame
    back[:, 2] -= (x0, y0)
    drawn = cv2.warpAffine(
        face, back, (x1 - x0, y1 - y0), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    ratio = len(face) / len(mask)  # mask pixel m is face pixel (m + 0.5) * ratio - 0.5
    offset = ratio / 2.0 - 0.5
    to_face = np.array([[ratio, 0.0, offset], [0.0, ratio, offset], [0.0, 0.0, 1.0]])
    alpha = cv2.warpAffine(mask, back @ to_face, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    return np.asarray(drawn, np.uint8), np.asarray(alpha, np.float32)


def _mix(patch: Image, drawn: Image, alpha: Mask) -> Image:
    """The patch where alpha is 0, the face where it is 1."""
    mixed = patch + alpha[..., None] * (drawn.astype(np.float32) - patch)
    return np.rint(mixed).astype(np.uint8)


def _mix_pyramids(patch: Image, drawn: Image, alpha: Mask) -> Image:
    """Mix each level of the two Laplacian pyramids by the mask's own level of a Gaussian one."""
    under, over, mask = (each.astype(np.float32) for each in (patch, drawn, alpha))
    levels: list[NDArray[np.float32]] = []
    for _ in range(LEVELS):
        if min(under.shape[:2]) < 8:
            break
        small_under, small_over, small_mask = (cv2.pyrDown(each) for each in (under, over, mask))
        wh = under.shape[1::-1]
        fine_under = under - cv2.pyrUp(small_under, dstsize=wh)
        fine_over = over - cv2.pyrUp(small_over, dstsize=wh)
        levels.append(fine_under + mask[..., None] * (fine_over - fine_under))
        under, over, mask = small_under, small_over, small_mask
    mixed = under + mask[..., None] * (over - under)
    for level in reversed(levels):
        mixed = cv2.pyrUp(mixed, dstsize=level.shape[1::-1]) + level
    return np.rint(np.clip(mixed, 0.0, 255.0)).astype(np.uint8)


def _clone(patch: Image, drawn: Image, alpha: Mask) -> Image:
    """The face, its gradients kept and its level that of the patch along the mask's edge."""
    inside = (alpha > 0.5).astype(np.uint8) * 255
    inside[[0, -1]] = inside[:, [0, -1]] = 0  # the equation needs known pixels all around
    xs, ys = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    if len(xs) < 3 or len(ys) < 3:
        return drawn
    # OpenCV puts the middle of the mask's box there.
    centre = (int(xs[0] + xs[-1] + 1) // 2, int(ys[0] + ys[-1] + 1) // 2)
    return np.asarray(cv2.seamlessClone(drawn, patch, inside, centre, cv2.NORMAL_CLONE), np.uint8)

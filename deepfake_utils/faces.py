"""From a frame and its landmarks to an aligned crop, and a mask over it.

Faces are aligned by the similarity (`umeyama`) that best maps their steady points, brows, eyes,
underside of the nose and outer lips, to those of a mean face. A crop remembers its matrix, so that
what is drawn on it can be put back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Image, Mask, Matrix, Points, check_image, check_points, scale_matrix
from .landmarks import INNER, LEFT_BROW, LEFT_EYE, MOUTH, RIGHT_BROW, RIGHT_EYE, STEADY
from .umeyama import transform_points, umeyama

BROWS = slice(RIGHT_BROW.start, LEFT_BROW.stop)
CROP_COVERAGE = 0.5  # of crops on disk: room to turn, zoom and shift them in training

# Mean of the 68 points of the two sample people looking ahead (yaw within 6 degrees), brought
# together by generalised Procrustes analysis and made symmetric; data/samples/truth.npz, rendered
# from ICT-FaceKit (MIT), re-derived in tests/test_faces.py. Unit: the longer side of the box
# around points 17-67; origin: the centre of that box.
# fmt: off
MEAN_FACE: Points = np.array(
    [
        (-0.609, -0.21), (-0.601, -0.037), (-0.573, 0.119), (-0.544, 0.27),
        (-0.485, 0.445), (-0.373, 0.6), (-0.267, 0.674), (-0.141, 0.728),
        (0.0, 0.765), (0.141, 0.728), (0.267, 0.674), (0.373, 0.6),
        (0.485, 0.445), (0.544, 0.27), (0.573, 0.119), (0.601, -0.037),
        (0.609, -0.21), (-0.5, -0.367), (-0.425, -0.447), (-0.327, -0.479),
        (-0.207, -0.478), (-0.1, -0.453), (0.1, -0.453), (0.207, -0.478),
        (0.327, -0.479), (0.425, -0.447), (0.5, -0.367), (0, -0.267),
        (0, -0.174), (0, -0.085), (0, 0.024), (-0.111, 0.158),
        (-0.056, 0.161), (0, 0.169), (0.056, 0.161), (0.111, 0.158),
        (-0.375, -0.207), (-0.33, -0.245), (-0.237, -0.255), (-0.155, -0.204),
        (-0.232, -0.186), (-0.329, -0.184), (0.155, -0.204), (0.237, -0.255),
        (0.33, -0.245), (0.375, -0.207), (0.329, -0.184), (0.232, -0.186),
        (-0.224, 0.358), (-0.155, 0.296), (-0.069, 0.27), (0, 0.273),
        (0.069, 0.27), (0.155, 0.296), (0.224, 0.358), (0.161, 0.437),
        (0.094, 0.468), (0, 0.479), (-0.094, 0.468), (-0.161, 0.437),
        (-0.198, 0.364), (-0.094, 0.331), (0, 0.334), (0.094, 0.331),
        (0.198, 0.364), (0.102, 0.389), (0, 0.4), (-0.102, 0.389),
    ]
)
# fmt: on
# A crop is centred this far below the origin: enough for most of the chin, with room for the brows.
CENTRE_Y = 0.08


@dataclass(frozen=True)
class AlignedFace:
    """A face cut out of a frame so that its features sit where the mean face has them."""

    image: Image  # (S, S, 3) RGB uint8
    landmarks: Points  # (68, 2), (x, y) in crop pixels
    matrix: Matrix  # (2, 3), maps frame pixels to crop pixels; `umeyama.invert` goes back

    def matrix_for(self, size: int) -> Matrix:
        """(2, 3), maps frame pixels to those of a picture of the same square with another side."""
        return scale_matrix(self.matrix, size / len(self.image))


def mean_face(size: int, coverage: float = CROP_COVERAGE) -> Points:
    """Where the 68 points of the mean face lie in a crop.

    Args:
        size: side of the crop in pixels.
        coverage: share of that side that the mean face's points 17-67 span, 0.2..1.

    Returns:
        (68, 2) float64, (x, y) in crop pixels.

    Raises:
        ValueError: if `size` is below 8 or `coverage` outside 0.2..1.
    """
    if size < 8:
        raise ValueError(f"size: expected at least 8 pixels, got {size}")
    if not 0.2 <= coverage <= 1.0:
        raise ValueError(f"coverage: expected 0.2 to 1.0, got {coverage}")
    return (MEAN_FACE - [0.0, CENTRE_Y]) * (coverage * size) + (size - 1) / 2.0


def align_face(
    frame: Image, landmarks: Points, size: int = 256, coverage: float = CROP_COVERAGE
) -> AlignedFace:
    """Cut out one face so that its landmarks sit on the mean face.

    What lies outside the frame is filled with the frame's edge pixels.

    Args:
        frame: (H, W, 3) RGB uint8.
        landmarks: (68, 2), (x, y) in frame pixels.
        size: side of the square crop in pixels.
        coverage: share of that side that the mean face spans; larger is closer.

    Returns:
        The crop, its landmarks, and the matrix that maps frame pixels to crop pixels.

    Raises:
        TypeError, ValueError: if the frame is no image, the landmarks are not (68, 2), all of
            them coincide, or size or coverage are out of range.
    """
    check_image(frame, "frame")
    landmarks = check_points(landmarks, 68, "landmarks")
    matrix = umeyama(landmarks[STEADY], mean_face(size, coverage)[STEADY])
    image = _warp(frame, matrix, size)
    return AlignedFace(image, transform_points(landmarks, matrix), matrix)


def _warp(frame: Image, matrix: Matrix, size: int) -> Image:
    """Cut (size, size) out of the frame; a large face is averaged down, not sampled."""
    shrink = 1.0 / math.sqrt(abs(np.linalg.det(matrix[:, :2])))  # frame pixels per crop pixel
    factor = min(8, max(1, math.ceil(shrink - 0.25)))
    crop = cv2.warpAffine(
        frame,
        scale_matrix(matrix, factor),
        (size * factor, size * factor),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if factor > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def face_mask(
    landmarks: Points,
    size_hw: tuple[int, int],
    feather: float = 0.12,
    forehead: float = 0.2,
    erode: float = 0.0,
) -> Mask:
    """A soft mask over the face: the hull of its landmarks, fading to 0 towards its edge.

    Args:
        landmarks: (68, 2), (x, y) in pixels of the mask.
        size_hw: height and width of the mask in pixels.
        feather: width of the fade as a share of the face's size; it lies inside the hull.
        forehead: how far the hull reaches above the brows, as a share of that size.
        erode: how far the hull is drawn in on all sides, as a share of that size; below 0 it grows.

    Returns:
        (H, W) float32 in 0..1; 1 well inside the face, 0 from a pixel outside the hull on.

    Raises:
        ValueError: if the landmarks are not (68, 2) or `feather` is negative.
    """
    landmarks = check_points(landmarks, 68, "landmarks")
    if feather < 0.0:
        raise ValueError(f"feather: expected at least 0, got {feather}")
    to_face = umeyama(MEAN_FACE[INNER], landmarks[INNER])  # mean face -> mask pixels
    unit = math.sqrt(abs(np.linalg.det(to_face[:, :2])))  # the face's size in pixels
    up = -forehead * to_face[:, 1]  # the face's own upwards
    hull = cv2.convexHull(np.vstack([landmarks, landmarks[BROWS] + up]).astype(np.float32))
    filled = np.zeros(size_hw, np.uint8)
    # 3 bits of sub-pixel position keep the edge from jumping between frames.
    cv2.fillConvexPoly(filled, np.rint(hull * 8).astype(np.int32), 255, cv2.LINE_AA, shift=3)
    mask = _shrink(filled, round(erode * unit)).astype(np.float32) / 255.0
    reach = round(feather * unit / 2)
    if reach < 1:
        return mask
    # A blur as wide as the fade, of a hull shrunk by half the fade, ends where the hull ended.
    soft = cv2.GaussianBlur(
        _shrink(mask, reach), (0, 0), reach / 2.0, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(np.minimum(soft * mask, 1.0), np.float32)


def inner_face_mask(
    landmarks: Points, size_hw: tuple[int, int], name: str = "landmarks"
) -> NDArray[np.bool_]:
    """Where brows, eyes, nose and mouth are: the convex hull of points 17-67, with a sharp edge.

    Args:
        landmarks: (68, 2), (x, y) in pixels of the mask.
        size_hw: height and width of the mask in pixels.
        name: what an error calls the landmarks.

    Returns:
        (H, W), True inside.

    Raises:
        ValueError: if the landmarks are not (68, 2), or the hull lies outside the mask.
    """
    landmarks = check_points(landmarks, 68, name)
    hull = cv2.convexHull(np.rint(landmarks[INNER]).astype(np.int32))
    inside = cv2.fillConvexPoly(np.zeros(size_hw, np.uint8), hull, 1) > 0
    if not inside.any():
        raise ValueError(f"{name}: expected points inside the picture, got all outside")
    return np.asarray(inside)


def feature_mask(
    landmarks: Points,
    size_hw: tuple[int, int],
    reach: int = 1,
    parts: Iterable[slice] = (RIGHT_EYE, LEFT_EYE, MOUTH),
) -> Mask:
    """Where the face itself changes: the hulls of both eyes and of the mouth, grown.

    Args:
        landmarks: (68, 2), (x, y) in pixels of the mask.
        size_hw: height and width of the mask in pixels.
        reach: how far they grow on all sides, in pixels.
        parts: whose hulls, as slices of the landmarks.

    Returns:
        (H, W) float32, 0 or 1.

    Raises:
        ValueError: if the landmarks are not (68, 2).
    """
    landmarks = check_points(landmarks, 68, "landmarks")
    mask = np.zeros(size_hw, np.float32)
    for part in parts:
        hull = cv2.convexHull(landmarks[part].astype(np.float32))
        cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1.0)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask, square), np.float32)


def _shrink(mask: NDArray[Any], pixels: int) -> NDArray[Any]:
    """A mask less `pixels` on all sides, also where the picture ends; below 0 it grows."""
    if not pixels:
        return mask
    side = 2 * abs(pixels) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    change = cv2.erode if pixels > 0 else cv2.dilate
    return np.asarray(change(mask, disc, borderType=cv2.BORDER_CONSTANT, borderValue=0))

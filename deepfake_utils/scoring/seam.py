"""Whether one sees where a swapped face was put in: steps of colour that the film did not have."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import BROWS, MEAN_FACE
from ..images import Image, Points, check_image, check_points
from ..landmarks import INNER
from ..umeyama import umeyama
from .colour_difference import ciede2000, to_lab

Steps = NDArray[np.float64]  # (26, 72), CIEDE2000 between two rings

_DIRECTIONS = 72  # around the face, one in 5 degrees
_RINGS = np.linspace(0.8, 1.5, 29)  # distance from the face's centre, 1 is the edge of its hull
_FOREHEAD = 0.2  # how far the hull reaches above the brows, as a share of the face's size


def edge_steps(frame: Image, points: Points) -> Steps:
    """How much the colour changes across the edge of a face, from ring to ring around it.

    The edge is the hull of the 68 points and a forehead, as that of `faces.face_mask`. The rings
    around it reach well inside and outside, so that the edge of another mask or of a box is met as
    well. Compared are the mean colours of the two rings just inside and the two just outside.

    Args:
        frame: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in frame pixels.

    Returns:
        (26, 72) float64, CIEDE2000: distances from inside to outside, directions.

    Raises:
        TypeError, ValueError: if the frame is no image or the points are not (68, 2).
    """
    check_image(frame, "frame")
    at = _rings(check_points(points, 68)).astype(np.float32)  # (rings, directions, 2)
    # Averaged first over the distance from one place to the next, not to compare single pixels.
    apart = float(np.linalg.norm(at[-1, 1] - at[-1, 0]))
    smooth = cv2.GaussianBlur(frame, (0, 0), max(0.5, apart / 4.0))
    rings = to_lab(
        np.asarray(
            cv2.remap(
                smooth, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ),
            np.uint8,
        )
    )
    means = (rings[:-1] + rings[1:]) / 2.0  # (28, directions, 3), of two neighbouring rings each
    return ciede2000(means[:-2], means[2:])


def seam_visibility(steps: Steps, own: Steps) -> float:
    """How strong the edge of a swap is, beyond what the film shows there by itself.

    In each direction the largest step that exceeds the film's own, and their mean. The film's own
    steps are allowed a ring further in and out, as the two faces are not quite the same size.

    Args:
        steps: `edge_steps` of the swapped frame.
        own: of the frame before the swap, at the same points; the larger of it and of the right
            answer's, where that is known.

    Returns:
        CIEDE2000, 0 where there is no seam.

    Raises:
        ValueError: if the shapes differ.
    """
    if steps.shape != own.shape:
        raise ValueError(f"expected equal shapes, got {steps.shape} and {own.shape}")
    allowed = cv2.dilate(own, np.ones((3, 3), np.uint8))
    return float(np.maximum(steps - allowed, 0.0).max(axis=0).mean())


def _rings(points: Points) -> NDArray[np.float64]:
    """(rings, directions, 2) places (x, y) around the face, from inside its hull to outside."""
    to_face = umeyama(MEAN_FACE[INNER], points[INNER])  # mean face -> frame
    up = -_FOREHEAD * to_face[:, 1]
    hull = cv2.convexHull(np.vstack([points, points[BROWS] + up]).astype(np.float32))[:, 0]
    moments = cv2.moments(hull)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    angles = np.arange(_DIRECTIONS) * (2.0 * math.pi / _DIRECTIONS)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (directions, 2)
    reach = _to_edge(np.asarray(hull - centre, np.float64), rays)
    return np.asarray(centre + _RINGS[:, None, None] * (reach[:, None] * rays))


def _to_edge(hull: Points, rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each ray from the origin runs inside a convex polygon around it."""
    ends = np.roll(hull, -1, axis=0)
    sides = ends - hull
    normals = np.stack([sides[:, 1], -sides[:, 0]], axis=1)
    offsets = (normals * hull).sum(axis=1)
    normals[offsets < 0] *= -1.0  # outwards
    forward = rays @ normals.T  # (directions, sides)
    with np.errstate(divide="ignore"):
        reach = np.where(forward > 1e-9, np.abs(offsets) / forward, np.inf)
    return np.asarray(reach.min(axis=1))

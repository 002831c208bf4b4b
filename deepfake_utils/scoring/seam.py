"""Whether one sees where a swapped face was put in: steps of colour that the film did not have.

How different two colours look is told by CIEDE2000: G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000
Color-Difference Formula: Implementation Notes, Supplementary Test Data, and Mathematical
Observations", Color Research and Application 30(1), 2005. Equation numbers in the comments of
`ciede2000` are that paper's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import BROWS, MEAN_FACE
from ..images import Image, Points, check_image, check_points
from ..landmarks import INNER
from ..umeyama import umeyama

Lab = NDArray[np.float64]  # (..., 3): L 0..100, a and b about -128..127
Steps = NDArray[np.float64]  # (26, 72), CIEDE2000 between two rings

_DIRECTIONS = 72  # around the face, one in 5 degrees
_RINGS = np.linspace(0.8, 1.5, 29)  # distance from the face's centre, 1 is the edge of its hull
_FOREHEAD = 0.2  # how far the hull reaches above the brows, as a share of the face's size


def to_lab(image: Image) -> Lab:
    """(H, W, 3) RGB uint8, taken as sRGB -> (H, W, 3) CIE L*a*b* under D65."""
    check_image(image)
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float64)


def ciede2000(one: Lab, other: Lab) -> NDArray[np.float64]:
    """The difference between colours, 1 being about the least that is seen side by side.

    Weights k_L, k_C and k_H are 1.

    Args:
        one: (..., 3) CIE L*a*b*.
        other: (..., 3), of a shape that broadcasts with the first.

    Returns:
        (...) float64, 0 for equal colours.

    Raises:
        ValueError: if a last axis is not 3.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    for lab in (one, other):
        if lab.shape[-1:] != (3,):
            raise ValueError(f"expected colours (..., 3) in L*a*b*, got shape {lab.shape}")
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2.0  # (2), (3)
    redder = 1.0 + 0.5 * (1.0 - _saturating(mean_c))  # (4), (5): 1 + G
    c1, c2 = np.hypot(redder * a1, b1), np.hypot(redder * a2, b2)  # (6)
    h1, h2 = np.arctan2(b1, redder * a1), np.arctan2(b2, redder * a2)  # (7), radians
    # The shorter way around the circle of hues; grey has none.
    turn = (h2 - h1 + np.pi) % (2.0 * np.pi) - np.pi  # (10)
    turn = np.where(c1 * c2 == 0.0, 0.0, turn)
    d_l, d_c = l2 - l1, c2 - c1  # (8), (9)
    d_h = 2.0 * np.sqrt(c1 * c2) * np.sin(turn / 2.0)  # (11)
    mean_l, mean_c = (l1 + l2) / 2.0, (c1 + c2) / 2.0  # (12), (13)
    mean_h = np.where(c1 * c2 == 0.0, h1 + h2, h1 + turn / 2.0)  # (14), up to whole circles
    t = 1.0 - 0.17 * np.cos(mean_h - np.radians(30.0)) + 0.24 * np.cos(2.0 * mean_h)  # (15)
    t += 0.32 * np.cos(3.0 * mean_h + np.radians(6.0))
    t -= 0.20 * np.cos(4.0 * mean_h - np.radians(63.0))
    blue = (np.degrees(mean_h) % 360.0 - 275.0) / 25.0
    rotation = -2.0 * _saturating(mean_c) * np.sin(np.radians(60.0) * np.exp(-(blue**2)))
    squared = np.square(mean_l - 50.0)
    s_l = 1.0 + 0.015 * squared / np.sqrt(20.0 + squared)  # (18)
    s_c, s_h = 1.0 + 0.045 * mean_c, 1.0 + 0.015 * mean_c * t  # (19), (20)
    x, y, z = d_l / s_l, d_c / s_c, d_h / s_h
    # (22); rounding may take a difference of nothing just below 0
    return np.asarray(np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0.0)))


def _saturating(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for grey towards 1 for strong colours: the root in (4) and (17)."""
    seventh = chroma**7
    return np.asarray(np.sqrt(seventh / (seventh + 25.0**7)))


def edge_steps(frame: Image, points: Points) -> Steps:
    """How much the colour changes across the edge of a face, from ring to ring around it.

    The edge is the hull of the 68 points and a forehead, as that of `faces.face_mask`. The rings
    around it reach well inside and outside, so that the edge of another mask or of a box is found,
    too. Compared are the mean colours of the two rings just inside and the two just outside.

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

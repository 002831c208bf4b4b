"""Which way a head is turned, from its landmarks.

The points of a mean head are laid onto the landmarks by a rotation and a place in front of a camera
(OpenCV's solvePnP). Axes are the camera's: x to the right, y down, z into the picture.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Points, check_points

FOCAL = 2.0  # focal length in longer sides of the picture where none is given: 28 degrees across

# What moves little with the expression: nose and corners of the eyes. With the brows the error of
# the whole angle is 6.9 instead of 4.2 degrees on person A, and 3.1 instead of 2.6 on B.
RIGID: NDArray[np.intp] = np.r_[27:36, [36, 39, 42, 45]]

# Where points RIGID lie on the mean of the two sample people's heads, made symmetric; derived from
# data/samples/truth.npz (rendered from ICT-FaceKit, MIT) by tests/benchmarks/derive_head.py. Unit:
# the distance between the outer corners of the eyes; origin: the mean of the four corners.
# fmt: off
HEAD: NDArray[np.float64] = np.array(
    [
        (0, -0.066, -0.211), (0, 0.059, -0.3), (0, 0.177, -0.389),
        (0, 0.319, -0.482), (-0.142, 0.488, -0.204), (-0.071, 0.491, -0.267),
        (0, 0.502, -0.284), (0.071, 0.491, -0.267), (0.142, 0.488, -0.204),
        (-0.5, -0.004, 0.025), (-0.206, 0.004, -0.025), (0.206, 0.004, -0.025),
        (0.5, -0.004, 0.025),
    ]
)
# fmt: on


class HeadPose(NamedTuple):
    """Which way a head is turned."""

    rotation: NDArray[np.float64]  # (3, 3), head -> camera
    angles_deg: NDArray[np.float64]  # (3,): yaw, pitch, roll, as the sample clips' truth has them


def rotation_matrix(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """(3, 3), head -> camera: turned by the yaw first, then by the pitch, last by the roll.

    Positive are a head turned to the picture's right, one looking down, and one that leans to its
    own right shoulder.
    """
    (cy, cp, cr), (sy, sp, sr) = (
        trig(np.radians([yaw_deg, pitch_deg, roll_deg])) for trig in (np.cos, np.sin)
    )
    yaw = np.array([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]])
    pitch = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    roll = np.array([[cr, sr, 0.0], [-sr, cr, 0.0], [0.0, 0.0, 1.0]])
    return roll @ pitch @ yaw


def head_pose(points: Points, size_hw: tuple[int, int], focal_px: float | None = None) -> HeadPose:
    """Which way the head is turned whose landmarks these are.

    Off by 4.1 degrees on sample person A and 2.5 on B, mean of the whole angle, with the landmarks
    of `MeshLandmarker` (3.1 and 3.1 with the true ones, tests/benchmarks/derive_head.py). Those are
    the people the model was made from; others are likely to be further off.

    Two poses found by the same landmarker are compared more closely than either is known: most of
    the error is the person's own shape and the landmarker's own habits, and the same in both.

    Args:
        points: (68, 2), (x, y) in pixels of the picture.
        size_hw: height and width of the picture, whose centre the camera looks at.
        focal_px: the camera's focal length in pixels; None is twice the longer side.

    Raises:
        ValueError: if the points are not (68, 2), the focal length is not positive, or the points
            belong to no head, as when all lie in one place.
    """
    points = check_points(points, 68)
    height, width = size_hw
    focal = FOCAL * max(height, width) if focal_px is None else focal_px
    if focal <= 0.0:
        raise ValueError(f"focal_px: expected more than 0, got {focal}")
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    seen = points[RIGID]
    try:
        found, turn, place = cv2.solvePnP(HEAD, seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        if found:
            turn, place = cv2.solvePnPRefineLM(HEAD, seen, camera, None, turn, place)
    except cv2.error as error:
        raise ValueError(f"points: expected those of a head, got others ({error})") from error
    rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
    if not found or not np.isfinite(rotation).all():
        raise ValueError("points: expected those of a head, got others")
    return HeadPose(rotation, _angles(rotation))


def angle_between(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The angle in degrees by which one rotation (3, 3) has to be turned to be the other."""
    cos = (np.trace(np.asarray(one).T @ other) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cos, -1.0, 1.0))))


def _angles(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw, pitch and roll in degrees: what `rotation_matrix` would make the rotation of."""
    yaw = np.arctan2(rotation[2, 0], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[2, 1], -1.0, 1.0))
    roll = np.arctan2(rotation[0, 1], rotation[1, 1])
    return np.degrees([yaw, pitch, roll])

"""Where the features of a face lie: 68 points on each face of a frame.

A landmarker is any callable that takes a frame (H, W, 3) RGB uint8 and returns a list of (68, 2)
float64 points in frame pixels, one for each face, the largest face first and [] if there is none.
`MeshLandmarker` in detectors/mesh.py works out of the box on any machine. Another one is
`FanLandmarker` in detectors/fan.py; put a new one into a file beside it.

A landmarker that knows how sure it is, or gains by seeing the frames of a film in order, also has
a method `follow` that returns a `Watcher` for one film; see `watch`.

The 68 points are those of the Multi-PIE markup (Gross et al. 2010; 300-W, Sagonas et al. 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .images import Image, Points, check_points


class Face(NamedTuple):
    """The landmarks of one face, and how sure it is that they lie well on a face."""

    points: Points  # (68, 2), (x, y) in frame pixels
    confidence: float = 1.0  # 0..1; 1 where a landmarker does not tell


Landmarker = Callable[[Image], list[Points]]
Watcher = Callable[[Image, float], list[Face]]  # takes a frame and its time in seconds


@runtime_checkable
class FollowingLandmarker(Protocol):
    """A landmarker that looks at the frames of a film in order."""

    def __call__(self, frame: Image) -> list[Points]:
        """The points (68, 2) of each face in a frame by itself."""

    def follow(self) -> Watcher:
        """What finds the faces in the frames of one film."""


# Right and left are the person's own: the right eye of somebody who looks into the camera lies on
# the left side of the picture. Every group runs from the left of the picture to the right, and
# closed contours go on clockwise.
JAW = slice(0, 17)
RIGHT_BROW = slice(17, 22)
LEFT_BROW = slice(22, 27)
NOSE = slice(27, 36)  # ridge 27-30 downwards, underside 31-35
RIGHT_EYE = slice(36, 42)  # outer corner 36, inner 39
LEFT_EYE = slice(42, 48)  # inner corner 42, outer 45
MOUTH = slice(48, 68)  # outside 48-59, inside 60-67
INNER = slice(17, 68)  # all but the jaw, which moves with the pose of the head
# What faces are aligned by. Without the ridge of the nose, which sweeps across the face as the head
# turns, and the inner lips, which only follow the outer ones, crops sit steadier: a perfect face
# pasted by these points scores 1 dB more than by all of INNER (tests/benchmarks/alignment.py).
STEADY: NDArray[np.intp] = np.r_[17:27, 31:60]

# Point i of a mirrored face is point FLIP68[i] of the face itself.
FLIP68: NDArray[np.intp] = np.array(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # ridge of the nose
        *range(35, 30, -1),  # its underside
        *(45, 44, 43, 42, 47, 46),  # right eye
        *(39, 38, 37, 36, 41, 40),  # left eye
        *range(54, 47, -1),  # upper lip, outside
        *range(59, 54, -1),  # lower lip, outside
        *range(64, 59, -1),  # upper lip, inside
        *(67, 66, 65),  # lower lip, inside
    ],
    dtype=np.intp,
)

# Which of FaceMesh's 468 points stands for each of the 68. Derived by
# tests/benchmarks/derive_mesh68.py, which also prints how far off each is.
# fmt: off
MESH68: NDArray[np.intp] = np.array([
    127, 234, 93, 132, 172, 150, 149, 148, 152,  # jaw, right half and chin
    377, 378, 379, 397, 361, 323, 454, 356,  # jaw, left half
    70, 63, 105, 66, 107,  336, 296, 334, 293, 300,  # brows
    168, 197, 195, 4,  98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144,  362, 385, 387, 263, 373, 380,  # eyes
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # lips, outside
    78, 81, 13, 311, 308, 402, 14, 178,  # lips, inside
], dtype=np.intp)
# fmt: on


def outer_eye_distance(points: Points) -> float:
    """Distance between the outer corners of the eyes, in the points' unit (pixels).

    The usual measure of a face's size when errors of landmarks are given in percent.

    Raises:
        ValueError: if `points` is not (68, 2).
    """
    points = check_points(points, 68)
    return float(np.linalg.norm(points[45] - points[36]))


def watch(landmarker: Landmarker) -> Watcher:
    """What finds the faces in one film, called with each frame and its time in seconds, in order.

    That is `landmarker.follow()` if there is such a method; else each frame is looked at by itself.
    """
    if isinstance(landmarker, FollowingLandmarker):
        return landmarker.follow()

    def alone(frame: Image, time_s: float) -> list[Face]:
        return [Face(check_points(points, 68, "landmarks")) for points in landmarker(frame)]

    return alone

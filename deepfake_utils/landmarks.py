"""Where the features of a face lie: 68 points on each face of a frame.

A landmarker is any callable that takes a frame (H, W, 3) RGB uint8 and returns a list of (68, 2)
float64 points in frame pixels, one for each face, the largest face first and [] if there is none.
`MeshLandmarker` works out of the box on any machine. Another one is `FanLandmarker` in
detectors/fan.py; put a new one into a file beside it.

The 68 points are those of the Multi-PIE markup (Gross et al. 2010; 300-W, Sagonas et al. 2013).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .detectors.blazeface import Detection, FaceDetector, overlap
from .detectors.facemesh import MIN_PRESENCE, FaceMesh
from .images import Image, Points, check_points

Landmarker = Callable[[Image], list[Points]]

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


class MeshLandmarker:
    """68 points by BlazeFace and FaceMesh (see `detectors`), whose weights come with this package.

    Not for use from several threads at once.
    """

    def __init__(
        self,
        *,
        min_score: float = 0.5,
        max_faces: int | None = None,
        refine: int = 1,
        mirror: bool = True,
        search: bool = True,
        models_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Load both models; takes about 10 ms.

        Args:
            min_score: leave out what the detector is less sure to be a face, 0..1.
            max_faces: return at most that many, the largest; None is all.
            refine: how often to fit the mesh again on a crop laid around the fit before. Each
                time costs 2.5 ms a face. Once takes the error on heads turned by 45 degrees in
                the picture from 5.2 to 4.1 % of the eye distance, on faces of 50 pixels from 6.8
                to 4.8 %; on large upright faces it changes little (4.0 to 4.2 %).
            mirror: fit the mesh to the mirrored face, too, and take the mean of both: 2.5 ms a face
                more, and its errors to one side cancel out.
            search: where a frame seems to show no face, look again for a very large one and for
                small ones; costs time only in such frames.
            models_dir: folder with the models; None is the package's own.

        Raises:
            FileNotFoundError: if a model file is missing.
            ValueError: if a model file is damaged or an argument is out of range.
        """
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"max_faces: expected 1 or more, or None for all, got {max_faces}")
        self.max_faces = max_faces
        self.mirror = mirror
        self._detect = FaceDetector(min_score=min_score, search=search, models_dir=models_dir)
        self._mesh = FaceMesh(refine=refine, models_dir=models_dir)

    def __call__(self, frame: Image) -> list[Points]:
        """68 points (x, y) of each face in `frame`, float64 (68, 2) in frame pixels.

        Points of a face that is cut off by the frame's edge may lie outside the frame.

        Returns:
            The largest face first; [] if there is none.

        Raises:
            TypeError: if `frame` is not a uint8 array.
            ValueError: if its shape is not (H, W, 3).
        """
        faces = []
        for mesh in self.mesh468(frame):
            points = mesh[MESH68]
            if self.mirror:
                points = (points + self._mesh.mirrored(frame, mesh)[MESH68][FLIP68]) / 2.0
            faces.append(points)
        return faces

    def mesh468(self, frame: Image) -> list[Points]:
        """As calling the object, but all 468 points of FaceMesh, (468, 2), without `mirror`."""
        for detections in self._detect.rounds(frame):
            found = self._fit(frame, detections)
            if found:
                return found
        return []

    def _fit(self, frame: Image, detections: list[Detection]) -> list[Points]:
        """Meshes (468, 2) of those detections that are faces, largest first."""
        found: list[Points] = []
        boxes = np.empty((0, 4))
        for detection in detections:
            points, presence = self._mesh(frame, detection)
            box = np.concatenate([points.min(axis=0), points.max(axis=0)])
            # The mesh knows better than the detector what is a face, and two boxes on one face end
            # up as the same mesh.
            if presence < MIN_PRESENCE or (overlap(box, boxes) > 0.5).any():
                continue
            found.append(points)
            boxes = np.concatenate([boxes, box[None]])
            if len(found) == self.max_faces:
                break
        sizes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        return [found[i] for i in np.argsort(-sizes, kind="stable")]

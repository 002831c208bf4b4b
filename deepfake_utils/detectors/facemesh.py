"""Fitting 468 points to a face: FaceMesh (Kartynnik et al. 2019, arXiv:1907.06724).

It takes an upright face cut out at 192x192 pixels. How its numbers are to be read follows the paper
and the public description of the model.
"""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points
from .blazeface import Detection
from .weights import MESH_FILE, forward, read_model

MESH_SIZE = 192  # side of the square that FaceMesh sees, pixels
CROP_SCALE = 1.5  # FaceMesh was trained on crops 1.5 times the face's box
MIN_PRESENCE = 0.5  # FaceMesh's own opinion that there is a face in the crop, 0..1

# Outer corners of the eyes in the mesh, the one on the left of the picture first; they give the
# angle of the head in the picture.
_EYE_CORNERS = (33, 263)


class FaceMesh:
    """FaceMesh: 468 points on one face, whose rough place is known."""

    def __init__(
        self, *, refine: int = 1, models_dir: str | os.PathLike[str] | None = None
    ) -> None:
        """Load the model.

        Args:
            refine: how often to run again on a crop laid around the points found before; 0 or
                more.
            models_dir: folder with the model; None is the package's own.

        Raises:
            ValueError: if `refine` is negative, or the model file is not the expected one.
        """
        if refine < 0:
            raise ValueError(f"refine: expected 0 or more, got {refine}")
        self.refine = refine
        self._net = read_model(MESH_FILE, models_dir)

    def __call__(self, frame: Image, detection: Detection) -> tuple[Points, float]:
        """Fit the mesh to the face at `detection`.

        Returns:
            Points (468, 2) in frame pixels, and how sure the network is that they lie on a face,
            0..1.
        """
        frame = np.ascontiguousarray(frame)  # OpenCV takes no views with negative steps
        low, high = detection.box.reshape(2, 2)
        turn = _upright(detection.points[1] - detection.points[0])
        crop = _crop_to_frame((low + high) / 2, float((high - low).max()), turn)
        points, presence = self._run(frame, crop)
        for _ in range(self.refine):
            if presence < MIN_PRESENCE:
                break
            points, presence = self._run(frame, _crop_around(points))
        return points, presence

    def mirrored(self, frame: Image, points: Points) -> Points:
        """Fit the mesh to the mirror image of a face whose points are known.

        Returns:
            (468, 2) in frame pixels (of the frame itself, not of its mirror image); point i is the
            mirror image's point i, so it lies on the other side of the face.
        """
        to_frame = _crop_around(points)
        to_frame[:, 2] += to_frame[:, 0] * (MESH_SIZE - 1)
        to_frame[:, 0] *= -1.0
        return self._run(np.ascontiguousarray(frame), to_frame)[0]

    def _run(self, frame: Image, to_frame: NDArray[np.float64]) -> tuple[Points, float]:
        """Points in frame pixels and presence for one crop; `to_frame` maps crop -> frame."""
        # The frame's edge is continued outwards: a black border would pull the points inwards.
        crop = cv2.warpAffine(
            frame,
            to_frame,
            (MESH_SIZE, MESH_SIZE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._net.setInput(cv2.dnn.blobFromImage(crop, 1 / 255.0))
        flat, logit = forward(self._net, ["conv2d_21", "conv2d_31"])
        # x, y in pixels of the crop counted from its outer edge, and a depth that is not used
        points = flat.reshape(468, 3)[:, :2].astype(np.float64) - 0.5
        presence = 1.0 / (1.0 + np.exp(-np.clip(float(logit.reshape(-1)[0]), -80.0, 80.0)))
        return points @ to_frame[:, :2].T + to_frame[:, 2], float(presence)


def _upright(eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (2, 2), head's axes -> frame's; `eyes` (2,) goes from one eye to the other."""
    cos, sin = eyes / max(float(np.linalg.norm(eyes)), 1e-6)
    return np.array([[cos, -sin], [sin, cos]])


def _crop_around(points: Points) -> NDArray[np.float64]:
    """The crop that FaceMesh wants around a mesh (468, 2) fitted before: (2, 3), crop -> frame."""
    turn = _upright(points[_EYE_CORNERS[1]] - points[_EYE_CORNERS[0]])
    turned = points @ turn  # in the axes of the head
    low, high = turned.min(axis=0), turned.max(axis=0)
    return _crop_to_frame(turn @ (low + high) / 2, float((high - low).max()), turn)


def _crop_to_frame(
    centre: NDArray[np.float64], side: float, turn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Matrix (2, 3), crop -> frame, of the turned square that FaceMesh wants around a face.

    Args:
        centre: of the face, (2,) in frame pixels.
        side: the longer side of the face's box, frame pixels.
        turn: rotation (2, 2), crop's axes -> frame's.
    """
    linear = turn * (CROP_SCALE * max(side, 1.0) / MESH_SIZE)
    middle = np.full(2, (MESH_SIZE - 1) / 2)
    return np.concatenate([linear, (centre - linear @ middle)[:, None]], axis=1)

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
FOREHEAD = 0.15  # height of the mesh above the 68 points, in their height
FAINT = 0.1  # a presence below which there is none
REFINE = 6  # passes that all but a few faces settle in
SETTLED = 0.004  # of the face's size: a pass that moves the points by less on average is the last

# Outer corners of the eyes in the mesh, the one on the left of the picture first; they give the
# angle of the head in the picture.
_EYE_CORNERS = (33, 263)


class FaceMesh:
    """FaceMesh: 468 points on one face, whose rough place is known."""

    def __init__(
        self, *, refine: int = REFINE, models_dir: str | os.PathLike[str] | None = None
    ) -> None:
        """Load the model.

        Args:
            refine: how often, at most, to run again on a crop laid around the points found before;
                it stops when they have settled. 0 or more.
            models_dir: folder with the model; None is the package's own.

        Raises:
            ValueError: if `refine` is negative, or the model file is not the expected one.
        """
        if refine < 0:
            raise ValueError(f"refine: expected 0 or more, got {refine}")
        self.refine = refine
        self._net = read_model(MESH_FILE, models_dir)

    def __call__(
        self, frame: Image, detection: Detection, quarters: int = 0
    ) -> tuple[Points, float]:
        """Fit the mesh to the face at `detection`.

        Args:
            frame: (H, W, 3) RGB uint8.
            detection: where the face is.
            quarters: by how many quarters of a turn its eyes are taken to be wrong.

        Returns:
            Points (468, 2) in frame pixels, and how sure the network is that they lie on a face,
            0..1.
        """
        low, high = detection.box.reshape(2, 2)
        turn = upright(detection.points[1] - detection.points[0])
        turn = turn @ np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), quarters)
        side = CROP_SCALE * float((high - low).max())
        crop = square_to_frame((low + high) / 2, side, turn, MESH_SIZE)
        return self._settle(frame, crop)

    def again(self, frame: Image, points: Points, settled: float) -> tuple[Points, float]:
        """Fit the mesh to the face around a fit in the frame before.

        Args:
            frame: (H, W, 3) RGB uint8.
            points: (468, 2) in frame pixels.
            settled: the mean motion of a point, in shares of the face's size, that one more pass is
                not needed for.

        Returns:
            As calling the object.
        """
        return self._settle(frame, crop_around(points), points, settled)

    def _settle(
        self,
        frame: Image,
        crop: NDArray[np.float64],
        before: Points | None = None,
        settled: float = SETTLED,
    ) -> tuple[Points, float]:
        """Fit the mesh in a crop, and again in that around the fit, until the points settle."""
        points, presence = self._run(frame, crop)
        faint = 0  # passes without a face; one may be due to a poor crop
        for _ in range(self.refine):
            faint = faint + 1 if presence < FAINT else 0
            if before is not None:
                moved = np.linalg.norm(points - before, axis=1).mean()
                if faint > 1 or moved < settled * np.ptp(points, axis=0).max():
                    break
            before, (points, presence) = points, self._run(frame, crop_around(points))
        return points, presence

    def mirrored(self, frame: Image, points: Points) -> Points:
        """Fit the mesh to the mirror image of a face whose points are known.

        Returns:
            (468, 2) in frame pixels (of the frame itself, not of its mirror image); point i is the
            mirror image's point i, so it lies on the other side of the face.
        """
        to_frame = crop_around(points)
        to_frame[:, 2] += to_frame[:, 0] * (MESH_SIZE - 1)
        to_frame[:, 0] *= -1.0
        return self._run(frame, to_frame)[0]

    def _run(self, frame: Image, to_frame: NDArray[np.float64]) -> tuple[Points, float]:
        """Points in frame pixels and presence for one crop; `to_frame` maps crop -> frame."""
        crop = cut_crop(frame, to_frame, MESH_SIZE)
        self._net.setInput(cv2.dnn.blobFromImage(crop, 1 / 255.0))
        flat, logit = forward(self._net, ["conv2d_21", "conv2d_31"])
        # x, y in pixels of the crop counted from its outer edge, and a depth that is not used
        points = flat.reshape(468, 3)[:, :2].astype(np.float64) - 0.5
        presence = 1.0 / (1.0 + np.exp(-np.clip(float(logit.reshape(-1)[0]), -80.0, 80.0)))
        return points @ to_frame[:, :2].T + to_frame[:, 2], float(presence)


def upright(eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (2, 2), head's axes -> frame's; `eyes` (2,) goes from one eye to the other."""
    cos, sin = eyes / max(float(np.linalg.norm(eyes)), 1e-6)
    return np.array([[cos, -sin], [sin, cos]])


def cut_crop(frame: Image, to_frame: NDArray[np.float64], size: int) -> Image:
    """Cut a crop (size, size, 3) out of a frame; `to_frame` (2, 3) maps crop pixels to the frame's.

    The frame's edge is continued outwards: a black border would pull the points inwards.
    """
    return np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(frame),  # OpenCV takes no views with negative steps
            to_frame,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def crop_around(points: Points, size: int = MESH_SIZE) -> NDArray[np.float64]:
    """The crop that FaceMesh wants around a face fitted before: (2, 3), crop -> frame.

    Args:
        points: (468, 2) of a mesh, or (68, 2), in frame pixels.
        size: of the crop, pixels.
    """
    right, left = (36, 45) if len(points) == 68 else _EYE_CORNERS
    turn = upright(points[left] - points[right])
    turned = points @ turn  # in the axes of the head
    low, high = turned.min(axis=0), turned.max(axis=0)
    if len(points) == 68:  # they end at the brows, the mesh at the hair
        low[1] -= FOREHEAD * (high[1] - low[1])
    side = CROP_SCALE * float((high - low).max())
    return square_to_frame(turn @ (low + high) / 2, side, turn, size)


def square_to_frame(
    centre: NDArray[np.float64], side: float, turn: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    """Matrix (2, 3), crop -> frame, of a turned square.

    Args:
        centre: (2,) in frame pixels.
        side: in frame pixels.
        turn: rotation (2, 2), crop's axes -> frame's.
        size: of the crop, pixels.
    """
    linear = turn * (max(side, 1.0) / size)
    middle = np.full(2, (size - 1) / 2)
    return np.concatenate([linear, (centre - linear @ middle)[:, None]], axis=1)

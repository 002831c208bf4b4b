"""A face's 68 points, fitted until they settle, and judged: right, or no face."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..faces import MEAN_FACE
from ..images import Image, Points
from ..landmarks import FLIP68, INNER, LEFT_EYE, MESH68, MOUTH, RIGHT_EYE, Face
from ..umeyama import invert, transform_points, umeyama
from .blazeface import OVERLAP, BlazeFace, Detection, overlap
from .facemesh import CROP_SCALE, FaceMesh, crop_around, cut_crop
from .weights import SHORT_FILE

# Chosen on rendered heads of all sizes, rolls and yaws, some blurred, dark or partly covered, and
# on what BlazeFace takes for faces in real pictures without one: the best fit of a face that is off
# by more than 15 % of the eye distance reaches 0.23, and 9 % of those within 11 % are below, most
# of them turned away by 55 degrees and more or covered from the side.
MIN_CONFIDENCE = 0.28
AHEAD = 0.26  # outer corners of the eyes apart, in sides of the crop: less in a head turned away
SURE = 0.5  # below this, the face is fitted the other ways up as well
NOSE_TIP = 30
FARTHEST = 0.2  # from the mean face, root mean square; heads turned by 60 degrees are at 0.14
SAME = 0.5  # meshes whose boxes share more than this part of their union lie on one face
FOLLOWED = 0.02  # of a face's size: what it may move from frame to frame for one pass to do
MOST_JUMP = 0.3  # least overlap of a face's boxes in neighbouring frames; heads turn more slowly


class Fit(NamedTuple):
    """One face as fitted."""

    mesh: Points  # (468, 2), (x, y) in frame pixels
    face: Face

    @property
    def box(self) -> NDArray[np.float64]:
        """Left, top, right, bottom of the mesh, (4,) in frame pixels."""
        return np.concatenate([self.mesh.min(axis=0), self.mesh.max(axis=0)])

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return float(np.prod(np.ptp(self.mesh, axis=0)))


class FaceFitter:
    """FaceMesh, and what tells whether its points lie on a face and the right way up.

    FaceMesh finds a face in anything, and upside down in one that it is shown upside down. So each
    fit is judged by FaceMesh's own presence, by how well the mirrored face gives the same points,
    by how far the head is turned away, and by BlazeFace, short range: shown the face turned upright
    by the fit, it must find eyes, nose and mouth where the fit has them.
    """

    def __init__(
        self, refine: int, mirror: bool, models_dir: str | os.PathLike[str] | None = None
    ) -> None:
        """Load the models.

        Args:
            refine: see `FaceMesh`.
            mirror: whether the points are the mean of those of the face and its mirror image.
            models_dir: folder with the models; None is the package's own.

        Raises:
            ValueError: if `refine` is negative, or a model file is not the expected one.
        """
        self.mirror = mirror
        self._mesh = FaceMesh(refine=refine, models_dir=models_dir)
        self._check = BlazeFace(SHORT_FILE, models_dir)

    def find(
        self, frame: Image, detections: Iterable[Detection], known: Iterable[Fit] = ()
    ) -> list[Fit]:
        """Fit the detections that are faces and none of those known.

        Args:
            frame: (H, W, 3) RGB uint8.
            detections: in this frame.
            known: faces of this frame already fitted, which are kept.

        Returns:
            All of them, the largest first.
        """
        found = list(known)
        for detection in detections:
            if not _is_among(detection.box, found, OVERLAP):
                fit = self.fit(frame, detection)
                if fit is not None and not _is_among(fit.box, found, SAME):
                    found.append(fit)
        return sorted(found, key=lambda fit: -fit.area)

    def fit(self, frame: Image, detection: Detection) -> Fit | None:
        """Fit one detection in a frame (H, W, 3); None if it is no face, or not to be fitted."""
        best = self._judge(frame, *self._mesh(frame, detection))
        for quarters in (2, 1, 3):  # BlazeFace takes some upside-down faces for upright ones
            if best.face.confidence >= SURE:
                break
            fit = self._judge(frame, *self._mesh(frame, detection, quarters))
            best = max(best, fit, key=lambda each: each.face.confidence)
        return best if best.face.confidence >= MIN_CONFIDENCE else None

    def follow(self, frame: Image, known: Iterable[Fit]) -> list[Fit]:
        """Fit faces again that were fitted in the frame before; those that are lost are left out.

        Args:
            frame: (H, W, 3) RGB uint8.
            known: in the frame before.
        """
        found: list[Fit] = []
        for before in known:
            fit = self._judge(frame, *self._mesh.again(frame, before.mesh, FOLLOWED))
            stayed = overlap(fit.box, before.box[None])[0] >= MOST_JUMP
            if stayed and fit.face.confidence >= MIN_CONFIDENCE:
                if not _is_among(fit.box, found, SAME):
                    found.append(fit)
        return sorted(found, key=lambda fit: -fit.area)

    def _judge(self, frame: Image, mesh: Points, presence: float) -> Fit:
        """Say how sure it is that a mesh lies well on a face."""
        points = mesh[MESH68]
        mirrored = self._mesh.mirrored(frame, mesh)[MESH68][FLIP68]
        crop = crop_around(mesh, self._check.size)
        side = self._check.size * math.sqrt(abs(np.linalg.det(crop[:, :2])))  # frame pixels
        apart = float(np.linalg.norm(mirrored - points, axis=1).mean()) * CROP_SCALE / side
        mean = (points + mirrored) / 2.0
        agreed = agreement(self._check, frame, mean, crop)
        ahead = min(float(np.linalg.norm(mean[45] - mean[36])) / side / AHEAD, 1.0) ** 4
        confidence = presence**2 * math.exp(-((apart / 0.03) ** 2)) * ahead * agreed**2
        return Fit(mesh, Face(mean if self.mirror else points, confidence))


def agreement(check: BlazeFace, frame: Image, points: Points, crop: NDArray[np.float64]) -> float:
    """How well BlazeFace agrees with where a face's points lie, 0..1; 0 if they form no face.

    Args:
        check: the net for the short range.
        frame: (H, W, 3) RGB uint8.
        points: (68, 2) in frame pixels.
        crop: (2, 3), crop -> frame, of a crop of its size that is turned upright by the points.
    """
    shape = transform_points(points, umeyama(points[INNER], MEAN_FACE[INNER]))
    if np.sqrt(np.square(shape - MEAN_FACE)[INNER].sum(axis=1).mean()) > FARTHEST:
        return 0.0
    scores, seen = check(cut_crop(frame, crop, check.size), 0.1)
    if not len(scores):
        return 0.0
    own = (transform_points(points, invert(crop)) + 0.5) / check.size  # shares of the crop's side
    parts = [own[part].mean(axis=0) for part in (RIGHT_EYE, LEFT_EYE, MOUTH)]
    four = np.stack([*parts[:2], own[NOSE_TIP], parts[2]])
    off = np.linalg.norm(seen[:, 2:6] - four, axis=2).mean(axis=1)  # (N,)
    return float((np.minimum(scores / 0.9, 1.0) * np.exp(-np.square(off / 0.2))).max())


def _is_among(box: NDArray[np.float64], fits: list[Fit], share: float) -> bool:
    """Whether a box (4,) is that of one of the faces."""
    return bool(fits) and bool((overlap(box, np.stack([fit.box for fit in fits])) > share).any())

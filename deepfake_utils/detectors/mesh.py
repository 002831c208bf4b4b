"""68 points by BlazeFace and FaceMesh: the landmarker that works everywhere."""

from __future__ import annotations

import os

import numpy as np

from ..images import Image, Points
from ..landmarks import FLIP68, MESH68, Face, Watcher
from .blazeface import Detection, FaceDetector, overlap
from .facemesh import MIN_PRESENCE, FaceMesh


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
        return [face.points for face in self.faces(frame)]

    def faces(self, frame: Image) -> list[Face]:
        """As calling the object, a frame (H, W, 3), with how sure it is of each face."""
        faces = []
        for mesh, presence in self._meshes(frame):
            points = mesh[MESH68]
            if self.mirror:
                points = (points + self._mesh.mirrored(frame, mesh)[MESH68][FLIP68]) / 2.0
            faces.append(Face(points, presence))
        return faces

    def follow(self) -> Watcher:
        """What finds the faces in the frames of one film; see `landmarks.watch`."""
        return lambda frame, time_s: self.faces(frame)

    def mesh468(self, frame: Image) -> list[Points]:
        """As calling the object, but all 468 points of FaceMesh, (468, 2), without `mirror`."""
        return [mesh for mesh, _ in self._meshes(frame)]

    def _meshes(self, frame: Image) -> list[tuple[Points, float]]:
        for detections in self._detect.rounds(frame):
            found = self._fit(frame, detections)
            if found:
                return found
        return []

    def _fit(self, frame: Image, detections: list[Detection]) -> list[tuple[Points, float]]:
        """Meshes (468, 2) of those detections that are faces, and presences, largest first."""
        found: list[tuple[Points, float]] = []
        boxes = np.empty((0, 4))
        for detection in detections:
            points, presence = self._mesh(frame, detection)
            box = np.concatenate([points.min(axis=0), points.max(axis=0)])
            # The mesh knows better than the detector what is a face, and two boxes on one face end
            # up as the same mesh.
            if presence < MIN_PRESENCE or (overlap(box, boxes) > 0.5).any():
                continue
            found.append((points, presence))
            boxes = np.concatenate([boxes, box[None]])
            if len(found) == self.max_faces:
                break
        sizes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        return [found[i] for i in np.argsort(-sizes, kind="stable")]

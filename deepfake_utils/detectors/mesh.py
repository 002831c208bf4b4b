"""68 points by BlazeFace and FaceMesh: the landmarker that works everywhere."""

from __future__ import annotations

import os

from ..images import Image, Points
from ..landmarks import Face, Watcher
from .blazeface import FaceDetector
from .facemesh import REFINE
from .fitting import FaceFitter
from .following import FaceWatcher


class MeshLandmarker:
    """68 points by BlazeFace and FaceMesh (see `detectors`), whose weights come with this package.

    A face is right or not found: what FaceMesh cannot fit well is left out. Most are found up to
    these bounds, each by itself: 40 pixels high in 1920x1080, any roll, turned away by 45 degrees,
    blurred by motion over a tenth of the height, a twelfth of the light, covered from below by 40 %
    or from the side by 20 % (tests/benchmarks/finding.py).

    Not for use from several threads at once.
    """

    def __init__(
        self,
        *,
        min_score: float = 0.5,
        max_faces: int | None = None,
        refine: int = REFINE,
        mirror: bool = True,
        search: bool = True,
        look_s: float = 1.0,
        models_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Load the models; takes about 20 ms.

        Args:
            min_score: leave out what the detector is less sure to be a face, 0..1.
            max_faces: return at most that many, the largest; None is all.
            refine: how often, at most, to fit the mesh again on a crop laid around the fit before;
                it stops when the points have settled, mostly after two or three times of 2.5 ms.
            mirror: take the mean of the fit and that of the mirrored face, whose errors to one
                side cancel out.
            search: False looks at the whole frame only, not at tiles of it: faces must be a 15th of
                its longer side high.
            look_s: in a film, longest time in seconds from one look for faces to the next; in
                between, known faces are followed. 0 looks for faces in each frame.
            models_dir: folder with the models; None is the package's own.

        Raises:
            FileNotFoundError: if a model file is missing.
            ValueError: if a model file is damaged or an argument is out of range.
        """
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"max_faces: expected 1 or more, or None for all, got {max_faces}")
        if not look_s >= 0.0:
            raise ValueError(f"look_s: expected 0 s or more, got {look_s}")
        self.max_faces = max_faces
        self.look_s = look_s
        self._detect = FaceDetector(min_score=min_score, search=search, models_dir=models_dir)
        self._fitter = FaceFitter(refine, mirror, models_dir)

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
        fits = self._fitter.find(frame, self._detect(frame))
        return [fit.face for fit in fits][: self.max_faces]

    def follow(self) -> Watcher:
        """What finds the faces in the frames of one film; see `landmarks.watch`."""
        watcher = FaceWatcher(self._detect, self._fitter, self.look_s)
        return lambda frame, time_s: watcher(frame, time_s)[: self.max_faces]

    def mesh468(self, frame: Image) -> list[Points]:
        """As calling the object, but all 468 points of FaceMesh, (468, 2), without `mirror`."""
        fits = self._fitter.find(frame, self._detect(frame))
        return [fit.mesh for fit in fits][: self.max_faces]

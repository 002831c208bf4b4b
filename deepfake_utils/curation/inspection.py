"""What is measured of the crops of a faces folder, one by one: is this face worth training on?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..detectors.pose import head_pose
from ..extraction import FACES_FILE, crop_landmarks
from ..faces import CROP_COVERAGE, inner_face_mask
from ..files import reading
from ..images import Image, Points, read_image, scale_points
from ..scoring.expression import gaze, mouth_opening, visible_eyelid_closing
from ..scoring.likeness import sharpness
from ..scoring.seam import to_lab
from ..tracking.identity import IdentityModel
from .covering import covered_shares, unlikeness

SIDE = 256  # pixels: every crop is measured at this side and the usual coverage
# A crop is blurred if its sharpness at that side is below this. The sample people have 0.15 to
# 0.22; blurred by a Gaussian of 1.5 pixels they have 0.10, by 2 pixels 0.08, by 3 pixels 0.05.
BLURRED = 0.08
# Two crops are near-duplicates up to this distance. On the sample people noise of 5 levels of 255
# or a JPEG of quality 50 is 0.01, a blur of 1.5 pixels 0.02, a fifth of a second in the film 0.17.
# If every frame of their clips is taken, four in ten are nearer than 0.03 to another.
NEAR = 0.03

_THUMB, _THUMB_COVERAGE = 64, 0.8  # the inner face, for comparing crops with each other
_NEIGHBOURS = 15  # in pose: enough that a few wrong faces do not move their median

Measure = Literal[
    "sharpness",
    "size",
    "yaw",
    "pitch",
    "likeness",
    "covered",
    "mouth",
    "eyelids",
    "gaze",
    "frame",
    "person",
    "shot",
]
LabColour = tuple[float, float, float]  # L*, a*, b*
Thumbs = NDArray[np.uint8]  # (N, 64, 64), the aligned inner faces in grey


@dataclass(frozen=True)
class FaceMeasures:
    """What is known of one crop. The more of sharpness, size and likeness the better."""

    name: str  # of the file
    frame: int  # number of the frame it was cut from, among those looked at
    sharpness: float  # `likeness.sharpness` at 256 px: 0.1 to 0.3 for a face, below 0.08 blurred
    size: float  # in the film: pixels from the brows to the mouth, the mean face's longer side
    yaw: float  # degrees against the line of sight, positive to the picture's right
    pitch: float  # degrees against the line of sight, positive looking down
    likeness: float  # to the set's median face, 1 is equal; see `measure_faces`
    mouth: float  # `expression.mouth_opening`: 0 closed, about 0.3 wide open
    eyelids: float  # `expression.visible_eyelid_closing`, to be compared within the set
    covered: float  # share of the face, 0..1, before which something else is; see `covering`
    gaze: float  # `expression.gaze`: irises seen at the left corners are -1, at the right ones 1
    light: float  # which half is lighter, in L*: above 0 the picture's right, 0 if both are equal
    person: int  # who of the film's people, from 1; 0 if that is not known
    shot: int  # of the film, from 1; 0 if that is not known
    colour: LabColour  # mean L*, a*, b* of the inner face
    contrast: LabColour  # standard deviation of L*, a*, b* there

    def __post_init__(self) -> None:
        """Make tuples of the lists that JSON knows."""
        object.__setattr__(self, "colour", tuple(self.colour))
        object.__setattr__(self, "contrast", tuple(self.contrast))


def measure_faces(
    paths: Sequence[Path], record: Mapping[str, Any], identity: IdentityModel | None
) -> list[FaceMeasures]:
    """Look at every crop; takes some 15 ms each on one core, with `identity` 80 ms more.

    The crops come at one size and coverage, whatever theirs are, so that sets can be compared: a
    small face enlarged is less sharp. The pose is that of the crop's landmarks, seen by a camera
    that looks at the crop's middle: a head at the edge of a wide picture that looks straight ahead
    counts as turned, as the network sees it so. On the sample people it is within 2 degrees of the
    truth.

    Likeness is 1 less the distance between a crop's descriptor and the median of the set's, where
    0.6 between two pictures is dlib's limit for one person; without `identity` it is the
    correlation of the crop, 64 pixels of grey, with the median of the 15 that are nearest in pose.
    The correlation also falls with expression and light, but more where a crop shows no face, or a
    covered one.

    Args:
        paths: the crops, in the order of the frames.
        record: what their folder's faces.json says.
        identity: tells whose face it is; None for the correlation.

    Raises:
        ValueError: if a crop is no image or faces.json lacks its landmarks.
    """
    rows: list[dict[str, Any]] = []
    thumbs, descriptors, unlike = [], [], []
    coverage = float(record.get("coverage", CROP_COVERAGE))
    for path in tqdm(paths, "look at the faces", leave=False, delay=2.0):
        entry = record["faces"][path.name]
        image = read_image(path)
        wanted = f"'landmarks' (68, 2) and 'matrix' (2, 3) of {path.name}"
        with reading(path.parent / FACES_FILE, wanted, "extract the faces again"):
            points = crop_landmarks(entry)
            scale = math.sqrt(abs(np.linalg.det(np.asarray(entry["matrix"], np.float64)[:, :2])))
        thumbs.append(_thumb(image, coverage))
        if identity is not None:
            descriptors.append(identity(image, points))
        size = coverage * len(image) / scale
        rows.append({"name": path.name, "frame": int(entry.get("frame", 0)), "size": size})
        rows[-1].update({key: int(entry.get(key, 0)) for key in ("person", "shot")})
        rows[-1].update(_look(*_usual(image, points, coverage)))
        unlike.append(unlikeness(image, points))
    if descriptors:
        likeness = _to_median(np.stack(descriptors))
    else:
        likeness = _correlation(np.stack(thumbs), np.array([(r["yaw"], r["pitch"]) for r in rows]))
    measured = zip(rows, likeness, covered_shares(np.stack(unlike)), strict=True)
    return [
        FaceMeasures(**row, likeness=float(like), covered=float(cover))
        for row, like, cover in measured
    ]


def read_thumbs(paths: Sequence[Path], record: Mapping[str, Any]) -> Thumbs:
    """The inner faces in grey, for `near_duplicates`; arguments as of `measure_faces`."""
    coverage = float(record.get("coverage", CROP_COVERAGE))
    return np.stack([_thumb(read_image(path), coverage) for path in paths])


def near_duplicates(
    thumbs: Thumbs, sharp: Sequence[float], threshold: float = NEAR
) -> list[list[int]]:
    """Groups of crops that show almost the same, the sharpest of each group first.

    The distance of two crops is 1 less the mean over the inner face of the product of their
    locally normalised grey levels (less the mean around each pixel, divided by the spread there):
    the structure term of SSIM (Z. Wang et al., "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE TIP 13(4), 2004, eq. 10), which light does not change. 0 is the
    same picture, 1 an unrelated one.

    Sharpest first, a crop either starts a group or joins the nearest of those that did. So each
    that is dropped is near one that stays, and a slow movement is thinned rather than lost.

    Args:
        thumbs: (N, 64, 64) uint8, from `read_thumbs`.
        sharp: N numbers; higher is sharper.
        threshold: how far apart near-duplicates may be.

    Returns:
        Groups of at least two indices.

    Raises:
        ValueError: if `threshold` is not in 0..1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold: expected 0 to 1, got {threshold}")
    features = _structure(thumbs)
    groups: dict[int, list[int]] = {}
    for index in np.argsort(-np.asarray(sharp), kind="stable").tolist():
        heads = list(groups)
        apart = 1.0 - features[heads] @ features[index]
        nearest = int(np.argmin(apart)) if heads else -1
        if heads and apart[nearest] <= threshold + 1e-6:
            groups[heads[nearest]].append(index)
        else:
            groups[index] = [index]
    return [group for group in groups.values() if len(group) > 1]


def share_of_twins(one: Thumbs, other: Thumbs, threshold: float = 0.05) -> float:
    """Which share of the smaller of two sets shows the same as some crop of the other, 0..1.

    Args:
        one: (N, 64, 64) uint8, from `read_thumbs`.
        other: (M, 64, 64) uint8.
        threshold: how far apart the same may be; see `near_duplicates`.
    """
    few, many = sorted((one, other), key=len)
    features, found = _structure(many), 0
    for start in range(0, len(few), 256):
        alike = _structure(few[start : start + 256]) @ features.T
        found += int((alike.max(axis=1) >= 1.0 - threshold).sum())
    return found / max(1, len(few))


def _structure(thumbs: Thumbs) -> NDArray[np.float32]:
    """(N, 4096), locally normalised and of length 1."""
    features = np.empty((len(thumbs), _THUMB * _THUMB), np.float32)
    for row, thumb in zip(features, thumbs, strict=True):
        grey = thumb.astype(np.float32)
        mean = cv2.GaussianBlur(grey, (0, 0), 3.0)
        spread = np.sqrt(np.maximum(cv2.GaussianBlur(grey * grey, (0, 0), 3.0) - mean * mean, 0.0))
        local = (grey - mean) / (spread + 4.0)  # smooth skin must not become its noise
        row[:] = (local / max(float(np.linalg.norm(local)), 1e-6)).ravel()
    return features


def _thumb(image: Image, coverage: float) -> NDArray[np.uint8]:
    """(64, 64), the inner face in grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    edge = round(len(grey) * max(0.0, 1.0 - coverage / _THUMB_COVERAGE) / 2.0)
    inner = grey[edge : len(grey) - edge, edge : len(grey) - edge]
    return np.asarray(cv2.resize(inner, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA), np.uint8)


def _usual(image: Image, points: Points, coverage: float) -> tuple[Image, Points]:
    """A crop and its points at the usual side and coverage."""
    ratio = SIDE * CROP_COVERAGE / (len(image) * coverage)
    side = max(8, round(len(image) * ratio))
    if side == len(image):
        return image, points
    way = cv2.INTER_AREA if ratio < 1.0 else cv2.INTER_CUBIC
    ratio = side / len(image)
    return cv2.resize(image, (side, side), interpolation=way), scale_points(points, ratio)


def _look(image: Image, points: Points) -> dict[str, Any]:
    """What one crop shows."""
    yaw, pitch, _ = head_pose(points, image.shape[:2]).angles_deg
    inside, lab = inner_face_mask(points, image.shape[:2]), to_lab(image)
    left = np.arange(image.shape[1]) < points[27:31, 0].mean()  # of the ridge of the nose
    light = [float(lab[inside & half, 0].mean()) for half in (~left, left) if (inside & half).any()]
    lab = lab[inside]
    return {
        "sharpness": sharpness(image, points),
        "yaw": float(yaw),
        "pitch": float(pitch),
        "mouth": float(mouth_opening(points)),
        "eyelids": visible_eyelid_closing(image, points),
        "gaze": gaze(image, points),
        "light": light[0] - light[-1],
        "colour": tuple(lab.mean(axis=0).tolist()),
        "contrast": tuple(lab.std(axis=0).tolist()),
    }


def _to_median(descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = np.median(descriptors, axis=0)
    return np.asarray(1.0 - np.linalg.norm(descriptors - middle, axis=1))


def _correlation(thumbs: Thumbs, poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each thumb with its neighbours' median, all brought to one brightness and contrast."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    found = np.empty(len(flat))
    for index, (row, pose) in enumerate(zip(flat, poses, strict=True)):
        near = np.argsort(np.linalg.norm(poses - pose, axis=1), kind="stable")[:_NEIGHBOURS]
        middle = np.median(flat[near], axis=0)
        middle -= middle.mean()
        found[index] = row @ middle / max(float(np.linalg.norm(middle)), 1e-6)
    return found

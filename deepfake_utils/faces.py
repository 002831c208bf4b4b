"""From a frame and its landmarks to aligned crops, and from a film to a folder of them.

Faces are aligned by the similarity (`umeyama`) that best maps their steady points, brows, eyes,
underside of the nose and outer lips, to those of a mean face. A crop remembers its matrix, so that
what is drawn on it can be put back.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .consent import Consent, Subject, read_consent, write_consent
from .images import (
    Image,
    Mask,
    Matrix,
    Points,
    check_image,
    check_points,
    list_images,
    read_image,
    whole_file,
    write_image,
)
from .landmarks import INNER, LEFT_BROW, RIGHT_BROW, STEADY, Landmarker
from .umeyama import transform_points, umeyama
from .verification import training_refused

logger = logging.getLogger(__name__)

FACES_FILE = "faces.json"
BROWS = slice(RIGHT_BROW.start, LEFT_BROW.stop)
CROP_COVERAGE = 0.5  # of crops on disk: room to turn, zoom and shift them in training

# Mean of the 68 points of the two sample people looking ahead (yaw within 6 degrees), brought
# together by generalised Procrustes analysis and made symmetric; data/samples/truth.npz, rendered
# from ICT-FaceKit (MIT), re-derived in tests/test_faces.py. Unit: the longer side of the box
# around points 17-67; origin: the centre of that box.
# fmt: off
MEAN_FACE: Points = np.array(
    [
        (-0.609, -0.21), (-0.601, -0.037), (-0.573, 0.119), (-0.544, 0.27),
        (-0.485, 0.445), (-0.373, 0.6), (-0.267, 0.674), (-0.141, 0.728),
        (0.0, 0.765), (0.141, 0.728), (0.267, 0.674), (0.373, 0.6),
        (0.485, 0.445), (0.544, 0.27), (0.573, 0.119), (0.601, -0.037),
        (0.609, -0.21), (-0.5, -0.367), (-0.425, -0.447), (-0.327, -0.479),
        (-0.207, -0.478), (-0.1, -0.453), (0.1, -0.453), (0.207, -0.478),
        (0.327, -0.479), (0.425, -0.447), (0.5, -0.367), (0, -0.267),
        (0, -0.174), (0, -0.085), (0, 0.024), (-0.111, 0.158),
        (-0.056, 0.161), (0, 0.169), (0.056, 0.161), (0.111, 0.158),
        (-0.375, -0.207), (-0.33, -0.245), (-0.237, -0.255), (-0.155, -0.204),
        (-0.232, -0.186), (-0.329, -0.184), (0.155, -0.204), (0.237, -0.255),
        (0.33, -0.245), (0.375, -0.207), (0.329, -0.184), (0.232, -0.186),
        (-0.224, 0.358), (-0.155, 0.296), (-0.069, 0.27), (0, 0.273),
        (0.069, 0.27), (0.155, 0.296), (0.224, 0.358), (0.161, 0.437),
        (0.094, 0.468), (0, 0.479), (-0.094, 0.468), (-0.161, 0.437),
        (-0.198, 0.364), (-0.094, 0.331), (0, 0.334), (0.094, 0.331),
        (0.198, 0.364), (0.102, 0.389), (0, 0.4), (-0.102, 0.389),
    ]
)
# fmt: on
# A crop is centred this far below the origin: enough for most of the chin, with room for the brows.
CENTRE_Y = 0.08


@dataclass(frozen=True)
class AlignedFace:
    """A face cut out of a frame so that its features sit where the mean face has them."""

    image: Image  # (S, S, 3) RGB uint8
    landmarks: Points  # (68, 2), (x, y) in crop pixels
    matrix: Matrix  # (2, 3), maps frame pixels to crop pixels; `umeyama.invert` goes back


def mean_face(size: int, coverage: float = CROP_COVERAGE) -> Points:
    """Where the 68 points of the mean face lie in a crop.

    Args:
        size: side of the crop in pixels.
        coverage: share of that side that the mean face's points 17-67 span, 0.2..1.

    Returns:
        (68, 2) float64, (x, y) in crop pixels.

    Raises:
        ValueError: if `size` is below 8 or `coverage` outside 0.2..1.
    """
    if size < 8:
        raise ValueError(f"size: expected at least 8 pixels, got {size}")
    if not 0.2 <= coverage <= 1.0:
        raise ValueError(f"coverage: expected 0.2 to 1.0, got {coverage}")
    return (MEAN_FACE - [0.0, CENTRE_Y]) * (coverage * size) + (size - 1) / 2.0


def align_face(
    frame: Image, landmarks: Points, size: int = 256, coverage: float = CROP_COVERAGE
) -> AlignedFace:
    """Cut out one face so that its landmarks sit on the mean face.

    What lies outside the frame is filled with the frame's edge pixels.

    Args:
        frame: (H, W, 3) RGB uint8.
        landmarks: (68, 2), (x, y) in frame pixels.
        size: side of the square crop in pixels.
        coverage: share of that side that the mean face spans; larger is closer.

    Returns:
        The crop, its landmarks, and the matrix that maps frame pixels to crop pixels.

    Raises:
        TypeError, ValueError: if the frame is no image, the landmarks are not (68, 2), all of
            them coincide, or size or coverage are out of range.
    """
    check_image(frame, "frame")
    landmarks = check_points(landmarks, 68, "landmarks")
    matrix = umeyama(landmarks[STEADY], mean_face(size, coverage)[STEADY])
    image = _warp(frame, matrix, size)
    return AlignedFace(image, transform_points(landmarks, matrix), matrix)


def _warp(frame: Image, matrix: Matrix, size: int) -> Image:
    """Cut (size, size) out of the frame; a large face is averaged down, not sampled."""
    shrink = 1.0 / math.sqrt(abs(np.linalg.det(matrix[:, :2])))  # frame pixels per crop pixel
    factor = min(8, max(1, math.ceil(shrink - 0.25)))
    # A pixel of the crop covers factor x factor pixels of the finer picture, whose centres lie
    # half a crop pixel less half a fine one before the crop pixel's own.
    fine = matrix * factor
    fine[:, 2] += (factor - 1) / 2.0
    crop = cv2.warpAffine(
        frame,
        fine,
        (size * factor, size * factor),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if factor > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def face_mask(
    landmarks: Points, size_hw: tuple[int, int], feather: float = 0.12, forehead: float = 0.2
) -> Mask:
    """A soft mask over the face: the hull of its landmarks, fading to 0 towards its edge.

    Args:
        landmarks: (68, 2), (x, y) in pixels of the mask.
        size_hw: height and width of the mask in pixels.
        feather: width of the fade as a share of the face's size; it lies inside the hull.
        forehead: how far the hull reaches above the brows, as a share of that size.

    Returns:
        (H, W) float32 in 0..1; 1 well inside the face, 0 from a pixel outside the hull on.

    Raises:
        ValueError: if the landmarks are not (68, 2) or `feather` is negative.
    """
    landmarks = check_points(landmarks, 68, "landmarks")
    if feather < 0.0:
        raise ValueError(f"feather: expected at least 0, got {feather}")
    to_face = umeyama(MEAN_FACE[INNER], landmarks[INNER])  # mean face -> mask pixels
    unit = math.sqrt(abs(np.linalg.det(to_face[:, :2])))  # the face's size in pixels
    up = -forehead * to_face[:, 1]  # the face's own upwards
    hull = cv2.convexHull(np.vstack([landmarks, landmarks[BROWS] + up]).astype(np.float32))
    filled = np.zeros(size_hw, np.uint8)
    # 3 bits of sub-pixel position keep the edge from jumping between frames.
    cv2.fillConvexPoly(filled, np.rint(hull * 8).astype(np.int32), 255, cv2.LINE_AA, shift=3)
    mask = filled.astype(np.float32) / 255.0
    reach = round(feather * unit / 2)
    if reach < 1:
        return mask
    # A blur as wide as the fade, of a hull shrunk by half the fade, ends where the hull ended.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    edge = {"borderType": cv2.BORDER_CONSTANT}
    shrunk = cv2.erode(mask, disc, borderValue=0, **edge)
    soft = cv2.GaussianBlur(shrunk, (0, 0), reach / 2.0, **edge)
    return np.asarray(np.minimum(soft * mask, 1.0), np.float32)


@dataclass(frozen=True)
class ExtractionReport:
    """What `extract_faces` found and wrote."""

    folder: Path  # where the crops and faces.json are
    frames: int  # frames looked at
    saved: int  # crops written
    frames_without_face: int
    frames_with_several: int  # of these only the largest face was taken


def extract_faces(
    frames: Iterable[Image],
    folder: str | os.PathLike[str],
    landmarker: Landmarker,
    size: int = 256,
    coverage: float = CROP_COVERAGE,
    overwrite: bool = False,
    consent: Subject | None = None,
    source: str | os.PathLike[str] | None = None,
) -> ExtractionReport:
    """Write the largest face of each frame as a PNG crop, and what is known of them as faces.json.

    The folder is for looking through: delete a bad crop and it is gone from the training set.
    `faces.json` holds for each crop its frame number, its landmarks (68, 2) in frame pixels and
    the matrix (2, 3) from frame to crop, and for all of them landmarker, crop size and coverage.

    Args:
        frames: RGB uint8 frames, e.g. `video.read_frames(path)`.
        folder: where to write; made if missing.
        landmarker: frame -> list of (68, 2) points.
        size: side of the crops in pixels.
        coverage: share of that side that the mean face spans.
        overwrite: True replaces the crops that an earlier run wrote into `folder`.
        consent: who the person is (no name) and why the pictures may be used, for training;
            written beside the crops as consent.json.
        source: the clip that the frames are from; a signed wish in it that no AI be trained on it
            (C2PA training-mining) is noted in faces.json.

    Raises:
        FileExistsError: if the folder holds crops already and `overwrite` is False.
        NotADirectoryError: if `folder` is a file.
        ValueError: if there is no frame, or no face in any of them.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"expected a folder to write crops to, got the file {folder}")
    if folder.exists() and not overwrite:
        if (folder / FACES_FILE).exists() or any(folder.glob("face_*.png")):
            raise FileExistsError(
                f"{folder} holds faces already; use them as they are, choose another folder, "
                "or pass overwrite=True to replace them"
            )
    mean_face(size, coverage)  # wrong numbers should not surface after a long run
    # Plain names only: a doctored faces.json must not make us delete files elsewhere.
    earlier = [folder / name for name in _entries(folder) if re.fullmatch(r"face_\d+\.png", name)]
    entries: dict[str, dict[str, Any]] = {}
    total = several = 0
    for number, frame in enumerate(frames):
        total += 1
        found = landmarker(frame)
        several += len(found) > 1
        if not found:
            continue
        face = align_face(frame, found[0], size, coverage)
        name = f"face_{number:06d}.png"
        write_image(folder / name, face.image, png_compression=1)
        entries[name] = {
            "frame": number,
            "landmarks": np.round(found[0], 3).tolist(),
            "matrix": face.matrix.tolist(),
        }
    if not total:
        raise ValueError("expected frames to look for faces in, got none")
    if not entries:
        raise ValueError(
            f"expected a face in at least one frame, got none in {total}; use a clip in which one "
            "face is well lit, turned to the camera, and at least a tenth of the frame high"
        )
    for path in earlier:
        if path.name not in entries:
            path.unlink(missing_ok=True)
    record = {
        "version": 1,
        "landmarker": getattr(landmarker, "__name__", type(landmarker).__name__),
        "crop_size": size,
        "coverage": coverage,
        "training_refused": source is not None and training_refused(source),
        "faces": entries,
    }
    with whole_file(folder / FACES_FILE) as part:
        part.write_text(json.dumps(record), encoding="utf-8")
    if consent is not None:
        write_consent(folder, consent)
    if several:
        logger.warning("%d of %d frames show several faces; took the largest", several, total)
    return ExtractionReport(folder, total, len(entries), total - len(entries), several)


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """The `faces` part of faces.json, {} if there is none."""
    return dict(_read_record(folder).get("faces", {}))


def _crop_landmarks(entry: dict[str, Any]) -> Points:
    """The landmarks of an entry of faces.json, moved from frame to crop pixels."""
    points = check_points(entry["landmarks"], 68, "landmarks")
    return transform_points(points, np.asarray(entry["matrix"], np.float64))


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / FACES_FILE
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"expected JSON in {path}, got something else ({error}); delete it to use the crops "
            "without landmarks, or extract the faces again"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("faces", {}), dict):
        raise ValueError(f"expected an object with 'faces' in {path}; extract the faces again")
    return record


@dataclass(frozen=True)
class FaceSet:
    """The crops of one person, in memory."""

    images: NDArray[np.uint8]  # (N, S, S, 3) RGB
    landmarks: NDArray[np.float64] | None  # (N, 68, 2), (x, y) in crop pixels, if known
    coverage: float  # share of the crops' side that the mean face spans
    paths: tuple[Path, ...]  # where each crop came from
    consent: Consent | None = None  # of the person, if the folder has a record of it
    training_refused: bool = False  # whether their clip bears a signed wish against training

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.images)

    def part(self, which: slice) -> FaceSet:
        """Some of the crops."""
        points = None if self.landmarks is None else self.landmarks[which]
        images, paths = self.images[which], self.paths[which]
        return dataclasses.replace(self, images=images, landmarks=points, paths=paths)

    def split(self, share: float = 0.1) -> tuple[FaceSet, FaceSet]:
        """Hold the last crops out of training, to see when it stops helping.

        The last in one piece, not some at random: neighbours in a clip are almost the same
        picture, and a network that knows one knows the other.

        Args:
            share: of the crops to hold out, at least two of them.

        Returns:
            Those to train on, and those to check with.

        Raises:
            ValueError: if one of the two would be empty.
        """
        held = max(2, round(share * len(self))) if 0.0 < share < 1.0 else len(self)
        if held >= len(self):
            raise ValueError(
                f"share: expected between 0 and 1, leaving crops to train on, got {share} of "
                f"{len(self)}"
            )
        return self.part(slice(None, -held)), self.part(slice(-held, None))


def load_faces(folder: str | os.PathLike[str]) -> FaceSet:
    """Read the crops that are (still) in a folder.

    With a `faces.json` only the crops it lists are read; without one every picture is taken for a
    crop of the default coverage, and no landmarks are known.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder.
        ValueError: if it holds no crop, a crop is not square, or the sizes differ.
    """
    folder = Path(folder)
    paths = list_images(folder)
    record = _read_record(folder)
    entries = record.get("faces", {})
    if record:
        strangers = [path.name for path in paths if path.name not in entries]
        if strangers:
            logger.warning("%s: left out %d pictures not in faces.json", folder, len(strangers))
        paths = [path for path in paths if path.name in entries]
        if not paths:
            raise ValueError(
                f"expected crops that {folder / FACES_FILE} lists, got none; extract them again"
            )
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != (len(images[0]), len(images[0]), 3):
            raise ValueError(
                f"expected square crops of one size ({len(images[0])} px), got "
                f"{image.shape[1]}x{image.shape[0]} in {path}; extract the faces with one size"
            )
    landmarks = None
    if record:
        try:
            landmarks = np.stack([_crop_landmarks(entries[path.name]) for path in paths])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"expected 'landmarks' (68, 2) and 'matrix' (2, 3) of each crop in "
                f"{folder / FACES_FILE}, got something else ({error!r}); extract the faces again"
            ) from error
    coverage = float(record.get("coverage", CROP_COVERAGE))
    refused = record.get("training_refused") is True
    if not record:  # pictures from elsewhere, which may bear the wish themselves
        refused = any(map(training_refused, paths))
    consent = read_consent(folder)
    return FaceSet(np.stack(images), landmarks, coverage, tuple(paths), consent, refused)

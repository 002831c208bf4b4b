"""Landmarks against the truth of the rendered sample clips, by BlazeFace and FaceMesh."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from deepfake_utils.detectors import FaceMesh, MeshLandmarker
from deepfake_utils.detectors import blazeface as detector
from deepfake_utils.images import Image, Points
from deepfake_utils.landmarks import (
    FLIP68,
    INNER,
    JAW,
    LEFT_BROW,
    LEFT_EYE,
    MESH68,
    MOUTH,
    NOSE,
    RIGHT_BROW,
    RIGHT_EYE,
    outer_eye_distance,
)

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "deepfake_utils" / "data" / "samples"
CLIPS = {"a": 450, "b": 350, "b_as_a": 100}  # name -> frames


@cache
def clip(name: str, step: int = 10) -> list[Image]:
    """Every `step`-th frame of a sample clip."""
    with av.open(str(SAMPLES / f"person_{name}.mp4")) as container:
        return [
            frame.to_ndarray(format="rgb24")
            for i, frame in enumerate(container.decode(video=0))
            if i % step == 0
        ]


@cache
def truth(name: str, step: int = 10) -> np.ndarray:
    """True points (n, 68, 2) of the frames of `clip`."""
    return np.load(SAMPLES / "truth.npz")[f"landmarks_{name}"].astype(np.float64)[::step]


@pytest.fixture(scope="module")
def landmarker() -> MeshLandmarker:
    return MeshLandmarker()


def errors(points: Points, true: Points) -> np.ndarray:
    """Distance of each point to the truth in percent of the true eye distance, (68,)."""
    return 100 * np.linalg.norm(points - true, axis=1) / outer_eye_distance(true)


def moved(frame: Image, true: Points, matrix: np.ndarray) -> tuple[Image, Points]:
    """Frame and points under an affine map, on a frame of the same size."""
    size = (frame.shape[1], frame.shape[0])
    shown = cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_AREA)
    return shown, true @ matrix[:, :2].T + matrix[:, 2]


# Points --------------------------------------------------------------------------------------


def test_groups_cover_the_68_points_once() -> None:
    groups = (JAW, RIGHT_BROW, LEFT_BROW, NOSE, RIGHT_EYE, LEFT_EYE, MOUTH)
    assert [i for g in groups for i in range(68)[g]] == list(range(68))
    assert list(range(68)[INNER]) == list(range(17, 68))


def test_flip68_mirrors_the_true_faces() -> None:
    assert np.array_equal(FLIP68[FLIP68], np.arange(68))
    # The rendered heads are nearly symmetric: the mean of the mirrored frames, aligned at the
    # eyes, looks like the mean of the frames only if every point went to its counterpart.
    points = truth("a") - truth("a")[:, [36, 45]].mean(axis=1, keepdims=True)
    mirrored = points[:, FLIP68] * [-1, 1]
    apart = np.linalg.norm(points.mean(axis=0) - mirrored.mean(axis=0), axis=1)
    assert apart.max() < 0.25 * outer_eye_distance(points.mean(axis=0))


def test_mesh68_names_68_different_mesh_points() -> None:
    assert MESH68.shape == (68,)
    assert len(set(MESH68.tolist())) == 68
    assert MESH68.min() >= 0
    assert MESH68.max() < 468


def test_outer_eye_distance_is_from_36_to_45() -> None:
    points = np.zeros((68, 2))
    points[36], points[45] = (10, 20), (13, 24)
    assert outer_eye_distance(points) == pytest.approx(5.0)
    with pytest.raises(ValueError, match=r"expected shape \(68, 2\)"):
        outer_eye_distance(points[:67])


# MeshLandmarker: accuracy --------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
def test_error_against_the_truth(landmarker: MeshLandmarker, name: str) -> None:
    per_frame = []
    for frame, true in zip(clip(name), truth(name), strict=True):
        faces = landmarker(frame)
        assert len(faces) == 1
        assert faces[0].shape == (68, 2)
        assert faces[0].dtype == np.float64
        per_frame.append(errors(faces[0], true))
    all_errors = np.array(per_frame)
    assert all_errors.mean() < 5.0
    assert all_errors[:, INNER].mean() < 4.5
    assert all_errors.mean(axis=1).max() < 8.0  # the worst frame
    assert all_errors.mean(axis=0)[INNER].max() < 12.0  # the worst point: two swapped would show
    assert all_errors[:, 36:].mean(axis=0).max() < 7.0  # eyes and mouth are sharper


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_one_face_in_every_frame_and_little_jitter(landmarker: MeshLandmarker, name: str) -> None:
    frames, true = clip(name, 1), truth(name, 1)
    assert len(frames) == len(true) == CLIPS[name]
    faces = [landmarker(frame) for frame in frames]
    assert {len(found) for found in faces} == {1}
    eyes = np.array([outer_eye_distance(t) for t in true])
    off = 100 * (np.array([found[0] for found in faces]) - true) / eyes[:, None, None]
    assert np.linalg.norm(off, axis=-1).mean() < 5.0
    # What does not follow the motion: the second difference of the error, in percent of the eye
    # distance. Independent noise of variance 1 has a second difference of variance 6.
    second = (off[2:] - 2 * off[1:-1] + off[:-2]) / np.sqrt(6)
    assert np.linalg.norm(second, axis=-1).mean() < 0.8


def test_mirrored_frame_gives_mirrored_points(landmarker: MeshLandmarker) -> None:
    drift = []
    for name in ("a", "b"):
        for frame in clip(name)[::4]:
            there = landmarker(frame)[0]
            # a view with negative strides, as users make it
            back = landmarker(frame[:, ::-1])[0][FLIP68]
            back[:, 0] = frame.shape[1] - 1 - back[:, 0]
            assert errors(back, there).mean() < 4.0
            drift.append((back - there)[:, 0].mean())
    # an offset between crop and frame counts twice here; half a pixel would be 1.0
    assert abs(np.mean(drift)) < 0.6


@pytest.mark.parametrize("angle", [-60, 35])
def test_turned_head(landmarker: MeshLandmarker, angle: float) -> None:
    matrix = cv2.getRotationMatrix2D((191.5, 191.5), angle, 1.0)
    for frame, true in zip(clip("b")[::7], truth("b")[::7], strict=True):
        shown, expected = moved(frame, true, matrix)
        assert errors(landmarker(shown)[0], expected).mean() < 6.0


def test_refining_helps_where_the_first_crop_is_poor() -> None:
    once, settled = FaceMesh(refine=0), FaceMesh()
    first, second = [], []
    for frame, true in zip(clip("a")[::5], truth("a")[::5], strict=True):
        (face,) = detector.FaceDetector(search=False)(frame)
        size = face.box[2:] - face.box[:2]
        poor = dataclasses.replace(face, box=face.box + 0.25 * np.concatenate([-size, size]))
        first.append(errors(once(frame, poor)[0][MESH68], true).mean())
        second.append(errors(settled(frame, poor)[0][MESH68], true).mean())
    assert np.mean(second) < np.mean(first) - 0.5
    assert np.mean(second) < 5.0


@pytest.mark.parametrize(
    ("left", "top", "right", "bottom"), [(130, 0, 0, 0), (0, 0, 130, 0), (0, 140, 0, 0)]
)
def test_face_at_the_frames_edge(
    landmarker: MeshLandmarker, left: int, top: int, right: int, bottom: int
) -> None:
    # 130 px of 384 cut off: the edge runs through the cheek or the forehead
    for frame, true in zip(clip("a")[::9], truth("a")[::9], strict=True):
        cut = frame[top : 384 - bottom, left : 384 - right]
        assert errors(landmarker(cut)[0], true - [left, top]).mean() < 7.0


def test_face_that_fills_the_frame(landmarker: MeshLandmarker) -> None:
    frame, true = clip("a")[0], truth("a")[0]
    low, high = true.min(axis=0).astype(int), true.max(axis=0).astype(int)
    cut = frame[low[1] : high[1], low[0] : high[0]]
    assert errors(landmarker(cut)[0], true - low).mean() < 8.0


def test_small_face_in_a_wide_frame_is_searched_for(landmarker: MeshLandmarker) -> None:
    small = cv2.resize(clip("b")[0], None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    frame[300 : 300 + small.shape[0], 900 : 900 + small.shape[1]] = small
    true = (truth("b")[0] + 0.5) * 0.22 - 0.5 + [900, 300]
    assert np.ptp(true[:, 1]) < 42
    assert errors(landmarker(frame)[0], true).mean() < 8.0
    assert MeshLandmarker(search=False)(frame) == []


def test_grey_frame(landmarker: MeshLandmarker) -> None:
    frame, true = clip("b")[3], truth("b")[3]
    grey = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert errors(landmarker(grey)[0], true).mean() < 6.0


# MeshLandmarker: which faces -----------------------------------------------------------------


@pytest.mark.parametrize("large_first", [True, False])
def test_largest_face_comes_first(landmarker: MeshLandmarker, large_first: bool) -> None:
    large, small = clip("b")[0], cv2.resize(clip("a")[0], (250, 250), interpolation=cv2.INTER_AREA)
    frame = np.full((384, 634, 3), 90, np.uint8)
    at_large, at_small = (0, 384) if large_first else (250, 0)
    frame[:, at_large : at_large + 384] = large
    frame[60:310, at_small : at_small + 250] = small
    true_large = truth("b")[0] + [at_large, 0]
    true_small = (truth("a")[0] + 0.5) * (250 / 384) - 0.5 + [at_small, 60]
    faces = landmarker(frame)
    assert len(faces) == 2
    assert errors(faces[0], true_large).mean() < 7.0
    assert errors(faces[1], true_small).mean() < 8.0
    only = MeshLandmarker(max_faces=1)(frame)
    assert len(only) == 1
    assert np.array_equal(only[0], faces[0])


def test_no_face(landmarker: MeshLandmarker) -> None:
    random = np.random.default_rng(0)
    for shape in ((360, 640, 3), (300, 200, 3), (1, 300, 3), (1, 1, 3), (5, 131, 3)):
        assert landmarker(np.full(shape, 128, np.uint8)) == []
        assert landmarker(random.integers(0, 256, shape, dtype=np.uint8)) == []


def test_what_only_the_detector_takes_for_a_face_is_left_out() -> None:
    # With a low threshold BlazeFace sees faces in smooth noise; FaceMesh knows better.
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    frame = cv2.resize(noise, (384, 384), interpolation=cv2.INTER_CUBIC)
    detected = detector.FaceDetector(min_score=0.05)(frame)
    assert detected
    assert len(MeshLandmarker(min_score=0.05)(frame)) < len(detected)


def test_min_score_leaves_out_uncertain_faces() -> None:
    frame = clip("a")[0]
    score = detector.FaceDetector()(frame)[0].score
    assert MeshLandmarker(min_score=score - 0.01)(frame)
    assert MeshLandmarker(min_score=0.9999)(frame) == []


def test_mesh468_holds_the_68(landmarker: MeshLandmarker) -> None:
    frame = clip("a")[5]
    before = frame.copy()
    (points,) = landmarker.mesh468(frame)
    assert points.shape == (468, 2)
    assert np.array_equal(points[MESH68], MeshLandmarker(mirror=False)(frame)[0])
    assert np.array_equal(frame, before)


# MeshLandmarker: errors ----------------------------------------------------------------------


def test_wrong_input_says_what_is_expected(landmarker: MeshLandmarker) -> None:
    with pytest.raises(TypeError, match=r"frame: expected uint8 in 0\.\.255, got float32"):
        landmarker(np.zeros((64, 64, 3), np.float32))
    with pytest.raises(ValueError, match=r"frame: expected shape \(H, W, 3\) in RGB, got \(64, 64"):
        landmarker(np.zeros((64, 64), np.uint8))


def test_wrong_arguments_say_what_is_expected() -> None:
    with pytest.raises(ValueError, match=r"min_score: expected a number between 0 and 1, got 1\.5"):
        MeshLandmarker(min_score=1.5)
    with pytest.raises(ValueError, match="max_faces: expected 1 or more"):
        MeshLandmarker(max_faces=0)
    with pytest.raises(ValueError, match="refine: expected 0 or more, got -1"):
        MeshLandmarker(refine=-1)

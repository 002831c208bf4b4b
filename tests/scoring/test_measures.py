"""pytest tests/scoring/test_measures.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.landmarks import outer_eye_distance
from deepfake_utils.scoring.measures import frame_change, landmark_jitter


def test_even_motion_does_not_tremble(points):
    steps = [points + i * np.array([5.0, -2.0]) for i in range(3)]
    assert landmark_jitter(*steps) == pytest.approx(0.0, abs=1e-9)


def test_noise_is_measured_by_its_size(points, rng):
    found = [landmark_jitter(*(points + rng.normal(0.0, 0.8, (3, 68, 2)))) for _ in range(200)]
    assert np.mean(found) == pytest.approx(80.0 / outer_eye_distance(points), rel=0.05)


def test_size_does_not_count(points, rng):
    three = points + rng.normal(0.0, 1.0, (3, 68, 2))
    assert landmark_jitter(*(3.0 * three)) == pytest.approx(landmark_jitter(*three))


def test_motion_is_taken_out_and_light_is_not(frame, points):
    matrix = np.float64([[0.99, 0.05, 6.0], [-0.05, 0.99, -3.0]])
    moved = cv2.warpAffine(frame, matrix, (384, 384), flags=cv2.INTER_CUBIC)
    there = points @ matrix[:, :2].T + matrix[:, 2]
    steady = frame_change(frame, moved, points, there)
    assert steady < 1.0
    assert frame_change(frame, moved, points, points) > steady + 3.0
    lighter = np.uint8(np.clip(moved.astype(int) + 12, 0, 255))
    assert frame_change(frame, lighter, points, there) == pytest.approx(12.0, abs=1.0)


def test_what_lies_outside_the_face_does_not_count(frame, points):
    other = frame.copy()
    other[:60] = 0
    assert frame_change(frame, other, points, points) == pytest.approx(0.0, abs=0.01)


def test_wrong_arguments_say_so(frame, points):
    with pytest.raises(ValueError, match=r"expected shape \(68, 2\)"):
        landmark_jitter(points, points[:4], points)
    with pytest.raises(TypeError, match="before: expected uint8"):
        frame_change(frame / 255.0, frame, points, points)
    with pytest.raises(ValueError, match="points_now: expected points inside the picture"):
        frame_change(frame, frame, points, points + 5000)

"""pytest tests/scoring/test_likeness.py; PSNR is tested in test_scorecard.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.scoring.likeness import fine_detail, inner_face_ssim, shape_error, sharpness


def test_the_same_picture_is_wholly_alike_and_blur_less(frame, points):
    assert inner_face_ssim(frame, points, frame, points) == pytest.approx(1.0, abs=1e-4)
    found = [
        inner_face_ssim(cv2.GaussianBlur(frame, (0, 0), s), points, frame, points) for s in (1, 4)
    ]
    assert 1.0 > found[0] > found[1] > 0.0


def test_light_does_not_count_for_likeness(frame, points):
    darker = np.uint8(frame * 0.7 + 10)
    assert inner_face_ssim(darker, points, frame, points) > 0.98


def test_blur_is_less_sharp_and_light_is_not(frame, points):
    own = sharpness(frame, points)
    blurred = [sharpness(cv2.GaussianBlur(frame, (0, 0), s), points) for s in (1.0, 3.0)]
    assert own > blurred[0] > blurred[1]
    assert sharpness(np.uint8(frame * 0.7 + 10), points) == pytest.approx(own, rel=0.05)
    assert sharpness(np.full_like(frame, 90), points) == 0.0


def test_fine_detail_falls_with_blur_and_rises_with_grain(frame, points, rng):
    own = fine_detail(frame, points)
    blurred = [fine_detail(cv2.GaussianBlur(frame, (0, 0), s), points) for s in (0.7, 2.0)]
    assert own > 1.5 * blurred[0] > 5.0 * blurred[1]
    grey = np.full_like(frame, 90)
    assert fine_detail(grey, points) == 0.0
    grain = np.uint8(np.rint(grey + rng.normal(0.0, 5.0, frame.shape[:2])[..., None]))
    # The Laplacian is the sum of four neighbours less four times the pixel: 4 + 16 variances.
    assert fine_detail(grain, points) == pytest.approx(20.0 * 5.0**2, rel=0.1)


def test_landmarks_off_their_place_are_measured_by_the_eyes_distance(points):
    across = np.linalg.norm(points[45] - points[36])
    assert shape_error(points, points) == 0.0
    assert shape_error(points + np.array([0.1 * across, 0.0]), points) == pytest.approx(10.0)


def test_wrong_arguments_say_so(frame, points):
    with pytest.raises(ValueError, match="points: expected points inside the picture"):
        sharpness(frame, points + 5000)
    with pytest.raises(TypeError, match="image: expected uint8"):
        fine_detail(frame / 255.0, points)
    with pytest.raises(ValueError, match=r"wanted: expected shape \(68, 2\)"):
        shape_error(points, points[:3])
    with pytest.raises(ValueError, match="expected a face of some 28 pixels or more"):
        inner_face_ssim(frame, points, frame, points.mean(axis=0) + (points - 200.0) / 40.0)

"""pytest tests/test_pose.py"""

import numpy as np
import pytest

from deepfake_utils.detectors.pose import HEAD, RIGID, angle_between, head_pose, rotation_matrix
from deepfake_utils.samples import load_truth

SIZE = 384, 384


def seen(yaw, pitch, roll, focal=768.0, place=(0.3, -0.2, 5.0)):
    """Landmarks (68, 2) of the mean head in front of a camera; the others lie in its middle."""
    at = HEAD @ rotation_matrix(yaw, pitch, roll).T + place
    points = np.full((68, 2), 191.5)
    points[RIGID] = focal * at[:, :2] / at[:, 2:] + 191.5
    return points


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 10, -5), (-40, -20, 15), (5, 25, 60)])
def test_a_head_of_known_pose_is_found_again(angles):
    found = head_pose(seen(*angles), SIZE)
    assert found.angles_deg == pytest.approx(angles, abs=0.1)
    assert angle_between(found.rotation, rotation_matrix(*angles)) < 0.1
    assert found.rotation @ found.rotation.T == pytest.approx(np.eye(3), abs=1e-9)


def test_another_camera_is_allowed_for():
    found = head_pose(seen(20, 10, 0, focal=400.0), SIZE, 400.0)
    assert found.angles_deg == pytest.approx([20, 10, 0], abs=0.1)


def test_the_sample_peoples_true_landmarks_tell_their_pose():
    truth = load_truth()
    for points, poses in (
        (truth.landmarks_a[::50], truth.pose_a[::50]),
        (truth.landmarks_b[::50], truth.pose_b[::50]),
    ):
        found = [head_pose(face, SIZE) for face in points]
        away = [
            angle_between(pose.rotation, rotation_matrix(*true))
            for pose, true in zip(found, poses, strict=True)
        ]
        assert np.mean(away) < 5.0


def test_angles_between_rotations_add_up():
    assert angle_between(rotation_matrix(10, 0, 0), rotation_matrix(-15, 0, 0)) == pytest.approx(25)
    assert angle_between(np.eye(3), np.eye(3)) == 0.0


def test_the_head_is_symmetric():
    mirror = np.array([0, 1, 2, 3, 8, 7, 6, 5, 4, 12, 11, 10, 9])  # of the points in RIGID
    assert HEAD[mirror] * [-1, 1, 1] == pytest.approx(HEAD, abs=1e-9)


def test_wrong_points_say_so(points):
    with pytest.raises(ValueError, match=r"expected shape \(68, 2\)"):
        head_pose(points[:5], SIZE)
    with pytest.raises(ValueError, match="focal_px: expected more than 0, got -1"):
        head_pose(points, SIZE, -1)
    with pytest.raises(ValueError, match="expected those of a head"):
        head_pose(points * 0.0, SIZE)

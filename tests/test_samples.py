"""pytest tests/test_samples.py"""

import numpy as np
import pytest

from deepfake_utils import samples
from deepfake_utils.landmarks import outer_eye_distance
from deepfake_utils.samples import FPS, TEST_START_S, load_truth, sample_clips
from deepfake_utils.video import read_video_info


def test_clips_are_what_they_are_said_to_be():
    for path, frames in zip(sample_clips(), (450, 350, 100), strict=True):
        info = read_video_info(path)
        assert (info.width, info.height, info.fps) == (384, 384, FPS)
        assert info.frame_count == frames
        assert info.has_audio
    assert TEST_START_S * FPS == 350  # the last 100 frames of A are those that B does, too


def test_truth_has_an_entry_for_every_frame():
    truth = load_truth()
    for name, count in (("a", 450), ("b", 350), ("b_as_a", 100)):
        assert getattr(truth, f"landmarks_{name}").shape == (count, 68, 2)
        assert getattr(truth, f"pose_{name}").shape == (count, 3)
        assert getattr(truth, f"jaw_{name}").shape == (count,)
        assert getattr(truth, f"blink_{name}").shape == (count,)
    for values in truth:
        assert values.dtype == np.float64
        assert np.isfinite(values).all()


def test_truth_says_what_the_points_show():
    truth = load_truth()
    for name in ("a", "b"):
        points = getattr(truth, f"landmarks_{name}")
        eyes = np.array([outer_eye_distance(p) for p in points])
        lips = np.linalg.norm(points[:, 62] - points[:, 66], axis=1) / eyes
        assert np.corrcoef(lips, getattr(truth, f"jaw_{name}"))[0, 1] > 0.8
        open_eyes = np.linalg.norm(points[:, 37] - points[:, 41], axis=1) / eyes
        assert np.corrcoef(open_eyes, getattr(truth, f"blink_{name}"))[0, 1] < -0.5
        assert (points > -40).all() and (points < 424).all()


def test_b_does_what_a_does():
    truth = load_truth()
    assert np.allclose(truth.pose_b_as_a, truth.pose_a[350:], atol=1.0)
    assert np.allclose(truth.jaw_b_as_a, truth.jaw_a[350:], atol=0.02)
    assert np.allclose(truth.blink_b_as_a, truth.blink_a[350:], atol=0.02)


def test_missing_data_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no sample clip at .*install the package again"):
        sample_clips()
    with pytest.raises(FileNotFoundError, match=r"truth\.npz; install the package again"):
        load_truth()

"""pytest tests/test_scorecard.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.samples import FPS, TEST_START_S, load_truth, sample_clips
from deepfake_utils.scorecard import (
    inner_face_psnr,
    perfect_swap,
    score_clip,
    score_sample_swap,
)
from deepfake_utils.video import VideoWriter, read_frames

STRIDE = 20


@pytest.fixture(scope="module")
def scene():
    """(frames of A, points of A, right answers, points in them): every 20th of the last 4 s."""
    clips, truth = sample_clips(), load_truth()
    return (
        list(read_frames(clips.person_a, TEST_START_S, stride=STRIDE)),
        truth.landmarks_a[350::STRIDE],
        list(read_frames(clips.person_b_as_a, stride=STRIDE)),
        truth.landmarks_b_as_a[::STRIDE],
    )


def perfect(scene):
    _, points, answers, truth_points = scene
    return [perfect_swap(*each) for each in zip(answers, truth_points, points, strict=True)]


def score(swapped, scene):
    return score_clip(swapped, scene[1], *scene[2:])


def test_the_right_answer_scores_high_and_no_swap_low(scene):
    best, none = score(perfect(scene), scene), score(scene[0], scene)
    assert best.frames_db.shape == none.frames_db.shape == (5,)
    assert best.mean_db == pytest.approx(best.frames_db.mean())
    assert best.mean_db > 30.0
    assert 18.0 < none.mean_db < 19.0


def test_blur_and_noise_cost_and_cost_more_the_stronger_they_are(scene, rng):
    right = perfect(scene)
    blurred = [[cv2.GaussianBlur(f, (0, 0), s) for f in right] for s in (1.5, 4.0)]
    noisy = [
        [np.uint8(np.clip(f + rng.normal(0, s, f.shape), 0, 255)) for f in right] for s in (5, 20)
    ]
    whole = score(right, scene).mean_db
    for worse in (blurred, noisy):
        little, much = (score(frames, scene).mean_db for frames in worse)
        assert whole - 0.5 > little > much + 1.0


def test_light_of_the_whole_frame_hardly_counts(scene):
    right = perfect(scene)
    changed = [np.uint8(np.clip(frame * [0.8, 0.7, 0.75] + 25, 0, 255)) for frame in right]
    assert score(changed, scene).mean_db == pytest.approx(score(right, scene).mean_db, abs=0.5)


def test_what_lies_outside_the_inner_face_does_not_count(scene):
    _, points, answers, truth_points = scene
    right = perfect(scene)[0]
    inside = np.zeros(right.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points[0][17:]).astype(np.int32)), 1)
    other = right.copy()
    other[cv2.dilate(inside, np.ones((9, 9))) == 0] = 0
    args = points[0], answers[0], truth_points[0]
    assert inner_face_psnr(other, *args) == pytest.approx(inner_face_psnr(right, *args), abs=0.01)


def test_place_counts(scene):
    # A face drawn a few pixels off its place is not as good.
    right = perfect(scene)
    off = [np.roll(frame, 4, axis=1) for frame in right]
    assert score(off, scene).mean_db < score(right, scene).mean_db - 3.0


def test_the_same_picture_is_as_good_as_can_be(scene):
    _, _, answers, truth_points = scene
    assert inner_face_psnr(answers[0], truth_points[0], answers[0], truth_points[0]) > 60.0


def test_a_video_of_the_samples_is_scored_between_its_bounds(tmp_path):
    start_s, count = 16.0, 5
    clips = sample_clips()
    frames = list(read_frames(clips.person_a, start_s, start_s + count / FPS))
    with VideoWriter(tmp_path / "a.mp4", fps=FPS, size_wh=(384, 384), crf=10) as writer:
        for frame in frames:
            writer.write(frame)
    found = score_sample_swap(tmp_path / "a.mp4", start_s)
    assert found.swap_db == pytest.approx(found.no_swap_db, abs=0.2)  # A as filmed
    assert found.perfect_db > found.no_swap_db + 8.0
    with pytest.raises(FileNotFoundError, match="no video at"):
        score_sample_swap(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match=r"expected at most 100 frames from 14.0 s.*got 450"):
        score_sample_swap(clips.person_a)
    with pytest.raises(ValueError, match="start"):
        score_sample_swap(tmp_path / "a.mp4", 3.0)


def test_wrong_frames_say_so(scene):
    frames, points, answers, truth_points = scene
    with pytest.raises(ValueError, match="expected frames to score, got none"):
        score_clip([], points[:0], [], truth_points[:0])
    with pytest.raises(TypeError, match="swapped: expected uint8"):
        inner_face_psnr(frames[0] / 255.0, points[0], answers[0], truth_points[0])
    with pytest.raises(ValueError, match=r"target_points: expected shape \(68, 2\)"):
        inner_face_psnr(frames[0], points[0][:5], answers[0], truth_points[0])
    with pytest.raises(ValueError, match=r"expected.* (inside|in) "):  # a face beside the picture
        inner_face_psnr(frames[0], points[0], answers[0], truth_points[0] + 5000)


@pytest.mark.parametrize("part", range(4))
def test_unequal_numbers_of_frames_say_so(scene, part):
    shorter = list(scene)
    shorter[part] = shorter[part][:-1]
    with pytest.raises(ValueError, match=r"expected .*frames"):
        score_clip(*shorter)

"""pytest tests/scoring/test_scorecard.py"""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from deepfake_utils.faces import face_mask
from deepfake_utils.samples import FPS, TEST_START_S, load_truth, sample_clips
from deepfake_utils.scoring.likeness import inner_face_psnr, perfect_swap, score_clip
from deepfake_utils.scoring.scorecard import ScoreConfig, score_sample, score_swap
from deepfake_utils.swapping import paste_face
from deepfake_utils.tracking.identity import identity_available
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


PART = slice(36, 56)  # frames of the right answer around its second blink, with speech
ALONE = ScoreConfig(compare=False, resamples=50)


@pytest.fixture(scope="module")
def moving():
    """(frames of A, points of A, right answers, points in them, perfect swap): 20 in a row."""
    clips, truth = sample_clips(), load_truth()
    start_s = TEST_START_S + PART.start / FPS
    a = list(read_frames(clips.person_a, start_s, TEST_START_S + PART.stop / FPS))
    b = list(read_frames(clips.person_b_as_a))[PART]
    points, truth_points = truth.landmarks_a[350:][PART], truth.landmarks_b_as_a[PART]
    right = [perfect_swap(*each) for each in zip(b, truth_points, points, strict=True)]
    return a, points, b, truth_points, right


def card(swapped, moving, config=ALONE, **more):
    a, points, b, truth_points, _ = moving
    known = {"target_points": points, "truth": b, "truth_points": truth_points}
    return score_swap(swapped, a, config=config, **{**known, **more})


def laid(moving, faces, feather=0.12):
    """Faces as large as the frame, put into A's frames through the usual mask."""
    frames = []
    for frame, face, points in zip(moving[0], faces, moving[1], strict=True):
        mask = face_mask(points, frame.shape[:2], feather)
        frames.append(paste_face(frame, face, np.eye(2, 3), mask))
    return frames


@pytest.fixture(scope="module")
def bounds(moving):
    """The card of A as filmed, with both bounds."""
    return card(moving[0], moving, ScoreConfig(resamples=50))


@pytest.fixture(scope="module")
def right(moving):
    """The right answer's card: its face in A's frames."""
    return card(laid(moving, moving[4]), moving)


def test_no_swap_is_what_it_is_called(bounds):
    assert bounds.frames == 20
    for row in bounds.rows:
        assert row.value == pytest.approx(row.no_swap)
        assert row.low <= row.value <= row.high or np.isnan(row.low)
    assert 17.0 < bounds["psnr"].value < 20.0
    assert bounds["found"].value == 100.0
    assert bounds["jitter"].value == 1.0 and bounds["flicker"].value == 0.0
    assert bounds["seam"].value == 0.0


def test_the_right_answer_is_near_perfect_in_each(bounds, right):
    perfect = {row.measure.key: row.perfect for row in bounds.rows}
    assert set(perfect) == {row.measure.key for row in right.rows}
    assert perfect["psnr"] > 35.0 and right["psnr"].value > 35.0
    assert perfect["ssim"] > 0.98 and right["ssim"].value > 0.98
    assert right["sharpness"].value == pytest.approx(1.0, abs=0.05)
    assert perfect["detail"] == 1.0
    assert right["mouth"].value > 0.95 and right["eyelids"].value > 0.95
    assert perfect["pose"] < 1.0 and right["pose"].value < 3.0
    assert perfect["shape"] < 0.5 and right["shape"].value < bounds["shape"].value
    assert 0.7 < right["jitter"].value < 1.3
    assert abs(right["flicker"].value) < 1.5
    assert right["seam"].value < 0.5


def test_a_frozen_face_follows_nothing(moving, right):
    a, points, *_ = moving
    truth = load_truth()
    yaw = truth.pose_b_as_a[:, 0]
    other = int(np.abs(yaw - yaw[PART].mean()).argmax())  # a frame that looks elsewhere
    still = list(read_frames(sample_clips().person_b_as_a))[other], truth.landmarks_b_as_a[other]
    frozen = card(laid(moving, [perfect_swap(*still, each) for each in points]), moving)
    assert frozen["mouth"].value < 0.5
    assert frozen["eyelids"].value < 0.5
    assert frozen["pose"].value > right["pose"].value + 2.0
    assert frozen["psnr"].value < right["psnr"].value - 8.0
    assert frozen["flicker"].value < -1.5  # too still
    assert len(a) == frozen.frames


def test_a_shifted_face_is_off_its_place(moving, right):
    shifted = card(laid(moving, [np.roll(face, 8, axis=1) for face in moving[4]]), moving)
    assert shifted["psnr"].value < 20.0
    assert shifted["shape"].value > right["shape"].value + 3.0


def test_a_flickering_face_flickers(moving, right):
    light = [
        np.uint8(np.clip(face.astype(int) + (10 if i % 2 else -10), 0, 255))
        for i, face in enumerate(moving[4])
    ]
    found = card(laid(moving, light), moving)
    assert found["flicker"].value > 10.0
    assert found["psnr"].value == pytest.approx(right["psnr"].value, abs=0.5)  # does not see it


def test_blur_is_told_by_sharpness(moving):
    found = card(laid(moving, [cv2.GaussianBlur(face, (0, 0), 2.0) for face in moving[4]]), moving)
    assert found["sharpness"].value < 0.6
    assert found["detail"].value < 0.2


def test_a_box_is_seen(moving, right):
    boxes = []
    for frame, face, points in zip(moving[0], moving[4], moving[1], strict=True):
        (left, top), (end, bottom) = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
        box = slice(max(0, top - 20), bottom), slice(left, end)
        put = frame.copy()
        put[box] = np.uint8(face[box] * 0.8)
        boxes.append(put)
    assert card(boxes, moving)["seam"].value > right["seam"].value + 1.0


@pytest.mark.slow
def test_without_a_truth_there_is_less_to_say(moving):
    alone = score_swap(moving[0], moving[0], config=ALONE, caution="hardly trained")
    assert alone.notes[0] == "Careful: hardly trained."
    assert not {"psnr", "ssim", "to_source"} & {row.measure.key for row in alone.rows}
    assert alone["pose"].value == pytest.approx(0.0, abs=1e-5)
    assert alone["shape"].value == 0.0
    assert alone["mouth"].value == pytest.approx(1.0)
    assert "Not measured: inner face against the truth, PSNR" in alone.markdown()
    with pytest.raises(KeyError, match=r"expected one of .*'pose'.*got 'psnr'"):
        alone["psnr"]


def test_a_face_that_is_gone_is_told(moving):
    frames = laid(moving, [np.full_like(face, 128) for face in moving[4]])
    frames = [f if i % 2 else np.full_like(f, 128) for i, f in enumerate(frames)]
    assert card(frames, moving)["found"].value <= 50.0


def test_frames_without_a_target_are_left_out(moving):
    blank = [np.zeros_like(moving[0][0])]
    found = score_swap(blank + moving[0][:4], blank + moving[0][:4], config=ALONE)
    assert found.frames == 4
    assert "1 frames were left out" in found.markdown()
    with pytest.raises(ValueError, match="expected a face in the frames to score, got none in 1"):
        score_swap(blank, blank)


@pytest.mark.score
@pytest.mark.skipif(not identity_available(), reason="needs the extra `score`")
def test_whose_face_it_is(moving):
    source = list(read_frames(sample_clips().person_b, stride=150))
    some = [each[:5] for each in moving]
    config = ScoreConfig(identity_stride=4, resamples=20)
    found = card(some[0], some, config, source=source)
    assert found["nearer_source"].value == 0.0 and found["nearer_source"].perfect == 100.0
    assert found["to_source"].perfect < 0.35 < 0.45 < found["to_source"].no_swap
    assert found["to_target"].no_swap < 0.2 < 0.45 < found["to_target"].perfect
    assert found["to_source"].frames == 2


def test_a_missing_dlib_leaves_out_identity_only(moving, monkeypatch):
    monkeypatch.setattr("deepfake_utils.scoring.scorecard.identity_available", lambda: False)
    some = [each[:3] for each in moving]
    found = card(some[4], some, source=[some[2][0]])
    assert "psnr" in found and "to_source" not in found
    assert "pip install 'deepfake-utils[score]'" in found.markdown()


@pytest.mark.slow
def test_a_video_of_the_samples_has_a_card(tmp_path):
    start_s, count = 16.0, 4
    person_a = sample_clips().person_a
    with VideoWriter(tmp_path / "a.mp4", fps=FPS, size_wh=(384, 384), quality="best") as writer:
        for frame in read_frames(person_a, start_s, start_s + count / FPS):
            writer.write(frame)
    found = score_sample(tmp_path / "a.mp4", start_s, config=replace(ALONE, compare=True))
    assert found.frames == count
    psnr = found["psnr"]
    assert psnr.value == pytest.approx(psnr.no_swap, abs=0.2)  # A as filmed
    assert psnr.perfect > psnr.no_swap + 8.0
    lines = found.markdown().splitlines()
    assert lines[0].startswith("| measure | swap (95 % interval) |")
    assert all(line.count("|") == 6 for line in lines[: len(found.rows) + 2])
    with pytest.raises(FileNotFoundError, match="no video at"):
        score_sample(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match=r"expected at most 100 frames from 14.0 s.*got 450"):
        score_sample(person_a)
    with pytest.raises(ValueError, match="start"):
        score_sample(tmp_path / "a.mp4", 3.0)


def test_what_does_not_fit_says_so(moving):
    a = moving[0]
    with pytest.raises(ValueError, match="equally many frames and points of swap, target and tr"):
        score_swap(a[:2], a[:1], config=ALONE)
    with pytest.raises(ValueError, match=r"target's shape \(384, 384, 3\), got \(100, 384, 3\)"):
        score_swap([a[0][:100]], a[:1], config=ALONE)
    with pytest.raises(ValueError, match="got none in 0"):
        score_swap([], [])
    for field in ("identity_stride", "block", "resamples"):
        with pytest.raises(ValueError, match=f"{field}: expected at least 1, got 0"):
            ScoreConfig(**{field: 0})
    with pytest.raises(ValueError, match=r"level: expected more than 0 and less than 1, got 1\.0"):
        ScoreConfig(level=1.0)

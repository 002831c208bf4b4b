"""pytest tests/scoring/test_expression.py"""

import cv2
import numpy as np
import pytest
from benchmarks.measuring import eyelid_closing, score_expression, score_sample_expression

from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.faces import align_face, face_mask
from deepfake_utils.samples import FPS, load_truth, sample_clips
from deepfake_utils.scoring.expression import gaze, mouth_opening, visible_eyelid_closing
from deepfake_utils.swapping import paste_face
from deepfake_utils.video import VideoWriter, read_frames

BLINK = slice(34, 64)  # frames of the right answer around its second blink, with speech
BOTH = pytest.mark.parametrize("measure", [mouth_opening, eyelid_closing])


@pytest.fixture(scope="module")
def truth():
    return load_truth()


@pytest.fixture(scope="module")
def answer():
    """The right answer's frames."""
    return list(read_frames(sample_clips().person_b_as_a))


@pytest.fixture(scope="module")
def mesh():
    return MeshLandmarker()


def knowing(points):
    """A landmarker that knows the answer, frame by frame; None is no face."""
    left = iter(points)

    def landmarker(frame):
        found = next(left)
        return [] if found is None else [found]

    return landmarker


@BOTH
def test_size_turn_and_place_do_not_count(measure, points):
    turn = np.radians(75.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    other = 3.7 * points @ rotation.T + [500.0, -20.0]
    assert float(measure(other)) == pytest.approx(float(measure(points)), abs=1e-9)


@BOTH
def test_many_faces_are_measured_as_one_by_one(measure, truth):
    faces = truth.landmarks_a[:3]
    assert measure(faces).shape == (3,)
    assert measure(faces[0]).shape == ()
    assert measure(faces) == pytest.approx([float(measure(face)) for face in faces])


def test_a_lower_lip_further_down_is_a_mouth_further_open(points):
    found = []
    for down in (-30.0, 0.0, 5.0, 20.0):
        face = points.copy()
        face[65:68, 1] += down
        found.append(float(mouth_opening(face)))
    assert found == sorted(found)
    assert found[0] < 0.0  # past each other, not open again


def test_an_upper_lid_further_down_is_an_eye_further_closed(points):
    found = []
    for down in (-3.0, 0.0, 4.0, 30.0):
        face = points.copy()
        face[[37, 38, 43, 44], 1] += down
        found.append(float(eyelid_closing(face)))
    assert found == sorted(found)
    face = points.copy()
    face[[37, 38, 43, 44]] = face[[41, 40, 47, 46]]
    assert float(eyelid_closing(face)) == pytest.approx(1.0)
    assert found[-1] > 1.0


def test_closed_eyes_are_seen_wherever_the_face_is(truth, answer):
    shut, opened = 45, 35
    assert truth.blink_b_as_a[shut] == 1.0
    for matrix in (np.float64([[1, 0, 0], [0, 1, 0]]), np.float64([[0, -1.5, 600], [1.5, 0, 10]])):
        found = {}
        for index in (shut, opened):
            moved = cv2.warpAffine(answer[index], matrix, (600, 600), flags=cv2.INTER_CUBIC)
            at = truth.landmarks_b_as_a[index] @ matrix[:, :2].T + matrix[:, 2]
            found[index] = visible_eyelid_closing(moved, at)
        assert found[shut] > found[opened] + 0.2
        assert found[shut] > 0.75


def test_darker_eyes_are_not_more_closed(truth, answer):
    dark = np.uint8(answer[35] * 0.6)
    points = truth.landmarks_b_as_a[35]
    bright, dim = (visible_eyelid_closing(image, points) for image in (answer[35], dark))
    assert dim == pytest.approx(bright, abs=0.05)


def test_the_measures_follow_the_renderer(truth):
    for points, jaw, blink in (
        (truth.landmarks_a, truth.jaw_a, truth.blink_a),
        (truth.landmarks_b, truth.jaw_b, truth.blink_b),
    ):
        assert np.corrcoef(mouth_opening(points), jaw)[0, 1] > 0.99
        assert np.corrcoef(eyelid_closing(points), blink)[0, 1] > 0.89


def test_the_right_answer_scores_high(mesh):
    found = score_sample_expression(sample_clips().person_b_as_a, mesh)
    assert found.mouth > 0.93
    assert found.eyelids > 0.97
    assert (found.frames, found.frames_without_face) == (100, 0)


def test_a_frozen_face_scores_low(truth, mesh):
    still = align_face(next(read_frames(sample_clips().person_b)), truth.landmarks_b[0], 128, 0.75)
    start = 350 + BLINK.start
    frames = []
    target = read_frames(sample_clips().person_a, start / FPS, (350 + BLINK.stop) / FPS)
    for frame, points in zip(target, truth.landmarks_a[start:], strict=False):
        place = align_face(frame, points, 128, 0.75)
        frames.append(
            paste_face(frame, still.image, place.matrix, face_mask(place.landmarks, (128, 128)))
        )
    found = score_expression(frames, truth.jaw_b_as_a[BLINK], truth.blink_b_as_a[BLINK], mesh, FPS)
    assert found.mouth < 0.5
    assert found.eyelids < 0.5


def test_frames_without_a_face_are_left_out_and_counted(truth, answer):
    known = list(truth.landmarks_b_as_a[BLINK])
    args = answer[BLINK], truth.jaw_b_as_a[BLINK], truth.blink_b_as_a[BLINK]
    whole = score_expression(*args, knowing(known))
    some = score_expression(*args, knowing([None, *known[1:20], None, *known[21:]]))
    assert (some.frames, some.frames_without_face) == (28, 2)
    assert some.mouth == pytest.approx(whole.mouth, abs=0.02)
    assert some.eyelids == pytest.approx(whole.eyelids, abs=0.02)
    with pytest.raises(ValueError, match="a face in at least 10 frames, got 9 of 30"):
        score_expression(*args, knowing([*known[:9], *[None] * 21]))
    with pytest.raises(ValueError, match="a face in at least 10 frames, got 0 of 0"):
        score_expression([], [], [], knowing([]))


def test_what_does_not_move(truth, answer):
    still = [answer[0]] * 12
    points = [truth.landmarks_b_as_a[0]] * 12
    found = score_expression(still, truth.jaw_a[:12], np.zeros(12), knowing(points))
    assert found.mouth == 0.0  # a face that does not move
    assert np.isnan(found.eyelids)  # nothing to follow


def test_a_part_of_the_clip_is_scored_against_that_part(truth, answer, tmp_path):
    path = tmp_path / "part.mp4"
    with VideoWriter(path, fps=FPS, size_wh=(384, 384), quality="best") as writer:
        for frame in answer[BLINK]:
            writer.write(frame)
    known = truth.landmarks_b_as_a[BLINK]
    found = score_sample_expression(path, knowing(known), 14.0 + BLINK.start / FPS)
    assert found.mouth > 0.98
    assert found.eyelids > 0.97
    late = score_sample_expression(path, knowing(known), 14.0)
    assert late.eyelids < 0.5
    for start_s in (3.0, 17.0):
        with pytest.raises(ValueError, match=r"expected start_s from 14.0 and at most .* 30 fra"):
            score_sample_expression(path, knowing(known), start_s)
    with pytest.raises(FileNotFoundError, match="no video at"):
        score_sample_expression(tmp_path / "none.mp4", knowing(known))


@BOTH
def test_wrong_points_say_so(measure, points):
    with pytest.raises(ValueError, match=r"points: expected shape \(68, 2\) or \(N, 68, 2\), got"):
        measure(points[:5])
    with pytest.raises(ValueError, match="points: expected finite"):
        measure(points * np.nan)
    with pytest.raises(
        ValueError, match=r"points: expected 36 and \d+ apart, got them in one place"
    ):
        measure(points * 0.0)


def test_wrong_frames_and_curves_say_so(points, frame):
    with pytest.raises(TypeError, match="frame: expected uint8"):
        visible_eyelid_closing(frame / 255.0, points)
    with pytest.raises(ValueError, match=r"points: expected shape \(68, 2\)"):
        visible_eyelid_closing(frame, points[:5])
    with pytest.raises(ValueError, match=r"jaw and blink for each of 12 frames.*\(11,\)"):
        score_expression([frame] * 12, np.zeros(11), np.zeros(12), knowing([points] * 12))


def test_gaze_is_where_the_irises_are_seen(frame, points):
    found = []
    for share in (0.25, 0.5, 0.75):
        painted = frame.copy()
        for outer, inner in ((36, 39), (42, 45)):
            middle = points[outer] + share * (points[inner] - points[outer])
            width = np.linalg.norm(points[inner] - points[outer])
            ends = (points[outer] + points[inner]) / 2
            axes = round(width / 2), round(width / 5)
            cv2.ellipse(painted, np.rint(ends).astype(int).tolist(), axes, 0, 0, 360, [230] * 3, -1)
            at = np.rint(middle).astype(int).tolist()
            cv2.circle(painted, at, round(width / 6), (20, 20, 20), -1)
        found.append(gaze(painted, points))
    assert found[0] < -0.3 < found[1] < 0.3 < found[2]
    assert abs(found[1]) < 0.15

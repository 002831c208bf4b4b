"""pytest tests/scoring/test_identity.py"""

import importlib.util

import numpy as np
import pytest

from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.scoring.measures import identity_samples
from deepfake_utils.tracking import identity
from deepfake_utils.tracking.identity import IdentityModel, identity_available
from deepfake_utils.tracking.people import FaceChoice
from deepfake_utils.tracking.tracks import track_faces
from deepfake_utils.video import TimedFrame, read_frames

needs_dlib = pytest.mark.skipif(not identity_available(), reason="needs the extra `score`")
pytestmark = pytest.mark.score


@pytest.fixture(scope="module")
def model():
    return IdentityModel()


@pytest.fixture(scope="module")
def people(model):
    """Descriptors (3, 128) of A, of B, and of the right answer."""
    clips, truth = sample_clips(), load_truth()
    return [
        np.stack(
            [model(*each) for each in zip(read_frames(clip, stride=stride), points, strict=True)]
        )
        for clip, points, stride in (
            (clips.person_a, truth.landmarks_a[::150], 150),
            (clips.person_b, truth.landmarks_b[::120], 120),
            (clips.person_b_as_a, truth.landmarks_b_as_a[::40], 40),
        )
    ]


@needs_dlib
def test_a_person_is_nearer_to_themselves(people):
    a, b, answer = people
    assert a.shape == b.shape == answer.shape == (3, 128)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    for face in answer:
        assert np.linalg.norm(face - mean_b) < np.linalg.norm(face - mean_a) - 0.15
    found = identity_samples(list(answer), mean_b, mean_a)
    assert found["nearer_source"].ravel().tolist() == [100.0] * 3
    assert found["to_source"].mean() < 0.35 < 0.45 < found["to_target"].mean()


@needs_dlib
def test_size_and_turn_hardly_count(model, frame, points):
    turned = np.ascontiguousarray(np.rot90(frame, 3))  # (x, y) -> (383 - y, x)
    at = np.stack([383.0 - points[:, 1], points[:, 0]], axis=1)
    small = np.ascontiguousarray(frame[::2, ::2])
    whole = model(frame, points)
    assert np.linalg.norm(model(turned, at) - whole) < 0.1
    assert np.linalg.norm(model(small, points / 2.0) - whole) < 0.25


@needs_dlib
def test_the_mean_is_the_mean(model, frame, points):
    assert np.allclose(model.mean([(frame, points)] * 2), model(frame, points))
    with pytest.raises(ValueError, match="expected faces to describe, got none"):
        model.mean([])


@needs_dlib
def test_other_weights_are_not_loaded(tmp_path, monkeypatch):
    path = tmp_path / identity.WEIGHTS_FILE
    path.write_bytes(b"other")
    monkeypatch.setattr(identity, "_weights_path", lambda: path)
    with pytest.raises(ValueError, match=r"expected sha256 55533b28.*install face_recognition_mod"):
        IdentityModel()


def test_without_the_extra_it_says_how_to_install_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "face_recognition_models" else find(name, *rest),
    )
    assert not identity_available()
    with pytest.raises(ImportError, match=r"pip install 'deepfake-utils\[score\]'"):
        IdentityModel()


@needs_dlib
@pytest.mark.parametrize("who", [0, 1])
def test_of_two_people_the_one_like_the_reference_is_followed(model, who):
    clips, find = sample_clips(), MeshLandmarker()
    pair = [next(iter(read_frames(clip))) for clip in (clips.person_a, clips.person_b)]
    both = np.hstack(pair)
    later = next(iter(read_frames((clips.person_a, clips.person_b)[who], 4.0, 4.04)))
    reference = model(later, find(later)[0])  # another moment than the one searched
    choose = FaceChoice("reference", reference=reference, embed=model)
    (tracked,) = track_faces([TimedFrame(both, 0.0)], find, choose=choose)
    assert (tracked.points[:, 0].mean() > 384) == bool(who)

"""Small, many, turned and lying faces in rendered scenes: found and right, or not found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.detectors.blazeface import overlap, views
from deepfake_utils.images import Image, Points, read_image
from deepfake_utils.landmarks import watch
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.video import read_frames

SCENES = Path(__file__).parents[1] / "data" / "scenes"
TRUTH = {
    name: np.array(faces)
    for name, faces in json.loads((SCENES / "truth.json").read_text(encoding="utf-8")).items()
}
SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases" / "scenes"
FAST_ROLLS = range(0, 360, 45)


@pytest.fixture(scope="module")
def landmarker() -> MeshLandmarker:
    return MeshLandmarker()


def errors(found: list[Points], faces: np.ndarray) -> list[float]:
    """Mean distance of each true face to the nearest that was found, in shares of its eyes'."""
    eyes = np.linalg.norm(faces[:, 45] - faces[:, 36], axis=1)
    off = [
        [np.linalg.norm(points - face, axis=1).mean() for points in found] or [np.inf]
        for face in faces
    ]
    return (np.min(off, axis=1) / eyes).tolist()


def check_scene(landmarker: MeshLandmarker, image: Image, faces: np.ndarray) -> None:
    """Every face is found and none else; the smaller, the less exact."""
    found = landmarker(image)
    assert len(found) == len(faces)
    heights = np.ptp(faces[..., 1], axis=1)
    for height, error in zip(heights, errors(found, faces), strict=True):
        assert error < (0.07 if height > 60 else 0.1)
    assert np.mean(errors(found, faces)) < 0.06 or heights.max() < 60


@pytest.mark.parametrize("name", [name for name in TRUTH if name.endswith("jpg")])
def test_every_face_of_a_scene_is_found(landmarker: MeshLandmarker, name: str) -> None:
    check_scene(landmarker, read_image(SCENES / name), TRUTH[name])


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not here")
def test_every_face_of_the_other_scenes_is_found(landmarker: MeshLandmarker) -> None:
    truth = json.loads((SHARED / "truth.json").read_text(encoding="utf-8"))
    for name in (name for name in truth if name.endswith("png")):
        check_scene(landmarker, read_image(SHARED / name), np.array(truth[name]))


@cache
def heads() -> list[tuple[Image, Points]]:
    """Eight heads, each alone in the middle of a picture."""
    people = []
    for name, number in [("group_1.jpg", i) for i in (1, 3, 6)] + [
        ("group_3.jpg", i) for i in (0, 2, 6)
    ]:
        image, points = read_image(SCENES / name), TRUTH[name][number]
        middle, side = points.mean(axis=0), 2.4 * np.ptp(points[:, 1])
        matrix = np.array([[256 / side, 0, 128], [0, 256 / side, 128]])
        matrix[:, 2] -= matrix[:, :2] @ middle
        people.append((cv2.warpAffine(image, matrix, (256, 256), borderMode=1), points, matrix))
    for clip, points in (
        (sample_clips().person_a, load_truth().landmarks_a[0]),
        (sample_clips().person_b, load_truth().landmarks_b[0]),
    ):
        people.append((next(read_frames(clip)), points, np.eye(2, 3)))
    return [(image, points @ m[:, :2].T + m[:, 2]) for image, points, m in people]


def check_rolls(landmarker: MeshLandmarker, number: int, rolls: range) -> None:
    """A head turned in the picture is found nearly always, and never wrong."""
    image, true = heads()[number]
    side, missed = len(image), 0
    for roll in rolls:
        middle = (side - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), roll, 0.8)
        shown = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=1)
        found = landmarker(shown)
        expected = true @ matrix[:, :2].T + matrix[:, 2]
        assert len(found) <= 1
        missed += not found
        if found:
            assert errors(found, expected[None])[0] < 0.09
    assert missed <= len(rolls) // 8


@pytest.mark.parametrize("number", [0, 7])
def test_a_face_at_any_roll_is_right(landmarker: MeshLandmarker, number: int) -> None:
    check_rolls(landmarker, number, FAST_ROLLS)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_a_face_at_every_roll_is_right(landmarker: MeshLandmarker, number: int) -> None:
    check_rolls(landmarker, number, range(0, 360, 15))


@pytest.mark.parametrize("followed", [True, False])
@pytest.mark.slow
def test_a_profile_is_right_or_not_found(landmarker: MeshLandmarker, followed: bool) -> None:
    faces = TRUTH["profile.mp4"]  # of every third frame; the first looks ahead
    eyes = np.linalg.norm(faces[0, 45] - faces[0, 36])
    look = watch(landmarker)
    seen = []
    for number, frame in enumerate(read_frames(SCENES / "profile.mp4")):
        found = [face.points for face in look(frame, number / 25)] if followed else None
        if number % 3:
            continue
        found = landmarker(frame) if found is None else found
        assert len(found) <= 1
        seen.append(bool(found))
        if found:
            assert np.linalg.norm(found[0] - faces[number // 3], axis=1).mean() < 0.13 * eyes
    yaw = np.abs((np.arange(30) * 3 + 30) % 60 - 30) * 3  # degrees, rising and falling by turns
    assert np.all(np.array(seen)[yaw <= 51])


def test_tiles_cover_the_frame_and_share_its_small_faces() -> None:
    for height, width in ((360, 640), (720, 1280), (1080, 1920), (1920, 1080), (2160, 3840)):
        whole, *tiles = views(height, width)
        assert whole[2] == max(height, width)
        side = tiles[0][2]
        face = 0.15 * side
        for x, y in np.random.default_rng(0).uniform(
            [0, 0], [width - face, height - face], (99, 2)
        ):
            inside = [
                left <= x and top <= y and x + face <= left + side and y + face <= top + side
                for left, top, _ in tiles
            ]
            assert any(inside)
    assert len(views(384, 384)) == 1


class Counting:
    """How often faces were looked for."""

    def __init__(self, landmarker: MeshLandmarker) -> None:
        self.looks, self._detect = 0, landmarker._detect
        landmarker._detect = self

    def __call__(self, frame: Image) -> list:
        self.looks += 1
        return self._detect(frame)


def stage(*people: tuple[Image, int]) -> Image:
    """A frame of 640x360 with some people of 200 pixels at places from the left."""
    frame = np.full((360, 640, 3), 90, np.uint8)
    for image, left in people:
        frame[100:300, left : left + 200] = cv2.resize(
            image, (200, 200), interpolation=cv2.INTER_AREA
        )
    return frame


def test_between_looks_faces_are_followed() -> None:
    landmarker, still = MeshLandmarker(), MeshLandmarker()
    counting, look = Counting(landmarker), watch(landmarker)
    for number, frame in enumerate(read_frames(sample_clips().person_a, 2.0, 4.0)):
        (face,) = look(frame, number / 25)
        if number % 10 == 9:
            (points,) = still(frame)
            eyes = np.linalg.norm(points[45] - points[36])
            assert np.linalg.norm(face.points - points, axis=1).mean() < 0.02 * eyes
        assert 0.5 < face.confidence <= 1.0
    assert counting.looks == 2  # in two seconds


def test_a_cut_and_a_jump_are_noticed_at_once() -> None:
    a, b = (next(read_frames(clip)) for clip in sample_clips()[:2])
    landmarker = MeshLandmarker()
    look, alone = watch(landmarker), landmarker(stage((b, 300)))
    assert look(stage((a, 20)), 0.0)
    (jumped,) = look(stage((a, 420)), 0.04)
    assert jumped.points.mean(axis=0)[0] > 420
    (other,) = look(255 - (255 - stage((b, 300))) // 2, 0.08)
    assert np.linalg.norm(other.points - alone[0], axis=1).mean() < 5.0


def test_somebody_new_is_seen_within_the_time_stated() -> None:
    a, b = (next(read_frames(clip)) for clip in sample_clips()[:2])
    landmarker = MeshLandmarker(look_s=0.4)
    look = watch(landmarker)
    assert len(look(stage((a, 20)), 0.0)) == 1
    counts = [len(look(stage((a, 20), (b, 300)), 0.04 + 0.04 * i)) for i in range(10)]
    assert counts[-1] == 2
    assert sorted(counts) == counts
    left = [look(stage((b, 300)), 0.48), look(stage((b, 300)), 0.52)]  # A is gone
    assert [len(faces) for faces in left] == [1, 1]
    assert left[0][0].points.mean(axis=0)[0] > 300


def test_two_meshes_on_one_face_become_one(landmarker: MeshLandmarker) -> None:
    frame = stage((next(read_frames(sample_clips().person_a)), 200))
    (face,) = landmarker._detect(frame)
    (fit,) = landmarker._fitter.find(frame, [face, face])
    assert landmarker._fitter.follow(frame, [fit, fit])[1:] == []
    assert overlap(fit.box, face.box[None])[0] > 0.3


def test_look_s_out_of_range_is_told() -> None:
    with pytest.raises(ValueError, match="look_s: expected 0 s or more, got -1"):
        MeshLandmarker(look_s=-1)

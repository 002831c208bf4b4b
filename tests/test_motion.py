"""Points carried along with a picture whose motion is known."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from deepfake_utils.faces import MEAN_FACE
from deepfake_utils.landmarks import STEADY
from deepfake_utils.motion import MotionFollower, carry, cut_patch, follow_back
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.steadying import TrackConfig
from deepfake_utils.tracking import track_clip, track_faces
from deepfake_utils.umeyama import transform_points
from deepfake_utils.video import TimedFrame, read_timed_frames

FPS = 25.0
POINTS = MEAN_FACE[STEADY] * 90.0 + [150.0, 120.0]


def shown(matrix: np.ndarray, size_wh: tuple[int, int] = (300, 240)) -> np.ndarray:
    """A textured picture, moved by `matrix` (2, 3)."""
    grain = np.random.default_rng(5).integers(0, 256, (60, 75, 3), dtype=np.uint8)
    texture = cv2.resize(grain, (300, 240), interpolation=cv2.INTER_CUBIC)
    return cv2.warpAffine(
        texture, matrix, size_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def moving(dx: float, dy: float, degrees: float = 0.0, scale: float = 1.0) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((150.0, 120.0), degrees, scale)
    matrix[:, 2] += (dx, dy)
    return matrix


def sway(count: int = 100) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Pictures of a swaying head, its points, and landmarks that slide by 3 px as it sways."""
    phase = 2 * np.pi * np.arange(count) / 50.0
    matrices = [moving(12 * np.sin(p), 4 * np.cos(p), 3 * np.sin(p)) for p in phase]
    truth = np.stack([transform_points(POINTS, m) for m in matrices])
    found = truth + np.stack([3.0 * np.sin(phase), np.zeros(count)], axis=1)[:, None]
    return [shown(m) for m in matrices], truth, found


@pytest.mark.parametrize("size", [1.0, 3.0])
def test_points_go_where_the_picture_goes(size: float):
    way = moving(6.3, -4.6, 1.0, 1.01)
    grow = np.array([[size, 0, 0], [0, size, 0]])
    before, after = (
        cv2.resize(shown(m), None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        for m in (moving(0, 0), way)
    )
    points = (POINTS + 0.5) @ grow[:, :2] - 0.5
    wanted = (transform_points(POINTS, way) + 0.5) @ grow[:, :2] - 0.5
    first = cut_patch(before, points)
    second = cut_patch(after, wanted + 2.0, first)
    assert first.grey.shape == second.grey.shape
    assert len(first.grey) < 330  # a large face is made smaller
    carried = carry(first, second, points, points)
    assert np.abs(carried - wanted).max() < 0.3 * size
    assert np.abs((carried - wanted).mean(axis=0)).max() < 0.03 * size


def test_what_is_lost_or_cannot_be_compared_is_none():
    first = cut_patch(shown(moving(0, 0)), POINTS)
    noise = np.random.default_rng(1).integers(0, 256, (240, 300, 3), dtype=np.uint8)
    assert carry(first, cut_patch(noise, POINTS, first), POINTS, POINTS) is None
    larger = cut_patch(shown(moving(0, 0)), POINTS * 2.0, first)
    assert larger.grey.shape != first.grey.shape
    assert carry(first, larger, POINTS, POINTS) is None


def test_both_ways_hardly_slide_where_landmarks_do():
    images, truth, found = sway()
    patches, follower, ahead = [], MotionFollower(2.0), []
    for i, image in enumerate(images):
        patches.append(cut_patch(image, found[i], patches[-1] if patches else None))
        ahead.append(follower(patches[i], i / FPS, found[i]))
    back = follow_back(patches, np.arange(100) / FPS, found, 2.0)
    slid = ((np.stack(ahead) + np.stack(back)) / 2.0 - truth).mean(axis=1)[:, 0]
    assert slid.std() < 0.4 * (found - truth).mean(axis=1)[:, 0].std()


def test_points_that_leave_their_landmarks_begin_anew():
    follower = MotionFollower()
    patch = cut_patch(shown(moving(0, 0)), POINTS)
    assert np.array_equal(follower(patch, 0.0, POINTS), POINTS)
    assert np.abs(follower(patch, 0.04, POINTS + 4.0) - POINTS - 2.0).max() < 0.1  # the mean
    assert np.array_equal(follower(patch, 0.08, POINTS + 40.0), POINTS + 40.0)
    with pytest.raises(ValueError, match="memory_s: expected more than 0 s, got 0"):
        MotionFollower(0.0)


# Two passes ----------------------------------------------------------------------------------


def test_two_passes_give_each_frame_once_in_order():
    images = sway(60)[0]
    faces = [MEAN_FACE * 90.0 + [150.0, 120.0]] * 60
    frames = [TimedFrame(image, i / FPS) for i, image in enumerate(images)]
    missing = {10, 11, *range(40, 50)}
    known = iter([[] if i in missing else [faces[i]] for i in range(60)])
    config = TrackConfig(memory_s=0.1)  # settled in several pieces
    tracked = list(track_clip(lambda: iter(frames), lambda image: next(known), config))
    assert next(known, None) is None  # the landmarker saw each frame once
    assert [frame.time_s for frame in tracked] == [frame.time_s for frame in frames]
    assert all(out.image is frame.image for out, frame in zip(tracked, frames, strict=True))
    status = [frame.status for frame in tracked]
    assert status[10:12] == ["bridged"] * 2
    assert status[40:50] == ["no face"] * 10
    assert all((frame.points is None) == (frame.status == "no face") for frame in tracked)


def test_pieces_of_a_long_run_fit_together():
    images, truth, _ = sway(75)
    points = MEAN_FACE * 90.0 + [150.0, 120.0]
    moved = [points + (t - POINTS).mean(axis=0) for t in truth]
    frames = [TimedFrame(image, i / FPS) for i, image in enumerate(images)]

    def steadied(memory_s: float) -> np.ndarray:
        known = iter(moved)
        config = TrackConfig(memory_s=memory_s)
        tracked = track_clip(lambda: iter(frames), lambda image: [next(known)], config)
        return np.stack([frame.points for frame in tracked])

    step = np.diff((steadied(0.2) - np.stack(moved)).mean(axis=1), axis=0)  # pieces of 1 s
    assert np.abs(step[5:-5]).max() < 0.1


def test_two_passes_on_the_sample_clip():
    truth = load_truth().landmarks_a[:50]

    def slid(tracked) -> float:
        """How much the middle of the steady points wanders about the truth, in pixels."""
        points = np.stack([frame.points for frame in tracked])[:, STEADY]
        return float((points - truth[:, STEADY]).mean(axis=1).std(axis=0).sum())

    def replay():
        known: Iterator[np.ndarray] = iter(found)
        return lambda image: [next(known)]

    phase = 2 * np.pi * np.arange(50) / 50.0
    found = truth + np.stack([2.0 * np.sin(phase), np.zeros(50)], axis=1)[:, None]
    frames = list(read_timed_frames(sample_clips().person_a, 0.0, 2.0))
    once = slid(track_faces(frames, replay()))
    twice = slid(track_clip(lambda: iter(frames), replay()))
    assert twice < 0.75 * once


def test_a_film_that_cannot_be_read_twice_is_an_error():
    frames = iter([TimedFrame(image, i / FPS) for i, image in enumerate(sway(3)[0])])
    with pytest.raises(ValueError, match="read: expected the same 3 frames when called again"):
        list(track_clip(lambda: frames, lambda image: []))
    with pytest.raises(ValueError, match="memory_s: expected more than 0, got 0"):
        TrackConfig(memory_s=0)

"""Faces through a film: steadied, bridged, cut, chosen; by points whose motion is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from benchmarks.track_measures import jitter, lag

from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.faces import MEAN_FACE, align_face
from deepfake_utils.images import Image, Points
from deepfake_utils.landmarks import LEFT_EYE, STEADY
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.tracking.people import FaceChoice, FaceFollower
from deepfake_utils.tracking.steadying import TrackConfig, TrackedFrame
from deepfake_utils.tracking.tracks import tell_progress, track_faces
from deepfake_utils.umeyama import umeyama
from deepfake_utils.video import TimedFrame, read_timed_frames, read_video_info

FPS = 25.0
SIZE = 100.0  # of the mean face's unit, pixels
NOISE = 0.5  # pixels, standard deviation of x and of y of each point
GREY = np.full((72, 128, 3), 128, np.uint8)
Faces = Sequence[Sequence[Points]]


def face(x: float = 200.0, y: float = 150.0, size: float = SIZE) -> Points:
    return MEAN_FACE * size + [x, y]


def film(faces: Faces, images: Sequence[Image] | None = None, times_s=None):
    """Frames, and the landmarker that finds these faces in them."""
    times_s = np.arange(len(faces)) / FPS if times_s is None else times_s
    images = images or [GREY] * len(faces)
    frames = [TimedFrame(image, float(at)) for image, at in zip(images, times_s, strict=True)]
    known = iter(faces)
    return frames, lambda image: list(next(known))


def track(faces: Faces, config: TrackConfig | None = None, choose=None, **more):
    return list(track_faces(*film(faces, **more), config, choose))


def points_of(tracked: Sequence[TrackedFrame]) -> np.ndarray:
    return np.stack([frame.points for frame in tracked])


def noisy(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same trembling head that landmarks show: a shift of all points, and each by itself."""
    together = rng.normal(0.0, NOISE, (len(points), 1, 2))
    return points + together + rng.normal(0.0, NOISE, points.shape)


# Smoothing -----------------------------------------------------------------------------------


def test_a_still_head_stops_trembling(rng: np.random.Generator):
    still = np.stack([face()] * 100)
    found = noisy(still, rng)
    for smoothing, factor in (("zero-lag", 2.5), ("off", 1.0)):
        tracked = points_of(track(found[:, None], TrackConfig(smoothing=smoothing)))
        assert jitter(found) / jitter(tracked) >= factor
    crops = points_of(track(found[:, None]))
    places = [umeyama(points[STEADY], MEAN_FACE[STEADY]) for points in (*found, *crops)]
    # what a pasted face shows: the middle of the crop, in frame pixels
    middles = np.stack([-np.linalg.solve(m[:, :2], m[:, 2]) for m in places])[:, None]
    assert jitter(middles[:100]) / jitter(middles[100:]) > 4.0


def test_a_swaying_head_is_followed_without_lag(rng: np.random.Generator):
    phase = 2 * np.pi * np.arange(100) / FPS  # 1 Hz, 30 px: up to 190 px a second
    sway = np.stack([face(200 + 30 * np.sin(p), 150 + 10 * np.cos(p)) for p in phase])
    found = noisy(sway, rng)
    tracked = points_of(track(found[:, None]))
    assert abs(lag(tracked, sway)) < 0.05
    assert np.abs((tracked - sway).mean(axis=1)).max() < 2.0
    assert jitter(tracked, sway) < 0.6 * jitter(found, sway)


def test_turning_and_growing_heads_are_followed():
    grown = [face(size=60.0 * 1.02**i) for i in range(60)]
    assert points_of(track([[p] for p in grown])) == pytest.approx(np.stack(grown), rel=0.01)
    turned = []
    for degrees in range(150, 230, 2):  # through 180, where the angle starts again from -180
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned.append(MEAN_FACE @ np.array([[cos, sin], [-sin, cos]]) * SIZE + 200.0)
    tracked = points_of(track([[p] for p in turned]))
    assert np.abs(tracked - np.stack(turned)).max() < 0.5


def test_a_sudden_move_does_not_overshoot():
    x = np.where(np.arange(60) < 30, 200.0, 240.0)  # less than it would take for another person
    tracked = points_of(track([[face(each)] for each in x]))
    middle = tracked[:, :, 0].mean(axis=1) - face()[:, 0].mean()
    assert middle.max() < 43.0
    assert middle.min() > -3.0
    assert np.abs(middle - (x - 200.0))[[26, 33]].max() < 1.0


def test_a_blink_keeps_its_depth(rng: np.random.Generator):
    faces = np.stack([face()] * 41)
    lids = faces[:, [43, 44, 46, 47]]
    closing = np.zeros(41)
    closing[19:22] = (0.7, 1.0, 0.7)
    middle = faces[:, LEFT_EYE].mean(axis=1)[:, None, 1:]
    faces[:, [43, 44, 46, 47], 1:] += closing[:, None, None] * (middle - lids[..., 1:])

    def opening(points: np.ndarray) -> np.ndarray:
        return (points[:, [46, 47], 1] - points[:, [43, 44], 1]).mean(axis=1)

    found = faces + rng.normal(0.0, 0.2, faces.shape)
    tracked = opening(points_of(track(found[:, None])))
    depth = np.median(tracked) - tracked[20]
    assert depth >= 0.8 * np.ptp(opening(faces))


def test_uneven_times_are_no_motion(rng: np.random.Generator):
    times_s = np.cumsum(rng.uniform(0.01, 0.09, 80))
    x = 100.0 * times_s  # evenly moving in time, not from frame to frame
    tracked = points_of(track([[face(each)] for each in x], times_s=times_s))
    assert np.abs(tracked[:, :, 0].mean(axis=1) - x - face(0.0)[:, 0].mean()).max() < 0.3


def test_aligning_the_points_gives_the_smoothed_alignment(rng: np.random.Generator):
    found = noisy(np.stack([face()] * 40), rng)
    tracked = track(found[:, None])[20]
    crop = align_face(GREY, tracked.points, 64).landmarks
    raw = align_face(GREY, found[20], 64).landmarks
    assert np.abs(crop - raw).max() < 1.0  # the shape stays, only where it lies is steadied


# Order, look-ahead, gaps, cuts ---------------------------------------------------------------


@pytest.mark.parametrize("smoothing", ["zero-lag", "off"])
@pytest.mark.parametrize("count", [0, 1, 2, 70])
def test_each_frame_comes_out_once_in_order(smoothing: str, count: int, rng):
    faces = [[face()] if keep else [] for keep in rng.random(count) < 0.8]
    frames, landmarker = film(faces)
    tracked = list(track_faces(frames, landmarker, TrackConfig(smoothing=smoothing)))
    assert [frame.time_s for frame in tracked] == [frame.time_s for frame in frames]
    assert all(out.image is frame.image for out, frame in zip(tracked, frames, strict=True))
    for frame, found in zip(tracked, faces, strict=True):
        assert (frame.raw is None) == (not found)
        assert (frame.points is None) == (frame.status in ("no face", "other person"))


@pytest.mark.parametrize(
    ("smoothing", "gap_s", "fps", "most"),
    [("zero-lag", 0.2, 25, 27), ("zero-lag", 0.2, 500, 47), ("off", 0.0, 25, 11)],
)
def test_little_is_read_ahead(smoothing: str, gap_s: float, fps: int, most: int):
    read = 0

    def counted() -> Iterator[TimedFrame]:
        nonlocal read
        for frame in film([[]] * 150, times_s=np.arange(150) / fps)[0]:
            read += 1
            yield frame

    faces = [[] if 40 <= i < 44 or 60 <= i < 80 else [face()] for i in range(150)]
    config = TrackConfig(smoothing=smoothing, max_gap_s=gap_s)
    ahead = [
        read - done
        for done, _ in enumerate(track_faces(counted(), film(faces)[1], config), start=1)
    ]
    assert len(ahead) == 150
    assert max(ahead) <= most


def test_short_gaps_are_bridged_and_long_ones_are_not():
    x = 200.0 + 2.0 * np.arange(60)
    missing = {20, 21, 22, *range(35, 42), 59}
    tracked = track([[] if i in missing else [face(x[i])] for i in range(60)])
    status = [frame.status for frame in tracked]
    assert status[20:23] == ["bridged"] * 3
    assert status[35:42] == ["no face"] * 7
    assert status[59] == "no face"
    assert status.count("found") == 60 - len(missing)
    for i in (20, 21, 22):
        assert tracked[i].raw is None
        assert np.abs(tracked[i].points - face(x[i])).max() < 0.1
    off = TrackConfig(smoothing="off", max_gap_s=0.1)
    statuses = [frame.status for frame in track([[face()], [], [face()], [], [], []], off)]
    assert statuses == ["found", "bridged", "found", "no face", "no face", "no face"]
    apart = track([[face()], [], [face()]], TrackConfig(max_gap_s=0.0))
    assert apart[1].status == "no face"


def test_nothing_is_smoothed_or_bridged_across_a_cut(rng: np.random.Generator):
    first, second = (noisy(np.stack([face(x)] * 30), rng)[:, None] for x in (200.0, 210.0))
    dark = np.full_like(GREY, 30)
    both = track([*first, *second], images=[GREY] * 30 + [dark] * 30)
    assert [i for i, frame in enumerate(both) if frame.cut] == [30]
    times_s = np.arange(60) / FPS
    alone = track(first) + track(second, times_s=times_s[30:])
    assert np.array_equal(points_of(both), points_of(alone))
    gap = [[face()]] * 5 + [[]] * 2 + [[face()]] * 5
    cut = track(gap, images=[GREY] * 6 + [dark] * 6)
    assert [frame.status for frame in cut[5:7]] == ["no face"] * 2


# Several people ------------------------------------------------------------------------------

LEFT, RIGHT = 150.0, 450.0


def two_people(count: int = 40) -> list[list[Points]]:
    """The left one grows, the right one shrinks, largest first; in the middle they are equal."""
    frames = []
    for i in range(count):
        share = i / (count - 1)
        people = [face(LEFT, size=60 + 60 * share), face(RIGHT, size=120 - 60 * share)]
        frames.append(sorted(people, key=lambda p: -np.ptp(p[:, 0])))
    return frames


def followed(tracked: Sequence[TrackedFrame]) -> set[str]:
    return {"left" if frame.points[:, 0].mean() < 300 else "right" for frame in tracked}


def named(image: Image, points: Points) -> np.ndarray:
    """An embedding that knows the two: left is (1, 0), right is (0, 1)."""
    return np.array([1.0, 0.0] if points[:, 0].mean() < 300 else [0.0, 1.0])


@pytest.mark.parametrize(
    ("choose", "who"),
    [
        (None, "right"),
        (FaceChoice(by="position", position=(100.0, 100.0)), "left"),
        (FaceChoice(by="position", position=(0.9, 0.5), unit="shares"), "left"),  # 128 px wide
        (FaceChoice(by="reference", reference=np.array([1.0, 0.1]), embed=named), "left"),
        (FaceChoice(by="reference", reference=np.array([0.1, 2.0]), embed=named), "right"),
    ],
)
def test_the_choice_stays_with_one_person(choose: FaceChoice | None, who: str):
    tracked = track(two_people(), choose=choose)
    assert followed(tracked) == {who}
    assert {frame.status for frame in tracked} == {"found"}


def test_the_choice_is_made_anew_after_a_cut():
    images = [GREY] * 30 + [np.full_like(GREY, 20)] * 10
    tracked = track(two_people(), images=images)
    assert followed(tracked[:30]) == {"right"}
    assert followed(tracked[30:]) == {"left"}


def test_people_who_pass_each_other_are_kept_apart():
    ways = [[face(100 + 8 * i, 150), face(500 - 8 * i, 150, 110)] for i in range(50)]
    for i in (23, 24, 25, 26):  # one hides the other
        ways[i] = ways[i][1:]
    tracked = track([way[::-1] for way in ways], TrackConfig(smoothing="off"))
    x = points_of(tracked)[:, :, 0].mean(axis=1)
    assert x[0] > 400
    assert x[-1] < 200


def test_somebody_else_is_not_taken_for_the_person():
    people = two_people()
    for i in range(15, 30):
        people[i] = [p for p in people[i] if p[:, 0].mean() < 300]
    tracked = track(people)
    assert [frame.status for frame in tracked[15:30]] == ["other person"] * 15
    assert all(frame.points is None for frame in tracked[15:30])
    assert followed(tracked[30:]) == {"right"}


def test_a_person_who_comes_back_elsewhere_is_found_again():
    faces = [[face()]] * 10 + [[]] * 20 + [[face(600.0)]] * 10
    tracked = track(faces)
    assert [frame.status for frame in tracked[30:]] == ["found"] * 10


def test_nobody_like_the_reference_is_nobody():
    calls = []

    def embed(image: Image, points: Points) -> np.ndarray:
        calls.append(points)
        return named(image, points)

    stranger = FaceChoice(by="reference", reference=np.array([-1.0, -1.0]), embed=embed)
    assert {frame.status for frame in track(two_people(), choose=stranger)} == {"other person"}
    calls.clear()
    left = FaceChoice(by="reference", reference=np.array([1.0, 0.0]), embed=embed)
    track(two_people(), choose=left)  # 40 frames: at the start and a second later
    assert len(calls) == 4


def test_a_recheck_finds_who_was_lost():
    # Two people change places between two frames: only the embedding can tell.
    faces = [[face(LEFT), face(RIGHT)]] * 60
    follower = FaceFollower(
        FaceChoice(
            by="reference",
            reference=np.array([1.0, 0.0]),
            embed=lambda image, points: named(image, points)[:: -1 if frame >= 30 else 1],
            recheck_s=0.2,
        )
    )
    found = []
    for frame in range(60):
        found.append(follower(GREY, frame / FPS, faces[frame])[:, 0].mean() < 300)
    assert all(found[:30])
    assert not any(found[36:])


# Real frames, errors -------------------------------------------------------------------------


def test_on_the_sample_clip():
    landmarker = MeshLandmarker()
    tracked = list(track_faces(read_timed_frames(sample_clips().person_a, 0.0, 1.6), landmarker))
    truth = load_truth().landmarks_a[: len(tracked)]
    assert {(frame.status, frame.cut) for frame in tracked} == {("found", False)}
    raw = np.stack([frame.raw for frame in tracked])
    smooth = points_of(tracked)
    steadied = [
        np.stack([umeyama(MEAN_FACE[STEADY], p[STEADY])[:, 2] for p in points])[:, None]
        for points in (smooth, raw)
    ]
    assert jitter(steadied[0]) < 0.7 * jitter(steadied[1])
    error = [np.linalg.norm(points - truth, axis=-1).mean() for points in (smooth, raw)]
    assert error[0] < error[1] + 0.05


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("smoothing", "kalman", r"smoothing: expected one of \('zero-lag', 'off'\), got 'kalman'"),
        ("look_ahead", 0, "look_ahead: expected at least 1, got 0"),
        ("max_gap_s", -0.1, "max_gap_s: expected at least 0, got -0.1"),
        ("align_widths_s", (0.2, 0.1), "align_widths_s: expected two widths, the smaller first"),
        ("align_widths_s", (-0.1, 0.1), "align_widths_s: expected at least 0"),
        ("shape_width_s", 0.0, "shape_width_s: expected more than 0, got 0.0"),
        ("shape_tolerance", float("nan"), "shape_tolerance: expected at least 0, got nan"),
    ],
)
def test_wrong_settings_say_what_is_expected(field: str, value: object, said: str):
    with pytest.raises(ValueError, match=said):
        TrackConfig(**{field: value})


def test_wrong_choices_say_what_is_expected():
    with pytest.raises(ValueError, match=r"by: expected one of \('size', .*'reference'\), got"):
        FaceChoice(by="age")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"position: expected \(x, y\), got None"):
        FaceChoice(by="position")
    with pytest.raises(ValueError, match=r"unit: expected one of \('pixels', 'shares'\)"):
        FaceChoice(by="position", position=(1, 1), unit="percent")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a reference and a function embed"):
        FaceChoice(by="reference", reference=np.ones(2))
    with pytest.raises(ValueError, match="max_distance: expected more than 0 and at most 2, got 3"):
        FaceChoice(max_distance=3.0)
    with pytest.raises(ValueError, match="recheck_s: expected at least 0, got -1"):
        FaceChoice(recheck_s=-1.0)
    other = FaceChoice(by="reference", reference=np.ones(3), embed=named)
    with pytest.raises(ValueError, match=r"embed: expected the reference's shape \(3,\), got \(2,"):
        track([[face()]], choose=other)


def test_wrong_frames_say_what_is_expected():
    with pytest.raises(ValueError, match=r"expected a frame after 0\.04 s, got one at 0\.04 s"):
        track([[face()]] * 3, times_s=[0.0, 0.04, 0.04])
    with pytest.raises(ValueError, match=r"landmarks: expected shape \(68, 2\)"):
        track([[np.zeros((5, 2))]])


def test_progress_is_told_when_a_frame_is_done_with():
    info = read_video_info(sample_clips().person_a)  # 450 frames, 18 s
    events: list[object] = []
    for frame in tell_progress("abc", lambda *told: events.append(told), info, 17.92):
        events.append(frame)
    assert events == ["a", (1, 2), "b", (2, 2), "c", (3, 3)]  # more frames than were expected
    told = []
    list(tell_progress(range(9), lambda *each: told.append(each), info, 0.0, 99.0, stride=50))
    assert told == [(done, 9) for done in range(1, 10)]
    assert list(tell_progress("ab", None, info)) == ["a", "b"]

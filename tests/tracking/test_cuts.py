"""Cuts, dissolves, and what is neither: flashes, light, and a camera or a person that moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepfake_utils.tracking.cuts import CutDetector, difference
from deepfake_utils.video import TimedFrame

H, W, FPS = 54, 96, 25.0
SLOW = pytest.mark.slow


def scenery(seed: int, width: int = 300) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (5, width // 16, 3), dtype=np.uint8)
    wide = cv2.resize(noise, (width, 90), interpolation=cv2.INTER_CUBIC).astype(float)
    return 0.6 * wide + 0.4 * wide.mean(axis=2, keepdims=True)


def shot(seed: int, count: int, sway: float = 0.4) -> list[np.ndarray]:
    """A room, filmed by hand, in it somebody who moves."""
    room, rng = scenery(seed), np.random.default_rng(seed)
    x, y = (16 + np.clip(np.cumsum(rng.normal(0, sway, count)), -12, 12) for _ in "xy")
    frames = []
    for i in range(count):
        frame = room[int(y[i]) : int(y[i]) + H, int(x[i]) : int(x[i]) + W].copy()
        middle = 48 + round(6 * np.sin(i / 5)), 27
        cv2.ellipse(frame, middle, (9, 12), 0, 0, 360, (200 - 20 * (seed % 5), 150, 120), -1)
        frames.append(frame + rng.normal(0, 3, frame.shape))
    return frames


def flash(frames: list, at, share: float = 0.6, half: bool = False) -> list:
    for i in at:
        lit = frames[i] * (1 - share) + 255 * share
        if half:
            lit[: H // 2] = frames[i][: H // 2]
        frames[i] = lit
    return frames


def dissolve(before: list, after: list, count: int) -> list:
    shares = np.linspace(0, 1, count + 2)[1:-1]
    ends = zip(shares, before[-count:], after[:count], strict=True)
    return before[:-count] + [(1 - w) * a + w * b for w, a, b in ends] + after[count:]


def fade(before: list, after: list, count: int, colour: float) -> list:
    shares = np.linspace(0, 1, count)
    out = [a * (1 - w) + colour * w for w, a in zip(shares, before[-count:], strict=True)]
    back = [b * w + colour * (1 - w) for w, b in zip(shares, after[:count], strict=True)]
    return before[:-count] + out + back + after[count:]


def pan(seed: int, speeds) -> list:
    room = scenery(seed, 2400)
    return [room[18 : 18 + H, x : x + W] for x in np.cumsum(speeds).astype(int)]


def zoom(seed: int, scales) -> list:
    room = scenery(seed)
    spans = [(round(150 / s), round(84 / s)) for s in scales]
    parts = [room[45 - h // 2 : 45 + h // 2, 150 - w // 2 : 150 + w // 2] for w, h in spans]
    return [cv2.resize(part, (W, H)) for part in parts]


def walker(seed: int, count: int, speed: int, width: int) -> list:
    frames = shot(seed, count)
    for i, frame in enumerate(frames[20:]):
        frame[:, max(0, i * speed - width) : max(0, i * speed)] = (60, 40, 50)
    return frames


def lit(frames: list, gains) -> list:
    return [frame * gain for frame, gain in zip(frames, gains, strict=True)]


def cuts(frames: list, fps: float = FPS) -> list[int]:
    detector = CutDetector()
    timed = (TimedFrame(np.uint8(np.clip(f, 0, 255)), i / fps) for i, f in enumerate(frames))
    return [i for i, (_, c) in enumerate(detector.watch(timed)) if detector.is_cut(c)]


STILL = [np.zeros((H, W, 3))] * 30
RAMP = np.concatenate(
    [np.zeros(30), np.linspace(0, 1, 8), np.ones(16), np.linspace(1, 0, 8), [0.0] * 20]
)


@pytest.mark.parametrize(
    ("seed", "count"), [(0, 2), *(pytest.param(s, s, marks=SLOW) for s in (1, 3))]
)
def test_a_flash_is_no_cut_and_hides_none(seed: int, count: int):
    a, b = seed, seed + 20
    for share, half in ((0.6, False), (1.0, False), (0.8, True)):
        assert cuts(flash(shot(a, 60), range(30, 30 + count), share, half)) == []
    before = flash(shot(a, 30), range(30 - count, 30))
    assert cuts(before + shot(b, 30)) == [30]
    assert cuts(shot(a, 30) + flash(shot(b, 30), range(count))) == [30]
    assert cuts(flash(shot(a, 30), range(30 - count, 30), 1.0) + shot(b, 30)) == [30]
    near = flash(shot(a, 30), range(27 - count, 27)), flash(shot(b, 30), range(3, 3 + count))
    assert cuts(near[0] + near[1]) == [30]


@pytest.mark.parametrize("seed", [0, 1])
def test_many_flashes_and_those_at_the_ends_are_none(seed: int):
    assert cuts(flash(shot(seed, 70), [0, 30, 32, 34, 36, 39, 42, 69])) == []


def test_cuts_are_where_shots_begin():
    assert cuts(shot(1, 30) + shot(2, 30)) == [30]
    assert cuts(shot(1, 30) + shot(2, 6) + shot(3, 30)) == [30, 36]
    assert cuts(shot(1, 30) + pan(2, [4] * 30)) == [30]
    assert cuts(shot(1, 60) + shot(2, 60), 60.0) == [60]
    assert cuts(shot(1, 12) + shot(2, 12), 1.0) == [12]  # every 25th frame


@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 12), *(pytest.param(s, n, marks=SLOW) for s, n in ((0, 6), (2, 25), (3, 40)))],
)
def test_a_dissolve_is_one_change_of_shot(seed: int, count: int):
    a, b = shot(seed, 70, 0.0), shot(seed + 20, 80, 0.0)
    (at,) = cuts(dissolve(a, b, count))
    assert 70 - count < at <= 70 + count // 3
    for colour in (0.0, 255.0):
        (at,) = cuts(fade(a, b, count // 2, colour))
        assert 70 <= at <= 70 + count


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=SLOW)])
@pytest.mark.parametrize(
    "film",
    [
        lambda s: shot(s, 80),
        lambda s: shot(s, 80, 0.0),
        *(lambda s, v=v: pan(s, RAMP * v) for v in (2, 5, 12, 30, 50)),
        *(lambda s, v=v: pan(s, [v] * 40) for v in (2, 5, 12, 30)),
        lambda s: pan(s, [0] * 30 + [30] * 12 + [0] * 30),
        lambda s: zoom(s, 1.02 ** np.arange(40)),
        lambda s: zoom(s, 1.12 ** np.clip(np.arange(60) - 25.0, 0, 8)),
        *(lambda s, v=v, w=w: walker(s, 70, v, w) for v, w in ((3, 48), (8, 48), (12, 150))),
        lambda s: lit(shot(s, 70), np.interp(np.arange(70), [20, 45], [1.0, 0.4])),
        lambda s: lit(shot(s, 70), [1.0] * 30 + [0.5] * 40),
        lambda s: lit(shot(s, 70), 1.0 + 0.12 * (np.arange(70) % 2)),
        lambda s: fade(STILL, shot(s, 70), 12, 0.0),
        lambda s: fade(shot(s, 70), STILL, 12, 0.0),
    ],
)
def test_what_moves_or_changes_its_light_is_one_shot(seed: int, film):
    assert cuts(film(seed)) == []


def test_grain_is_none_and_a_jump_of_the_face_lowers_the_limit(rng: np.random.Generator):
    grey = np.full((H, W, 3), 128.0)
    assert cuts([grey + rng.normal(0, 20, grey.shape) for _ in range(30)]) == []
    changed = grey.copy()
    changed[:20, :30] += 60
    frames = [TimedFrame(np.uint8(f), i / FPS) for i, f in enumerate([grey] * 9 + [changed] * 9)]
    detector = CutDetector()
    found = [change for _, change in detector.watch(frames)]
    assert [i for i, change in enumerate(found) if detector.is_cut(change)] == []
    assert [i for i, change in enumerate(found) if detector.is_cut(change, True)] == [9]


def test_every_frame_comes_out_once_with_little_read_ahead():
    read = 0

    def counted():
        nonlocal read
        for i, frame in enumerate(shot(1, 40)):
            read += 1
            yield TimedFrame(np.uint8(np.clip(frame, 0, 255)), i / FPS)

    times, most = [], 0
    for frame, _ in CutDetector().watch(counted()):
        times.append(frame.time_s)
        most = max(most, read - len(times))
    assert times == [i / FPS for i in range(40)]
    assert most <= 12


def test_light_changes_little_of_a_difference(rng: np.random.Generator):
    one, other = rng.random((2, 18, 32, 3)).astype(np.float32)
    assert difference(one, 0.5 * one + 0.3) == pytest.approx(0.0, abs=1e-6)
    assert difference(one, other) == pytest.approx(np.abs(one - other).mean())

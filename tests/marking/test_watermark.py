"""pytest tests/marking/test_watermark.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.lessons.attacks import ATTACKS, encoded, jpeg, resized, survival, turned
from deepfake_utils.marking import watermark
from deepfake_utils.marking.watermark import (
    ID_BITS,
    KIND,
    Watermark,
    WatermarkConfig,
    new_mark_id,
)
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import read_frames

MARK_ID = KIND << 32 | 0x12345678


def psnr(one, other):
    return 10 * np.log10(255.0**2 / np.square(one.astype(float) - other).mean())


@pytest.fixture(scope="module")
def clip():
    """96 frames of person A."""
    return list(read_frames(sample_clips().person_a, 14.0, 14.0 + 96 / 25))[:96]


LOST = {
    "H.264, CRF 33",
    "H.264, CRF 38",
    "H.265, CRF 33",
}  # what is not seen does not outlive these
QUICK = {
    *("none", "H.264, CRF 28", "GIF", "half size", "30 % cropped", "cut to 9:16", "mirrored"),
    *("turned by 90", "turned by 3", "one frame, JPEG 50", "screenshot, 1.25"),
}


def came_through(clip, attack):
    found = survival(clip, MARK_ID, attacks=[attack])[attack]
    assert found is not None and found.face_swap
    assert found.mirrored == (attack == "mirrored")
    angle = float(attack.removeprefix("turned by ").split(",")[0]) if "turned" in attack else 0.0
    assert (found.turned - angle + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1.1)


@pytest.mark.parametrize("attack", sorted(QUICK))
def test_the_mark_comes_through(clip, attack):
    came_through(clip, attack)


@pytest.mark.slow
@pytest.mark.parametrize("attack", sorted(set(ATTACKS) - QUICK - LOST))
def test_the_mark_comes_through_the_rest(clip, attack):
    came_through(clip, attack)


@pytest.mark.slow
def test_eighteen_seconds_bring_it_through_crf_33():
    mark = Watermark()
    clip = [mark.write(frame, MARK_ID) for frame in read_frames(sample_clips().person_a)]
    assert mark.read(encoded(clip, options={"crf": "33"})[::2]).mark_id == MARK_ID


@pytest.mark.parametrize("wh", [(640, 360), (384, 384), (1280, 720), (240, 426)])
def test_it_is_faint_and_read_at_any_size(frame, wh):
    image = cv2.resize(frame, wh, interpolation=cv2.INTER_AREA)
    before = image.copy()
    mark = Watermark()
    marked = mark.write(image, MARK_ID)
    assert np.array_equal(image, before)
    assert marked.shape == image.shape and marked.dtype == np.uint8
    assert 46.0 <= psnr(image, marked) < 52.0
    assert mark.read([marked]).mark_id == MARK_ID


def test_it_changes_brightness_and_not_colour(frame):
    change = Watermark().write(frame, MARK_ID).astype(int) - frame
    inside = (frame > 20).all(axis=2) & (frame < 235).all(axis=2)
    assert (change[inside] == change[inside][:, :1]).all()


def test_a_busy_picture_stays_above_the_promised_psnr(rng):
    noise = rng.integers(0, 256, (180, 180, 3), np.uint8)
    image = cv2.resize(noise, (360, 360), interpolation=cv2.INTER_LINEAR)
    assert psnr(image, Watermark().write(image, MARK_ID)) >= 44.0


@pytest.mark.parametrize("level", [0, 30, 128, 200, 255])
def test_even_ground_stays_as_it_is(level):
    image = np.full((360, 640, 3), level, np.uint8)
    assert np.array_equal(Watermark().write(image, MARK_ID), image)
    luma = np.full((360, 640), max(16, min(level, 235)), np.uint8)
    before = luma.copy()
    Watermark().write_luma(luma, MARK_ID)
    assert np.array_equal(luma, before)


@pytest.mark.parametrize("share", [1.0, 1.45])  # the strongest mark of a still picture
@pytest.mark.parametrize("level", [8, 40, 128, 200])
def test_smooth_ground_with_grain_is_changed_by_a_level_at_most(level, share, rng):
    grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, (360, 640)).astype(np.float32), (0, 0), 0.7)
    image = cv2.merge([np.uint8(np.rint(level + grain))] * 3)
    marked = Watermark().write(image, MARK_ID, share)
    assert np.abs(marked.astype(int) - image).max() <= 1
    if level > 40:
        assert Watermark().read([marked]).mark_id == MARK_ID


def test_a_mark_of_the_first_kind_is_still_read(frame):
    # Before `strength_map` there was the same tile, not freed of its coarse parts, and 1 level.
    mark = Watermark()
    tile, pitch = mark._tile(MARK_ID), 5.0 * len(frame) / 360
    grid = np.mgrid[: len(frame), : frame.shape[1]] / pitch
    pattern = tile[tuple(grid.astype(int) % 32)]
    old = np.clip(np.rint(frame + 1.2 * pattern[..., None]), 0, 255).astype(np.uint8)
    assert mark.read([old]).mark_id == MARK_ID


def test_an_edge_does_not_make_the_flat_ground_beside_it_show():
    image = np.zeros((360, 640, 3), np.uint8)
    image[:, :320], image[:, 320:] = 90, 200
    change = np.abs(Watermark().write(image, MARK_ID)[..., 0].astype(int) - image[..., 0])
    assert change[:, :312].max() == 0


def test_nothing_is_read_where_there_is_nothing(clip, rng):
    mark = Watermark()
    assert mark.read(clip[:16]) is None
    assert mark.read([clip[0]], thorough=True) is None
    assert mark.read(rng.integers(0, 256, (4, 360, 640, 3), np.uint8)) is None


@pytest.mark.parametrize("level", [0, 37, 100, 128, 200, 255])
def test_no_reading_is_tried_in_a_blank_picture(level, monkeypatch):
    # Chance finds peaks in what rounding leaves of it; to read at each of them took 40 seconds.
    monkeypatch.setattr(watermark, "best_id", lambda scores, tries: pytest.fail("tried to read"))
    blank = np.full((360, 480, 3), level, np.uint8)
    assert Watermark().read([blank], thorough=True) is None


def screen(rng, picture, dark):
    """A window with lines of text and a picture, as a screenshot shows it."""
    image = np.full((720, 1280, 3), 25 if dark else 245, np.uint8)
    image[:48] = 90
    for row in range(90, 700, 27):
        letters = "".join(rng.choice(list("abcdefghijklmnop     "), 90))
        ink = (220,) * 3 if dark else (30,) * 3
        cv2.putText(image, letters, (20, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)
    image[200 : 200 + len(picture), 700 : 700 + picture.shape[1]] = picture
    return image


def unmarked(frame, rng):
    """Pictures with fine texture, or that repeat themselves as a mark does."""
    noise = rng.integers(0, 256, (400, 600, 3), np.uint8)
    slope = np.add.outer(np.linspace(0, 90, 400), np.linspace(0, 120, 600))
    waves = 128 + 100 * np.sin(slope)
    row, column = np.mgrid[:480, :640]
    return {
        "frame": frame,
        "crop": frame[40:330, 60:340].copy(),
        "enlarged": resized([frame], 1.7)[0],
        "jpeg": jpeg([frame], 40)[0],
        "noise": noise,
        "soft noise": cv2.GaussianBlur(noise, (0, 0), 2.5),
        "blocks": np.kron(noise[:90, :120], np.ones((5, 5, 1), np.uint8)),
        "slope": cv2.merge([np.rint(slope).astype(np.uint8)] * 3),
        "waves": cv2.merge([np.rint(waves).astype(np.uint8)] * 3),
        "checks": cv2.merge([((row // 11 + column // 11) % 2 * 200).astype(np.uint8)] * 3),
        "turned tiles": turned([np.tile(cv2.resize(frame, (154, 154)), (4, 6, 1))], 2.0)[0],
        "tiles": np.tile(cv2.resize(frame, (154, 154)), (4, 6, 1)),
        "light screen": screen(rng, frame, False),
        "dark screen": screen(rng, frame, True),
    }


@pytest.mark.slow
def test_the_thorough_search_reads_nothing_where_there_is_nothing(frame, rng):
    read = {
        name: Watermark().read([image], thorough=True)
        for name, image in unmarked(frame, rng).items()
    }
    assert len(read) == 14
    assert {name: found for name, found in read.items() if found} == {}


def test_another_key_reads_nothing(frame):
    marked = Watermark(WatermarkConfig(key=b"other")).write(frame, MARK_ID)
    assert Watermark().read([marked]) is None
    assert Watermark(WatermarkConfig(key=b"other")).read([marked]).mark_id == MARK_ID


def test_the_same_mark_twice_is_still_read(clip):
    mark = Watermark()
    once = [mark.write(image, MARK_ID) for image in clip[:8]]
    twice = [mark.write(image, MARK_ID, share=0.5) for image in encoded(once)]
    assert mark.read(encoded(twice, options={"crf": "28"})).mark_id == MARK_ID


def test_the_codes_never_change():
    # Were they to, no mark written before would be read any more.
    tile = Watermark()._tile(MARK_ID)
    assert tile.shape == (32, 32)
    assert np.square(tile).mean() == pytest.approx(1.0, abs=1e-5)
    assert (np.round(tile[0, :6], 3) == TILE).all(), np.round(tile[0, :6], 3).tolist()


TILE = np.float32(
    [
        0.5950000286102295,
        1.5950000286102295,
        2.1429998874664307,
        -1.0479999780654907,
        0.5,
        -0.5950000286102295,
    ]
)


def test_any_id_of_40_bits_comes_back(frame):
    for mark_id in (0, 1, (1 << ID_BITS) - 1):
        found = Watermark().read([Watermark().write(frame, mark_id)])
        assert found.mark_id == mark_id and not found.face_swap
    ids = {new_mark_id() for _ in range(100)}
    assert len(ids) == 100 and all(each >> 32 == KIND for each in ids)


def test_a_picture_of_another_scale_is_read_if_looked_at_thoroughly(frame):
    marked = Watermark().write(frame, MARK_ID)
    (enlarged,) = resized([marked], 1.37)
    part = enlarged[60:460, 40:400].copy()
    assert Watermark().read([part], thorough=True).mark_id == MARK_ID


def test_wrong_arguments_say_so(frame):
    mark = Watermark()
    with pytest.raises(ValueError, match=r"at least 64 pixels .* got 100x40"):
        mark.write(frame[:40, :100].copy(), MARK_ID)
    with pytest.raises(ValueError, match="expected 40 bits, got"):
        mark.write(frame, 1 << 40)
    with pytest.raises(TypeError, match="uint8"):
        mark.write(frame / 255.0, MARK_ID)
    with pytest.raises(ValueError, match="at least one frame"):
        mark.read([])
    for wrong in ({"chip": 1.0}, {"pilot": 1.0}, {"strength": 0.0}, {"refresh": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            WatermarkConfig(**wrong)

"""pytest tests/test_blending.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.compositing.blending import edge_fade, paste_face, sharpen
from deepfake_utils.faces import align_face, face_mask
from deepfake_utils.umeyama import transform_points


def smooth(rng, size=96, cells=6):
    noise = rng.random((cells, cells, 3)).astype(np.float32) * 0.5 + 0.25
    return np.uint8(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * 255)


@pytest.mark.parametrize("mask_size", [64, 256, 400])
def test_a_crop_pasted_back_gives_the_frame_again(frame, points, mask_size):
    size = 256
    face = align_face(frame, points, size)
    at = (face.landmarks + 0.5) * (mask_size / size) - 0.5
    mask = face_mask(at, (mask_size, mask_size))
    result = paste_face(frame, face.image, face.matrix, mask)
    assert result.shape == frame.shape and result.dtype == np.uint8
    grown = cv2.dilate(mask, np.ones((5, 5))).astype(np.float32)  # pixels that a sample may reach
    step = mask_size / size
    to_mask = face.matrix * step
    to_mask[:, 2] += (step - 1) / 2
    y, x = np.mgrid[:384, :384]
    there = transform_points(np.stack([x.ravel(), y.ravel()], 1), to_mask).astype(np.float32)
    alpha = cv2.remap(grown, there[:, 0].reshape(384, 384), there[:, 1].reshape(384, 384), 1)
    outside = alpha == 0.0
    assert 0.2 < outside.mean() < 0.95
    assert np.array_equal(result[outside], frame[outside])
    change = np.abs(result.astype(int) - frame)
    assert change[alpha > 0.5].mean() < 1.5
    assert 0.0 < change.max() < 60


def test_pasting_is_exact_to_the_pixel(frame, rng):
    face = smooth(rng, 64)
    matrix = np.array([[1.0, 0.0, -100.0], [0.0, 1.0, -80.0]])  # frame (100, 80) is face (0, 0)
    result = paste_face(frame, face, matrix, np.ones((64, 64), np.float32))
    assert np.array_equal(result[80:144, 100:164], face)
    result[80:144, 100:164] = frame[80:144, 100:164]
    assert np.array_equal(result, frame)


def test_mask_and_face_of_different_size_cover_the_same_square(frame):
    white = np.full((32, 32, 3), 255, np.uint8)
    mask = np.zeros((128, 128), np.float32)
    mask[32:64, 64:96] = 1.0  # rows 8..16, columns 16..24 of the face, twice that in the frame
    matrix = np.array([[0.5, 0.0, -50.25], [0.0, 0.5, -40.25]])
    black = np.zeros_like(frame)
    result = paste_face(black, white, matrix, mask)[..., 0] / 255.0
    y, x = np.mgrid[:384, :384]
    centre = (result * x).sum() / result.sum(), (result * y).sum() / result.sum()
    assert centre[0] == pytest.approx((19.5 + 50.25) / 0.5, abs=0.1)
    assert centre[1] == pytest.approx((11.5 + 40.25) / 0.5, abs=0.1)
    assert result.sum() == pytest.approx(16 * 16, rel=0.02)


def test_an_empty_mask_changes_nothing(frame, points):
    face = align_face(frame, points, 64)
    noise = np.random.default_rng(0).integers(0, 256, face.image.shape, dtype=np.uint8)
    result = paste_face(frame, noise, face.matrix, np.zeros((64, 64), np.float32))
    assert np.array_equal(result, frame)
    assert not np.shares_memory(result, frame)


@pytest.mark.parametrize("shift", [(-250, 0), (0, -250), (250, 150), (0, 150)])
def test_a_face_partly_outside_the_frame_is_pasted_where_it_shows(frame, points, shift):
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    moved = cv2.warpAffine(frame, matrix, (384, 384), borderMode=cv2.BORDER_REPLICATE)
    face = align_face(moved, points + shift, 128)
    red = np.full((128, 128, 3), (255, 0, 0), np.uint8)
    before = moved.copy()
    result = paste_face(moved, red, face.matrix, face_mask(face.landmarks, (128, 128)))
    assert np.array_equal(moved, before)  # the frame itself is not drawn on
    changed = (result != moved).any(axis=2)
    assert changed.any()
    x = np.nonzero(changed)[1]
    hull = points + shift
    assert x.min() >= max(0, hull[:, 0].min() - 4) and x.max() <= hull[:, 0].max() + 4


def test_a_face_wholly_outside_the_frame_changes_nothing(frame, points):
    face = align_face(frame, points, 64)
    far = face.matrix + np.array([[0, 0, 5000], [0, 0, 0]])
    result = paste_face(frame, face.image, far, np.ones((64, 64), np.float32))
    assert np.array_equal(result, frame)


def test_wrong_pastes_say_so(frame, points):
    face = align_face(frame, points, 64)
    mask = np.ones((64, 64), np.float32)
    with pytest.raises(TypeError, match="face: expected uint8"):
        paste_face(frame, face.image / 255.0, face.matrix, mask)
    with pytest.raises(ValueError, match="undone"):
        paste_face(frame, face.image, np.zeros((2, 3)), mask)


def test_a_small_face_is_averaged_down_when_it_is_pasted(frame):
    # A face of 128 pixels that takes up 16 in the frame: its checks must become grey.
    y, x = np.mgrid[:128, :128]
    checks = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    matrix = np.array([[7.7, 0.0, -770.0], [0.0, 7.7, -770.0]])
    result = paste_face(frame, checks, matrix, np.ones((128, 128), np.float32))
    assert result[103:113, 103:113].std() < 40  # the checks themselves have 127.5


BLENDS = ["alpha", "pyramid", "poisson"]
SHIFT = np.array([[1.0, 0.0, -100.0], [0.0, 1.0, -80.0]])  # frame (100, 80) is face (0, 0)


def disc(size=128, feather=10.0):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip((size * 0.4 - np.hypot(x, y)) / feather, 0.0, 1.0).astype(np.float32)


@pytest.mark.parametrize("blend", BLENDS)
def test_a_picture_pasted_on_itself_changes_nothing(rng, blend):
    frame = smooth(rng, 384, 12)
    result = paste_face(frame, frame[80:208, 100:228].copy(), SHIFT, disc(), blend)
    assert np.abs(result.astype(int) - frame).max() <= 3


@pytest.mark.parametrize("blend", BLENDS)
def test_outside_the_mask_no_bit_changes(frame, rng, blend):
    mask = disc()
    result = paste_face(frame, smooth(rng, 128), SHIFT, mask, blend)
    outside = np.ones((384, 384), bool)
    outside[80:208, 100:228] = mask == 0.0
    assert np.array_equal(result[outside], frame[outside])
    assert not np.array_equal(result[144, 164], frame[144, 164])


def edge_step(result):
    """The largest difference between neighbours along a line across the mask's edge."""
    return np.abs(np.diff(result[144, 100:140, 0].astype(int))).max()


def test_wide_ways_leave_less_of_a_step_than_a_hard_mask():
    frame = np.full((384, 384, 3), 100, np.uint8)
    face = np.full((128, 128, 3), 140, np.uint8)
    hard = (disc() > 0.5).astype(np.float32)
    steps = {blend: edge_step(paste_face(frame, face, SHIFT, hard, blend)) for blend in BLENDS}
    assert steps["alpha"] == 40
    assert steps["pyramid"] < 25
    assert steps["poisson"] <= 2  # a flat face has no gradients: it takes the frame's level


def test_poisson_keeps_the_structure_of_the_face(rng):
    frame = np.full((384, 384, 3), 100, np.uint8)
    face = np.uint8(smooth(rng, 128) // 4 + 150)
    result = paste_face(frame, face, SHIFT, disc(), "poisson")
    inner = (slice(112, 176), slice(132, 196))
    got, wanted = (np.diff(p.astype(int), axis=0) for p in (result[inner], face[32:96, 32:96]))
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.8
    assert abs(result[inner].mean() - 100) < abs(face.mean() - 100) / 2


@pytest.mark.parametrize("blend", BLENDS)
def test_every_way_can_paste_at_the_frames_corner(frame, rng, blend):
    matrix = np.array([[1.0, 0.0, 40.0], [0.0, 1.0, 40.0]])
    result = paste_face(frame, smooth(rng, 128), matrix, disc(), blend)
    assert (result != frame).any()


def test_sharpening_strengthens_edges_and_zero_is_nothing(rng):
    face = smooth(rng, 64, 10)
    assert np.array_equal(sharpen(face, 0.0), face)
    energy = [cv2.Laplacian(sharpen(face, a), cv2.CV_64F).std() for a in (-0.5, 0.0, 0.5, 1.0)]
    assert energy == sorted(energy) and energy[-1] > 1.2 * energy[1]


def test_an_unknown_way_says_so(frame, picture):
    with pytest.raises(ValueError, match=r"blend: expected one of .*'pyramid'.*, got 'glue'"):
        paste_face(frame, picture, SHIFT, edge_fade(64), "glue")

"""pytest tests/test_warping.py"""

import cv2
import numpy as np
import pytest
import torch

from deepfake_utils.images import to_image, to_tensor
from deepfake_utils.warping import (
    WarpConfig,
    draw_warps,
    grid_points,
    random_transform,
    random_warp,
    warp_batch,
)

STILL = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.0, jitter=0.0)
SHAKEN = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.0, jitter=0.03)
SIDE, SIZE, VIEW = 256, 64, 0.75


def halves(faces, seed=0, size=SIZE, view=VIEW, config=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Warped and target of a batch."""
    warps = draw_warps(len(faces), np.random.default_rng(seed), config)
    pair = warp_batch(faces, warps, size, view, config)
    return pair.warped, pair.target


def ramp_image() -> np.ndarray:
    """Red says x and green says y, so that a picture cut from it tells where it was cut."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8)


def ramps(count: int) -> torch.Tensor:
    return (
        torch.from_numpy(ramp_image()[..., :2].transpose(2, 0, 1).copy())
        .float()
        .expand(count, 2, SIDE, SIDE)
    )


def straight() -> np.ndarray:
    """(SIZE, SIZE, 2): where the pixels lie in the face if nothing is moved."""
    ticks = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * VIEW * SIDE + (SIDE - 1) / 2
    return np.stack(np.meshgrid(ticks, ticks), axis=-1)


def fit_affine(where: np.ndarray) -> tuple[np.ndarray, float]:
    """The (2, 2) linear map that best explains (SIZE, SIZE, 2) coordinates; its largest error."""
    y, x = np.mgrid[:SIZE, :SIZE]
    known = np.stack([x.ravel(), y.ravel(), np.ones(SIZE * SIZE)], axis=1)
    solution, *_ = np.linalg.lstsq(known, where.reshape(-1, 2), rcond=None)
    return solution[:2].T, float(np.abs(known @ solution - where.reshape(-1, 2)).max())


def numpy_places(count: int, config: WarpConfig) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    pairs = [random_warp(ramp_image(), rng, SIZE, VIEW, config) for _ in range(count)]
    warped, target = (
        np.stack(half)[..., :2].astype(np.float64) for half in zip(*pairs, strict=True)
    )
    return warped, target


def batch_places(count: int, config: WarpConfig) -> tuple[np.ndarray, np.ndarray]:
    pair = halves(ramps(count), 5, SIZE, VIEW, config)
    warped, target = (half.permute(0, 2, 3, 1).double().numpy() for half in pair)
    return warped, target


def test_without_chance_both_halves_are_the_plain_crop(picture, rng):
    crop = picture[16:48, 16:48]
    for half in random_warp(picture, rng, 32, 0.5, STILL):
        assert np.abs(half.astype(int) - crop).max() <= 1
    for half in halves(to_tensor(picture)[None], 0, 32, 0.5, STILL):
        assert np.abs(to_image(half[0]).astype(int) - crop).max() <= 1


def test_without_chance_the_crop_is_resized_about_pixel_centres(picture, rng):
    wanted = cv2.resize(picture[8:56, 8:56], (96, 96), interpolation=cv2.INTER_LINEAR)
    batch = halves(to_tensor(picture)[None], 0, 96, 0.75, STILL)
    for half in (*random_warp(picture, rng, 96, 0.75, STILL), *(to_image(h[0]) for h in batch)):
        inside = np.abs(half.astype(int) - wanted)[1:-1, 1:-1]  # the crop's own edge is repeated
        assert inside.max() <= 3  # OpenCV rounds positions to 1/32 pixel
        assert inside.mean() < 0.4


def test_equal_chance_gives_equal_pairs_and_other_chance_others(picture):
    def pair(seed):
        return np.stack(random_warp(picture, np.random.default_rng(seed)))

    def batch(seed):
        return torch.stack(halves(to_tensor(picture)[None], seed))

    assert np.array_equal(pair(1), pair(1))
    assert not np.array_equal(pair(1), pair(2))
    assert torch.equal(batch(1), batch(1))
    assert not torch.equal(batch(1), batch(2))
    moved = [random_transform(picture, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(moved[0], moved[1])
    assert not np.array_equal(moved[0], moved[2])


def test_faces_of_a_batch_are_moved_independently(picture):
    faces = to_tensor(picture).expand(8, 3, 64, 64)
    for half in halves(faces, 0):
        assert len(torch.unique(half.flatten(1), dim=0)) == 8


def test_shapes_and_dtypes(picture, rng):
    for half in random_warp(picture, rng, 48, 0.7):
        assert half.shape == (48, 48, 3)
        assert half.dtype == np.uint8
    for half in halves(torch.rand(3, 4, 50, 50), 0, 48, 0.7):
        assert half.shape == (3, 4, 48, 48)
        assert half.dtype == torch.float32
    assert random_transform(picture[:40], rng).shape == (40, 64, 3)


def test_numpy_and_batch_shake_equally_far():
    far = []
    for places in (numpy_places(120, SHAKEN), batch_places(120, SHAKEN)):
        far.append(np.linalg.norm(places[0] - straight(), axis=-1).mean())
    # Between grid points independent shakes are averaged, so the mean is below the grid points'.
    at_grid = SHAKEN.jitter * VIEW * SIDE * np.sqrt(np.pi / 2)
    assert 0.5 * at_grid < far[1] < at_grid
    assert far[0] == pytest.approx(far[1], rel=0.06)


def test_numpy_and_batch_aim_the_target_equally():
    sizes = []
    for places in (numpy_places(250, SHAKEN), batch_places(250, SHAKEN)):
        dets = [np.linalg.det(fit_affine(target)[0]) for target in places[1]]
        sizes.append(np.sqrt(dets).mean() * SIZE / (VIEW * SIDE))
    # The standard error is 0.0008; a fit in the other direction is 0.007 off.
    assert sizes[1] == pytest.approx(1.0, abs=0.003)
    assert sizes[0] == pytest.approx(sizes[1], abs=0.003)


@pytest.mark.parametrize("places", [numpy_places, batch_places])
def test_target_takes_up_the_chance_shift_of_the_warp(places):
    warped, target = places(120, SHAKEN)
    fitted = (warped - target).mean(axis=(1, 2))  # (120, 2), pixels of the face
    unfitted = (warped - straight()).mean(axis=(1, 2))
    assert np.abs(fitted.mean(axis=0)).max() < 0.2
    assert np.square(fitted).mean() < 0.5 * np.square(unfitted).mean()
    # ... and its turn and growth: nothing of them is left on average.
    left = np.mean([fit_affine(one)[0] for one in warped - target], axis=0)
    assert np.abs(left).max() < 0.02


def test_target_is_a_similarity_and_warped_is_not():
    config = WarpConfig(rotation_deg=8.0, zoom=0.05, shift=0.02, flip=0.5, jitter=0.03)
    warped, target = batch_places(16, config)
    signs = set()
    for one, other in zip(target, warped, strict=True):
        linear, error = fit_affine(one)
        assert error < 0.01
        square = linear.T @ linear
        assert square[0, 0] == pytest.approx(square[1, 1], rel=1e-4)
        assert square[0, 1] == pytest.approx(0.0, abs=1e-3)
        signs.add(float(np.sign(np.linalg.det(linear))))
        assert fit_affine(other)[1] > 2.0
    assert signs == {-1.0, 1.0}  # some are mirrored, some are not


def test_target_of_one_picture_is_a_similarity():
    for one in numpy_places(8, SHAKEN)[1]:
        linear, error = fit_affine(one)
        assert error < 1.0  # whole numbers in the ramp
        square = linear.T @ linear
        assert square[0, 0] == pytest.approx(square[1, 1], rel=0.02)
        assert abs(square[0, 1]) < 0.01 * square[0, 0]
        assert np.linalg.det(linear) > 0


@pytest.mark.parametrize(
    ("config", "least", "most"),
    [
        (WarpConfig(20.0, 0.0, 0.0, 0.0, jitter=0.0), 15.0, 20.0),
        (WarpConfig(0.0, 0.2, 0.0, 0.0, jitter=0.0), 0.15, 0.2),
        (WarpConfig(0.0, 0.0, 0.1, 0.0, jitter=0.0), 0.08, 0.1),
    ],
    ids=["rotation", "zoom", "shift"],
)
def test_moves_reach_their_limits_and_not_beyond(config, least, most):
    _, target = batch_places(64, config)
    linear = np.stack([fit_affine(one)[0] for one in target]) * SIZE / (VIEW * SIDE)
    if config.rotation_deg:
        amount = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    elif config.zoom:
        amount = 1.0 / linear[:, 0, 0] - 1.0
    else:
        amount = (target[:, 20:44, 20:44].mean((1, 2)) - (SIDE - 1) / 2).ravel() / SIDE
    assert least < np.abs(amount).max() < most * 1.001
    assert amount.min() < 0.0 < amount.max()


def test_random_transform_moves_as_far_as_asked():
    config = WarpConfig(rotation_deg=20.0, zoom=0.1, shift=0.05, flip=0.5, jitter=0.0)
    rng = np.random.default_rng(3)
    angles, signs = [], set()
    for _ in range(40):
        moved = random_transform(ramp_image(), rng, config)[96:160, 96:160, :2]
        linear, error = fit_affine(moved.astype(np.float64))
        assert error < 1.2
        scale = np.sqrt(abs(np.linalg.det(linear)))
        assert 1 / 1.11 < scale < 1 / 0.89
        angles.append(np.degrees(np.arcsin(np.clip(linear[1, 0] / scale, -1, 1))))
        signs.add(float(np.sign(np.linalg.det(linear))))
    assert 15.0 < np.abs(angles).max() < 20.5
    assert signs == {-1.0, 1.0}


def test_no_black_comes_in_from_outside():
    wild = WarpConfig(rotation_deg=45.0, zoom=0.3, shift=0.3, flip=0.5, jitter=0.1)
    plain = np.full((64, 64, 3), 180, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert (random_transform(plain, rng, wild) == 180).all()
        for half in random_warp(plain, rng, 32, 1.0, wild):
            assert (half == 180).all()
    for half in halves(torch.full((10, 3, 64, 64), 0.7), 0, 32, 1.0, wild):
        assert (half - 0.7).abs().max() < 1e-5


def test_mirroring_takes_every_channel_and_both_halves(picture, rng):
    mirror = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=1.0, jitter=0.0)
    faces = torch.cat([to_tensor(picture), torch.rand(1, 64, 64)])[None]
    plain = halves(faces, 0, 64, 0.8, STILL)
    mirrored = halves(faces, 0, 64, 0.8, mirror)
    for one, other in zip(plain, mirrored, strict=True):
        assert torch.allclose(other, one.flip(3), atol=1e-4)
    assert np.array_equal(random_transform(picture, rng, mirror), picture[:, ::-1])


def test_about_half_are_mirrored():
    config = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.5, jitter=0.0)
    _, target = batch_places(200, config)
    mirrored = (target[:, 32, 63, 0] < target[:, 32, 0, 0]).mean()
    assert 0.35 < mirrored < 0.65


def test_grid_lies_on_the_edges_of_the_view():
    points = grid_points(3, 64, 0.5)
    assert points.shape == (9, 2)
    assert points[[0, 1, 4, 8]].tolist() == [[15.5, 15.5], [31.5, 15.5], [31.5, 31.5], [47.5, 47.5]]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"grid": 1}, "grid: expected at least 2, got 1"),
        ({"flip": 1.5}, "flip: expected at least 0 and at most 1, got 1.5"),
        ({"zoom": 1.0}, "zoom: expected at least 0 and less than 1, got 1.0"),
        ({"zoom": float("nan")}, "zoom"),
        ({"jitter": -0.1}, "jitter.*got -0.1"),
        ({"shift": -0.1}, "shift.*-0.1"),
        ({"rotation_deg": -1.0}, "rotation_deg.*-1.0"),
        ({"jitter": float("nan")}, "jitter.*nan"),
    ],
)
def test_wrong_settings_say_so(wrong, text):
    with pytest.raises(ValueError, match=text):
        WarpConfig(**wrong)


def test_wrong_faces_say_so(picture, rng):
    with pytest.raises(ValueError, match="square picture, got 64x40"):
        random_warp(picture[:40], rng)
    with pytest.raises(ValueError, match="square picture, got 64x40"):
        warp_batch(torch.zeros(1, 3, 40, 64))
    for view in (0.0, 1.1):
        with pytest.raises(ValueError, match="view: expected"):
            random_warp(picture, rng, view=view)
        with pytest.raises(ValueError, match="view: expected"):
            warp_batch(torch.zeros(1, 3, 64, 64), view=view)
    with pytest.raises(TypeError, match="uint8"):
        random_warp(picture / 255.0, rng)

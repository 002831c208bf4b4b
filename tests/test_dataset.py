"""pytest tests/test_dataset.py"""

import dataclasses
import itertools
import multiprocessing
import pickle
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from deepfake_utils.dataset import (
    FINER,
    FaceDataset,
    endless_batches,
    photometric_augment,
    weight_map,
)
from deepfake_utils.extraction import FaceSet, load_faces
from deepfake_utils.faces import face_mask, mean_face
from deepfake_utils.images import to_image
from deepfake_utils.landmarks import FLIP68, LEFT_EYE, MOUTH, RIGHT_EYE
from deepfake_utils.umeyama import transform_points, umeyama
from deepfake_utils.warping import WarpConfig

STILL = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.0, jitter=0.0)


def first(dataset, count=1, **options):
    return list(islice(endless_batches(dataset, device="cpu", **options), count))


def equal(one, other):
    pairs = zip(itertools.chain(*one), itertools.chain(*other), strict=True)
    return all(a is b or torch.equal(a, b) for a, b in pairs)


# Light and colour ---------------------------------------------------------------------------


def test_augment_repeats_itself_by_seed_and_keeps_the_shape(picture):
    augment = photometric_augment()
    faces = [augment(picture, seed) for seed in range(20)]
    assert all(face.shape == picture.shape and face.dtype == np.uint8 for face in faces)
    assert np.array_equal(augment(picture, 7), faces[7])
    assert np.array_equal(photometric_augment()(picture, 7), faces[7])
    assert len({face.tobytes() for face in faces}) >= 18


def test_augment_changes_light_but_not_form(picture):
    augment = photometric_augment()
    change = [np.abs(augment(picture, seed).astype(int) - picture).mean() for seed in range(30)]
    assert 2 < np.mean(change) < 40
    for seed in range(5):
        changed = augment(picture, seed).astype(float)
        for channel in range(3):
            same = np.corrcoef(changed[..., channel].ravel(), picture[..., channel].ravel())[0, 1]
            assert same > 0.97


def test_augment_grows_with_its_strength_from_nothing(picture):
    change = [
        np.mean([np.abs(augment(picture, s).astype(int) - picture).mean() for s in range(20)])
        for augment in map(photometric_augment, (0.0, 0.5, 2.0))
    ]
    assert change[0] == 0.0
    assert change[0] < change[1] < change[2]
    with pytest.raises(ValueError, match="strength: expected at least 0, got -1"):
        photometric_augment(-1)


def test_kinds_of_change_are_drawn_independently():
    # Contrast is seen in how far dark and light are apart, shifts in how the channels differ.
    augment = photometric_augment()
    face = np.full((8, 8, 3), 128, np.uint8)
    face[:4] = 60
    faces = np.stack([augment(face, seed) for seed in range(400)]).astype(float)
    contrast = np.abs((faces[:, 7, 0] - faces[:, 0, 0]).mean(axis=1) - 68) > 0.4
    shifted = np.ptp(faces[:, 7, 0], axis=1) > 0.5
    assert 0.6 < contrast.mean() < 0.9
    assert 0.6 < shifted.mean() < 0.9
    assert (~contrast & ~shifted).mean() < 0.1  # both have a chance of 0.2 to be left out
    assert (contrast & ~shifted).mean() > 0.1
    assert (~contrast & shifted).mean() > 0.1


def test_a_dataset_can_be_sent_to_another_process(face_set):
    # Where processes are not forked (macOS, Windows; Python 3.14 on Linux) workers get it so.
    dataset = FaceDataset(face_set, 32, augment=photometric_augment())
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[0, 3], dataset[0, 3])
    assert not torch.equal(copy[0, 3], copy[0, 4])


# Weights ------------------------------------------------------------------------------------


def test_weight_is_high_on_eyes_and_mouth_then_face_then_background():
    landmarks = mean_face(128, 0.6)
    weight = weight_map(landmarks, 128)
    assert weight.shape == (128, 128)
    assert weight.dtype == np.float32

    def at(point):
        return weight[round(point[1]), round(point[0])]

    cheek = (landmarks[2] + landmarks[31]) / 2
    features = [at(landmarks[part].mean(axis=0)) for part in (LEFT_EYE, RIGHT_EYE, MOUTH)]
    assert min(features) == pytest.approx(3.0, abs=0.1)
    assert at(cheek) == pytest.approx(1.0, abs=0.05)
    assert weight[2, 2] == pytest.approx(0.1)
    assert weight.min() >= 0.0999
    other = weight_map(landmarks, 128, background=0.0, features=2.0)
    assert other[2, 2] == 0.0
    assert other.max() == pytest.approx(2.0, abs=0.1)


def test_weight_follows_the_crop_into_the_batch(face_set):
    batch = first(FaceDataset(face_set, 48), warp=STILL)[0]
    points = mean_face(48, 0.75)
    weight = batch.weight[0, 0]
    for part in (LEFT_EYE, RIGHT_EYE, MOUTH):
        x, y = points[part].mean(axis=0).round().astype(int)
        assert weight[y - 1 : y + 2, x - 1 : x + 2].max() > 1.6
    assert weight[0, 0] < 0.2 and weight[0, -1] < 0.2
    assert weight.max() < 3.1


def test_without_landmarks_every_pixel_counts_the_same(face_set):
    plain = dataclasses.replace(face_set, landmarks=None)
    batch = first(FaceDataset(plain, 32))[0]
    assert (batch.weight - 1.0).abs().max() < 0.01


# Items and batches --------------------------------------------------------------------------


def test_planes_hold_colours_weights_and_mask(face_set):
    dataset = FaceDataset(face_set, 32, coverage=0.7)
    assert len(dataset) == 4
    side = round(32 * 0.7 / 0.5 * FINER)
    assert dataset.planes.shape == (4, 5, side, side)
    assert dataset.planes.dtype == torch.uint8
    assert torch.equal(dataset[1], dataset.planes[1, :3])
    points = (face_set.landmarks[1] + 0.5) * side / 96 - 0.5
    weight = dataset.planes[1, 3].numpy() / 64.0
    assert np.abs(weight - weight_map(points, side)).max() < 0.01
    mask = dataset.planes[1, 4].numpy() / 255.0
    assert np.abs(mask - face_mask(points, (side, side))).max() < 0.01
    large = FaceDataset(face_set, 256)  # finer than the crops: they are taken as they are
    assert large[0].shape == (3, 96, 96)
    assert first(large, batch_size=1)[0].warped.shape == (1, 3, 256, 256)


def test_points_are_where_the_target_shows_them(crops):
    # Each target is cut by chance, half of them mirrored. The similarity between its points and
    # those of the crop it was cut from must lay the pictures on each other too.
    dataset = FaceDataset(crops[0], 64)
    still = dataset.still()
    assert still.points.shape == (12, 68, 2)
    assert np.abs((still.points.numpy() * 64 - 0.5) - mean_face(64, 0.75)).mean() < 3.0
    mirror = still.points[:, FLIP68].clone()
    mirror[..., 0] = 1.0 - mirror[..., 0]
    known = (torch.cat([still.points, mirror]) * 64 - 0.5).numpy()
    pictures = [to_image(face) for face in (*still.target, *still.target.flip(3))]
    wild = WarpConfig(rotation_deg=20.0, zoom=0.2, shift=0.1, flip=0.5, jitter=0.03)
    mirrored = 0
    for batch in first(dataset, 4, warp=wild, batch_size=8, seed=3):
        for target, points in zip(batch.target, batch.points.numpy() * 64 - 0.5, strict=True):
            fits = [umeyama(points, other) for other in known]
            off = [
                np.abs(transform_points(points, fit) - other).max()
                for fit, other in zip(fits, known, strict=True)
            ]
            best = int(np.argmin(off))
            assert off[best] < 0.05
            back = cv2.warpAffine(to_image(target), fits[best], (64, 64))[16:48, 16:48]
            assert np.abs(back.astype(int) - pictures[best][16:48, 16:48]).mean() < 5.0
            mirrored += best >= 12
    assert 5 < mirrored < 27


def test_what_a_network_does_not_use_is_left_out(crops):
    dataset = FaceDataset(crops[0], 32)
    whole = first(dataset, batch_size=4)[0]
    batches = endless_batches(dataset, 4, device="cpu")
    batches.leave_out(mask=True, points=True)
    batch = next(batches)
    assert batch.mask is None and batch.points is None
    assert equal([batch[:3]], [whole[:3]])


def test_points_are_unknown_without_landmarks(face_set):
    plain = dataclasses.replace(face_set, landmarks=None)
    batch = first(FaceDataset(plain, 32))[0]
    assert batch.points is None
    assert (batch.mask > 0.99).all()


def test_batches_have_the_networks_shape_and_range(crops):
    for batch in first(FaceDataset(crops[0], 48), 2, batch_size=5):
        assert batch.warped.shape == batch.target.shape == (5, 3, 48, 48)
        assert batch.weight.shape == (5, 1, 48, 48)
        for part in batch:
            assert part.device.type == "cpu"
            assert part.dtype == torch.float32
        for part in (batch.warped, batch.target):
            assert 0.0 <= part.min() and part.max() <= 1.0
            assert part.std() > 0.05
        assert 0.05 < batch.weight.min() and batch.weight.max() <= 3.1
        assert not torch.equal(batch.warped, batch.target)


def test_the_mean_face_spans_the_networks_coverage(crops):
    close, wide = (
        first(FaceDataset(crops[0], 64, coverage), warp=STILL, batch_size=4)[0].target
        for coverage in (0.8, 0.5)
    )
    middle = torch.nn.functional.interpolate(
        wide, scale_factor=1.6, mode="bilinear", antialias=True
    )[:, :, 19:83, 19:83]
    assert (close - middle).abs().mean() < 0.02


def test_light_is_changed_before_the_pair_is_made(face_set):
    dataset = FaceDataset(face_set, 32, augment=photometric_augment(2.0))
    batch = first(dataset, warp=STILL, batch_size=8)[0]
    assert torch.allclose(batch.warped, batch.target, atol=1e-5)
    assert len(torch.unique(batch.target.flatten(1), dim=0)) >= 7  # and it was changed


def test_batches_never_end(face_set):
    batches = endless_batches(FaceDataset(face_set, 32), 3, device="cpu")
    assert sum(1 for _ in islice(batches, 50)) == 50


def test_every_crop_is_drawn(crops):
    faces = load_faces(crops[0])
    seen = set()
    for batch in first(FaceDataset(faces, 32), 12, warp=STILL, batch_size=8):
        seen |= {one.numpy().tobytes() for one in batch.target}
    assert len(seen) == len(faces) == 12


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("augmented", [False, True])
def test_equal_seeds_give_equal_batches_and_others_other(crops, workers, augmented):
    dataset = FaceDataset(crops[0], 32, augment=photometric_augment() if augmented else None)

    def batches(seed, workers=0):
        return first(dataset, 3, batch_size=4, seed=seed, workers=workers)

    one = batches(1)
    torch.rand(3)  # what else the program draws does not matter
    assert equal(one, batches(1, workers))
    assert not equal(one, batches(2))
    assert not torch.equal(one[0].warped, one[1].warped)


def test_making_batches_leaves_the_programs_own_chance_alone(face_set):
    dataset = FaceDataset(face_set, 32, augment=photometric_augment())
    before = torch.get_rng_state()
    first(dataset, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_workers_change_light_independently_and_end_with_their_batches(face_set):
    dataset = FaceDataset(face_set, 32, augment=photometric_augment())
    batches = endless_batches(dataset, 8, STILL, "cpu", workers=2)
    found = list(islice(batches, 8))
    assert len(multiprocessing.active_children()) == 2
    del batches
    assert multiprocessing.active_children() == []
    targets = torch.cat([batch.target for batch in found])
    # All 64 show one crop. Were the workers' draws the same, half of them would be twins.
    assert len(torch.unique(targets.flatten(1), dim=0)) >= 50


def test_preview_shows_crops_as_they_are(crops):
    dataset = FaceDataset(crops[0], 40, augment=photometric_augment(3.0))
    faces = dataset.preview(5).target
    assert faces.shape == (5, 3, 40, 40)
    assert torch.allclose(faces, dataset.preview(5).warped, atol=1e-4)
    assert torch.equal(faces, dataset.still([0, 3, 6, 8, 11]).target)
    assert len(dataset.preview(100).target) == 12
    plain = first(FaceDataset(crops[0], 40), 12, warp=STILL, batch_size=12)
    shown = torch.cat([batch.target for batch in plain])
    assert (shown - faces[0]).abs().amax(dim=(1, 2, 3)).min() < 1e-3


# Going on and sharing out -------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("augmented", [False, True])
def test_batches_go_on_where_they_were(crops, workers, augmented):
    dataset = FaceDataset(crops[0], 32, augment=photometric_augment() if augmented else None)
    options = {"batch_size": 4, "seed": 5}
    straight = first(dataset, 6, **options)
    batches = endless_batches(dataset, device="cpu", workers=workers, **options)
    assert batches.position == 0
    next(batches)
    batches.seek(3)
    assert equal([next(batches) for _ in range(3)], straight[3:])
    assert batches.position == 6
    batches.seek(1)
    assert equal([next(batches)], straight[1:2])


@pytest.mark.parametrize("augmented", [False, True])
def test_shares_of_a_batch_make_up_the_batch(crops, augmented):
    dataset = FaceDataset(crops[0], 32, augment=photometric_augment() if augmented else None)
    whole = first(dataset, 2, batch_size=6, seed=2)
    shares = [endless_batches(dataset, 6, device="cpu", seed=2) for _ in range(3)]
    for rank, batches in enumerate(shares):
        batches.shard(rank, 3)
    for batch in whole:
        parts = [next(batches) for batches in shares]
        for field, wanted in enumerate(batch):
            assert torch.allclose(torch.cat([part[field] for part in parts]), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="a multiple of the 4 processes, got 6"):
        shares[0].shard(0, 4)


def test_the_last_crops_are_held_out(crops):
    faces = load_faces(crops[0])
    train, held = faces.split(0.25)
    assert (len(train), len(held)) == (9, 3)
    assert np.array_equal(np.concatenate([train.images, held.images]), faces.images)
    assert np.array_equal(held.landmarks, faces.landmarks[9:])
    assert held.paths == faces.paths[9:]
    for share in (0.0, 1.0, 0.97, float("nan")):
        with pytest.raises(ValueError, match="share: expected between 0 and 1"):
            faces.split(share)


# Errors -------------------------------------------------------------------------------------


def test_wrong_faces_say_so(face_set):
    one = FaceSet(face_set.images[:1], face_set.landmarks[:1], 0.5, ())
    with pytest.raises(ValueError, match="expected at least 2 faces of a person, got 1"):
        FaceDataset(one)
    with pytest.raises(ValueError, match=r"coverage: expected at least .*\(0.5\), got 0.4"):
        FaceDataset(face_set, coverage=0.4)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        endless_batches(FaceDataset(face_set, 32), 0)
    with pytest.raises(ValueError, match="seed: expected at least 0, got -1"):
        endless_batches(FaceDataset(face_set, 32), seed=-1)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -8}, {"coverage": float("nan")}])
def test_wrong_numbers_say_so(face_set, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        FaceDataset(face_set, **wrong)

"""pytest tests/test_dataset.py"""

import dataclasses
import itertools
import pickle
from itertools import islice

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
from deepfake_utils.faces import FaceSet, load_faces, mean_face
from deepfake_utils.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE
from deepfake_utils.warping import WarpConfig

STILL = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.0, jitter=0.0)


def first(dataset, count=1, **options):
    return list(islice(endless_batches(dataset, device="cpu", **options), count))


def equal(one, other):
    pairs = zip(itertools.chain(*one), itertools.chain(*other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


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
    assert np.array_equal(copy.augment(copy.images[0], 3), dataset.augment(dataset.images[0], 3))


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


def test_items_hold_colours_and_weights(face_set):
    dataset = FaceDataset(face_set, 32, coverage=0.7)
    assert len(dataset) == 4
    item = dataset[1]
    side = round(32 * 0.7 / 0.5 * FINER)
    assert item.shape == (4, side, side)
    assert item.dtype == torch.uint8
    assert np.array_equal(item[:3].permute(1, 2, 0).numpy(), dataset.images[1])
    assert np.array_equal(item[3].numpy(), dataset.weights[1])
    large = FaceDataset(face_set, 256)  # finer than the crops: they are taken as they are
    assert large[0].shape == (4, 96, 96)
    assert first(large, batch_size=1)[0].warped.shape == (1, 3, 256, 256)


def test_batches_have_the_networks_shape_and_range(crops):
    for batch in first(FaceDataset(crops[0], 48), 2, batch_size=5):
        assert batch.warped.shape == batch.target.shape == (5, 3, 48, 48)
        assert batch.weight.shape == (5, 1, 48, 48)
        for part in batch:
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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("augmented", [False, True])
def test_equal_seeds_give_equal_batches_and_others_other(crops, workers, augmented):
    dataset = FaceDataset(crops[0], 32, augment=photometric_augment() if augmented else None)

    def batches(seed):
        return first(dataset, 3, batch_size=4, seed=seed, workers=workers)

    one = batches(1)
    torch.rand(3)  # what else the program draws does not matter
    assert equal(one, batches(1))
    assert not equal(one, batches(2))
    assert not torch.equal(one[0].warped, one[1].warped)


def test_making_batches_leaves_the_programs_own_chance_alone(face_set):
    dataset = FaceDataset(face_set, 32, augment=photometric_augment())
    before = torch.get_rng_state()
    first(dataset, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_change_light_independently(face_set):
    dataset = FaceDataset(face_set, 32, augment=photometric_augment())
    found = first(dataset, 8, batch_size=8, warp=STILL, workers=2)
    targets = torch.cat([batch.target for batch in found])
    # All 64 show one crop. Were the workers' draws the same, half of them would be twins.
    assert len(torch.unique(targets.flatten(1), dim=0)) >= 50


def test_preview_shows_crops_as_they_are(crops):
    dataset = FaceDataset(crops[0], 40, augment=photometric_augment(3.0))
    faces = dataset.preview(5)
    assert [face.shape for face in faces] == [(40, 40, 3)] * 5
    assert all(np.array_equal(a, b) for a, b in zip(faces, dataset.preview(5), strict=True))
    assert len(dataset.preview(100)) == 12
    plain = first(FaceDataset(crops[0], 40), 12, warp=STILL, batch_size=12)
    shown = np.uint8((torch.cat([b.target for b in plain]) * 255).round().permute(0, 2, 3, 1))
    assert np.abs(shown.astype(int) - faces[0]).max(axis=(1, 2, 3)).min() <= 1


# Errors -------------------------------------------------------------------------------------


def test_wrong_faces_say_so(face_set):
    one = FaceSet(face_set.images[:1], face_set.landmarks[:1], 0.5, ())
    with pytest.raises(ValueError, match="expected at least 2 faces of a person, got 1"):
        FaceDataset(one)
    with pytest.raises(ValueError, match=r"coverage: expected at least .*\(0.5\), got 0.4"):
        FaceDataset(face_set, coverage=0.4)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        endless_batches(FaceDataset(face_set, 32), 0)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -8}, {"coverage": float("nan")}])
def test_wrong_numbers_say_so(face_set, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        FaceDataset(face_set, **wrong)

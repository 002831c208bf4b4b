"""pytest tests/lessons/test_swap_detector.py"""

import numpy as np
import pytest
import torch

from deepfake_utils.faces import MEAN_FACE
from deepfake_utils.lessons.swap_detector import (
    SwapDetector,
    SwapDetectorConfig,
    area_under_roc,
    cut_faces,
    suspicion,
    train_swap_detector,
)

CONFIG = SwapDetectorConfig(size=32, channels=4, steps=60, batch_size=16)


def faces(count, seed):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def blurred(pictures):
    return torch.nn.functional.avg_pool2d(pictures, 3, stride=1, padding=1)


def test_it_learns_what_tells_two_sets_apart_and_finds_it_in_others():
    detector = train_swap_detector(faces(64, 0), blurred(faces(64, 1)), CONFIG)
    scores = [suspicion(detector, each) for each in (faces(64, 2), blurred(faces(64, 3)))]
    assert scores[0].dtype == np.float32 and scores[0].shape == (64,)
    assert area_under_roc(*scores) > 0.99


def test_equal_sets_cannot_be_told_apart():
    detector = train_swap_detector(faces(64, 0), faces(64, 1), CONFIG)
    found = area_under_roc(*(suspicion(detector, faces(200, seed)) for seed in (2, 3)))
    assert 0.35 < found < 0.65


def test_training_is_repeatable_and_leaves_the_programs_own_chance_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other = (train_swap_detector(faces(8, 0), faces(8, 1), CONFIG) for _ in range(2))
    assert torch.rand(1) == expected
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_area_under_roc_by_hand():
    assert area_under_roc(np.array([0.1, 0.4]), np.array([0.3, 0.9])) == 0.75
    assert area_under_roc(np.array([0.5]), np.array([0.5])) == 0.5
    with pytest.raises(ValueError, match="expected scores of both"):
        area_under_roc(np.array([]), np.array([1.0]))


def test_faces_are_cut_as_the_detector_wants_them():
    frame = np.full((200, 200, 3), 128, np.uint8)
    points = np.asarray(MEAN_FACE) * 100.0 + 100.0
    cut = cut_faces([frame, frame], [points, points], CONFIG)
    assert cut.shape == (2, 3, 32, 32) and float(cut.max()) == pytest.approx(128 / 255)
    assert SwapDetector(CONFIG).eval()(cut).shape == (2,)
    with pytest.raises(ValueError, match="as many faces as frames"):
        cut_faces([frame], [], CONFIG)


def test_wrong_input_says_so():
    with pytest.raises(ValueError, match="expected two sets"):
        train_swap_detector(faces(4, 0), faces(4, 0)[..., :16], CONFIG)
    for wrong in ({"size": 8}, {"steps": 0}, {"learning_rate": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SwapDetectorConfig(**wrong)

"""pytest tests/test_occlusion.py"""

import pytest
import torch

from deepfake_utils.compositing.occlusion import usual_error, visible


@pytest.fixture
def pair():
    """A picture, (1, 3, 64, 64), and the same redrawn with small errors."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 5, 5, generator=generator)
    face = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
    return face, 0.8 * face + 0.1  # it knows the face, and draws it a little flat


INSIDE = torch.ones(1, 64, 64)


def test_a_face_that_is_redrawn_well_is_visible(pair):
    seen = visible(*pair, INSIDE)
    assert seen.shape == (1, 64, 64) and seen.dtype == torch.float32
    assert seen.min() == 1.0


def test_what_is_redrawn_otherwise_is_covered(pair):
    face, redrawn = pair
    face[..., 30:56, 20:44] = 1.0 - redrawn[..., 30:56, 20:44].round()
    seen = visible(face, redrawn, INSIDE)[0]
    assert seen[36:50, 26:38].max() == 0.0
    assert seen[:18].min() == 1.0


def test_a_small_spot_covers_nothing(pair):
    face, redrawn = pair
    face[..., 30, 30] += 0.2  # a catch-light
    assert visible(face, redrawn, INSIDE).min() == 1.0


def test_a_network_that_has_learned_nothing_yet_covers_nothing(pair):
    face, _ = pair
    far = 0.5 + 0.1 * torch.randn(face.shape, generator=torch.Generator().manual_seed(1))
    assert visible(face, far, INSIDE).mean() > 0.9


def test_only_the_inside_says_what_is_usual(pair):
    face, redrawn = pair
    inside = torch.zeros(1, 64, 64)
    inside[:, 16:48, 16:48] = 1.0
    redrawn[..., :8, :] = 1.0 - face[..., :8, :].round()  # background, never learned
    assert visible(face, redrawn, inside)[0, 20:44, 20:44].min() == 1.0
    assert torch.isfinite(visible(face, redrawn, torch.zeros(1, 64, 64))).all()


def test_a_face_that_is_mostly_covered_is_so_by_what_is_usual(pair):
    face, redrawn = pair
    usual = float(usual_error(face, redrawn, INSIDE))
    assert 0.0 <= usual < 0.2
    covered = face.clone()
    other = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    hand = torch.nn.functional.interpolate(other, (64, 64), mode="bicubic").clamp(0, 1)
    covered[..., 12:, :] = hand[..., 12:, :]
    assert visible(covered, redrawn, INSIDE, usual=usual)[0, 24:].mean() < 0.05
    assert visible(covered, redrawn, INSIDE)[0, 24:].mean() > 0.3  # it cannot know by itself


def test_a_mouth_that_comes_back_otherwise_is_covered_only_with_something_beside_it(pair):
    face, redrawn = pair
    mouth = torch.zeros(1, 64, 64)
    mouth[:, 38:54, 20:44] = 1.0
    teeth = face.clone()
    teeth[..., 42:50, 25:39] = 1.0 - redrawn[..., 42:50, 25:39].round()
    assert visible(teeth, redrawn, INSIDE).min() < 0.1
    assert visible(teeth, redrawn, INSIDE, changing=mouth).min() == 1.0
    hand = teeth.clone()
    hand[..., 40:, 4:42] = 1.0 - redrawn[..., 40:, 4:42].round()
    seen = visible(hand, redrawn, INSIDE, changing=mouth)[0]
    assert seen[44:50, 26:38].max() < 0.1 and seen[46:60, 8:16].max() < 0.1
    assert seen[:24].min() == 1.0


def test_a_mouth_stays_visible_while_something_covers_another_part_of_the_face(pair):
    face, redrawn = pair
    changing = torch.zeros(1, 64, 64)
    changing[:, 42:60, 16:48] = 1.0
    for rows, columns in ((slice(47, 55), slice(25, 39)), (slice(0, 14), slice(4, 60))):
        face[..., rows, columns] = 1.0 - redrawn[..., rows, columns].round()
    seen = visible(face, redrawn, INSIDE, changing=changing)[0]
    assert seen[4:9, 20:44].max() < 0.1
    assert seen[44:58, 20:44].min() > 0.9


def test_light_that_is_different_covers_nothing(pair):
    face, redrawn = pair
    warm = (face * torch.tensor([0.9, 0.75, 0.6])[:, None, None] + 0.05).clamp(0, 1)
    assert visible(warm, redrawn, INSIDE, usual=0.1).min() == 1.0


def test_wrong_input_says_so(pair):
    face, redrawn = pair
    with pytest.raises(ValueError, match="expected twice"):
        visible(face, redrawn[..., :32], INSIDE)
    with pytest.raises(ValueError, match="limit: expected more than 0, got 0"):
        visible(face, redrawn, INSIDE, 0.0)

"""pytest tests/test_colour.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.compositing.colour import keep_whites, match_colour
from deepfake_utils.faces import feature_mask, mean_face
from deepfake_utils.landmarks import LEFT_EYE, RIGHT_EYE


def smooth(rng, size=96, cells=6):
    noise = rng.random((cells, cells, 3)).astype(np.float32) * 0.5 + 0.25
    return np.uint8(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * 255)


def lab_mean_and_spread(image, mask):
    lab = cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[mask > 0.5]
    return lab.mean(axis=0), lab.std(axis=0)


def test_matched_colours_have_the_mean_and_spread_of_the_reference(rng):
    face = smooth(rng)
    reference = np.uint8(np.clip(smooth(rng) * [0.8, 0.75, 0.7] + [10, 30, 25], 0, 255))
    mask = np.zeros((96, 96), np.float32)
    mask[20:80, 10:70] = 1.0
    mean, spread = lab_mean_and_spread(match_colour(face, reference, mask), mask)
    wanted = lab_mean_and_spread(reference, mask)
    assert np.abs(mean - wanted[0]).max() < 0.6  # of 100
    assert np.abs(spread / wanted[1] - 1.0).max() < 0.05
    before = lab_mean_and_spread(face, mask)
    assert np.abs(before[0] - wanted[0]).max() > 3


def test_white_eyes_of_a_dark_face_do_not_glare_in_a_light_one(rng):
    face, reference = smooth(rng) // 4 + 20, smooth(rng) // 2 + 110  # of the same kind of light
    steps = np.linspace(0, 255, 24).astype(np.uint8)
    face[:4, :96] = steps.repeat(4)[None, :, None]  # from black to white
    mask = np.ones((96, 96), np.float32)
    mask[:8] = 0.0
    matched = match_colour(face, reference, mask)
    ramp = matched[2, 1::4].astype(float).mean(axis=1)
    assert np.diff(ramp)[:-1].min() > 0  # every step of light is still a step: nothing is cut off
    assert ramp[12] < 250 < ramp[-1]
    mean, _ = lab_mean_and_spread(matched, mask)
    assert np.abs(mean - lab_mean_and_spread(reference, mask)[0]).max() < 2.0


def test_matching_a_face_with_itself_changes_nothing(picture):
    mask = np.ones((64, 64), np.float32)
    assert np.abs(match_colour(picture, picture, mask).astype(int) - picture).max() <= 1


def test_only_what_is_inside_the_mask_counts(rng, picture):
    mask = np.zeros((64, 64), np.float32)
    mask[:32] = 1.0
    other = picture.copy()
    other[32:] = 0
    assert np.array_equal(match_colour(picture, other, mask), match_colour(picture, picture, mask))


def test_colours_without_a_mask_or_without_spread(picture):
    empty = np.zeros((64, 64), np.float32)
    assert np.array_equal(match_colour(picture, 255 - picture, empty), picture)
    grey = np.full((64, 64, 3), 100, np.uint8)
    matched = match_colour(grey, picture, empty + 1.0)
    assert np.ptp(matched.reshape(-1, 3), axis=0).max() <= 1  # nothing is blown up
    with pytest.raises(ValueError, match="of one size"):
        match_colour(picture, picture[:32], empty)


@pytest.mark.parametrize("how", ["lab", "covariance", "histogram", "none"])
def test_no_way_changes_a_face_that_matches_already(picture, how):
    mask = np.ones((64, 64), np.float32)
    assert np.abs(match_colour(picture, picture, mask, how).astype(int) - picture).max() <= 1


def test_a_linear_map_of_colours_is_undone_by_their_covariance(rng):
    face = smooth(rng, 96)
    mixed = face @ np.array([[0.7, 0.1, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.8]]) + [20, 30, 10]
    reference = np.uint8(np.rint(np.clip(mixed, 0, 255)))
    mask = np.ones((96, 96), np.float32)
    off = {
        how: np.abs(match_colour(face, reference, mask, how).astype(int) - reference).mean()
        for how in ("covariance", "none")
    }
    # The matrix is symmetric and positive, so it is the one that moves colours least.
    assert off["covariance"] < 1.0 < 8.0 < off["none"]


def test_histograms_become_equal(rng):
    face, reference = smooth(rng, 128), np.uint8(smooth(rng, 128) // 2 + 60)
    mask = np.zeros((128, 128), np.float32)
    mask[16:112, 16:112] = 1.0
    matched = match_colour(face, reference, mask, "histogram")
    for share in (10, 50, 90):
        got, wanted = (
            np.percentile(image[mask > 0], share, axis=0) for image in (matched, reference)
        )
        assert np.abs(got - wanted).max() <= 3


def test_an_unknown_way_says_so(picture):
    with pytest.raises(ValueError, match=r"how: expected one of .*'covariance'.*, got 'magic'"):
        match_colour(picture, picture, np.ones((64, 64), np.float32), "magic")


def face_with_eyes(skin, white):
    """A flat face (96, 96) with light eyes in the hulls of the landmarks, and its landmarks."""
    points = mean_face(96, 0.75)
    face = np.full((96, 96, 3), skin, np.uint8)
    for part in (RIGHT_EYE, LEFT_EYE):
        cv2.fillConvexPoly(face, cv2.convexHull(np.int32(points[part].round())), white)
    inside = feature_mask(points, (96, 96), 0, (RIGHT_EYE, LEFT_EYE)) > 0
    return face, points, inside


LIGHT, DARK = (214, 170, 150), (96, 62, 48)


def matched_and_kept(drawn, filmed, points, share=1.0):
    mask = np.ones((96, 96), np.float32)
    matched = match_colour(drawn, filmed, mask)
    return matched, keep_whites(matched, drawn, filmed, mask, points, share)


def test_eyes_of_a_light_face_stay_white_in_a_dark_one():
    drawn, points, eyes = face_with_eyes(LIGHT, (236, 234, 230))
    filmed, _, _ = face_with_eyes(DARK, (200, 198, 195))
    filmed[20:90:2] = np.clip(filmed[20:90:2].astype(int) - 6, 0, 255)  # spread of its own
    matched, kept = matched_and_kept(drawn, filmed, points)
    away = feature_mask(points, (96, 96), 8) == 0
    assert np.array_equal(kept[away], matched[away])
    assert matched[eyes].mean() + 10 < kept[eyes].mean() <= 200
    half = matched_and_kept(drawn, filmed, points, 0.5)[1][eyes].mean()
    assert matched[eyes].mean() + 5 < half < kept[eyes].mean() - 5


def test_whites_stay_as_matched_where_the_film_shows_none_or_is_lighter():
    drawn, points, _ = face_with_eyes(LIGHT, (236, 234, 230))
    shut, _, _ = face_with_eyes(DARK, DARK)
    matched, kept = matched_and_kept(drawn, shut, points)
    assert np.abs(kept.astype(int) - matched).max() <= 1
    dark, _, _ = face_with_eyes(DARK, (200, 198, 195))
    matched, kept = matched_and_kept(dark, drawn, points)
    assert np.abs(kept.astype(int) - matched).max() <= 1


def test_whites_without_a_face_are_left_alone(picture):
    nothing = np.zeros((64, 64), np.float32)
    assert keep_whites(picture, picture, picture, nothing, mean_face(64, 0.75)) is picture

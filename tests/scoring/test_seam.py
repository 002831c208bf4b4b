"""pytest tests/scoring/test_seam.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.faces import face_mask
from deepfake_utils.scoring.seam import ciede2000, edge_steps, seam_visibility, to_lab


def darker(frame, points, feather, by):
    """The frame with its face darker by so many levels, through a mask."""
    mask = face_mask(points, frame.shape[:2], feather)[..., None]
    return np.uint8(np.clip(np.rint(frame - by * mask), 0, 255))


def test_the_film_itself_has_no_seam(frame, points):
    own = edge_steps(frame, points)
    assert own.shape == (26, 72)
    assert (own >= 0.0).all()
    assert seam_visibility(own, own) == 0.0


def test_a_hard_edge_shows_and_a_soft_one_less(frame, points):
    own = edge_steps(frame, points)
    hard, soft = (
        seam_visibility(edge_steps(darker(frame, points, f, 30), points), own) for f in (0.0, 0.3)
    )
    assert hard > 1.0
    assert soft < hard / 2.0


def test_a_stronger_edge_shows_more(frame, points):
    own = edge_steps(frame, points)
    found = [
        seam_visibility(edge_steps(darker(frame, points, 0.0, by), points), own)
        for by in (0, 10, 20, 40)
    ]
    assert found == sorted(found)
    assert found[0] == 0.0


def test_size_does_not_count(frame, points):
    large = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    at = 2.0 * points + 0.5
    seams = [
        seam_visibility(edge_steps(darker(f, p, 0.0, 30), p), edge_steps(f, p))
        for f, p in ((frame, points), (large, at))
    ]
    assert seams[1] == pytest.approx(seams[0], rel=0.2)


def test_what_lies_further_inside_does_not_count(frame, points):
    inner = frame.copy()
    centre = np.rint((points.min(axis=0) + points.max(axis=0)) / 2).astype(int)  # of the hull
    cv2.circle(inner, centre.tolist(), 12, (0, 255, 0), -1)
    assert seam_visibility(edge_steps(inner, points), edge_steps(frame, points)) < 0.05


def test_a_face_at_the_pictures_edge_is_measured(frame, points):
    assert np.isfinite(edge_steps(frame, points - 150.0)).all()


def test_wrong_arguments_say_so(frame, points):
    with pytest.raises(ValueError, match=r"expected shape \(68, 2\)"):
        edge_steps(frame, points[:9])
    with pytest.raises(TypeError, match="frame: expected uint8"):
        edge_steps(frame / 255.0, points)
    with pytest.raises(ValueError, match="expected equal shapes"):
        seam_visibility(np.zeros((2, 3)), np.zeros((3, 3)))


# Sharma, Wu and Dalal 2005, table 1: pairs 1, 4, 7, 9, 10, 13, 16, 17, 21, 25, 26, 33 and 34.
PAIRS = np.array(
    [
        (50.0, 2.6772, -79.7751, 50.0, 0.0, -82.7485, 2.0425),
        (50.0, -1.3802, -84.2814, 50.0, 0.0, -82.7485, 1.0000),
        (50.0, 0.0, 0.0, 50.0, -1.0, 2.0, 2.3669),
        (50.0, 2.49, -0.001, 50.0, -2.49, 0.0009, 7.1792),
        (50.0, 2.49, -0.001, 50.0, -2.49, 0.001, 7.1792),
        (50.0, -0.001, 2.49, 50.0, 0.0009, -2.49, 4.8045),
        (50.0, 2.5, 0.0, 50.0, 0.0, -2.5, 4.3065),
        (50.0, 2.5, 0.0, 73.0, 25.0, -18.0, 27.1492),
        (50.0, 2.5, 0.0, 50.0, 3.1736, 0.5854, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ]
)


def test_the_published_pairs_come_out():
    found = ciede2000(PAIRS[:, :3], PAIRS[:, 3:6])
    assert found == pytest.approx(PAIRS[:, 6], abs=5e-5)


def test_the_order_does_not_count_and_no_difference_is_none(rng):
    one, other = rng.uniform([0, -90, -90], [100, 90, 90], (2, 500, 3))
    assert ciede2000(one, other) == pytest.approx(ciede2000(other, one), abs=1e-9)
    assert ciede2000(one, one) == pytest.approx(np.zeros(500), abs=1e-9)
    assert (ciede2000(one, other) > 0.0).all()


def test_pictures_and_single_colours_broadcast(picture):
    lab = to_lab(picture)
    assert lab.shape == (64, 64, 3)
    away = ciede2000(lab, lab[0, 0])
    assert away.shape == (64, 64)
    assert away[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert to_lab(np.full((1, 1, 3), 255, np.uint8))[0, 0] == pytest.approx([100, 0, 0], abs=0.01)
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert np.abs(to_lab(grey)[..., 1:]).max() < 0.1


def test_wrong_shapes_say_so():
    with pytest.raises(ValueError, match=r"expected colours \(\.\.\., 3\) in L\*a\*b\*, got"):
        ciede2000(np.zeros((4, 2)), np.zeros((4, 3)))

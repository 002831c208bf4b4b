"""pytest tests/test_seam.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.faces import face_mask
from deepfake_utils.scoring.seam import edge_steps, seam_visibility


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

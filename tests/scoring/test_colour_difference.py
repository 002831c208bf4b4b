"""pytest tests/test_colour_difference.py"""

import cv2
import numpy as np
import pytest

from deepfake_utils.scoring.colour_difference import ciede2000, to_lab

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

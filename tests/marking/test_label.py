"""pytest tests/marking/test_label.py"""

import numpy as np
import pytest

from deepfake_utils.marking.label import draw_label


@pytest.mark.parametrize("side", [100, 384, 1080])
def test_label_is_at_the_top_right_only(side):
    image = np.full((side, side * 2, 3), 128, np.uint8)
    before = image.copy()
    labelled = draw_label(image)
    assert np.array_equal(image, before)
    assert labelled.shape == image.shape and labelled.dtype == np.uint8
    rows, columns = np.nonzero((labelled != image).any(axis=2))
    assert columns.min() > side and columns.max() == 2 * side - 1
    assert rows.min() == 0 and rows.max() < 0.16 * side
    assert rows.max() >= 8


@pytest.mark.parametrize("level", [0, 128, 255])
def test_label_can_be_read_on_any_ground(level):
    labelled = draw_label(np.full((384, 384, 3), level, np.uint8))
    corner = labelled[:20, 300:].astype(float) / 255.0
    linear = np.where(corner <= 0.04045, corner / 12.92, ((corner + 0.055) / 1.055) ** 2.4)
    lightness = linear @ [0.2126, 0.7152, 0.0722]  # as WCAG 2 defines contrast
    contrast = (lightness.max() + 0.05) / (np.median(lightness) + 0.05)
    assert contrast > 4.5  # what WCAG asks of text


def test_label_is_drawn_whole_on_small_pictures():
    # Were it cut off at the side, what is drawn would change with the picture's width.
    wide = draw_label(np.full((64, 200, 3), 128, np.uint8))
    small = draw_label(np.full((64, 64, 3), 128, np.uint8))
    shown = [(image[:20] > 150).any(axis=2).any(axis=0) for image in (wide, small)]
    assert not shown[1][0] and not shown[1][-1]  # a margin on both sides
    assert 0.4 < shown[1].sum() / shown[0].sum() < 1.1  # it may be smaller


def test_a_very_small_picture_survives():
    assert draw_label(np.zeros((8, 8, 3), np.uint8)).shape == (8, 8, 3)


def test_wrong_arguments_say_so(picture):
    with pytest.raises(TypeError, match="uint8"):
        draw_label(picture / 255.0)

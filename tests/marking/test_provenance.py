"""pytest tests/test_provenance.py"""

import numpy as np
import pytest
from PIL import Image as Pillow

from deepfake_utils.marking.writing import DISCLOSURE, LABEL, draw_label, save_figure, write_gif
from deepfake_utils.plotting import show_images


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


def test_png_says_what_it_is_in_sight_and_inside(tmp_path, picture):
    figure = show_images([picture])
    path = save_figure(tmp_path / "new" / "f.png", figure)
    with Pillow.open(path) as image:
        assert image.text["Description"] == DISCLOSURE
        assert LABEL in DISCLOSURE
        with_note = np.asarray(image.convert("RGB")).astype(int)
    figure.savefig(tmp_path / "plain.png", dpi=100, bbox_inches="tight", pad_inches=0.5)
    with Pillow.open(tmp_path / "plain.png") as image:
        plain = np.asarray(image.convert("RGB")).astype(int)
    # The note is seen above the picture, and gone again from the figure itself.
    above = with_note[: len(with_note) - len(plain) + 50]  # the margin is 50 pixels wide
    assert 58 < len(above) < 0.15 * len(plain) + 50
    assert (above.max(axis=2) < 170).sum() > 50
    assert not figure.texts
    assert [entry.name for entry in path.parent.iterdir()] == ["f.png"]


def test_gif_says_what_it_is_and_shows_every_picture(tmp_path, picture):
    images = [np.roll(picture.repeat(3, 0).repeat(3, 1), 20 * i, axis=0) for i in range(5)]
    path = write_gif(tmp_path / "new" / "g.gif", images, fps=5.0)
    with Pillow.open(path) as gif:
        assert "AI MODIFIED" in gif.info["comment"].decode()
        assert gif.info["loop"] == 0  # for ever
        assert gif.n_frames == 5
        shown = []
        for number in range(5):
            gif.seek(number)
            assert gif.info["duration"] == 200
            shown.append(np.asarray(gif.convert("RGB")))
    for page, image in zip(shown, images, strict=True):
        wanted = draw_label(image).astype(int)
        assert np.abs(page - wanted).mean() < 12  # 256 colours
        assert np.abs(page - wanted)[:15, 110:].mean() < 20  # each has the label


def test_a_figure_that_cannot_be_written_is_left_as_it_was(tmp_path, picture):
    figure = show_images([picture])
    (tmp_path / "f.png").mkdir()
    with pytest.raises(OSError, match=r"f\.png"):
        save_figure(tmp_path / "f.png", figure)
    assert not figure.texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.png"]


def test_a_gif_that_cannot_be_written_leaves_nothing(tmp_path, picture):
    (tmp_path / "g.gif").mkdir()
    with pytest.raises(OSError, match=r"g\.gif"):
        write_gif(tmp_path / "g.gif", [picture])
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.gif"]


def test_wrong_arguments_say_so(tmp_path, picture):
    with pytest.raises(ValueError, match=r"ending in \.png, got 'f\.jpg'"):
        save_figure(tmp_path / "f.jpg", show_images([picture]))
    with pytest.raises(ValueError, match=r"ending in \.gif, got 'g\.png'"):
        write_gif(tmp_path / "g.png", [picture])
    with pytest.raises(ValueError, match="at least one picture"):
        write_gif(tmp_path / "g.gif", [])
    with pytest.raises(ValueError, match="all of one size"):
        write_gif(tmp_path / "g.gif", [picture, picture[:32]])
    for fps in (0.0, 51.0, float("nan")):
        with pytest.raises(ValueError, match="fps: expected more than 0 and at most 50"):
            write_gif(tmp_path / "g.gif", [picture], fps)
    with pytest.raises(TypeError, match="uint8"):
        draw_label(picture / 255.0)

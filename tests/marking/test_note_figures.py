"""pytest tests/marking/test_note_figures.py: figures and GIFs of swapped faces are marked."""

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from deepfake_utils.images import read_image
from deepfake_utils.marking.label import DISCLOSURE, LABEL, draw_label
from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.marking.writing import (
    save_figure,
    write_gif,
    write_picture,
)
from deepfake_utils.plotting import show_images

ALL = ("watermark", "metadata", "manifest")


def test_png_says_what_it_is_in_sight_and_inside(tmp_path, picture):
    figure = show_images([picture])
    path = save_figure(tmp_path / "new" / "f.png", figure)
    with Pillow.open(path) as image:
        assert image.text["Description"] == DISCLOSURE
        assert LABEL in DISCLOSURE
        with_note = np.asarray(image.convert("RGB")).astype(int)
    figure.savefig(tmp_path / "plain.png", dpi=100, bbox_inches="tight")
    with Pillow.open(tmp_path / "plain.png") as image:
        plain = np.asarray(image.convert("RGB")).astype(int)
    # The note is seen above the picture, and gone again from the figure itself.
    above = with_note[: len(with_note) - len(plain) + 10]  # the margin is 10 pixels wide
    assert 18 < len(above) < 0.15 * len(plain) + 10
    assert (above.max(axis=2) < 170).sum() > 50
    # The paper is as it was; only the picture bears a watermark.
    same, paper = with_note[-len(plain) + 10 :, : plain.shape[1]], plain[10:]
    assert (same == paper)[(paper == 255).all(axis=2)].all()
    assert 0 < np.abs(same - paper).max() <= 12
    assert not figure.texts
    assert [entry.name for entry in path.parent.iterdir()] == ["f.png"]


def test_any_way_of_saving_a_grid_of_swaps_shows_the_label(tmp_path):
    from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
    from deepfake_utils.plotting import plot_prediction_grid

    faces = [np.full((64, 64, 3), level, np.uint8) for level in (90, 160)]
    model = FaceSwapAutoencoder(preset("quick", 64))
    plot_prediction_grid(model, faces, faces).savefig(tmp_path / "g.png", dpi=200)
    page = read_image(tmp_path / "g.png")
    letters = draw_label(np.full((192, 192, 3), 128, np.uint8))[:24, -100:, 0]
    scale = 200 * 1.38 / 192  # a face is about 1.4 inches wide
    for factor in np.linspace(0.9, 1.1, 9):
        wanted = cv2.resize(letters, None, fx=scale * factor, fy=scale * factor)
        match = cv2.matchTemplate(page[..., 0], wanted, cv2.TM_CCOEFF_NORMED)
        places = np.argwhere(cv2.dilate(match, np.ones((31, 31))) == np.maximum(match, 0.7))
        if len(places) == 4:  # A as B and B as A, two rows
            return
    pytest.fail("the label is not in the pixels of the four swapped faces")


def test_a_figure_of_curves_and_a_plain_picture_need_no_watermark(tmp_path):
    from deepfake_utils.plotting import blank_figure

    figure = blank_figure(4.0, 3.0)
    figure.subplots().plot([1, 2, 3])
    plain = write_picture(tmp_path / "w.png", np.full((300, 300, 3), 255, np.uint8))
    for path in (save_figure(tmp_path / "c.png", figure), plain):
        found = read_provenance(path)
        assert found.disclosed and found.sound and found.layers == ("metadata", "manifest")


def test_a_gif_is_hardly_worse_for_its_mark(tmp_path, frames):
    path = write_gif(tmp_path / "g.gif", frames[:2], visible_label=False)
    with Pillow.open(path) as gif:
        page = np.asarray(gif.convert("RGB")).astype(int)
    unmarked = Pillow.fromarray(frames[0]).quantize(256).convert("RGB")
    error = np.square(page - np.asarray(unmarked)).mean()
    assert 10 * np.log10(255**2 / error) > 36.0


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


def test_wrong_arguments_of_figures_and_gifs_say_so(tmp_path, picture):
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

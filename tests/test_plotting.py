"""pytest tests/test_plotting.py"""

import dataclasses
import io

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image as Pillow

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.dataset import Batch, FaceDataset
from deepfake_utils.images import to_image, to_tensor
from deepfake_utils.plotting import (
    GRID_TITLES,
    plot_landmarks,
    plot_losses,
    plot_pairs,
    plot_prediction_grid,
    predict_all,
    prediction_image,
    show_images,
)
from deepfake_utils.scoring.plots import plot_scorecard
from deepfake_utils.scoring.scorecard import MEASURES, Scorecard, ScoreRow
from deepfake_utils.training.trainer import StepResult


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny)


@pytest.fixture
def faces(picture):
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    return [small, 255 - small, np.ascontiguousarray(small[::-1])]


def drawn(figure) -> np.ndarray:
    """The figure as pixels, which also shows that it can be saved."""
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Pillow.open(buffer).convert("RGB"))


def shown(figure) -> list[np.ndarray]:
    return [image.get_array() for axis in figure.axes for image in axis.images]


def test_pictures_side_by_side(picture):
    pictures = [picture, picture[:32], 255 - picture, picture, picture]
    figure = show_images(pictures, columns=3, titles=list("abcde"))
    drawn(figure)
    assert all(np.array_equal(a, b) for a, b in zip(shown(figure), pictures, strict=True))
    assert [axis.get_title() for axis in figure.axes] == [*"abcde", ""]
    assert not any(axis.axison for axis in figure.axes)  # the empty place shows no frame
    grid = figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 3)
    assert len(show_images([picture], columns=8).axes) == 1
    plain, lines = (show_images([picture] * 8, 8, [text] * 8) for text in ("a", "a\nb\nc\nd"))
    apart = [figure.get_figheight() for figure in (plain, lines)]
    assert apart[1] - apart[0] == pytest.approx(0.51)  # else the pictures shrink
    with pytest.raises(ValueError, match="expected at least one picture, got none"):
        show_images([])
    with pytest.raises(ValueError, match="expected 5 titles, got 2"):
        show_images(pictures, titles=["a", "b"])
    with pytest.raises(TypeError, match="uint8"):
        show_images([picture / 255.0])


def test_landmarks_are_drawn_where_they_are(frame, points):
    figure = plot_landmarks(frame, [points, points * 0.5])
    drawn(figure)
    axis = figure.axes[0]
    assert np.array_equal(shown(figure)[0], frame)
    found = [np.asarray(dots.get_offsets()) for dots in axis.collections]
    assert len(found) == 2
    assert np.allclose(found[0], points) and np.allclose(found[1], points * 0.5)
    assert "2 faces" in axis.get_title()
    assert "0 faces" in plot_landmarks(frame, []).axes[0].get_title()
    assert "1 face," in plot_landmarks(frame, [points]).axes[0].get_title()
    with pytest.raises(ValueError, match=r"expected shape \(68, 2\)"):
        plot_landmarks(frame, [points[:5]])


def test_pairs_show_three_rows():
    torch.manual_seed(0)
    faces, planes = torch.rand(2, 6, 3, 16, 16), torch.rand(2, 6, 1, 16, 16)
    batch = Batch(*faces, 2 * planes[0], planes[1])
    figure = plot_pairs(batch, 4)
    drawn(figure)
    assert len(figure.axes) == len(shown(figure)) == 12
    first, target, weight = shown(figure)[0], shown(figure)[4], shown(figure)[8]
    assert np.abs(first / 255.0 - batch.warped[0].permute(1, 2, 0).numpy()).max() < 0.003
    assert np.abs(target / 255.0 - batch.target[0].permute(1, 2, 0).numpy()).max() < 0.003
    assert (weight[..., 0] == weight[..., 2]).all()
    assert {axis.get_ylabel() for axis in figure.axes} == {"warped", "target", "weight", ""}
    assert len(plot_pairs(batch, 100).axes) == 18
    with pytest.raises(ValueError, match="count"):
        plot_pairs(batch, 0)


def test_every_face_is_drawn_as_both_people(model, faces):
    columns = predict_all(model, faces, faces[::-1])
    assert len(columns) == len(GRID_TITLES) == 6
    assert [len(column) for column in columns] == [3] * 6
    assert all(np.array_equal(a, b) for a, b in zip(columns[0], faces, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(columns[3], faces[::-1], strict=True))
    with torch.inference_mode():
        for column, own, identity in ((1, 0, "A"), (2, 0, "B"), (4, 3, "B"), (5, 3, "A")):
            wanted = model(torch.stack([to_tensor(face) for face in columns[own]]), identity)
            for face, one in zip(columns[column], wanted, strict=True):
                assert np.abs(face / 255.0 - one.permute(1, 2, 0).numpy()).max() < 0.003


def test_prediction_as_one_picture(model, faces):
    image = prediction_image(model, faces, faces, cell=40)
    assert image.shape == (3 * 40, 6 * 40, 3)
    assert image.dtype == np.uint8
    corner = cv2.resize(faces[1], (40, 40), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(image[40:80, :40], corner)
    assert np.array_equal(image[40:80, 120:160], corner)


def test_prediction_grid(model, faces):
    figure = plot_prediction_grid(model, faces, faces, title="step 5")
    drawn(figure)
    assert len(shown(figure)) == 18
    assert [axis.get_title() for axis in figure.axes[:6]] == list(GRID_TITLES)
    assert figure.get_suptitle() == "step 5, AI modified"
    assert np.array_equal(shown(figure)[6], faces[1])  # the second row's A


def test_drawing_leaves_the_network_as_it_was(model, faces):
    model.train()
    prediction_image(model, faces, faces)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for wrong in (([], []), (faces, faces[:1])):
        with pytest.raises(ValueError, match="expected equally many faces of A and B, got"):
            prediction_image(model, *wrong)


@pytest.mark.parametrize("count", [1, 7, 400])
def test_losses(count):
    history = [StepResult(i + 1, 1.0 / (i + 1), 2.0 / (i + 1)) for i in range(count)]
    figure = plot_losses(history)
    assert drawn(figure).std() > 5
    lines = figure.axes[0].lines
    assert len(lines) == 4
    assert np.allclose(lines[0].get_xydata(), [(r.step, r.loss_a) for r in history])
    assert np.allclose(lines[2].get_xydata(), [(r.step, r.loss_b) for r in history])
    middle = lines[1].get_xydata()
    assert len(middle) == min(50, count)
    assert (np.diff(middle[:, 1]) < 0).all() and (np.diff(middle[:, 0]) > 0).all()
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == [
        "person A",
        "person B",
    ]


def test_scores_have_an_axis_of_their_own():
    history = [StepResult(step, 1.0 / step, 2.0 / step) for step in range(1, 9)]
    figure = plot_losses(history, [(2, 18.0), (4, 20.0), (8, 21.5)])
    assert drawn(figure).std() > 5
    left, right = figure.axes
    assert right.lines[0].get_xydata().tolist() == [[2, 18.0], [4, 20.0], [8, 21.5]]
    assert "dB" in right.get_ylabel() and "dB" not in left.get_ylabel()


def test_a_network_with_masks_and_landmarks_is_drawn_from_a_preview(crops, tiny):
    network = dataclasses.replace(tiny, mask=True, landmarks=True)
    model = FaceSwapAutoencoder(network)
    a, b = (FaceDataset(folder, 32).preview(3) for folder in crops)
    columns = predict_all(model, a, b)
    assert [face.shape for face in columns[2]] == [(32, 32, 3)] * 3
    assert np.array_equal(columns[3][1], to_image(b.target[1]))
    with torch.inference_mode():
        wanted = model(a.target, "B", a.points)[1, :3]
    assert np.abs(columns[2][1].astype(int) - to_image(wanted).astype(int)).max() <= 1
    with pytest.raises(ValueError, match="expected points"):
        predict_all(model, [to_image(face) for face in a.target], b)


def test_losses_of_nothing_say_so():
    with pytest.raises(ValueError, match="expected at least one training step, got none"):
        plot_losses([])


def test_figures_are_not_kept(picture):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    for _ in range(3):
        show_images([picture])
    assert plt.get_fignums() == before


def test_a_card_is_drawn_line_by_line():
    low, nan = MEASURES[1], float("nan")
    rows = (
        ScoreRow(low, 23.0, 22.5, 23.5, 18.0, 37.0, 100),
        ScoreRow(MEASURES[3], 0.9, nan, nan, None, None, 3),
    )
    figure = plot_scorecard(Scorecard(rows, 100, 0.95, ()))
    assert drawn(figure).std() > 5
    first, second = figure.axes
    assert [line.get_xdata()[0] for line in first.lines] == [18.0, 37.0, 23.0, 22.5]
    assert len(second.lines) == 1  # no bounds, no interval
    with pytest.raises(ValueError, match="expected a card with figures, got an empty one"):
        plot_scorecard(Scorecard((), 0, 0.95, ()))

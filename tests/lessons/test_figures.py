"""pytest tests/lessons/test_figures.py: the figures of the notebooks show what they are given."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from deepfake_utils.lessons.figures import (
    plot_bars,
    plot_curves,
    plot_grids,
    plot_histogram,
    plot_maps,
    plot_numbers,
    plot_patterns,
    plot_space,
    plot_turn,
)
from deepfake_utils.warping import grid_points

SQUARE = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (0.0, 1.0)])


def width_of(figure) -> int:
    """Of the picture that a notebook shows."""
    return Pillow.open(io.BytesIO(figure._repr_png_())).width


def test_patterns_are_closed_and_seen_alike_in_all_panels():
    figure = plot_patterns({"one": {"x": SQUARE}, "two": {"x": SQUARE, "y": SQUARE + 3.0}})
    left, right = figure.axes
    assert np.array_equal(left.lines[0].get_xydata(), [*SQUARE, SQUARE[0]])
    assert len(left.lines) == 1 and len(right.lines) == 2
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert left.get_aspect() == 1.0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y"]
    assert width_of(figure) <= 900


def test_linked_points_are_joined_one_by_one():
    panel = {"x": SQUARE, "y": SQUARE + 3.0}
    figure = plot_patterns({"": panel}, linked=("x", "y"), view=(-1, 6, -1, 6))
    links = [line.get_xydata() for line in figure.axes[0].lines[2:]]
    assert np.array_equal(links, np.stack([SQUARE, SQUARE + 3.0], axis=1))
    assert figure.axes[0].get_xlim() == (-1, 6)


def test_over_a_picture_the_points_are_in_its_pixels(picture):
    figure = plot_patterns({"face": {"points": SQUARE}}, images=[picture])
    axis = figure.axes[0]
    assert axis.images[0].get_array().shape == (64, 64, 3)
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # y points down
    assert np.array_equal(axis.lines[0].get_xydata(), SQUARE)


def test_patterns_without_panels_or_pictures_are_refused(picture):
    with pytest.raises(ValueError, match="expected at least one panel"):
        plot_patterns({})
    with pytest.raises(ValueError, match="expected 1 pictures, got 2"):
        plot_patterns({"": {"x": SQUARE}}, images=[picture, picture])


def test_the_ellipse_is_what_the_matrix_makes_of_the_circle():
    matrix = np.array([[2.0, -1.0], [0.5, 1.0]])
    figure = plot_turn(*np.linalg.svd(matrix))
    circle, ellipse = (axis.lines[0].get_xydata() for axis in figure.axes)
    assert np.allclose(np.hypot(*circle.T), 1.0)
    assert np.allclose(circle @ matrix.T, ellipse)


def test_curves_have_their_names_and_marks():
    x = np.arange(5.0)
    figure = plot_curves({"a": (x, x**2), "b": (x, x)}, "x", "y", {"best": (1.0, 1.0)}, log_y=True)
    axis = figure.axes[0]
    assert [line.get_label() for line in axis.lines] == ["a", "b", "best"]
    assert np.array_equal(axis.lines[0].get_ydata(), x**2)
    assert axis.get_yscale() == "log" and axis.get_xlabel() == "x"
    with pytest.raises(ValueError, match="at least one curve"):
        plot_curves({}, "x", "y")


def test_a_histogram_counts_every_value(rng):
    groups = {"near": rng.uniform(1e-6, 1.0, 50), "far": rng.uniform(1.0, 1e3, 70)}
    axis = plot_histogram(groups, "error").axes[0]
    assert sum(patch.get_height() for patch in axis.patches) == 120
    with pytest.raises(ValueError, match="values above 0"):
        plot_histogram({"near": np.array([0.0, 1.0])}, "error")


def test_bars_tell_their_values_and_leave_out_what_is_missing():
    axis = plot_bars({"one": {"a": 1.0, "b": 2.5}, "two": {"a": 3.0, "b": np.nan}}, "dB").axes[0]
    assert [text.get_text() for text in axis.texts] == ["1.00", "3.00", "2.50", ""]
    with pytest.raises(ValueError, match="expected groups with the same bars"):
        plot_bars({"one": {"a": 1.0}, "two": {"b": 1.0}}, "dB")


def test_space_has_three_axes():
    points = np.arange(12.0).reshape(4, 3)
    axis = plot_space({"solid": {"x": points}}).axes[0]
    assert np.array_equal(np.stack(axis.lines[0].get_data_3d(), axis=1), points)
    with pytest.raises(ValueError, match="at least one panel"):
        plot_space({})


def test_grids_and_maps_are_drawn(picture):
    regular = grid_points(5, 64, 0.75)
    figure = plot_grids(picture, {"both": [regular, regular + 2.0]}, arrows=True)
    lines = figure.axes[0].lines
    assert len(lines) == 2 * (5 + 5 + 1)
    assert np.array_equal(lines[0].get_xydata(), regular[:5])
    assert len(figure.axes[0].texts) == 25  # an arrow a point
    assert np.array_equal(plot_maps({"x": np.eye(3)}).axes[0].images[0].get_array(), np.eye(3))


def test_numbers_are_written_into_their_cells():
    figure = plot_numbers({"one": np.array([[1, 2]]), "two": np.array([[3.5], [4.0]])})
    told = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert told == [["1", "2"], ["3.5", "4"]]
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    with pytest.raises(ValueError, match="at least one matrix"):
        plot_numbers({})

"""The renderer of synthetic people that benchmarks use; it needs a file that is not shipped."""

import numpy as np
import pytest
from benchmarks.heads import HeadModel, Performance, Person, model_path, render


@pytest.fixture(scope="module")
def model():
    """The mesh, where it is at hand."""
    try:
        return HeadModel()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


def test_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="ICT_HEADS"):
        model_path(tmp_path / "none.npz")


def test_equal_seeds_give_equal_pictures(model):
    drawn = [render(Person(5, model), Performance(2, 1.0), 7, 96) for _ in range(2)]
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    np.testing.assert_array_equal(drawn[0][1], drawn[1][1])
    assert drawn[0][0].shape == (96, 96, 3)
    assert drawn[0][0].dtype == np.uint8


@pytest.mark.slow
def test_landmarks_lie_in_the_picture(model):
    does = Performance(3, 2.0)
    for frame in range(0, does.frames, 10):
        _, points = render(Person(frame, model), does, frame, 96)
        assert points.shape == (68, 2)
        assert (points > 0).all()
        assert (points < 95).all()


@pytest.mark.slow
def test_same_performance_gives_two_people_the_same_roll(model):
    does = Performance(4, 2.0)
    for frame in range(0, does.frames, 10):
        ends = [render(Person(seed, model), does, frame, 96)[1][[36, 45]] for seed in (1, 2)]
        rolls = [np.degrees(np.arctan2(*(outer - inner)[::-1])) for inner, outer in ends]
        assert abs(rolls[0] - rolls[1]) < 4


def test_frame_beyond_the_performance(model):
    with pytest.raises(IndexError, match="expected a frame in"):
        render(Person(1, model), Performance(1, 1.0), 25)

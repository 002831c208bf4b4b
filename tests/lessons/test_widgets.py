"""pytest tests/lessons/test_widgets.py: questions that unfold, pictures that answer to sliders."""

from html.parser import HTMLParser

import ipywidgets as widgets
import numpy as np
import pytest
from IPython.display import HTML

from deepfake_utils.lessons import widgets as lessons
from deepfake_utils.lessons.widgets import HEADLESS, ask, what_if


class Reader(HTMLParser):
    """The texts inside each kind of tag, and which tags were left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.texts = [], {}

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data


def test_questions_unfold_to_their_answers():
    shown = ask([("Is 1 < 2 & 3?", "yes <b>"), ("How far?", 1 / 3), ("Which?", np.array([1, 2]))])
    assert isinstance(shown, HTML)
    reader = Reader()
    reader.feed(shown.data)
    assert reader.open == []
    assert reader.texts["summary"] == ["Is 1 < 2 & 3?", "How far?", "Which?"]
    assert reader.texts["p"] == ["yes <b>", "0.3333", "[1 2]"]
    assert set(reader.texts) == {"ol", "li", "details", "summary", "p"}


def test_numbers_of_numpy_are_told_briefly():
    assert "0.3333<" in ask([("?", np.float64(1 / 3))]).data


def test_no_questions_are_refused():
    with pytest.raises(ValueError, match="expected at least one question, got none"):
        ask([])


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, with a screen."""
    monkeypatch.delenv(HEADLESS, raising=False)
    seen = []
    monkeypatch.setattr(lessons, "display", seen.append)
    return seen


def test_without_a_screen_it_is_drawn_once_as_it_begins(shown, monkeypatch):
    monkeypatch.setenv(HEADLESS, "1")
    what_if(
        lambda angle, turns, kind, mirrored, size=7: (angle, turns, kind, mirrored, size),
        angle=(-1.0, 2.0),
        turns=(0, 9),
        kind=["near", "far"],
        mirrored=True,
        size=(0, 10),
    )
    assert shown == [(0.5, 4, "near", True, 7)]


def test_each_kind_of_slider_has_its_widget(shown):
    what_if(
        lambda angle=30.0, turn_by=2, kind="far", mirrored=False: (angle, turn_by, kind, mirrored),
        angle=(0.0, 180.0),
        turn_by=(0, 10, 2),
        kind=["near", "far"],
        mirrored=True,
    )
    assert shown[0] == (30.0, 2, "far", False)  # drawn by the widgets as they are made
    angle, turn_by, kind, mirrored, picture = shown[1].children
    assert isinstance(angle, widgets.FloatSlider) and (angle.min, angle.max) == (0.0, 180.0)
    assert isinstance(turn_by, widgets.IntSlider) and turn_by.step == 2
    assert isinstance(kind, widgets.Dropdown) and kind.options == ("near", "far")
    assert isinstance(mirrored, widgets.Checkbox) and isinstance(picture, widgets.Output)
    assert turn_by.description == "turn by"
    assert not angle.continuous_update and not turn_by.continuous_update


def test_moving_a_slider_draws_anew(shown):
    what_if(lambda angle=30.0, size=3: (angle, size), angle=(0.0, 180.0), size=(1, 5))
    angle, size, _ = shown[1].children
    angle.value = 90.0
    size.value = 5
    assert shown[2:] == [(90.0, 3), (90.0, 5)]


def test_a_drawing_that_returns_nothing_shows_nothing_more(shown):
    what_if(lambda angle: None, angle=(0.0, 1.0))
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("sliders", "told"),
    [
        ({}, "expected at least one slider"),
        ({"angle": (2.0, 1.0)}, r"angle: expected \(low, high\)"),
        ({"angle": (1.0,)}, r"angle: expected \(low, high\)"),
        ({"angle": (40.0, 50.0)}, "angle: expected to start within 40.0 to 50.0, got 30.0"),
        ({"angle": ["near"]}, r"angle: expected to start with one of \['near'\], got 30.0"),
    ],
)
def test_sliders_that_do_not_fit_are_refused(shown, sliders, told):
    with pytest.raises(ValueError, match=told):
        what_if(lambda angle=30.0: angle, **sliders)
    assert shown == []

"""pytest tests/panels/test_faces_panel.py"""

import builtins
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from deepfake_utils.extraction import FACES_FILE, load_faces
from deepfake_utils.images import read_image, write_image
from deepfake_utils.panels import base
from deepfake_utils.panels.base import has_widgets, png_bytes
from deepfake_utils.panels.faces import THUMB, FacesPanel


@pytest.fixture
def folder(own_crops) -> Path:
    return own_crops


@pytest.fixture
def panel(folder) -> FacesPanel:
    """12 crops on three pages, the last of which is not full."""
    return FacesPanel(folder, identity=False, page_size=5)


def ticks(panel) -> list:
    return [panel.widgets[f"tick {number}"] for number in range(panel.page_size)]


def texts(panel) -> str:
    """All that the panel says in words."""
    found, todo = [], [panel.box]
    while todo:
        widget = todo.pop()
        todo += getattr(widget, "children", ())
        if type(widget).__name__ == "HTML":
            found.append(widget.value)
    return "\n".join(found)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(data)))


# Without widgets ----------------------------------------------------------------------------


def test_pages_hold_all_crops_once(panel):
    seen = []
    for page in range(panel.pages):
        panel.go(page)
        assert panel.page == page
        seen += panel.on_page
    assert panel.pages == 3
    assert seen == list(panel.curation.kept)
    panel.go(99)
    assert (panel.page, len(panel.on_page)) == (2, 2)
    panel.go(-1)
    assert panel.page == 0


@pytest.mark.parametrize("measure", ["sharpness", "size", "yaw", "pitch", "likeness", "frame"])
def test_sorts_by_any_measure(panel, measure):
    panel.go(2)
    for highest_first in (False, True):
        panel.sort(measure, highest_first)
        rows = {row.name: getattr(row, measure) for row in panel.curation.table}
        values = [rows[name] for name in panel.names]
        assert values == sorted(rows.values(), reverse=highest_first)
        assert panel.page == 0
    with pytest.raises(ValueError, match="measure: expected one of"):
        panel.sort("beauty")


def test_shows_all_kept_or_dropped(panel):
    panel.drop([2, 7])
    rows = panel.curation.table
    panel.show("dropped")
    assert panel.names == [rows[2].name, rows[7].name]
    panel.show("kept")
    assert len(panel.names) == 10
    panel.show("all")
    assert len(panel.names) == 12
    with pytest.raises(ValueError, match="which: expected one of"):
        panel.show("some")


def test_the_page_follows_when_there_are_fewer(panel):
    panel.show("kept")
    panel.go(2)
    panel.drop([9, 10, 11])
    assert panel.page == 1 and len(panel.on_page) == 4


def test_labels_tell_number_and_measures(panel):
    row = panel.curation.table[3]
    assert panel.label(row.name) == (
        "#3",
        f"{row.size:.0f} px, sharp {row.sharpness:.2f}",
        f"like {row.likeness:.2f}",
        f"yaw {row.yaw:+.0f}°, pitch {row.pitch:+.0f}°",
    )


def test_dropped_thumbnails_are_grey(panel):
    name = panel.names[0]
    before = panel.thumbnail(name)
    panel.drop(name)
    after = panel.thumbnail(name)
    assert before.shape == after.shape == (THUMB, THUMB, 3)
    assert np.ptp(before.astype(int), axis=2).max() > 20
    assert np.ptp(after.astype(int), axis=2).max() == 0


def test_a_page_as_a_figure(panel):
    panel.drop(1)
    figure = panel.plot()
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert len(titles) == 5
    assert ["dropped" in title for title in titles] == [False, True, False, False, False]
    panel.reset()
    panel.show("dropped")
    with pytest.raises(ValueError, match="got none that are dropped"):
        panel.plot()


def test_without_ipywidgets_it_says_what_to_call(panel, monkeypatch, capsys):
    real = builtins.__import__

    def no_widgets(name, *args, **kwargs):
        if name.startswith("ipywidgets"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    monkeypatch.setattr(base, "has_widgets", lambda: False)
    panel._ipython_display_()
    assert "panel.drop_below('sharpness', 0.08)" in capsys.readouterr().out
    assert panel.drop(3) and panel.undo()


def test_a_page_holds_something(folder):
    with pytest.raises(ValueError, match="page_size: expected at least 1, got 0"):
        FacesPanel(folder, page_size=0)


def test_a_picture_for_a_widget_comes_back_as_it_was(picture):
    assert np.array_equal(decoded(png_bytes(picture)), picture)
    with pytest.raises(TypeError, match="expected uint8"):
        png_bytes(picture / 255.0)


# With widgets -------------------------------------------------------------------------------


def test_ticks_show_and_change_what_is_kept(panel, folder):
    assert has_widgets()
    names = panel.on_page
    assert [tick.value for tick in ticks(panel)] == [True] * 5
    assert ticks(panel)[2].description == f"keep {panel.label(names[2])[0]}"
    ticks(panel)[2].value = False
    assert panel.curation.dropped == (names[2],)
    assert len(load_faces(folder)) == 11
    assert "dropped 1 face" in texts(panel) and "11 faces kept, 1 dropped" in texts(panel)
    ticks(panel)[2].value = True
    assert panel.curation.dropped == ()


def test_plain_calls_show_in_the_panel(panel):
    names = panel.on_page
    _ = panel.box
    panel.drop([0, 3])
    assert [tick.value for tick in ticks(panel)] == [False, True, True, False, True]
    panel.sort("size", highest_first=True)
    assert panel.widgets["sort by"].value == "size" and panel.widgets["from"].value == "highest"
    assert panel.on_page != names
    panel.undo()
    assert all(tick.value for tick in ticks(panel))


def test_turning_pages_and_choosing_what_is_shown(panel):
    panel.widgets["next page"].click()
    assert panel.page == 1 and "page 2 of 3" in texts(panel)
    panel.widgets["next page"].click()
    visible = [cell.layout.display for cell in panel.box.children[-1].children]
    assert visible == ["flex"] * 2 + ["none"] * 3
    panel.widgets["sort by"].value = "yaw"
    assert (panel.order, panel.page) == ("yaw", 0)
    panel.drop(panel.on_page[1])
    panel.widgets["show"].value = "dropped"
    assert len(panel.on_page) == 1
    panel.widgets["previous page"].click()
    assert panel.page == 0


def test_thumbnails_are_the_crops(panel):
    cell = panel.box.children[-1].children[1]
    assert np.array_equal(decoded(cell.children[0].value), panel.thumbnail(panel.on_page[1]))


def test_the_slider_tells_how_many_would_go(panel):
    sizes = sorted(row.size for row in panel.curation.table)
    panel.widgets["limit of"].value = "size"
    limit = panel.widgets["limit"]
    assert limit.min == pytest.approx(sizes[0]) and limit.max >= sizes[-1]
    limit.value = (sizes[3] + sizes[4]) / 2.0
    assert "would drop <b>4</b>" in texts(panel)
    panel.widgets["drop"].value = "above"
    assert "would drop <b>8</b>" in texts(panel)
    assert len(panel.curation.kept) == 12
    panel.widgets["drop these"].click()
    assert len(panel.curation.kept) == 4
    panel.widgets["undo"].click()
    assert len(panel.curation.kept) == 12


@pytest.mark.parametrize("measure", ["yaw", "frame", "likeness", "sharpness", "mouth", "pitch"])
def test_the_slider_spans_each_measure(panel, measure):
    panel.widgets["limit of"].value = "size"
    panel.widgets["limit of"].value = measure
    values = [getattr(row, measure) for row in panel.curation.table]
    limit = panel.widgets["limit"]
    assert limit.min <= min(values) + 1e-9 and limit.max >= max(values)
    assert limit.min <= limit.value <= limit.max


def test_near_duplicates_undo_and_all_back_have_buttons(folder):
    crop = read_image(folder / "face_000004.png")
    write_image(folder / "face_000005.png", cv2.GaussianBlur(crop, (0, 0), 0.7))
    panel = FacesPanel(folder, identity=False)
    panel.widgets["drop near-duplicates"].click()
    assert panel.curation.dropped == ("face_000005.png",)
    panel.drop(0)
    panel.widgets["take all back"].click()
    assert panel.curation.dropped == ()
    panel.widgets["undo"].click()
    assert len(panel.curation.dropped) == 2


def test_errors_are_told_in_the_panel(panel, folder):
    panel.widgets["limit"].value = panel.widgets["limit"].max
    panel.widgets["drop these"].click()
    assert "this would drop all 12" in texts(panel)
    panel.drop(range(11))
    panel.go(2)
    ticks(panel)[1].value = False  # the last that is kept
    assert "this would drop all 1" in texts(panel)
    assert ticks(panel)[1].value is True
    panel.widgets["take all back"].click()
    assert "would drop all" not in texts(panel) and "taken back 11 faces" in texts(panel)


def test_everything_has_a_label_and_fits_into_a_column(panel):
    assert all(field.description for field in panel.widgets.values())
    assert panel.box.layout.max_width == "1000px"
    for row in panel.box.children[2:5]:
        assert "du-row" in row._dom_classes  # it goes on below where the page is narrow


# Groups, covered faces ----------------------------------------------------------------------


@pytest.fixture
def grouped(folder) -> FacesPanel:
    """Person 1 in shots 1 and 3, person 2 in shot 2, four crops each."""
    record = json.loads((folder / FACES_FILE).read_text())
    for i, entry in enumerate(record["faces"].values()):
        entry["shot"] = i // 4 + 1
        entry["person"] = 2 if entry["shot"] == 2 else 1
    (folder / FACES_FILE).write_text(json.dumps(record))
    return FacesPanel(folder, identity=False, page_size=5)


def test_a_group_goes_with_one_click_and_comes_back(grouped):
    assert grouped.order == "person"
    shots = [grouped.curation.table[grouped.curation.number(n)].shot for n in grouped.names]
    assert shots == [1] * 4 + [3] * 4 + [2] * 4
    assert {name for name in grouped.widgets if name.startswith("drop person")} == {
        "drop person 1",
        "drop person 1, shot 1",
        "drop person 1, shot 3",
        "drop person 2, shot 2",
    }
    assert "person 2, shot 2: 4 of 4 kept" in texts(grouped)
    grouped.widgets["drop person 2, shot 2"].click()
    assert len(grouped.curation.kept) == 8
    assert "dropped 4 faces" in texts(grouped) and "shot 2: 0 of 4 kept" in texts(grouped)
    grouped.widgets["undo"].click()
    assert len(grouped.curation.kept) == 12
    grouped.widgets["drop person 1"].click()
    assert len(grouped.curation.kept) == 4
    grouped.widgets["drop person 2, shot 2"].click()
    assert "this would drop all 4" in texts(grouped)


def test_labels_name_the_group(grouped):
    assert grouped.label(grouped.names[-1])[-1] == "person 2, shot 2"


def test_one_person_in_one_shot_has_no_groups(panel):
    assert not [name for name in panel.widgets if name.startswith("drop person")]
    assert panel.order == "frame"


def test_covered_faces_are_proposed_for_dropping(folder):
    crop = read_image(folder / "face_000004.png")
    side = len(crop)
    crop[side // 2 : side * 4 // 5, side * 2 // 5 : side * 13 // 20] = (30, 60, 150)  # a cup
    write_image(folder / "face_000004.png", crop)
    panel = FacesPanel(folder, identity=False)
    panel.sort("covered", highest_first=True)
    assert panel.names[0] == "face_000004.png"
    assert "covered 0." in panel.label(panel.names[0])[-1]
    assert "<b>1</b> seem covered" in texts(panel)
    panel.widgets["limit of"].value = "covered"
    assert panel.widgets["drop"].value == "above" and "would drop <b>1</b>" in texts(panel)
    panel.widgets["drop covered"].click()
    assert panel.curation.dropped == ("face_000004.png",)

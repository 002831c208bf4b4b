"""pytest tests/curation/test_report.py"""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfake_utils.curation.report import PoseMap, pair_report, what_to_add
from deepfake_utils.curation.selection import Curation, Reach, SetSummary
from deepfake_utils.extraction import FACES_FILE
from deepfake_utils.images import read_image, write_image


@pytest.fixture(scope="module")
def report(crops):
    return pair_report(*crops, identity=False)


@pytest.fixture
def folder(own_crops) -> Path:
    return own_crops


def change(folder: Path, which) -> None:
    for path in folder.glob("*.png"):
        write_image(path, which(read_image(path)))


RICH = SetSummary(
    faces=400,
    dropped=0,
    duplicates=20,
    blurred=3,
    sharpness=Reach(0.1, 0.18, 0.2),
    size=Reach(120.0, 140.0, 160.0),
    yaw=Reach(-30.0, 0.0, 30.0),
    pitch=Reach(-15.0, 0.0, 15.0),
    mouth=Reach(0.0, 0.05, 0.3),
    eyelids=Reach(-0.05, 0.0, 0.6),
    colour=(60.0, 15.0, 17.0),
    contrast=(16.0, 5.0, 5.0),
)


def advice(a=None, b=None, never=0.0, apart=3.0, pixels=96.0) -> tuple[str, ...]:
    one, other = (dataclasses.replace(RICH, **(each or {})) for each in (a, b))
    return what_to_add(one, other, never, apart, pixels)


# In words -----------------------------------------------------------------------------------


def test_nothing_to_add_to_a_good_pair():
    assert advice() == ()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (
            {"a": {"yaw": Reach(-35, 0, 20)}, "b": {"yaw": Reach(-20, 0, 18)}},
            "A turns up to 35 degrees to the picture's left, B only to 20: film B turned further",
        ),
        (
            {"a": {"yaw": Reach(-5, 0, 35)}, "b": {"yaw": Reach(-9, -5, -2)}},
            "A turns up to 35 degrees to the picture's right, B never",
        ),
        ({"b": {"pitch": Reach(-3, 0, 15)}}, "A looks upwards to 15 degrees, B only to 3"),
        ({"b": {"pitch": Reach(-15, -9, -1)}}, "A looks downwards to 15 degrees, B never"),
        (
            {"a": {"pitch": Reach(2, 6, 15)}, "b": {"pitch": Reach(9, 12, 15)}},
            "A looks downwards by as little as 2 degrees, B by 9 or more",
        ),
        ({"never": 0.12}, "12 % of A's faces are in poses near which B was never seen"),
        ({"b": {"mouth": Reach(0, 0.02, 0.1)}}, "B's mouth is never as open as A's (0.10 of"),
        ({"b": {"eyelids": Reach(0, 0, 0.3)}}, "B's eyes never close as far as A's"),
        ({"b": {"mouth": Reach(0.12, 0.2, 0.3)}}, "B's mouth never closes as far as A's (0.12 of"),
        ({"a": {"eyelids": Reach(-0.4, 0, 0.6)}}, "B's eyes never open as wide as A's"),
        ({"a": {"gaze": Reach(-0.6, 0, 0.1)}}, "A looks further to the picture's left than B"),
        ({"a": {"light": Reach(-25, 0, 3)}}, "A's face is lit from one side (by up to 25 in L*)"),
        ({"b": {"covered": 60}}, "15 % of B's faces are covered by something"),
        ({"b": {"faces": 40}}, "B has 20 distinct faces"),
        ({"a": {"blurred": 200}}, "half of A's faces are blurred"),
        ({"b": {"duplicates": 260}}, "B's faces are near-duplicates"),
        ({"apart": 20.0, "b": {"colour": (30, 15, 17)}}, "B's face is darker"),
        ({"b": {"contrast": (30, 5, 5)}}, "The light on B's face is harder than on A's"),
        ({"pixels": 192.0, "b": {"size": Reach(180, 190, 200)}}, "A's face is 140 pixels in"),
    ],
)
def test_what_is_missing_is_said(case, words):
    said = advice(**case)
    assert len(said) == 1
    assert words in said[0]


def test_faces_turned_the_other_way_stand_in_as_training_mirrors():
    assert advice({"yaw": Reach(-35, 0, 0)}, {"yaw": Reach(0, 10, 35)}) == ()


def test_a_person_who_holds_still_needs_no_blinks_of_the_other():
    still = {"mouth": Reach(0, 0, 0.01), "eyelids": Reach(-0.02, 0, 0.02)}
    assert advice(still, still) == ()


# The map of poses ---------------------------------------------------------------------------


def test_cells_are_seen_near_mirrored_or_never():
    a, b = np.zeros((2, 5, 9), int)
    a[2, 1], a[2, 4], a[0, 4], a[2, 7] = 1, 2, 3, 4
    b[2, 7], b[3, 4] = 9, 9
    poses = PoseMap(a, b)
    assert poses.seen[2, 4] and poses.seen[2, 7] and not poses.seen[0, 4]
    assert np.argwhere(poses.mirrored).tolist() == [[2, 1]]
    assert np.argwhere(poses.never).tolist() == [[0, 4]]
    assert poses.share(poses.never) == pytest.approx(0.3)


def test_every_face_is_in_the_map(report):
    assert report.poses.a.sum() == report.poses.b.sum() == 12


# Whole reports ------------------------------------------------------------------------------


def test_a_set_lacks_nothing_of_itself_but_faces(crops):
    same = pair_report(crops[0], crops[0], identity=False)
    assert same.a == same.b
    assert same.colour_difference == 0.0
    assert not same.poses.never.any() and not same.poses.mirrored.any()
    assert same.same_clip and "same clip" in same.advice[0]
    assert len(same.advice) == 3 and all("distinct faces" in each for each in same.advice[1:])


def test_a_copy_in_other_files_is_the_same_clip_and_another_person_is_not(crops, folder, report):
    for path in folder.glob("*.png"):
        _, data = cv2.imencode(".jpg", read_image(path), [cv2.IMWRITE_JPEG_QUALITY, 60])
        write_image(path, cv2.imdecode(data, cv2.IMREAD_COLOR))
    assert pair_report(crops[0], folder, identity=False).same_clip
    assert not report.same_clip


def test_what_the_sample_people_lack(report):
    """B's head is never as far back as A's, which the truth says, too; colours are near."""
    assert not report.complete
    assert any("A looks upwards" in each for each in report.advice)
    assert report.poses.share(report.poses.never) > 0.1
    assert 1.0 < report.colour_difference < 10.0
    assert report.a.blurred == report.b.blurred == 0
    assert report.a.yaw.low < -15.0 < 0.0 < report.a.yaw.high


def test_blur_light_and_copies_are_noticed(folder, crops):
    record = json.loads((folder / FACES_FILE).read_text())
    for name in list(record["faces"])[:3]:
        shutil.copy(folder / name, folder / f"copy_{name}")
        record["faces"][f"copy_{name}"] = record["faces"][name]
    (folder / FACES_FILE).write_text(json.dumps(record))
    change(folder, lambda image: cv2.GaussianBlur(image // 3, (0, 0), 2.0))
    report = pair_report(crops[0], folder, identity=False)
    assert report.b.duplicates >= report.a.duplicates + 3
    assert report.b.blurred == 15
    assert report.colour_difference > 15.0
    text = report.markdown()
    assert "100 % of B's faces are blurred" in text
    assert "B's face is darker" in text


def test_dropped_faces_do_not_count(folder, crops):
    curation = Curation(folder, identity=False)
    curation.drop_below("pitch", -4.0)
    report = pair_report(folder, crops[1], identity=False)
    assert report.a.faces == len(curation.kept) < 12
    assert report.a.dropped == 12 - report.a.faces
    assert not any("looks upwards" in each for each in report.advice)


def test_the_networks_size_matters(crops):
    small, large = (pair_report(*crops, size, identity=False) for size in (64, 256))
    assert not any("pixels in the film" in each for each in small.advice)
    assert sum("pixels in the film" in each for each in large.advice) == 2
    with pytest.raises(ValueError, match="network_size: expected at least 8 pixels, got 0"):
        pair_report(*crops, 0)


def test_reports_show_themselves(report):
    text = report._repr_markdown_()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 17
    assert all(line.replace("\\|", "").count("|") == 4 for line in rows)
    assert all(f"* {each}" in text for each in report.advice)
    whole = dataclasses.replace(report, advice=())
    assert whole.complete and "**Everything needed is there.**" in whole.markdown()


def test_the_figure_shows_map_and_reaches(report):
    figure = report.plot()
    figure.savefig(io.BytesIO(), format="png")
    poses, *rest = figure.axes
    assert sum(int(text.get_text()) for text in poses.texts) == 12
    assert [len(axis.patches) for axis in rest] == [2, 2, 2, 2]


def test_bad_folders_are_told(tmp_path, crops):
    with pytest.raises(FileNotFoundError, match="no folder at"):
        pair_report(crops[0], tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"expected faces\.json in"):
        pair_report(tmp_path, crops[1])


def test_without_kept_faces_there_is_no_report(folder, crops):
    (folder / "dropped").mkdir()
    for path in folder.glob("*.png"):
        path.rename(folder / "dropped" / path.name)
    with pytest.raises(ValueError, match="expected kept faces in"):
        pair_report(crops[0], folder, identity=False)

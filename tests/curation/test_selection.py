"""pytest tests/curation/test_selection.py"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfake_utils.curation.covering import COVERED
from deepfake_utils.curation.folder import DROPPED, JOURNAL_FILE
from deepfake_utils.curation.inspection import BLURRED, NEAR, read_thumbs
from deepfake_utils.curation.selection import MEASURES_FILE, Curation
from deepfake_utils.extraction import FACES_FILE, extract_faces, load_faces
from deepfake_utils.images import read_image, write_image
from deepfake_utils.samples import load_truth, sample_clips, sample_consent
from deepfake_utils.video import read_frames

EVERY = 25  # the fixture `crops` takes each 25th frame


@pytest.fixture
def folder(own_crops) -> Path:
    return own_crops


@pytest.fixture
def curation(folder) -> Curation:
    return Curation(folder, identity=False)


def pictures(folder: Path) -> dict[str, bytes]:
    """Every picture below a folder, wherever it lies."""
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def loaded(folder: Path) -> tuple[str, ...]:
    return tuple(path.name for path in load_faces(folder).paths)


def spoil(folder: Path, name: str, change) -> None:
    write_image(folder / name, change(read_image(folder / name)))


def copy_crop(folder: Path, name: str, new: str, change=lambda image: image) -> None:
    """One more crop that shows what another does."""
    write_image(folder / new, change(read_image(folder / name)))
    record = json.loads((folder / FACES_FILE).read_text())
    record["faces"][new] = {**record["faces"][name], "frame": 1000}
    (folder / FACES_FILE).write_text(json.dumps(record))


def blur(sigma: float):
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma)


def darker(image):
    return np.uint8(cv2.GaussianBlur(image, (0, 0), 0.7) * 0.7)


# What is measured ---------------------------------------------------------------------------


def test_a_row_for_each_crop_in_the_order_of_the_frames(curation, folder):
    assert [row.name for row in curation.table] == list(loaded(folder))
    assert [row.frame for row in curation.table] == list(range(12))
    assert curation.kept == loaded(folder)
    assert curation.dropped == ()


def test_the_pose_is_close_to_the_renderers(curation):
    truth = load_truth().pose_a[::EVERY][:12]
    found = np.array([(row.yaw, row.pitch) for row in curation.table])
    assert np.abs(found - truth[:, :2]).mean(axis=0) == pytest.approx([0, 0], abs=2.5)
    assert np.corrcoef(found[:, 0], truth[:, 0])[0, 1] > 0.98


def test_size_is_that_in_the_film(curation, frame, points, tmp_path):
    size = curation.table[0].size
    assert 0.5 < size / np.ptp(points[17:], axis=0).max() < 1.5
    half = cv2.resize(frame, (192, 192), interpolation=cv2.INTER_AREA)
    extract_faces([half], tmp_path / "half", lambda _: [points / 2.0], size=96, coverage=0.6)
    assert Curation(tmp_path / "half", identity=False).table[0].size == pytest.approx(size / 2.0)


def test_mouth_moves_as_the_jaw_does(curation):
    jaw = load_truth().jaw_a[::EVERY][:12]
    assert np.corrcoef([row.mouth for row in curation.table], jaw)[0, 1] > 0.9


def test_sharpness_falls_with_blur_and_hardly_with_the_crops_size(folder, tmp_path):
    names = loaded(folder)
    for name, sigma in zip(names, (0.8, 1.5, 3.0), strict=False):
        spoil(folder, name, blur(sigma))
    rows = Curation(folder, identity=False).table
    assert rows[3].sharpness > rows[0].sharpness > rows[1].sharpness > rows[2].sharpness
    assert rows[2].sharpness < BLURRED < rows[3].sharpness


def test_one_extraction_at_another_size_measures_alike(curation, tmp_path):
    clip, points = sample_clips().person_a, iter(load_truth().landmarks_a[::EVERY])
    frames = read_frames(clip, 0.0, 12.0, EVERY)
    extract_faces(frames, tmp_path / "fine", lambda _: [next(points)], 300, coverage=0.6)
    for one, other in zip(curation.table, Curation(tmp_path / "fine", False).table, strict=True):
        assert one.size == pytest.approx(other.size)
        assert (one.yaw, one.pitch) == pytest.approx((other.yaw, other.pitch), abs=1.0)
        assert one.mouth == pytest.approx(other.mouth)
        assert one.colour == pytest.approx(other.colour, abs=1.5)


@pytest.mark.parametrize(
    "identity", [False, pytest.param(True, marks=pytest.mark.score)], ids=["picture", "dlib"]
)
def test_another_face_is_the_least_alike(folder, crops, identity):
    if identity:
        pytest.importorskip("dlib")
    other = read_image(crops[1] / "face_000003.png")
    write_image(folder / "face_000003.png", other if identity else other[::-1].copy())
    rows = Curation(folder, identity).table
    assert min(rows, key=lambda row: row.likeness).name == "face_000003.png"
    assert all(-1.0 <= row.likeness <= 1.0 for row in rows)


def test_measures_are_remembered_until_the_faces_are_others(curation, folder):
    before = curation.table
    record = json.loads((folder / MEASURES_FILE).read_text())
    record["rows"][0]["sharpness"] = 7.0
    (folder / MEASURES_FILE).write_text(json.dumps(record))
    assert Curation(folder, identity=False).table[0].sharpness == 7.0
    curation.drop(0)
    assert Curation(folder, identity=False).table[0].sharpness == 7.0
    curation.undo()
    spoil(folder, curation.kept[5], np.zeros_like)
    again = Curation(folder, identity=False).table
    assert (again[0].sharpness, again[5].sharpness) == (before[0].sharpness, 0.0)
    copy_crop(folder, curation.kept[1], "face_000500.png")
    assert len(Curation(folder, identity=False).table) == 13


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"faces_sha256": 1}', "\x00"])
def test_damaged_measures_are_taken_anew(curation, folder, text):
    before = curation.table
    (folder / MEASURES_FILE).write_text(text)
    assert Curation(folder, identity=False).table == before


def test_a_summary_is_of_the_kept_crops(curation):
    names = curation.kept
    whole = curation.summary()
    curation.drop([0, 1])
    kept = curation.summary()
    assert (whole.faces, whole.dropped, kept.faces, kept.dropped) == (12, 0, 10, 2)
    assert [row.name for row in curation.kept_table] == list(names[2:])
    assert kept.yaw.middle == pytest.approx(np.median([row.yaw for row in curation.table[2:]]))
    assert kept.yaw.low < kept.yaw.middle < kept.yaw.high


# Near-duplicates ----------------------------------------------------------------------------


def test_copies_are_found_and_the_sharpest_stays(folder):
    first, second, *_ = loaded(folder)
    copy_crop(folder, first, "face_000500.png", blur(0.7))
    copy_crop(folder, first, "face_000501.png", darker)
    copy_crop(folder, second, "face_000502.png")
    spoil(folder, second, blur(0.7))
    curation = Curation(folder, identity=False)
    groups = curation.duplicates()
    assert sorted(map(sorted, groups)) == [
        [first, "face_000500.png", "face_000501.png"],
        [second, "face_000502.png"],
    ]
    gone = curation.drop_duplicates()
    assert sorted(gone) == [second, "face_000500.png", "face_000501.png"]
    assert curation.duplicates() == []


def test_a_higher_threshold_takes_more_and_each_has_a_near_one_that_stays(curation):
    counts = []
    for threshold in (0.0, NEAR, 0.3, 0.6, 1.0):
        groups = curation.duplicates(threshold)
        counts.append(sum(len(group) - 1 for group in groups))
        sharp = {row.name: row.sharpness for row in curation.table}
        assert all(sharp[group[0]] == max(map(sharp.get, group)) for group in groups)
    assert counts == sorted(counts)
    assert counts[0] == 0 and counts[-1] > counts[1]
    with pytest.raises(ValueError, match=r"threshold: expected 0 to 1, got 1\.5"):
        curation.duplicates(1.5)


def test_thumbs_show_the_face_at_one_place_whatever_the_crop(curation, tmp_path):
    clip, points = sample_clips().person_a, iter(load_truth().landmarks_a[::EVERY])
    frames = read_frames(clip, 0.0, 12.0, EVERY)
    extract_faces(frames, tmp_path / "fine", lambda _: [next(points)], 300, coverage=0.7)
    one, other = (
        read_thumbs(each._paths(), each.record) for each in (curation, Curation(tmp_path / "fine"))
    )
    assert one.shape == other.shape == (12, 64, 64)
    assert np.abs(one.astype(float) - other).mean() < 3.0


# Dropping, keeping, undo --------------------------------------------------------------------


def test_dropped_crops_move_and_are_not_loaded(curation, folder):
    before, names = pictures(folder), curation.kept
    assert curation.drop([3, names[5], 3]) == [names[3], names[5]]
    assert curation.dropped == (names[3], names[5])
    assert curation.kept == loaded(folder) == tuple(n for n in names if n not in curation.dropped)
    assert (folder / DROPPED / names[3]).is_file()
    assert pictures(folder) == before
    assert len(load_faces(folder).landmarks) == 10
    assert curation.drop(3) == []
    assert curation.keep(names[3]) == [names[3]]
    assert curation.keep([np.int64(5)]) == [names[5]]
    assert loaded(folder) == names


def test_rows_keep_their_numbers(curation, folder):
    table = curation.table
    curation.drop([0, 1])
    assert curation.table == table == Curation(folder, identity=False).table


def test_undo_takes_each_step_back_also_later(curation, folder):
    names = curation.kept
    states = [curation.kept]
    for step in (
        lambda: curation.drop([0, 1, 2]),
        lambda: curation.keep(1),
        lambda: curation.drop_below("sharpness", np.median([r.sharpness for r in curation.table])),
        curation.reset,
    ):
        assert step()
        states.append(curation.kept)
    assert states[-1] == names
    for state in reversed(states[:-1]):
        again = Curation(folder, identity=False)
        assert again.undo()
        assert again.kept == curation.kept == loaded(folder) == state
    assert curation.undo() == []


def test_limits_drop_what_is_beyond(curation):
    yaws = np.array([row.yaw for row in curation.table])
    low, high = np.percentile(yaws, [20, 80])
    assert set(curation.outside("yaw", low, high)) == {
        row.name for row in curation.table if not low <= row.yaw <= high
    }
    curation.drop_above("yaw", high)
    curation.drop_below("yaw", low)
    assert all(low <= curation.table[curation.number(n)].yaw <= high for n in curation.kept)
    with pytest.raises(ValueError, match="measure: expected one of"):
        curation.outside("beauty")


def test_never_all_of_them(curation, folder):
    with pytest.raises(ValueError, match="this would drop all 12"):
        curation.drop_below("sharpness", 9.0)
    assert len(loaded(folder)) == 12


def test_unknown_crops_are_named(curation):
    with pytest.raises(KeyError, match=r"nobody\.png"):
        curation.drop(["face_000000.png", "nobody.png"])
    for number in (-1, 12):
        with pytest.raises(IndexError, match=rf"expected 0 to 11, got crop number {number}"):
            curation.drop(number)
    assert curation.dropped == ()


# What may go wrong on the disk --------------------------------------------------------------


@pytest.mark.parametrize("moves", range(4))
@pytest.mark.parametrize("action", ["drop", "undo", "keep"])
def test_a_crash_between_two_moves_loses_nothing(curation, folder, monkeypatch, moves, action):
    names, before = curation.kept, pictures(folder)
    if action != "drop":
        curation.drop([0, 1, 2])
    rename, done = Path.rename, []

    def crash(self, target):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash)
        if moves < 3:
            with pytest.raises(KeyboardInterrupt):
                getattr(curation, action)(*(() if action == "undo" else ([0, 1, 2],)))
        else:
            getattr(curation, action)(*(() if action == "undo" else ([0, 1, 2],)))
    assert pictures(folder) == before
    again = Curation(folder, identity=False)
    assert again.kept == loaded(folder) == (names[3:] if action == "drop" else names)
    assert pictures(folder) == before
    while again.undo():
        pass
    assert again.kept == names


def test_crops_moved_by_hand_stay_where_they_are(curation, folder):
    names = curation.kept
    curation.drop([0, 1])
    (folder / DROPPED / names[0]).rename(folder / names[0])
    (folder / names[4]).unlink()
    again = Curation(folder, identity=False)
    assert again.dropped == (names[1],)
    assert again.kept == (names[0], *names[2:4], *names[5:])
    assert again.undo() == [names[1]]


def test_faces_extracted_anew_set_what_was_dropped_aside(curation, folder, frame, points):
    curation.drop([0, 1])
    dropped = pictures(folder / DROPPED)
    consent = sample_consent("A")
    extract_faces([frame] * 3, folder, lambda _: [points], 64, overwrite=True, consent=consent)
    again = Curation(folder, identity=False)
    assert (len(again.kept), again.dropped, again.undo()) == (3, (), [])
    assert pictures(folder / f"{DROPPED}-1") == dropped
    again.drop([0])
    extract_faces([frame] * 3, folder, lambda _: [points], 64, overwrite=True, consent=consent)
    assert len(Curation(folder, identity=False).kept) == 3
    assert (folder / f"{DROPPED}-2" / "face_000000.png").is_file()


def test_a_damaged_journal_is_named(curation, folder):
    curation.drop(0)
    (folder / DROPPED / JOURNAL_FILE).write_text("{")
    with pytest.raises(ValueError, match=r"expected JSON in .*journal\.json.*move .* away"):
        Curation(folder)


def test_names_that_lead_elsewhere_are_not_touched(folder, tmp_path):
    record = json.loads((folder / FACES_FILE).read_text())
    some = next(iter(record["faces"].values()))
    write_image(tmp_path / "mine.png", np.zeros((9, 9, 3), np.uint8))
    record["faces"]["../mine.png"] = some
    (folder / FACES_FILE).write_text(json.dumps(record))
    curation = Curation(folder, identity=False)
    assert len(curation.kept) == 12
    with pytest.raises(KeyError):
        curation.drop("../mine.png")


def test_what_is_no_faces_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder at"):
        Curation(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"expected faces\.json in .*extract the faces"):
        Curation(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(NotADirectoryError, match="expected a folder of faces"):
        Curation(file)
    (tmp_path / FACES_FILE).write_text('{"faces": {}}')
    with pytest.raises(ValueError, match=r"expected crops in .*faces\.json, got none"):
        Curation(tmp_path)
    (tmp_path / FACES_FILE).write_text('{"faces": {"face_000000.png": {}}}')
    with pytest.raises(ValueError, match="got none; extract them again"):
        Curation(tmp_path)
    write_image(tmp_path / "face_000000.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"expected 'landmarks' .* of face_000000\.png"):
        _ = Curation(tmp_path, identity=False).table


# Groups, covered faces ----------------------------------------------------------------------


def number_groups(folder: Path) -> None:
    """Person 1 in shots 1 and 3, person 2 in shot 2, four crops each."""
    record = json.loads((folder / FACES_FILE).read_text())
    for i, entry in enumerate(record["faces"].values()):
        entry["shot"] = i // 4 + 1
        entry["person"] = 2 if entry["shot"] == 2 else 1
    (folder / FACES_FILE).write_text(json.dumps(record))


def test_groups_of_a_person_and_a_shot_are_dropped_and_come_back(folder):
    number_groups(folder)
    curation = Curation(folder, identity=False)
    assert {key: len(names) for key, names in curation.groups().items()} == {
        (1, 1): 4,
        (1, 3): 4,
        (2, 2): 4,
    }
    assert [(row.person, row.shot) for row in curation.table[3:5]] == [(1, 1), (2, 2)]
    assert curation.drop_group(2) == curation.groups()[2, 2]
    assert len(load_faces(folder)) == 8
    assert len(curation.undo()) == 4 and curation.dropped == ()
    assert curation.drop_group(1, 3) == curation.groups()[1, 3]
    with pytest.raises(ValueError, match=r"expected \(person, shot\) as one of .* got \(3, None\)"):
        curation.drop_group(3)


def test_without_numbers_all_is_one_group(curation):
    assert curation.groups() == {(0, 0): list(curation.names)}


def hand(image: np.ndarray) -> np.ndarray:
    """Four fingers of the skin's colour before mouth and cheek."""
    image = image.copy()
    side = len(image)
    skin = (0.9 * image[side * 2 // 5 : side // 2, side * 2 // 5 : side // 2].mean((0, 1))).tolist()
    for k in range(4):
        y = round(side * (0.5 + 0.06 * k))
        cv2.line(image, (side // 5, y + side // 12), (side * 3 // 5, y), skin, side // 20)
        cv2.line(
            image, (side // 5, y + side // 8), (side * 3 // 5, y + side // 26), [60, 40, 30], 1
        )
    return image


def cup(image: np.ndarray) -> np.ndarray:
    image, side = image.copy(), len(image)
    image[side // 2 : side * 4 // 5, side * 2 // 5 : side * 13 // 20] = (30, 60, 150)
    return image


def hair(image: np.ndarray) -> np.ndarray:
    image, side, rng = image.copy(), len(image), np.random.default_rng(0)
    for x in rng.normal(0.4, 0.06, 20):
        ends = (round(side * x), 0), (round(side * (x + rng.normal(0, 0.06))), round(side * 0.6))
        cv2.line(image, *ends, (40, 25, 15), max(1, side // 60), cv2.LINE_AA)
    return image


@pytest.mark.parametrize("what", [hand, cup, hair])
def test_covered_faces_are_noticed_and_can_be_dropped(folder, what):
    names = [f"face_{i:06d}.png" for i in (2, 6, 9)]
    for name in names:
        spoil(folder, name, what)
    curation = Curation(folder, identity=False)
    rows = {row.name: row.covered for row in curation.table}
    assert all(0.0 <= value <= 1.0 for value in rows.values())
    assert curation.outside("covered", high=COVERED) == names
    assert min(rows[name] for name in names) > max(v for n, v in rows.items() if n not in names)
    assert curation.summary().covered == 3
    assert curation.drop_above("covered", COVERED) == names

"""pytest tests/test_faces.py"""

import json
import logging
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfake_utils.consent import Subject
from deepfake_utils.curation import Curation
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.extraction import FACES_FILE, extract_clip, extract_faces, load_faces
from deepfake_utils.faces import MEAN_FACE, align_face, face_mask, inner_face_mask, mean_face
from deepfake_utils.images import read_image, write_image
from deepfake_utils.landmarks import FLIP68, INNER, Face, outer_eye_distance
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.tracking import track_faces
from deepfake_utils.umeyama import invert, transform_points, umeyama
from deepfake_utils.video import TimedFrame, read_frames

# The mean face ------------------------------------------------------------------------------


def normalised(points):
    """Origin in the centre of the box around points 17-67, whose longer side is 1."""
    low, high = points[INNER].min(axis=0), points[INNER].max(axis=0)
    return (points - (low + high) / 2) / (high - low).max()


def procrustes(shapes):
    """The mean of shapes that are turned, scaled and moved to fit it as well as they can."""
    mean = normalised(shapes[0])
    for _ in range(10):
        fitted = [transform_points(s, umeyama(s[INNER], mean[INNER])) for s in shapes]
        mean = normalised(np.mean(fitted, axis=0))
    return mean


def test_mean_face_is_that_of_the_sample_people():
    truth = load_truth()
    people = [
        procrustes(landmarks[:350][np.abs(pose[:350, 0]) < 6.0])
        for landmarks, pose in (
            (truth.landmarks_a, truth.pose_a),
            (truth.landmarks_b, truth.pose_b),
        )
    ]
    both = procrustes(people)
    symmetric = normalised(both + normalised(both[FLIP68] * [-1, 1]))
    assert np.abs(symmetric - MEAN_FACE).max() < 0.003


def test_mean_face_is_symmetric_and_of_size_one():
    assert np.allclose(MEAN_FACE[FLIP68] * [-1, 1], MEAN_FACE)
    assert np.abs(normalised(MEAN_FACE) - MEAN_FACE).max() < 0.001


def test_mean_face_spans_its_share_of_the_crop():
    points = mean_face(200, 0.6)
    assert np.ptp(points[INNER], axis=0).max() == pytest.approx(0.6 * 200, rel=0.002)
    assert np.allclose(points[:, 0].min() + points[:, 0].max(), 199)
    # All of it is inside, with more room for the forehead than below the chin.
    assert points[:, 1].min() > 199 - points[:, 1].max() > 0.03 * 200
    with pytest.raises(ValueError, match="size: expected at least 8 pixels, got 7"):
        mean_face(7)
    for coverage in (0.1, 1.1):
        with pytest.raises(ValueError, match=r"coverage: expected 0.2 to 1.0, got"):
            mean_face(64, coverage)


# Alignment ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "coverage"), [(64, 0.7), (256, 0.5)])
def test_aligned_points_lie_near_the_mean_face_and_lead_back(frame, points, size, coverage):
    face = align_face(frame, points, size, coverage)
    assert face.image.shape == (size, size, 3)
    assert face.image.dtype == np.uint8
    off = np.linalg.norm(face.landmarks - mean_face(size, coverage), axis=1)[INNER]
    assert off.mean() < 0.06 * coverage * size
    back = transform_points(face.landmarks, invert(face.matrix))
    assert np.abs(back - points).max() < 1e-6


def test_turned_shifted_and_resized_faces_give_the_same_crop(frame, points):
    plain = align_face(frame, points, 96)
    matrix = cv2.getRotationMatrix2D((191.5, 191.5), 30.0, 1.4)
    turned = cv2.warpAffine(frame, matrix, (384, 384), flags=cv2.INTER_CUBIC)
    face = align_face(turned, transform_points(points, matrix), 96)
    assert np.allclose(face.landmarks, plain.landmarks, atol=1e-6)
    inside = face_mask(plain.landmarks, (96, 96)) > 0.9
    assert np.abs(face.image.astype(int) - plain.image)[inside].mean() < 2.5


@pytest.mark.parametrize("shrink", [1, 2, 2.6, 3, 5])
def test_crop_pixels_lie_where_the_matrix_says(shrink):
    # Red and green are the frame's x and y, so each pixel of the crop says where it came from.
    steep = 2 if shrink <= 2 else 1  # levels for each pixel
    y, x = np.mgrid[: 256 // steep, : 256 // steep] * steep
    ramp = np.dstack([x, y, x]).astype(np.uint8)
    rows, columns = np.mgrid[2:30, 2:30]
    here = np.stack([columns.ravel(), rows.ravel()], axis=1)
    errors = []
    for part in (0.125, 0.375, 0.625, 0.875):
        face = align_face(ramp, mean_face(round(32 * shrink), 0.5) + 30 + part, 32)
        found = face.image[rows, columns, :2].reshape(-1, 2) / steep
        errors.append(found - transform_points(here, invert(face.matrix)))
    assert np.abs(errors).max() < 1.1  # whole numbers
    assert np.abs(np.mean(errors, axis=(0, 1))).max() < 0.05


@pytest.mark.parametrize("shrink", [2, 3.3, 8])
def test_a_large_face_is_averaged_not_sampled(shrink):
    size = 48
    side = round(size * shrink)
    y, x = np.mgrid[:side, :side]
    checks = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    crop = align_face(checks, mean_face(side) + 0.3, size).image.astype(float)
    assert np.abs(crop[4:-4, 4:-4].mean() - 127.5) < 3
    assert crop[4:-4, 4:-4].std() < 16  # the checks themselves have 127.5
    assert np.abs(np.diff(cv2.blur(crop, (3, 3))[4:-4, 4:-4], axis=0)).max() < 16  # no moire


def test_face_over_the_frames_edge_is_filled_from_the_edge(frame, points):
    cut = np.ascontiguousarray(frame[:, int(points[30, 0]) :])
    moved = points - [int(points[30, 0]), 0]
    face = align_face(cut, moved, 96)
    whole = align_face(frame, points, 96)
    there = face.landmarks[45].round().astype(int)  # the eye that is still in the frame
    window = np.s_[there[1] - 6 : there[1] + 7, there[0] - 6 : there[0] + 7]
    assert np.abs(face.image[window].astype(int) - whole.image[window]).mean() < 1
    edge, filled = cut[:, 0].astype(int), face.image[:, :20].reshape(-1, 3)
    assert (filled >= edge.min(axis=0) - 4).all() and (filled <= edge.max(axis=0) + 4).all()


def test_wrong_faces_say_so(frame, points):
    with pytest.raises(ValueError, match=r"landmarks: expected shape \(68, 2\)"):
        align_face(frame, points[:5])
    with pytest.raises(TypeError, match="frame: expected uint8"):
        align_face(frame / 255.0, points)
    with pytest.raises(ValueError, match="coincide"):
        align_face(frame, np.ones((68, 2)))


# The mask -----------------------------------------------------------------------------------


def test_mask_is_one_at_the_nose_and_zero_outside_the_hull():
    landmarks = mean_face(256, 0.7)
    mask = face_mask(landmarks, (256, 256))
    assert mask.shape == (256, 256)
    assert mask.dtype == np.float32
    assert mask.min() == 0.0 and mask.max() <= 1.0
    x, y = landmarks[30].astype(int)
    assert mask[y, x] > 0.999
    brows = landmarks[17:27] - [0.0, 0.2 * 0.7 * 256]
    hull = cv2.convexHull(np.vstack([landmarks, brows]).astype(np.float32))
    inside = np.zeros((256, 256), np.uint8)
    cv2.fillConvexPoly(inside, np.rint(hull).astype(np.int32), 1)
    outside = cv2.erode(1 - inside, np.ones((5, 5), np.uint8)) > 0
    assert mask[outside].max() == 0.0
    assert mask[inside > 0].mean() > 0.6


def test_mask_falls_from_the_nose_outwards():
    landmarks = mean_face(256, 0.7)
    mask = face_mask(landmarks, (256, 256))
    for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        along = np.arange(0, 120, 1.0)
        x = landmarks[30, 0] + along * np.cos(angle)
        y = landmarks[30, 1] + along * np.sin(angle)
        ray = cv2.remap(mask, np.float32(x[None]), np.float32(y[None]), cv2.INTER_LINEAR)[0]
        assert np.diff(ray).max() < 0.01
        assert ray[0] > 0.99


def test_wider_feather_means_less_mask_and_no_feather_a_filled_hull():
    landmarks = mean_face(128, 0.7)
    masks = [face_mask(landmarks, (128, 128), feather) for feather in (0.0, 0.05, 0.1, 0.2)]
    for hard, soft in pairwise(masks):
        assert (soft <= hard + 0.02).all()
        assert soft.mean() < hard.mean() - 0.003
    assert np.isin(masks[0], (0.0, 1.0)).mean() > 0.95


def test_forehead_is_the_faces_own_up():
    landmarks = mean_face(128, 0.5)
    low, high = (face_mask(landmarks, (128, 128), forehead=f) for f in (0.0, 0.3))
    more = np.argwhere(high > low + 0.5)
    assert more[:, 0].max() < landmarks[36:48, 1].min()  # all of it above the eyes
    turned = landmarks @ [[0.0, 1.0], [-1.0, 0.0]] * [1, 1] + [127.0, 0.0]  # by 90 degrees
    low, high = (face_mask(turned, (128, 128), forehead=f) for f in (0.0, 0.3))
    more = np.argwhere(high > low + 0.5)
    assert more[:, 1].min() > turned[36:48, 0].max()


@pytest.mark.parametrize("phase", np.arange(8) / 16)
def test_mask_follows_small_movements_smoothly(phase):
    landmarks = mean_face(256, 0.7) + phase
    mask = face_mask(landmarks, (256, 256))
    moved = face_mask(landmarks + np.array([0.25, 0.0]), (256, 256))
    change = np.abs(moved - mask)
    assert 0.0 < change.mean() < 0.004
    assert change.max() < 0.3
    # What moved by 0.25 twice has moved by about as much as what moved by 0.5 at once.
    far = np.abs(face_mask(landmarks + np.array([0.5, 0.0]), (256, 256)) - mask)
    assert change.mean() < 0.8 * far.mean()


def test_mask_of_a_face_over_the_edge_is_cut_off():
    landmarks = mean_face(128, 0.6)
    whole = face_mask(landmarks, (128, 128))
    half = face_mask(landmarks - [64, 0], (128, 64))
    assert half.shape == (128, 64)
    assert np.allclose(half[:, 20:], whole[:, 84:], atol=0.01)  # near the cut it may fade
    assert face_mask(landmarks + 1000, (128, 128)).max() == 0.0


def test_wrong_masks_say_so(points):
    with pytest.raises(ValueError, match="feather: expected at least 0, got -1"):
        face_mask(points, (64, 64), feather=-1)
    with pytest.raises(ValueError, match=r"landmarks: expected shape \(68, 2\)"):
        face_mask(points[:60], (64, 64))


def test_inner_face_is_the_hull_without_the_jaw(points):
    inside = inner_face_mask(points, (384, 384))
    assert inside.shape == (384, 384)
    assert inside.dtype == np.bool_
    x, y = np.rint(points[17:]).astype(int).T
    assert inside[y, x].all()  # also the corners of the hull
    x, y = np.rint(points[3:14]).astype(int).T
    assert not inside[y, x].any()  # the jaw
    hull = cv2.convexHull(points[17:].astype(np.float32))
    assert inside.sum() == pytest.approx(cv2.contourArea(hull), rel=0.05)
    with pytest.raises(ValueError, match="face: expected points inside the picture, got all"):
        inner_face_mask(points + 1000.0, (384, 384), "face")
    with pytest.raises(ValueError, match=r"face: expected shape \(68, 2\)"):
        inner_face_mask(points[:60], (384, 384), "face")


# Extraction ---------------------------------------------------------------------------------


def fixed(points, *missing):
    """A landmarker that finds `points` in each frame but those of the given numbers."""
    count = iter(range(10_000))

    def landmarker(frame):
        return [] if next(count) in missing else [points]

    return landmarker


@pytest.fixture
def folder(tmp_path, frame, points):
    """Crops of frames 0, 2 and 3 of four."""
    frames = [np.roll(frame, shift, axis=0) for shift in range(4)]
    extract_faces(frames, tmp_path / "faces", fixed(points, 1), size=64)
    return tmp_path / "faces"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_extraction_of_a_clip_with_the_packages_own_landmarker(tmp_path):
    frames = read_frames(sample_clips().person_a, 0.0, 12.0, 50)
    report = extract_faces(frames, tmp_path / "new" / "a", MeshLandmarker(), size=128)
    assert (report.frames, report.saved, report.frames_without_face) == (6, 6, 0)
    assert report.frames_with_several == 0
    assert report.folder == tmp_path / "new" / "a"
    faces = load_faces(report.folder)
    assert faces.images.shape == (6, 128, 128, 3)
    off = np.linalg.norm(faces.landmarks[:, INNER] - mean_face(128)[INNER], axis=2)
    assert off.mean() < 0.05 * 128
    record = json.loads((report.folder / FACES_FILE).read_text(encoding="utf-8"))
    assert record["landmarker"] == "MeshLandmarker"
    for entry, true in zip(
        record["faces"].values(), load_truth().landmarks_a[:300:50], strict=True
    ):
        error = np.linalg.norm(np.array(entry["landmarks"]) - true, axis=1)[INNER].mean()
        assert error < 0.06 * outer_eye_distance(true)


def test_extraction_tells_how_far_it_is(tmp_path, points):
    clip, told = sample_clips().person_a, []
    report = extract_clip(
        clip,
        tmp_path / "a",
        fixed(points, 1),
        1.0,
        1.6,
        4,
        size=64,
        progress=lambda done, about: told.append((done, about)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]  # frames without a face count, too
    assert (report.frames, report.saved) == (4, 3)
    told.clear()
    extract_clip(
        clip,
        tmp_path / "end",
        fixed(points),
        17.92,
        size=64,
        progress=lambda *each: told.append(each),
    )
    assert told == [(1, 2), (2, 2)]

    def stop(done, about):
        if done == 2:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        extract_clip(clip, tmp_path / "b", fixed(points), size=64, progress=stop)
    assert names(tmp_path) == ["a", "end"]  # nothing half done


def test_faces_json_says_where_each_crop_came_from(folder, frame, points):
    record = json.loads((folder / FACES_FILE).read_text(encoding="utf-8"))
    assert (record["version"], record["crop_size"], record["coverage"]) == (1, 64, 0.5)
    assert record["landmarker"] == "landmarker"
    assert list(record["faces"]) == ["face_000000.png", "face_000002.png", "face_000003.png"]
    assert [entry["frame"] for entry in record["faces"].values()] == [0, 2, 3]
    entry = record["faces"]["face_000002.png"]
    assert np.abs(np.array(entry["landmarks"]) - points).max() < 0.001
    face = align_face(np.roll(frame, 2, axis=0), points, 64)
    assert np.array_equal(np.array(entry["matrix"]), face.matrix)
    assert np.array_equal(read_image(folder / "face_000002.png"), face.image)


def test_round_trip(folder, frame, points):
    faces = load_faces(folder)
    face = align_face(frame, points, 64)
    assert len(faces) == 3
    assert np.array_equal(faces.images[0], face.image)
    assert np.abs(faces.landmarks[0] - face.landmarks).max() < 0.01
    assert faces.coverage == 0.5
    assert [path.name for path in faces.paths] == [
        name for name in names(folder) if "face_" in name
    ]


def test_coverage_is_remembered(tmp_path, frame, points):
    extract_faces([frame], tmp_path, fixed(points), size=64, coverage=0.62)
    assert load_faces(tmp_path).coverage == 0.62


def test_a_deleted_crop_is_gone(folder):
    (folder / "face_000002.png").unlink()
    assert [path.name for path in load_faces(folder).paths] == [
        "face_000000.png",
        "face_000003.png",
    ]
    for path in folder.glob("*.png"):
        path.unlink()
    with pytest.raises(ValueError, match=r"expected images.*got none"):
        load_faces(folder)


def test_strangers_are_left_out(folder, picture, caplog):
    write_image(folder / "holiday.png", picture)
    with caplog.at_level(logging.WARNING):
        assert len(load_faces(folder)) == 3
    assert "left out 1 picture" in caplog.text
    for path in folder.glob("face_*.png"):
        path.unlink()
    with pytest.raises(ValueError, match="expected crops that"):
        load_faces(folder)


def test_an_earlier_run_is_not_overwritten_by_chance(folder, frame, points):
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        extract_faces([frame], folder, fixed(points), size=64)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before


def test_overwriting_replaces_the_crops_of_earlier_runs_only(folder, frame, points, picture):
    write_image(folder / "holiday.png", picture)
    (folder / "notes.txt").write_text("mine")
    extract_faces([frame] * 2, folder, fixed(points), size=32, overwrite=True)
    assert names(folder) == [
        "face_000000.png",
        "face_000001.png",
        FACES_FILE,
        "holiday.png",
        "notes.txt",
    ]
    assert load_faces(folder).images.shape == (2, 32, 32, 3)


def test_pictures_that_no_run_wrote_are_not_overwritten(tmp_path, frame, points, picture):
    write_image(tmp_path / "face_000000.png", picture)  # e.g. of another program, no faces.json
    with pytest.raises(FileExistsError, match="overwrite"):
        extract_faces([frame], tmp_path, fixed(points), size=64)
    assert np.array_equal(read_image(tmp_path / "face_000000.png"), picture)


@pytest.mark.parametrize("absolute", [False, True])
def test_overwriting_deletes_nothing_outside_the_folder(folder, frame, points, absolute):
    mine = folder.parent / "mine.txt"
    mine.write_text("precious")
    record = json.loads((folder / FACES_FILE).read_text(encoding="utf-8"))
    record["faces"][str(mine) if absolute else "../mine.txt"] = {}
    (folder / FACES_FILE).write_text(json.dumps(record), encoding="utf-8")
    try:
        extract_faces([frame], folder, fixed(points), size=64, overwrite=True)
    except ValueError:
        pass  # refusing such a file is fine, too
    assert mine.exists()


def test_no_face_leaves_what_was_there(folder, frame):
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    with pytest.raises(ValueError, match="expected a face in at least one frame, got none in 2"):
        extract_faces([frame] * 2, folder, lambda frame: [], overwrite=True)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    with pytest.raises(ValueError, match="expected frames to look for faces in, got none"):
        extract_faces([], folder, lambda frame: [], overwrite=True)


def test_several_faces_are_counted_and_the_first_taken(tmp_path, frame, points, caplog):
    def two(frame):
        return [points, points * 0.5]

    with caplog.at_level(logging.WARNING):
        report = extract_faces([frame] * 3, tmp_path, two, size=64)
    assert (report.saved, report.frames_with_several) == (3, 3)
    assert "3 of 3 frames show several faces" in caplog.text
    assert np.array_equal(load_faces(tmp_path).images[0], align_face(frame, points, 64).image)


def test_frames_are_taken_one_at_a_time(tmp_path, frame, points):
    written = []

    def frames():
        for _ in range(3):
            written.append(len(list(tmp_path.rglob("face_*.png"))))
            yield frame

    extract_faces(frames(), tmp_path / "a", fixed(points), size=64)
    assert written == [0, 1, 2]


def test_wrong_folders_say_so(tmp_path, frame, points):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="expected a folder to write crops to"):
        extract_faces([frame], tmp_path / "file", fixed(points))
    with pytest.raises(NotADirectoryError, match="expected a folder of images"):
        load_faces(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="no folder at"):
        load_faces(tmp_path / "none")


def test_wrong_numbers_are_told_before_the_first_frame(tmp_path, points):
    def frames():
        raise AssertionError("read a frame")
        yield

    with pytest.raises(ValueError, match="coverage: expected"):
        extract_faces(frames(), tmp_path, fixed(points), coverage=3.0)
    with pytest.raises(ValueError, match="size: expected"):
        extract_faces(frames(), tmp_path, fixed(points), size=0)
    assert names(tmp_path) == []


# Loading what others put there --------------------------------------------------------------


def test_confidence_travels_with_the_crops(tmp_path, frame, points):
    class Sure:
        """A landmarker that is sure of every other frame."""

        def __call__(self, image):
            return [points]

        def follow(self):
            return lambda image, time_s: [Face(points, 0.25 if time_s > 0.0 else 1.0)]

    clip = [TimedFrame(frame, 0.0), TimedFrame(frame, 0.04)]
    assert [found.confidence for found in track_faces(clip, Sure())] == [1.0, 0.25]
    extract_faces([frame] * 3, tmp_path, Sure(), size=64)
    record = json.loads((tmp_path / "faces.json").read_text())
    for entry, sure in zip(record["faces"].values(), (0.5, None, 1), strict=True):
        entry["confidence"] = sure
        if sure is None:
            del entry["confidence"]  # as in folders written before there was one
    (tmp_path / "faces.json").write_text(json.dumps(record))
    faces = load_faces(tmp_path)
    assert faces.confidence.tolist() == [0.5, 1.0, 1.0]
    assert faces.part(slice(0, 1)).confidence.tolist() == [0.5]


def test_a_folder_without_faces_json_is_a_folder_of_crops(folder):
    (folder / FACES_FILE).unlink()
    faces = load_faces(folder)
    assert faces.images.shape == (3, 64, 64, 3)
    assert faces.landmarks is None
    assert faces.coverage == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[1, 2]",
        '{"faces": [1]}',
        '{"faces": {"face_000000.png": {}}}',
        '{"faces": {"face_000000.png": 7}}',
        '{"faces": {"face_000000.png": {"landmarks": [[1, 2]], "matrix": [[1, 0, 0], [0, 1, 0]]}}}',
    ],
)
def test_a_damaged_faces_json_is_told(folder, text):
    (folder / FACES_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="expected"):
        load_faces(folder)


def test_a_faces_json_that_is_no_text_is_told(folder):
    (folder / FACES_FILE).write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match=r"expected JSON in .*faces\.json"):
        load_faces(folder)


def test_mixed_sizes_and_oblong_crops_are_told(tmp_path, picture):
    write_image(tmp_path / "a.png", picture)
    write_image(tmp_path / "b.png", picture[:32, :32])
    with pytest.raises(ValueError, match=r"one size \(64 px\), got 32x32 in .*b\.png"):
        load_faces(tmp_path)
    write_image(tmp_path / "b.png", picture[:, :32])
    with pytest.raises(ValueError, match=r"got 32x64 in .*b\.png"):
        load_faces(tmp_path)


# Whole, or as it was ------------------------------------------------------------------------


def tree(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt(), ValueError()])
def test_an_extraction_that_is_stopped_changes_nothing(tmp_path, frame, points, error):
    def frames():
        yield 255 - frame
        yield 255 - frame
        raise error

    folder, mine = tmp_path / "a", Subject("A", "self")
    with pytest.raises(type(error)):  # a fresh one leaves nothing
        extract_faces(frames(), folder, fixed(points), 64, consent=mine)
    assert names(tmp_path) == []
    extract_faces([frame] * 3, folder, fixed(points), 64, consent=mine)
    before = tree(tmp_path)
    with pytest.raises(type(error)):
        extract_faces(frames(), folder, fixed(points), 64, overwrite=True, consent=Subject("B"))
    assert tree(tmp_path) == before
    extract_faces([255 - frame], folder, fixed(points), 64, overwrite=True)
    faces = load_faces(folder)
    assert len(faces) == 1 and faces.consent is None  # A's agreement is not for these


def test_a_kill_while_the_set_is_put_in_place_is_made_good(folder, frame, points):
    before = tree(folder)
    earlier = folder.with_name(f".{folder.name}.earlier")
    folder.rename(earlier)  # the moment between two renames
    assert len(load_faces(folder)) == 3 and tree(folder) == before
    folder.rename(earlier)
    with pytest.raises(FileExistsError, match="holds faces already"):
        extract_faces([frame], folder, fixed(points), 64)
    extract_faces([frame], folder, fixed(points), 64, overwrite=True)
    earlier.mkdir()  # the moment after the second one
    assert len(load_faces(folder)) == 1
    assert not earlier.exists()


def test_an_extraction_cut_short_is_said_and_redone(tmp_path, frame, points, caplog):
    left = tmp_path / ".saving" / "0123" / "a"
    write_image(left / "face_000000.png", frame)
    with pytest.raises(FileNotFoundError, match="going on, or was cut short; then extract"):
        load_faces(tmp_path / "a")
    extract_faces([frame], tmp_path / "a", fixed(points), 64)
    assert "was cut short; it begins anew" in caplog.text
    assert names(tmp_path) == ["a"]
    (tmp_path / "a" / FACES_FILE).unlink()  # as an older version left it
    load_faces(tmp_path / "a")
    assert "as an extraction by an older version leaves if it is cut short" in caplog.text
    with pytest.raises(FileExistsError, match=r"cut short; .*overwrite=True"):
        extract_faces([frame], tmp_path / "a", fixed(points), 64)
    extract_faces([frame], tmp_path / "a", fixed(points), 64, overwrite=True)
    assert len(load_faces(tmp_path / "a")) == 1


def test_another_picture_under_a_crops_name_is_refused(folder, tmp_path, frame, points):
    extract_faces([255 - frame] * 3, tmp_path / "b", fixed(points), 64)
    name = "face_000002.png"
    (folder / name).write_bytes((tmp_path / "b" / name).read_bytes())
    for read in (load_faces, lambda each: Curation(each, identity=False)):
        with pytest.raises(ValueError, match=rf"describes, got another one in .*{name}"):
            read(folder)
    record = json.loads((folder / FACES_FILE).read_text())
    for entry in record["faces"].values():
        del entry["sha256"]  # written by an older version: there is nothing to compare
    (folder / FACES_FILE).write_text(json.dumps(record))
    assert len(load_faces(folder)) == 3


def test_what_cannot_be_replaced_whole_is_told_at_once(tmp_path, frame, points, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for here in (Path(), tmp_path, tmp_path.parent):
        with pytest.raises((ValueError, FileExistsError), match="folder"):
            extract_faces([frame], here, lambda _: pytest.fail("worked"), 64, overwrite=True)

"""Who is seen in a film: told apart, known again across cuts, asked for, and warned of."""

from __future__ import annotations

import json
import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from deepfake_utils.extraction import FACES_FILE, PEOPLE, ExtractionReport, extract_clip
from deepfake_utils.faces import mean_face
from deepfake_utils.images import read_image, write_image
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.tracking import identity
from deepfake_utils.tracking.cast import PICTURE, Cast, CastMember
from deepfake_utils.tracking.identity import FaceCode, cosine_distance
from deepfake_utils.tracking.people import FaceChoice
from deepfake_utils.tracking.steadying import TrackedFrame
from deepfake_utils.video import VideoWriter, read_frames

SHOT = 12  # frames
STEP = 5  # of the samples' frames, so that a short film shows more than one moment
PARTS = (("a", 0), ("b", 100), ("a", 300))  # who, from which frame of the sample


def sample(
    who: str, first: int, count: int = SHOT, step: int = STEP
) -> tuple[list[np.ndarray], np.ndarray]:
    clip = getattr(sample_clips(), f"person_{who}")
    last = first + count * step
    frames = list(read_frames(clip, first / 25.0, last / 25.0, step))[:count]
    return frames, getattr(load_truth(), f"landmarks_{who}")[first:last:step]


def write(path: Path, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, fps=25, size_wh=(width, height)) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, number / 25.0)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[np.ndarray]]]:
    """Person A, person B, person A again, and the faces in each frame."""
    parts = [sample(*part) for part in PARTS]
    path = tmp_path_factory.mktemp("film") / "holiday.mp4"
    write(path, [frame for frames, _ in parts for frame in frames])
    return path, [[points] for _, truth in parts for points in truth]


def knows(faces: list[list[np.ndarray]]):
    known = iter(faces)
    return lambda frame: next(known)


def in_crop(frame: np.ndarray) -> list[np.ndarray]:
    """A landmarker for the people's pictures, which are aligned."""
    return [mean_face(len(frame))]


def entries(folder: Path) -> list[dict]:
    return list(json.loads((folder / FACES_FILE).read_text())["faces"].values())


def test_two_people_across_cuts_are_counted_and_warned_of(film, tmp_path, caplog):
    path, faces = film
    with caplog.at_level(logging.WARNING):
        report = extract_clip(path, tmp_path / "a", knows(faces), size=64)
    assert (report.shots, report.people, report.saved) == (3, 2, 3 * SHOT)
    first, second = report.cast
    assert (first.shots, second.shots) == ((1, 3), (2,))
    assert (first.crops, second.crops) == (2 * SHOT, SHOT)
    assert second.first_s == pytest.approx(SHOT / 25.0)
    assert [(e["shot"], e["person"]) for e in entries(tmp_path / "a")] == (
        [(1, 1)] * SHOT + [(2, 2)] * SHOT + [(3, 1)] * SHOT
    )
    (said,) = [r.getMessage() for r in caplog.records if "several people" in r.getMessage()]
    for words in ("holiday.mp4", "0.5 s", first.picture, second.picture, "where=", "choose="):
        assert words in said
    for one in report.cast:
        assert read_image(one.picture).shape == (256, 256, 3)


@pytest.mark.parametrize("wanted", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_picture_of_the_person_keeps_only_theirs(film, tmp_path, caplog, wanted: int):
    path, faces = film
    seen = extract_clip(path, tmp_path / "all", knows(faces), size=64)
    choose = FaceChoice.like(seen.cast[wanted - 1].picture, in_crop)
    caplog.clear()
    report = extract_clip(path, tmp_path / "one", knows(faces), size=64, choose=choose)
    assert {entry["person"] for entry in entries(tmp_path / "one")} == {wanted}
    assert report.saved >= (2 * SHOT if wanted == 1 else SHOT) - 2
    pictures = {path.name for path in (tmp_path / "one").glob("face_*.png")}
    assert len(pictures) == report.saved
    assert "several people" not in caplog.text


def test_a_position_is_that_of_the_first_shot(film, tmp_path):
    path, faces = film
    choose = FaceChoice("position", (0.5, 0.5), "shares")
    report = extract_clip(path, tmp_path / "a", knows(faces), size=64, choose=choose)
    first, second = report.cast
    assert first.crops >= 2 * SHOT - 2 and second.crops == 0
    assert report.people == 2


def test_people_beside_each_other_are_counted_without_a_warning(tmp_path, caplog):
    (left, a), (right, b) = sample("a", 0), sample("b", 100)
    path = write(tmp_path / "both.mp4", [np.hstack(pair) for pair in zip(left, right, strict=True)])
    faces = [[one, np.add(other, [384, 0])] for one, other in zip(a, b, strict=True)]
    report = extract_clip(path, tmp_path / "a", knows(faces), size=64)
    assert (report.shots, report.people) == (1, 2)
    assert sorted(one.crops for one in report.cast) == [0, SHOT]
    assert "several people" not in caplog.text


def test_one_person_needs_no_pictures(tmp_path):
    frames, truth = sample("a", 0)
    path = write(tmp_path / "alone.mp4", frames)
    alone = knows([[p] for p in truth])
    extract_clip(path, tmp_path / "a", alone, size=64)
    write_image(tmp_path / "a" / PEOPLE / "person_1.png", frames[0])  # as of an earlier film
    alone = knows([[p] for p in truth])
    report = extract_clip(path, tmp_path / "a", alone, size=64, overwrite=True)
    assert (report.shots, report.people, report.cast) == (1, 1, ())
    assert not (tmp_path / "a" / PEOPLE).exists()
    assert f"{SHOT} crops from {SHOT} frames" in str(report)


def test_faces_of_a_dissolve_are_left_out(tmp_path):
    (before, a), (after, b) = sample("a", 0, 30, 1), sample("b", 100, 30, 1)
    shares = np.linspace(0, 1, 12)[1:-1]
    mixed = [
        np.uint8(one * (1 - w) + other * w)
        for w, one, other in zip(shares, before[-10:], after[:10], strict=True)
    ]
    path = write(tmp_path / "dissolve.mp4", before[:-10] + mixed + after[10:])
    faces = [[points] for points in (*a[:25], *b[5:])]
    report = extract_clip(path, tmp_path / "a", knows(faces), size=64)
    assert report.shots == 2 and report.people == 2
    kept = {entry["frame"] for entry in entries(tmp_path / "a")}
    assert kept >= {*range(18), *range(35, 50)}
    assert not kept & set(range(23, 27))


def test_reports_of_earlier_versions_and_of_json_are_read():
    old = ExtractionReport(
        Path("a"), frames=5, saved=4, frames_without_face=1, frames_with_several=0
    )
    assert (old.shots, old.people, old.cast) == (1, 1, ())
    member = {
        "number": 1,
        "first_s": 0.0,
        "shots": [1],
        "frames": 5,
        "crops": 4,
        "picture": "p.png",
    }
    new = ExtractionReport(Path("a"), 5, 4, 1, 0, 1, 2, (member,))  # type: ignore[arg-type]
    assert new.cast == (CastMember(**member),)


def test_a_code_knows_a_person_again():
    code = FaceCode()
    means = {
        (who, first): np.mean(
            [code(*face) for face in zip(*sample(who, first, 8), strict=True)], axis=0
        )
        for who, first in (("a", 0), ("a", 300), ("b", 0), ("b", 200))
    }
    for who in "ab":
        one, other = (mean for (name, _), mean in means.items() if name == who)
        assert cosine_distance(one, other) < code.alike
    for a in (0, 300):
        for b in (0, 200):
            assert cosine_distance(means["a", a], means["b", b]) > code.alike


def test_damaged_numbers_are_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "CODE_FILE", tmp_path / "code.safetensors")
    with pytest.raises(OSError, match=r"got none at .*install the package again"):
        FaceCode()
    (tmp_path / "code.safetensors").write_bytes(b"other")
    with pytest.raises(OSError, match="got others at"):
        FaceCode()


def test_a_picture_without_a_face_is_told(tmp_path):
    with pytest.raises(ValueError, match="picture: expected a face, got none"):
        FaceChoice.like(np.zeros((64, 64, 3), np.uint8), lambda frame: [])


def test_a_film_of_many_shots_takes_little_memory():
    frames, truth = sample("a", 0, 4)
    cast = Cast()

    def see(numbers):
        for number in numbers:
            face, points = frames[number % 4], truth[number % 4]
            seen = ((number, points),)
            cast.see(TrackedFrame(face, number / 25.0, points, points, "found", True, seen=seen))
            cast.see(TrackedFrame(face, number / 25.0, points, points, "found", False, seen=seen))

    see(range(5))
    tracemalloc.start()
    see(range(5, 105))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cast.tracks) == 105
    assert grown < 105 * 4096
    np.testing.assert_array_equal(cast.people()[0].picture.shape, (PICTURE, PICTURE, 3))

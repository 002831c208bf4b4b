"""pytest tests/test_rendering.py"""

import dataclasses
import itertools
import json
import math

import av
import cv2
import numpy as np
import pytest

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.compositing.blending import paste_face
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.images import read_image
from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.rendering import export_layers, side_by_side, swap_clip, swap_video
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.swapping import SwapConfig, Swapper
from deepfake_utils.tracking.people import FaceChoice
from deepfake_utils.tracking.steadying import TrackConfig
from deepfake_utils.video import VideoWriter, read_frames, read_timed_frames, read_video_info

START_S, END_S = 14.0, 14.4  # ten frames
AS_FOUND = TrackConfig(smoothing="off", max_gap_s=0.0)
UNCOVERED = SwapConfig(covered=math.inf, batch_size=4)  # an untrained network redraws nobody


def true_landmarker(missing=()):
    """The renderer's points of person A from `START_S` on, frame by frame."""
    count = itertools.count()

    def landmarker(frame):
        number = next(count)
        return [] if number in missing else [load_truth().landmarks_a[350 + number]]

    return landmarker


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny)


@pytest.fixture(scope="module")
def clip():
    return list(read_frames(sample_clips().person_a, START_S, END_S))


@pytest.fixture
def swapped(tmp_path, model):
    """(path, report) of ten frames whose third shows no face, drawn in batches of four."""
    swapper = Swapper(model, true_landmarker(missing=(2,)), UNCOVERED, "cpu")
    path = tmp_path / "new" / "out.mp4"
    clip = sample_clips().person_a
    return path, swap_video(clip, path, swapper, START_S, END_S, track=AS_FOUND)


def test_video_has_its_targets_length_size_rate_and_sound(swapped):
    path, report = swapped
    assert (report.path, report.frames, report.unchanged) == (path, 10, 1)
    assert report.outcomes == {"swapped": 9, "no face": 1}
    assert report.notes == ((2, pytest.approx(14.08), "no face", 0.0),)
    assert str(report).startswith("10 frames in ") and "1 no face" in str(report)
    info, target = read_video_info(path), read_video_info(sample_clips().person_a)
    assert info.frame_count == 10
    assert info.duration_s == pytest.approx(END_S - START_S, abs=0.01)
    assert (info.width, info.height, info.fps) == (target.width, target.height, target.fps)
    assert info.has_audio and not info.variable_rate
    times = [frame.time_s for frame in read_timed_frames(path)]
    assert times == pytest.approx([i / 25 for i in range(10)], abs=1e-4)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_video_shows_the_frames_in_their_order(swapped, clip):
    # Below the face nothing is swapped, so each frame is known by what moves there.
    for number, image in enumerate(read_frames(swapped[0])):
        off = [np.abs(image[300:].astype(int) - frame[300:]).mean() for frame in clip]
        assert int(np.argmin(off)) == number
    third = list(read_frames(swapped[0]))[2]
    assert np.abs(third[100:].astype(int) - clip[2][100:]).mean() < 2.5  # it went through


def test_video_says_what_it_is(swapped):
    with av.open(str(swapped[0])) as container:
        assert "AI MODIFIED" in container.metadata["comment"]


def test_label_is_at_the_top_right_only_and_can_be_left_out(tmp_path, model, swapped):
    plain = tmp_path / "plain.mp4"
    swapper = Swapper(model, true_landmarker(missing=(2,)), UNCOVERED, "cpu")
    swap_video(sample_clips().person_a, plain, swapper, START_S, END_S, False, AS_FOUND)
    with av.open(str(plain)) as container:
        assert "AI MODIFIED" in container.metadata["comment"]
    for with_label, without in zip(read_frames(swapped[0]), read_frames(plain), strict=True):
        change = np.abs(with_label.astype(int) - without).max(axis=2)
        assert change[:30, 250:].mean() > 15
        change[:48, 192:] = 0
        assert change.mean() < 3.0  # each has a watermark of its own
        assert np.percentile(change, 99.9) < 25


def test_part_of_a_video_is_the_part_asked_for(tmp_path, model, clip):
    swapper = Swapper(model, true_landmarker(), UNCOVERED, "cpu")
    report = swap_video(sample_clips().person_a, tmp_path / "p.mp4", swapper, START_S, 14.12)
    assert report.frames == 3
    first = next(iter(read_frames(report.path)))
    assert np.abs(first[300:].astype(int) - clip[0][300:]).mean() < 2.5
    assert report.caution is None  # as nobody has scored this network


def test_the_report_says_that_a_network_is_hardly_trained(tmp_path, model, caplog):
    model.held_out_db = 17.0
    swapper = Swapper(model, true_landmarker(), UNCOVERED, "cpu")
    report = swap_video(sample_clips().person_a, tmp_path / "p.mp4", swapper, START_S, 14.12)
    assert report.caution.startswith("this network is hardly trained: 17.0 dB")
    assert str(report).endswith(f"3 swapped. Careful: {report.caution}")
    assert str(report) in caplog.text


def test_the_original_is_never_replaced(tmp_path, model, monkeypatch):
    def never(frame):
        raise AssertionError("worked before it refused")

    path, film = tmp_path / "own.mp4", sample_clips().person_b_as_a.read_bytes()
    path.write_bytes(film)
    (tmp_path / "symbolic.mp4").symlink_to(path)
    (tmp_path / "hard.mp4").hardlink_to(path)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    swapper = Swapper(model, never, UNCOVERED, "cpu")
    for other in ("own.mp4", "symbolic.mp4", "hard.mp4", "folder/../own.mp4", str(path)):
        for target, out in ((path, other), (other, path)):
            with pytest.raises(ValueError, match="expected another file"):
                swap_video(target, out, swapper, 0.0, 0.2)
            with pytest.raises(ValueError, match="expected another file"):
                side_by_side({"first": sample_clips().person_a, "second": target}, out)
    assert path.read_bytes() == film


def test_video_without_any_face_is_not_written(tmp_path, model, caplog):
    swapper = Swapper(model, lambda frame: [], device="cpu")
    with pytest.raises(
        ValueError, match=r"at least one frame of .*, got none in 10 \(10 times no face"
    ):
        swap_video(sample_clips().person_a, tmp_path / "out.mp4", swapper, START_S, END_S)
    assert list(tmp_path.iterdir()) == []


def test_luma_has_the_targets_range(tmp_path, model, clip):
    for full in (False, True):
        target = tmp_path / f"{full}.mp4"
        with VideoWriter(target, fps=25, size_wh=(384, 384), full_range=full) as writer:
            for image in clip[:3]:
                writer.write(image)
        swapper = Swapper(model, true_landmarker(), UNCOVERED, "cpu")
        path = swap_video(target, tmp_path / "swap.mp4", swapper).path
        assert read_video_info(path).full_range == full
        both = side_by_side({"target": target, "swap": path}, tmp_path / "both.mp4")
        assert read_video_info(both).full_range == full
        for got in list(read_frames(path))[2], list(read_frames(both))[2][:, 384:]:
            off = got[310:370, 200:].astype(int) - clip[2][310:370, 200:]
            assert np.abs(off).mean() < 3.5  # both are marked
            assert np.abs(off.mean(axis=(0, 1))).max() < 1.0


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("hevc", ".mp4"), ("av1", ".mp4"), ("prores", ".mov"), ("ffv1", ".mkv"), ("vp9", ".webm")],
)
@pytest.mark.slow
def test_every_codec_is_marked_and_in_time(tmp_path, model, clip, codec, suffix):
    swapper = Swapper(model, true_landmarker(), UNCOVERED, "cpu")
    path = tmp_path / f"out{suffix}"
    target = sample_clips().person_a
    swap_video(target, path, swapper, "0:14", "00:00:15", track=AS_FOUND, codec=codec)
    marks = read_provenance(path)
    assert set(marks.layers) >= {"watermark", "manifest"} and marks.sound
    assert "metadata" in marks.layers and marks.state == "intact"
    frames = list(read_timed_frames(path))
    assert [time_s for _, time_s in frames] == pytest.approx([i / 25 for i in range(25)], abs=2e-3)
    label = frames[0].image[:24, -60:].astype(int)
    assert np.abs(label - clip[0][:24, -60:]).mean() > 20  # "AI MODIFIED"
    below = frames[3].image[300:].astype(int)
    assert np.abs(below - clip[3][300:]).mean() < 4
    assert read_video_info(path).has_audio


def test_a_name_with_no_room_for_its_sidecar_is_refused_at_once(tmp_path, model):
    def nobody(frame):
        raise AssertionError("a frame was looked at")

    swapper = Swapper(model, nobody, UNCOVERED, "cpu")
    target = sample_clips().person_a
    with pytest.raises(OSError, match="choose a shorter name"):
        swap_video(target, tmp_path / f"{'a' * 250}.mkv", swapper, START_S, END_S)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 251 + ".mp4", "\U0001f600 100% #1 ?.mkv"])
def test_names_work_to_the_end(tmp_path, model, name):
    swapper = Swapper(model, true_landmarker(), UNCOVERED, "cpu")
    path = tmp_path / name
    swap_video(sample_clips().person_a, path, swapper, START_S, END_S, track=AS_FOUND)
    beside = [f"{name}.c2pa"] if name.endswith(".mkv") else []
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([name, *beside])
    assert read_provenance(path).state == "intact"


def test_a_failing_run_leaves_an_earlier_video(tmp_path, model, swapped):
    before = swapped[0].read_bytes()

    def broken(frame):
        raise RuntimeError("landmarker broke")

    with pytest.raises(RuntimeError, match="landmarker broke"):
        swap_video(sample_clips().person_a, swapped[0], Swapper(model, broken, device="cpu"))
    assert swapped[0].read_bytes() == before
    assert [entry.name for entry in swapped[0].parent.iterdir()] == ["out.mp4"]


def test_the_packages_own_landmarker_finds_every_face_of_the_clip(tmp_path, model):
    swapper = Swapper(model, MeshLandmarker(), UNCOVERED, "cpu")
    report = swap_video(sample_clips().person_a, tmp_path / "o.mp4", swapper, START_S, 14.2)
    assert (report.frames, report.unchanged) == (5, 0)


def test_wrong_videos_say_so(tmp_path, model):
    swapper = Swapper(model, true_landmarker(), UNCOVERED, "cpu")
    with pytest.raises(FileNotFoundError, match="no video at"):
        swap_video(tmp_path / "none.mp4", tmp_path / "out.mp4", swapper)
    with pytest.raises(ValueError, match="ends in"):
        swap_video(sample_clips().person_a, tmp_path / "out.gif", swapper)
    with pytest.raises(ValueError, match="end after the start"):
        swap_video(sample_clips().person_a, tmp_path / "out.mp4", swapper, 3.0, 2.0)
    with pytest.raises(ValueError, match="segment inside the clip"):
        swap_video(sample_clips().person_a, tmp_path / "out.mp4", swapper, 100.0)
    assert list(tmp_path.iterdir()) == []


def test_a_short_gap_is_bridged(tmp_path, model):
    swapper = Swapper(model, true_landmarker(missing=(4, 5)), UNCOVERED, "cpu")
    report = swap_video(sample_clips().person_a, tmp_path / "o.mp4", swapper, START_S, END_S)
    assert report.outcomes == {"swapped": 10}


def test_of_two_people_only_the_chosen_one_is_changed(tmp_path, model, clip):
    points = load_truth().landmarks_a[350:]
    numbers = itertools.count()

    def two(frame):  # the second one is smaller and far to the left, and there is nobody there
        here = points[next(numbers)]
        return [here, here * 0.2 + [5.0, 250.0]]

    swapper = Swapper(model, two, UNCOVERED, "cpu")
    choose = FaceChoice("position", position=(40.0, 300.0))
    frames = [
        s.image
        for _, s in swap_clip(sample_clips().person_a, swapper, START_S, 14.2, choose=choose)
    ]
    for before, after in zip(clip, frames, strict=False):
        changed = (before != after).any(axis=2)
        assert changed.any() and not changed[:, 120:].any()


@pytest.mark.slow
def test_layers_put_together_give_the_swap(tmp_path, tiny, clip):
    model = FaceSwapAutoencoder(dataclasses.replace(tiny, image_size=64))
    swapper = Swapper(model, true_landmarker(missing=(2,)), UNCOVERED, "cpu")
    path = export_layers(sample_clips().person_a, tmp_path, swapper, START_S, END_S, AS_FOUND)
    record = json.loads(path.read_text())
    assert record["size_wh"] == [384, 384] and len(record["frames"]) == 10
    assert record["frames"][2]["outcome"] == "no face" and "matrix" not in record["frames"][2]
    assert "AI MODIFIED" in record["note"]
    row = record["frames"][1]
    face, mask = (read_image(tmp_path / f"{kind}_000001.png") for kind in ("face", "mask"))
    together = paste_face(clip[1], face, np.array(row["matrix"]), mask[..., 0] / np.float32(255))
    swapper = Swapper(model, lambda frame: [load_truth().landmarks_a[351]], UNCOVERED, "cpu")
    assert np.abs(together.astype(int) - swapper.swap_frame(clip[1])).mean() < 0.5
    assert read_provenance(tmp_path / "face_000001.png").disclosed
    with pytest.raises(FileExistsError, match="holds layers already"):
        export_layers(sample_clips().person_a, tmp_path, swapper, START_S, END_S)


def test_clips_side_by_side(tmp_path, swapped, clip):
    clips = {"target": sample_clips().person_a, "swap": swapped[0]}
    path = side_by_side(clips, tmp_path / "both.mp4", {"target": START_S}, height=192)
    info = read_video_info(path)
    assert (info.width, info.height, info.frame_count, info.has_audio) == (384, 192, 10, True)
    small = cv2.resize(clip[5], (192, 192), interpolation=cv2.INTER_AREA).astype(int)
    sixth = list(read_frames(path))[5]
    assert np.abs(sixth[30:150, :192] - small[30:150]).mean() < 4
    assert np.abs(sixth[150:170, 192:] - small[150:170]).mean() < 4  # below the face
    assert read_provenance(path).disclosed
    with pytest.raises(ValueError, match="at least one clip"):
        side_by_side({}, tmp_path / "none.mp4")

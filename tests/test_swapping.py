"""pytest tests/test_swapping.py"""

import dataclasses
import itertools

import av
import cv2
import numpy as np
import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.faces import align_face, face_mask
from deepfake_utils.images import to_tensor
from deepfake_utils.landmarks import MeshLandmarker
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.swapping import SwapConfig, Swapper, match_colour, paste_face, swap_video
from deepfake_utils.umeyama import transform_points
from deepfake_utils.video import read_frames, read_timed_frames, read_video_info

START_S, END_S = 14.0, 14.4  # ten frames


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


def smooth(rng, size=96, cells=6):
    noise = rng.random((cells, cells, 3)).astype(np.float32) * 0.5 + 0.25
    return np.uint8(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * 255)


# Pasting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask_size", [64, 256, 400])
def test_a_crop_pasted_back_gives_the_frame_again(frame, points, mask_size):
    size = 256
    face = align_face(frame, points, size)
    at = (face.landmarks + 0.5) * (mask_size / size) - 0.5
    mask = face_mask(at, (mask_size, mask_size))
    result = paste_face(frame, face.image, face.matrix, mask)
    assert result.shape == frame.shape and result.dtype == np.uint8
    grown = cv2.dilate(mask, np.ones((5, 5))).astype(np.float32)  # pixels that a sample may reach
    step = mask_size / size
    to_mask = face.matrix * step
    to_mask[:, 2] += (step - 1) / 2
    y, x = np.mgrid[:384, :384]
    there = transform_points(np.stack([x.ravel(), y.ravel()], 1), to_mask).astype(np.float32)
    alpha = cv2.remap(grown, there[:, 0].reshape(384, 384), there[:, 1].reshape(384, 384), 1)
    outside = alpha == 0.0
    assert 0.2 < outside.mean() < 0.95
    assert np.array_equal(result[outside], frame[outside])
    change = np.abs(result.astype(int) - frame)
    assert change[alpha > 0.5].mean() < 1.5
    assert 0.0 < change.max() < 60


def test_pasting_is_exact_to_the_pixel(frame, rng):
    face = smooth(rng, 64)
    matrix = np.array([[1.0, 0.0, -100.0], [0.0, 1.0, -80.0]])  # frame (100, 80) is face (0, 0)
    result = paste_face(frame, face, matrix, np.ones((64, 64), np.float32))
    assert np.array_equal(result[80:144, 100:164], face)
    result[80:144, 100:164] = frame[80:144, 100:164]
    assert np.array_equal(result, frame)


def test_mask_and_face_of_different_size_cover_the_same_square(frame):
    white = np.full((32, 32, 3), 255, np.uint8)
    mask = np.zeros((128, 128), np.float32)
    mask[32:64, 64:96] = 1.0  # rows 8..16, columns 16..24 of the face, twice that in the frame
    matrix = np.array([[0.5, 0.0, -50.25], [0.0, 0.5, -40.25]])
    black = np.zeros_like(frame)
    result = paste_face(black, white, matrix, mask)[..., 0] / 255.0
    y, x = np.mgrid[:384, :384]
    centre = (result * x).sum() / result.sum(), (result * y).sum() / result.sum()
    assert centre[0] == pytest.approx((19.5 + 50.25) / 0.5, abs=0.1)
    assert centre[1] == pytest.approx((11.5 + 40.25) / 0.5, abs=0.1)
    assert result.sum() == pytest.approx(16 * 16, rel=0.02)


def test_an_empty_mask_changes_nothing(frame, points):
    face = align_face(frame, points, 64)
    noise = np.random.default_rng(0).integers(0, 256, face.image.shape, dtype=np.uint8)
    result = paste_face(frame, noise, face.matrix, np.zeros((64, 64), np.float32))
    assert np.array_equal(result, frame)
    assert not np.shares_memory(result, frame)


@pytest.mark.parametrize("shift", [(-250, 0), (0, -250), (250, 150), (0, 150)])
def test_a_face_partly_outside_the_frame_is_pasted_where_it_shows(frame, points, shift):
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    moved = cv2.warpAffine(frame, matrix, (384, 384), borderMode=cv2.BORDER_REPLICATE)
    face = align_face(moved, points + shift, 128)
    red = np.full((128, 128, 3), (255, 0, 0), np.uint8)
    before = moved.copy()
    result = paste_face(moved, red, face.matrix, face_mask(face.landmarks, (128, 128)))
    assert np.array_equal(moved, before)  # the frame itself is not drawn on
    changed = (result != moved).any(axis=2)
    assert changed.any()
    x = np.nonzero(changed)[1]
    hull = points + shift
    assert x.min() >= max(0, hull[:, 0].min() - 4) and x.max() <= hull[:, 0].max() + 4


def test_a_face_wholly_outside_the_frame_changes_nothing(frame, points):
    face = align_face(frame, points, 64)
    far = face.matrix + np.array([[0, 0, 5000], [0, 0, 0]])
    result = paste_face(frame, face.image, far, np.ones((64, 64), np.float32))
    assert np.array_equal(result, frame)


def test_wrong_pastes_say_so(frame, points):
    face = align_face(frame, points, 64)
    mask = np.ones((64, 64), np.float32)
    with pytest.raises(TypeError, match="face: expected uint8"):
        paste_face(frame, face.image / 255.0, face.matrix, mask)
    with pytest.raises(ValueError, match="undone"):
        paste_face(frame, face.image, np.zeros((2, 3)), mask)


# Colours ------------------------------------------------------------------------------------


def lab_mean_and_spread(image, mask):
    lab = cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[mask > 0.5]
    return lab.mean(axis=0), lab.std(axis=0)


def test_matched_colours_have_the_mean_and_spread_of_the_reference(rng):
    face = smooth(rng)
    reference = np.uint8(np.clip(smooth(rng) * [0.8, 0.75, 0.7] + [10, 30, 25], 0, 255))
    mask = np.zeros((96, 96), np.float32)
    mask[20:80, 10:70] = 1.0
    mean, spread = lab_mean_and_spread(match_colour(face, reference, mask), mask)
    wanted = lab_mean_and_spread(reference, mask)
    assert np.abs(mean - wanted[0]).max() < 0.6  # of 100
    assert np.abs(spread / wanted[1] - 1.0).max() < 0.05
    before = lab_mean_and_spread(face, mask)
    assert np.abs(before[0] - wanted[0]).max() > 3


def test_matching_a_face_with_itself_changes_nothing(picture):
    mask = np.ones((64, 64), np.float32)
    assert np.abs(match_colour(picture, picture, mask).astype(int) - picture).max() <= 1


def test_only_what_is_inside_the_mask_counts(rng, picture):
    mask = np.zeros((64, 64), np.float32)
    mask[:32] = 1.0
    other = picture.copy()
    other[32:] = 0
    assert np.array_equal(match_colour(picture, other, mask), match_colour(picture, picture, mask))


def test_colours_without_a_mask_or_without_spread(picture):
    empty = np.zeros((64, 64), np.float32)
    assert np.array_equal(match_colour(picture, 255 - picture, empty), picture)
    grey = np.full((64, 64, 3), 100, np.uint8)
    matched = match_colour(grey, picture, empty + 1.0)
    assert np.ptp(matched.reshape(-1, 3), axis=0).max() <= 1  # nothing is blown up
    with pytest.raises(ValueError, match="of one size"):
        match_colour(picture, picture[:32], empty)


# A frame ------------------------------------------------------------------------------------


def test_a_frame_without_a_face_comes_back_as_a_copy(frame, model):
    result = Swapper(model, lambda frame: [], device="cpu").swap_frame(frame)
    assert np.array_equal(result, frame)
    assert not np.shares_memory(result, frame)


def test_only_the_face_is_changed(frame, points, model):
    swapper = Swapper(model, lambda frame: [points], device="cpu")
    before = frame.copy()
    result = swapper.swap_frame(frame)
    assert np.array_equal(frame, before)
    changed = (result != frame).any(axis=2)
    hull = np.zeros((384, 384), np.uint8)
    brows = points[17:27] - [0.0, 0.35 * np.ptp(points[17:, 1])]
    outline = cv2.convexHull(np.vstack([points, brows]).astype(np.float32))
    cv2.fillConvexPoly(hull, np.rint(outline).astype(np.int32), 1)
    assert not changed[cv2.dilate(hull, np.ones((5, 5))) == 0].any()
    assert changed[hull > 0].mean() > 0.5


def test_the_decoder_is_that_of_the_identity_and_its_colours_are_as_drawn(frame, points, model):
    face = align_face(frame, points, 32, model.config.coverage)
    model.eval()
    for identity in ("A", "B"):
        swapper = Swapper(model, lambda frame: [points], SwapConfig(identity), "cpu")
        drawn = swapper.swap_faces([face])[0].image.astype(float) / 255.0
        assert swapper.swap_faces([face])[0].mask is None
        wanted = model(to_tensor(face.image)[None], identity)[0].permute(1, 2, 0).detach().numpy()
        assert np.abs(drawn - wanted).max() < 0.02  # the network may run in bfloat16
    assert swapper.swap_faces([]) == []


class DrawsAMask(FaceSwapAutoencoder):
    """Draws what it is shown, and a mask over its left half."""

    def forward(self, faces, identity, points=None):
        mask = torch.zeros_like(faces[:, :1])
        mask[..., : faces.shape[3] // 2] = 1.0
        return torch.cat([1.0 - faces, mask], dim=1)


def test_a_learned_mask_is_used_if_there_is_one(frame, points, tiny):
    network = DrawsAMask(dataclasses.replace(tiny, mask=True))
    matrix = align_face(frame, points, 32, tiny.coverage).matrix
    y, x = np.mgrid[:384, :384]
    at = np.stack([x, y, np.ones_like(x)], axis=-1) @ matrix.T  # where each pixel is in the crop
    changed = []
    for learned in (True, False):
        config = SwapConfig(learned_mask=learned, match_colour=False)
        swapped = Swapper(network, lambda frame: [points], config, "cpu").swap_frame(frame)
        changed.append((swapped != frame).any(axis=2))
    inside = (at > 3).all(axis=2) & (at < 28).all(axis=2)
    assert changed[0][inside & (at[..., 0] < 14)].mean() > 0.95
    assert not changed[0][at[..., 0] > 17].any()
    assert changed[1][inside & (at[..., 0] > 17)].mean() > 0.5  # the landmarks' mask is whole


def test_a_network_with_landmarks_is_given_them(frame, points, tiny):
    network = FaceSwapAutoencoder(dataclasses.replace(tiny, landmarks=True)).eval()
    face = align_face(frame, points, 32, tiny.coverage)
    drawn = Swapper(network, lambda frame: [points], device="cpu").swap_faces([face])[0].image
    shares = torch.from_numpy((face.landmarks + 0.5) / 32).float()[None]
    with torch.inference_mode():
        wanted = network(to_tensor(face.image)[None], "B", shares)[0]
    assert np.abs(drawn / 255.0 - wanted.permute(1, 2, 0).numpy()).max() < 0.02


def test_matching_colours_can_be_left_out(frame, points, model):
    results = [
        Swapper(model, lambda frame: [points], SwapConfig(match_colour=match), "cpu")
        for match in (True, False)
    ]
    inside = face_mask(points, (384, 384)) > 0.9
    off = [
        np.abs(s.swap_frame(frame)[inside].mean(0) - frame[inside].mean(0)).max() for s in results
    ]
    assert off[0] < 12
    assert off[0] < off[1] - 3


def test_several_frames_at_once_are_the_same_as_one_by_one(clip, model):
    frames = [clip[0], np.full_like(clip[0], 90), clip[5]]
    points = {0: load_truth().landmarks_a[350], 2: load_truth().landmarks_a[355]}

    def landmarker(frame):
        return [points[i] for i in points if np.array_equal(frames[i], frame)]

    swapper = Swapper(model, landmarker, device="cpu")
    together = swapper.swap_frames(frames)
    assert together[1] is None
    for i in (0, 2):
        alone = swapper.swap_frame(frames[i])
        assert np.abs(together[i].astype(int) - alone).max() <= 2
    assert swapper.swap_frames([]) == []


def test_the_largest_face_is_the_one_that_is_swapped(frame, points, model):
    both = Swapper(model, lambda frame: [points, points * 0.3], device="cpu").swap_frame(frame)
    one = Swapper(model, lambda frame: [points], device="cpu").swap_frame(frame)
    assert np.array_equal(both, one)


def test_a_small_face_is_averaged_down_when_it_is_pasted(frame):
    # A face of 128 pixels that takes up 16 in the frame: its checks must become grey.
    y, x = np.mgrid[:128, :128]
    checks = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    matrix = np.array([[7.7, 0.0, -770.0], [0.0, 7.7, -770.0]])
    result = paste_face(frame, checks, matrix, np.ones((128, 128), np.float32))
    assert result[103:113, 103:113].std() < 40  # the checks themselves have 127.5


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"feather": -0.1}, "feather: expected at least 0, got -0.1"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"identity": "C"}, "identity.*'C'"),
    ],
)
def test_wrong_settings_say_so(wrong, text):
    with pytest.raises(ValueError, match=text):
        SwapConfig(**wrong)


# A video ------------------------------------------------------------------------------------


@pytest.fixture
def swapped(tmp_path, model):
    """(path, report) of ten frames whose third shows no face, drawn in batches of four."""
    swapper = Swapper(model, true_landmarker(missing=(2,)), SwapConfig(batch_size=4), "cpu")
    path = tmp_path / "new" / "out.mp4"
    return path, swap_video(sample_clips().person_a, path, swapper, START_S, END_S)


def test_video_has_its_targets_length_size_rate_and_sound(swapped):
    path, report = swapped
    assert (report.path, report.frames, report.frames_without_face) == (path, 10, 1)
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
    swapper = Swapper(model, true_landmarker(missing=(2,)), device="cpu")
    swap_video(sample_clips().person_a, plain, swapper, START_S, END_S, visible_label=False)
    with av.open(str(plain)) as container:
        assert "AI MODIFIED" in container.metadata["comment"]
    for with_label, without in zip(read_frames(swapped[0]), read_frames(plain), strict=True):
        change = np.abs(with_label.astype(int) - without).max(axis=2)
        assert change[:30, 250:].mean() > 15
        change[:48, 192:] = 0
        assert change.mean() < 3.0  # the two bear watermarks with ids of their own
        assert np.percentile(change, 99.9) < 25


def test_part_of_a_video_is_the_part_asked_for(tmp_path, model, clip):
    swapper = Swapper(model, true_landmarker(), device="cpu")
    report = swap_video(sample_clips().person_a, tmp_path / "p.mp4", swapper, START_S, 14.12)
    assert report.frames == 3
    first = next(iter(read_frames(report.path)))
    assert np.abs(first[300:].astype(int) - clip[0][300:]).mean() < 2.5


def test_a_clip_can_be_replaced_by_its_own_swap(tmp_path, model):
    path = tmp_path / "own.mp4"
    path.write_bytes(sample_clips().person_b_as_a.read_bytes())
    points = load_truth().landmarks_b_as_a
    count = itertools.count()
    swapper = Swapper(model, lambda frame: [points[next(count)]], device="cpu")
    assert swap_video(path, path, swapper, 0.0, 0.2).frames == 5
    assert read_video_info(path).frame_count == 5


def test_video_without_any_face_is_not_written(tmp_path, model, caplog):
    swapper = Swapper(model, lambda frame: [], device="cpu")
    with pytest.raises(ValueError, match=r"expected a face in at least one frame.* none in 10"):
        swap_video(sample_clips().person_a, tmp_path / "out.mp4", swapper, START_S, END_S)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_run_leaves_an_earlier_video(tmp_path, model, swapped):
    before = swapped[0].read_bytes()

    def broken(frame):
        raise RuntimeError("landmarker broke")

    with pytest.raises(RuntimeError, match="landmarker broke"):
        swap_video(sample_clips().person_a, swapped[0], Swapper(model, broken, device="cpu"))
    assert swapped[0].read_bytes() == before
    assert [entry.name for entry in swapped[0].parent.iterdir()] == ["out.mp4"]


def test_the_packages_own_landmarker_finds_every_face_of_the_clip(tmp_path, model):
    swapper = Swapper(model, MeshLandmarker(), SwapConfig(batch_size=3), "cpu")
    report = swap_video(sample_clips().person_a, tmp_path / "o.mp4", swapper, START_S, 14.2)
    assert (report.frames, report.frames_without_face) == (5, 0)


def test_wrong_videos_say_so(tmp_path, model):
    swapper = Swapper(model, true_landmarker(), device="cpu")
    with pytest.raises(FileNotFoundError, match="no video at"):
        swap_video(tmp_path / "none.mp4", tmp_path / "out.mp4", swapper)
    with pytest.raises(ValueError, match="ends in"):
        swap_video(sample_clips().person_a, tmp_path / "out.gif", swapper)
    with pytest.raises(ValueError, match="end after the start"):
        swap_video(sample_clips().person_a, tmp_path / "out.mp4", swapper, 3.0, 2.0)
    with pytest.raises(ValueError, match="segment inside the clip"):
        swap_video(sample_clips().person_a, tmp_path / "out.mp4", swapper, 100.0)
    assert list(tmp_path.iterdir()) == []

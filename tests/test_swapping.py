"""pytest tests/test_swapping.py"""

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.compositing.blending import paste_face
from deepfake_utils.compositing.grain import grain_level
from deepfake_utils.faces import align_face, face_mask
from deepfake_utils.images import to_tensor
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.superres.network import SuperResolutionConfig, SuperResolver, enlarger
from deepfake_utils.swapping import DrawnFace, SwapConfig, Swapper
from deepfake_utils.video import read_frames

START_S, END_S = 14.0, 14.4  # ten frames
UNCOVERED = SwapConfig(covered=math.inf)  # an untrained network redraws nobody


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny)


@pytest.fixture(scope="module")
def clip():
    return list(read_frames(sample_clips().person_a, START_S, END_S))


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
    assert not changed[cv2.dilate(hull, np.ones((19, 19))) == 0].any()
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


class Passes(torch.nn.Module):
    """An encoder that shows the decoders the face itself."""

    def forward(self, faces, points=None):
        return faces


class Negative(torch.nn.Module):
    """Draws the negative of what it is shown, and a mask over its left half."""

    def forward(self, faces):
        mask = torch.zeros_like(faces[:, :1])
        mask[..., : faces.shape[3] // 2] = 1.0
        return torch.cat([1.0 - faces, mask], dim=1)


class Smooth(torch.nn.Module):
    """Draws only what is smooth, as a network that has learned a smooth face."""

    def forward(self, faces):
        return torch.nn.functional.avg_pool2d(faces, 9, 1, 4, count_include_pad=False)


def replaced(config, decoder_a, decoder_b):
    """A network whose parts are simple and known."""
    network = FaceSwapAutoencoder(config)
    network.encoder = Passes()
    network.decoders = torch.nn.ModuleDict({"A": decoder_a, "B": decoder_b})
    return network


def test_a_learned_mask_is_used_if_there_is_one(frame, points, tiny):
    network = replaced(dataclasses.replace(tiny, mask=True), Negative(), Negative())
    matrix = align_face(frame, points, 32, tiny.coverage).matrix
    y, x = np.mgrid[:384, :384]
    at = np.stack([x, y, np.ones_like(x)], axis=-1) @ matrix.T  # where each pixel is in the crop
    changed = []
    for learned in (True, False):
        config = SwapConfig(learned_mask=learned, colour="none", covered=math.inf)
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
        Swapper(model, lambda frame: [points], SwapConfig(colour=how), "cpu")
        for how in ("lab", "none")
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


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"feather": -0.1}, "feather: expected at least 0, got -0.1"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"identity": "C"}, "identity.*'C'"),
        ({"colour": "warm"}, "colour: expected one of .*'lab'.*, got 'warm'"),
        ({"blend": "hard"}, "blend: expected one of .*'poisson'.*, got 'hard'"),
        ({"erode": 0.9}, "erode: expected at least -0.5 and at most 0.5, got 0.9"),
        ({"sharpness": -2.0}, "sharpness: expected at least -1 and at most 5, got -2"),
        ({"grain": -0.5}, "grain: expected at least 0 and at most 2, got -0.5"),
        ({"covered": 0.0}, "covered: expected more than 0"),
        ({"most_yaw_deg": 0.0}, "most_yaw_deg: expected more than 0"),
        ({"least_visible": 1.5}, "least_visible: expected at least 0 and at most 1, got 1.5"),
    ],
)
def test_wrong_settings_say_so(wrong, text):
    with pytest.raises(ValueError, match=text):
        SwapConfig(**wrong)


# Something before the face --------------------------------------------------------------------


@pytest.fixture
def noisy(rng):
    """A frame whose face is smooth but for a block of stripes, and the block."""
    frame = np.full((384, 384, 3), (170, 120, 100), np.uint8)
    frame = np.uint8(np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255))
    block = np.zeros((384, 384), bool)
    return frame, block


def striped(frame, block):
    covered = frame.copy()
    stripes = (np.indices(block.shape).sum(axis=0) // 8 % 2 * 255).astype(np.uint8)[..., None]
    covered[block] = np.broadcast_to(stripes, frame.shape)[block]
    return covered


def test_what_lies_before_the_face_stays(noisy, points, tiny):
    config = dataclasses.replace(tiny, image_size=64)
    frame, block = noisy
    middle = points.mean(axis=0).astype(int)
    block[middle[1] + 25 : middle[1] + 90, middle[0] - 40 : middle[0] + 40] = True
    covered = striped(frame, block)
    swapper = Swapper(
        replaced(config, Smooth(), Negative()),
        lambda frame: [points],
        SwapConfig(colour="none", learned_mask=False),
        "cpu",
    )
    network = swapper.model
    network.decoders["B"] = torch.nn.Sequential(Negative(), FirstThree())
    whole, partly = swapper.swap_points([frame, covered], [points, points])
    assert whole.outcome == "swapped" and whole.visible > 0.97
    assert partly.outcome == "partly covered" and 0.35 < partly.visible < 0.97
    inner = cv2.erode(block.astype(np.uint8), np.ones((25, 25))) > 0
    assert np.abs(partly.image[inner].astype(int) - covered[inner]).mean() < 8
    assert np.abs(whole.image[inner].astype(int) - frame[inner]).mean() > 30


class FirstThree(torch.nn.Module):
    def forward(self, planes):
        return planes[:, :3]


def test_a_face_that_is_mostly_covered_stays_as_it_is(noisy, points, tiny):
    frame, block = noisy
    block[: points[33, 1].astype(int) + 70, :] = True
    block[: points[27, 1].astype(int), :] = False
    config = dataclasses.replace(tiny, image_size=64)
    swapper = Swapper(
        replaced(config, Smooth(), Smooth()),
        lambda frame: [points],
        SwapConfig(least_visible=0.5),
        "cpu",
    )
    swapper.model.usual_error[0] = 0.02  # known from faces that nothing covers
    covered = striped(frame, block)
    assert swapper.swap_points([covered], [points])[0].outcome == "covered"
    assert swapper.swap_frames([covered]) == [None]
    assert np.array_equal(swapper.swap_frame(covered), covered)
    assert swapper.swap_frames([frame])[0] is not None


def test_a_head_that_turns_away_fades_out(model):
    """Person B turns from one side to the other; the network is an untrained one."""
    yaws = np.abs(load_truth().pose_b[:, 0])
    numbers = [int(np.argmin(np.abs(yaws - deg))) for deg in (2.0, 20.0, float(yaws.max()))]
    frames = list(read_frames(sample_clips().person_b, 0.0, 14.0))
    points = load_truth().landmarks_b
    config = SwapConfig(most_yaw_deg=22.0, covered=math.inf)
    swapped = Swapper(model, lambda frame: [], config, "cpu").swap_points(
        [frames[n] for n in numbers], [points[n] for n in numbers]
    )
    assert [each.outcome for each in swapped] == ["swapped", "swapped", "turned away"]
    assert swapped[2].image is None
    strongest = [each.layers.mask.max() for each in swapped[:2]]
    assert strongest[0] == 1.0 and 0.0 < strongest[1] < 0.9


def test_layers_laid_over_the_frame_give_the_swap(frame, points, model):
    plain = Swapper(model, lambda frame: [points], SwapConfig(grain=0.0), "cpu")
    swapped = plain.swap_points([frame], [points])[0]
    assert np.array_equal(paste_face(frame, *swapped.layers), swapped.image)
    assert swapped.layers.image.shape == (32, 32, 3)


def test_the_drawn_face_gets_the_films_grain_unless_that_is_off(frame, points, tiny, rng):
    """A network that draws a smooth face, in a film with grain."""
    noise = rng.normal(0.0, 6.0, frame.shape[:2])[..., None]
    film = np.uint8(np.clip(np.rint(frame + noise), 0, 255))
    network = replaced(dataclasses.replace(tiny, image_size=64), Smooth(), Smooth())
    inside = face_mask(points, film.shape[:2])
    filmed = grain_level(film, inside)
    off, on = (
        Swapper(network, lambda frame: [points], SwapConfig(grain=grain, covered=math.inf), "cpu")
        for grain in (0.0, 1.0)
    )
    assert grain_level(off.swap_frame(film), inside) < 0.5 * filmed
    assert grain_level(on.swap_frame(film), inside) == pytest.approx(filmed, rel=0.2)
    assert np.array_equal(on.swap_frame(film), on.swap_frame(film))


def test_a_face_is_drawn_no_sharper_than_a_film_out_of_focus(frame, points, tiny):
    network = replaced(dataclasses.replace(tiny, image_size=96), Passes(), Passes())
    film = cv2.GaussianBlur(frame, (0, 0), 6.0)
    sharp = align_face(frame, points, 96, tiny.coverage)
    detail = []
    for grain in (0.0, 1.0):
        config = SwapConfig(grain=grain, colour="none", covered=math.inf)
        swapper = Swapper(network, lambda frame: [points], config, "cpu")
        drawn = DrawnFace(sharp.image, None, None)
        swapped = swapper.blend(film, swapper.align(film, points), drawn).image
        inside = face_mask(points, film.shape[:2]) > 0.95
        blurred = cv2.GaussianBlur(swapped, (0, 0), 1.0).astype(np.float32)
        filmed = cv2.GaussianBlur(film, (0, 0), 1.0).astype(np.float32)
        edges = [cv2.Laplacian(each, cv2.CV_32F)[inside].std() for each in (blurred, filmed)]
        detail.append(edges[0] / edges[1])
    assert detail[0] > 2.0
    assert 0.7 < detail[1] < 1.4


def test_a_drawn_face_can_be_enlarged_before_it_is_pasted(frame, points, model):
    resolver = SuperResolver(SuperResolutionConfig(scale=3, residual=True))
    plain, large = (
        Swapper(model, lambda frame: [points], UNCOVERED, "cpu", each).swap_points(
            [frame], [points]
        )
        for each in (None, enlarger(resolver, "cpu"))
    )
    assert large[0].layers.image.shape == (96, 96, 3)
    # Of an untrained network that only adds to the bicubic picture, the face lies where it lay.
    off = np.abs(large[0].image.astype(int) - plain[0].image)
    assert 0.0 < off.mean() < 1.0


def test_settings_can_be_changed_without_loading_anew(frame, points, model):
    swapper = Swapper(model, lambda frame: [points], device="cpu")
    other = swapper.with_config(SwapConfig("A"))
    assert other.model is swapper.model
    assert not np.array_equal(other.swap_frame(frame), swapper.swap_frame(frame))

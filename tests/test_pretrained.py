"""pytest tests/test_pretrained.py"""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from deepfake_utils import autoencoder
from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset, texture_places
from deepfake_utils.dataset import FaceDataset, endless_batches
from deepfake_utils.extraction import load_faces
from deepfake_utils.faces import align_face
from deepfake_utils.images import to_tensor
from deepfake_utils.losses import face_loss, masked_psnr
from deepfake_utils.marking import Origin, read_provenance, write_picture
from deepfake_utils.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from deepfake_utils.samples import TEST_START_S, load_truth, sample_clips
from deepfake_utils.training.recipe import TrainConfig, recipe
from deepfake_utils.training.trainer import Trainer
from deepfake_utils.video import read_frames


@pytest.fixture(scope="module")
def model():
    return FaceSwapAutoencoder.pretrained().eval()


@pytest.fixture(scope="module")
def moments():
    """Every eighth frame of A's test part, and B doing the same: two (N, 3, 128, 128) tensors."""
    known, clips = load_truth(), sample_clips()
    sides = []
    for clip, start, points in (
        (clips.person_a, TEST_START_S, known.landmarks_a[350:]),
        (clips.person_b_as_a, 0.0, known.landmarks_b_as_a),
    ):
        frames = list(read_frames(clip, start))[::8]
        faces = [align_face(f, p, 128, 0.75) for f, p in zip(frames, points[::8], strict=True)]
        sides.append(torch.stack([to_tensor(face.image) for face in faces]))
    return sides


def code(model, faces):
    with torch.inference_mode():
        return model.encoder.to_code(model.encoder.down(faces))


def test_it_is_the_preset_and_both_decoders_begin_alike(model):
    assert model.config == preset("sharp", 128)
    faces = torch.rand(2, 3, 128, 128)
    with torch.inference_mode():
        assert torch.equal(model(faces, "A"), model(faces, "B"))
    assert model.start.startswith("sharp_128 ") and model.start != FaceSwapAutoencoder().start


def test_the_code_tells_what_a_face_does_and_not_whose_it_is(model, moments):
    one, other = (code(model, faces) for faces in moments)
    # What the people look like shifts all codes alike; what they do is how codes differ.
    one, other = (each - each.mean(0) for each in (one, other))
    alike = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=2)
    right = (alike.argmax(1) == torch.arange(len(one))).float().mean()
    assert right >= 0.7  # 13 moments, some of which are much alike
    fresh = FaceSwapAutoencoder(preset("sharp", 128)).eval()
    one, other = (code(fresh, faces) for faces in moments)
    one, other = (each - each.mean(0) for each in (one, other))
    guess = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=2)
    assert guess.diagonal().mean() < alike.diagonal().mean()


def test_it_draws_a_face_before_it_has_seen_anybody(model, moments):
    with torch.inference_mode():
        drawn = model(moments[0], "A")
    grey = drawn.mean(1)  # (N, 128, 128)
    eyes, cheeks = grey[:, 28:42, 28:50].amin((1, 2)), grey[:, 58:70, 24:34].mean((1, 2))
    assert (eyes < cheeks - 0.05).all()  # pupils are darker than skin
    assert masked_psnr(drawn, moments[0], torch.ones(1, 1, 128, 128)) > 10.0


def test_with_a_mask_it_draws_the_same_colours(model):
    masked = FaceSwapAutoencoder.pretrained(mask=True).eval()
    assert masked.config == dataclasses.replace(model.config, mask=True)
    faces = torch.rand(2, 3, 128, 128)
    with torch.inference_mode():
        plain, four = model(faces, "B"), masked(faces, "B")
    assert four.shape == (2, 4, 128, 128)
    assert torch.allclose(four[:, :3], plain, atol=1e-5)


def test_other_weights_are_refused(monkeypatch, tmp_path):
    damaged = bytearray(autoencoder.PRETRAINED.read_bytes())
    damaged[-1] ^= 1
    path = tmp_path / autoencoder.PRETRAINED.name
    monkeypatch.setattr(autoencoder, "PRETRAINED", path)
    with pytest.raises(OSError, match=r"got none at .*install the package again"):
        FaceSwapAutoencoder.pretrained()
    path.write_bytes(damaged)
    with pytest.raises(OSError, match="expected the weights that came with the package"):
        FaceSwapAutoencoder.pretrained()


def test_what_it_began_from_travels_on(model, tmp_path):
    saved = save_checkpoint(tmp_path / "run.safetensors", Checkpoint(model, 3))
    again = load_checkpoint(saved)
    assert again.model.start == model.start and "start" not in again.extra
    picture = np.full((96, 96, 3), 120, np.uint8)
    write_picture(tmp_path / "a.png", picture, origin=Origin(None, None, (), model.start))
    found = read_provenance(tmp_path / "a.png")
    assert found.started_from == model.start and model.start in str(found)


# Training from it ---------------------------------------------------------------------------


def batches(crops, size, count=2):
    sets = (FaceDataset(load_faces(folder).part(slice(None, None, 3)), size) for folder in crops)
    return [endless_batches(each, count, seed=i) for i, each in enumerate(sets)]


def test_with_an_encoder_rate_of_zero_the_way_to_the_code_stays(crops, tiny):
    started = FaceSwapAutoencoder(tiny)
    before = {name: value.clone() for name, value in started.state_dict().items()}
    config = TrainConfig(steps=6, warmup_steps=1, encoder_rate=0.0, precision="float32")
    trainer = Trainer(started, *batches(crops, 32), config, "cpu")
    for _ in trainer.run():
        pass
    for name, value in trainer.model.state_dict().items():
        fixed = name.startswith(("encoder.down.", "encoder.to_code.", "usual_error"))
        assert torch.equal(value, before[name]) == fixed, name


def test_the_texture_has_a_rate_of_its_own(crops, tiny):
    textured = dataclasses.replace(tiny, shuffled_output=True, texture=24)
    moved = []
    for rate in (1.0, 20.0):
        config = TrainConfig(steps=2, warmup_steps=0, texture_rate=rate, precision="float32")
        trainer = Trainer(FaceSwapAutoencoder(textured), *batches(crops, 32), config, "cpu")
        for _ in trainer.run():
            pass
        now = dict(trainer.model.named_parameters())
        moved.append(float(now["decoders.A.texture"].detach().abs().max()))  # they begin at 0
    assert moved[1] > 10 * moved[0] > 0


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_such_a_run_resumes_exactly(crops, tiny, tmp_path, share):
    config = TrainConfig(steps=8, warmup_steps=1, encoder_rate=share, precision="float32")
    textured = dataclasses.replace(tiny, shuffled_output=True, texture=24)
    whole = Trainer(FaceSwapAutoencoder(textured), *batches(crops, 32), config, "cpu")
    for _ in whole.run():
        pass
    half = Trainer(FaceSwapAutoencoder(textured), *batches(crops, 32), config, "cpu")
    for _ in itertools.islice(half.run(), 4):
        pass
    saved = load_checkpoint(save_checkpoint(tmp_path / "half.safetensors", half.checkpoint()))
    rest = Trainer.resume(saved, *batches(crops, 32), device="cpu")
    for _ in rest.run():
        pass
    for one, other in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_few_steps_teach_it_two_people(crops):
    gently, fully = recipe("sharp", "pretrained"), recipe("sharp")
    assert gently.encoder_rate < fully.encoder_rate
    assert gently.learning_rate < fully.learning_rate
    rates = [each.learning_rate * each.texture_rate for each in (gently, fully)]
    assert rates[0] == pytest.approx(rates[1])
    scores = {}
    for name in ("pretrained", "scratch"):
        network = FaceSwapAutoencoder(preset("sharp", 128))
        if name == "pretrained":
            network = FaceSwapAutoencoder.pretrained()
        settings = dataclasses.replace(recipe("sharp", name), steps=12, warmup_steps=2)
        trainer = Trainer(network, *batches(crops, 128, 4), settings, "cpu")
        for _ in trainer.run():
            pass
        held = [each.dataset.still(range(4)) for each in batches(crops, 128)]
        scores[name] = trainer.evaluate(*held)
    assert scores["pretrained"] > scores["scratch"] + 1.5


# The texture --------------------------------------------------------------------------------


def test_the_texture_lies_where_it_is_put_and_moves_as_told(tiny):
    textured = dataclasses.replace(tiny, shuffled_output=True, texture=32)
    decoder = FaceSwapAutoencoder(textured).decoders["A"]
    picture = torch.zeros(1, 3, 32, 32)
    picture[:, :, 8:12, 20:24] = 4.0
    flat, still = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 16, 16)
    still[:, 2] = 20.0  # all of the texture
    drawn = decoder.compose(flat, still, picture)
    assert torch.allclose(drawn, picture.sigmoid(), atol=1e-5)
    moved = still.clone()
    moved[:, 0] = 0.25  # taken from a sixteenth of the side further right: it goes left
    assert torch.allclose(
        decoder.compose(flat, moved, picture)[..., :30], picture.sigmoid()[..., 2:], atol=1e-5
    )
    still[:, 2] = -20.0  # none of it
    assert torch.allclose(decoder.compose(flat, still, picture), torch.full((1, 3, 32, 32), 0.5))


def test_without_moves_each_pixel_takes_its_own_place():
    places = texture_places(torch.zeros(2, 2, 4, 8))
    assert places.shape == (2, 4, 8, 2)
    assert places[0, 0, 0].tolist() == [-0.875, -0.75]
    assert places[1, -1, -1].tolist() == [0.875, 0.75]


def test_a_texture_needs_the_shuffled_output(tiny):
    with pytest.raises(ValueError, match="texture: expected shuffled_output=True"):
        dataclasses.replace(tiny, texture=32, shuffled_output=False)


def test_edges_count_where_neighbours_differ():
    target = torch.zeros(1, 3, 16, 16)
    weight = torch.ones(1, 1, 16, 16)
    plain, stripes = target + 0.2, target.clone()
    stripes[..., ::2] = 0.4  # as far off on average, but not smooth
    flat = face_loss(plain, target, weight, 0.0, 1.0)
    assert flat == pytest.approx(0.2) == face_loss(stripes, target, weight, 0.0, 0.0)
    assert face_loss(stripes, target, weight, 0.0, 1.0) == pytest.approx(0.6)

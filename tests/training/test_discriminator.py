"""pytest tests/training/test_discriminator.py: what asks for faces that look real."""

import dataclasses

import pytest
import torch
from test_resuming import PLAIN, same, same_run, sources

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.dataset import Batch
from deepfake_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from deepfake_utils.training.discriminator import Adversary, PatchDiscriminator
from deepfake_utils.training.recipe import TrainConfig
from deepfake_utils.training.trainer import Trainer

SHARP = dataclasses.replace(PLAIN, steps=12, sharpness="adversarial")  # from its 9th step


def noise(seed, count=8, scale=0.1):
    """Grey with noise: faces enough for a discriminator."""
    made = torch.Generator().manual_seed(seed)
    return (0.5 + scale * torch.randn(count, 3, 32, 32, generator=made)).clamp(0, 1)


def batch_of(target):
    return Batch(target, target, torch.ones(len(target), 1, 32, 32))


def trainer_on(crops, tiny, config=SHARP):
    return Trainer(FaceSwapAutoencoder(tiny), *sources(crops), config, "cpu")


def test_it_looks_at_patches_of_38_pixels():
    face = noise(0, 1, 0.1).repeat(1, 1, 3, 3).requires_grad_()  # 96 px
    outcomes = PatchDiscriminator().eval()(face)
    assert [tuple(one.shape[1:]) for one in outcomes] == [
        (32, 48, 48), (64, 24, 24), (128, 12, 12), (2, 12, 12)]  # fmt: skip
    outcomes[-1][0, 0, 6, 6].backward()
    rows = face.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 38


def test_what_it_asks_of_faces_does_not_move_itself():
    adversary = Adversary(torch.device("cpu"))
    drawn = [noise(1).requires_grad_(), noise(2).requires_grad_()]
    adversary.penalties(drawn, [batch_of(noise(3)), batch_of(noise(4))]).sum().backward()
    assert all(picture.grad.abs().sum() > 0 for picture in drawn)
    assert all(weight.grad is None for weight in adversary.network.parameters())
    adversary.learn(drawn, [batch_of(noise(3)), batch_of(noise(4))], torch.ones(2))
    assert all(weight.grad is not None for weight in adversary.network.parameters())


def test_places_of_no_weight_do_not_count():
    adversary = Adversary(torch.device("cpu"))
    adversary.network.eval()
    real, drawn = noise(1), noise(2)
    weight = torch.ones(8, 1, 32, 32)
    weight[:, :, :, 16:] = 0.0
    picture = drawn.clone().requires_grad_()
    batch = Batch(real, real, weight)
    adversary.penalties([picture, drawn], [batch, batch])[0].backward()
    seen = picture.grad.abs().sum((0, 1, 2))
    assert seen[:16].min() > 0.0 and (seen[16 + 19 :] == 0.0).all()


def test_it_learns_to_tell_blurred_from_real_and_asks_for_less_blur():
    adversary = Adversary(torch.device("cpu"))

    def soft(faces):
        return torch.nn.functional.avg_pool2d(faces, 5, 1, 2, count_include_pad=False)

    for step in range(60):
        real = [noise(100 + step), noise(200 + step)]
        adversary.optimizer.zero_grad()
        adversary.learn([soft(each) for each in real], [batch_of(r) for r in real], torch.ones(2))
        adversary.optimizer.step()
    real = noise(7)
    with torch.no_grad():
        of_soft, of_real = (
            adversary.penalties([faces, faces], [batch_of(real)] * 2)
            for faces in (soft(real), real)
        )
    assert (of_soft > of_real + 1.0).all()
    drawn = soft(real).requires_grad_()
    adversary.penalties([drawn, drawn], [batch_of(real)] * 2).sum().backward()
    better = (drawn - 0.02 * drawn.grad / drawn.grad.abs().mean()).detach()
    spread = [faces.std().item() for faces in (drawn, better)]
    assert spread[1] > 1.05 * spread[0]


def test_it_joins_a_run_for_its_last_third():
    config = TrainConfig(steps=1200, sharpness="adversarial", adversarial=0.2)
    asked = [config.adversarial_at(step) for step in (1, 800, 850, 900, 1200, 2000)]
    assert asked == pytest.approx([0.0, 0.0, 0.1, 0.2, 0.2, 0.2])
    assert config.adversarial_at(3, passed=0.95) == pytest.approx(0.2)
    assert TrainConfig(steps=1200).adversarial_at(1200) == 0.0


def test_before_its_part_a_run_is_as_without_it(crops, tiny):
    plain = trainer_on(crops, tiny, dataclasses.replace(SHARP, sharpness="plain"))
    sharp = trainer_on(crops, tiny)
    for trainer in (plain, sharp):
        list(trainer.run(8))
    assert same(plain.model.state_dict(), sharp.model.state_dict())
    first = {name: value.clone() for name, value in sharp.gradients.adversary.state().items()}
    for trainer in (plain, sharp):
        list(trainer.run(2))
    assert not same(plain.model.state_dict(), sharp.model.state_dict())
    assert not same(first, sharp.gradients.adversary.state())


@pytest.mark.parametrize("at", [4, 10])  # before its part, and in it
def test_a_resumed_run_goes_on_with_it_to_the_last_bit(tmp_path, crops, tiny, at):
    straight, first = trainer_on(crops, tiny), trainer_on(crops, tiny)
    list(straight.run())
    list(first.run(at))
    path = save_checkpoint(tmp_path / "run.safetensors", first.checkpoint())
    again = Trainer.resume(load_checkpoint(path), *sources(crops), device="cpu")
    list(again.run())
    assert again.step == 12 and same_run(again.checkpoint(), straight.checkpoint())
    assert same(again.checkpoint().adversary, straight.checkpoint().adversary)


def test_a_batch_that_is_skipped_teaches_it_nothing(crops, tiny):
    trainer = trainer_on(crops, tiny)
    list(trainer.run(10))
    before = {n: w.clone() for n, w in trainer.gradients.adversary.network.named_parameters()}
    a, b = trainer._next(trainer.batches_a, "A"), trainer._next(trainer.batches_b, "B")
    trainer.gradients(a, b, 0.1)
    trainer.gradients.drop(True)
    trainer.gradients.apply()
    assert same(before, dict(trainer.gradients.adversary.network.named_parameters()))


def test_weights_of_another_adversary_are_told(tmp_path, crops, tiny):
    trainer = trainer_on(crops, tiny)
    list(trainer.run(10))
    saved = trainer.checkpoint()
    saved.adversary["network.layers.0.bias"] = torch.zeros(3)
    path = save_checkpoint(tmp_path / "run.safetensors", saved)
    with pytest.raises(ValueError, match="expected the state of a training run"):
        Trainer.resume(load_checkpoint(path), *sources(crops), device="cpu")

"""pytest tests/training/test_training.py"""

import contextlib
import copy
import dataclasses
import itertools
import json
import math
import random
import shutil
import signal
import threading

import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.dataset import Batch, FaceDataset, endless_batches
from deepfake_utils.devices import pick_device, pick_dtype
from deepfake_utils.extraction import load_faces
from deepfake_utils.losses import face_loss
from deepfake_utils.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from deepfake_utils.training.recipe import TrainConfig
from deepfake_utils.training.trainer import StepResult, Trainer

PLAIN = TrainConfig(steps=40, warmup_steps=3, learning_rate=5e-4, precision="float32")


def random_batches(seed, count=8, size=32):
    made = torch.Generator().manual_seed(seed)
    return [
        Batch(
            torch.rand(2, 3, size, size, generator=made),
            torch.rand(2, 3, size, size, generator=made),
            torch.rand(2, 1, size, size, generator=made) + 0.5,
            torch.rand(2, 1, size, size, generator=made),
            torch.rand(2, 68, 2, generator=made),
        )
        for _ in range(count)
    ]


def trainer_on(tiny, config=PLAIN, skip=0, seed=0):
    """A trainer on a fixed list of batches for each person, from its `skip`-th on."""
    a, b = (itertools.islice(itertools.cycle(random_batches(s)), skip, None) for s in (1, 2))
    return Trainer(FaceSwapAutoencoder(tiny, seed=seed), a, b, config, "cpu")


def weights(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# Learning -----------------------------------------------------------------------------------


def test_the_loss_falls_on_four_pictures(crops, tiny):
    config = TrainConfig(
        steps=60, batch_size=4, learning_rate=3e-3, warmup_steps=5, precision="float32"
    )
    a, b = (FaceDataset(load_faces(folder).part(slice(None, None, 3)), 32) for folder in crops)
    trainer = Trainer(
        FaceSwapAutoencoder(tiny),
        *(endless_batches(dataset, 4, device="cpu") for dataset in (a, b)),
        config,
        "cpu",
    )
    results = list(trainer.run())
    assert len(results) == 60
    for name in ("loss_a", "loss_b"):
        losses = [getattr(result, name) for result in results]
        assert sum(losses[-10:]) < 0.75 * sum(losses[:5]) * 2


def test_a_step_is_one_adam_step_on_the_sum_of_both_losses(tiny):
    # The shared encoder moves once, by both people's gradients together.
    trainer = trainer_on(tiny)
    plain = FaceSwapAutoencoder(tiny)
    adam = torch.optim.Adam(plain.parameters(), betas=(PLAIN.beta1, PLAIN.beta2), foreach=False)
    for step, (a, b) in enumerate(zip(random_batches(1, 4), random_batches(2, 4), strict=True), 1):
        result = trainer.train_step()
        adam.param_groups[0]["lr"] = PLAIN.rate_at(step)
        loss_a = face_loss(plain(a.warped, "A"), a.target, a.weight, PLAIN.dssim)
        loss_b = face_loss(plain(b.warped, "B"), b.target, b.weight, PLAIN.dssim)
        adam.zero_grad()
        (loss_a + loss_b).backward()
        adam.step()
        assert result.loss_a == pytest.approx(loss_a.item(), rel=1e-4)
        assert result.loss_b == pytest.approx(loss_b.item(), rel=1e-4)
    start = weights(FaceSwapAutoencoder(tiny))
    for name, value in plain.named_parameters():
        moved = (value - start[name]).abs().max()
        assert moved > 0
        # Adam divides by the gradient's size, so where that is tiny rounding shows.
        off = (value - trainer.model.state_dict()[name]).abs()
        assert off.mean() < 0.03 * moved
        assert off.max() < 0.3 * moved


def test_the_average_follows_the_weights(tiny):
    trainer = trainer_on(tiny, dataclasses.replace(PLAIN, average=0.6))
    mean = weights(trainer.average)
    for step in range(1, 13):
        trainer.train_step()
        keep = min(0.6, (1 + step) / (10 + step))
        for name, value in trainer.model.state_dict().items():
            mean[name] += (1 - keep) * (value - mean[name])
    assert all(
        torch.allclose(mean[name], value, atol=1e-6)
        for name, value in trainer.average.state_dict().items()
    )
    assert not same(trainer.average.state_dict(), trainer.model.state_dict())
    assert not trainer.average.training and trainer.model.training
    assert not any(parameter.requires_grad for parameter in trainer.average.parameters())


def test_the_learning_rate_is_used(tiny):
    moved = []
    for rate in (1e-5, 1e-3):
        config = TrainConfig(steps=10, warmup_steps=0, learning_rate=rate, precision="float32")
        trainer = trainer_on(tiny, config)
        before = weights(trainer.model)
        trainer.train_step()
        change = [(trainer.model.state_dict()[n] - v).abs().max() for n, v in before.items()]
        moved.append(max(change).item())
    assert moved[0] == pytest.approx(1e-5, rel=0.1)  # Adam's first step is the rate itself
    assert moved[1] == pytest.approx(1e-3, rel=0.1)


# The loop -----------------------------------------------------------------------------------


def test_the_loop_stops_and_goes_on(tiny):
    trainer = trainer_on(tiny, dataclasses.replace(PLAIN, steps=8))
    for result in trainer.run():
        if result.step == 3:
            break
    assert trainer.step == 3
    assert [result.step for result in trainer.run(2)] == [4, 5]
    assert [result.step for result in trainer.run()] == [6, 7, 8]
    assert list(trainer.run()) == []
    assert [result.step for result in trainer.history] == list(range(1, 9))
    assert all(isinstance(result, StepResult) for result in trainer.history)
    straight = trainer_on(tiny, dataclasses.replace(PLAIN, steps=8))
    assert list(straight.run()) == trainer.history


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_precision_of_a_processor_learns(tiny, precision):
    trainer = trainer_on(tiny, dataclasses.replace(PLAIN, precision=precision))
    wanted = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    assert trainer.dtype == wanted
    results = list(trainer.run(25))
    assert results[-1].loss_a < results[0].loss_a
    assert all(value.dtype == torch.float32 for value in trainer.model.state_dict().values())
    reference = trainer_on(tiny).train_step()
    assert results[0].loss_a == pytest.approx(reference.loss_a, rel=0.02)


# Saving and going on ------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
def test_going_on_from_a_file_is_the_same_as_never_having_stopped(tmp_path, tiny, quick):
    if quick:
        tiny = dataclasses.replace(tiny, residual_blocks=1, shuffled_output=True)
    straight = trainer_on(tiny)
    list(straight.run(9))
    first = trainer_on(tiny)
    list(first.run(4))
    path = save_checkpoint(tmp_path / "c.safetensors", first.checkpoint())
    again = trainer_on(tiny, skip=4)
    loaded = Trainer.resume(load_checkpoint(path), again.batches_a, again.batches_b, device="cpu")
    assert (loaded.step, loaded.history, loaded.config) == (4, first.history, PLAIN)
    assert same(loaded.average.state_dict(), first.average.state_dict())
    list(loaded.run(5))
    assert loaded.step == 9
    assert loaded.history == straight.history
    assert same(loaded.model.state_dict(), straight.model.state_dict())
    assert same(loaded.average.state_dict(), straight.average.state_dict())


def test_saving_changes_nothing(tmp_path, tiny):
    straight, saved = trainer_on(tiny), trainer_on(tiny)
    list(straight.run(6))
    for result in saved.run(6):
        save_checkpoint(tmp_path / f"{result.step}.safetensors", saved.checkpoint())
    assert same(saved.model.state_dict(), straight.model.state_dict())


def test_the_file_holds_the_average_to_draw_with(tmp_path, tiny):
    trainer = trainer_on(tiny)
    list(trainer.run(5))
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    best = load_checkpoint(path).best_model()
    faces = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(best(faces, "B"), trainer.average(faces, "B"), atol=1e-6)
        assert not torch.allclose(best(faces, "B"), trainer.model(faces, "B"), atol=1e-6)


def test_settings_can_be_changed_when_going_on(tmp_path, tiny):
    trainer = trainer_on(tiny)
    list(trainer.run(3))
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    config = dataclasses.replace(PLAIN, steps=5, learning_rate=1e-6)
    again = trainer_on(tiny)
    loaded = Trainer.resume(load_checkpoint(path), again.batches_a, again.batches_b, config, "cpu")
    assert len(list(loaded.run())) == 2
    assert loaded.optimizer.param_groups[0]["lr"] == config.rate_at(5) < 1e-6


def test_weights_alone_are_no_run(tmp_path, tiny):
    path = save_checkpoint(tmp_path / "c.safetensors", Checkpoint(FaceSwapAutoencoder(tiny), 3))
    with pytest.raises(ValueError, match="got weights only"):
        Trainer.resume(load_checkpoint(path), iter(()), iter(()), device="cpu")


@pytest.mark.parametrize(
    "wrong", [{"train": {"colour": 1}}, {"positions": [1]}, {"scaler": None}, {"train": 7}]
)
def test_a_run_of_another_version_says_so(tmp_path, tiny, wrong):
    trainer = trainer_on(tiny)
    trainer.train_step()
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    saved = load_checkpoint(path)
    save_checkpoint(path, dataclasses.replace(saved, extra={**saved.extra, **wrong}))
    with pytest.raises(
        ValueError, match="expected the state of a training run, got another or damaged one"
    ):
        Trainer.resume(load_checkpoint(path), iter(()), iter(()), device="cpu")


def test_optimiser_state_of_another_network_says_so(tmp_path, tiny):
    trainer = trainer_on(tiny)
    trainer.train_step()
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    saved = load_checkpoint(path)
    other = dict(saved.optimizer)
    other["0.exp_avg"] = torch.zeros(3)
    save_checkpoint(path, dataclasses.replace(saved, optimizer=other))
    with pytest.raises(
        ValueError, match="expected the state of a training run, got another or damaged one"
    ):
        # A step would write past its memory.
        Trainer.resume(load_checkpoint(path), iter(()), iter(()), device="cpu")


def test_history_and_settings_are_plain_numbers(tmp_path, tiny):
    trainer = trainer_on(tiny)
    list(trainer.run(2))
    saved = load_checkpoint(save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint()))
    assert saved.history.tolist() == [list(result) for result in trainer.history]
    assert saved.extra["train"] == dataclasses.asdict(PLAIN)
    json.dumps(saved.extra, allow_nan=False)


# Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["a", "b"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_skipped(tiny, person, value, caplog):
    good, bad = random_batches(1, 5), copy.deepcopy(random_batches(1, 5))
    bad[1].target[0, 0, 0, 0] = value
    a, b = (bad, good) if person == "a" else (good, bad)
    trainer = Trainer(FaceSwapAutoencoder(tiny), iter(a), iter(b), PLAIN, "cpu")
    results = list(trainer.run(4))  # of five batches
    assert [result.step for result in results] == [1, 2, 3, 4]
    assert "skipped a batch at step 2" in caplog.text
    assert all(math.isfinite(result.loss_a + result.loss_b) for result in results)
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())
    # It goes on more carefully at first.
    rate = trainer.optimizer.param_groups[0]["lr"]
    assert 0.5 * PLAIN.rate_at(4) < rate < 0.53 * PLAIN.rate_at(4)


def test_a_gradient_that_is_not_finite_is_skipped(tiny, caplog):
    class Poisoned(FaceSwapAutoencoder):
        broken = True

        def forward_pair(self, *inputs):
            drawn_a, drawn_b = super().forward_pair(*inputs)
            if self.broken and drawn_a.requires_grad:
                drawn_a.register_hook(lambda gradient: gradient * float("nan"))
            return drawn_a, drawn_b

    a, b = (itertools.cycle(random_batches(seed)) for seed in (1, 2))
    trainer = Trainer(Poisoned(tiny), a, b, dataclasses.replace(PLAIN, max_skips=2), "cpu")
    kept = weights(trainer.model), weights(trainer.average)
    with pytest.raises(FloatingPointError, match=r"none in 3 batches in a row.*learning_rate"):
        trainer.train_step()
    assert caplog.text.count("skipped a batch at step 1") == 3
    assert same(weights(trainer.model), kept[0]) and same(weights(trainer.average), kept[1])
    assert trainer.step == len(trainer.history) == 0
    trainer.model.broken = False
    assert trainer.train_step().step == 1


# Memory -------------------------------------------------------------------------------------


class SmallMemory(FaceSwapAutoencoder):
    """Stands in for a GPU that holds only so many faces: there is none to fill up here."""

    room = 3

    def forward_pair(self, faces_a, *others):
        if len(faces_a) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().forward_pair(faces_a, *others)


def big_batches(seed, count=7):
    small = random_batches(seed, count * 4)
    for index in range(0, len(small), 4):
        parts = zip(*small[index : index + 4], strict=True)
        yield Batch(*(torch.cat(part) for part in parts))


def test_without_memory_for_a_batch_it_is_cut_and_the_step_stays_the_same(tiny, caplog):
    whole, cut = (
        Trainer(kind(tiny), big_batches(1), big_batches(2), PLAIN, "cpu")
        for kind in (FaceSwapAutoencoder, SmallMemory)
    )
    for one, other in zip(whole.run(4), cut.run(4), strict=True):
        assert other.loss_a == pytest.approx(one.loss_a, rel=1e-3)
        assert other.loss_b == pytest.approx(one.loss_b, rel=1e-3)
    assert cut.gradients.pieces == 4  # of 8 faces: halves were still too large
    assert "out of memory: going on with batches in 4 pieces of 2 faces" in caplog.text
    a, b = next(big_batches(5)), next(big_batches(6))
    cut.model.load_state_dict(whole.model.state_dict())
    found = []
    for trainer in (whole, cut):
        trainer.gradients(a, b)
        found.append([weight.grad for weight in trainer.model.parameters()])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5 * one.abs().max().item() + 1e-9)


def test_how_batches_are_cut_is_remembered(tmp_path, tiny):
    trainer = Trainer(SmallMemory(tiny), big_batches(1), big_batches(2), PLAIN, "cpu")
    trainer.train_step()
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    again = Trainer.resume(load_checkpoint(path), big_batches(1), big_batches(2), device="cpu")
    assert again.gradients.pieces == 4


def test_no_memory_for_a_single_face_says_so(tiny):
    class NoMemory(SmallMemory):
        room = 0

    trainer = Trainer(NoMemory(tiny), big_batches(1), big_batches(2), PLAIN, "cpu")
    with pytest.raises(MemoryError, match=r"memory for one face of each person.*image_size"):
        trainer.train_step()


def test_other_failures_are_not_taken_for_missing_memory(tiny):
    class Broken(FaceSwapAutoencoder):
        def forward_pair(self, *inputs):
            raise RuntimeError("something else")

    trainer = Trainer(Broken(tiny), big_batches(1), big_batches(2), PLAIN, "cpu")
    with pytest.raises(RuntimeError, match="something else"):
        trainer.train_step()


# What the network can draw beside the face --------------------------------------------------


@pytest.mark.parametrize("kind", [{"mask": True}, {"landmarks": True}, {"kernel": 3}])
def test_every_kind_of_network_learns_and_goes_on(tmp_path, tiny, kind):
    network = dataclasses.replace(tiny, **kind)
    straight = trainer_on(network)
    results = list(straight.run(20))
    assert results[-1].loss_a < results[0].loss_a
    first = trainer_on(network)
    list(first.run(3))
    again = trainer_on(network, skip=3)
    loaded = Trainer.resume(
        load_checkpoint(save_checkpoint(tmp_path / "c.safetensors", first.checkpoint())),
        again.batches_a,
        again.batches_b,
        device="cpu",
    )
    list(loaded.run(17))
    assert same(loaded.model.state_dict(), straight.model.state_dict())


@pytest.mark.parametrize("size", [64, 96, 128, 192, 256])
def test_every_size_trains(tiny, size):
    network = dataclasses.replace(
        tiny, image_size=size, mask=True, shuffled_output=True, kernel=3, min_channels=4
    )
    a, b = (itertools.cycle(random_batches(seed, 1, size)) for seed in (1, 2))
    config = dataclasses.replace(PLAIN, warmup_steps=0, learning_rate=2e-3)
    trainer = Trainer(FaceSwapAutoencoder(network), a, b, config, "cpu")
    results = list(trainer.run(6))
    assert results[-1].loss_a < results[0].loss_a


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_is_the_same(tmp_path, tiny):
    plain, compiled = (
        trainer_on(tiny, dataclasses.replace(PLAIN, compile=mode)) for mode in ("off", "default")
    )
    for one, other in zip(plain.run(5), compiled.run(5), strict=True):
        assert other.loss_a == pytest.approx(one.loss_a, rel=1e-3)
    again = trainer_on(tiny, skip=5)
    path = save_checkpoint(tmp_path / "c.safetensors", compiled.checkpoint())
    loaded = Trainer.resume(load_checkpoint(path), again.batches_a, again.batches_b, PLAIN, "cpu")
    assert loaded.train_step().loss_a == pytest.approx(plain.train_step().loss_a, rel=1e-3)


def test_a_mask_is_learned_beside_the_face(crops, tiny):
    config = TrainConfig(steps=150, learning_rate=3e-3, warmup_steps=5, precision="float32")
    sets = [FaceDataset(folder, 32) for folder in crops]
    trainer = Trainer(
        FaceSwapAutoencoder(dataclasses.replace(tiny, mask=True)),
        *(endless_batches(dataset, 8, device="cpu") for dataset in sets),
        config,
        "cpu",
    )
    list(trainer.run())
    for identity, dataset in zip("AB", sets, strict=True):
        held = dataset.still()
        with torch.inference_mode():
            mask = trainer.average(held.warped, identity)[:, 3:]
        assert (mask - held.mask).abs().mean() < 0.3 * held.mask.mean()
        assert mask[held.mask > 0.9].mean() > 0.75
        assert mask[held.mask < 0.1].mean() < 0.25


def test_held_out_faces_score_better_as_the_network_learns(crops, tiny):
    config = TrainConfig(steps=80, learning_rate=3e-3, warmup_steps=5, precision="float32")
    a, b = (FaceDataset(folder, 32) for folder in crops)
    batches = (endless_batches(dataset, 4, device="cpu") for dataset in (a, b))
    trainer = Trainer(FaceSwapAutoencoder(tiny), *batches, config, "cpu")
    first = trainer.evaluate(a.still(), b.still())
    list(trainer.run())
    last = trainer.evaluate(a.still(), b.still())
    assert trainer.average.held_out_db == last
    assert last > first + 2.0
    assert trainer.scores == [(0, first), (80, last)]
    errors = [trainer.average.usual_error_of(identity) for identity in ("A", "B")]
    assert all(0.0 < error < 1.0 for error in errors)
    assert trainer.model.usual_error_of("A") is None
    best = trainer.checkpoint().best_model()
    assert [best.usual_error_of(identity) for identity in ("A", "B")] == errors


def test_batches_that_end_say_so(tiny):
    trainer = Trainer(
        FaceSwapAutoencoder(tiny),
        itertools.cycle(random_batches(1)),
        iter(random_batches(2, 2)),
        PLAIN,
        "cpu",
    )
    with pytest.raises(ValueError, match=r"endless batches of person B.*endless_batches"):
        list(trainer.run())  # also through the generator, where StopIteration would be swallowed
    assert trainer.step == 2


def test_batches_of_another_size_say_so(tiny):
    wrong = itertools.cycle(random_batches(1, 1, size=64))
    trainer = Trainer(FaceSwapAutoencoder(tiny), wrong, wrong, PLAIN, "cpu")
    with pytest.raises(ValueError, match=r"expected faces \(B, 3, 32, 32\), got \(2, 3, 64, 64\)"):
        trainer.train_step()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"batch_size": -1}, "batch_size: expected at least 1, got -1"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate.*nan"),
        ({"beta1": 1.0}, "beta1: expected at least 0 and less than 1, got 1.0"),
        ({"average": -0.1}, "average: expected at least 0 and less than 1, got -0.1"),
        ({"warmup_steps": -1}, "warmup_steps: expected at least 0, got -1"),
        ({"final_rate": 2.0}, "final_rate: expected at least 0 and at most 1, got 2.0"),
        ({"dssim": -1.0}, "dssim: expected at least 0, got -1.0"),
        ({"precision": "float8"}, "precision: expected .*got 'float8'"),
        ({"compile": "yes"}, "compile: expected .*got 'yes'"),
        ({"max_skips": -1}, "max_skips: expected at least 0, got -1"),
        ({"mask": float("nan")}, "mask: expected at least 0, got nan"),
    ],
)
def test_wrong_settings_say_so(wrong, text):
    with pytest.raises(ValueError, match=text):
        TrainConfig(**wrong)


def test_wrong_devices_say_so(tiny):
    cpu = torch.device("cpu")
    assert pick_device("cpu") == cpu
    assert pick_device(cpu) == cpu
    with pytest.raises(ValueError, match="precision: expected auto or"):
        pick_dtype(cpu, "float8")
    with pytest.raises(ValueError, match="precision: expected float16 on a GPU only, got cpu"):
        trainer_on(tiny, TrainConfig(precision="float16"))
    assert pick_dtype(cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(ValueError, match="abacus"):
        pick_device("abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_asking_for_a_missing_gpu_says_what_to_do():
    with pytest.raises(ValueError, match=r"expected a GPU for device 'cuda'.*device='cpu'.*Colab"):
        pick_device("cuda")
    assert pick_device() != torch.device("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_learns_and_goes_on(tmp_path, tiny, precision):
    config = dataclasses.replace(PLAIN, precision=precision)
    a, b = (itertools.cycle(random_batches(seed)) for seed in (1, 2))
    trainer = Trainer(FaceSwapAutoencoder(tiny), a, b, config)
    assert trainer.device.type == "cuda"
    list(trainer.run(8))
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    a, b = (itertools.islice(itertools.cycle(random_batches(s)), 8, None) for s in (1, 2))
    loaded = Trainer.resume(load_checkpoint(path), a, b)
    for one, other in zip(trainer.run(8), loaded.run(8), strict=True):
        assert other.loss_a == pytest.approx(one.loss_a, rel=1e-3)
        assert other.loss_b == pytest.approx(one.loss_b, rel=1e-3)
    assert trainer.history[-1].loss_a < trainer.history[0].loss_a
    assert load_checkpoint(path).model.config == tiny  # and a processor can read it


# Interrupts ---------------------------------------------------------------------------------


def same_run(one, other):
    left, right = (trainer.checkpoint() for trainer in (one, other))
    for a, b in (
        (left.model.state_dict(), right.model.state_dict()),
        (left.average, right.average),
        (left.optimizer, right.optimizer),
    ):
        assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert torch.equal(left.history, right.history)
    assert left.extra["positions"] == right.extra["positions"]


@pytest.mark.slow
def test_interrupts_leave_the_same_run(crops, tiny):
    steps, rng = 120, random.Random(0)

    def trainer():
        sets = [FaceDataset(folder, 32) for folder in crops]
        batches = [endless_batches(each, 2, device="cpu") for each in sets]
        config = dataclasses.replace(PLAIN, steps=steps)
        return Trainer(FaceSwapAutoencoder(tiny), *batches, config, "cpu")

    whole, broken, came = trainer(), trainer(), 0
    list(whole.run())
    before = signal.getsignal(signal.SIGINT)
    while not broken.finished:
        timer = threading.Timer(rng.random() * 0.03, signal.raise_signal, [signal.SIGINT])
        timer.daemon = True
        try:
            if came < 25:
                timer.start()
            for _ in broken.run():
                pass
        except KeyboardInterrupt:
            came += 1
        finally:
            with contextlib.suppress(KeyboardInterrupt):
                if timer.is_alive():
                    timer.join()
    assert came >= 3
    assert signal.getsignal(signal.SIGINT) is before
    assert [result.step for result in broken.history] == list(range(1, steps + 1))
    same_run(whole, broken)


@pytest.mark.parametrize("where", ["batch of B", "gradients"])
def test_a_step_that_fails_has_not_been_made(crops, tiny, where, monkeypatch):
    def trainer():
        sets = [FaceDataset(folder, 32) for folder in crops]
        batches = [endless_batches(each, 2, device="cpu") for each in sets]
        return Trainer(FaceSwapAutoencoder(tiny), *batches, PLAIN, "cpu")

    whole, broken = trainer(), trainer()
    list(whole.run(6))
    list(broken.run(3))
    with monkeypatch.context() as patch:
        if where == "gradients":
            patch.setattr(broken.gradients, "_accumulate", lambda a, b, adversarial: 1 / 0)
        else:
            patch.setattr(broken.batches_b._order, "draw", lambda position: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                broken.train_step()
        assert broken.checkpoint().extra["positions"] == [3, 3] and broken.step == 3
    list(broken.run(3))
    same_run(whole, broken)

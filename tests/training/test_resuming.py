"""pytest tests/training/test_resuming.py"""

import dataclasses
import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.dataset import FaceDataset, endless_batches, photometric_augment
from deepfake_utils.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from deepfake_utils.runs.store import CheckpointStore
from deepfake_utils.training.recipe import TrainConfig
from deepfake_utils.training.trainer import Trainer, start_or_resume

PLAIN = TrainConfig(steps=30, batch_size=4, learning_rate=5e-4, warmup_steps=3, precision="float32")


def sources(crops, workers=0):
    """Real batches: every crop warped, mirrored and changed in light by chance."""
    return [
        endless_batches(
            FaceDataset(folder, 32, augment=photometric_augment()),
            PLAIN.batch_size,
            device="cpu",
            seed=seed,
            workers=workers,
        )
        for seed, folder in enumerate(crops)
    ]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same_run(one: Checkpoint, other: Checkpoint) -> bool:
    """Equal to the last bit: weights, average, optimiser, history, schedule, place in the data."""
    return (
        same(one.model.state_dict(), other.model.state_dict())
        and same(one.average, other.average)
        and same(one.optimizer, other.optimizer)
        and torch.equal(one.history, other.history)
        and (one.step, one.extra) == (other.step, other.extra)
    )


# Going on exactly where it was --------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_some_steps_and_some_more_are_all_the_steps(tmp_path, crops, tiny, workers):
    straight = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    list(straight.run(9))
    first = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    list(first.run(4))
    path = save_checkpoint(tmp_path / "run.safetensors", first.checkpoint())
    torch.rand(7)  # what else the new process draws does not matter
    again = Trainer.resume(load_checkpoint(path), *sources(crops, workers), device="cpu")
    list(again.run(5))
    assert same_run(again.checkpoint(), straight.checkpoint())


def test_a_run_that_was_saved_before_its_first_step_is_begun(tmp_path, crops, tiny):
    straight = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    first = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    path = save_checkpoint(tmp_path / "run.safetensors", first.checkpoint())
    again = Trainer.resume(load_checkpoint(path), *sources(crops), device="cpu")
    for trainer in (straight, again):
        list(trainer.run(2))
    assert same_run(again.checkpoint(), straight.checkpoint())


SCRIPT = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_resuming import PLAIN, sources
import deepfake_utils as du

torch.set_num_threads(1)
crops, folder = [Path(name) for name in sys.argv[2:4]], sys.argv[4]
network = du.autoencoder.AutoencoderConfig(
    image_size=32, base_channels=8, max_channels=16, code_size=16, decoder_channels=16,
    min_channels=8,
)
store = du.CheckpointStore(folder, keep_last=2)
trainer = du.start_or_resume(
    store, du.FaceSwapAutoencoder(network), *sources(crops), PLAIN, "cpu"
)
print("from", trainer.step, flush=True)
for result in trainer.run():
    print("step", result.step, flush=True)
    if result.step % 4 == 0:
        trainer.save(store)
trainer.save(store)
print("done", flush=True)
"""


def process(crops, folder):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", SCRIPT, here, *map(str, crops), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, crops, tiny):
    folder = tmp_path / "run"
    killed = process(crops, folder)
    for line in killed.stdout:
        if line.strip() == "step 21":  # of 30
            os.kill(killed.pid, signal.SIGKILL)
            break
    killed.stdout.close()
    assert killed.wait() == -signal.SIGKILL
    output, _ = process(crops, folder).communicate(timeout=240)
    begun = int(output.splitlines()[0].split()[1])
    assert 20 <= begun < PLAIN.steps
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order would round otherwise
    straight = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    list(straight.run())
    torch.set_num_threads(threads)
    assert same_run(CheckpointStore(folder).latest(), straight.checkpoint())


def test_other_batches_cannot_be_wound_forward_and_it_says_so(tmp_path, crops, tiny, caplog):
    trainer = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    list(trainer.run(2))
    path = save_checkpoint(tmp_path / "run.safetensors", trainer.checkpoint())
    plain = [itertools.cycle([next(batches)]) for batches in sources(crops)]
    assert Trainer.resume(load_checkpoint(path), *plain, device="cpu").step == 2
    assert "cannot be wound forward" in caplog.text


# Where a run is saved -----------------------------------------------------------------------


def test_start_or_resume(tmp_path, crops, tiny, caplog):
    store = CheckpointStore(tmp_path / "run", mirror=tmp_path / "drive")

    def start(config=PLAIN, network=tiny):
        return start_or_resume(store, FaceSwapAutoencoder(network), *sources(crops), config, "cpu")

    trainer = start(dataclasses.replace(PLAIN, steps=4))
    assert trainer.step == 0
    list(trainer.run(3))
    assert trainer.save(store) == store.folder / "step-00000003.safetensors"
    again = start()
    assert (again.step, again.config.steps) == (3, 4)
    assert [batches.position for batches in (again.batches_a, again.batches_b)] == [3, 3]
    list(again.run())
    again.save(store)
    assert start().step == 0  # it was finished
    assert "held another or a finished run" in caplog.text
    for folder in ("run-1", "drive-1"):
        assert CheckpointStore(tmp_path / folder).latest().step == 4  # and nothing is lost
    assert start().step == 0
    trainer = start()
    list(trainer.run(1))
    trainer.save(store)
    assert start(network=dataclasses.replace(tiny, code_size=8)).step == 0


def test_a_damaged_file_says_so(tmp_path, crops, tiny):
    path = tmp_path / "step-00000003.safetensors"
    path.write_bytes(b"damaged")
    store = CheckpointStore(tmp_path)
    with pytest.raises(ValueError, match="damaged"):
        start_or_resume(store, FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    assert path.read_bytes() == b"damaged"


def test_the_best_is_kept_by_its_score(tmp_path, crops, tiny):
    store = CheckpointStore(tmp_path / "run", keep_last=1)
    trainer = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    held = [FaceDataset(folder, 32).still() for folder in crops]
    for _ in range(3):
        list(trainer.run(2))
        trainer.evaluate(*held)
        trainer.scores[-1] = (trainer.step, 30.0 - trainer.step)  # the first shall be the best
        trainer.save(store)
    list(trainer.run(1))
    trainer.save(store)  # not scored
    assert store.best().step == 2
    assert store.latest().step == 7
    assert [score for _, score in store.latest().extra["scores"]] == [28.0, 26.0, 24.0]


def test_weights_alone_start_a_new_run(tmp_path, crops, tiny):
    path = save_checkpoint(tmp_path / "c.safetensors", Checkpoint(FaceSwapAutoencoder(tiny), 3))
    model = load_checkpoint(path).model
    assert Trainer(model, *sources(crops), PLAIN, "cpu").step == 0
    with pytest.raises(ValueError, match="got weights only"):
        Trainer.resume(load_checkpoint(path), *sources(crops), device="cpu")


# Several processes --------------------------------------------------------------------------

SHARED = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from accelerate import Accelerator
from test_resuming import PLAIN, sources
import deepfake_utils as du

torch.set_num_threads(1)
crops, folder, steps = [Path(name) for name in sys.argv[2:4]], sys.argv[4], int(sys.argv[5])
network = du.autoencoder.AutoencoderConfig(
    image_size=32, base_channels=8, max_channels=16, code_size=16, decoder_channels=16,
    min_channels=8,
)
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
store = du.CheckpointStore(folder)
trainer = du.start_or_resume(
    store, du.FaceSwapAutoencoder(network), *sources(crops), PLAIN, accelerator=accelerator
)
if steps:
    list(trainer.run(steps))
else:  # by the clock; the second process's is far behind
    if not accelerator.is_main_process:
        trainer.clock.now = lambda: 0.0
    list(trainer.run(minutes=0.08))
    assert trainer.finished and list(trainer.run()) == []
    Path(folder, f"{accelerator.process_index}.txt").write_text(str(trainer.step))
trainer.save(store)
accelerator.end_training()  # a process that just ends may take the other one's last message with it
"""


def two_processes(crops, run, steps, folder):
    script = folder / "train.py"
    script.write_text(SHARED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # accelerate's own launcher starts several processes on GPUs only; on a CPU it leaves that to
    # torch's, and the script is the same.
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    arguments = [script, Path(__file__).parent, *crops, run, steps]
    subprocess.run(
        [sys.executable, *launch, *map(str, arguments)],
        check=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def assert_close(one, other):
    for left, right in zip(one, other, strict=True):
        assert right == pytest.approx(left, rel=2e-4)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo on the loop-back device")
def test_two_processes_train_as_one_and_checkpoints_move_between_them(tmp_path, crops, tiny):
    pytest.importorskip("accelerate")
    straight = Trainer(FaceSwapAutoencoder(tiny), *sources(crops), PLAIN, "cpu")
    list(straight.run(12))
    store = CheckpointStore(tmp_path / "run")
    two_processes(crops, store.folder, 4, tmp_path)  # two processes from the start
    alone = Trainer.resume(store.latest(), *sources(crops), device="cpu")
    assert alone.step == 4
    list(alone.run(4))  # one process goes on
    alone.save(store)
    two_processes(crops, store.folder, 4, tmp_path)  # and two again
    together = store.latest()
    assert together.step == 12
    assert_close(straight.history, [tuple(row) for row in together.history.tolist()])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo on the loop-back device")
def test_two_processes_of_a_run_in_minutes_stop_at_the_same_step(tmp_path, crops):
    pytest.importorskip("accelerate")
    (run := tmp_path / "run").mkdir()
    two_processes(crops, run, 0, tmp_path)
    first, second = (int((run / f"{index}.txt").read_text()) for index in range(2))
    assert first == second > 1
    assert CheckpointStore(run).latest().extra["spent_s"] >= 60.0 * 0.08


def test_processes_need_batches_that_can_be_shared(crops, tiny):
    class TwoProcesses:
        device, num_processes, process_index = torch.device("cpu"), 2, 0

        def prepare_model(self, model):
            return model

    plain = [itertools.cycle([next(batches)]) for batches in sources(crops)]
    with pytest.raises(ValueError, match=r"expected batches from dataset\.endless_batches"):
        Trainer(FaceSwapAutoencoder(tiny), *plain, PLAIN, accelerator=TwoProcesses())

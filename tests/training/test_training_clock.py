"""pytest tests/training/test_training_clock.py: runs in minutes, by a clock that the test moves."""

import dataclasses
import itertools
import os
import subprocess
import sys
import time

import pytest

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.dataset import FaceDataset, endless_batches
from deepfake_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from deepfake_utils.runs.store import CheckpointStore
from deepfake_utils.training.clock import TrainingClock
from deepfake_utils.training.recipe import TrainConfig
from deepfake_utils.training.trainer import Trainer, start_or_resume

TOTAL_S = 60.0
CONFIG = TrainConfig(batch_size=2, warmup_steps=5, precision="float32")
FINAL = CONFIG.learning_rate * CONFIG.final_rate


class Machine:
    """A clock whose trainer's steps take as long as `step_s` says of the seconds spent so far."""

    def __init__(self, trainer, step_s):
        self.time_s, self.rates, self.begins, self.trainer = 1000.0, [], [], trainer
        trainer.clock.now = lambda: self.time_s
        self._work, self._step_s = trainer.train_step, step_s
        trainer.train_step = self.step
        self.began_s = self.time_s

    @property
    def passed_s(self):
        return self.time_s - self.began_s

    def step(self):
        self.begins.append(self.passed_s)
        result = self._work()
        self.time_s += self._step_s(self.passed_s)
        self.rates.append(self.trainer.optimizer.param_groups[0]["lr"])
        return result


@pytest.fixture
def sources(crops):
    sets = [FaceDataset(folder, 32) for folder in crops]
    return lambda: [endless_batches(each, 2, seed=i) for i, each in enumerate(sets)]


@pytest.fixture
def new(tiny, sources):
    return lambda: Trainer(FaceSwapAutoencoder(tiny), *sources(), CONFIG, "cpu")


MACHINES = {
    "even": lambda passed: 1.0,
    "ten times slower half-way": lambda passed: 0.2 if passed < 30.0 else 2.0,
    "busy at first": lambda passed: 3.0 if passed < 12.0 else 0.5,
    "one long step": lambda passed: 8.0 if 20.0 <= passed < 21.0 else 0.7,
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_run_in_minutes_ends_in_time_at_the_final_rate(new, name):
    machine = Machine(trainer := new(), MACHINES[name])
    assert not trainer.finished
    list(trainer.run(minutes=TOTAL_S / 60.0))
    assert machine.passed_s == pytest.approx(TOTAL_S, rel=0.05)
    assert trainer.finished and list(trainer.run()) == []
    assert machine.rates[-1] == pytest.approx(FINAL)
    falling = machine.rates[CONFIG.warmup_steps :]
    assert all(a > b for a, b in itertools.pairwise(falling))


def test_the_rate_follows_the_time_that_has_passed_not_the_steps(new):
    machine = Machine(trainer := new(), MACHINES["ten times slower half-way"])
    list(trainer.run(minutes=TOTAL_S / 60.0))
    shares = [begin / TOTAL_S for begin in machine.begins[:-1]] + [1.0]
    wanted = [CONFIG.rate_at(step, share) for step, share in enumerate(shares, 1)]
    assert machine.rates == pytest.approx(wanted)


def test_a_jump_past_the_end_leaves_one_last_step(new):
    machine = Machine(trainer := new(), MACHINES["even"])
    for result in trainer.run(minutes=TOTAL_S / 60.0):
        if result.step == 20:
            machine.time_s += 500.0
    assert trainer.step == 21 and trainer.finished
    assert machine.rates[-1] == pytest.approx(FINAL)


def test_a_step_longer_than_all_that_was_left_is_followed_by_one_at_the_final_rate(new):
    machine = Machine(trainer := new(), lambda passed: 500.0 if passed == 20.0 else 1.0)
    list(trainer.run(minutes=TOTAL_S / 60.0))
    assert trainer.step == 22 and trainer.finished and list(trainer.run()) == []
    assert machine.rates[-1] == pytest.approx(FINAL)


def test_the_loops_own_work_counts_and_what_lies_between_loops_does_not(new):
    machine = Machine(trainer := new(), MACHINES["even"])
    for result in trainer.run(minutes=TOTAL_S / 60.0):
        machine.time_s += 0.5  # a picture
        if result.step == 10:
            break
    assert trainer.clock.spent_s == pytest.approx(14.5)
    machine.time_s += 1e4  # nobody trains
    at = machine.time_s
    for _ in trainer.run():
        machine.time_s += 0.5
    assert machine.time_s - at == pytest.approx(TOTAL_S - 14.5, abs=1.5)


def test_what_comes_before_the_first_step_counts_too(new):
    machine = Machine(trainer := new(), MACHINES["even"])
    steps = trainer.run(minutes=TOTAL_S / 60.0)
    machine.time_s += 20.0  # a score, a save
    list(steps)
    assert machine.passed_s == pytest.approx(TOTAL_S, abs=1.0) and trainer.step == 40


def test_a_slow_first_step_is_not_taken_for_the_pace(new):
    machine = Machine(trainer := new(), lambda passed: 0.5 if passed else 25.0)  # it compiles
    assert trainer.images_per_second == 0.0
    list(trainer.run(minutes=TOTAL_S / 60.0))
    assert machine.passed_s == pytest.approx(TOTAL_S, abs=0.5)
    assert trainer.step == 71 and trainer.images_per_second == 8.0  # two of each person


def test_time_is_kept_for_what_comes_after_the_last_step(new):
    machine = Machine(trainer := new(), MACHINES["even"])
    trainer.clock.kept_s = 5.0
    list(trainer.run(minutes=TOTAL_S / 60.0))
    assert machine.passed_s == pytest.approx(TOTAL_S - 5.0, abs=0.5) and trainer.finished
    assert machine.rates[-1] == pytest.approx(FINAL)


@pytest.mark.slow
def test_a_machine_that_becomes_busy_half_way_ends_in_time(new):
    minutes, burning = 0.2, []
    trainer, began = new(), time.monotonic()
    try:
        for _ in trainer.run(minutes=minutes):
            if not burning and time.monotonic() - began > 30.0 * minutes:
                at = trainer.step
                command = [sys.executable, "-c", "while True: pass"]
                burning = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 2))]
    finally:
        for each in burning:
            each.kill()
            each.wait()
    assert time.monotonic() - began == pytest.approx(60.0 * minutes, rel=0.05)
    assert trainer.step > at > 0
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(FINAL)


def test_the_end_is_the_end_whatever_rounding_does():
    clock = TrainingClock()
    for clock.minutes, clock.spent_s in (
        (0.02, 0.122),
        (0.07, 0.129),
        (0.08, 0.754),
    ):  # sums that fall short
        clock.end()
        assert clock.left_s == 0.0


def test_a_pause_is_left_out(new):
    machine = Machine(trainer := new(), MACHINES["even"])
    for result in trainer.run(minutes=TOTAL_S / 60.0):
        if result.step == 10:
            machine.time_s += 300.0
            trainer.clock.leave_out(300.0)
    assert machine.passed_s == pytest.approx(TOTAL_S + 300.0, abs=1.0)


def test_a_resumed_run_goes_on_with_the_minutes_that_are_left(new, tiny, sources, tmp_path):
    first = Machine(trainer := new(), MACHINES["even"])
    for result in trainer.run(minutes=TOTAL_S / 60.0):
        if result.step == 25:
            break
    store = CheckpointStore(tmp_path / "run")
    trainer.save(store)
    resumed = start_or_resume(store, FaceSwapAutoencoder(tiny), *sources(), CONFIG, "cpu")
    assert resumed.step == 25 and resumed.clock.left_s == pytest.approx(35.0)
    machine = Machine(resumed, MACHINES["even"])
    list(resumed.run())
    assert first.passed_s + machine.passed_s == pytest.approx(TOTAL_S, rel=0.05)
    assert machine.rates[-1] == pytest.approx(FINAL)
    assert machine.rates[0] < first.rates[-1] < 1.1 * machine.rates[0]  # no jump in the schedule
    resumed.save(store)
    again = start_or_resume(store, FaceSwapAutoencoder(tiny), *sources(), CONFIG, "cpu")
    assert again.step == 0  # that run was over


def test_a_checkpoint_without_minutes_goes_by_its_steps(new, sources, tmp_path):
    trainer = new()
    trainer.config = dataclasses.replace(CONFIG, steps=6)
    list(trainer.run(4))
    saved = trainer.checkpoint()
    assert not {"minutes", "spent_s"} & saved.extra.keys()  # as older files are
    path = save_checkpoint(tmp_path / "c.safetensors", saved)
    again = Trainer.resume(load_checkpoint(path), *sources(), device="cpu")
    assert again.clock.minutes is None
    assert [result.step for result in again.run()] == [5, 6]


def test_wrong_minutes_are_told_before_the_first_step(new):
    trainer = new()
    for minutes in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="minutes: expected more than 0"):
            trainer.run(minutes=minutes)
    with pytest.raises(ValueError, match="expected steps or minutes, got 3 and 1"):
        trainer.run(3, minutes=1.0)
    with pytest.raises(ValueError, match="expected a run of so many minutes"):
        TrainingClock().share(1.0)

"""pytest tests/panels/test_training_panel.py: training in a thread, on tiny networks."""

import itertools
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.dataset import FaceDataset, endless_batches
from deepfake_utils.extraction import load_faces
from deepfake_utils.files import take_lock
from deepfake_utils.panels import base
from deepfake_utils.panels.jobs import working
from deepfake_utils.panels.training import (
    NetworkChoice,
    TrainingPanel,
    need_faces,
    running,
    train,
)
from deepfake_utils.panels.training_loop import Cadence, TrainingLoop, quality_of
from deepfake_utils.runs.project import Clip, Project
from deepfake_utils.runs.store import CheckpointStore
from deepfake_utils.samples import sample_clips
from deepfake_utils.training.recipe import TrainConfig
from deepfake_utils.training.trainer import start_or_resume


@pytest.fixture(autouse=True)
def _nothing_trains_on():
    yield
    for thread in threading.enumerate():
        if (job := getattr(thread, "job", None)) is not None:
            job.stop()
            job.wait(20)


@pytest.fixture
def make(tiny, crops, tmp_path):
    """A function that makes a panel on a tiny network; `steps` is the length of its run."""
    sets = [FaceDataset(folder, 32) for folder in crops]
    show, held = tuple(s.preview(2) for s in sets), tuple(s.still([0, 1]) for s in sets)

    def panel(steps=1_000_000, **more):
        batches = [endless_batches(s, 2, seed=i) for i, s in enumerate(sets)]
        store = CheckpointStore(tmp_path / "run")
        config = TrainConfig(steps=steps, batch_size=2)
        trainer = start_or_resume(store, FaceSwapAutoencoder(tiny), *batches, config)
        return TrainingPanel(TrainingLoop(trainer, store, show, held, **more))

    return panel


def until(true, timeout_s=20.0):
    """Wait until something is true; False if it does not become so."""
    end = time.monotonic() + timeout_s
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_a_short_run_ends_scored_and_saved(make):
    panel = make(steps=12, save_every=5)
    assert panel.status.state == "ready" and panel.status.steps_to_save == 5
    status = panel.run()
    assert (status.state, status.step, status.steps, status.eta_s) == ("finished", 12, 12, 0.0)
    assert status.images_per_second > 0 and status.memory_mb > 100
    assert [entry.step for entry in panel.store.entries()] == [5, 10, 12]  # the newest three
    assert [step for step, _ in panel.trainer.scores] == [0, 5, 10, 12]
    assert [picture.shape for picture in panel.snapshots] == [(2 * 96, 6 * 96, 3)] * 4
    assert "finished: step 12 of 12" in str(status)
    assert running(panel.store) is None


def test_pausing_stands_still_and_stopping_leaves_a_checkpoint(make):
    panel = make()
    panel.start()
    assert running(panel.store) is panel
    assert until(lambda: panel.step >= 3) and panel.status.state == "running"
    panel.pause()
    at = panel.step
    assert panel.status.state == "paused" and panel.store.latest().step == at
    time.sleep(0.2)
    assert panel.step == at
    panel.start()
    assert until(lambda: panel.step > at)
    panel.stop()
    assert panel.status.state == "stopped" and panel.store.latest().step == panel.step > at
    assert panel.wait(0)
    panel.start()  # and on it goes
    at = panel.step
    assert until(lambda: panel.step > at)


def test_a_paused_panel_saves_draws_and_stops(make):
    panel = make()
    panel.start()
    panel.pause()
    panel.start()
    panel.pause()
    assert panel.save().is_file()
    assert len(panel.grid().axes) == 12 and panel.pairs(2).axes
    assert not panel.wait(0.05)
    panel.stop()
    assert panel.wait(0)


def test_a_run_goes_on_exactly_where_the_panel_stopped(make, tmp_path):
    torch.manual_seed(5)
    whole = make(steps=8)
    whole.run()
    whole.store.folder.rename(tmp_path / "elsewhere")
    torch.manual_seed(5)
    parts = make(steps=8)
    parts.start()
    parts.pause()
    parts.stop()
    again = make(steps=8)
    assert again.step == parts.step
    again.run()
    assert again.trainer.history == whole.trainer.history and len(again.trainer.history) == 8


def test_pictures_and_saves_come_between_steps(make):
    panel = make()
    panel.start()
    threads = set()
    panel._loop.draw = lambda grid, curve: threads.add(threading.current_thread().name)
    panel.save()
    before = panel.step
    assert until(lambda: panel.step > before)  # asking does not stop it
    assert panel.curve().axes and len(panel.grid().axes) == 12
    assert until(lambda: threads)
    panel.stop()
    assert threads == {f"training {panel.store.folder}"}


def test_pictures_come_every_few_seconds_and_never_cost_more_than_their_share():
    cadence = Cadence(share=0.05, least_s=3.0)
    assert cadence.due(0.0)
    cadence.took(0.0, 2.0)  # the first one does not count
    assert not cadence.due(4.9) and cadence.due(5.0)
    cadence.took(10.0, 10.1)  # cheap: as often as allowed
    assert not cadence.due(13.0) and cadence.due(13.1)
    cadence.took(20.0, 21.0)  # dear: the next 19 seconds are for other things
    assert not cadence.due(39.9) and cadence.due(40.0)
    assert cadence.spent_s == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([], None),
        ([15.0, 19.0, 21.9], "not yet"),
        ([24.0, 24.0, 24.0, 24.0, 24.0, 24.0, 21.0], "not yet"),  # whatever it was before
        ([15.0, 22.0], "usable"),
        ([15.0, 22.0, 23.0, 24.0, 24.5, 24.9], "still improving"),
        ([24.0, 24.9, 24.9, 24.8, 24.9, 24.9, 24.9], "done"),
    ],
)
def test_scores_are_told_in_words(scores, words):
    assert quality_of(scores) == words


def test_before_the_start_there_is_nothing_to_show_of_it(make):
    panel = make(minutes=5.0)
    view = panel.view
    assert "step" not in view.status.value and "5 min" in view.status.value
    hidden = [each.layout.display for each in (view.bar, view.quality, view.curve)]
    assert hidden == ["none"] * 3 and view.grid.layout.display is None
    panel.start()
    assert until(lambda: view.curve.value and panel.step >= 3)
    assert view.bar.layout.display is view.quality.layout.display is view.curve.layout.display
    assert "<b>Not yet</b>" in view.quality.value and "dB on faces" in view.quality.value
    assert 0.0 < view.bar.value < 1.0
    panel.stop()
    assert " left" not in view.quality.value  # nothing is under way


def test_a_second_panel_of_a_store_is_refused_until_the_first_has_stopped(make):
    first, second = make(), make()
    first.start()
    first.pause()
    with pytest.raises(RuntimeError, match="being trained by another panel"):
        second.start()
    with pytest.raises(RuntimeError, match="being trained by another panel"):
        second.run()
    first.start()  # the first one may
    first.stop()
    second.start()
    assert running(second.store) is second


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl")
def test_another_program_that_trains_the_store_is_respected(make, tmp_path):
    program = (
        "import sys; from pathlib import Path; from deepfake_utils.files import take_lock\n"
        "lock = take_lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run.lock")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    panel = make(steps=2)
    panel.store.release()
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match="another notebook or program"):
            make(steps=2)
        with pytest.raises(RuntimeError, match="another notebook or program"):
            panel.start()
        assert panel.status.state == "ready"
        other.stdin.close()
    assert panel.run().step == 2
    take_lock(tmp_path / "run.lock").release()


def test_what_goes_wrong_is_kept_and_can_be_mended(make, tmp_path):
    panel = make(steps=5)
    good = panel.trainer.batches_a
    panel.trainer.batches_a = itertools.islice(good, 3)
    with pytest.raises(ValueError, match="expected endless batches of person A"):
        panel.run()
    assert panel.status.state == "failed" and panel.step == 3
    assert "endless batches" in str(panel.error)
    panel.save()  # the weights are still there
    panel.trainer.batches_a = good
    panel.start()
    assert panel.wait(20) and panel.error is None and panel.step == 5


def test_a_disk_that_cannot_be_written_stops_with_the_reason(make, tmp_path):
    panel = make(steps=5)
    (tmp_path / "run").write_text("in the way")
    panel.start()
    assert panel.wait(20)
    assert panel.status.state == "failed" and isinstance(panel.error, OSError)
    with pytest.raises(OSError, match="could not save"):
        panel.save()


def test_an_interrupted_cell_saves_and_lets_the_next_one_run(make, monkeypatch):
    panel = make()
    waits = []

    def wait(timeout_s=None):
        waits.append(timeout_s)
        if len(waits) == 3:
            raise KeyboardInterrupt  # as the kernel's interrupt does, inside the wait
        return TrainingPanel.wait(panel, timeout_s)

    monkeypatch.setattr(panel, "wait", wait)
    status = panel.run()
    assert status.state == "stopped" and panel.store.latest().step == status.step > 0


def test_minutes_decide_how_long_a_run_is_and_prolong_a_finished_one(make):
    panel = make(minutes=0.02)
    began = time.monotonic()
    first = panel.run()
    assert first.state == "finished" and 0 < first.steps < 1_000_000
    assert time.monotonic() - began < 20
    assert panel.run().step > first.step


def test_a_pause_does_not_count_among_the_minutes(make):
    panel = make(minutes=5.0)
    assert "ready to train for 5 min" in str(panel.status) and panel.status.minutes == 5.0
    panel.start()
    assert until(lambda: panel.step >= 3)
    panel.pause()
    held = panel.status
    time.sleep(1.5)
    panel.start()
    assert until(lambda: panel.step >= held.step + 3)
    began = time.monotonic()
    panel.stop()
    assert time.monotonic() - began < 1.0
    assert held.eta_s - 1.0 < panel.status.eta_s < held.eta_s < 300.0
    again = make()  # a panel of the same run knows how much is left
    assert again.status.minutes == 5.0
    assert again.status.eta_s == pytest.approx(panel.status.eta_s)


def test_stop_is_obeyed_at_once_at_the_start_too(make):
    for _ in range(3):
        panel = make(minutes=5.0)
        began = time.monotonic()
        panel.start()
        panel.stop()
        assert time.monotonic() - began < 1.0
        assert panel.status.state == "stopped" and panel.store.latest().step == panel.step
        assert panel.status.minutes == 5.0


def test_the_last_score_and_save_are_within_the_minutes(make, monkeypatch):
    panel, begins = make(minutes=0.1), []
    evaluate = panel.trainer.evaluate

    def slowly(*held):
        begins.append(time.monotonic())
        time.sleep(0.6)
        return evaluate(*held)

    monkeypatch.setattr(panel.trainer, "evaluate", slowly)
    assert panel.run().state == "finished"
    assert len(begins) > 2
    assert begins[-1] - begins[0] < 1.05 * 6.0  # within the minutes, to 5 % on a busy machine


def test_wrong_numbers_are_told(make):
    for wrong in ({"save_every": 0}, {"minutes": 0.0}, {"refresh_s": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            make(**wrong)


# The widgets --------------------------------------------------------------------------------


def test_the_buttons_do_the_same(make):
    panel = make(refresh_s=0.05)
    assert panel.box is panel.box
    view = panel._view
    before = view.grid.value
    image = cv2.imdecode(np.frombuffer(before, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (2 * 96, 6 * 96, 3)
    assert [name for name, b in view.buttons.items() if not b.disabled] == ["Start", "Save"]
    view.buttons["Start"].click()
    assert until(lambda: panel.step >= 3 and view.curve.value and view.grid.value != before)
    assert until(lambda: view.bar.value > 0)
    view.buttons["Pause"].click()
    assert panel.status.state == "paused" and "paused and saved" in view.said.value
    assert not view.buttons["Start"].disabled and view.buttons["Pause"].disabled
    view.buttons["Save"].click()
    assert f"step-{panel.step:08d}" in view.said.value
    for part in ("paused: step", "images a second", "to go", "MB", "to the next save"):
        assert part in view.status.value
    view.buttons["Stop"].click()
    assert "stopped and saved" in view.said.value and "stopped: step" in view.status.value
    assert "role" in view.said.value and "role" not in view.status.value  # one is read out
    assert len(view.box.children) == 8  # nothing is added


def test_the_panel_says_what_went_wrong(make):
    panel, other = make(steps=5), make()
    _ = panel.box
    other.start()
    panel._view.buttons["Start"].click()
    assert "being trained by another panel" in panel._view.said.value
    other.stop()
    assert panel.store.latest() is not None  # else it would refuse to mix the other's run with its
    panel.trainer.batches_a = iter(())
    panel._view.buttons["Start"].click()
    assert panel.wait(20)
    assert "ValueError: expected endless batches" in panel._view.said.value
    assert "failed: step 0" in panel._view.status.value


def test_without_ipywidgets_the_methods_are_named(make, monkeypatch, capsys):
    monkeypatch.setattr(base, "has_widgets", lambda: False)
    panel = make(steps=5)
    panel._ipython_display_()
    said = capsys.readouterr().out
    assert "ready to train for 5 steps" in said and "panel.run()" in said and panel._view is None


# A project ----------------------------------------------------------------------------------


@pytest.fixture
def project(crops, tmp_path):
    made = Project(tmp_path / "project")
    (made.root / "faces").mkdir(parents=True)
    for person, folder in zip("ab", crops, strict=True):
        made.faces(person).symlink_to(folder, target_is_directory=True)
    return made


NETWORK = NetworkChoice(image_size=64, minutes=0.05)
SETTINGS = TrainConfig(batch_size=2)


def test_one_call_begins_joins_and_resumes(project):
    panel = train(project, NETWORK, SETTINGS)
    panel.start()
    assert train(project) is panel
    assert train(project, NETWORK, SETTINGS) is panel
    with pytest.raises(RuntimeError, match="trained with other settings"):
        train(project, NETWORK, TrainConfig(batch_size=4))
    assert until(lambda: panel.step > 0)
    panel.pause()
    panel.stop()
    again = train(Project(project.root))  # as in a new kernel
    assert again is not panel and again.step == panel.step > 0
    assert again.trainer.config == panel.trainer.config
    assert again.trainer.batches_a.batch_size == 2
    assert again.run().state == "finished"
    longer = train(project)
    assert longer.status.state == "finished" and longer.step == again.step
    assert longer.run().step > again.step
    anew = train(project, NETWORK, SETTINGS)  # chosen again: a new run, the old one kept
    assert anew.step == 0 and (project.root / "run-1").is_dir()


def test_the_worker_is_found_by_the_stores_name(project):
    assert working("training nothing") is None
    with pytest.raises(FileNotFoundError, match=r"no training run .* to go on with"):
        train(project)
    project.write("training", {"network": {"presett": "quick"}})
    with pytest.raises(ValueError, match="expected the settings of a training run"):
        train(project)


def test_an_empty_project_gets_the_sample_people_once(tmp_path):
    project = Project(tmp_path)
    project.choose_clip("a", Clip(str(sample_clips().person_a)))
    assert need_faces(project, stride=50)
    for who, count in (("a", 7), ("b", 7)):
        faces = load_faces(project.faces(who))
        assert len(faces) == count and faces.consent.note.bases == ("synthetic",)
    assert not need_faces(project, stride=50)


def test_own_clips_are_never_replaced_by_the_samples(tmp_path):
    project, mine = Project(tmp_path), tmp_path / "mine.mp4"
    mine.write_bytes(b"film")
    project.choose_clip("a", Clip(str(mine)))
    with pytest.raises(FileNotFoundError, match=r"no faces of person a and b .*01_extract_faces"):
        need_faces(project)
    project.faces("a").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no faces of person b in"):
        need_faces(project)
    assert not project.faces("b").exists()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"image_size": 100}, "image_size: expected .*got 100"),
        ({"minutes": 0.0}, "minutes: expected more than 0, got 0.0"),
        ({"light": -1.0}, "light: expected at least 0, got -1.0"),
    ],
)
def test_a_wrong_choice_of_network_says_why(values, text):
    with pytest.raises(ValueError, match=text):
        NetworkChoice(**values)

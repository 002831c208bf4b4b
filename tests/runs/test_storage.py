"""pytest tests/runs/test_storage.py"""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.files import helper_of
from deepfake_utils.runs.checkpoint import Checkpoint, save_checkpoint
from deepfake_utils.runs.store import CheckpointStore, copy_verified


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny)


@pytest.fixture
def fill(model):
    """fill(7) is a checkpoint of step 7 with 7 in all its weights."""

    def fill(number, step=None):
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(number)
        return Checkpoint(model, number if step is None else step, extra={"number": number})

    return fill


@pytest.fixture
def folder(tmp_path, fill):
    """A store's folder with the steps 10 (score 1.0), 20 (score 3.0) and 30 (score 2.0)."""
    store = CheckpointStore(tmp_path / "run")
    for step, score in ((10, 1.0), (20, 3.0), (30, 2.0)):
        store.save(fill(step), score)
    return tmp_path / "run"


def file(folder, step):
    return folder / f"step-{step:08d}.safetensors"


def steps(folder):
    return sorted(int(path.stem[5:]) for path in folder.glob("step-*.safetensors"))


def hidden(folder):
    return [path.name for path in folder.glob(".*")]


def number(checkpoint):
    """What the weights are filled with, which must be the same everywhere."""
    weights = checkpoint.model.parameters()
    values = {value for weight in weights for value in weight.unique().tolist()}
    assert values == {checkpoint.extra["number"]}
    return checkpoint.extra["number"]


def flip(path, position=-100):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# --- saving -------------------------------------------------------------------------------------


def test_what_was_saved_comes_back_and_is_listed(folder):
    store = CheckpointStore(folder)
    assert number(store.latest()) == 30
    assert store.latest().step == 30
    assert number(store.best()) == 20
    assert [(entry.step, entry.score) for entry in store.entries()] == [(10, 1), (20, 3), (30, 2)]
    for entry in store.entries():
        data = (folder / entry.name).read_bytes()
        assert (entry.sha256, entry.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    listed = json.loads((folder / "manifest.json").read_text())["checkpoints"]
    assert [each["name"] for each in listed] == [file(folder, s).name for s in (10, 20, 30)]
    assert hidden(folder) == []


def test_the_last_few_and_the_best_are_kept(tmp_path, fill):
    store = CheckpointStore(tmp_path, keep_last=2)
    kept = []
    for step, score in enumerate((1.0, 5.0, None, 5.0, 0.0, -1.0, None), 1):
        assert store.save(fill(step), score) == file(tmp_path, step)
        kept.append(steps(tmp_path))
    assert kept == [[1], [1, 2], [2, 3], [3, 4], [4, 5], [4, 5, 6], [4, 6, 7]]
    assert [entry.step for entry in store.entries()] == [4, 6, 7]


def test_only_listed_files_are_deleted(tmp_path, fill):
    store = CheckpointStore(tmp_path, keep_last=1)
    store.save(fill(5))
    mine = [file(tmp_path, 1), tmp_path / "notes.txt", tmp_path / ".notes.part"]
    mine += [tmp_path / "step-7.safetensors", tmp_path / "copy of step-00000005.safetensors"]
    for path in mine:
        shutil.copy(file(tmp_path, 5), path)
    for step in (6, 7, 8):
        store.save(fill(step))
    assert all(path.exists() for path in mine)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(path.name for path in mine),
        "manifest.json",
        file(tmp_path, 8).name,
    }


def test_the_same_step_is_replaced(folder, fill, caplog):
    store = CheckpointStore(folder)
    store.save(fill(99, step=30), 9.0)
    assert number(store.latest()) == number(store.best()) == 99
    assert [(entry.step, entry.score) for entry in store.entries()] == [(10, 1), (20, 3), (30, 9)]
    assert not caplog.records


def test_a_save_after_falling_back_is_not_taken_for_old(folder, fill):
    store = CheckpointStore(folder, keep_last=1)
    flip(file(folder, 30))
    assert store.latest().step == 20
    store.save(fill(25))
    assert store.latest().step == 25
    store.save(fill(27))
    assert store.latest().step == 27
    store.save(fill(30))
    assert number(store.latest()) == 30
    assert steps(folder) == [20, 30]  # 20 is the best


def test_what_a_killed_process_left_is_removed(folder, fill):
    helper_of(folder / "manifest.json", ".part").write_bytes(b"half")
    (folder / ".saving").mkdir()
    for name in (".tmpA1b2C3", ".step-00000040.safetensors.part"):
        (folder / ".saving" / name).write_bytes(b"half")
    CheckpointStore(folder).save(fill(50))
    assert hidden(folder) == []


def test_what_cannot_be_saved_changes_nothing(folder, fill):
    def state():
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    before, store = state(), CheckpointStore(folder)
    with pytest.raises(ValueError, match="expected a finite score, got nan"):
        store.save(fill(40), float("nan"))
    for step in (30, 40):
        checkpoint = fill(step)
        checkpoint.extra["it"] = object()
        with pytest.raises(TypeError, match="JSON"):
            store.save(checkpoint)
    assert state() == before


def test_a_full_disk_changes_nothing(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    program = f"""
import resource
from deepfake_utils.runs.store import CheckpointStore
store = CheckpointStore({str(folder)!r})
checkpoint = store.latest()
for limit in (20_000, 100):  # bytes: too few for the checkpoint, and even for the manifest
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for checkpoint.step in (30, 40):
        try:
            store.save(checkpoint, 5.0)
        except OSError as error:
            print("OSError", error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    for step, line in zip((30, 40, 30, 40), run.stdout.splitlines(), strict=True):
        assert line.startswith(f"OSError could not save {file(folder, step)}")
        assert "free some space" in line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (flip, r"expected (\d+) bytes with sha256 \w{64}, got \1 bytes with sha256 \w{64}"),
        (lambda path: flip(path, 200), "got .* with sha256"),
        (lambda path: os.truncate(path, 1000), "got 1000 bytes"),
        (lambda path: path.write_bytes(b""), "got 0 bytes"),
        (lambda path: path.unlink(), r"expected a file of \d+ bytes, got none"),
    ],
    ids=["weights", "header", "cut", "empty", "gone"],
)
def test_the_newest_intact_one_is_taken(folder, fill, harm, message, caplog):
    harm(file(folder, 30))
    assert number(CheckpointStore(folder).latest()) == 20
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    wanted = rf"{re.escape(str(file(folder, 30)))}: .*{message}.*; falling back to step 20"
    assert re.fullmatch(wanted, record.getMessage())


def test_nothing_there_is_none(tmp_path, folder, caplog):
    for path in (tmp_path / "none", tmp_path):
        store = CheckpointStore(path)
        assert store.latest() is store.best() is None
        assert store.entries() == []
    assert not caplog.records
    for step in (10, 20, 30):
        file(folder, step).unlink()
    assert CheckpointStore(folder).latest() is None
    assert "there is none to fall back to" in caplog.text


def test_nothing_intact_says_so(folder):
    for step in (10, 20, 30):
        flip(file(folder, step))
    for load in (CheckpointStore(folder).latest, CheckpointStore(folder).best):
        with pytest.raises(ValueError, match=r"expected an intact .*00000030.*00000010.*anew"):
            load()


def test_an_unlisted_file_counts_if_it_loads(folder, fill, caplog):
    save_checkpoint(file(folder, 40), fill(40))
    store = CheckpointStore(folder)
    assert [entry.step for entry in store.entries()] == [10, 20, 30, 40]
    assert number(store.latest()) == 40
    assert not caplog.records
    os.truncate(file(folder, 40), 5000)
    assert number(store.latest()) == 30
    assert "falling back to step 30" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "\x00\xff", '{"checkpoints": [1]}', '{"checkpoints": [{"name": 3}]}'],
)
def test_a_damaged_manifest_is_rebuilt_from_what_loads(folder, fill, text, caplog):
    (folder / "manifest.json").write_text(text, encoding="latin-1")
    os.truncate(file(folder, 20), 1000)
    store = CheckpointStore(folder, keep_last=2)
    assert number(store.latest()) == 30
    assert "expected a list of checkpoints" in caplog.text
    store.save(fill(40))
    caplog.clear()
    assert number(store.latest()) == 40
    assert steps(folder) == [20, 30, 40]  # 20 does not load, so it may be anything
    assert {entry.step for entry in store.entries() if entry.sha256} == {30, 40}
    assert not caplog.records


def test_a_missing_manifest_loses_nothing(folder, fill, caplog):
    (folder / "manifest.json").unlink()
    store = CheckpointStore(folder, keep_last=1)
    assert number(store.latest()) == 30
    assert "expected a list of checkpoints" in caplog.text
    store.save(fill(40))
    assert steps(folder) == [10, 20, 30, 40]
    flip(file(folder, 40))
    assert number(store.latest()) == 30


@pytest.mark.parametrize("name", ["../victim", "notes.txt", "step-00000002.safetensors"])
def test_a_manifest_cannot_name_other_files(folder, fill, name):
    victims = [folder.parent / "victim", folder / "notes.txt"]
    for victim in victims:
        victim.touch()
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    content["checkpoints"][0]["name"] = name
    manifest.write_text(json.dumps(content))
    for step in (40, 50, 60):
        CheckpointStore(folder, keep_last=1).save(fill(step))
    assert all(victim.exists() for victim in victims)


def test_the_best_intact_one_is_taken(folder, fill, caplog):
    store = CheckpointStore(folder)
    flip(file(folder, 20))
    assert number(store.best()) == 30
    assert "falling back to step 30" in caplog.text
    flip(file(folder, 30))
    assert number(store.best()) == 10
    CheckpointStore(folder, keep_last=4).save(fill(40))
    assert number(store.best()) == 10
    flip(file(folder, 10))
    assert number(store.best()) == 40


def test_wrong_arguments_say_so(tmp_path, folder):
    with pytest.raises(ValueError, match="keep_last: expected 1 or more, got 0"):
        CheckpointStore(tmp_path, keep_last=0)
    with pytest.raises(NotADirectoryError, match="expected a folder, got the file"):
        CheckpointStore(file(folder, 10))
    with pytest.raises(ValueError, match="expected a device"):
        CheckpointStore(folder).latest("toaster")


# --- the mirror ---------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "run", keep_last=2, mirror=tmp_path / "drive")


def test_the_mirror_holds_the_same(tmp_path, store, fill, caplog):
    for step, score in ((1, 9.0), (2, 1.0), (3, None), (4, 2.0)):
        store.save(fill(step), score)
    assert steps(store.mirror) == steps(store.folder) == [1, 3, 4]
    assert CheckpointStore(store.mirror).entries() == store.entries()
    for step in (1, 3, 4):
        assert file(store.mirror, step).read_bytes() == file(store.folder, step).read_bytes()
    assert hidden(store.mirror) == []
    assert not caplog.records


def test_a_new_machine_goes_on_from_the_mirror(tmp_path, store, fill, caplog):
    for step, score in ((1, 9.0), (2, None), (3, None)):
        store.save(fill(step), score)
    shutil.rmtree(store.folder)
    assert number(store.latest()) == 3
    assert number(store.best()) == 1
    store.save(fill(4), 3.0)
    assert steps(store.folder) == [4]
    assert steps(store.mirror) == [1, 3, 4]
    assert number(store.best()) == 1
    assert not caplog.records


def test_the_newest_intact_of_both_is_taken(store, fill, caplog):
    for step in (1, 2, 3):
        store.save(fill(step))
    flip(file(store.folder, 3))
    assert number(store.latest()) == 3  # from the mirror
    assert str(file(store.folder, 3)) in caplog.text
    flip(file(store.mirror, 3))
    assert number(store.latest()) == 2
    flip(file(store.folder, 2))
    assert number(store.latest()) == 2
    flip(file(store.mirror, 2))
    with pytest.raises(ValueError, match="expected an intact checkpoint"):
        store.latest()


def test_a_mirror_that_cannot_be_used_stops_nothing(tmp_path, fill, caplog):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / file(tmp_path, 1).name).mkdir(parents=True)
    broken = [tmp_path / "file", tmp_path / "file" / "x", tmp_path / "unmounted" / "run"]
    for mirror in (*broken, tmp_path / "taken"):
        caplog.clear()
        store = CheckpointStore(tmp_path / "run", mirror=mirror)
        store.save(fill(1))
        assert f"cannot use the mirror {mirror}" in caplog.text
        assert "the next save tries again" in caplog.text
        assert number(store.latest()) == 1
    assert not (tmp_path / "unmounted").exists()  # or mounting there would fail
    assert hidden(tmp_path / "taken") == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_a_mirror_without_write_permission_stops_nothing(store, fill, caplog):
    store.mirror.mkdir(mode=0o500)
    store.save(fill(1))
    assert "cannot use the mirror" in caplog.text
    assert number(store.latest()) == 1


def test_the_mirror_catches_up(tmp_path, fill, caplog):
    store = CheckpointStore(tmp_path / "run", keep_last=2, mirror=tmp_path / "drive" / "run")
    for step, score in ((1, 9.0), (2, None), (3, None)):
        store.save(fill(step), score)
    assert len(caplog.records) == 3
    (tmp_path / "drive").mkdir()
    store.save(fill(4))
    assert len(caplog.records) == 3
    assert steps(store.mirror) == [1, 3, 4]
    file(store.mirror, 4).unlink()
    (store.mirror / "manifest.json").write_text("damaged")
    store.save(fill(5))
    assert CheckpointStore(store.mirror).entries() == store.entries()
    assert steps(store.mirror) == [1, 4, 5]


def test_the_mirror_takes_no_damaged_file(store, fill, caplog):
    store.save(fill(1))
    file(store.mirror, 1).unlink()
    flip(file(store.folder, 1))
    store.save(fill(2))
    assert steps(store.mirror) == [2]
    assert hidden(store.mirror) == []
    assert "expected sha256" in caplog.text


def test_a_copy_is_verified(tmp_path):
    source, target = tmp_path / "a", tmp_path / "new" / "b"
    source.write_bytes(bytes(range(256)) * 10_000)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert copy_verified(source, str(target)) == sha256
    assert copy_verified(str(source), target, sha256) == sha256
    assert target.read_bytes() == source.read_bytes()
    target.write_text("earlier")
    with pytest.raises(OSError, match=rf"expected sha256 0000.*, got {sha256} twice; check"):
        copy_verified(source, target, "0" * 64)
    with pytest.raises(FileNotFoundError):
        copy_verified(tmp_path / "none", target)
    assert target.read_text() == "earlier"
    assert [path.name for path in target.parent.iterdir()] == ["b"]


# --- kills --------------------------------------------------------------------------------------

KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path

import torch

from deepfake_utils.autoencoder import AutoencoderConfig, FaceSwapAutoencoder
from deepfake_utils.runs.checkpoint import Checkpoint
from deepfake_utils.runs.store import CheckpointStore

torch.set_num_threads(1)
root = Path(sys.argv[1])
config = AutoencoderConfig(
    image_size=32, base_channels=16, max_channels=64, code_size=64, decoder_channels=32
)
model = FaceSwapAutoencoder(config)
store = CheckpointStore(root / "run", keep_last=2, mirror=root / "drive")
moved = CheckpointStore(root / "empty", mirror=root / "drive")


def save(number):
    weights = model.state_dict()
    for weight in weights.values():
        weight.fill_(number)
    average = {name: weight.clone() for name, weight in weights.items()}
    moments = {"0.exp_avg": torch.full((9,), float(number))}
    step = number // 2 * 2  # every second save replaces the one before it
    store.save(Checkpoint(model, step, average, moments, extra={"number": number}), number % 5)


def read(checkpoint):
    groups = (checkpoint.model.state_dict(), checkpoint.average, checkpoint.optimizer)
    values = {float(v) for group in groups for w in group.values() for v in (w.min(), w.max())}
    assert values == {checkpoint.extra["number"]}, values
    assert checkpoint.step == min(values) // 2 * 2
    return int(min(values))


def parts():
    # Unfinished files; the time tells them from those that an earlier kill left.
    found = [*root.glob("*/.*.part"), *root.glob("*/.saving/*")]
    return {(path, path.stat().st_mtime_ns) for path in found}


start = time.perf_counter()
for number in range(1, 5):
    save(number)
duration = (time.perf_counter() - start) / 4
saved, rng, kills = number, random.Random(0), int(sys.argv[2])
for kill in range(kills):
    earlier, (receive, send) = parts(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(send, b"0 ")
        while True:
            number += 1
            save(number)
            os.write(send, b"%d " % number)
    os.close(send)
    with open(receive, "rb", buffering=0) as pipe:
        reported = pipe.read(2)  # waits until the child is about to save
        time.sleep(2 * duration * (kill + rng.random()) / kills)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reported += pipe.read(10_000)
    saved = int(reported.split()[-1]) or saved
    found = [str(path.relative_to(root)) for path, _ in parts() - earlier]
    number, mirrored = read(store.latest()), read(moved.latest())
    assert saved <= mirrored <= number, (saved, mirrored, number, found)
    print(json.dumps(found))
save(number + 1)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_at_most_the_save_it_hit(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path), "30"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""  # not even a warning
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(found) == 30
    for name in ("run", "drive"):
        hits = sum(f"{name}/.saving" in str(each) for each in found)
        assert hits >= 2, f"{name}: too few kills were in the middle of writing: {found}"
        assert hidden(tmp_path / name) == []  # the last save tidies up
        listed = CheckpointStore(tmp_path / name).entries()
        assert len(listed) == len(steps(tmp_path / name)) <= 3


# --- one writer ---------------------------------------------------------------------------------

SAVES = """
import sys
from deepfake_utils.runs.store import CheckpointStore
store = CheckpointStore(sys.argv[1])
store.hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_one_program_at_a_time_saves(folder, fill):
    store, command = CheckpointStore(folder), [sys.executable, "-c", SAVES, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match="being trained by another notebook or program"):
            store.save(fill(40))
        assert store.latest().step == 30  # looking is allowed
        other.kill()
    store.save(fill(40))  # its lock file is there, but nobody holds it any more
    CheckpointStore(folder).save(fill(50))  # another object of this program


def test_a_run_that_somebody_else_went_on_with_is_not_mixed_up(folder, fill):
    mine, other = CheckpointStore(folder), CheckpointStore(folder)
    mine.latest(), other.latest()
    other.save(fill(31))
    with pytest.raises(RuntimeError, match=r"another run has saved step-00000031.* since"):
        mine.save(fill(35))
    assert steps(folder) == [10, 20, 30, 31][1:]
    assert mine.latest().step == 31
    mine.save(fill(35))  # it knows now


def test_what_a_killed_single_save_left_is_removed(tmp_path, fill):
    left = tmp_path / ".saving" / "0123456789ab"
    left.mkdir(parents=True)
    (left / "c.safetensors").write_bytes(bytes(1000))
    save_checkpoint(tmp_path / "other.safetensors", fill(1))
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_mirror_that_hangs_holds_nothing_up(tmp_path, fill, caplog):
    drive = tmp_path / "drive"
    drive.mkdir()
    os.mkfifo(drive / "manifest.json")  # reading it waits until somebody writes
    store = CheckpointStore(tmp_path / "run", mirror=drive, patience_s=0.1)
    began = time.monotonic()
    for step in (1, 2, 3):
        store.save(fill(step))
        assert number(store.latest()) == step
    assert time.monotonic() - began < 5.0
    assert "slow or hangs: it is used in the background, all else goes on" in caplog.text
    with (drive / "manifest.json").open("w"):  # now it answers, and is like any other
        (drive / "manifest.json").unlink()
    end = time.monotonic() + 20.0
    while steps(drive) != [1, 2, 3] and time.monotonic() < end:
        time.sleep(0.05)
    assert steps(drive) == [1, 2, 3]

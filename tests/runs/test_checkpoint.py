"""pytest tests/runs/test_checkpoint.py"""

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import deepfake_utils
from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.consent import ConsentNote
from deepfake_utils.devices import place
from deepfake_utils.runs.checkpoint import (
    Checkpoint,
    hardly_trained,
    load_checkpoint,
    save_checkpoint,
    weights_sha256,
)

PACKAGE = Path(deepfake_utils.__file__).parent


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny).eval()


@pytest.fixture
def path(tmp_path, model):
    return save_checkpoint(tmp_path / "new" / "c.safetensors", Checkpoint(model, 7))


def test_what_was_saved_draws_the_same_to_the_bit(path, model):
    faces = torch.rand(2, 3, 32, 32)
    loaded = load_checkpoint(path)
    assert loaded.model.config == model.config
    assert loaded.step == 7
    assert loaded.average == loaded.optimizer == loaded.extra == {}
    for identity in ("A", "B"):
        assert torch.equal(loaded.best_model()(faces, identity), model(faces, identity))


def test_everything_comes_back(tmp_path, model):
    average = {name: value + 1.0 for name, value in model.state_dict().items()}
    optimizer = {"0.exp_avg": torch.rand(3), "0.step": torch.tensor(5.0), "11.x": torch.rand(2, 2)}
    extra = {"numbers": [[1, 0.1 + 0.2, 1e-300]], "text": "é", "none": None}
    history = torch.tensor([[1, 0.1 + 0.2, 1e-300]], dtype=torch.float64)
    saved = Checkpoint(place(model, torch.device("cpu")), 3, average, optimizer, history, extra)
    loaded = load_checkpoint(save_checkpoint(tmp_path / "c.safetensors", saved))
    assert loaded.extra == extra
    assert torch.equal(loaded.history, history)
    for found, wanted in (
        (loaded.average, average),
        (loaded.optimizer, optimizer),
        (loaded.model.state_dict(), model.state_dict()),
    ):
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_best_model_is_the_averaged_one(tmp_path, model):
    faces = torch.rand(1, 3, 32, 32)
    average = FaceSwapAutoencoder(model.config, seed=1).eval()
    saved = Checkpoint(model, 1, average.state_dict())
    loaded = load_checkpoint(save_checkpoint(tmp_path / "c.safetensors", saved))
    assert torch.equal(loaded.model(faces, "A"), model(faces, "A"))
    best = loaded.best_model()
    assert torch.equal(best(faces, "A"), average(faces, "A"))
    assert not best.training
    assert not torch.equal(average(faces, "A"), model(faces, "A"))


def without_checksum(file):
    """A file's header, so that what the reader checks beside its sum can be looked at."""
    return {name: text for name, text in file.metadata().items() if name != "sha256"}


def in_the_older_form(path, errors):
    """Rewrite a checkpoint as it was before the network had a buffer for its usual error."""
    with safe_open(path, framework="pt") as file:
        header = without_checksum(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    extra = {**json.loads(header["extra"]), "usual_error": errors}
    plain = {name: value for name, value in tensors.items() if "usual_error" not in name}
    assert len(plain) < len(tensors)
    save_file(plain, path, {**header, "extra": json.dumps(extra)})


@pytest.mark.parametrize("errors", [{}, {"B": 0.25}, {"A": 0.125, "B": 0.25}])
@pytest.mark.parametrize("averaged", [False, True])
def test_files_of_before_the_buffer_load_and_draw_the_same(tmp_path, model, errors, averaged):
    average = FaceSwapAutoencoder(model.config, seed=1).eval()
    saved = Checkpoint(model, 1, average.state_dict() if averaged else {}, extra={"number": 7})
    path = save_checkpoint(tmp_path / "c.safetensors", saved)
    in_the_older_form(path, errors)
    loaded = load_checkpoint(path)
    assert loaded.extra == {"number": 7}
    best, faces = loaded.best_model(), torch.rand(1, 3, 32, 32)
    assert torch.equal(best(faces, "A"), (average if averaged else model)(faces, "A"))
    assert [best.usual_error_of(who) for who in ("A", "B")] == [errors.get("A"), errors.get("B")]


def test_what_is_known_of_a_network_travels_with_it(tmp_path, model):
    known = weights_sha256(model)
    model.usual_error[1] = 0.25
    model.consent = (ConsentNote("0" * 64, ("consent", "self")),)
    path = save_checkpoint(tmp_path / "c.safetensors", Checkpoint(model, 1))
    again = save_checkpoint(tmp_path / "again.safetensors", load_checkpoint(path))
    for loaded in map(load_checkpoint, (path, again)):
        assert loaded.extra == {}
        assert loaded.model.consent == model.consent
        assert loaded.model.usual_error_of("A") is None
        assert loaded.model.usual_error_of("B") == 0.25
        # Notes in films that were signed before the measurement name these very weights.
        assert weights_sha256(loaded.model) == known


def test_a_network_that_is_hardly_trained_is_said_to_be_so(path, model):
    assert hardly_trained(model) is None  # not measured
    for scores in (None, [], [[0, 13.0], [50, 22.0]], [[50, 29.0]], [[40, 13.0]]):
        saved = Checkpoint(model, 50, extra={} if scores is None else {"scores": scores})
        assert hardly_trained(saved.best_model()) is None  # the last one is of another step
    saved = Checkpoint(model, 20, extra={"scores": [(0, 23.0), (20, 21.94)]})
    assert hardly_trained(load_checkpoint(save_checkpoint(path, saved)).best_model()) == (
        "this network is hardly trained: 21.9 dB on faces held out, below 22 dB; it draws a smear, "
        "train it for longer"
    )


def test_the_file_is_replaced_whole(path, model):
    save_checkpoint(path, Checkpoint(model, 8))
    assert load_checkpoint(path).step == 8
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failing_write_leaves_the_earlier_file(path, model):
    before = path.read_bytes()
    with pytest.raises(TypeError, match="JSON"):
        save_checkpoint(path, Checkpoint(model, 8, extra={"it": object()}))
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_earlier_file(path):
    before = path.read_bytes()
    program = f"""
import resource, signal
from deepfake_utils.runs.checkpoint import load_checkpoint, save_checkpoint
checkpoint = load_checkpoint({str(path)!r})
checkpoint.step = 9
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails instead of the process
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_checkpoint({str(path)!r}, checkpoint)
except OSError as error:
    print("OSError", error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("OSError")
    assert str(path) in run.stdout and "space" in run.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_name_that_cannot_be_written_says_so(tmp_path, model):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save_checkpoint(tmp_path / "file" / "c.safetensors", Checkpoint(model, 0))
    (tmp_path / "c.safetensors").mkdir()
    with pytest.raises(OSError, match=r"c\.safetensors"):
        save_checkpoint(tmp_path / "c.safetensors", Checkpoint(model, 0))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.safetensors", "file"]
    for name in ("c.pt", "c", "c.safetensors.zip"):
        with pytest.raises(ValueError, match=r"ending in \.safetensors, got"):
            save_checkpoint(tmp_path / name, Checkpoint(model, 0))
        with pytest.raises(ValueError, match=r"ending in \.safetensors, got"):
            load_checkpoint(tmp_path / name)


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [pickle.dumps, torch.save])
def test_pickles_are_not_executed(tmp_path, write):
    path, trace = tmp_path / "c.safetensors", tmp_path / "executed"
    if write is torch.save:
        torch.save(Payload(trace), path)
    else:
        path.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        load_checkpoint(path)
    assert not trace.exists()


def test_the_package_has_no_means_to_unpickle():
    for source in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None), *(alias.name for alias in node.names)]
                if modules != ["pickle", "UnpicklingError"]:  # raised, not made use of
                    known = {"pickle", "joblib", "dill", "marshal", "shelve"}
                    assert not known & set(modules), source
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("torch.hub.load", "eval", "exec"), source
                if called == "np.load":
                    assert "allow_pickle=False" in ast.unparse(node), source
                if called == "torch.load":  # of old weights, tensors only
                    assert source.stem == "seed_weights"
                    assert "weights_only=True" in ast.unparse(node)


def test_damaged_and_other_files_say_so(path, tmp_path):
    data = path.read_bytes()
    for part in (b"", data[:5], data[:500], data[:-1]):
        path.write_bytes(part)
        with pytest.raises(ValueError, match=r"expected a whole safetensors file.*c\.safetensors"):
            load_checkpoint(path)
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.rand(3)}, other)
    with pytest.raises(ValueError, match="expected a file of format 'deepfake-utils-2', got None"):
        load_checkpoint(other)
    with pytest.raises(FileNotFoundError, match="no weights at"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"config": json.dumps({"image_size": 64})},
        {"config": json.dumps({"image_size": 100})},
        {"config": json.dumps({"colour": "red"})},
        {"config": "[1]"},
        {"config": None},
        {"step": "many"},
        {"extra": "{"},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_says_so(path, changes):
    with safe_open(path, framework="pt") as file:
        header = {**without_checksum(file), **changes}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    save_file(tensors, path, {name: value for name, value in header.items() if value is not None})
    with pytest.raises(ValueError, match="expected weights that fit the network"):
        load_checkpoint(path)


def test_unknown_tensors_say_so(path):
    with safe_open(path, framework="pt") as file:
        header = without_checksum(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    save_file({**tensors, "stranger.x": torch.rand(2)}, path, header)
    with pytest.raises(ValueError, match="stranger"):
        load_checkpoint(path)

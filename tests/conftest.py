"""What several test files use: tiny networks, a drawn face, and crops of the sample people."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
import torch
from filelock import FileLock

from deepfake_utils.autoencoder import AutoencoderConfig
from deepfake_utils.extraction import FACES_FILE, FaceSet, extract_faces
from deepfake_utils.faces import align_face
from deepfake_utils.marking.signer import FOLDER_VARIABLE
from deepfake_utils.samples import load_truth, sample_clips, sample_consent
from deepfake_utils.video import read_frames


@pytest.fixture(scope="session", autouse=True)
def _interrupts_arrive() -> None:
    """A shell's `&` has its programs, and theirs, ignore SIGINT, which some tests send."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that the tests start never see the user's folder."""
    os.environ[FOLDER_VARIABLE] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """A fresh signer for each test that signs."""
    folder = tmp_path_factory.getbasetemp() / f"config-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))


@pytest.fixture(autouse=True)
def _few_threads_and_seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def tiny() -> AutoencoderConfig:
    """A network of a few thousand weights at 32 px."""
    return AutoencoderConfig(
        image_size=32,
        base_channels=8,
        max_channels=16,
        code_size=16,
        decoder_channels=16,
        min_channels=8,
    )


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    """A smooth coloured picture, 64x64, without symmetry."""
    noise = rng.random((8, 8, 3)).astype(np.float32)
    smooth = cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC)
    return np.uint8(np.clip(smooth, 0, 1) * 255)


@pytest.fixture(scope="session")
def frame() -> np.ndarray:
    """Frame 0 of person A, (384, 384, 3)."""
    return next(iter(read_frames(sample_clips().person_a)))


@pytest.fixture(scope="session")
def points() -> np.ndarray:
    """The true landmarks of `frame`, (68, 2)."""
    return load_truth().landmarks_a[0]


def _truth_landmarker(landmarks: np.ndarray):
    """A landmarker that knows the answer: frame by frame the renderer's points."""
    known = iter(landmarks)

    def true_points(frame: np.ndarray) -> list[np.ndarray]:
        return [next(known)]

    return true_points


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of 12 crops each, person A and person B, cut by the true landmarks."""
    clips, truth = sample_clips(), load_truth()
    folder = tmp_path_factory.mktemp("crops")
    for name, clip, landmarks in (
        ("a", clips.person_a, truth.landmarks_a),
        ("b", clips.person_b, truth.landmarks_b),
    ):
        frames = read_frames(clip, 0.0, 12.0, 25)
        find, consent = _truth_landmarker(landmarks[::25]), sample_consent(name.upper())
        extract_faces(frames, folder / name, find, size=128, consent=consent)
    return folder / "a", folder / "b"


@pytest.fixture
def own_crops(crops: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of person A's 12 crops to be changed: its faces.json knows no hashes of them."""
    folder = Path(shutil.copytree(crops[0], tmp_path / "a"))
    record = json.loads((folder / FACES_FILE).read_text())
    for entry in record["faces"].values():
        del entry["sha256"]
    (folder / FACES_FILE).write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="session")
def face_set(frame: np.ndarray, points: np.ndarray) -> FaceSet:
    """Four times the same crop, in memory."""
    face = align_face(frame, points, 96)
    return FaceSet(np.stack([face.image] * 4), np.stack([face.landmarks] * 4), 0.5, ())


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory):
    """executed("04_score"): (output folder, notebook) of its one short run, made when asked for.

    The processes of pytest-xdist share these runs.
    """
    notebooks = Path(__file__).parents[1] / "notebooks"
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def run(name: str):
        folder = shared / f"executed-{name}"
        folder.mkdir(exist_ok=True)
        done, output = folder / "executed.ipynb", folder / "output"
        with FileLock(folder / "lock"):
            if not done.exists():
                made = subprocess.run(
                    [sys.executable, notebooks / "run.py", f"{name}.ipynb", folder / "new.ipynb"],
                    env={**os.environ, "FAST_RUN": "1", "DEEPFAKE_OUTPUT": str(output)},
                    capture_output=True,
                    text=True,
                    timeout=900,  # two minutes on two free cores
                )
                assert made.returncode == 0, made.stderr[-3000:]
                (folder / "new.ipynb").rename(done)
        return output, nbformat.read(done, as_version=4)

    return run

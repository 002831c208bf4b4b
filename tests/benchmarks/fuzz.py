"""Damage every kind of file that may come from elsewhere, and read it: only the errors that the
readers' texts name may come, and memory stays under a bound.

    python tests/benchmarks/fuzz.py [seconds] [seed]
"""

from __future__ import annotations

import io
import json
import logging
import random
import re
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import torch

from deepfake_utils.autoencoder import AutoencoderConfig, FaceSwapAutoencoder
from deepfake_utils.consent import Subject, read_consent, write_consent
from deepfake_utils.curation import Curation
from deepfake_utils.dataset import FaceDataset
from deepfake_utils.extraction import FaceSet, extract_faces, load_faces
from deepfake_utils.images import read_image, write_image
from deepfake_utils.marking import read_provenance, training_refused, write_gif, write_picture
from deepfake_utils.panels.downloads import unpack
from deepfake_utils.runs import Checkpoint, CheckpointStore, Clip, Project
from deepfake_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.training.recipe import TrainConfig
from deepfake_utils.training.trainer import Trainer
from deepfake_utils.video import read_frames, read_video_info

DOCUMENTED = (ValueError, OSError)  # PermissionError and FileNotFoundError are OSErrors
MEMORY_MB = 1500  # that this program may come to have
TINY = AutoencoderConfig(
    image_size=32,
    base_channels=8,
    max_channels=16,
    code_size=16,
    decoder_channels=16,
    min_channels=8,
)
DEEP = "[" * 100_000 + "]" * 100_000
ODD = (
    None, True, 0, -1, 10**30, 1e308, 0.5, "", "x", "../../x", "a\nb\x1b[2J", "\udc00", [], {},
    [[]], {"": {}}, [1, "a", None], "NaN",
)  # fmt: skip


class Target(NamedTuple):
    """A file that is read."""

    path: Path  # of the file
    whole: bytes  # what is in it when all is well
    read: Callable[[], object]
    json: bool  # whether it is JSON, whose values can be exchanged


def exchange(value: Any, rng: random.Random) -> Any:
    """A record with something odd somewhere in it."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        copy = dict(value) if isinstance(value, dict) else list(value)
        key = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
        if isinstance(copy, dict) and rng.random() < 0.1:
            del copy[key]
        else:
            copy[key] = exchange(copy[key], rng)
        return copy
    return rng.choice(ODD)


def damage(data: bytes, rng: random.Random, is_json: bool) -> bytes:
    """Other content: cut, flipped, swapped about, or JSON with odd values."""
    if is_json and rng.random() < 0.7:
        if rng.random() < 0.03:
            return DEEP.encode()
        text = json.dumps(exchange(json.loads(data), rng))
        return text.replace('"NaN"', rng.choice(("NaN", "1e999", "-Infinity"))).encode()
    kind, changed = rng.randrange(4), bytearray(data)
    front = rng.random() < 0.6  # where headers are
    if kind == 0:
        return data[: rng.randrange(len(data))]
    for _ in range(rng.choice((1, 2, 8, 40))):
        at = rng.randrange(min(len(data), 600) if front else len(data))
        if kind == 1:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x80"))
        else:
            changed[at : at + 8] = rng.randbytes(rng.randrange(16))
    return bytes(changed)


def pictures(folder: Path, frame: np.ndarray) -> list[Path]:
    """Signed ones, and one of each other format."""
    paths = [write_picture(folder / f"signed.{end}", frame) for end in ("png", "jpg")]
    paths.append(write_gif(folder / "signed.gif", [frame]))
    small = cv2.resize(frame, (64, 64))
    return paths + [write_image(folder / f"plain.{end}", small) for end in ("webp", "tif", "bmp")]


def media(folder: Path) -> list[Path]:
    """A short film in several containers."""
    frames, made = list(read_frames(sample_clips().person_a, 0.0, 0.2)), []
    for end, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4"), ("ts", "h264")):
        path = folder / f"film.{end}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width = stream.height = 96
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                small = av.VideoFrame.from_ndarray(cv2.resize(frame, (96, 96)), format="rgb24")
                container.mux(stream.encode(small))
            container.mux(stream.encode(None))
        made.append(path)
    return made


def archives(folder: Path) -> list[Path]:
    """A zip and two tars."""
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a.txt", "b/c.txt"):
            file.writestr(name, b"text" * 2000)
    for end, mode in (("tar", "w"), ("tgz", "w:gz")):
        with tarfile.open(folder / f"x.{end}", mode) as tar:
            for name in ("a.txt", "b/c.txt"):
                member = tarfile.TarInfo(name)
                member.size = 8000
                tar.addfile(member, io.BytesIO(b"text" * 2000))
    return [folder / f"x.{end}" for end in ("zip", "tar", "tgz")]


def look_at_video(path: Path) -> None:
    """As a panel does, and some frames."""
    read_video_info(path)
    for _ in read_frames(path, stride=2):
        pass


def unpack_anew(path: Path) -> None:
    """Unpack, and remove what came of it."""
    import shutil

    shutil.rmtree(unpack(path))


def resume(path: Path, faces: FaceSet) -> None:
    """Load a checkpoint and go on with it, as far as the first step."""
    saved = load_checkpoint(path)
    saved.best_model()
    batches = iter(()), iter(())
    Trainer.resume(saved, *batches, device="cpu")


def targets(root: Path) -> dict[str, Target]:
    """Every kind of foreign file, whole, with what reads it."""
    frame = next(iter(read_frames(sample_clips().person_a)))
    points = load_truth().landmarks_a[0]
    folder = root / "faces"
    agreed = Subject("A", "synthetic")
    extract_faces([frame] * 3, folder, lambda _: [points], 64, consent=agreed)
    curation = Curation(folder, identity=False)
    curation.drop(0)
    assert curation.table
    faces = load_faces(folder)
    write_consent(root, agreed, Subject("B", "self"))
    store = CheckpointStore(root / "run")
    trainer = Trainer(FaceSwapAutoencoder(TINY), iter(()), iter(()), TrainConfig(), "cpu")
    single = save_checkpoint(root / "one.safetensors", trainer.checkpoint())
    for step in (1, 2):
        store.save(Checkpoint(trainer.model, step), float(step))
    project = Project(root)
    project.choose_clip("a", Clip(str(sample_clips().person_a), 1.0, 2.0))

    def look_through() -> None:
        again = Curation(folder, identity=False)
        assert again.table
        again.undo()

    def train() -> None:
        FaceDataset(folder, 32)

    found: dict[str, tuple[Path, Callable[[], object]]] = {
        "checkpoint": (single, lambda: resume(single, faces)),
        "faces.json": (folder / "faces.json", train),
        "faces.json, panel": (folder / "faces.json", look_through),
        "consent.json": (folder / "consent.json", train),
        "consent.json alone": (root / "consent.json", lambda: read_consent(root)),
        "project.json": (root / "project.json", lambda: (project.clips, project.read("x"))),
        "journal.json": (folder / "dropped" / "journal.json", look_through),
        "measures.json": (folder / "measures.json", look_through),
        "manifest.json": (
            root / "run" / "manifest.json",
            lambda: CheckpointStore(root / "run").latest(),
        ),
    }
    for path in pictures(root, frame):
        found[f"marks of {path.name}"] = (path, lambda path=path: read_provenance(path))
        found[f"wish in {path.name}"] = (path, lambda path=path: training_refused(path))
        if path.suffix != ".gif":
            found[f"picture {path.name}"] = (path, lambda path=path: read_image(path))
    for path in media(root):
        found[path.name] = (path, lambda path=path: look_at_video(path))
    for path in archives(root):
        found[path.name] = (path, lambda path=path: unpack_anew(path))
    return {
        name: Target(path, path.read_bytes(), read, path.suffix == ".json")
        for name, (path, read) in found.items()
    }


def remember(root: Path) -> dict[Path, bytes]:
    """All files below a folder."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def put_back(root: Path, kept: dict[Path, bytes]) -> None:
    """Undo what reading a damaged file changed, such as moving crops, and the damage."""
    for path in root.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    for path, data in kept.items():
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(data)


def peak_mb() -> float:
    """Most memory that this process held; `ru_maxrss` may be that of the process that began it."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1.024 / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(seconds: float = 600.0, seed: int = 0) -> None:
    """Read damaged files for so long, and print how often, and what came."""
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    rng, counts = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as root:
        all_of_them = targets(Path(root))
        kept = remember(Path(root))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name = rng.choice(list(all_of_them))
            target = all_of_them[name]
            target.path.write_bytes(damage(target.whole, rng, target.json))
            try:
                target.read()
                counts[f"{name}: read"] += 1
            except DOCUMENTED as error:
                counts[f"{name}: {type(error).__name__}"] += 1
            except BaseException:
                print(f"{name}, seed {seed}: after {counts.total()} files", file=sys.stderr)
                Path(tempfile.gettempdir(), "fuzz-found").write_bytes(target.path.read_bytes())
                raise
            put_back(Path(root), kept)
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    peak = peak_mb()
    print(f"seed {seed}: {counts.total()} damaged files in {seconds:.0f} s, {peak:.0f} MB at most")
    if peak > MEMORY_MB:
        raise MemoryError(f"expected at most {MEMORY_MB} MB, got {peak:.0f}")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((float, int), sys.argv[1:], strict=False)))

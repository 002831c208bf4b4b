"""Kill real processes at random moments, and see that what they were at is whole or as before.

    python tests/benchmarks/kills.py [kills] [seed]

Three jobs, each killed so often (SIGKILL, which nothing can catch): extracting faces into a folder
that holds another person's, rendering over an earlier video, dropping and taking back crops. After
each kill a fresh process looks at what is there. Checkpoints are killed in
`tests/runs/test_storage.py`.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from deepfake_utils.consent import Subject
from deepfake_utils.curation import Curation
from deepfake_utils.extraction import extract_faces, load_faces
from deepfake_utils.marking import MarkedVideoWriter, read_provenance
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.video import read_frames, read_video_info

FACES = 12
FRAMES = 12


def in_a_process(work: Callable[[], object]) -> int:
    """Fork, work there, and give the child's number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def make_turns(turns: Iterator[object], send: int) -> None:
    """Tell of each turn that is made."""
    for _ in turns:
        os.write(send, b".")


def attack(
    name: str,
    folder: Path,
    turns: Callable[[Path], Iterator[object]],
    check: Callable[[Path], None],
    kills: int,
    rng: random.Random,
) -> int:
    """Kill the process that makes `turns`, and `check` what it left.

    Returns:
        How many kills left something unfinished, which is hidden.
    """
    hit, duration = 0, 1.0
    for kill in range(kills + 1):
        receive, send = os.pipe()
        child = in_a_process(partial(make_turns, turns(folder), send))
        os.close(send)
        with open(receive, "rb", buffering=0) as told:  # noqa: PTH123 (no path)
            first = told.read(1)  # the first turn is made
            began = time.perf_counter()
            if kill == 0:  # only timed
                first = told.read(1)
                duration = time.perf_counter() - began
            else:
                time.sleep(2.0 * duration * rng.random())
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if not first:
            raise RuntimeError(f"{name}: the process ended by itself")
        hit += kill > 0 and any(p.name.startswith(".") for p in folder.rglob("*"))
        checker = in_a_process(lambda: check(folder))
        if os.waitpid(checker, 0)[1]:
            raise RuntimeError(f"{name}: kill {kill} left something half done in {folder}")
    return hit


# Extraction -----------------------------------------------------------------------------------


def extract_in_turn(folder: Path) -> Iterator[None]:
    """Person A's faces, then B's over them, and so on."""
    points = load_truth().landmarks_a[0]
    frame = next(iter(read_frames(sample_clips().person_a)))
    while True:
        for who, picture in (("A", frame), ("B", 255 - frame)):
            faces = [np.roll(picture, shift, axis=0) for shift in range(FACES)]
            agreed = Subject(who, "synthetic")
            extract_faces(
                faces, folder / "faces", lambda _: [points], 64, overwrite=True, consent=agreed
            )
            yield


def check_faces(folder: Path) -> None:
    """One person's faces, all of them, under their own consent."""
    faces = load_faces(folder / "faces")
    (subject,) = faces.consent.subjects
    dark = bool(faces.images.mean() < 128.0)
    levels = {bool(image.mean() < 128.0) for image in faces.images}
    known = (folder / "who").read_text() if (folder / "who").exists() else None
    if known is None:  # A's frame is the darker or the lighter one: told once, by the first check
        (folder / "who").write_text(f"{subject.id} {dark}")
        known = f"{subject.id} {dark}"
    a_is_dark = (known.split()[0] == "A") == (known.split()[1] == "True")
    assert len(faces) == FACES, len(faces)
    assert levels == {dark}
    assert (subject.id == "A") == (dark == a_is_dark)
    assert len(Curation(folder / "faces", identity=False).kept) == FACES


# Rendering ------------------------------------------------------------------------------------


def render_in_turn(folder: Path) -> Iterator[None]:
    """The same video over and over, through the door by which every swap leaves."""
    frames = list(islice(read_frames(sample_clips().person_b_as_a), FRAMES))
    while True:
        with MarkedVideoWriter(folder / "swap.mp4", fps=25, size_wh=(384, 384)) as writer:
            for frame in frames:
                writer.write(frame)
        yield


def check_video(folder: Path) -> None:
    """Whole, marked and signed, and alone."""
    path = folder / "swap.mp4"
    assert read_video_info(path).frame_count == FRAMES
    found = read_provenance(path)
    assert found.sound and found.disclosed and found.state == "intact", str(found)
    assert [each.name for each in folder.iterdir() if each.name[0] != "."] == ["swap.mp4"]


# Curation -------------------------------------------------------------------------------------


def curate_in_turn(folder: Path) -> Iterator[None]:
    """Drop some, take back some, undo."""
    if not (folder / "faces").exists():
        next(extract_in_turn(folder))
    rng = random.Random(os.getpid())
    while True:
        curation = Curation(folder / "faces", identity=False)
        act = rng.choice(("drop", "keep", "undo"))
        if act == "undo":
            curation.undo()
        elif act == "keep":
            curation.keep(list(curation.dropped)[:3])
        else:
            kept = list(curation.kept)
            curation.drop(rng.sample(kept, min(4, len(kept) - 1)))
        yield


def check_curation(folder: Path) -> None:
    """Each crop is there once, as it was."""
    curation = Curation(folder / "faces", identity=False)
    assert len(curation.names) == FACES and len(load_faces(folder / "faces")) >= 1
    assert not set(curation.kept) & set(curation.dropped)
    content = {curation.path(name).read_bytes() for name in curation.names}
    digest = hashlib.sha256(b"".join(sorted(content))).hexdigest()
    said = folder / "content"
    if not said.exists():
        said.write_text(digest)
    assert said.read_text() == digest


JOBS = {
    "extraction": (extract_in_turn, check_faces),
    "rendering": (render_in_turn, check_video),
    "curation": (curate_in_turn, check_curation),
}


def main(kills: int = 100, seed: int = 0) -> None:
    """Attack each job, and print how it went."""
    for name, (turns, check) in JOBS.items():
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            hit = attack(name, Path(folder), turns, check, kills, random.Random(seed))
        took = time.perf_counter() - began
        print(f"{name}: {kills} kills, {hit} in the middle, nothing half done ({took:.0f} s)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

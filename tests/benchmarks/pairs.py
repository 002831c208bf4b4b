"""Pairs of synthetic people with the right answer: make them, swap, and score each.

    python tests/benchmarks/pairs.py FOLDER [--model ict_heads.npz] [--pairs 8] [--size 256]
        [--steps N] [--train-seconds 12] [--test-seconds 3]

Each pair gets a folder: person_a.mp4 (12 s to train on, then 3 s of test), person_b.mp4 (12 s),
person_b_as_a.mp4 (B doing A's last 3 s in A's light and room), truth.npz. A pair that is there is
kept, whatever its size.
With --steps the pairs are trained from scratch (`quick`, 96 px), swapped and scored. The seeds from
900,000 to 900,999 are reserved for these people and performances: train nothing else on them.
"""

import argparse
import dataclasses
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from heads import FPS, HeadModel, Performance, Person, render

import deepfake_utils as du
from deepfake_utils.consent import Subject
from deepfake_utils.video import VideoWriter, read_frames

FIRST_SEED = 900_000  # to 900_999, for nothing but this benchmark
SHOWN = "psnr", "ssim", "sharpness", "to_source", "nearer_source", "mouth", "eyelids"


def film(path, person, performance, frames, size):
    """Write these frames as a clip; their landmarks (n, 68, 2)."""
    places = []
    with VideoWriter(path, fps=FPS, size_wh=(size, size)) as writer:
        for frame in frames:
            image, landmarks = render(person, performance, frame, size)
            writer.write(image)
            places.append(landmarks)
    return np.array(places)


def make_pair(folder, number, size, train_s, test_s, model):
    """Render one pair into `folder`, unless it is there."""
    if (folder / "truth.npz").is_file():
        return
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    mesh, seed = HeadModel(model), FIRST_SEED + 2 * number
    tone = number * 0.618 % 1  # spread over the pairs; the two differ by half the range
    a, b = Person(seed, mesh, tone), Person(seed + 1, mesh, (tone + 0.5) % 1)
    does_a, does_b = Performance(seed, train_s + test_s), Performance(seed + 1, train_s)
    start = round(train_s * FPS)
    parts = {
        "a": (a, does_a, range(does_a.frames)),
        "b": (b, does_b, range(does_b.frames)),
        "b_as_a": (b, does_a, range(start, does_a.frames)),
    }
    known = {}
    for name, (person, does, frames) in parts.items():
        clip = folder / f"person_{name}.mp4"
        known[f"landmarks_{name}"] = film(clip, person, does, frames, size)
        for what in ("pose", "jaw", "blink"):
            known[f"{what}_{name}"] = getattr(does, what)[frames.start : frames.stop]
    np.savez_compressed(folder / "truth.npz", train_s=train_s, **known)


def score_pair(folder, steps):
    """Train on a pair from scratch, swap A's test part, and measure it."""
    find, config = du.MeshLandmarker(), du.preset("quick", 96)
    recipe = dataclasses.replace(du.recipe("quick"), steps=steps)
    with np.load(folder / "truth.npz") as truth, tempfile.TemporaryDirectory() as name:
        work, start_s, batches = Path(name), float(truth["train_s"]), []
        for seed, who in enumerate("ab"):
            agreed = Subject(id=who.upper(), basis="synthetic")
            clip = folder / f"person_{who}.mp4"
            du.extract_clip(clip, work / who, find, 0.0, start_s, consent=agreed)
            faces = du.FaceDataset(work / who, config.image_size, config.coverage)
            batches.append(du.endless_batches(faces, recipe.batch_size, seed=seed))
        trainer = du.Trainer(du.FaceSwapAutoencoder(config), *batches, recipe)
        for _ in trainer.run():
            pass
        swap = work / "swap.mp4"
        target = folder / "person_a.mp4"
        du.swap_video(target, swap, du.Swapper(trainer.average, find), start_s)
        return du.scoring.score_swap(
            read_frames(swap),
            read_frames(target, start_s),
            source=read_frames(folder / "person_b.mp4", stride=25),
            truth=read_frames(folder / "person_b_as_a.mp4"),
            target_points=truth["landmarks_a"][round(start_s * FPS) :],
            truth_points=truth["landmarks_b_as_a"],
            landmarker=find,
        )


def table(cards):
    """Markdown: a row for each measure, the pairs' values, mean, worst, and what bounds them."""
    names = " | ".join(str(number + 1) for number in range(len(cards)))
    lines = [f"| measure | {names} | mean | worst | no swap | perfect |"]
    lines.append("|---" * (len(cards) + 5) + "|")
    for key in SHOWN:
        rows = [row for card in cards for row in card.rows if row.measure.key == key]
        if not rows:
            continue
        measure, values = rows[0].measure, [row.value for row in rows]
        distance = {"higher": lambda v: -v, "lower": lambda v: v}
        worst = max(values, key=distance.get(measure.better, lambda v: abs(v - 1)))
        bounds = [[getattr(row, name) for row in rows] for name in ("no_swap", "perfect")]
        bounds = [None if None in each else float(np.mean(each)) for each in bounds]
        shown = [rows[0].text(v) for v in (*values, float(np.mean(values)), worst, *bounds)]
        lines.append(f"| {measure.name}, {measure.unit} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main():
    """Read the command line, render what is missing, train and score if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="ict_heads.npz; or the variable ICT_HEADS")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, help="train each pair so long and score it")
    parser.add_argument("--train-seconds", type=float, default=12.0)
    parser.add_argument("--test-seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    if not 1 <= arguments.pairs <= 500:
        parser.error(f"expected 1 to 500 pairs, got {arguments.pairs}")
    seconds = arguments.train_seconds, arguments.test_seconds
    folders = [arguments.folder / f"pair_{n + 1}" for n in range(arguments.pairs)]
    with ProcessPoolExecutor(2) as pool:
        jobs = [
            pool.submit(make_pair, folder, n, arguments.size, *seconds, arguments.model)
            for n, folder in enumerate(folders)
        ]
        for job, folder in zip(jobs, folders, strict=True):
            job.result()
            print(folder, flush=True)
    if arguments.steps:
        cards = [score_pair(folder, arguments.steps) for folder in folders]
        print(table(cards))
        print(*sorted({note for card in cards for note in card.notes}), sep="\n")


if __name__ == "__main__":
    main()

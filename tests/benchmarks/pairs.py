"""Pairs of synthetic people with the right answer: make them, swap, and score each.

    python tests/benchmarks/pairs.py FOLDER [--model ict_heads.npz] [--pairs 8]
        [--minutes M | --steps N] [--start scratch] [--preset quick --size 96] [--only sample]

Each pair gets a folder: person_a.mp4 (12 s to train on, then 3 s of test), person_b.mp4 (12 s),
person_b_as_a.mp4 (B doing A's last 3 s in A's light and room), truth.npz. A pair that is there is
kept, whatever its size; the folder `sample` holds the sample people, who are left out of the means.
With --minutes or --steps the pairs are trained, swapped and scored. The seeds from 900,000 to
900,999 are reserved for these people and performances: train nothing else on them.
"""

import argparse
import dataclasses
import math
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from heads import FPS, HeadModel, Performance, Person, render
from sample_card import options

import deepfake_utils as du
from deepfake_utils.consent import Subject
from deepfake_utils.panels import NetworkChoice
from deepfake_utils.samples import TEST_START_S
from deepfake_utils.scoring.likeness import laid_onto_truth
from deepfake_utils.video import VideoWriter, read_frames

FIRST_SEED = 900_000  # to 900_999, for nothing but this benchmark
SHOWN = ("psnr", "ssim", "sharpness", "detail", "to_source", "nearer_source", "pose", "mouth",
         "eyelids", "jitter", "flicker")  # fmt: skip
MORE = {"own": "B's own frames through B's decoder, PSNR, dB", "eyes": "eyes alone, PSNR, dB",
        "mouth": "mouth alone, PSNR, dB"}  # fmt: skip


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


def prepare(folder, find):
    """Extract both people's faces of a pair once; gives what scoring it needs."""
    with np.load(folder / "truth.npz") as truth:
        start_s = float(truth["train_s"])
        points = truth["landmarks_a"][round(start_s * FPS) :], truth["landmarks_b_as_a"]
    for who in "ab":
        if not (folder / who).is_dir():
            agreed = Subject(id=who.upper(), basis="synthetic")
            clip = folder / f"person_{who}.mp4"
            du.extract_clip(clip, folder / who, find, 0.0, start_s, consent=agreed)
    return start_s, points


def sample_pair(folder):
    """The sample people as one more pair of the benchmark."""
    clips, known = du.sample_clips(), du.samples.load_truth()
    folder.mkdir(parents=True, exist_ok=True)
    start = round(TEST_START_S * FPS)
    for name in ("person_a", "person_b", "person_b_as_a"):
        shutil.copyfile(getattr(clips, name), folder / f"{name}.mp4")
    points = {"a": known.landmarks_a, "b": known.landmarks_b, "b_as_a": known.landmarks_b_as_a}
    named = {f"landmarks_{name}": each for name, each in points.items()}
    np.savez_compressed(folder / "truth.npz", train_s=start / FPS, **named)


def train(folder, network, recipe, minutes=None):
    """A trainer that has trained on a pair's faces."""
    model, batches, held = network.build(), [], []
    for seed, who in enumerate("ab"):
        learned, rest = du.load_faces(folder / who).split(0.05)
        size, coverage = model.config.image_size, model.config.coverage
        faces = du.FaceDataset(learned, size, coverage)
        batches.append(du.endless_batches(faces, recipe.batch_size, seed=seed))
        held.append(du.FaceDataset(rest, size, coverage).still())
    trainer = du.Trainer(model, *batches, recipe)
    for _ in trainer.run(minutes=minutes):
        pass
    trainer.evaluate(*held)  # tells the swap how unlike an uncovered face usually comes back
    return trainer


def parts_psnr(swapped, truth, points):
    """Mean PSNR in dB of eyes and of mouth alone, laid onto the truth as the inner face is."""
    found = {"eyes": [], "mouth": []}
    for frame, at, answer, there in zip(swapped, points[0], truth, points[1], strict=True):
        ours, wanted, _ = laid_onto_truth(frame, at, answer, there)
        for name, parts in (("eyes", (slice(36, 42), slice(42, 48))), ("mouth", (slice(48, 60),))):
            inside = np.zeros(frame.shape[:2], np.uint8)
            for part in parts:
                cv2.fillConvexPoly(inside, cv2.convexHull(np.int32(there[part].round())), 1)
            error = np.square(ours[inside > 0] - wanted[inside > 0]).mean()
            found[name].append(10 * np.log10(255**2 / max(error, 1e-9)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def score_pair(folder, network, recipe, minutes, out, config=None):
    """Train on a pair, swap A's test part, and measure it; (card, further figures)."""
    find = du.MeshLandmarker()
    start_s, points = prepare(folder, find)
    began = time.monotonic()
    trainer = train(folder, network, recipe, minutes)
    took, steps = time.monotonic() - began, trainer.step
    swapper, target = du.Swapper(trainer.average, find, config), folder / "person_a.mp4"
    out.mkdir(parents=True, exist_ok=True)
    answer = list(read_frames(folder / "person_b_as_a.mp4"))
    du.swap_video(target, out / "swap.mp4", swapper, start_s)
    swapped = list(read_frames(out / "swap.mp4"))
    # B drawn there and back comes back as A, so nothing could be said of what covers the face.
    plain = swapper.with_config(dataclasses.replace(swapper.config, covered=math.inf))
    du.swap_video(folder / "person_b_as_a.mp4", out / "own.mp4", plain)
    own = du.scoring.score_clip(read_frames(out / "own.mp4"), points[1], answer, points[1])
    card = du.scoring.score_swap(
        swapped,
        read_frames(target, start_s),
        source=read_frames(folder / "person_b.mp4", stride=25),
        truth=answer,
        target_points=points[0],
        truth_points=points[1],
        landmarker=find,
    )
    film = list(read_frames(target, start_s))
    moments = range(3, len(film), max(1, len(film) // 10))
    rows = [np.hstack([clip[i] for i in moments]) for clip in (film, swapped, answer)]
    cv2.imwrite(str(out / "frames.png"), np.vstack(rows)[..., ::-1])
    more = {"own": own.mean_db, **parts_psnr(swapped, answer, points)}
    more |= {"held_out": trainer.scores[-1][1], "steps": steps, "seconds": took}
    return card, more


def table(cards, more):
    """Markdown: a row for each measure, the pairs' values, mean, worst, and what bounds them."""
    names = " | ".join(cards)
    lines = [f"| measure | {names} | mean | worst | no swap | perfect |"]
    lines.append("|---" * (len(cards) + 5) + "|")
    for key in SHOWN:
        rows = [card[key] for card in cards.values() if key in card]
        if not rows:
            continue
        measure, values = rows[0].measure, np.array([row.value for row in rows])
        ranked = {"higher": -values, "lower": values}.get(measure.better, np.abs(values - 1))
        bounds = [[getattr(row, name) for row in rows] for name in ("no_swap", "perfect")]
        bounds = [None if None in each else float(np.nanmean(each)) for each in bounds]
        ends = float(np.nanmean(values)), float(values[np.nanargmax(ranked)])
        shown = [row.text(row.value) for row in rows]
        shown += [rows[0].text(value) for value in (*ends, *bounds)]
        lines.append(f"| {measure.name}, {measure.unit} | " + " | ".join(shown) + " |")
    for key, name in MORE.items():
        values = [each[key] for each in more.values()]
        shown = [*values, np.mean(values), np.min(values)]
        lines.append(f"| {name} | " + " | ".join(f"{v:.1f}" for v in shown) + " | | |")
    return "\n".join(lines)


def main():
    """Read the command line, render what is missing, train and score if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="ict_heads.npz; or the variable ICT_HEADS")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--only", nargs="*", help="names, such as sample pair_3; all without it")
    parser.add_argument("--film-size", type=int, default=256)
    parser.add_argument("--train-seconds", type=float, default=12.0)
    parser.add_argument("--test-seconds", type=float, default=3.0)
    parser.add_argument("--preset", default="sharp")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--start", default="pretrained")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="train each pair so long and score it")
    length.add_argument("--minutes", type=float, help="the same by the clock")
    parser.add_argument("--train", nargs="*", default=[], help="fields of TrainConfig, a=1")
    parser.add_argument("--swap", nargs="*", default=[], help="fields of SwapConfig, a=1")
    parser.add_argument("--out", type=Path, help="for the swaps; FOLDER/swaps without it")
    arguments = parser.parse_args()
    if not 1 <= arguments.pairs <= 500:
        parser.error(f"expected 1 to 500 pairs, got {arguments.pairs}")
    seconds = arguments.train_seconds, arguments.test_seconds
    folders = [arguments.folder / f"pair_{n + 1}" for n in range(arguments.pairs)]
    with ProcessPoolExecutor(2) as pool:
        jobs = [
            pool.submit(make_pair, folder, n, arguments.film_size, *seconds, arguments.model)
            for n, folder in enumerate(folders)
        ]
        for job, folder in zip(jobs, folders, strict=True):
            job.result()
            print(folder, flush=True)
    sample_pair(arguments.folder / "sample")
    if not (arguments.steps or arguments.minutes):
        return
    network = NetworkChoice(arguments.preset, arguments.size, start=arguments.start)
    recipe = dataclasses.replace(network.recipe(), **options(arguments.train))
    if arguments.steps:
        recipe = dataclasses.replace(recipe, steps=arguments.steps)
    config = du.SwapConfig(**options(arguments.swap))
    cards, more = {}, {}
    for folder in [arguments.folder / "sample", *folders]:
        if arguments.only and folder.name not in arguments.only:
            continue
        out = (arguments.out or arguments.folder / "swaps") / folder.name
        scored = score_pair(folder, network, recipe, arguments.minutes, out, config)
        cards[folder.name], more[folder.name] = scored
        print(folder.name, {k: round(scored[0][k].value, 3) for k in SHOWN if k in scored[0]},
              {k: round(v, 2) for k, v in scored[1].items()}, flush=True)  # fmt: skip
    paired = [name for name in cards if name != "sample"]
    print(table({name: cards[name] for name in paired or cards}, more if not paired else
                {name: more[name] for name in paired}))  # fmt: skip
    print(*sorted({note for card in cards.values() for note in card.notes}), sep="\n")


if __name__ == "__main__":
    main()

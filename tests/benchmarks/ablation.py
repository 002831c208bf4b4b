"""What each part of the recipe is worth: train with one thing changed, and score the swap.

    python tests/benchmarks/ablation.py [--steps 500] [--seeds 2] [--only NAME ...] [--json PATH]

Every run trains `quick` at 64 px on the sample clips for equally many steps, then swaps person A's
last 4 s, which it never saw. Rows are means over the seeds, which change first weights, batches and
warps; the spread between seeds says which differences mean something. Columns: inner-face score of
the swap; self-reconstruction of unseen frames (A as A, PSNR and SSIM); identity margin (0.34 is A,
0.66 is B); correlation of mouth and eyelids with the truth. Results are added to the JSON file run
by run, and what it holds is not run again. --jobs runs that many processes beside each other.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from measuring import score_expression
from quality import IdentityJudge, reconstruction, unseen_faces

import deepfake_utils as du
from deepfake_utils.samples import TEST_START_S

SIZE = 64
# name -> what is changed in the network, the training, the warps and the data
VARIANTS = {
    "the recipe": ({}, {}, {}, {}),
    "without averaged weights": ({}, {}, {}, {}),
    "L1 alone": ({}, {"dssim": 0.0}, {}, {}),
    "loss not masked": ({}, {}, {}, {"background": 1.0}),
    "eyes and mouth not weighted": ({}, {}, {}, {"features": 1.0}),
    "colours of B's set matched to A's": ({}, {}, {}, {"match": True}),
    "not mirrored": ({}, {}, {"flip": 0.0}, {}),
    "warps of 5 px at 256": ({}, {}, {"jitter": 5 / 256}, {}),
    "warps of 10 px at 256": ({}, {}, {"jitter": 10 / 256}, {}),
    "constant learning rate": ({}, {"final_rate": 1.0}, {}, {}),
    "half the learning rate": ({}, {"learning_rate": 1e-3}, {}, {}),
    "code of 128": ({"code_size": 128}, {}, {}, {}),
    "code of 512": ({"code_size": 512}, {}, {}, {}),
    "residual blocks": ({"residual_blocks": 1}, {}, {}, {}),
    "5x5 convolutions": ({"kernel": 5}, {}, {}, {}),
    "learned mask": ({"mask": True}, {}, {}, {}),
    "landmarks join the code": ({"landmarks": True}, {}, {}, {}),
}
COLUMNS = {
    "score, dB": "score_db",
    "PSNR, dB": "psnr_db",
    "SSIM": "ssim",
    "identity": "identity",
    "mouth": "mouth",
    "eyelids": "eyelids",
}


@functools.cache
def test_material():
    """Frames to swap, their landmarks, the right answers, unseen faces, the judge of identity."""
    clips, find = du.sample_clips(), du.MeshLandmarker()
    frames = list(du.read_frames(clips.person_a, TEST_START_S))
    answers = list(du.read_frames(clips.person_b_as_a))
    unseen = unseen_faces("A", SIZE, 0.75, find)
    return frames, [find(frame) for frame in frames], answers, unseen, IdentityJudge(stride=2)


def evaluate(model):
    """Every column for one network."""
    frames, found, answers, unseen, judge = test_material()
    truth = du.samples.load_truth()
    known = iter(found)
    swapper = du.Swapper(model, lambda frame: next(known), device="cpu")
    swapped = [
        after if after is not None else before
        for start in range(0, len(frames), 25)
        for before, after in zip(
            frames[start : start + 25], swapper.swap_frames(frames[start : start + 25]), strict=True
        )
    ]
    points = truth.landmarks_a[350:450]
    expression = score_expression(
        swapped, truth.jaw_b_as_a, truth.blink_b_as_a, du.MeshLandmarker()
    )
    drawn = reconstruction(model, unseen, "A")
    return {
        "score_db": du.scoring.score_clip(swapped, points, answers, truth.landmarks_b_as_a).mean_db,
        "psnr_db": drawn.psnr_db,
        "ssim": drawn.ssim,
        "identity": judge.margin(swapped, points).mean,
        "mouth": expression.mouth,
        "eyelids": expression.eyelids,
    }


def matched(faces_a, faces_b):
    """B's crops with the mean and the spread of A's colours, over each whole set."""
    a, b = (faces.images.reshape(-1, 3).astype(np.float32) for faces in (faces_a, faces_b))
    gain = a.std(axis=0) / b.std(axis=0)
    moved = (faces_b.images.astype(np.float32) - b.mean(axis=0)) * gain + a.mean(axis=0)
    images = np.rint(np.clip(moved, 0.0, 255.0)).astype(np.uint8)
    return dataclasses.replace(faces_b, images=images)


def train(name, seed, steps, folder):
    """One run of a variant: its row."""
    torch.set_num_threads(1)
    network, training, warps, data = VARIANTS[name]
    faces = [du.load_faces(Path(folder) / who) for who in "ab"]
    if data.get("match"):
        faces[1] = matched(*faces)
    options = {key: value for key, value in data.items() if key != "match"}
    batches = [
        du.endless_batches(
            du.FaceDataset(each, SIZE, **options),
            16,
            du.WarpConfig(**warps),
            "cpu",
            seed=2 * seed + person,
        )
        for person, each in enumerate(faces)
    ]
    config = dataclasses.replace(du.preset("quick", SIZE), **network)
    recipe = du.TrainConfig(steps=steps, **training)
    trainer = du.Trainer(du.FaceSwapAutoencoder(config, seed), *batches, recipe, "cpu")
    began = time.process_time()
    for _ in trainer.run():
        pass
    seconds = time.process_time() - began
    plain = name == "without averaged weights"
    return {**evaluate(trainer.model.eval() if plain else trainer.average), "cpu_s": seconds}


def table(results, names):
    """The rows in Markdown: means, and for the score the spread over the seeds."""
    print("| changed | " + " | ".join(COLUMNS) + " | CPU, s |")
    print("|---|" + "---|" * (len(COLUMNS) + 1))
    for name in names:
        rows = [row for key, row in results.items() if key.rsplit(" #", 1)[0] == name]
        if not rows:
            continue
        mean = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
        spread = np.std([row["score_db"] for row in rows], ddof=1) if len(rows) > 1 else 0.0
        cells = [f"{mean['score_db']:.2f} ± {spread:.2f}", f"{mean['psnr_db']:.2f}"]
        cells += [f"{mean[key]:.3f}" for key in ("ssim", "identity", "mouth", "eyelids")]
        print(f"| {name} | " + " | ".join(cells) + f" | {mean['cpu_s']:.0f} |")


def main():
    """Read the command line, run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    path = arguments.json
    results = json.loads(path.read_text()) if path and path.exists() else {}
    clips, find = du.sample_clips(), du.MeshLandmarker()
    with tempfile.TemporaryDirectory() as folder:
        for who, clip, end in (("a", clips.person_a, TEST_START_S), ("b", clips.person_b, None)):
            frames, consent = du.read_frames(clip, 0.0, end), du.samples.sample_consent(who.upper())
            du.extract_faces(frames, Path(folder) / who, find, consent=consent)
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            jobs = {
                pool.submit(train, name, seed, arguments.steps, folder): f"{name} #{seed}"
                for seed, name in itertools.product(range(arguments.seeds), arguments.only)
                if f"{name} #{seed}" not in results
            }
            for job in as_completed(jobs):
                results[jobs[job]] = job.result()
                print(jobs[job], results[jobs[job]], flush=True)
                if path:
                    path.write_text(json.dumps(results, indent=1))
    table(results, arguments.only)


if __name__ == "__main__":
    main()

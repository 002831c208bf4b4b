"""How good the swap is after how many minutes of training: as it began, and as it is now.

    python tests/benchmarks/time_to_quality.py [--baseline-minutes 10] [--minutes 3]
        [--lengths 0.5,1] [--size 96] [--plot PATH.png] [--json PATH]

Both train on the same crops of the sample people's first 14 s. The score is the mean
`inner_face_psnr` of every 5th of person A's last 100 frames, which neither has seen. The clock
stands still while a swap is scored. As the learning rate falls towards the end that was planned,
each length of ours is a run of its own; the points within the longest run come before its end.
"""

import argparse
import copy
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from baseline import BaselineTrainer, describe_machine, sample_faces

import deepfake_utils as du
from deepfake_utils.samples import TEST_START_S

STRIDE = 5


class Clock:
    """Minutes spent inside `with clock:`."""

    minutes = 0.0
    began = None

    def __enter__(self):
        self.began = time.perf_counter()

    def __exit__(self, *_):
        self.minutes, self.began = self.seconds() / 60.0, None

    def seconds(self):
        running = 0.0 if self.began is None else time.perf_counter() - self.began
        return 60.0 * self.minutes + running


class Scorer:
    """Scores a network; the frames' landmarks are found once, here."""

    def __init__(self):
        clips, truth, landmarker = du.sample_clips(), du.samples.load_truth(), du.MeshLandmarker()
        self.frames = list(du.read_frames(clips.person_a, TEST_START_S, stride=STRIDE))
        self.answers = list(du.read_frames(clips.person_b_as_a, stride=STRIDE))
        self.points = truth.landmarks_a[-100::STRIDE]
        self.answer_points = truth.landmarks_b_as_a[::STRIDE]
        self.found = {id(frame): landmarker(frame) for frame in self.frames}

    def swap(self, model):
        """Mean score in dB of person A with B's face, drawn by `model`."""
        # A copy: `Swapper` changes the memory layout, and switches training off.
        swapper = du.Swapper(copy.deepcopy(model), lambda frame: self.found[id(frame)])
        return self.score(swapper.swap_frames(self.frames))

    def score(self, frames):
        return du.scoring.score_clip(frames, self.points, self.answers, self.answer_points).mean_db


def follow(clock, step, marks, score):
    """Train to each of `marks` in minutes and score there; returns [(minutes, dB)].

    `step` makes one step and says whether there is another; if not, the last score is made there.
    """
    curve, more = [], True
    for mark in marks:
        while more and clock.minutes < mark:
            with clock:
                more = step()
        curve.append((clock.minutes, score()))
        print(f"  {clock.minutes:.2f} minutes: {curve[-1][1]:.2f} dB", flush=True)
        if not more:
            break
    return curve


def train_baseline(folder, scorer, args):
    """The old way for `--baseline-minutes`: [(minutes, dB)]."""
    print("as it began", flush=True)
    trainer = BaselineTrainer(folder, args.batch, args.baseline_rate, args.fix_flip, args.device)

    def step():
        trainer.step()
        return True

    marks = np.linspace(0.0, args.baseline_minutes, args.points + 1)  # also before training
    return follow(Clock(), step, marks, lambda: scorer.swap(trainer.model))


def train_ours(folder, scorer, minutes, points, args):
    """A run of ours planned for `minutes`, scored `points` times: [(minutes, dB)]."""
    print(f"now, planned for {minutes:g} minutes", flush=True)
    config = du.preset("quick", args.size)
    sets = [du.FaceDataset(folder / name, args.size, config.coverage) for name in "ab"]
    settings = du.recipe("quick")
    batches = [
        du.endless_batches(each, settings.batch_size, device=args.device, seed=seed)
        for seed, each in enumerate(sets)
    ]
    trainer = du.Trainer(du.FaceSwapAutoencoder(config), *batches, settings, args.device)
    clock = Clock()
    # Scoring happens between two steps, and is left out of the minutes.
    trainer.clock.now = clock.seconds
    steps = trainer.run(minutes=minutes)

    def step():
        return next(steps, None) is not None

    # The last mark is the end of the run, whenever that comes.
    marks = [*(minutes * np.arange(1, points) / points), math.inf]
    return follow(clock, step, marks, lambda: scorer.swap(trainer.average))


def reached(runs, wanted):
    """The earliest (minutes, dB) of any run that is at least `wanted` dB; None if there is none."""
    return min((point for run in runs for point in run if point[1] >= wanted), default=None)


def print_table(baseline, runs, no_swap):
    """Both curves as one Markdown table, and when ours gets where the baseline ended."""
    print("\n| run | minutes of training | score, dB |\n|---|---|---|")
    print(f"| no swap | 0 | {no_swap:.1f} |")
    named = {"as it began": baseline}
    named |= {f"now, {run[-1][0]:.1f} minutes in all": run for run in runs}
    for name, run in named.items():
        for minutes, score in run:
            print(f"| {name} | {minutes:.2f} | {score:.2f} |")
    minutes, wanted = baseline[-1]
    first = reached(runs, wanted)
    below = ", which is worse than no swap," if wanted < no_swap else ""
    print(f"\nIts {wanted:.1f} dB after {minutes:.1f} minutes{below} ", end="")
    if first is None:
        print("ours did not reach.")
    else:  # scores are far between, so it may have been earlier
        print(f"ours has after at most {first[0]:.2f} minutes ({first[1]:.1f} dB): ", end="")
        print(f"{minutes / first[0]:.0f} times as soon.")


def plot(path, baseline, runs, no_swap):
    """Draw score against minutes. No face in it, so it needs no label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*baseline, strict=True), "o-", color="tab:grey", label="as it began")
    longest = runs[-1]
    label = f"now, within the run of {longest[-1][0]:.1f} minutes"
    axes.plot(*zip(*longest, strict=True), "o-", color="tab:blue", label=label)
    ends = [run[-1] for run in runs]
    axes.plot(*zip(*ends, strict=True), "s--", color="tab:orange", label="now, at each run's end")
    axes.axhline(no_swap, color="black", linestyle=":", label="no swap")
    minutes, wanted = baseline[-1]
    axes.axhline(wanted, color="tab:grey", linewidth=0.8)
    if first := reached(runs, wanted):
        axes.axvline(first[0], color="tab:blue", linewidth=0.8)
        text = f"{wanted:.1f} dB: {first[0]:.2f} instead of {minutes:.1f} minutes"
        axes.annotate(text, (first[0], wanted), (6, 6), textcoords="offset points")
    axes.set(xlabel="training time / minutes", ylabel="mean inner-face PSNR / dB", xlim=(0, None))
    axes.legend(loc="best")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline-minutes", type=float, default=10.0)
    parser.add_argument("--minutes", type=float, default=3.0, help="our longest run")
    parser.add_argument("--lengths", default="0.5,1", help="our other runs, in minutes")
    parser.add_argument("--size", type=int, default=96, help="side of our network's pictures")
    parser.add_argument("--points", type=int, default=6, help="scores in the baseline and longest")
    parser.add_argument("--batch", type=int, default=32, help="of each person, for the baseline")
    parser.add_argument("--baseline-rate", type=float, default=1e-5, help="its learning rate")
    parser.add_argument("--fix-flip", action="store_true", help="mend the baseline's mirroring")
    parser.add_argument("--stride", type=int, default=1, help="train on every so many-th frame")
    parser.add_argument("--plot", type=Path, help="draw the curves there, .png")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    args = parser.parse_args()
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    lengths = sorted({*(float(each) for each in args.lengths.split(",") if each), args.minutes})
    print(describe_machine(args.device), flush=True)
    scorer = Scorer()
    no_swap = scorer.score(scorer.frames)
    with tempfile.TemporaryDirectory() as name:
        sample_faces(Path(name), args.stride)
        baseline = train_baseline(Path(name), scorer, args)
        runs = []
        for length in lengths:
            points = args.points if length == lengths[-1] else 1
            runs.append(train_ours(Path(name), scorer, length, points, args))
    print_table(baseline, runs, no_swap)
    if args.plot:
        plot(args.plot, baseline, runs, no_swap)
    if args.json:
        args.json.write_text(
            json.dumps({"no_swap_db": no_swap, "baseline": baseline, "ours": runs}, indent=1)
        )


if __name__ == "__main__":
    main()

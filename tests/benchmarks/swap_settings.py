"""What each setting of the swap is worth: one changed at a time, and the scorecard of the result.

    python tests/benchmarks/swap_settings.py output/run [--only NAME ...] [--json PATH]

Takes a trained network (`make demo` leaves one in output/run), puts person B's face on person A's
last 4 s with each setting in turn, before any encoding, and prints a Markdown table. With --enlarge
a last row is of drawn faces made twice as large by a super-resolution network, which is trained
here, in a minute, on person B's crops in that folder (output/faces/b).
"""

import argparse
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np

import deepfake_utils as du
from deepfake_utils.rendering import swap_clip
from deepfake_utils.samples import TEST_START_S
from deepfake_utils.scoring.scorecard import ScoreConfig, score_swap
from deepfake_utils.superres.network import SuperResolutionConfig, SuperResolver, enlarger
from deepfake_utils.superres.training import SuperResolutionTrainConfig, train_superres
from deepfake_utils.tracking.steadying import TrackConfig

# name -> what is changed in the swap, and in the tracking
VARIANTS = {
    "the defaults": ({}, {}),
    "points as found": ({}, {"smoothing": "off"}),
    "colours as drawn": ({"colour": "none"}, {}),
    "colours by mean and spread in Lab": ({"colour": "lab"}, {}),
    "colours by covariance": ({"colour": "covariance"}, {}),
    "colours by histogram": ({"colour": "histogram"}, {}),
    "eyes and teeth as matched": ({"whites": 0.0}, {}),
    "eyes and teeth as light as drawn": ({"whites": 1.0}, {}),
    "alpha blending": ({"blend": "alpha"}, {}),
    "pyramid blending": ({"blend": "pyramid"}, {}),
    "Poisson blending": ({"blend": "poisson"}, {}),
    "feather 0.06": ({"feather": 0.06}, {}),
    "feather 0.12": ({"feather": 0.12}, {}),
    "feather 0.2": ({"feather": 0.2}, {}),
    "mask smaller by 0.04": ({"erode": 0.04}, {}),
    "mask as large as the hull": ({"erode": 0.0}, {}),
    "mask larger by 0.04": ({"erode": -0.04}, {}),
    "sharpness 0": ({"sharpness": 0.0}, {}),
    "sharpness 0.6": ({"sharpness": 0.6}, {}),
    "without the film's grain": ({"grain": 0.0}, {}),
    "covered from 0.2 on": ({"covered": 0.2}, {}),
    "covered parts not looked for": ({"covered": math.inf}, {}),
}
COLUMNS = {
    "PSNR, dB": ("psnr", 2),
    "SSIM": ("ssim", 3),
    "sharpness": ("sharpness", 2),
    "fine detail": ("detail", 3),
    "to source": ("to_source", 3),
    "nearer source, %": ("nearer_source", 0),
    "pose, deg": ("pose", 2),
    "mouth": ("mouth", 3),
    "eyelids": ("eyelids", 3),
    "jitter": ("jitter", 2),
    "flicker": ("flicker", 2),
    "seam": ("seam", 2),
}


def load_model(path):
    """The network that draws best, of a run's folder or of one checkpoint."""
    saved = du.CheckpointStore(path).best() if path.is_dir() else du.load_checkpoint(path)
    if saved is None:
        raise SystemExit(f"no checkpoint in {path}; run `make demo` first")
    return saved.best_model()


def enlarging(folder, size, coverage):
    """A network that doubles faces of `size`, from crops cut as closely as the network's."""
    faces = du.load_faces(folder)
    view = round(len(faces.images[0]) * faces.coverage / coverage)
    edge = (len(faces.images[0]) - view) // 2
    inner = faces.images[::8, edge : edge + view, edge : edge + view]
    large = [cv2.resize(image, (2 * size,) * 2, interpolation=cv2.INTER_AREA) for image in inner]
    resolver = SuperResolver(SuperResolutionConfig(scale=2, residual=True))
    settings = SuperResolutionTrainConfig(steps=1500, shrink=(1.0,))
    for _ in train_superres(resolver, large, settings):
        pass
    return enlarger(resolver)


def swapped_frames(model, changes, tracking, enlarge=None):
    """The swap of the test part, and milliseconds a frame."""
    config = du.SwapConfig(**changes)
    swapper = du.Swapper(model, du.MeshLandmarker(), config, enlarge=enlarge)
    began = time.perf_counter()
    track = TrackConfig(**tracking)
    frames = [
        frame.image if swapped.image is None else swapped.image
        for frame, swapped in swap_clip(
            du.sample_clips().person_a, swapper, TEST_START_S, track=track
        )
    ]
    return frames, 1000.0 * (time.perf_counter() - began) / len(frames)


def score(frames):
    """The figures of a swap by key."""
    clips, truth = du.sample_clips(), du.samples.load_truth()
    card = score_swap(
        frames,
        du.read_frames(clips.person_a, TEST_START_S),
        source=du.read_frames(clips.person_b, stride=25),
        truth=du.read_frames(clips.person_b_as_a),
        target_points=truth.landmarks_a[350:450],
        truth_points=truth.landmarks_b_as_a,
        config=ScoreConfig(compare=False, resamples=1),
    )
    return {row.measure.key: row.value for row in card.rows}


def main():
    """Read the command line, score every variant, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run's folder or a checkpoint")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--enlarge", type=Path, help="a folder of person B's crops")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    arguments = parser.parse_args()
    model, results = load_model(arguments.run), {}
    print("| setting | " + " | ".join(COLUMNS) + " | ms a frame |")
    print("|---|" + "---|" * (len(COLUMNS) + 1))
    rows = [(name, *VARIANTS[name], None) for name in arguments.only]
    if arguments.enlarge:
        resolver = enlarging(arguments.enlarge, model.config.image_size, model.config.coverage)
        rows.append(("drawn face made twice as large", {}, {}, resolver))
    for name, *changes in rows:
        frames, spent_ms = swapped_frames(model, *changes)
        results[name] = {**score(frames), "ms": spent_ms}
        cells = [f"{results[name].get(key, np.nan):.{d}f}" for key, d in COLUMNS.values()]
        print(f"| {name} | " + " | ".join(cells) + f" | {spent_ms:.0f} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

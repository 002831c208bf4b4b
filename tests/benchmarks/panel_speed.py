"""How long the swap panel takes to show a frame anew, from the change to the PNG.

    python tests/benchmarks/panel_speed.py [--json panel.json]

The sample clip as it is (384x384, a key frame every 10 s) and as 1920x1080 with x264's usual key
frames, every 250 frames. `jump_*`: to a frame that was not looked at before, `--frames` of them
spread over the clip; their face is found and drawn. `set_*`: another value of one setting on a
frame that was looked at before. Medians and the largest, in milliseconds. An untrained network of
`quick` at 96 px takes as long as a trained one.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.panels.base import png_bytes
from deepfake_utils.panels.swap import SwapPanel
from deepfake_utils.rendering import SWAPPED
from deepfake_utils.samples import sample_clips
from deepfake_utils.swapping import SwapConfig, Swapper
from deepfake_utils.video import VideoWriter, read_frames

parser = argparse.ArgumentParser()
parser.add_argument("--frames", type=int, default=12)
parser.add_argument("--json", type=Path)
options = parser.parse_args()

SETTINGS = {
    "erode": np.linspace(-0.1, 0.1, 9).tolist(),
    "feather": np.linspace(0.0, 0.3, 9).tolist(),
    "sharpness": np.linspace(0.0, 1.0, 9).tolist(),
    "colour": ["none", "lab", "covariance", "histogram"] * 2,
    "blend": ["alpha", "pyramid", "poisson"] * 3,
}


def wide(path):
    """The first ten seconds of the sample clip at 1920x1080."""
    with VideoWriter(path, fps=25, size_wh=(1920, 1080)) as writer:
        for frame in read_frames(sample_clips().person_a, 0.0, 10.0):
            large = cv2.resize(frame, (1080, 1080), interpolation=cv2.INTER_CUBIC)
            writer.write(np.pad(large, ((0, 0), (420, 420), (0, 0)), mode="edge"))
    return path


def show(panel, time_s=None):
    """Milliseconds until there is a picture."""
    began = time.perf_counter()
    png_bytes(panel.look(time_s).image)
    return (time.perf_counter() - began) * 1e3


def measure(clip):
    config = SwapConfig(covered=1e3)  # finite, so that the own face is drawn as well
    swapper = Swapper(FaceSwapAutoencoder(preset("quick", 96)), MeshLandmarker(), config)
    panel = SwapPanel(clip, swapper, Path(folder) / "swap.mp4")
    show(panel, 0.0)  # loads what is loaded once
    times = {"jump": [show(panel, t) for t in np.linspace(0.5, panel.end_s - 0.1, options.frames)]}
    if panel.look().outcome not in SWAPPED:
        raise SystemExit("expected a swapped frame to time")
    for name, values in SETTINGS.items():
        times[f"set_{name}"] = []
        for value in values:
            panel.set({name: value})
            times[f"set_{name}"].append(show(panel))
        panel.set({name: getattr(config, name)})
    panel.outline = panel.close = True
    times["close_with_mask"] = [show(panel) for _ in range(9)]
    return {
        f"{name}_ms": {"median": round(statistics.median(ms)), "largest": math.ceil(max(ms))}
        for name, ms in times.items()
    }


with tempfile.TemporaryDirectory() as folder:
    result = {
        "384x384": measure(sample_clips().person_a),
        "1920x1080": measure(wide(Path(folder) / "wide.mp4")),
    }
print(json.dumps(result, indent=2))
if options.json:
    options.json.write_text(json.dumps(result, indent=2) + "\n")

"""What marking costs, what the watermark outlives, and whether it is ever seen where it is not.

    python tests/benchmarks/marking.py [--json marking.json] [--clip FILE]

Cost: ten seconds at 640x360 (the middle of person A's clip, or `--clip`, enlarged), written plain
and with all four layers in turns; medians of `--runs` pairs. `padded` are the bytes added to the
same clip shown small between streaks, which cost an encoder nothing until they are marked. The
target is not looked through for an older mark here, which is timed
by itself. Survival: 96 frames of each sample person, `attacks.ATTACKS`. False alarms: windows of 1,
4, 16 and 48 frames of all unmarked sample clips, as they are and mirrored, at every fast scale.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from deepfake_utils import read_frames, sample_clips
from deepfake_utils.lessons import attacks
from deepfake_utils.marking.reading import read_provenance, read_watermark
from deepfake_utils.marking.signer import FOLDER_VARIABLE
from deepfake_utils.marking.watermark import Watermark, new_mark_id
from deepfake_utils.marking.writing import MarkedVideoWriter
from deepfake_utils.video import VideoWriter

parser = argparse.ArgumentParser()
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--json", type=Path)
parser.add_argument("--clip", type=Path)
parser.add_argument("--cost-only", action="store_true")
options = parser.parse_args()


def filling(frame):
    """The middle of a frame, as 640x360 show it."""
    height, width = frame.shape[:2]
    rows = min(height, width * 9 // 16)
    top = (height - rows) // 2
    return cv2.resize(frame[top : top + rows], (640, 360), interpolation=cv2.INTER_CUBIC)


def padded(frame):
    """A square frame in the middle of a 640x360 one, its outer columns repeated."""
    small = cv2.resize(frame, (360, 360), interpolation=cv2.INTER_AREA)
    return np.pad(small, ((0, 0), (140, 140), (0, 0)), mode="edge")


def write(kind, path, frames):
    """Seconds that writing takes."""
    began = time.perf_counter()
    with kind(path, fps=25, size_wh=(640, 360)) as writer:
        for frame in frames:
            writer.write(frame)
    return time.perf_counter() - began


clips = sample_clips()
whole = list(read_frames(options.clip or clips.person_a, 0.0, 10.0))
frames = [filling(frame) for frame in whole]
result: dict = {"frames": len(frames)}
with tempfile.TemporaryDirectory() as folder:
    os.environ[FOLDER_VARIABLE] = folder
    plain, marked = Path(folder) / "plain.mp4", Path(folder) / "marked.mp4"
    write(MarkedVideoWriter, marked, frames)  # makes the identity, loads the libraries
    seconds = [
        (write(VideoWriter, plain, frames), write(MarkedVideoWriter, marked, frames))
        for _ in range(options.runs)
    ]
    before, after = (statistics.median(column) for column in zip(*seconds, strict=True))
    sizes = [path.stat().st_size for path in (plain, marked)]
    result |= {"plain_s": before, "marked_s": after}
    # Of each pair, as a shared machine is now faster, now slower.
    result["time_added"] = statistics.median(after / before - 1 for before, after in seconds)
    result |= {"plain_bytes": sizes[0], "marked_bytes": sizes[1]}
    result["size_added"] = sizes[1] / sizes[0] - 1
    for name, task in (
        ("look_for_old_mark_s", lambda: read_watermark(plain)),
        ("read_provenance_s", lambda: read_provenance(marked)),
    ):
        began = time.perf_counter()
        task()
        result[name] = time.perf_counter() - began
    streaks = [padded(frame) for frame in whole]
    for kind, path in ((VideoWriter, plain), (MarkedVideoWriter, marked)):
        write(kind, path, streaks)
    result["padded_size_added"] = marked.stat().st_size / plain.stat().st_size - 1
mark, mark_id = Watermark(), new_mark_id()
lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
began = time.perf_counter()
for luma in lumas:
    mark.write_luma(luma, mark_id)
result["watermark_ms"] = (time.perf_counter() - began) / len(frames) * 1e3
began = time.perf_counter()
written = [mark.write(frame, mark_id) for frame in frames]
result["watermark_rgb_ms"] = (time.perf_counter() - began) / len(frames) * 1e3
errors = [np.square(a.astype(float) - b).mean() for a, b in zip(frames, written, strict=True)]
result["psnr_db"] = float(10 * np.log10(255**2 / max(errors)))

if options.cost_only:
    print(json.dumps(result, indent=2))
    raise SystemExit
for person, clip, start in (("a", clips.person_a, 14.0), ("b", clips.person_b, 0.0)):
    some = list(read_frames(clip, start, start + 3.84))[:96]
    found = attacks.survival(some, mark_id)
    result[f"peaks_{person}"] = {name: each and round(each.peak, 1) for name, each in found.items()}

windows = alarms = 0
for clip in clips:
    images = list(read_frames(clip))
    for length in (1, 4, 16, 48):
        for start in range(0, len(images) - length, max(8, length)):
            windows += 1
            alarms += mark.read(images[start : start + length]) is not None
result |= {"unmarked_windows": windows, "false_alarms": alarms}
print(json.dumps(result, indent=2))
if options.json:
    options.json.write_text(json.dumps(result, indent=2) + "\n")

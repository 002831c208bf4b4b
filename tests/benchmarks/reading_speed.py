"""How fast are plain films read, compared with PyAV alone?

    python tests/benchmarks/reading_speed.py [--turns 5] [--frames 150] [--than CHECKOUT]

Films of several plain kinds are read in turns by `read_frames`, by PyAV alone (decoded, and made
RGB by swscale with the same flags and one thread), and, with --than, by another version of this
package. Printed are medians of the ratios within each turn; above 1 `read_frames` is the faster.
Processor time of all threads counts, as other programs may be running.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import av
import cv2

from deepfake_utils.samples import sample_clips
from deepfake_utils.video import VideoWriter, read_frames

KINDS = {
    "H.264, 384 px": ("a.mp4", (384, 384), {}),
    "H.264, 1080p": ("b.mp4", (1920, 1080), {}),
    "H.264 in MKV, 720p": ("c.mkv", (1280, 720), {}),
    "HEVC, 720p": ("d.mp4", (1280, 720), {"codec": "hevc"}),
    "VP9, 360p": ("e.webm", (640, 360), {}),
    "ProRes, 360p": ("f.mov", (640, 360), {"codec": "prores"}),
}
EXACT = 0x2 | 0x40000 | 0x2000  # bilinear, accurate rounding, full chroma
# What another process of another version does.
ELSEWHERE = """
import sys, time
from deepfake_utils.video import read_frames
for line in sys.stdin:
    began = time.process_time()
    count = sum(1 for _ in read_frames(line.strip()))
    print(time.process_time() - began, flush=True)
"""


def plainly(path: Path) -> int:
    """Read by PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        reformat = av.video.reformatter.VideoReformatter().reformat
        count = 0
        for frame in container.decode(stream):
            rgb = reformat(frame, format="rgb24", interpolation=EXACT, threads=1)
            count += len(rgb.to_ndarray()) > 0
        return count


def seconds(read, path: Path, count: int) -> float:
    """Processor time that it takes."""
    began = time.process_time()
    if read(path) != count:
        raise RuntimeError(f"expected {count} frames of {path}")
    return time.process_time() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--than", help="folder with another version of the package")
    options = parser.parse_args()
    other = None
    if options.than:
        other = subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE],
            cwd=options.than,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        for kind, (name, size_wh, how) in KINDS.items():
            path = Path(folder) / name
            frames = islice(cycle(list(read_frames(sample_clips().person_a))), options.frames)
            with VideoWriter(path, fps=25, size_wh=size_wh, **how) as writer:
                for frame in frames:
                    writer.write(cv2.resize(frame, size_wh))
            ours = lambda path: sum(1 for _ in read_frames(path))  # noqa: E731
            plain, earlier = [], []
            for _ in range(options.turns):
                now = seconds(ours, path, options.frames)
                plain.append(seconds(plainly, path, options.frames) / now)
                if other is not None:
                    other.stdin.write(f"{path}\n")
                    other.stdin.flush()
                    earlier.append(float(other.stdout.readline()) / now)
            text = f"{kind}: {statistics.median(plain):.2f} times PyAV alone"
            if earlier:
                text += f", {statistics.median(earlier):.2f} times the other version"
            print(text, flush=True)
    if other is not None:
        other.stdin.close()
        other.wait()

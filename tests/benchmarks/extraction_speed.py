"""How many frames a second are turned into crops on disk, and how many are looked at.

    python tests/benchmarks/extraction_speed.py [--frames 200] [--quick]

First the sample clip of person A is laid into a 640x360 frame (H.264), and `extract_clip` is timed
from the file to the folder of PNG crops, decoding and writing included. Then one to four sample
people are laid into frames of three sizes, and their landmarks alone are timed, as in a film:
faces are looked for now and then and followed in between. Each figure is given by the clock and,
as other programs may be running, by the processor time of all threads. To compare with another
version, run this in turns with PYTHONPATH set to its checkout.
"""

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from deepfake_utils import MeshLandmarker, extract_clip, read_frames, sample_clips
from deepfake_utils.tracking import TrackConfig, track_faces
from deepfake_utils.video import TimedFrame, VideoWriter

SIZES_WH = ((640, 360), (1280, 720), (1920, 1080))


def crowd(size_wh, faces, count):
    """(H, W, 3) frames with some people side by side."""
    wide, high = size_wh
    side = min(high * 3 // 4, wide // faces)
    clips = [read_frames(sample_clips()[number % 2]) for number in range(faces)]
    for people in islice(zip(*clips, strict=False), count):
        frame = np.full((high, wide, 3), 90, np.uint8)
        for number, person in enumerate(people):
            left = number * wide // faces
            small = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
            frame[high // 8 : high // 8 + side, left : left + side] = small
        yield frame


def timed(work, count):
    """Frames a second by the clock, and milliseconds of processor time a frame."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    return f"{count / seconds:.0f} frames a second, {1000 * busy / count:.1f} ms of processor time"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="the first figure only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, landmarker = Path(folder) / "wide.mp4", MeshLandmarker()
        with VideoWriter(clip, fps=25, size_wh=(640, 360)) as writer:
            for frame in islice(read_frames(sample_clips().person_a), options.frames):
                small = cv2.resize(frame, (360, 360), interpolation=cv2.INTER_AREA)
                writer.write(np.pad(small, ((0, 0), (140, 140), (0, 0)), mode="edge"))

        def extract():
            report = extract_clip(clip, Path(folder) / "faces", landmarker, overwrite=True)
            assert report.frames_without_face == 0

        print("file to crops, 640x360:", timed(extract, options.frames))
    for size_wh in () if options.quick else SIZES_WH:
        for faces in (1, 2, 4):
            count = options.frames // 2
            frames = [
                TimedFrame(frame, number / 25)
                for number, frame in enumerate(crowd(size_wh, faces, count))
            ]
            off = TrackConfig(smoothing="off", max_gap_s=0.0)

            def watch(frames=frames, off=off):
                assert all(f.raw is not None for f in track_faces(frames, landmarker, off))

            print(f"{size_wh[0]}x{size_wh[1]}, {faces} faces:", timed(watch, count))

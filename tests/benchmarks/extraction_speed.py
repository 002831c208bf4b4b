"""How many frames a second are turned into crops on disk, at 640x360.

    python tests/benchmarks/extraction_speed.py

The sample clip of person A is laid into a 640x360 frame (H.264), then `extract_faces` is timed
from the file to the folder of PNG crops, decoding and writing included: median of three runs.
"""

import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from deepfake_utils import MeshLandmarker, extract_faces, read_frames, sample_clips
from deepfake_utils.video import VideoWriter

with tempfile.TemporaryDirectory() as folder:
    clip = Path(folder) / "wide.mp4"
    with VideoWriter(clip, fps=25, size_wh=(640, 360)) as writer:
        for frame in read_frames(sample_clips().person_a):
            small = cv2.resize(frame, (360, 360), interpolation=cv2.INTER_AREA)
            writer.write(np.pad(small, ((0, 0), (140, 140), (0, 0)), mode="edge"))
    landmarker = MeshLandmarker()
    rates = []
    for run in range(3):
        began = time.perf_counter()
        report = extract_faces(read_frames(clip), Path(folder) / f"faces{run}", landmarker)
        rates.append(report.frames / (time.perf_counter() - began))
        assert report.frames_without_face == 0
    began = time.perf_counter()
    for frame in read_frames(clip):
        landmarker(frame)
    alone = report.frames / (time.perf_counter() - began)
print(f"{statistics.median(rates):.0f} frames a second from file to crops (640x360)")
print(f"{alone:.0f} frames a second for decoding and landmarks alone")

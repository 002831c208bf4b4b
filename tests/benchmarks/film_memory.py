"""How much memory do swap and extraction take of films of 1, 5 and 20 minutes?

    python tests/benchmarks/film_memory.py [--minutes 1 5 20] [--side 128] [--find]

Sample A, made small, is written again and again into one film with sound, by its packets, so that
nothing is lost. Each film is swapped by a tiny untrained network, and its faces extracted, each in
a process of its own. Printed are peaks of resident memory (Linux), the whole work with signing
included. Landmarks are those of one frame; with --find they are found, which takes longer.
"""

import argparse
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2

from deepfake_utils.autoencoder import AutoencoderConfig, FaceSwapAutoencoder
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.extraction import extract_clip
from deepfake_utils.rendering import swap_video
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.swapping import SwapConfig, Swapper
from deepfake_utils.video import VideoWriter, read_frames

TINY = AutoencoderConfig(
    image_size=32,
    base_channels=8,
    max_channels=16,
    code_size=16,
    decoder_channels=16,
    min_channels=8,
)
PART_S = 10


def write_part(path: Path, side: int) -> Path:
    """Ten seconds of sample A with sound."""
    source = sample_clips().person_a
    with VideoWriter(path, fps=25, size_wh=(side, side), audio_from=source) as writer:
        for frame in read_frames(source, 0.0, PART_S):
            writer.write(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA))
    return path


def repeat(part: Path, path: Path, seconds: float) -> Path:
    """Write the packets of a film again and again, until it lasts so long."""
    last: dict[int, float] = {}
    with av.open(str(path), "w") as film:
        for turn in range(math.ceil(seconds / PART_S)):
            with av.open(str(part)) as source:
                if not turn:
                    tracks = [film.add_stream_from_template(each) for each in source.streams]
                for packet in source.demux():
                    moved = round(turn * PART_S / packet.time_base)
                    # Sound overlaps a little where the parts meet.
                    if not packet.size or packet.dts + moved <= last.get(
                        packet.stream.index, -math.inf
                    ):
                        continue
                    packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
                    if packet.pts * packet.time_base >= seconds:
                        continue
                    last[packet.stream.index] = packet.dts
                    packet.stream = tracks[packet.stream.index]
                    film.mux(packet)
    return path


def work(job: str, film: Path, folder: Path, find: bool) -> float:
    """Do it here; the peak in MiB."""
    points = load_truth().landmarks_a[20]
    known = lambda frame: [points * (frame.shape[1] / 384)]  # noqa: E731
    landmarker = MeshLandmarker() if find else known
    if job == "swap":
        plain = SwapConfig(covered=math.inf)  # an untrained network redraws nobody
        swapper = Swapper(FaceSwapAutoencoder(TINY), landmarker, plain, "cpu")
        report = swap_video(film, folder / f"swap of {film.name}", swapper)
    else:
        report = extract_clip(film, folder / f"faces of {film.stem}", landmarker, size=32)
    if report.frames < 25:
        raise RuntimeError(f"{film}: {report}")
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def peak(job: str, film: Path, folder: Path, find: bool = False) -> float:
    """Do it in a process of its own; the peak in MiB."""
    command = [sys.executable, __file__, "--job", job, str(film), str(folder)]
    run = subprocess.run(command + ["--find"] * find, check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout.split()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--find", action="store_true")
    parser.add_argument("--job", nargs=3, help="for its own processes")
    options = parser.parse_args()
    if options.job:
        job, film, folder = options.job
        print(work(job, Path(film), Path(folder), options.find))
        sys.exit()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = write_part(folder / "part.mp4", options.side)
        for minutes in options.minutes:
            film = repeat(part, folder / f"{minutes:g} minutes.mp4", 60 * minutes)
            for job in ("swap", "extraction"):
                print(f"{job}, {film.stem}: {peak(job, film, folder, options.find):.0f} MiB")

"""pytest -m slow tests/video/test_film_memory.py: long films take no more memory."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import film_memory

import deepfake_utils

SAMPLE = Path(deepfake_utils.__file__).parent / "data" / "samples" / "person_a.mp4"


MEMORY_SCRIPT = """
import resource, sys
import numpy as np
from deepfake_utils.video import VideoWriter, read_frames

x = np.linspace(0, 6.28, 640)
image = np.stack([np.tile(120 + 90 * np.sin(x + k), (360, 1)) for k in range(3)], axis=-1)
image = image.astype(np.uint8)
for count in (100, 600):
    with VideoWriter(sys.argv[1], fps=50, size_wh=(640, 360), audio_from=sys.argv[2]) as writer:
        for i in range(count):
            writer.write(np.roll(image, i, axis=1))
    assert sum(1 for _ in read_frames(sys.argv[1])) == count
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\\n")
"""


SIGNING_SCRIPT = """
import resource, sys
from pathlib import Path
from deepfake_utils.marking import c2pa, signer

data, more = Path(sys.argv[1]).read_bytes(), 40 * 2**20  # the last box is made so much longer
at = data.index(b"mdat") - 4
size = (len(data) - at + more).to_bytes(4, "big")
film = Path(sys.argv[2])
film.write_bytes(data[:at] + size + data[at + 4 :])
with film.open("ab") as file:
    file.truncate(len(data) + more)
own, origin = signer.local_signer(), c2pa.Origin()
c2pa.try_signer(own)
for path in (None, film):
    if path is not None:
        c2pa.sign_file(path, "video/mp4", c2pa.describe(".mp4", 1, True, origin), own, origin)
        assert c2pa.read_manifest(path).state == "Valid"
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path / "a.mp4"), str(SAMPLE)]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    short, long = (int(line) / unit for line in run.stdout.split())  # peaks in MiB
    # 500 more frames of 0.66 MiB each: keeping them as RGB would take 330 MiB, as YUV 165.
    assert long - short < 60


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_swap_and_extraction_take_no_more_memory_for_longer_films(tmp_path: Path) -> None:
    part = film_memory.write_part(tmp_path / "part.mp4", 128)
    films = [film_memory.repeat(part, tmp_path / f"{s}.mp4", s) for s in (20, 180)]
    for job in ("swap", "extraction"):
        short, long = (film_memory.peak(job, film, tmp_path) for film in films)
        assert long < 1.02 * short + 2, job  # an MP4's index: 0.4 MiB a minute to read and write


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_signing_a_large_film_takes_no_more_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNING_SCRIPT, str(SAMPLE), str(tmp_path / "a.mp4")]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    before, after = (int(line) / 1024 for line in run.stdout.split())
    assert after - before < 20  # hashed in one piece it would take twice its 40 MiB

"""What marking costs, whether it is seen, what the watermark outlives, and whether it is ever read
where it is not.

    python tests/benchmarks/marking.py [PART...] [--clip FILE] [--pictures FOLDER] [--json FILE]

cost: ten seconds at 640x360 (the middle of person A's clip, or `--clip`, enlarged), written plain
and with all four layers in turns; medians of `--runs` pairs. `padded` are the bytes added to the
same clip shown small between streaks, which cost an encoder nothing until they are marked. The
target is not looked through for an older mark here, which is timed by itself.

visible: the largest change on flat grounds, PSNR, and just noticeable differences of 8x8 blocks of
the films: A. B. Watson, "DCT quantization matrices visually optimized for individual images", Proc.
SPIE 1913, 1993, with the table of I. J. Cox et al., "Digital Watermarking and Steganography", 2008,
chapter 8; 1 is what half of all people tell from the original where they look at one coefficient.

survival: 96 frames of each sample person, and of a picture of `--pictures` with a slow pan, put
through `attacks.ATTACKS`; the height of the pilot where the mark was read.

unmarked: the thorough search in 500 pictures and 100 clips of many kinds: sample clips, noise,
slopes, waves, checks, tiles, pages of text, photographs of `--pictures`; each also cropped, scaled,
turned, mirrored, or as JPEG. Nothing of `--pictures` is kept.
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

from deepfake_utils import read_frames, read_image, sample_clips
from deepfake_utils.lessons import attacks
from deepfake_utils.marking.reading import read_provenance, read_watermark
from deepfake_utils.marking.signer import FOLDER_VARIABLE
from deepfake_utils.marking.watermark import Watermark, new_mark_id
from deepfake_utils.marking.writing import MarkedVideoWriter
from deepfake_utils.video import VideoWriter

PARTS = ("cost", "visible", "survival", "unmarked")
parser = argparse.ArgumentParser()
parser.add_argument("parts", nargs="*", choices=(*PARTS, []), default=list(PARTS))
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--json", type=Path)
parser.add_argument("--clip", type=Path)
parser.add_argument("--pictures", type=Path, help="photographs, e.g. those in scikit-image's wheel")
options = parser.parse_args()

# Thresholds of an 8x8 DCT's coefficients; the lower left is the mirror image.
WATSON = np.array(
    [
        [1.40, 1.01, 1.16, 1.66, 2.40, 3.43, 4.79, 6.56],
        [1.01, 1.45, 1.32, 1.52, 2.00, 2.71, 3.67, 4.93],
        [1.16, 1.32, 2.24, 2.59, 2.98, 3.64, 4.60, 5.88],
        [1.66, 1.52, 2.59, 3.77, 4.55, 5.30, 6.28, 7.60],
        [2.40, 2.00, 2.98, 4.55, 6.15, 7.46, 8.71, 10.17],
        [3.43, 2.71, 3.64, 5.30, 7.46, 9.62, 11.58, 13.51],
        [4.79, 3.67, 4.60, 6.28, 8.71, 11.58, 14.50, 17.29],
        [6.56, 4.93, 5.88, 7.60, 10.17, 13.51, 17.29, 21.15],
    ]
)
mark, mark_id = Watermark(), new_mark_id()
clips = sample_clips()


def photographs():
    """The pictures of `--pictures`, at most 800 pixels wide."""
    paths = sorted(options.pictures.iterdir()) if options.pictures else []
    for path in paths:
        image = read_image(path)
        shrink = min(1.0, 800 / image.shape[1])
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        if min(image.shape[:2]) >= 128:
            yield image


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


def pan(image, count=96):
    """A film of 384x384 pixels that moves over a picture, half a pixel a frame."""
    scale = 440 / min(image.shape[:2])
    large = cv2.resize(image, None, fx=scale, fy=scale)
    for number in range(count):
        matrix = np.float32([[1, 0, -number / 2], [0, 1, -number / 4]])
        yield cv2.warpAffine(large, matrix, (384, 384), borderMode=cv2.BORDER_REFLECT)


def films():
    """96 frames each: both sample people, and a pan over a photograph."""
    for name, clip, start in (("a", clips.person_a, 14.0), ("b", clips.person_b, 2.0)):
        yield name, list(read_frames(clip, start, start + 3.84))[:96]
    for image in photographs():
        yield "photograph", list(pan(image))
        break


def write(kind, path, frames):
    """Seconds that writing takes."""
    began = time.perf_counter()
    with kind(path, fps=25, size_wh=(640, 360)) as writer:
        for frame in frames:
            writer.write(frame)
    return time.perf_counter() - began


def cost():
    """Time and bytes that marking adds."""
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
    lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    began = time.perf_counter()
    for luma in lumas:
        mark.write_luma(luma, mark_id)
    result["watermark_ms"] = (time.perf_counter() - began) / len(frames) * 1e3
    began = time.perf_counter()
    for frame in frames:
        mark.write(frame, mark_id)
    result["watermark_rgb_ms"] = (time.perf_counter() - began) / len(frames) * 1e3
    return result


def coefficients(plane):
    """DCT of each 8x8 block, (rows, columns, 8, 8)."""
    number = np.arange(8)
    basis = np.cos((2 * number[None] + 1) * number[:, None] * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    height, width = (side // 8 * 8 for side in plane.shape)
    blocks = plane[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3)
    return basis @ blocks @ basis.T


def noticeable(image, marked):
    """Just noticeable differences: the largest of each block's coefficients."""
    before, after = (
        cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(float) for each in (image, marked)
    )
    there, added = coefficients(before), coefficients(after - before)
    threshold = WATSON * (np.maximum(there[..., :1, :1], 16.0) / 1024.0) ** 0.649
    there[..., 0, 0] = 0.0
    masked = np.maximum(threshold, np.abs(there) ** 0.7 * threshold**0.3)
    return np.abs(added / masked).max(axis=(2, 3))


def visible():
    """What the mark does to flat grounds and films."""
    result: dict = {}
    for level in (8, 40, 128, 200, 255):
        ground = np.full((360, 640, 3), level, np.uint8)
        change = mark.write(ground, mark_id).astype(int) - level
        result[f"flat_{level}"] = f"{np.abs(change).max()} level, {change.any(2).mean():.0%} of it"
    for name, frames in films():
        pairs = [(frame, mark.write(frame, mark_id)) for frame in frames[::12]]
        errors = [np.square(a - b.astype(float)).mean() for a, b in pairs]
        result[f"psnr_db_{name}"] = round(float(10 * np.log10(255**2 / max(errors))), 1)
        jnd = np.stack([noticeable(*pair) for pair in pairs])
        result[f"jnd_{name}"] = np.quantile(jnd, (0.5, 0.95, 0.99)).round(2).tolist()
    return result


def survival():
    """The pilot's height after each attack; None where the mark was not read."""
    result: dict = {}
    for name, frames in films():
        found = attacks.survival(frames, mark_id)
        result[name] = {attack: each and round(each.peak, 1) for attack, each in found.items()}
    return result


def page(rng):
    """A page of text, light or dark."""
    dark = rng.random() < 0.5
    image = np.full((int(rng.integers(300, 700)), 640, 3), 25 if dark else 250, np.uint8)
    step = int(rng.integers(14, 34))
    for row in range(30, len(image), step):
        letters = "".join(rng.choice(list("abcdefghijklmnopqrst     "), 80))
        ink, size = ((220,) * 3 if dark else (30,) * 3), step / 50
        cv2.putText(image, letters, (20, row), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
    return image


def drawn(rng, kind):
    """Noise, slopes and what repeats itself."""
    noise = rng.integers(0, 256, (360, 540, 3), np.uint8)
    row, column = np.mgrid[:360, :540].astype(float)
    turn, period = rng.uniform(0, np.pi), rng.uniform(4, 40)
    along = (row * np.sin(turn) + column * np.cos(turn)) / period
    across = (row * np.cos(turn) - column * np.sin(turn)) / period
    if kind == 0:
        return noise
    if kind == 1:
        return cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 6.0))
    if kind == 2:
        plane = 128 + 100 * np.sin(along * 2 * np.pi)
    elif kind == 3:
        plane = (np.floor(along) + np.floor(across)) % 2 * 180 + 20
    elif kind == 4:
        plane = row * rng.uniform(0, 0.35) + column * rng.uniform(0, 0.2)
    elif kind == 5:
        tile = cv2.GaussianBlur(noise[:160, :160], (0, 0), 3.0)
        side = int(rng.integers(60, 200))
        return np.tile(cv2.resize(tile, (side, side)), (6, 8, 1))[:360, :540].copy()
    else:
        return page(rng)
    return cv2.merge([np.uint8(np.clip(plane, 0, 255))] * 3)


def altered(rng, image):
    """Cropped, scaled, turned, mirrored, or as JPEG, by chance."""
    if rng.random() < 0.5:
        image = attacks.cropped([image], rng.uniform(0.05, 0.5))[0]
    if rng.random() < 0.5:
        image = attacks.resized([image], rng.uniform(0.6, 1.7))[0]
    if rng.random() < 0.4:
        image = attacks.turned([image], rng.choice([90, 180, rng.uniform(-6, 6)]))[0]
    if rng.random() < 0.3:
        image = attacks.mirrored([image])[0]
    if rng.random() < 0.5:
        image = attacks.jpeg([image], int(rng.integers(25, 95)))[0]
    return image


def unmarked(count=500, clip_count=100):
    """How often a mark is read in pictures and clips that bear none."""
    rng = np.random.default_rng(1)
    frames = [frame for clip in clips for frame in read_frames(clip, stride=10)]
    kinds = [frames, list(photographs())]
    windows = [list(read_frames(clip)) for clip in clips]
    result = {"pictures": 0, "clips": 0, "read": 0, "largest_seconds": 0.0}
    for number in range(count + clip_count):
        source = kinds[number % 2] if number % 4 < 2 else []
        if source:
            image = source[int(rng.integers(len(source)))]
        else:
            image = drawn(rng, int(rng.integers(7)))
        seen = [altered(rng, image)]
        if number >= count:
            film = windows[number % len(windows)]
            start = int(rng.integers(len(film) - 24))
            seen = film[start : start + 24] if number % 3 else list(pan(image, 24))
            if number % 5 == 0:
                seen = attacks.turned(seen, 90)
            if number % 2:
                seen = attacks.resized(seen, rng.uniform(0.5, 1.5))
        began = time.perf_counter()
        result["read"] += (
            min(seen[0].shape[:2]) >= 64 and mark.read(seen, thorough=True) is not None
        )
        result["largest_seconds"] = max(result["largest_seconds"], time.perf_counter() - began)
        result["clips" if number >= count else "pictures"] += 1
    # The rule of three: so large the true share may be, 19 times of 20, if none of n was read.
    result["share_at_most"] = round(3 / (count + clip_count), 4)
    return result


results = {part: globals()[part]() for part in options.parts}
print(json.dumps(results, indent=2))
if options.json:
    options.json.write_text(json.dumps(results, indent=2) + "\n")

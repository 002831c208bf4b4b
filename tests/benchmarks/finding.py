"""How many faces are found, and how well their landmarks lie: by height, roll and yaw.

    python tests/benchmarks/finding.py --scenes FILE.npz

The scenes are rendered by `heads.py` (which needs ICT-FaceKit, see there) with people of their own
and kept in FILE, so that another version of the package can be measured on the same: run the same
line with PYTHONPATH set to its checkout. An error is the mean distance of the 68 points from the
truth; it is given in percent of the distance between the outer corners of the eyes of the same
head looking straight ahead, as that of a turned head says little. A face that is found is wrong if
that is above 15 %, or if there is none.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from heads import HeadModel, Performance, Person, render

from deepfake_utils import MeshLandmarker

HEIGHTS = (40, 50, 60, 80, 100, 140)
WRONG = 15.0  # percent of the eye distance
GAMMA = 0.87  # of the renderer


class Stage:
    """A picture to put heads into.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        faces: of each (68, 2) true points, eye distance looking ahead, height, yaw, roll.
    """

    def __init__(self, model, people, seed, size_wh):
        self.model, self.people, self.faces = model, people, []
        rng = np.random.default_rng([seed, 99])
        image = cv2.resize(Performance._draw_room(rng), size_wh, interpolation=cv2.INTER_CUBIC)
        for kind in rng.integers(0, 3, 40):  # things with edges, among which there is no face
            at, size = rng.integers(0, size_wh), rng.integers(10, 160, 2)
            ends = [tuple(int(v) for v in place) for place in (at, at + size)]
            colour = rng.uniform(0.1, 0.9, 3).tolist()
            if kind == 0:
                cv2.rectangle(image, *ends, colour, -1)
            elif kind == 1:
                cv2.circle(image, ends[0], int(size[0] // 2), colour, -1)
            else:
                cv2.line(image, *ends, colour, int(rng.integers(1, 6)))
        image = cv2.GaussianBlur(image, (0, 0), 1.5) + rng.normal(0, 0.01, image.shape)
        self.image = np.uint8(np.round(np.clip(image, 0, 1) ** GAMMA * 255))

    def put(self, seed, centre, height, yaw=0.0, pitch=0.0, roll=0.0):
        """Draw a head whose 68 points would be so many pixels high if it did not roll."""
        if seed not in self.people:
            self.people[seed] = Person(seed, self.model, varied=True)
        person, performance = self.people[seed], Performance(seed + 17, seconds=1)
        frame = int(np.random.default_rng(seed).integers(performance.frames))

        def draw(size, *pose):
            performance.pose[frame] = pose
            return render(person, performance, frame, size)

        size = round(64 * height / np.ptp(draw(64, yaw, pitch, 0.0)[1][:, 1]))
        ahead = draw(64, 0.0, 0.0, 0.0)[1]
        eyes = np.linalg.norm(ahead[45] - ahead[36]) * size / 64
        left, top = (round(c - size / 2) for c in centre)
        high, wide = self.image.shape[:2]
        pad = max(0, -left, -top, left + size - wide, top + size - high)
        whole = np.pad(self.image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        part = np.s_[top + pad : top + pad + size, left + pad : left + pad + size]
        performance.room = (whole[part] / 255).clip(1e-4, 1) ** (1 / GAMMA)
        whole[part], points = draw(size, yaw, pitch, roll)
        self.image = whole[pad : pad + high, pad : pad + wide]
        self.faces.append((points + np.array([left, top]), eyes, height, yaw, roll))


def scenes(model, first):
    """Yield the name of a set and a `Stage`; `first` is the seed of the first person."""
    people = {}
    for number in range(4):
        rng = np.random.default_rng([number, first])
        stage, count = Stage(model, people, 100 + number, (1280, 720)), int(rng.integers(5, 9))
        for place in range(count):
            centre = (place + 0.5) * 1280 / count + rng.uniform(-8, 8), rng.uniform(150, 560)
            height = rng.uniform(40, min(130, 1280 / count * 0.6))
            turn = rng.uniform([-30, -10, -20], [30, 10, 20])
            stage.put(first + 10 * number + place, centre, height, *turn)
        yield "height", stage
    for number, height in enumerate(HEIGHTS * 3):
        rng = np.random.default_rng([number, first + 1])
        stage = Stage(model, people, 200 + number, (1920, 1080))
        turn = rng.uniform([-30, -10, -15], [30, 10, 15])
        stage.put(first + 200 + number, rng.uniform([200, 200], [1700, 880]), height, *turn)
        yield "height", stage
    for person in range(8):
        for roll in range(0, 360, 15):
            stage = Stage(model, people, 300 + person, (640, 360))
            stage.put(first + 300 + person, (320, 180), (60, 90, 120, 150)[person % 4], roll=roll,
                      yaw=(0, 20, -25, 10)[person // 2], pitch=(0, 8)[person % 2])  # fmt: skip
            yield "roll", stage
    for person in range(4):
        for yaw in range(-90, 91, 15):
            stage = Stage(model, people, 400 + person, (640, 360))
            stage.put(first + 400 + person, (320, 180), 120, yaw, (0, 10, -10, 0)[person])
            yield "yaw", stage


def spoilt(image, points, kind, amount):
    """A picture that is blurred by motion (share of the face's height), dark, or partly covered."""
    height = float(np.ptp(points[:, 1]))
    if kind == "blurred":
        side = max(1, round(amount * height)) | 1
        kernel = np.zeros((side, side), np.float32)
        kernel[side // 2] = 1.0 / side
        return cv2.filter2D(image, -1, kernel)
    if kind == "dark":
        noise = np.random.default_rng(0).normal(0, 2.0, image.shape)
        return np.uint8(np.clip(image * amount + noise, 0, 255))
    low, high = points.min(axis=0), points.max(axis=0)
    part = image.copy()
    x0, y0, x1, y1 = (int(v) for v in (*(low - 0.2 * height), *(high + 0.1 * height)))
    if kind == "covered from below":
        y0 = int(y1 - amount * (y1 - y0))
    else:
        x0 = int(x1 - amount * (x1 - x0))
    part[max(y0, 0) : y1, max(x0, 0) : x1] = (90, 70, 60)
    return part


HARD = {
    "blurred": (0.05, 0.1, 0.2, 0.3),
    "dark": (0.3, 0.15, 0.08, 0.04),
    "covered from below": (0.25, 0.4, 0.5, 0.6),
    "covered from the side": (0.2, 0.35, 0.5, 0.6),
}


def judge(found, faces):
    """The error of each true face in percent (nan if it is not found), and how many are wrong."""
    errors = np.full(len(faces), np.nan)
    wrong = 0
    for points in found:
        off = [np.linalg.norm(points - f[0], axis=1).mean() / f[1] * 100 for f in faces]
        best = int(np.argmin(off)) if off else 0
        if off and off[best] <= WRONG:
            errors[best] = np.nanmin([errors[best], off[best]])
        else:
            wrong += 1
    return errors, wrong


def table(name, rows, edges):
    """Print a line for the rows of (key, error, wrong) from each edge to below the next."""
    print(f"\n| {name} | faces | found, % | error: mean | worst | wrong |")
    print("|---|---|---|---|---|---|")
    for low, high in pairwise(edges):
        part = np.array([row for row in rows if low <= round(row[0], 2) < high])
        seen = part[np.isfinite(part[:, 1]), 1] if len(part) else []
        if not len(part):
            continue
        figures = f"{np.mean(seen):.1f} | {np.max(seen):.1f}" if len(seen) else "|"
        found = f"{100 * len(seen) / len(part):.0f}"
        print(f"| from {low:g} | {len(part)} | {found} | {figures} | {part[:, 2].sum():.0f} |")


def rendered(path, first):
    """The scenes, from the file or rendered into it."""
    if path is not None and path.exists():
        with np.load(path, allow_pickle=True) as data:
            return list(data["scenes"])
    model = HeadModel()
    made = [(name, stage.image, stage.faces) for name, stage in scenes(model, first)]
    if path is not None:
        kept = np.empty(len(made), object)
        kept[:] = made
        np.savez(path, scenes=kept)
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=Path, help="keep the rendered scenes here; one's own only")
    parser.add_argument("--seed", type=int, default=7000, help="of the first person")
    options = parser.parse_args()
    made, find = rendered(options.scenes, options.seed), MeshLandmarker()
    rows = {"height": [], "roll": [], "yaw": [], **{kind: [] for kind in HARD}}
    began, pixels = time.perf_counter(), 0
    for name, image, faces in made:
        errors, wrong = judge(find(image), faces)
        pixels += image.size // 3
        for face, error in zip(faces, errors, strict=True):
            key = {"height": face[2], "yaw": face[3], "roll": face[4]}[name]
            rows[name].append((key, error, wrong / len(faces)))
        if name == "yaw" and abs(faces[0][3]) <= 15:
            for kind, amounts in HARD.items():
                for amount in amounts:
                    errors, wrong = judge(find(spoilt(image, faces[0][0], kind, amount)), faces)
                    rows[kind].append((amount, errors[0], wrong))
    print(f"{len(made)} scenes, {time.perf_counter() - began:.0f} s")
    table("height, px", rows["height"], (40, 50, 60, 80, 100, 200))
    table("roll, degrees", rows["roll"], range(0, 361, 45))
    table("yaw, degrees", [(abs(yaw), *rest) for yaw, *rest in rows["yaw"]], range(0, 106, 15))
    for kind, amounts in HARD.items():
        table(kind, rows[kind], sorted((*amounts, np.inf)))

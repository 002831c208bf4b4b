"""Where the numbers of `FaceCode` and of `covering` come from, and how often people are confused.

    python tests/benchmarks/face_code.py train FOLDER [FOLDER ...] --to FOLDER
    python tests/benchmarks/face_code.py measure [--people 40] [--dlib]

`train` takes folders that `pretraining_set.py` rendered. `measure` renders two tracks of each of so
many other people, in different rooms, light, words and pose, some of them turned by up to 25
degrees, and compares the mean codes of every two tracks.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from heads import HeadModel, Performance, Person, render

import deepfake_utils as du
from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.curation.covering import CELLS_FILE, CELLS_FORMAT, left_over
from deepfake_utils.faces import align_face
from deepfake_utils.files import sha256_of, write_tensors
from deepfake_utils.tracking.identity import (
    CODE_FILE,
    CODE_FORMAT,
    CODE_SIZE,
    FaceCode,
    IdentityModel,
    code_features,
    cosine_distance,
    face_features,
)

DIMENSIONS, KEPT, RIDGE = 400, 64, 0.02
COMPONENTS = 120
FIRST_SEED = 800_000  # nobody in the training sets has so high a number
SAMPLES = 6  # pictures of a track


def relit(face, rng):
    """A face (64, 64, 3) uint8 in other light and surroundings, less sharp, a little displaced."""
    down, across = np.mgrid[-1 : 1 : CODE_SIZE * 1j, -1 : 1 : CODE_SIZE * 1j].astype(np.float32)
    whole, side = (CODE_SIZE, CODE_SIZE), int(rng.uniform(24, CODE_SIZE))
    image = cv2.resize(face.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_AREA)
    image = cv2.resize(image, whole, interpolation=cv2.INTER_LINEAR)
    move = cv2.getRotationMatrix2D((31.5, 31.5), rng.normal(0, 3), rng.normal(1, 0.035))
    move[:, 2] += rng.normal(0, 1.0, 2)
    image = cv2.warpAffine(image, move, whole, borderMode=cv2.BORDER_REPLICATE)
    image = image ** np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.2))
    image = image * np.exp(rng.normal(0, 0.06, 3))
    turn, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    light = 1 + fall * (np.cos(turn) * across + np.sin(turn) * down)
    image = image * np.clip(light, 0.2, 2)[..., None]
    if rng.random() < 0.5:
        outside = np.clip((np.square(across / 0.8) + np.square(down / 0.98) - 0.95) * 6, 0, 1)
        image = image + outside[..., None] * (rng.uniform(0, 0.9, 3) - image)
    image = image + rng.normal(0, 0.015, image.shape)
    return np.uint8(np.clip(image, 0, 1) * 255)


def train(folders, folder_to):
    """Fisher's discriminants of all faces in the folders, half of them relit."""
    rng, rows, people, plain = np.random.default_rng(0), [], [], []
    for number, folder in enumerate(folders):
        images = np.load(folder / "images.npy", mmap_mode="r")
        owner = np.load(folder / "person.npy")
        for i in np.flatnonzero(owner >= 0):
            face = cv2.resize(images[i], (CODE_SIZE, CODE_SIZE), interpolation=cv2.INTER_AREA)
            face = relit(face, rng) if rng.random() < 0.5 else face
            rows.append(code_features(face))
            if len(rows) % 3 == 0:
                plain.append(face_features(face.astype(np.float32) / 255)[:2400])
            people.append(owner[i] + 1_000_000 * number)
    rows = np.stack(rows)
    _, who = np.unique(people, return_inverse=True)
    mean = rows.mean(axis=0)
    rows -= mean
    _, axes = np.linalg.eigh((rows.T @ rows / len(rows)).astype(np.float64))
    axes = axes[:, ::-1][:, :DIMENSIONS]
    rows = rows @ axes
    middles = np.stack([rows[who == k].mean(axis=0) for k in range(who.max() + 1)])
    within = np.cov((rows - middles[who]).T)
    within += RIDGE * np.trace(within) / DIMENSIONS * np.eye(DIMENSIONS)
    root = np.linalg.inv(np.linalg.cholesky(within))
    _, turn = np.linalg.eigh(root @ np.cov(middles.T) @ root.T)
    found = axes @ root.T @ turn[:, ::-1][:, :KEPT]
    found *= 10.0 / np.abs(found).max()
    tensors = {"mean": torch.from_numpy(mean).half(), "map": torch.from_numpy(found.copy()).half()}
    paths = folder_to / CODE_FILE.name, folder_to / CELLS_FILE.name
    write_tensors(paths[0], tensors, {"format": CODE_FORMAT})
    plain = np.stack(plain)
    mean = plain.mean(axis=0)
    plain -= mean
    _, axes = np.linalg.eigh((plain.T @ plain / len(plain)).astype(np.float64))
    axes = np.ascontiguousarray(axes[:, ::-1][:, :COMPONENTS].astype(np.float32))
    rest = left_over(plain, axes)
    arrays = {"mean": mean, "axes": axes, "usual": rest.mean(axis=0), "spread": rest.std(axis=0)}
    tensors = {name: torch.from_numpy(each).half() for name, each in arrays.items()}
    write_tensors(paths[1], tensors, {"format": CELLS_FORMAT})
    print(f"{len(rows)} faces of {len(middles)} people")
    for path in paths:
        print(f"{path}: {path.stat().st_size} bytes, SHA-256 {sha256_of(path)}")


def swap_code():
    """The pretrained encoder's code, which holds pose, expression and light: for comparison."""
    network = FaceSwapAutoencoder.pretrained().eval()
    size, coverage = network.config.image_size, network.config.coverage

    def embed(frame, points):
        face = align_face(frame, points, size, coverage).image
        with torch.inference_mode():
            code = network.encode(torch.from_numpy(face).permute(2, 0, 1)[None] / 255.0, None)
        return code.flatten().double().numpy()

    return embed


def colours(frame, points):
    """Mean colours of 4 x 4 parts of the aligned face, for comparison."""
    face = align_face(frame, points, 64, 0.8).image / 255.0
    small = cv2.resize(face, (4, 4), interpolation=cv2.INTER_AREA)
    return (small - small.mean()).ravel()


def measure(people, ways):
    """Print how often two tracks are taken for one person though they are two, and the reverse."""
    model, find = HeadModel(), du.MeshLandmarker()
    codes = {name: [] for name in ways}
    for seed in range(people):
        someone = Person(FIRST_SEED + seed, model, varied=True)
        for track in range(2):
            play = Performance(FIRST_SEED + 2 * seed + track, seconds=2.0)
            frames = np.linspace(2, play.frames - 3, SAMPLES).astype(int)
            faces = []
            for image, _ in (render(someone, play, i, 200, 1.5, 1.2) for i in frames):
                faces += [(image, points) for points in find(image)[:1]]
            for name, embed in ways.items():
                codes[name].append(np.mean([embed(*face) for face in faces], axis=0))
    for name, embed in ways.items():
        own = np.array([cosine_distance(*codes[name][i : i + 2]) for i in range(0, 2 * people, 2)])
        pairs = [(i, k) for i in range(2 * people) for k in range(i) if i // 2 != k // 2]
        others = np.array([cosine_distance(codes[name][i], codes[name][k]) for i, k in pairs])
        limits = np.unique(np.concatenate([own, others]))
        parted = np.array([(own > limit).mean() for limit in limits])
        joined = np.array([(others <= limit).mean() for limit in limits])
        best = np.argmin(np.abs(parted - joined))
        both = 50 * (parted[best] + joined[best])
        line = f"{name}: equal errors {both:.1f} % at {limits[best]:.3f}"
        if hasattr(embed, "alike"):
            parts, joins = (own > embed.alike).mean(), (others <= embed.alike).mean()
            line += f"; at {embed.alike}: one taken for two {100 * parts:.1f} %"
            line += f", two for one {100 * joins:.1f} %"
        print(line)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "measure"])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--to", type=Path, default=Path())
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--dlib", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.folders, arguments.to)
        return
    ways = {"FaceCode": FaceCode(), "the swap's encoder": swap_code(), "colours": colours}
    if arguments.dlib:
        ways["IdentityModel"] = IdentityModel()
    measure(arguments.people, ways)


if __name__ == "__main__":
    main()

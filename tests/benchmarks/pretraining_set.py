"""Render the faces that the pretrained start learns from: many people, each scene by many of them.

    python tests/benchmarks/pretraining_set.py FOLDER [--model ict_heads.npz] [--people 600]
        [--scenes-each 50] [--together 24]

Nobody in it exists. A scene (pose, expression, light, room) is played by `together` people, so that
there is a right answer to "this face, as that person". Each face is found and aligned as one of a
film would be. Seeds from 900,000 on are left to `pairs.py`.
FOLDER gets images.npy (N, 176, 176, 3) uint8 RGB, points.npy and truth.npy (N, 68, 2) float32, the
landmarks found and the true ones in crop pixels, person.npy and scene.npy (N,) int32; where no face
was found, person is -1.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from heads import HeadModel, Person, Scene, render
from numpy.lib.format import open_memmap

import deepfake_utils as du
from deepfake_utils.faces import align_face
from deepfake_utils.umeyama import transform_points

SIZE, COVERAGE = 176, 0.6
FRAME, OVERSAMPLING, ZOOM = 200, 1.6, 1.3  # of the picture that a face is found in


def who_plays_what(people, scenes_each, together, seed=0):
    """(people, scenes_each) int: the scenes of each person, `together` people in each."""
    rng = np.random.default_rng(seed)
    blocks = [rng.permutation(people) // together for _ in range(scenes_each)]
    return np.stack([block + k * (people // together) for k, block in enumerate(blocks)], 1)


def render_person(folder, model, seed, scenes):
    """Write one person's rows of the arrays."""
    cv2.setNumThreads(1)
    mesh, find = HeadModel(model), du.MeshLandmarker()
    rows = slice(seed * len(scenes), (seed + 1) * len(scenes))
    images, points, truth, owner = (
        open_memmap(folder / f"{name}.npy", "r+")[rows]
        for name in ("images", "points", "truth", "person")
    )
    someone = Person(seed, mesh, varied=True)
    for row, scene in enumerate(scenes):
        frame, true = render(someone, Scene(int(scene), mesh), 0, FRAME, OVERSAMPLING, ZOOM)
        found = find(frame)
        owner[row] = seed if found else -1
        if found:
            face = align_face(frame, found[0], SIZE, COVERAGE)
            images[row], points[row] = face.image, face.landmarks
            truth[row] = transform_points(true, face.matrix)
    return int((owner >= 0).sum())


def main():
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="ict_heads.npz; or the variable ICT_HEADS")
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--scenes-each", type=int, default=50)
    parser.add_argument("--together", type=int, default=24)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    people, each = arguments.people, arguments.scenes_each
    if people % arguments.together:
        parser.error(f"--people: expected a multiple of {arguments.together}, got {people}")
    plays = who_plays_what(people, each, arguments.together)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    count = people * each
    for name, shape, kind in (
        ("images", (count, SIZE, SIZE, 3), np.uint8),
        ("points", (count, 68, 2), np.float32),
        ("truth", (count, 68, 2), np.float32),
        ("person", (count,), np.int32),
        ("scene", (count,), np.int32),
    ):
        open_memmap(arguments.folder / f"{name}.npy", "w+", kind, shape)
    open_memmap(arguments.folder / "scene.npy", "r+")[:] = plays.ravel()
    open_memmap(arguments.folder / "person.npy", "r+")[:] = -1
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = [
            pool.submit(render_person, arguments.folder, arguments.model, seed, plays[seed])
            for seed in range(people)
        ]
        found = 0
        for seed, job in enumerate(jobs):
            found += job.result()
            if seed % 10 == 9:
                print(f"{seed + 1} people, {found} faces", flush=True)


if __name__ == "__main__":
    main()

"""Derive which of FaceMesh's 468 points stand for the 68 Multi-PIE points.

Run it from a checkout: python tests/benchmarks/derive_mesh68.py

The sample clips come with the true 68 points of every frame. The mesh is fitted to frames of both
people, and the mesh points that lie nearest on average are taken, measured in units of the
distance between the outer eye corners, under these conditions:

* A contour of the 68 points lies on the same contour of the mesh and runs along it in the same
  direction, its ends on the ends (`CONTOURS`). Two synthetic people say little about where brows
  and jaws of people at large lie; the mesh's own contours are what it was trained to follow.
* The table is symmetric: a mirrored face gets the mirrored points. Which mesh points mirror each
  other is found by fitting the mesh to mirrored frames.

The table is first derived from one person and checked on the other, which says what to expect on
somebody new, and then from both.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from deepfake_utils.detectors.blazeface import FaceDetector  # noqa: E402
from deepfake_utils.detectors.facemesh import FaceMesh  # noqa: E402
from deepfake_utils.landmarks import FLIP68, MESH68  # noqa: E402

Array = NDArray[np.float64]
SAMPLES = ROOT / "deepfake_utils" / "data" / "samples"
STEP = 5  # every fifth frame: neighbours show nearly the same face

# The contours of the right half of the face. On the left those of the 68 points; on the right the
# mesh points along it, in the same direction. Names of mesh points: FaceMesh's own contours (oval,
# brow, eye, lips) and, for the nose, the edges of its triangles, as mediapipe 0.10.21 lists them in
# python/solutions/face_mesh_connections.py.
CONTOURS: list[tuple[list[int], list[int]]] = [
    # jaw, from the temple to the chin
    ([0, 1, 2, 3, 4, 5, 6, 7, 8], [162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152]),
    ([17, 18, 19, 20, 21], [70, 63, 105, 66, 107]),  # brow, upper edge
    ([27, 28, 29, 30], [168, 6, 197, 195, 5, 4, 1]),  # ridge of the nose
    ([31, 32, 33], [64, 98, 97, 2]),  # underside of the nose
    ([36, 37, 38, 39], [33, 246, 161, 160, 159, 158, 157, 173, 133]),  # upper lid
    ([36, 41, 40, 39], [33, 7, 163, 144, 145, 153, 154, 155, 133]),  # lower lid
    ([48, 49, 50, 51], [61, 185, 40, 39, 37, 0]),  # upper lip, outside
    ([48, 59, 58, 57], [61, 146, 91, 181, 84, 17]),  # lower lip, outside
    ([60, 61, 62], [78, 191, 80, 81, 82, 13]),  # upper lip, inside
    ([60, 67, 66], [78, 95, 88, 178, 87, 14]),  # lower lip, inside
]
LOOSE_ENDS = {0, 30, 31}  # ends of contours that go on in the mesh where the 68 points stop


def fit(person: str) -> tuple[Array, Array, Array]:
    """Mesh (n, 468, 2), mesh of the mirrored frames mirrored back, and truth (n, 68, 2).

    All are divided by the true distance between the outer eye corners of their frame, turned
    upright and centred between these corners.
    """
    detect, mesh = FaceDetector(), FaceMesh(refine=1)
    truth = np.load(SAMPLES / "truth.npz")[f"landmarks_{person}"].astype(np.float64)
    results = []
    with av.open(str(SAMPLES / f"person_{person}.mp4")) as container:
        for index, decoded in enumerate(container.decode(video=0)):
            if index % STEP:
                continue
            frame = decoded.to_ndarray(format="rgb24")
            points, _ = mesh(frame, detect(frame)[0])
            mirrored = cv2.flip(frame, 1)
            back, _ = mesh(mirrored, detect(mirrored)[0])
            back[:, 0] = frame.shape[1] - 1 - back[:, 0]
            right, left = truth[index, 36], truth[index, 45]
            eyes = left - right
            turn = np.array([[eyes[0], eyes[1]], [-eyes[1], eyes[0]]]) / (eyes @ eyes)
            middle = (left + right) / 2
            results.append([(p - middle) @ turn.T for p in (points, back, truth[index])])
    mesh_points, backs, truths = (np.stack(part) for part in zip(*results, strict=True))
    return mesh_points, backs, truths


def mirror_pairs(mesh_points: Array, backs: Array) -> NDArray[np.intp]:
    """For each mesh point the one that mirrors it, (468,).

    The mirror of a point is found where the point itself is found in a mirrored frame.
    """
    cost = np.stack(
        [np.linalg.norm(mesh_points - backs[:, [v]], axis=-1).mean(axis=0) for v in range(468)]
    )
    pairs = cost.argmin(axis=1)
    if not np.array_equal(pairs[pairs], np.arange(468)):
        # Where two points nearly coincide, take pairs in order of how well they agree.
        both = cost + cost.T
        pairs = np.full(468, -1)
        for flat in np.argsort(both, axis=None):
            a, b = divmod(int(flat), 468)
            if pairs[a] < 0 and pairs[b] < 0:
                pairs[a], pairs[b] = b, a
    return pairs


def distances(mesh_points: Array, truths: Array) -> Array:
    """Mean distance of each truth point to each mesh point, (68, 468), in eye distances."""
    return np.stack(
        [
            np.linalg.norm(mesh_points - truths[:, [point]], axis=-1).mean(axis=0)
            for point in range(68)
        ]
    )


def along(cost: Array, points: list[int], path: list[int]) -> list[int]:
    """The cheapest choice of one mesh point for each of `points`, in order along `path`.

    Args:
        cost: (68, 468).
        points: indices among the 68, along the contour.
        path: mesh points along the same contour, at least as many.

    Returns:
        As many mesh points as `points`, a subsequence of `path`.
    """
    table = cost[np.ix_(points, path)].copy()
    for row, point in enumerate(points):  # fixed ends
        if row in (0, len(points) - 1) and point not in LOOSE_ENDS:
            end = 0 if row == 0 else len(path) - 1
            table[row, np.arange(len(path)) != end] = np.inf
    # best[i, j]: cheapest way to place the points up to i when i lies on path[j]
    best = np.full(table.shape, np.inf)
    best[0] = table[0]
    for i in range(1, len(points)):
        for j in range(i, len(path)):
            best[i, j] = table[i, j] + best[i - 1, :j].min()
    chosen = [int(best[-1].argmin())]
    for i in range(len(points) - 2, -1, -1):
        chosen.insert(0, int(best[i, : chosen[0]].argmin()))
    return [path[j] for j in chosen]


def derive(cost: Array, pairs: NDArray[np.intp]) -> list[int]:
    """The table: for each of the 68 the index of a mesh point, (68,).

    Raises:
        ValueError: if two of the 68 would get one mesh point, which no face can have.
    """
    symmetric = (cost + cost[np.ix_(FLIP68, pairs)]) / 2
    table: dict[int, int] = {}
    for points, path in CONTOURS:
        for point, v in zip(points, along(symmetric, points, path), strict=True):
            table[point] = v
            table[int(FLIP68[point])] = int(pairs[v])
    if len(table) != 68 or len(set(table.values())) != 68:
        raise ValueError(f"expected 68 different mesh points, got {sorted(table.items())}")
    return [table[point] for point in range(68)]


def error(table: list[int], mesh_points: Array, truths: Array) -> str:
    """Mean distance to the truth in percent of the eye distance: all points, and without jaw."""
    off = 100 * np.linalg.norm(mesh_points[:, table] - truths, axis=-1)
    return f"{off.mean():.2f} % ({off[:, 17:].mean():.2f} % without the jaw)"


def main() -> None:
    """Derive, check, print."""
    a, b = fit("a"), fit("b")
    both = tuple(np.concatenate(part) for part in zip(a, b, strict=True))
    for name, used in (("a", a), ("b", b), ("both", both)):
        pairs = mirror_pairs(used[0], used[1])
        table = derive(distances(used[0], used[2]), pairs)
        print(f"\nfrom {name}: {sum(pairs == np.arange(468))} points on the middle line")
        print(f"error on a: {error(table, a[0], a[2])}, on b: {error(table, b[0], b[2])}")
    print("\nMESH68 =", table)
    print("the package's table is", "the same" if [int(v) for v in MESH68] == table else "another")
    print(f"the package's table: on a {error([int(v) for v in MESH68], a[0], a[2])}, ", end="")
    print(f"on b {error([int(v) for v in MESH68], b[0], b[2])}")
    off = 100 * np.linalg.norm(both[0][:, table] - both[2], axis=-1).mean(axis=0)
    print("error of each point, %:", " ".join(f"{p}:{e:.1f}" for p, e in enumerate(off)))


if __name__ == "__main__":
    main()

"""How steady `track_faces` makes landmarks, how true they stay, and what a face is best aligned by.

    python tests/benchmarks/steadiness.py

First table. Still head: the first frame of person A 60 times with fresh grain (4 levels), jitter of
the points and of where the alignment puts the mean face's steady points. Then both clips against
the true landmarks: lag, mean distance of the points, and that of the alignment; pixels of 384.
Last, the inner-face PSNR of the right answer pasted by these landmarks (see alignment.py), every
second frame of the last 4 s. Second table: the same PSNR by other points. Takes about two
minutes.
"""

from functools import partial

import cv2
import numpy as np
from track_measures import jitter, lag

from deepfake_utils import MeshLandmarker, read_frames, sample_clips, transform_points
from deepfake_utils.faces import MEAN_FACE, mean_face
from deepfake_utils.landmarks import MESH68, STEADY
from deepfake_utils.samples import TEST_START_S, load_truth
from deepfake_utils.scoring import inner_face_psnr
from deepfake_utils.tracking.steadying import TrackConfig
from deepfake_utils.tracking.tracks import track_faces
from deepfake_utils.umeyama import invert, umeyama
from deepfake_utils.video import TimedFrame, read_timed_frames

SIZE, COVERAGE, STRIDE = 96, 0.75, 2
TEST = slice(350, 450)  # the frames of person A's last 4 s
clips, truth = sample_clips(), load_truth()
paths = {"a": clips.person_a, "b": clips.person_b, "b as a": clips.person_b_as_a}
true = {"a": truth.landmarks_a, "b": truth.landmarks_b, "b as a": truth.landmarks_b_as_a}
targets = list(read_frames(clips.person_a, TEST_START_S, stride=STRIDE))
answers = list(read_frames(clips.person_b_as_a, stride=STRIDE))


def aligned(points, used=STEADY, template=MEAN_FACE):
    """Matrices (N, 2, 3), frame -> mean face, by some of the points of each frame."""
    return np.stack([umeyama(p[used], template[used]) for p in points])


def to_crop(matrix, size):
    """(2, 3), frame -> mean face, made frame -> crop."""
    span = mean_face(size, COVERAGE) - MEAN_FACE * (COVERAGE * size)
    return np.hstack([matrix[:, :2], matrix[:, 2:]]) * (COVERAGE * size) + [
        [0, 0, span[0, 0]],
        [0, 0, span[0, 1]],
    ]


def pasted(matrices_a, matrices_b, finer=2):
    """Mean inner-face PSNR in dB of the right answer pasted by these alignments."""
    scores = []
    for frame, answer, a, b, ta, tb in zip(
        targets,
        answers,
        matrices_a[::STRIDE],
        matrices_b[::STRIDE],
        true["a"][TEST][::STRIDE],
        true["b as a"][::STRIDE],
        strict=True,
    ):
        edge = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
        large = cv2.warpAffine(answer, to_crop(b, SIZE * finer), (SIZE * finer,) * 2, **edge)
        crop = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        back = cv2.warpAffine(crop, invert(to_crop(a, SIZE)), frame.shape[1::-1], **edge)
        scores.append(inner_face_psnr(back, ta, answer, tb))
    return np.mean(scores)


def placed(points):
    """Where the alignment by `points` puts the mean face's steady points, (N, 39, 2)."""
    return np.stack([transform_points(MEAN_FACE[STEADY], invert(m)) for m in aligned(points)])


def steadied(read, points, method):
    """Points (N, 68, 2) found before, smoothed."""
    known = iter(points)
    tracked = track_faces(read(), lambda _: [next(known)], TrackConfig(smoothing=method))
    return np.stack([frame.points for frame in tracked])


def row(name, still, points):
    """One line of the first table."""
    rows = []
    for clip in ("a", "b"):
        ours, theirs = points[clip], true[clip]
        off = np.linalg.norm(placed(ours) - placed(theirs), axis=-1).mean()
        error = np.linalg.norm(ours - theirs, axis=-1).mean()
        rows.append((lag(ours, theirs), error, off))
    numbers = [jitter(still), jitter(placed(still)), *np.mean(rows, axis=0)]
    decibel = pasted(aligned(points["a"][TEST]), aligned(points["b as a"]))
    print(f"| {name} | {' | '.join(f'{n:.3f}' for n in numbers)} | {decibel:.2f} |", flush=True)


landmarker = MeshLandmarker()
found = {name: np.stack([landmarker(f)[0] for f in read_frames(paths[name])]) for name in paths}
random = np.random.default_rng(0)
first = next(read_frames(clips.person_a)).astype(np.float64)
grainy = [
    TimedFrame(np.uint8(np.clip(np.rint(first + random.normal(0, 4, first.shape)), 0, 255)), i / 25)
    for i in range(60)
]
still = np.stack([landmarker(frame.image)[0] for frame in grainy])
print("| smoothing | still, points | still, alignment | lag, frames | error | of alignment | dB |")
print("|---|---|---|---|---|---|---|")
row("true landmarks", np.repeat(true["a"][:1], 60, axis=0), true)
for method in ("off", "zero-lag"):
    steady = {
        name: steadied(partial(read_timed_frames, path), found[name], method)
        for name, path in paths.items()
    }
    row(method, steadied(lambda: grainy, still, method), steady)

print("\n| aligned by | dB |\n|---|---|")
for name, used in (
    ("STEADY", STEADY),
    ("points 17-67", np.arange(17, 68)),
    ("all 68", np.arange(68)),
    ("brows, eyes, underside of the nose", np.r_[17:27, 31:48]),
    ("eyes, underside of the nose, outer lips", np.r_[31:60]),
    ("corners of eyes and mouth", np.r_[36, 39, 42, 45, 48, 54]),
):
    decibel = pasted(aligned(steady["a"][TEST], used), aligned(steady["b as a"], used))
    print(f"| zero-lag, {name} | {decibel:.2f} |", flush=True)


def mean_mesh(meshes):
    """The clip's own mean of 468 points, laid onto the mean face by the steady 68 among them."""
    mean = meshes[0]
    for _ in range(3):
        mean = np.mean([transform_points(m, umeyama(m, mean)) for m in meshes], axis=0)
    return transform_points(mean, umeyama(mean[MESH68][STEADY], MEAN_FACE[STEADY]))


every = np.arange(468)
meshes = {
    name: np.stack([landmarker.mesh468(f)[0] for f in read_frames(path)])
    for name, path in (("a", clips.person_a), ("b as a", clips.person_b_as_a))
}
by_mesh = [aligned(meshes[name], every, mean_mesh(meshes[name])) for name in meshes]
decibel = pasted(by_mesh[0][TEST], by_mesh[1])
print(f"| as found, 468 points onto the clip's own mean | {decibel:.2f} |")

"""How much of the score alignment alone decides: paste the right answer by found landmarks.

    python tests/benchmarks/alignment.py [PAIR ...]     # folders of pairs.py; without: the samples

Person B performing A's last seconds is cut out by its own landmarks, made as small as the network's
picture, and pasted onto A by A's landmarks: what a perfect network would score. Rows: the true
landmarks; the mesh, as called; without the mirrored fit; and aligned by other sets of points.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from pairs import prepare, sample_pair

from deepfake_utils import MeshLandmarker, read_frames
from deepfake_utils.faces import mean_face
from deepfake_utils.landmarks import STEADY
from deepfake_utils.scoring import inner_face_psnr
from deepfake_utils.umeyama import invert, umeyama

SIZE, COVERAGE, STRIDE = 128, 0.75, 4
INNER = np.arange(17, 68)


def cut(frame, points, used, finer=2):
    """The crop of a frame by some of its landmarks, averaged down to SIZE."""
    matrix = umeyama(points[used], mean_face(SIZE * finer, COVERAGE)[used])
    large = cv2.warpAffine(
        frame, matrix, (SIZE * finer,) * 2, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def score(film, answer, found, true, used):
    """Mean inner-face PSNR in dB of the right answer pasted by these landmarks."""
    scores = []
    for frame, wanted, a, b, ta, tb in zip(film, answer, *found, *true, strict=True):
        back = invert(umeyama(a[used], mean_face(SIZE, COVERAGE)[used]))
        pasted = cv2.warpAffine(
            cut(wanted, b, used),
            back,
            frame.shape[1::-1],
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        scores.append(inner_face_psnr(pasted, ta, wanted, tb))
    return np.mean(scores)


def show(folder):
    """Print the rows of one pair."""
    start_s, true = prepare(folder, MeshLandmarker())
    film = list(read_frames(folder / "person_a.mp4", start_s))[::STRIDE]
    answer = list(read_frames(folder / "person_b_as_a.mp4"))[::STRIDE]
    true = [points[::STRIDE] for points in true]
    print(
        f"{folder.name:10} {'true landmarks':40} {score(film, answer, true, true, INNER):5.1f} dB"
    )
    for name, landmarker in (
        ("mesh", MeshLandmarker()),
        ("mesh without the mirrored fit", MeshLandmarker(mirror=False)),
    ):
        found = [[landmarker(frame)[0] for frame in clip] for clip in (film, answer)]
        for which, used in (("STEADY", STEADY), ("17-67", INNER), ("all 68", np.arange(68))):
            reached = score(film, answer, found, true, used)
            print(f"{folder.name:10} {f'{name}, by {which}':40} {reached:5.1f} dB", flush=True)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("pairs", nargs="*", type=Path)
with tempfile.TemporaryDirectory() as scratch:
    folders = parser.parse_args().pairs
    if not folders:
        folders = [Path(scratch) / "sample"]
        sample_pair(folders[0])
    for folder in folders:
        show(folder)

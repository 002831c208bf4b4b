"""How much of the score alignment alone decides: paste the right answer by found landmarks.

    python tests/benchmarks/alignment.py

Person B performing A's last 4 s is cut out by its own landmarks, made as small as the network's
picture, and pasted onto A by A's landmarks: what a perfect network would score. Rows: the true
landmarks; the mesh, as called; without the mirrored fit; and aligned by other sets of points.
"""

import cv2
import numpy as np

from deepfake_utils import MeshLandmarker, read_frames, sample_clips
from deepfake_utils.faces import mean_face
from deepfake_utils.landmarks import STEADY
from deepfake_utils.samples import TEST_START_S, load_truth
from deepfake_utils.scoring import inner_face_psnr
from deepfake_utils.umeyama import invert, umeyama

SIZE, COVERAGE, STRIDE = 96, 0.75, 4
clips, truth = sample_clips(), load_truth()
targets = list(read_frames(clips.person_a, TEST_START_S, stride=STRIDE))
answers = list(read_frames(clips.person_b_as_a, stride=STRIDE))
true_a, true_b = truth.landmarks_a[350::STRIDE], truth.landmarks_b_as_a[::STRIDE]


def cut(frame, points, used, finer=2):
    """The crop of a frame by some of its landmarks, averaged down to SIZE."""
    matrix = umeyama(points[used], mean_face(SIZE * finer, COVERAGE)[used])
    large = cv2.warpAffine(
        frame, matrix, (SIZE * finer,) * 2, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def score(points_a, points_b, used):
    """Mean inner-face PSNR in dB of the right answer pasted by these landmarks."""
    scores = []
    for frame, answer, a, b, ta, tb in zip(
        targets, answers, points_a, points_b, true_a, true_b, strict=True
    ):
        back = invert(umeyama(a[used], mean_face(SIZE, COVERAGE)[used]))
        pasted = cv2.warpAffine(
            cut(answer, b, used),
            back,
            frame.shape[1::-1],
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        scores.append(inner_face_psnr(pasted, ta, answer, tb))
    return np.mean(scores)


inner = np.arange(17, 68)
print(f"{'true landmarks':40} {score(true_a, true_b, inner):5.1f} dB")
for name, landmarker in (
    ("mesh", MeshLandmarker()),
    ("mesh without the mirrored fit", MeshLandmarker(mirror=False)),
):
    found_a = [landmarker(frame)[0] for frame in targets]
    found_b = [landmarker(frame)[0] for frame in answers]
    for which, used in (("STEADY", STEADY), ("17-67", inner), ("all 68", np.arange(68))):
        print(f"{f'{name}, by {which}':40} {score(found_a, found_b, used):5.1f} dB")

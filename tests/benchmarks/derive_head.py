"""Where pose.HEAD comes from, and how far its poses are from the true ones.

    python tests/benchmarks/derive_head.py

The renderer says for each frame of A and B how the head was turned and where its landmarks are.
For a camera of a given focal length both the heads' places and the points of one head are then
linear in what is known, so they are found in turns, from every frame with the mouth all but closed.
The focal length with the least error is taken, the two heads are brought to one size and averaged
with their mirror images. Printed: the model, and the errors of `head_pose` with true and with found
landmarks, with the camera's focal length as `head_pose` guesses it.
"""

import numpy as np

from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.detectors.pose import HEAD, RIGID, angle_between, head_pose, rotation_matrix
from deepfake_utils.landmarks import FLIP68
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.video import read_frames

SIDE = 384
truth = load_truth()


def head(points, poses, focal, rounds=60):
    """(68, 3) points and the error in pixels, for frames (N, 68, 2) and poses (N, 3)."""
    rays = (points - (SIDE - 1) / 2.0) / focal  # (N, 68, 2)
    turns = np.stack([rotation_matrix(*pose) for pose in poses])  # (N, 3, 3)
    shape = np.zeros((68, 3))
    shape[:, :2] = points[0] - points[0].mean(axis=0)
    shape /= 100.0
    places = np.zeros((len(points), 3))
    for _ in range(rounds):
        for i, (ray, turn) in enumerate(zip(rays, turns, strict=True)):
            turned = shape @ turn.T
            rows = np.zeros((68, 2, 3))
            rows[:, 0, 0] = rows[:, 1, 1] = 1.0
            rows[:, :, 2] = -ray
            wanted = ray * turned[:, 2:] - turned[:, :2]
            places[i] = np.linalg.lstsq(rows.reshape(-1, 3), wanted.ravel(), rcond=None)[0]
        for j in range(68):  # rows (R_xy - ray R_z) X = ray t_z - t_xy
            ray = rays[:, j]
            rows = turns[:, :2] - ray[:, :, None] * turns[:, 2:]
            wanted = ray * places[:, 2:] - places[:, :2]
            weight = 1.0 / places[:, 2:]  # pixels of a near head are not worth more
            shape[j] = np.linalg.lstsq(
                (rows * weight[:, :, None]).reshape(-1, 3), (wanted * weight).ravel(), rcond=None
            )[0]
        shape -= shape.mean(axis=0)
        shape /= np.linalg.norm(shape[45] - shape[36])
    seen = np.einsum("nij,pj->npi", turns, shape) + places[:, None]
    error = (seen[..., :2] / seen[..., 2:] - rays) * focal
    return shape, float(np.sqrt(np.square(error).sum(axis=-1).mean()))


def errors(found, poses):
    """Mean absolute errors: yaw, pitch, roll, and the whole angle, in degrees."""
    known = [pose for pose in found if pose is not None]
    poses = poses[[pose is not None for pose in found]]
    each = np.abs([pose.angles_deg for pose in known] - poses).mean(axis=0)
    whole = [
        angle_between(pose.rotation, rotation_matrix(*true))
        for pose, true in zip(known, poses, strict=True)
    ]
    return [*each, np.mean(whole)]


if __name__ == "__main__":
    still_a, still_b = truth.jaw_a < 0.05, truth.jaw_b < 0.05
    sets = (
        (truth.landmarks_a[still_a][::3], truth.pose_a[still_a][::3]),
        (truth.landmarks_b[still_b][::3], truth.pose_b[still_b][::3]),
    )
    tried = {f: [head(*each, f * SIDE, 25) for each in sets] for f in (1.5, 2.0, 2.5, 3.0)}
    for focal, fits in tried.items():
        print(f"focal {focal:.1f} sides: {fits[0][1]:.3f} and {fits[1][1]:.3f} px")
    best = min(tried, key=lambda f: sum(fit[1] for fit in tried[f]))
    heads = [fit[0] for fit in tried[best]]
    mean = np.mean(heads, axis=0)
    mean = (mean + mean[FLIP68] * [-1.0, 1.0, 1.0]) / 2.0
    mean -= mean[[36, 39, 42, 45]].mean(axis=0)
    print(f"best: {best} sides; the model, unit is the distance of the outer corners of the eyes")
    print(np.array2string(np.round(mean[RIGID], 3), separator=", ", threshold=1000))
    print(f"the package's own differs by {np.abs(mean[RIGID] - HEAD).max():.4f} at most")
    mesh = MeshLandmarker()
    clips = sample_clips()
    for name, clip, points, poses in (
        ("A", clips.person_a, truth.landmarks_a, truth.pose_a),
        ("B", clips.person_b, truth.landmarks_b, truth.pose_b),
    ):
        true = [head_pose(face, (SIDE, SIDE)) for face in points[::10]]
        seen = [mesh(frame) for frame in read_frames(clip, stride=10)]
        found = [head_pose(faces[0], (SIDE, SIDE)) if faces else None for faces in seen]
        for kind, each in (("true", true), ("found", found)):
            yaw, pitch, roll, whole = errors(each, poses[::10])
            print(
                f"{name}, {kind} landmarks: yaw {yaw:.2f}, pitch {pitch:.2f}, roll {roll:.2f}, "
                f"whole angle {whole:.2f} degrees"
            )

"""For the benchmark scripts: how well a network redraws a person, and whose face a swap shows."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.faces import AlignedFace, align_face, face_mask, inner_face_mask, mean_face
from deepfake_utils.images import Image, Points, to_tensor
from deepfake_utils.landmarks import Landmarker
from deepfake_utils.losses import ssim_map
from deepfake_utils.samples import TEST_START_S, load_truth, sample_clips
from deepfake_utils.video import read_frames

SIZE = 48  # side of the crops that identities are told apart by
REACH = 2.5  # pixels; what is wider than that counts as light, not as features


class Reconstruction(NamedTuple):
    """How like the frames a network's drawings of them are; means over the crops."""

    psnr_db: float  # inside the face
    ssim: float  # inside the face, 1 is the same


def unseen_faces(
    identity: str, size: int, coverage: float, landmarker: Landmarker, stride: int = 1
) -> list[AlignedFace]:
    """Crops of frames that nobody trained on, cut as `Swapper.align` cuts them.

    Of person A the last 4 s. All of B's own clip is for training, so of B it is the right answer to
    the swap: the same movements as A's, but in A's light and room, which B's decoder never saw.
    """
    clips = sample_clips()
    path, start_s = (
        (clips.person_a, TEST_START_S) if identity == "A" else (clips.person_b_as_a, 0.0)
    )
    frames = ((frame, landmarker(frame)) for frame in read_frames(path, start_s, stride=stride))
    return [align_face(frame, found[0], size, coverage) for frame, found in frames if found]


@torch.inference_mode()
def reconstruction(
    model: FaceSwapAutoencoder, faces: Sequence[AlignedFace], identity: str, batch_size: int = 32
) -> Reconstruction:
    """A person's faces drawn as that same person, against the faces themselves.

    Args:
        model: as in `Swapper`.
        faces: of the model's size and coverage, see `unseen_faces`.
        identity: "A" or "B", who they are of.
        batch_size: faces that are drawn at once.

    Raises:
        ValueError: if there are no faces.
    """
    if not faces:
        raise ValueError("expected faces to draw, got none; look at the landmarker and its clip")
    training, device = model.training, next(model.parameters()).device
    model.eval()
    psnr, ssim = [], []
    for start in range(0, len(faces), batch_size):
        part = faces[start : start + batch_size]
        wanted = torch.stack([to_tensor(face.image) for face in part])
        points = None
        if model.config.landmarks:
            shares = [(face.landmarks + 0.5) / len(face.image) for face in part]
            points = torch.from_numpy(np.stack(shares)).float().to(device)
        drawn = model(wanted.to(device), identity, points)[:, :3].float().cpu()
        masks = [face_mask(face.landmarks, face.image.shape[:2], feather=0.0) for face in part]
        inside = torch.from_numpy(np.stack(masks))[:, None]
        errors = _mean((drawn - wanted).square(), inside)
        psnr.append(-10.0 * errors.clamp(min=1e-10).log10())
        ssim.append(_mean(ssim_map(drawn, wanted), inside[:, :, 3:-3, 3:-3]))
    model.train(training)
    return Reconstruction(float(torch.cat(psnr).mean()), float(torch.cat(ssim).mean()))


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean over pixels and channels: (B, C, H, W), (B, 1, H, W) -> (B,)."""
    totals = weight.sum((1, 2, 3)) * values.shape[1]
    return (values * weight).sum((1, 2, 3)) / totals.clamp(min=1e-6)


class IdentityMargin(NamedTuple):
    """Between whom a clip lies; 0.5 is undecided, less is like A, more like B."""

    mean: float
    frames: np.ndarray  # (N,)


class IdentityJudge:
    """Tells the sample people apart, as long as no network for that is at hand.

    Each face is cut out by its true landmarks, and described by what stands out in its colours: the
    logarithms of R/G and B/G less their mean nearby. That leaves eyes, lips, brows and cheeks, and
    next to nothing of light and shadow, which differ more between the clips than the people do:
    the pixels themselves take the right answer for A. Distances are to the nearest of the faces
    seen in training, so that pose and expression count little.

    Measured: A as filmed 0.34 (0.22-0.48 by frame), the right answer 0.66 (0.54-0.74); the right
    answer laid into A's place through crops of 96, 48 and 24 pixels 0.66, 0.65, 0.58, through 64
    with colours matched as `Swapper` does 0.63; half of it and half of A 0.45. So blur costs a
    little, and 0.5 is about the middle.
    """

    def __init__(self, stride: int = 1) -> None:
        """Describe every `stride`-th training frame of both people; takes some seconds."""
        clips, truth = sample_clips(), load_truth()
        self._inside = inner_face_mask(mean_face(SIZE, 1.0), (SIZE, SIZE))
        a = read_frames(clips.person_a, 0.0, TEST_START_S, stride=stride)
        self._a = self._describe(a, truth.landmarks_a[:350:stride])
        self._b = self._describe(
            read_frames(clips.person_b, stride=stride), truth.landmarks_b[::stride]
        )

    def margin(self, frames: Iterable[Image], points: Sequence[Points]) -> IdentityMargin:
        """d_A / (d_A + d_B) of each frame, d the distance to the nearest training face.

        Args:
            frames: N frames, e.g. of a swapped video.
            points: (N, 68, 2), where the face is in them: the target's true landmarks.
        """
        seen = self._describe(frames, points)
        to_a, to_b = _nearest(seen, self._a), _nearest(seen, self._b)
        each = to_a / (to_a + to_b)
        return IdentityMargin(float(each.mean()), each)

    def _describe(self, frames: Iterable[Image], points: Sequence[Points]) -> np.ndarray:
        rows = []
        for frame, face in zip(frames, points, strict=True):
            crop = align_face(frame, face, SIZE, 1.0).image.astype(np.float32)
            logs = np.log(cv2.GaussianBlur(crop, (0, 0), 0.7) + 8.0)  # 8: dark pixels are noisy
            colours = logs[..., ::2] - logs[..., 1:2]
            fine = (colours - cv2.GaussianBlur(colours, (0, 0), REACH))[self._inside]
            rows.append((fine / (np.sqrt(np.square(fine).mean(axis=0)) + 1e-6)).ravel())
        return np.stack(rows)


def _nearest(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Distance of each row of `these` to the nearest row of `those`."""
    squares = np.square(these).sum(1)[:, None] + np.square(those).sum(1) - 2.0 * these @ those.T
    return np.sqrt(np.maximum(squares, 0.0)).min(axis=1)

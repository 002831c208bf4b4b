"""Putting one person's face on another, frame by frame: align, draw, match colours, paste back."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch

from .autoencoder import IDENTITIES, FaceSwapAutoencoder, Identity
from .checkpoint import weights_sha256
from .devices import pick_device, pick_dtype, place
from .faces import AlignedFace, align_face, face_mask
from .images import Image, Mask, Matrix, check_image, to_image, to_tensor
from .landmarks import Landmarker
from .signing import Origin
from .umeyama import invert
from .video import TimedFrame, read_timed_frames, read_video_info

logger = logging.getLogger(__name__)

MASK_SIZE = 256  # side of the crop that masks are drawn in, in pixels


@dataclass(frozen=True)
class SwapConfig:
    """How a drawn face is put into the frame."""

    identity: Identity = "B"  # whose face is drawn
    feather: float = 0.12  # width of the mask's soft edge, as a share of the face's size
    forehead: float = 0.2  # how far the mask reaches above the brows, as a share of that size
    learned_mask: bool = True  # use the network's own mask if it draws one, else the landmarks'
    match_colour: bool = True  # give the drawn face the mean and spread of the frame's colours
    batch_size: int = 16  # frames that are drawn at once

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        if self.identity not in IDENTITIES:
            raise ValueError(f"identity: expected 'A' or 'B', got {self.identity!r}")
        if self.feather < 0.0:
            raise ValueError(f"feather: expected at least 0, got {self.feather}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")


def match_colour(face: Image, reference: Image, mask: Mask) -> Image:
    """Give `face` the mean and the spread of `reference`'s colours inside the mask.

    Done in CIE Lab, as E. Reinhard et al., "Color Transfer between Images", IEEE CG&A 21(5), 2001,
    eqs. 10-11 do in a space of the same kind.

    Args:
        face: (H, W, 3) RGB uint8, whose colours are changed.
        reference: (H, W, 3) RGB uint8, whose colours are taken.
        mask: (H, W) float in 0..1, how much each pixel counts.

    Returns:
        (H, W, 3) RGB uint8; `face` as it is where the mask is empty.

    Raises:
        ValueError: if the sizes differ.
    """
    check_image(face, "face")
    check_image(reference, "reference")
    if face.shape != reference.shape or mask.shape != face.shape[:2]:
        raise ValueError(
            "expected face, reference and mask of one size, "
            f"got {face.shape}, {reference.shape} and {mask.shape}"
        )
    total = float(mask.sum())
    if total < 1.0:
        return face.copy()
    weight = mask[..., None] / total
    lab, wanted = (
        cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        for image in (face, reference)
    )
    mean, wanted_mean = (lab * weight).sum((0, 1)), (wanted * weight).sum((0, 1))
    spread = np.sqrt((np.square(lab - mean) * weight).sum((0, 1)))
    wanted_spread = np.sqrt((np.square(wanted - wanted_mean) * weight).sum((0, 1)))
    gain = np.clip(wanted_spread / np.maximum(spread, 1e-3), 0.5, 2.0)
    moved = ((lab - mean) * gain + wanted_mean).astype(np.float32)
    rgb = cv2.cvtColor(moved, cv2.COLOR_LAB2RGB)
    return np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)


def paste_face(frame: Image, face: Image, matrix: Matrix, mask: Mask) -> Image:
    """Lay a face over a frame where the mask says so.

    Args:
        frame: (H, W, 3) RGB uint8; not changed.
        face: (S, S, 3) RGB uint8, square.
        matrix: (2, 3), maps frame pixels to pixels of `face`.
        mask: (M, M) float32 in 0..1 over the same square as `face`, at any resolution.

    Returns:
        (H, W, 3) RGB uint8; pixels outside the mask equal the frame's.
    """
    check_image(frame, "frame")
    check_image(face, "face")
    height, width = frame.shape[:2]
    size = face.shape[0]
    shrink = math.sqrt(abs(np.linalg.det(np.asarray(matrix, np.float64)[:, :2])))
    if shrink > 1.25:  # the face gets smaller: average its pixels instead of sampling some
        smaller = max(8, round(size / shrink))
        face = np.asarray(cv2.resize(face, (smaller, smaller), interpolation=cv2.INTER_AREA))
        ratio = smaller / size
        matrix = np.asarray(matrix, np.float64) * ratio
        matrix[:, 2] += ratio / 2.0 - 0.5
        size = smaller
    back = invert(matrix)  # face -> frame
    corners = np.array([[-0.5, -0.5, 1], [size, -0.5, 1], [-0.5, size, 1], [size, size, 1]])
    at = corners @ back.T
    x0, y0 = np.clip(np.floor(at.min(0)).astype(int), 0, [width, height])
    x1, y1 = np.clip(np.ceil(at.max(0)).astype(int) + 1, 0, [width, height])
    if x0 >= x1 or y0 >= y1:
        return frame.copy()
    back[:, 2] -= (x0, y0)
    patch_wh = (int(x1 - x0), int(y1 - y0))
    drawn = cv2.warpAffine(
        face, back, patch_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    ratio = size / mask.shape[0]  # mask pixel m is face pixel (m + 0.5) * ratio - 0.5
    offset = ratio / 2.0 - 0.5
    to_face = np.array([[ratio, 0.0, offset], [0.0, ratio, offset], [0.0, 0.0, 1.0]])
    alpha = cv2.warpAffine(mask, back @ to_face, patch_wh, flags=cv2.INTER_LINEAR)[..., None]
    result = frame.copy()
    patch = result[y0:y1, x0:x1]
    patch[:] = np.rint(patch + alpha * (drawn.astype(np.float32) - patch)).astype(np.uint8)
    return result


class DrawnFace(NamedTuple):
    """What a network drew, in the square of its aligned face."""

    image: Image  # (S, S, 3) RGB uint8, in the network's colours
    mask: Mask | None  # (S, S) float32 in 0..1, where it drew a face; None if it draws no masks


class Swapper:
    """Draws the largest face of a frame as another person.

    Args:
        model: a trained network, e.g. `checkpoint.load_checkpoint(path).best_model()`.
        landmarker: frame -> list of (68, 2) points, largest face first.
        config: how the face is put into the frame.
        device: None picks the GPU if there is one.
    """

    def __init__(
        self,
        model: FaceSwapAutoencoder,
        landmarker: Landmarker,
        config: SwapConfig | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.config = config or SwapConfig()
        self.device = pick_device(device)
        self.dtype = pick_dtype(self.device)
        self.model = place(model, self.device).eval()
        self.landmarker = landmarker

    def align(self, frame: Image) -> AlignedFace | None:
        """The largest face of a frame, cut as the network wants it; None if there is no face."""
        found = self.landmarker(frame)
        if not found:
            return None
        config = self.model.config
        return align_face(frame, found[0], config.image_size, config.coverage)

    @torch.inference_mode()
    def swap_faces(self, faces: Sequence[AlignedFace]) -> list[DrawnFace]:
        """Draw aligned faces as the other person, in one go.

        Args:
            faces: of the network's size and coverage, as `align` gives them.
        """
        if not faces:
            return []
        stack = torch.stack([to_tensor(face.image) for face in faces]).to(
            self.device, memory_format=torch.channels_last
        )
        points = None
        if self.model.config.landmarks:
            shares = [(face.landmarks + 0.5) / face.image.shape[0] for face in faces]
            points = torch.from_numpy(np.stack(shares)).float().to(self.device)  # (B, 68, 2)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            drawn = self.model(stack, self.config.identity, points)  # (B, 3 or 4, S, S)
        masks = [plane.float().cpu().numpy() for plane in drawn[:, 3]] if drawn.shape[1] > 3 else []
        return [
            DrawnFace(to_image(face[:3]), masks[index] if masks else None)
            for index, face in enumerate(drawn)
        ]

    def swap_frames(self, frames: Sequence[Image]) -> list[Image | None]:
        """Swap the largest face in each frame; the network runs once for all of them.

        Returns:
            A new frame each, or None where no face was found.
        """
        aligned = [self.align(frame) for frame in frames]
        drawn = iter(self.swap_faces([face for face in aligned if face is not None]))
        return [
            None if face is None else self._blend(frame, face, next(drawn))
            for frame, face in zip(frames, aligned, strict=True)
        ]

    def swap_frame(self, frame: Image) -> Image:
        """Swap the largest face in one frame; without a face a copy of the frame comes back."""
        swapped = self.swap_frames([frame])[0]
        return frame.copy() if swapped is None else swapped

    def _blend(self, frame: Image, face: AlignedFace, drawn: DrawnFace) -> Image:
        config, image = self.config, drawn.image
        if drawn.mask is not None and config.learned_mask:
            mask = cv2.resize(drawn.mask, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_LINEAR)
        else:
            points = (face.landmarks + 0.5) * (MASK_SIZE / len(image)) - 0.5
            mask = face_mask(points, (MASK_SIZE, MASK_SIZE), config.feather, config.forehead)
        mask = mask * _edge_fade(MASK_SIZE)
        if config.match_colour:
            small = cv2.resize(mask, image.shape[:2], interpolation=cv2.INTER_AREA)
            image = match_colour(image, face.image, small)
        return paste_face(frame, image, face.matrix, mask)


def _edge_fade(size: int, share: float = 0.05) -> Mask:
    """1 inside a square, falling to 0 at its sides, so that a crop never ends in a visible box."""
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (share * size)
    ramp = np.clip(distance, 0.0, 1.0).astype(np.float32)
    return np.minimum(ramp[:, None], ramp[None, :])


@dataclass(frozen=True)
class SwapReport:
    """What `swap_video` did."""

    path: Path  # the video it wrote
    frames: int  # frames written
    frames_without_face: int  # of these, frames that went through unchanged


def swap_video(
    target: str | os.PathLike[str],
    path: str | os.PathLike[str],
    swapper: Swapper,
    start_s: float = 0.0,
    end_s: float | None = None,
    visible_label: bool = True,
    label_at: Literal["throughout", "cuts"] = "throughout",
) -> SwapReport:
    """Swap the face in a clip, or in a part of it, and write it with the clip's sound.

    Size, frame times and sound are the target's. A frame without a face goes through unchanged and
    is counted. The video says that it was modified by AI: `provenance.MarkedVideoWriter`.

    Args:
        target: the clip whose face is replaced.
        path: the video to write, .mp4.
        swapper: draws the faces.
        start_s: where to begin, in seconds.
        end_s: where to end; None for the clip's end.
        visible_label: False leaves the label out of the picture, and nothing else.
        label_at: "throughout", or "cuts" for the first three seconds and three after each cut.

    Raises:
        FileNotFoundError, ValueError: if the target cannot be read or has no such part, or no
            frame shows a face; then nothing is written.
        OSError: if `path` cannot be written.
    """
    # Here, so that `python -m deepfake_utils.provenance` does not meet itself as a module.
    from .provenance import MarkedVideoWriter

    info = read_video_info(target)
    frames = read_timed_frames(target, start_s, end_s)
    count = without = 0
    model = swapper.model
    with MarkedVideoWriter(
        path,
        fps=info.fps,
        size_wh=(info.width, info.height),
        audio_from=target,
        audio_start_s=start_s,
        audio_end_s=end_s,
        visible_label=visible_label,
        label_at=label_at,
        origin=Origin(Path(target), weights_sha256(model), model.consent),
    ) as writer:
        for batch in _chunks(frames, swapper.config.batch_size):
            swapped = swapper.swap_frames([frame.image for frame in batch])
            for before, after in zip(batch, swapped, strict=True):
                count += 1
                without += after is None
                image = before.image if after is None else after
                writer.write(image, before.time_s)
        if count == without:
            raise ValueError(
                f"expected a face in at least one frame of {target}, got none in {count}; "
                "choose another clip or part of it"
            )
    if without:
        logger.warning("%d of %d frames show no face and went through unchanged", without, count)
    return SwapReport(Path(path), count, without)


def _chunks(frames: Iterable[TimedFrame], size: int) -> Iterator[list[TimedFrame]]:
    iterator = iter(frames)
    while chunk := list(islice(iterator, size)):
        yield chunk

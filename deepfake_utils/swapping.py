"""Putting one person's face on another, frame by frame: align, draw, match colours, paste back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch

from .autoencoder import IDENTITIES, FaceSwapAutoencoder, Identity
from .compositing.blending import Blend, edge_fade, paste_face, sharpen
from .compositing.colour import ColourMatch, keep_whites, match_colour
from .compositing.grain import add_grain, soften
from .compositing.occlusion import visible
from .consent import SWAP
from .detectors.pose import head_pose
from .devices import pick_device, pick_dtype, place
from .faces import AlignedFace, align_face, face_mask, feature_mask
from .images import Image, Mask, Matrix, Points, scale_points, to_image, to_tensor
from .landmarks import Landmarker
from .settings import Settings, setting

MASK_SIZE = 256  # side of the crop that masks are drawn in, in pixels
FEATURE_REACH = 0.05  # how far eyes and mouth move beyond their hulls, as a share of the crop
FADE_DEG = 10.0  # over so many degrees of yaw a head that turns away fades out

Outcome = Literal["swapped", "partly covered", "covered", "turned away", "no face", "other person"]


@dataclass(frozen=True)
class SwapConfig(Settings):
    """How a drawn face is put into the frame; sizes are shares of the face's own.

    A mask with `erode` below 0 is larger than the landmarks' hull. A `sharpness` of 1 is strong,
    below 0 blurs. With `grain` the drawn face also gets as soft as the film, where that is softer;
    0 leaves it as drawn, see `compositing.grain`. What is `covered` is found by drawing a face
    there and back, see `compositing.occlusion`; math.inf looks for nothing.
    """

    identity: Identity = setting("B", "whose face is drawn")
    feather: float = setting(
        0.12,
        "width of the mask's soft edge, as a share of the face",
        least=0,
        slider=(0, 0.5, 0.01),
    )
    erode: float = setting(
        -0.04,
        "how much smaller than the face the mask is",
        least=-0.5,
        most=0.5,
        slider=(-0.3, 0.3, 0.01),
    )
    forehead: float = setting(0.2, "how far the mask reaches above the brows", slider=(0, 1, 0.05))
    learned_mask: bool = setting(True, "use the network's own mask, if it draws one")
    colour: ColourMatch = setting("lab", "how the drawn face gets the frame's colours")
    whites: float = setting(
        0.7, "how light eyes and teeth stay where colours are darkened", least=0, most=1
    )
    blend: Blend = setting("alpha", "how the drawn face is laid over the frame")
    sharpness: float = setting(
        0.3, "0 is as drawn, 1 strong, below 0 blurred", least=-1, most=5, slider=(-1, 2, 0.1)
    )
    grain: float = setting(
        1.0, "times the film's grain, 0 is as drawn", least=0, most=2, slider=(0, 2, 0.1)
    )
    covered: float = setting(
        0.3, "how much a place must change, drawn there and back, to count as covered", above=0
    )
    least_visible: float = setting(
        0.35, "share of the face that must be uncovered", least=0, most=1, slider=(0, 1, 0.05)
    )
    most_yaw_deg: float = setting(
        50.0, "a head turned further is left as filmed", above=0, slider=(5, 90, 5)
    )
    batch_size: int = setting(16, "frames that are drawn at once", least=1, slider=(1, 128, 1))


class DrawnFace(NamedTuple):
    """What a network drew, in the square of its aligned face."""

    image: Image  # (S, S, 3) RGB uint8, in the network's colours
    mask: Mask | None  # (S, S) float32 in 0..1, where it drew a face; None if it draws no masks
    visible: Mask | None  # (S, S) float32 in 0..1, where nothing covers the face; None if not asked


class Layers(NamedTuple):
    """What is laid over a frame, before the film's grain is added."""

    image: Image  # (S', S', 3) RGB uint8, colours matched
    matrix: Matrix  # (2, 3), maps frame pixels to pixels of `image`
    mask: Mask  # (M, M) float32 in 0..1, over the same square as `image`


class Swapped(NamedTuple):
    """What became of a frame."""

    image: Image | None  # the new frame; None if the old one stays
    outcome: Outcome
    visible: float = 0.0  # share of the face that nothing covers, 0..1
    layers: Layers | None = None


class Swapper:
    """Draws the face of a frame as another person.

    Args:
        model: a trained network, e.g. `load_checkpoint(path).best_model()`.
        landmarker: frame -> list of (68, 2) points, largest face first.
        config: how the face is put into the frame.
        device: None picks the GPU if there is one.
        enlarge: makes the drawn faces larger, (B, 3, S, S) float in 0..1 on the device ->
            (B, 3, rS, rS), such as `superres.enlarger(network)`; None leaves them as they are.

    Raises:
        PermissionError: if somebody agreed to training, but not to a swap.
    """

    def __init__(
        self,
        model: FaceSwapAutoencoder,
        landmarker: Landmarker,
        config: SwapConfig | None = None,
        device: str | torch.device | None = None,
        enlarge: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        self.config = config or SwapConfig()
        if not all(note.swaps for note in model.consent):
            raise PermissionError(
                f"somebody this network was trained on did not agree to a swap ({SWAP}); ask them, "
                "write their consent.json again, and train anew"
            )
        self.device = pick_device(device)
        self.dtype = pick_dtype(self.device)
        self.model = place(model, self.device).eval()
        self.landmarker = landmarker
        self.enlarge = enlarge

    def with_config(self, config: SwapConfig) -> Swapper:
        """The same network with other settings; takes no time."""
        return Swapper(self.model, self.landmarker, config, self.device, self.enlarge)

    def align(self, frame: Image, points: Points | None = None) -> AlignedFace | None:
        """A face of a frame, cut as the network wants it.

        Args:
            frame: (H, W, 3) RGB uint8.
            points: (68, 2), where it is; None takes the largest face, and gives None without one.
        """
        if points is None:
            found = self.landmarker(frame)
            if not found:
                return None
            points = found[0]
        config = self.model.config
        return align_face(frame, points, config.image_size, config.coverage)

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
        (other,) = {*IDENTITIES} - {self.config.identity}
        back: torch.Tensor | None = None
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            drawn = self.model(stack, self.config.identity, points)  # (B, 3 or 4, S, S)
            colours = drawn[:, :3].float()
            if math.isfinite(self.config.covered):
                back = self.model(colours.clamp(0.0, 1.0), other, points)[:, :3]
        if self.enlarge is not None:
            colours = self.enlarge(colours)
        images = [to_image(face) for face in colours]
        nothing: list[Mask | None] = [None] * len(faces)
        masks = nothing if drawn.shape[1] == 3 else list(drawn[:, 3].float().cpu().numpy())
        seen = nothing
        if back is not None:
            size = self.model.config.image_size
            at = [face.landmarks for face in faces]
            hulls = np.stack([face_mask(points, (size, size)) for points in at])
            reach = round(FEATURE_REACH * size)
            features = np.stack([feature_mask(points, (size, size), reach) for points in at])
            inside, changing = (torch.from_numpy(m).to(self.device) for m in (hulls, features))
            limit, usual = self.config.covered, self.model.usual_error_of(other)
            seen = list(visible(stack, back, inside, limit, usual, changing).cpu().numpy())
        return [DrawnFace(*each) for each in zip(images, masks, seen, strict=True)]

    def swap_points(
        self, frames: Sequence[Image], points: Sequence[Points | None]
    ) -> list[Swapped]:
        """Swap the face at known landmarks in each frame; the network runs once for all of them.

        Args:
            frames: (H, W, 3) RGB uint8 each.
            points: (68, 2) for each frame, None for those that stay as they are.
        """
        aligned = [
            None if at is None else self.align(frame, at)
            for frame, at in zip(frames, points, strict=True)
        ]
        drawn = iter(self.swap_faces([face for face in aligned if face is not None]))
        return [
            Swapped(None, "no face") if face is None else self.blend(frame, face, next(drawn))
            for frame, face in zip(frames, aligned, strict=True)
        ]

    def swap_frames(self, frames: Sequence[Image]) -> list[Image | None]:
        """Swap the largest face in each frame.

        Returns:
            A new frame each, or None where no face was found or it was covered.
        """
        found = [self.landmarker(frame) for frame in frames]
        swapped = self.swap_points(frames, [faces[0] if faces else None for faces in found])
        return [each.image for each in swapped]

    def swap_frame(self, frame: Image) -> Image:
        """Swap the largest face in one frame; without a face a copy of the frame comes back."""
        swapped = self.swap_frames([frame])[0]
        return frame.copy() if swapped is None else swapped

    def blend(self, frame: Image, face: AlignedFace, drawn: DrawnFace) -> Swapped:
        """Put a drawn face into its frame.

        Args:
            frame: (H, W, 3) RGB uint8; not changed.
            face: as `align` cut it out of the frame.
            drawn: as `swap_faces` drew it, with the same `identity` and `covered`.
        """
        yaw_deg = head_pose(face.landmarks, face.image.shape[:2]).angles_deg[0]
        turned = (self.config.most_yaw_deg - abs(float(yaw_deg))) / FADE_DEG
        if turned <= 0.0:
            return Swapped(None, "turned away")
        mask = self._mask(face, drawn)
        outcome, share = self._judge(mask, drawn)
        if outcome == "covered":
            return Swapped(None, outcome, share)
        config, image = self.config, drawn.image
        mask = mask * np.float32(min(1.0, turned))
        if drawn.visible is not None:
            mask = mask * _resized(drawn.visible, MASK_SIZE)
        wh = image.shape[1::-1]
        filmed = np.asarray(cv2.resize(face.image, wh, interpolation=cv2.INTER_CUBIC), np.uint8)
        small = cv2.resize(mask, wh, interpolation=cv2.INTER_AREA)
        if config.colour != "none":
            matched = match_colour(image, filmed, small, config.colour)
            points = scale_points(face.landmarks, len(image) / len(face.image))
            image = keep_whites(matched, image, filmed, small, points, config.whites)
        if config.grain > 0.0:
            image = soften(image, filmed, small, face.matrix_for(len(image)))
        image = sharpen(image, config.sharpness, len(image) / 64.0)
        layers = Layers(image, face.matrix_for(len(image)), mask)
        pasted = paste_face(frame, *layers, config.blend)
        if config.grain > 0.0:
            pasted = add_grain(frame, pasted, face.matrix_for(len(mask)), mask, config.grain)
        return Swapped(pasted, outcome, share, layers)

    def _mask(self, face: AlignedFace, drawn: DrawnFace) -> Mask:
        """(M, M): where the face is, by the network's own mask or by the landmarks' hull."""
        config = self.config
        if drawn.mask is not None and config.learned_mask:
            mask = _resized(drawn.mask, MASK_SIZE)
        else:
            points = scale_points(face.landmarks, MASK_SIZE / len(face.image))
            size_hw = (MASK_SIZE, MASK_SIZE)
            mask = face_mask(points, size_hw, config.feather, config.forehead, config.erode)
        return mask * edge_fade(MASK_SIZE)

    def _judge(self, mask: Mask, drawn: DrawnFace) -> tuple[Outcome, float]:
        """Whether enough of the face can be seen, and how much."""
        if drawn.visible is None:
            return "swapped", 1.0
        weight = cv2.resize(mask, drawn.visible.shape, interpolation=cv2.INTER_AREA)
        share = float((weight * drawn.visible).sum() / max(float(weight.sum()), 1e-6))
        if share < self.config.least_visible:
            return "covered", share
        return ("swapped" if share > 0.97 else "partly covered"), share


def _resized(mask: Mask, size: int) -> Mask:
    return np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)

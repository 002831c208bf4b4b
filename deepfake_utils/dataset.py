"""A folder of crops -> endless batches of (warped, target) pairs.

Each crop is first changed in light and colour (albumentations, on the processor, in workers if
wanted), and only then made into a pair (`warping.warp_batch`, on the training device), so input
and target can never disagree.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from .devices import pick_device
from .faces import FaceSet, face_mask, load_faces
from .images import Image, to_image, to_tensor
from .landmarks import LEFT_EYE, MOUTH, RIGHT_EYE
from .warping import WarpConfig, warp_batch

Augment = Callable[[Image, int], Image]  # (face, seed) -> face of the same shape
FINER = 1.25  # crops are kept this much finer than the network's pixels, to be sampled from


class Batch(NamedTuple):
    """Training pairs of one person."""

    warped: torch.Tensor  # (B, 3, S, S) float32 in 0..1, what the network is shown
    target: torch.Tensor  # (B, 3, S, S) float32 in 0..1, what it should draw
    weight: torch.Tensor  # (B, 1, S, S) float32, how much each pixel of the target matters


class PhotometricAugment:
    """Random brightness, contrast and colour shift, by albumentations.

    Called with (face, seed), it returns the face changed: (H, W, 3) RGB uint8 in and out. Equal
    seeds change a face equally.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._pipeline: Any = None

    def __call__(self, face: Image, seed: int) -> Image:
        """Change light and colour of `face` as `seed` says."""
        if self._pipeline is None:
            self._pipeline = self._build()
        # One generator for all transforms: given a seed each, they would all draw the same.
        self._pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return np.asarray(self._pipeline(image=face)["image"], np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes build the pipeline themselves."""
        return {"strength": self.strength, "_pipeline": None}

    def _build(self) -> Any:
        # albumentations asks the network for news when it is imported, unless told not to.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        light, shift = 0.15 * self.strength, round(12 * self.strength)
        return albumentations.Compose(
            [
                albumentations.RandomBrightnessContrast(light, light, p=0.8),
                albumentations.RGBShift(*[(-shift, shift)] * 3, p=0.8),
            ]
        )


def photometric_augment(strength: float = 1.0) -> PhotometricAugment:
    """A random change of brightness, contrast and colour for `FaceDataset`.

    Args:
        strength: 1 is about what differs between two rooms; 0 changes nothing.

    Raises:
        ValueError: if `strength` is negative.
    """
    if not 0.0 <= strength < math.inf:
        raise ValueError(f"strength: expected at least 0, got {strength}")
    return PhotometricAugment(strength)


def weight_map(
    landmarks: NDArray[np.float64], size: int, background: float = 0.1, features: float = 3.0
) -> NDArray[np.float32]:
    """How much each pixel of a crop matters to the loss.

    Args:
        landmarks: (68, 2), (x, y) in crop pixels.
        size: side of the crop in pixels.
        background: weight outside the face; inside it is 1.
        features: weight of the eyes and the mouth, which are small but carry the expression.

    Returns:
        (size, size) float32.
    """
    weight = background + (1.0 - background) * face_mask(landmarks, (size, size), feather=0.05)
    for part in (RIGHT_EYE, LEFT_EYE, MOUTH):
        hull = cv2.convexHull(landmarks[part].astype(np.float32))
        filled = np.zeros((size, size), np.float32)
        cv2.fillConvexPoly(filled, np.rint(hull).astype(np.int32), 1.0)
        reach = max(1, size // 24)
        grown = cv2.dilate(filled, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        weight = weight + (features - 1.0) * cv2.GaussianBlur(grown, (0, 0), reach / 2)
    return weight.astype(np.float32)


def _draw(below: int, generator: torch.Generator | None) -> int:
    return int(torch.randint(below, (), generator=generator).item())


class RandomItems(Sampler[tuple[int, int]]):
    """Random indices without end, each with the seed of its change.

    As the seeds come from here, batches do not depend on how many workers make them.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Pairs (index below `count`, seed)."""
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            yield _draw(self.count, generator), _draw(2**31, generator)


class FaceDataset(Dataset[torch.Tensor]):
    """One person's crops with light and colour changed anew each time.

    An item is a (4, N, N) uint8 tensor: RGB, and the loss weight times 64. N is somewhat finer
    than the network's size, so that `endless_batches` can cut a sharp pair from it.

    Args:
        faces: what `faces.load_faces` read, or the folder to read.
        size: side of the network's pictures in pixels.
        coverage: share of that side that the mean face shall span (`AutoencoderConfig.coverage`).
        augment: changes light and colour; None leaves the crops as they are.
        features: weight of eyes and mouth in the loss; the rest of the face has 1.

    Raises:
        ValueError: if there are fewer than two crops, or they are cut closer than `coverage`.
    """

    def __init__(
        self,
        faces: FaceSet | str | os.PathLike[str],
        size: int = 64,
        coverage: float = 0.75,
        augment: Augment | None = None,
        features: float = 3.0,
    ) -> None:
        self.faces = faces if isinstance(faces, FaceSet) else load_faces(faces)
        if len(self.faces) < 2:
            raise ValueError(
                f"expected at least 2 faces of a person, got {len(self.faces)}; extract faces from "
                "a longer clip (a few hundred faces of many poses train well)"
            )
        if size < 8:
            raise ValueError(f"size: expected at least 8 pixels, got {size}")
        if not coverage <= 1.0:
            raise ValueError(f"coverage: expected a share of at most 1, got {coverage}")
        if coverage < self.faces.coverage:
            raise ValueError(
                f"coverage: expected at least that of the crops ({self.faces.coverage}), got "
                f"{coverage}; extract the faces again with a lower coverage"
            )
        self.size = size
        self.view = self.faces.coverage / coverage
        self.augment = augment
        fine = round(size / self.view * FINER)
        crop = self.faces.images.shape[1]
        self.images = np.stack(
            [
                cv2.resize(image, (fine, fine), interpolation=cv2.INTER_AREA)
                if fine < crop
                else image
                for image in self.faces.images
            ]
        )
        fine = self.images.shape[1]
        weights = np.ones((len(self.images), fine, fine), np.float32)
        if self.faces.landmarks is not None:
            for weight, points in zip(weights, self.faces.landmarks, strict=True):
                weight[:] = weight_map((points + 0.5) * fine / crop - 0.5, fine, features=features)
        self.weights = np.rint(np.clip(weights * 64.0, 0.0, 255.0)).astype(np.uint8)

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.images)

    def __getitem__(self, item: int | tuple[int, int]) -> torch.Tensor:
        """Crop `index` with other light and colour, (4, N, N) uint8.

        Args:
            item: the index, or (index, seed of the change).
        """
        # Drawn from torch, which seeds each worker differently, unlike numpy's generator.
        index, seed = item if isinstance(item, tuple) else (item, _draw(2**31, None))
        image = self.images[index]
        if self.augment is not None:
            image = self.augment(image, seed)
        both = np.dstack([image, self.weights[index]])
        return torch.from_numpy(np.ascontiguousarray(both.transpose(2, 0, 1)))

    def preview(self, count: int = 4) -> list[Image]:
        """Some crops, evenly spaced, as the network sees them: unchanged and unwarped.

        Returns:
            (size, size, 3) RGB uint8 each.
        """
        chosen = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        faces = torch.stack([to_tensor(self.images[index]) for index in chosen])
        still = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.0, jitter=0.0)
        return [to_image(face) for face in warp_batch(faces, None, self.size, self.view, still)[1]]


def endless_batches(
    dataset: FaceDataset,
    batch_size: int = 32,
    warp: WarpConfig | None = None,
    device: str | torch.device | None = None,
    workers: int = 0,
    seed: int = 0,
) -> Iterator[Batch]:
    """Random training pairs without end, on the training device.

    Args:
        dataset: one person's crops.
        batch_size: pairs a batch; crops are drawn with replacement.
        warp: how far faces are moved and shaken.
        device: where the pairs are made; None picks the GPU if there is one.
        workers: processes that change light and colour; 0 does it in this one.
        seed: equal seeds give equal batches.

    Raises:
        ValueError: if `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    return _batches(dataset, batch_size, warp or WarpConfig(), pick_device(device), workers, seed)


def _batches(
    dataset: FaceDataset,
    batch_size: int,
    warp: WarpConfig,
    device: torch.device,
    workers: int,
    seed: int,
) -> Iterator[Batch]:
    generator = torch.Generator(device).manual_seed(seed)
    loader = DataLoader(
        dataset,
        batch_size,
        sampler=RandomItems(len(dataset), seed),
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),  # else it draws from the program's own
        pin_memory=device.type == "cuda",
    )
    for items in loader:
        fine = items.to(device, non_blocking=True).float().div_(255.0)  # (B, 4, N, N)
        warped, target = warp_batch(fine, generator, dataset.size, dataset.view, warp)
        yield Batch(warped[:, :3], target[:, :3], target[:, 3:] * (255.0 / 64.0))

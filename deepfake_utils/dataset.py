"""A folder of crops -> endless batches of (warped, target) pairs.

Each crop is first changed in light and colour (albumentations, on the processor, in workers if
wanted), and only then made into a pair (`warping.warp_batch`, on the training device), so input
and target can never disagree.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from .consent import require_consent
from .devices import pick_device
from .extraction import FaceSet, load_faces
from .faces import face_mask, feature_mask
from .images import Image
from .landmarks import FLIP68
from .warping import WarpConfig, Warps, draw_warps, warp_batch

Augment = Callable[[Image, int], Image]  # (face, seed) -> face of the same shape
FINER = 1.25  # crops are kept this much finer than the network's pixels, to be sampled from


class Batch(NamedTuple):
    """Training pairs of one person."""

    warped: torch.Tensor  # (B, 3, S, S) float32 in 0..1, what the network is shown
    target: torch.Tensor  # (B, 3, S, S) float32 in 0..1, what it should draw
    weight: torch.Tensor  # (B, 1, S, S) float32, how much each pixel of the target matters
    mask: torch.Tensor | None = None  # (B, 1, S, S) float32 in 0..1, where the target is face
    points: torch.Tensor | None = None  # (B, 68, 2) float32, its landmarks (x, y) in 0..1


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
    reach = max(1, size // 24)
    features_at = feature_mask(landmarks, (size, size), reach)
    weight = weight + (features - 1.0) * cv2.GaussianBlur(features_at, (0, 0), reach / 2)
    return weight.astype(np.float32)


class FaceDataset:
    """One person's crops, made ready to cut training pairs from.

    Args:
        faces: what `extraction.load_faces` read, or the folder to read.
        size: side of the network's pictures in pixels.
        coverage: share of that side that the mean face shall span (`AutoencoderConfig.coverage`).
        augment: changes light and colour; None leaves the crops as they are.
        features: weight of eyes and mouth in the loss; the rest of the face has 1.
        background: weight of what is outside the face.
        ignore_training_refusal: True trains although the pictures bear a signed wish against it.

    Attributes:
        planes: (N, 5, M, M) uint8 tensor: RGB, the loss weight times 64, and the face's mask times
            255. M is somewhat larger than `size`, to cut a sharp pair from it.
        points: (N, 68, 2) float32 tensor, the landmarks (x, y) in -1..1 from edge to edge, or None.

    Raises:
        PermissionError: if the folder that the faces are from has no record of consent, or one that
            expired or was withdrawn, or the pictures bear a signed wish that no AI be trained on
            them.
        ValueError: if there are fewer than two crops, or they are cut closer than `coverage`.
    """

    def __init__(
        self,
        faces: FaceSet | str | os.PathLike[str],
        size: int = 64,
        coverage: float = 0.75,
        augment: Augment | None = None,
        features: float = 3.0,
        background: float = 0.1,
        ignore_training_refusal: bool = False,
    ) -> None:
        self.faces = faces if isinstance(faces, FaceSet) else load_faces(faces)
        if len(self.faces) < 2:
            raise ValueError(
                f"expected at least 2 faces of a person, got {len(self.faces)}; extract faces from "
                "a longer clip (a few hundred faces of many poses train well)"
            )
        if self.faces.paths:  # faces in memory are the caller's own affair
            folder, refused = self.faces.paths[0].parent, self.faces.training_refused
            names = [path.name for path in self.faces.paths]
            require_consent(folder, names, self.faces.consent, refused, ignore_training_refusal)
        if size < 8:
            raise ValueError(f"size: expected at least 8 pixels, got {size}")
        if not coverage <= 1.0:
            raise ValueError(f"coverage: expected a share of at most 1, got {coverage}")
        if coverage < self.faces.coverage:
            raise ValueError(
                f"coverage: expected at least that of the crops ({self.faces.coverage}), got "
                f"{coverage}; extract the faces again with a lower coverage"
            )
        self.size, self.augment = size, augment
        self.view = self.faces.coverage / coverage
        crop = self.faces.images.shape[1]
        fine = min(crop, round(size / self.view * FINER))
        landmarks = self.faces.landmarks
        planes = np.full((len(self.faces), 5, fine, fine), 64, np.uint8)
        planes[:, 4] = 255  # without landmarks all of the crop counts as face
        for index, image in enumerate(self.faces.images):
            smaller = cv2.resize(image, (fine, fine), interpolation=cv2.INTER_AREA)
            planes[index, :3] = smaller.transpose(2, 0, 1)
            if landmarks is not None:
                points = (landmarks[index] + 0.5) * fine / crop - 0.5
                weight = weight_map(points, fine, background, features)
                mask = face_mask(points, (fine, fine))
                planes[index, 3] = np.rint(np.clip(weight * 64.0, 0.0, 255.0))
                planes[index, 4] = np.rint(mask * 255.0)
        self.planes = torch.from_numpy(planes)
        self.points: torch.Tensor | None = None
        if landmarks is not None:
            self.points = torch.from_numpy((landmarks + 0.5) / crop * 2.0 - 1.0).float()

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.planes)

    def __getitem__(self, item: int | tuple[int, int]) -> torch.Tensor:
        """Crop `index`, with other light and colour if asked for, (3, M, M) uint8.

        Args:
            item: the index, or (index, seed of the change).
        """
        return _Crops(self)[item if isinstance(item, tuple) else (item, 0)]

    def still(self, indices: Sequence[int] | None = None) -> Batch:
        """Crops as they are, neither changed nor warped, the way the network sees a face.

        Args:
            indices: which; None for all.
        """
        chosen = torch.arange(len(self)) if indices is None else torch.tensor(indices)
        points = None if self.points is None else self.points[chosen]
        still = WarpConfig(rotation_deg=0.0, zoom=0.0, shift=0.0, flip=0.0, jitter=0.0)
        return _make_pairs(self.planes[chosen] / 255.0, points, None, self, still)

    def preview(self, count: int = 4) -> Batch:
        """Some crops, evenly spaced, as `still`."""
        chosen = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        return self.still(chosen.tolist())


class _Crops(Dataset[torch.Tensor]):
    """What a worker process gets of a `FaceDataset`: its planes, in shared memory, no more."""

    def __init__(self, dataset: FaceDataset) -> None:
        self.planes, self.augment = dataset.planes, dataset.augment

    def __getitem__(self, item: tuple[int, int]) -> torch.Tensor:
        index, seed = item
        face = self.planes[index, :3]
        if self.augment is None:
            return face
        changed = self.augment(np.ascontiguousarray(face.permute(1, 2, 0).numpy()), seed)
        return torch.from_numpy(np.ascontiguousarray(changed.transpose(2, 0, 1)))


class _Order:
    """Which crops make up each batch; to iterate over it, for a `DataLoader`, begins at `position`.

    It knows nothing of `Batches`: workers end at once only if no circle of references holds them.
    """

    def __init__(self, crops: int, batch_size: int, seed: int) -> None:
        self.crops, self.batch_size, self.seed = crops, batch_size, seed
        self.position, self.share = 0, slice(None)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for position in itertools.count(self.position):
            indices, seeds, _ = self.draw(position)
            yield list(zip(indices, seeds, strict=True))[self.share]

    def draw(self, position: int) -> tuple[list[int], list[int], np.random.Generator]:
        """Indices, seeds of the change of light, and the chance that is left for the warps.

        From random numbers that are counted through rather than drawn one from the other: J.
        Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
        """
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, position]))
        indices = rng.integers(self.crops, size=self.batch_size)
        seeds = rng.integers(2**31, size=self.batch_size)
        return indices.tolist(), seeds.tolist(), rng


class Batches(Iterator[Batch]):
    """Random training pairs without end; see `endless_batches`.

    Batch number k depends on the seed and on k alone, so a run goes on exactly where it was, and
    several processes can make their shares of the same batch.

    Attributes:
        position: batches made so far.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        batch_size: int,
        warp: WarpConfig,
        device: torch.device,
        workers: int,
        seed: int,
    ) -> None:
        self.dataset, self.batch_size, self.warp = dataset, batch_size, warp
        self.workers, self.seed = workers, seed
        self.position = 0
        self._order = _Order(len(dataset), batch_size, seed)
        self._mask = self._landmarks = True
        self._loader: DataLoader[torch.Tensor] | None = None
        self._changed: Iterator[torch.Tensor] | None = None
        self.to(device)

    def to(self, device: torch.device) -> None:
        """Keep the crops on that device, and make the pairs there."""
        self.device = device
        self._fine = torch.empty(0)  # written anew by each batch: fresh memory costs more than that
        # Whole crops: picking some of them out is a copy of memory, picking planes too is not.
        self._planes = self.dataset.planes[:, : 5 if self._mask else 4].contiguous().to(device)
        self._points = None if self.dataset.points is None else self.dataset.points.to(device)

    def leave_out(self, mask: bool = False, points: bool = False) -> None:
        """Save the time to make what a network does not use."""
        self._mask, self._landmarks = not mask, not points
        self.to(self.device)

    def seek(self, position: int) -> None:
        """Go on with batch number `position`, counted from 0."""
        self.position, self._changed = position, None

    def shard(self, rank: int, count: int) -> None:
        """Make only the `rank`-th of `count` equal shares of each batch: one process's part.

        Raises:
            ValueError: if the batch cannot be shared out equally.
        """
        if self.batch_size % count:
            raise ValueError(
                f"batch_size: expected a multiple of the {count} processes, got {self.batch_size}"
            )
        share = self.batch_size // count
        self._order.share = slice(rank * share, (rank + 1) * share)
        self._changed = None

    def __next__(self) -> Batch:
        """The next batch."""
        indices, _, rng = self._order.draw(self.position)
        warps = draw_warps(self.batch_size, rng, self.warp).part(self._order.share)
        chosen = torch.tensor(indices[self._order.share], device=self.device)
        planes = self._planes.index_select(0, chosen)  # (B, 4 or 5, M, M) uint8
        if self.dataset.augment is not None:
            if self._loader is None:
                self._loader = self._make_loader()
            if self._changed is None:  # at first and after `seek`, by the same workers
                self._order.position = self.position
                self._changed = iter(self._loader)
            planes[:, :3] = next(self._changed).to(self.device, non_blocking=True)
        self.position += 1
        points = None
        if self._points is not None and self._landmarks:
            points = self._points[chosen]
        if self._fine.shape != planes.shape:
            self._fine = torch.empty(planes.shape, device=self.device)
        fine = torch.div(planes, 255.0, out=self._fine)
        return _make_pairs(fine, points, warps, self.dataset, self.warp)

    def _make_loader(self) -> DataLoader[torch.Tensor]:
        """Crops with other light and colour, (B, 3, M, M) uint8 a batch."""
        return DataLoader(
            _Crops(self.dataset),
            batch_sampler=self._order,  # type: ignore[arg-type]
            num_workers=self.workers,
            generator=torch.Generator().manual_seed(0),  # else it draws from the program's own
            pin_memory=self.device.type == "cuda",
            prefetch_factor=4 if self.workers else None,
            # A process that is forked keeps the locks that other threads of this one hold just
            # then, and may wait for them for ever. One that is spawned starts from nothing.
            multiprocessing_context="spawn" if self.workers else None,
            persistent_workers=self.workers > 0,  # as each takes seconds to start
        )


def endless_batches(
    dataset: FaceDataset,
    batch_size: int = 32,
    warp: WarpConfig | None = None,
    device: str | torch.device | None = None,
    workers: int | None = None,
    seed: int = 0,
) -> Batches:
    """Random training pairs without end, on the training device.

    The crops lie on that device as uint8, and pairs are cut there, a batch at a time.

    Args:
        dataset: one person's crops.
        batch_size: pairs a batch; crops are drawn with replacement.
        warp: how far faces are moved and shaken.
        device: where the pairs are made; None picks the GPU if there is one.
        workers: processes that change light and colour; 0 does it in this one. None takes two for
            a GPU, and none where the processor is busy with training anyway. They take some seconds
            to start, and a script (not a notebook) must then begin its work under
            `if __name__ == "__main__":`, as each of them reads it anew.
        seed: equal seeds give equal batches, on whatever device.

    Raises:
        ValueError: if `batch_size` is below 1 or `seed` negative.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, got {seed}")
    device = pick_device(device)
    if workers is None:
        workers = 0 if device.type == "cpu" else 2
    return Batches(dataset, batch_size, warp or WarpConfig(), device, workers, seed)


def _make_pairs(
    fine: torch.Tensor,
    points: torch.Tensor | None,
    warps: Warps | None,
    dataset: FaceDataset,
    config: WarpConfig,
) -> Batch:
    """(B, 4 or 5, M, M) in 0..1 and (B, 68, 2) in -1..1 -> training pairs."""
    pair = warp_batch(fine, warps, dataset.size, dataset.view, config, planes=3)
    if points is not None:
        points = cut_points(points, pair.matrix)
    target, weight, mask = pair.target[:, :3], pair.target[:, 3:4], pair.target[:, 4:]
    return Batch(
        pair.warped, target, weight * (255.0 / 64.0), mask if mask.shape[1] else None, points
    )


def cut_points(points: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Landmarks of crops, where they are in the targets cut from them.

    Those of a mirrored face change their numbers: its left eye is drawn where the right one was.

    Args:
        points: (B, 68, 2) float, (x, y) in the crop, -1..1 from edge to edge.
        matrix: (B, 2, 3) float, maps places of the target, -1..1, to places of the crop.

    Returns:
        (B, 68, 2) float, (x, y) in the target, 0..1 from edge to edge.
    """
    linear, shift = matrix[:, :, :2], matrix[:, :, 2]
    cut = torch.linalg.solve(linear, (points - shift[:, None]).transpose(1, 2)).transpose(1, 2)
    mirrored = torch.linalg.det(linear) < 0  # (B,)
    order = torch.from_numpy(FLIP68).to(points.device)
    return (torch.where(mirrored[:, None, None], cut[:, order], cut) + 1.0) / 2.0

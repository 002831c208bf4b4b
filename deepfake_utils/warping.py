"""One face -> a (warped, target) pair: the task that teaches the network what a face is.

If the network only had to copy its input it would learn to copy. So it is shown a face whose 5x5
grid was shaken, and asked for the same face unshaken. The target is the undistorted face seen
through the similarity that best maps the regular grid onto the shaken one (`umeyama`), so that the
shake's chance shift, turn and growth need not be undone.

Each step exists twice: for one picture in numpy, to read and to plot, and for a whole batch of
tensors on their device, to train with.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .images import Image, Matrix, check_image
from .settings import Settings, setting
from .umeyama import umeyama, umeyama_batch


@dataclass(frozen=True)
class WarpConfig(Settings):
    """How far faces are moved and shaken at most; shares are of the side of the picture.

    Mirroring shows each pose and each light from both sides. A `jitter` of 0.03 is for those who
    train for hours.
    """

    rotation_deg: float = setting(
        3.0, "turned by up to this much either way", least=0, most=180, slider=(0, 30, 0.5)
    )
    zoom: float = setting(
        0.03, "made larger or smaller by up to this share", least=0, below=1, slider=(0, 0.3, 0.01)
    )
    shift: float = setting(
        0.02, "moved by up to this share along x and y", least=0, below=1, slider=(0, 0.2, 0.01)
    )
    flip: float = setting(0.5, "chance to be mirrored", least=0, most=1, slider=(0, 1, 0.1))
    grid: int = setting(
        5, "points along each side of the grid that is shaken", least=2, slider=(2, 9, 1)
    )
    jitter: float = setting(
        0.006,
        "spread of the shake, as a share of the side",
        least=0,
        below=1,
        slider=(0, 0.05, 0.001),
    )


def _transform_matrix(
    rng: np.random.Generator, size_wh: tuple[int, int], config: WarpConfig
) -> Matrix:
    """A random similarity (and mirror) of the picture about its centre, source -> result."""
    angle = rng.uniform(-config.rotation_deg, config.rotation_deg)
    scale = 1.0 + rng.uniform(-config.zoom, config.zoom)
    shift = rng.uniform(-config.shift, config.shift, 2) * size_wh
    centre = (np.array(size_wh) - 1.0) / 2.0
    matrix = cv2.getRotationMatrix2D(tuple(centre), angle, scale).astype(np.float64)
    matrix[:, 2] += shift
    if rng.random() < config.flip:
        matrix[0] *= -1.0
        matrix[0, 2] += size_wh[0] - 1.0
    return matrix


def random_transform(
    image: Image, rng: np.random.Generator, config: WarpConfig | None = None
) -> Image:
    """Turn, zoom, shift and perhaps mirror a picture; its edge pixels fill what comes free.

    Args:
        image: (H, W, 3) RGB uint8.
        rng: where the chance comes from; the same state gives the same result.

    Returns:
        (H, W, 3) RGB uint8.
    """
    check_image(image)
    height, width = image.shape[:2]
    matrix = _transform_matrix(rng, (width, height), config or WarpConfig())
    moved = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def grid_points(grid: int, size: int, view: float = 1.0) -> NDArray[np.float64]:
    """The regular grid over the central `view` share of a square picture.

    Args:
        grid: points along each side.
        size: the picture's side in pixels.
        view: share of the side that the grid spans, 0..1.

    Returns:
        (grid * grid, 2) points (x, y) in pixels, row by row; the outermost ones lie on the edge
        of the view, half a pixel outside the outermost pixel centres when `view` is 1.
    """
    ticks = (np.linspace(-0.5, 0.5, grid) * view + 0.5) * size - 0.5
    xs, ys = np.meshgrid(ticks, ticks)
    return np.stack([xs.ravel(), ys.ravel()], axis=1)


def random_warp(
    face: Image,
    rng: np.random.Generator,
    size: int = 64,
    view: float = 0.75,
    config: WarpConfig | None = None,
) -> tuple[Image, Image]:
    """Make one training pair from one face.

    The grid over the centre of the face is shaken and stretched back to a square (`warped`); the
    similarity that best maps that square onto the shaken grid says where the `target` is cut.
    (Fitted the other way round, the noise would be in the known points, and every target would
    come out a little too small: 0.7 % with the default jitter of 2017.)

    Args:
        face: (N, N, 3) RGB uint8, square.
        rng: where the chance comes from.
        size: side of both results in pixels.
        view: share of the face's side that the grid spans, 0..1; the rest is margin to move in.
        config: `grid` and `jitter` are used.

    Returns:
        warped and target, both (size, size, 3) RGB uint8. With no jitter they are equal.

    Raises:
        ValueError: if the face is not square or `view` is not in 0..1.
    """
    config = config or WarpConfig()
    check_image(face, "face")
    _check_view(face.shape[0], face.shape[1], view)
    regular = grid_points(config.grid, face.shape[0], view)
    shaken = regular + rng.normal(0.0, config.jitter * face.shape[0] * view, regular.shape)
    maps = shaken.reshape(config.grid, config.grid, 2).astype(np.float32)
    lookup = _stretch(torch.from_numpy(maps).permute(2, 0, 1)[None], size)[0].numpy()
    warped = cv2.remap(
        face, lookup[0], lookup[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    target = cv2.warpAffine(
        face,
        umeyama(grid_points(config.grid, size), shaken),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8), np.asarray(target, np.uint8)


def _check_view(height: int, width: int, view: float) -> None:
    if height != width:
        raise ValueError(f"face: expected a square picture, got {width}x{height}; align it first")
    if not 0.0 < view <= 1.0:
        raise ValueError(f"view: expected a share in 0..1, got {view}")


def _stretch(grid: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 2, g, g) values at grid points -> (B, 2, size, size) at pixel centres, bilinear.

    The grid's outermost points lie on the picture's outer edges, so pixel i sits at
    (i + 0.5) / size of the way between the first and the last. As two products with a matrix
    (size, g) whose rows hold how much each grid point counts: it is the same for all pictures.
    """
    points = grid.shape[2]
    at = (torch.arange(size, device=grid.device, dtype=grid.dtype) + 0.5) / size * (points - 1)
    ticks = torch.arange(points, device=grid.device, dtype=grid.dtype)
    shares = (1.0 - (at[:, None] - ticks).abs()).clamp_min(0.0)  # (size, g)
    return shares @ grid @ shares.T


@functools.lru_cache(maxsize=8)
def _pixel_grid(size: int, device: torch.device) -> torch.Tensor:
    """Pixel centres (x, y, 1), -1 to 1 from edge to edge of a picture, (size * size, 3)."""
    ticks = (torch.arange(size, device=device) * 2 + 1) / size - 1.0
    ys, xs = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([xs.flatten(), ys.flatten(), torch.ones_like(xs).flatten()], dim=1)


class Warps(NamedTuple):
    """What chance decided for a batch: small, and drawn on the CPU, so alike on every device."""

    noise: torch.Tensor  # (B, g*g, 2), standard normal
    angle: torch.Tensor  # (B,) in -1..1, as a share of the largest turn; the same for the others
    zoom: torch.Tensor  # (B,) in -1..1
    shift: torch.Tensor  # (B, 2) in -1..1
    mirrored: torch.Tensor  # (B,) bool

    def part(self, which: slice) -> Warps:
        """Those of some faces of the batch."""
        return Warps(*(drawn[which] for drawn in self))


def draw_warps(count: int, rng: np.random.Generator, config: WarpConfig | None = None) -> Warps:
    """Decide how `count` faces are moved and shaken.

    Args:
        count: size of the batch.
        rng: where the chance comes from; the same state gives the same result.
        config: `grid` and `flip` are used here, the other fields by `warp_batch`.
    """
    config = config or WarpConfig()
    noise = rng.standard_normal((count, config.grid**2, 2), np.float32)
    moves = rng.random((count, 5), np.float32)
    signed = torch.from_numpy(moves[:, :4] * 2.0 - 1.0)
    return Warps(
        torch.from_numpy(noise),
        signed[:, 0],
        signed[:, 1],
        signed[:, 2:],
        torch.from_numpy(moves[:, 4] < config.flip),
    )


class WarpedBatch(NamedTuple):
    """Training pairs, and where the targets were cut."""

    warped: torch.Tensor  # (B, C', S, S) float
    target: torch.Tensor  # (B, C, S, S) float
    matrix: torch.Tensor  # (B, 2, 3) float, target -> face; both run from -1 to 1 edge to edge


def warp_batch(
    faces: torch.Tensor,
    warps: Warps | None = None,
    size: int = 64,
    view: float = 0.75,
    config: WarpConfig | None = None,
    planes: int | None = None,
) -> WarpedBatch:
    """`random_transform` and `random_warp` for a whole batch, on its device.

    Both halves are sampled straight from `faces`, once, so the picture is blurred once only.

    Args:
        faces: (B, C, N, N) float, square; C may hold masks beside the colours.
        warps: what `draw_warps` drew for as many faces; None draws anew.
        size: side of both results in pixels.
        view: share of the face's side that the network sees, 0..1.
        config: all fields but `flip` are used.
        planes: how many of the C planes are warped; None for all. The target has them all.

    Raises:
        ValueError: if the faces are not square or `view` is not in 0..1.
    """
    config = config or WarpConfig()
    _check_view(faces.shape[2], faces.shape[3], view)
    count, device = len(faces), faces.device
    warps = warps or draw_warps(count, np.random.default_rng(), config)
    noise, angle, zoom, shift, mirrored = (drawn.to(device, non_blocking=True) for drawn in warps)

    # Coordinates below run from -1 to 1 over the view, as grid_sample wants them.
    regular = torch.from_numpy(grid_points(config.grid, 2)).float().to(device) - 0.5  # (g*g, 2)
    shaken = regular + noise * (2.0 * config.jitter)  # (B, g*g, 2)
    straight = umeyama_batch(regular.expand_as(shaken), shaken)  # (B, 2, 3), square -> shaken

    angle = torch.deg2rad(angle * config.rotation_deg)
    scale = view / (1.0 + zoom * config.zoom)
    mirror = torch.where(mirrored, -1.0, 1.0)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    move = torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=1).reshape(count, 2, 2)
    centre = 2.0 * config.shift * shift[..., None]  # (B, 2, 1)
    matrix = move @ straight
    matrix[:, :, 2:] += centre

    # Moving the few points of the grid and then stretching it is the same as moving every pixel.
    moved = torch.baddbmm(centre, move, shaken.transpose(1, 2))  # (B, 2, g*g)
    warped_at = _stretch(moved.reshape(count, 2, config.grid, config.grid), size)
    # One product for all faces, several times as fast as one for each.
    lines = matrix.permute(2, 0, 1).reshape(3, 2 * count)
    target_at = (_pixel_grid(size, device) @ lines).reshape(size, size, count, 2)
    warped, target = (
        F.grid_sample(sampled, at, padding_mode="border", align_corners=False)
        for sampled, at in (
            (faces[:, :planes], warped_at.permute(0, 2, 3, 1)),
            (faces, target_at.permute(2, 0, 1, 3)),
        )
    )
    return WarpedBatch(warped, target, matrix)

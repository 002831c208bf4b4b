"""The similarity transform that best maps one set of points to another, in closed form.

S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
IEEE TPAMI 13(4), 1991. Equation numbers in the comments are the paper's.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .images import Matrix, Points

Array = NDArray[np.float64]


def umeyama(source: Array, target: Array, with_scale: bool = True) -> Array:
    """Rotation, scale and translation with the least mean squared error from source to target.

    A reflection is never returned: for mirrored points it is the best proper rotation (eq. 39).

    Convention: the matrix maps source to target, `target ~ matrix[:, :N] @ source + matrix[:, N]`.

    Args:
        source: (M, N) points in N dimensions, M >= 2.
        target: (M, N) points, row i belongs to row i of `source`.
        with_scale: False keeps the size of `source` (scale 1).

    Returns:
        (N, N + 1) float64: scale times rotation in the first N columns, translation in the last.

    Raises:
        ValueError: if the shapes differ, are not (M, N) with M >= 2, hold NaN, or all points of
            `source` coincide, in which case no rotation or scale is defined.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.ndim != 2 or source.shape != target.shape or len(source) < 2:
        raise ValueError(
            "expected two equal shapes (M, N) with M >= 2 points, "
            f"got {source.shape} and {target.shape}"
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("expected finite coordinates, got NaN or infinity")
    count, dim = source.shape
    mean_x, mean_y = source.mean(axis=0), target.mean(axis=0)  # (34), (35)
    x, y = source - mean_x, target - mean_y
    variance_x = (x**2).sum() / count  # (36)
    extent = np.abs(source).max() + 1.0
    if variance_x <= (1e-12 * extent) ** 2:
        raise ValueError(f"expected points that differ, got {count} that coincide at {mean_x}")
    covariance = y.T @ x / count  # (38)
    u, d, vt = np.linalg.svd(covariance)
    s = np.ones(dim)  # (39), (43): det(U) det(V) also decides when the covariance is singular
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        s[-1] = -1.0
    rotation = (u * s) @ vt  # (40)
    scale = (d * s).sum() / variance_x if with_scale else 1.0  # (42)
    translation = mean_y - scale * rotation @ mean_x  # (41)
    return np.hstack([scale * rotation, translation[:, None]])


def umeyama_batch(
    source: torch.Tensor, target: torch.Tensor, with_scale: bool = True
) -> torch.Tensor:
    """`umeyama` for a batch of point sets at once, on their device, differentiable.

    Args:
        source: (B, M, N) float points.
        target: (B, M, N) float points.
        with_scale: False keeps the size of `source`.

    Returns:
        (B, N, N + 1), maps source to target.

    Raises:
        ValueError: if the shapes differ or are not (B, M, N) with M >= 2.
    """
    if source.ndim != 3 or source.shape != target.shape or source.shape[1] < 2:
        raise ValueError(
            "expected two equal shapes (B, M, N) with M >= 2 points, "
            f"got {tuple(source.shape)} and {tuple(target.shape)}"
        )
    mean_x, mean_y = source.mean(1, keepdim=True), target.mean(1, keepdim=True)  # (B, 1, N)
    x, y = source - mean_x, target - mean_y
    variance_x = x.square().sum((1, 2)) / source.shape[1]  # (B,)
    covariance = y.transpose(1, 2) @ x / source.shape[1]  # (B, N, N)
    if source.shape[2] == 2:
        rotation, size = _turn_plane(covariance)
    else:
        rotation, size = _turn_space(covariance)
    if with_scale:
        rotation = rotation * (size / variance_x)[:, None, None]
    translation = mean_y.transpose(1, 2) - rotation @ mean_x.transpose(1, 2)  # (B, N, 1)
    return torch.cat([rotation, translation], dim=2)


def _turn_space(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Covariances (B, N, N) -> R of eq. 40, (B, N, N), and trace(DS) of eq. 42, (B,)."""
    u, d, vt = torch.linalg.svd(covariance)
    s = torch.ones_like(d)
    s[:, -1] = torch.where(torch.linalg.det(u) * torch.linalg.det(vt) < 0, -1.0, 1.0)
    return (u * s[:, None, :]) @ vt, (d * s).sum(1)


def _turn_plane(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for N = 2, where the best angle can be written down: much quicker than an SVD.

    trace(R^T covariance) is largest for the R whose cosine and sine are in the proportion of the
    covariance's symmetric and antisymmetric parts, and is then the length of that pair.
    """
    cos = covariance[:, 0, 0] + covariance[:, 1, 1]  # (B,)
    sin = covariance[:, 1, 0] - covariance[:, 0, 1]
    length = torch.hypot(cos, sin)
    cos, sin = cos / length, sin / length
    return torch.stack([cos, -sin, sin, cos], dim=1).reshape(-1, 2, 2), length


def invert(matrix: Matrix) -> Matrix:
    """The affine matrix that undoes `matrix`.

    Args:
        matrix: (N, N + 1), maps a to b.

    Returns:
        (N, N + 1), maps b to a.

    Raises:
        ValueError: if the shape is not (N, N + 1) or the matrix cannot be undone.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != matrix.shape[0] + 1:
        raise ValueError(f"expected a matrix (N, N + 1), got {matrix.shape}")
    linear = matrix[:, :-1]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(linear)) < 1e-300:
        raise ValueError(f"expected a matrix that can be undone, got {matrix.tolist()}")
    back = np.linalg.inv(linear)
    return np.hstack([back, -back @ matrix[:, -1:]])


def transform_points(points: Points, matrix: Matrix) -> Points:
    """Map points by an affine matrix.

    Args:
        points: (M, N).
        matrix: (N, N + 1), maps the points' space to the result's.

    Returns:
        (M, N) float64.

    Raises:
        ValueError: if the dimensions do not fit.
    """
    points, matrix = np.asarray(points, np.float64), np.asarray(matrix, np.float64)
    if points.ndim != 2 or matrix.shape != (points.shape[1], points.shape[1] + 1):
        raise ValueError(
            f"expected points (M, N) and a matrix (N, N + 1), got {points.shape} and {matrix.shape}"
        )
    return points @ matrix[:, :-1].T + matrix[:, -1]

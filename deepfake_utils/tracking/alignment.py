"""Points taken apart into an alignment, which follows the head, and a shape, which is left.

An alignment is four numbers: the natural logarithm of the size of the mean face's unit in pixels,
its angle in radians, and (x, y) in pixels of the middle of the mean face's steady points. They can
be averaged, which a matrix cannot. A shape is (68, 2) in units of the mean face.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..faces import MEAN_FACE
from ..images import Matrix, Points
from ..landmarks import STEADY
from ..umeyama import invert, transform_points, umeyama

Array = NDArray[np.float64]

_MIDDLE = MEAN_FACE[STEADY].mean(axis=0)
# How far a steady point lies from that middle, root mean square, in units of the mean face: by so
# much it moves if the logarithm of the size, or the angle, changes by 1.
_RADIUS = float(np.sqrt(np.square(MEAN_FACE[STEADY] - _MIDDLE).sum(axis=1).mean()))


def alignment_of(steady: Points) -> Array:
    """The alignment (4,) of the points of `STEADY`, (39, 2) in pixels, as `align_face` aligns."""
    to_frame = invert(umeyama(steady, MEAN_FACE[STEADY]))
    cos, sin = to_frame[:, 0]
    centre = to_frame[:, :2] @ _MIDDLE + to_frame[:, 2]
    return np.array([math.log(math.hypot(cos, sin)), math.atan2(sin, cos), *centre])


def shape_of(points: Points) -> Points:
    """The shape (68, 2) of points (68, 2) in pixels: laid onto the mean face by their own fit."""
    return transform_points(points, umeyama(points[STEADY], MEAN_FACE[STEADY]))


def to_frame(alignment: Array) -> Matrix:
    """Alignment (4,) -> (2, 3), maps the mean face to frame pixels."""
    log_size, angle, *centre = alignment
    cos, sin = math.exp(log_size) * math.cos(angle), math.exp(log_size) * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([linear, (centre - linear @ _MIDDLE)[:, None]])


def join(alignment: Array, shape: Points) -> Points:
    """Points (68, 2) in frame pixels that `align_face` aligns by exactly that alignment."""
    # A mean of shapes is no longer aligned to the last digit.
    return transform_points(shape_of(shape), to_frame(alignment))


def moves(alignments: Array, origin: Array) -> Array:
    """Alignments (N, 4) -> (N, 4), by how far each part moves a steady point, seen from `origin`.

    In units of the mean face at `origin` (4,), so that one tolerance fits all four numbers. Angles
    go the shorter way round.
    """
    off = alignments - origin
    off[:, 1] = (off[:, 1] + math.pi) % (2.0 * math.pi) - math.pi
    return off * _units(origin)


def move(origin: Array, by: Array) -> Array:
    """The alignment (4,) that lies `by` (4,), as from `moves`, off `origin` (4,)."""
    return origin + by / _units(origin)


def _units(origin: Array) -> Array:
    per_pixel = math.exp(-origin[0])
    return np.array([_RADIUS, _RADIUS, per_pixel, per_pixel])

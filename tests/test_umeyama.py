"""pytest tests/test_umeyama.py"""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from deepfake_utils.umeyama import invert, transform_points, umeyama, umeyama_batch


def random_similarity(rng, dim):
    if dim == 2:
        angle = rng.uniform(-np.pi, np.pi)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    else:
        rotation = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    return np.hstack([rng.uniform(0.2, 5.0) * rotation, rng.normal(0, 50, (dim, 1))])


def residual(matrix, source, target):
    return np.square(transform_points(source, matrix) - target).sum(1).mean()


@pytest.mark.parametrize("dim", [2, 3])
def test_recovers_a_known_similarity(rng, dim):
    for _ in range(50):
        matrix = random_similarity(rng, dim)
        source = rng.normal(0, 10, (7, dim))
        assert np.allclose(umeyama(source, transform_points(source, matrix)), matrix, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_no_other_similarity_is_better(rng, dim, mirrored):
    source = rng.normal(0, 10, (9, dim))
    target = source + rng.normal(0, 2, (9, dim))
    if mirrored:
        target = source * ([-1.0] + [1.0] * (dim - 1))
    best = umeyama(source, target)
    assert np.linalg.det(best[:, :dim]) > 0  # never a reflection
    least = residual(best, source, target)
    for _ in range(2000):
        other = best + rng.normal(0, 0.05, best.shape) * [*([1.0] * dim), 10.0]
        u, d, vt = np.linalg.svd(other[:, :dim])
        s = np.ones(dim)
        s[-1] = np.sign(np.linalg.det(u @ vt))
        other[:, :dim] = d.mean() * (u * s) @ vt  # the nearest proper similarity
        assert residual(other, source, target) >= least - 1e-9


def test_the_papers_own_example():
    # Fig. 1 of the paper: three points and their mirror image, whose best fit is no reflection.
    source = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    target = source * [-1.0, 1.0]
    matrix = umeyama(source, target)
    rotation = np.array([[0.832, 0.555], [-0.555, 0.832]])
    assert np.allclose(matrix[:, :2], 0.721 * rotation, atol=1e-3)
    assert np.allclose(matrix[:, 2], [-0.8, 0.4])
    x, y = source - source.mean(0), target - target.mean(0)
    d = np.linalg.svd(y.T @ x / 3, compute_uv=False) * [1.0, -1.0]
    least = (y**2).sum() / 3 - d.sum() ** 2 / ((x**2).sum() / 3)  # eq. 33
    assert residual(matrix, source, target) == pytest.approx(least)


def test_points_on_a_line_in_space_still_give_a_rotation():
    source = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    target = np.outer(np.arange(5.0), [3.0, 1.0, 2.0])
    matrix = umeyama(source, target)
    assert np.linalg.det(matrix[:, :3]) == pytest.approx(1.0)
    assert residual(matrix, source, target) < 1e-18


def test_without_scale_the_size_is_kept(rng):
    source = rng.normal(0, 1, (6, 2))
    matrix = umeyama(source, 3.0 * source, with_scale=False)
    assert np.allclose(matrix[:, :2], np.eye(2))


def test_invert_and_transform_round_trip(rng):
    points = rng.normal(0, 100, (20, 2))
    matrix = random_similarity(rng, 2)
    back = transform_points(transform_points(points, matrix), invert(matrix))
    assert np.allclose(back, points)


@pytest.mark.parametrize("with_scale", [True, False])
@pytest.mark.parametrize("dim", [2, 3])
def test_batch_agrees_with_one_by_one(rng, dim, with_scale):
    source, target = rng.normal(0, 10, (2, 30, 8, dim))
    target[:15] = source[:15] * ([-1.0] + [1.0] * (dim - 1))  # half of them mirrored
    batch = umeyama_batch(torch.from_numpy(source), torch.from_numpy(target), with_scale)
    one = np.stack([umeyama(s, t, with_scale) for s, t in zip(source, target, strict=True)])
    assert np.allclose(batch.numpy(), one, atol=1e-9)


def test_batch_is_differentiable(rng):
    source = torch.from_numpy(rng.normal(0, 1, (2, 5, 2)))
    target = torch.from_numpy(rng.normal(0, 1, (2, 5, 2))).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: umeyama_batch(source, t), target)


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="equal shapes"):
        umeyama(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="coincide"):
        umeyama(np.ones((3, 2)), np.arange(6.0).reshape(3, 2))
    with pytest.raises(ValueError, match="finite"):
        umeyama(np.full((3, 2), np.nan), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="undone"):
        invert(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="N, N"):
        transform_points(np.zeros((3, 2)), np.eye(3))
    with pytest.raises(ValueError, match="M >= 2"):
        umeyama_batch(torch.zeros(3, 2), torch.zeros(3, 2))

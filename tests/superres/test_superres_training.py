import pytest
import torch

from deepfake_utils.superres.training import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(8, 25), (25, 8), (9, 9), (1, 5)])
def test_orthogonalise_keeps_the_singular_vectors_and_levels_the_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, values, vh = torch.linalg.svd(matrix, full_matrices=False)
    kept = values > 0.05 * values[0]
    found = u.T @ orthogonalise(matrix) @ vh.T  # diagonal: the vectors are the same
    assert (found - torch.diag(found.diagonal())).abs().max() < 1e-4
    assert ((found.diagonal() > 0.5) & (found.diagonal() < 1.3))[kept].all()


def test_zeros_stay_zeros():
    assert orthogonalise(torch.zeros(3, 4)).abs().max() == 0.0


def narrow_valley(optimizer_of, steps=200):
    """Squared error left of a 5x5 filter that is learned from pictures with little detail."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(256, 1, 5, 5, generator=generator)
    seen = rough.mean((2, 3), keepdim=True) * 5 + 0.03 * rough  # nearly plain
    wanted = torch.nn.functional.conv2d(seen, torch.randn(4, 1, 5, 5, generator=generator))
    weight = torch.zeros(4, 1, 5, 5, requires_grad=True)
    optimizer = optimizer_of(weight)
    for step in range(steps):
        loss = (torch.nn.functional.conv2d(seen, weight) - wanted).square().mean()
        optimizer.param_groups[0]["lr"] *= 1.0 - 1.0 / (steps - step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_differences_of_like_pixels_are_learned_sooner_than_by_adam():
    muon = narrow_valley(lambda weight: Muon([weight], 0.3))
    adams = [narrow_valley(lambda w, r=rate: torch.optim.Adam([w], r)) for rate in (0.3, 0.1, 0.03)]
    assert muon < 0.5 * min(adams)


def test_weights_in_any_memory_layout_move_alike():
    plain = torch.randn(6, 3, 3, 3)
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = plain.clone(memory_format=layout).requires_grad_()
        (weight * torch.arange(plain.numel()).view(plain.shape)).square().sum().backward()
        Muon([weight]).step()
        moved.append(weight.detach())
    assert torch.allclose(*moved, atol=1e-6) and not torch.allclose(moved[0], plain, atol=1e-3)


def test_a_weight_without_gradient_stays():
    weight = torch.ones(2, 2, requires_grad=True)
    Muon([weight]).step()
    assert torch.equal(weight, torch.ones(2, 2))


def test_what_it_cannot_move_says_so():
    with pytest.raises(ValueError, match=r"two or more dimensions, got \(3,\)"):
        Muon([torch.ones(3, requires_grad=True)])
    with pytest.raises(ValueError, match="learning_rate: expected more than 0"):
        Muon([torch.ones(3, 3)], 0.0)
    with pytest.raises(ValueError, match="momentum: expected"):
        Muon([torch.ones(3, 3)], momentum=1.0)

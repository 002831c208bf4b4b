"""An optimiser for small networks of convolutions: steps whose matrix is made orthogonal.

Adam gives each weight its own rate, which helps little where it is mixtures of weights that differ
in size: the 25 pixels that a first convolution sees are nearly equal to each other, so their mean
gets a thousand times the gradient of their differences, and the differences are what sharpens. Muon
takes the momentum of a layer as a matrix U S V' and steps along U V': each mixture moves equally
far. This is K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
(kellerjordan.github.io/posts/muon); newer versions of PyTorch have it for matrices, not for the
weights of convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

# One round of the iteration is x -> a x + b x^3 + c x^5 on each singular value. The post's numbers:
# steep at 0, so that five rounds bring everything above about 0.01 into 0.7..1.2.
ROUND = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """Bring all singular values near 1 and keep the singular vectors, by five Newton-Schulz rounds.

    Args:
        matrix: (M, N) float32.

    Returns:
        (M, N) float32, about U V' of the singular value decomposition U S V'; zeros stay zeros.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)  # Frobenius: at least as large as the first singular value
    a, b, c = ROUND
    for _ in range(ROUNDS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal layer by layer.

    Args:
        weights: of convolutions or linear layers, two dimensions or more each, the first of which
            counts the outputs. Biases are another optimiser's business.
        learning_rate: how far each mixture of weights moves in a step.
        momentum: share of the past in the mean of gradients; Nesterov's form is used.

    Raises:
        ValueError: if something is no such weight, or a number is out of range.
    """

    def __init__(
        self, weights: Iterable[torch.Tensor], learning_rate: float = 2e-2, momentum: float = 0.95
    ) -> None:
        if not learning_rate > 0.0:
            raise ValueError(f"learning_rate: expected more than 0, got {learning_rate}")
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum: expected 0 to below 1, got {momentum}")
        super().__init__(weights, {"lr": learning_rate, "momentum": momentum})
        for weight in (each for group in self.param_groups for each in group["params"]):
            if weight.ndim < 2:
                raise ValueError(
                    f"expected weights of two or more dimensions, got {tuple(weight.shape)}; give "
                    "biases to another optimiser"
                )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move each weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if "mean" not in self.state[weight]:
                    self.state[weight]["mean"] = torch.zeros_like(weight)
                momentum = group["momentum"]
                mean = self.state[weight]["mean"].lerp_(weight.grad, 1.0 - momentum)
                ahead = torch.lerp(weight.grad, mean, momentum)
                step = orthogonalise(ahead.flatten(1).float())  # (outputs, inputs * k * k)
                # A tall matrix has more rows than singular values: each row would move less.
                tall = max(1.0, step.shape[0] / step.shape[1]) ** 0.5
                weight.add_(step.view(weight.shape), alpha=-group["lr"] * tall)

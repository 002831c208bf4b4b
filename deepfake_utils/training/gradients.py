"""From a pair of batches to gradients: in mixed precision, in pieces, in several processes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from ..autoencoder import FaceSwapAutoencoder
from ..dataset import Batch
from ..devices import is_out_of_memory
from ..files import Tensors
from ..losses import face_loss
from .discriminator import Adversary
from .recipe import TrainConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


class _Losses(nn.Module):
    """Network and losses in one, which is what is compiled or spread over processes."""

    def __init__(self, model: FaceSwapAutoencoder, config: TrainConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.config, self.dtype = model, config, dtype

    def forward(self, a: Batch, b: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Losses of A and of B, (2,) float32, and the faces drawn of each, (B, 3, S, S)."""
        network = self.model.config
        points = (a.points, b.points) if network.landmarks else (None, None)
        with torch.autocast(a.warped.device.type, self.dtype, enabled=self.dtype != torch.float32):
            drawn = self.model.forward_pair(a.warped, b.warped, *points)
        losses = []
        for picture, batch in zip(drawn, (a, b), strict=True):
            loss = face_loss(
                picture[:, :3],
                batch.target,
                batch.weight,
                self.config.dssim,
                self.config.edges,
            )
            if network.mask and batch.mask is not None:
                off = (picture[:, 3:].float() - batch.mask).abs().mean()
                loss = loss + self.config.mask * off
            losses.append(loss)
        return torch.stack(losses), [picture[:, :3] for picture in drawn]


class Gradients:
    """Makes the gradients of one step.

    Args:
        model: the network.
        optimizer: holds the network's weights.
        config: how to train.
        dtype: of the network's heavy parts.
        accelerator: of a run with several processes.

    Attributes:
        pieces: into how many parts each batch is cut because memory does not hold it whole.
        adversary: asks for faces that look real, if the run is to have sharp ones.
    """

    def __init__(
        self,
        model: FaceSwapAutoencoder,
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        dtype: torch.dtype,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.optimizer, self.accelerator = optimizer, accelerator
        self.weights = list(model.parameters())
        self.device = self.weights[0].device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype is torch.float16)
        self.pieces = 1
        sharp = config.sharpness == "adversarial"
        self.adversary = Adversary(self.device) if sharp else None
        self._losses: nn.Module = _Losses(model, config, dtype)
        if accelerator is not None:
            self._losses = accelerator.prepare_model(self._losses)
        if config.compile != "off":
            self._losses = cast(nn.Module, torch.compile(self._losses, mode=config.compile))

    def __call__(self, a: Batch, b: Batch, adversarial: float = 0.0) -> tuple[float, float, float]:
        """Fill the weights' `grad`.

        Args:
            a: faces of A.
            b: faces of B.
            adversarial: weight of the adversary's penalty; 0 leaves the adversary as it is.

        Returns:
            The losses of A and of B, and the size of the gradient (its Euclidean norm).

        Raises:
            MemoryError: if even single faces do not fit into memory.
        """
        while (losses := self._accumulate(a, b, adversarial)) is None:
            self._cut_batches(min(len(a.warped), len(b.warped)))
        if self.accelerator is not None and self.accelerator.num_processes > 1:
            losses = self.accelerator.reduce(losses, "mean")
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.get_total_norm([w.grad for w in self.weights if w.grad is not None])
        loss_a, loss_b, size = torch.cat([losses, norm[None].to(losses)]).tolist()
        return loss_a, loss_b, size

    def _accumulate(self, a: Batch, b: Batch, adversarial: float) -> torch.Tensor | None:
        """Gradients of a batch, a piece at a time; None where memory did not suffice."""
        self._forget()
        total = torch.zeros(2, device=self.device)
        wholes = torch.tensor([len(a.warped), len(b.warped)], device=self.device)
        pairs = zip(cut_batch(a, self.pieces), cut_batch(b, self.pieces), strict=True)
        adversary = self.adversary if adversarial > 0.0 else None
        try:
            for number, pair in enumerate(pairs, 1):
                share = torch.tensor([len(part.warped) for part in pair], device=self.device)
                with self._apart(number < self.pieces):
                    losses, drawn = self._losses(*pair)
                    losses = losses * (share / wholes)
                    asked = losses
                    if adversary is not None:
                        penalties = adversary.penalties(drawn, pair)
                        asked = losses + adversarial * penalties * (share / wholes)
                    self.scaler.scale(asked.sum()).backward()
                if adversary is not None:
                    adversary.learn(drawn, pair, share / wholes)
                total += losses.detach()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if self.accelerator is not None and self.accelerator.num_processes > 1:
                # The other processes wait for this one's gradients.
                raise MemoryError(
                    f"expected memory for {len(a.warped)} faces of each person in this process, "
                    "got too little; start again with a smaller batch_size"
                ) from error
            return None
        return total

    def state(self) -> dict[str, Any]:
        """Plain values that going on exactly needs, beside `adversary_state`."""
        return {"scaler": self.scaler.state_dict(), "pieces": self.pieces}

    def adversary_state(self) -> Tensors:
        """What the adversary has learned, {} without one."""
        return {} if self.adversary is None else self.adversary.state()

    def take_up(self, saved: Mapping[str, Any], adversary: Tensors) -> None:
        """Go on from a `state` and an `adversary_state`, which a run without one passes over.

        Raises:
            KeyError: if something is missing.
            RuntimeError: if the adversary's weights are those of another network.
            ValueError: if its optimiser's numbers are.
        """
        scaler = dict(saved["scaler"])  # empty where no scaler was needed
        if self.scaler.is_enabled() and scaler:
            self.scaler.load_state_dict(scaler)
        self.pieces = int(saved["pieces"])
        if self.adversary is not None and adversary:
            self.adversary.take_up(adversary)

    def _forget(self) -> None:
        """Leave no gradient behind."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.adversary is not None:
            self.adversary.optimizer.zero_grad(set_to_none=True)

    def _apart(self, unfinished: bool) -> contextlib.AbstractContextManager[Any]:
        """Keep processes from exchanging gradients that are not complete yet."""
        if unfinished and self.accelerator is not None:
            return cast(
                contextlib.AbstractContextManager[Any], self.accelerator.no_sync(self._losses)
            )
        return contextlib.nullcontext()

    def _cut_batches(self, faces: int) -> None:
        """Halve the pieces that batches are worked through in."""
        self._forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.pieces >= faces:
            raise MemoryError(
                "expected memory for one face of each person, got too little; take a smaller "
                "image_size or network"
            )
        self.pieces = min(2 * self.pieces, faces)
        logger.warning(
            "out of memory: going on with batches in %d pieces of %d faces; the effective batch "
            "stays %d",
            self.pieces,
            -(-faces // self.pieces),
            faces,
        )

    def apply(self) -> None:
        """Let the optimiser take its step."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.adversary is not None:
            if self.accelerator is not None and self.accelerator.num_processes > 1:
                for weight in self.adversary.network.parameters():
                    if weight.grad is not None:
                        weight.grad = self.accelerator.reduce(weight.grad, "mean")
            self.adversary.optimizer.step()

    def drop(self, loss_is_finite: bool) -> bool:
        """Forget gradients that are not finite.

        Returns:
            True if that is nothing to worry about: a float16 run finds the scale of its gradients
            by letting them run over now and then.
        """
        self._forget()
        if not self.scaler.is_enabled():
            return False
        scale = self.scaler.get_scale()
        harmless = loss_is_finite and scale > 1.0
        self.scaler.update(scale / 2.0 if harmless else scale)
        return harmless


def cut_batch(batch: Batch, pieces: int) -> list[Batch]:
    """A batch in pieces of almost equal size."""
    if pieces == 1:
        return [batch]
    split = [[None] * pieces if part is None else part.tensor_split(pieces) for part in batch]
    return [Batch(*fields) for fields in zip(*split, strict=True)]  # type: ignore[arg-type]

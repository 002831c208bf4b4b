"""The training loop: one step, and a generator of steps that the caller's own loop drives.

    for result in trainer.run(minutes=5):  # or run(): `config.steps` steps
        if result.step % 100 == 0:
            display(plotting.plot_losses(trainer.history))

Stopping that loop loses nothing: the state is on the trainer, and `run` goes on where it was. An
interrupt waits for the end of the step, and a step that fails has not been made. On
many processors or GPUs the same loop runs in each process; give the trainer an
`accelerate.Accelerator` there.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ..autoencoder import FaceSwapAutoencoder
from ..consent import ConsentNote, Role
from ..dataset import Batch, Batches
from ..devices import pick_device, pick_dtype, place
from ..files import set_aside
from ..runs.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from ..runs.store import CheckpointStore
from .clock import TrainingClock
from .evaluation import redraw
from .gradients import Gradients
from .interrupts import uninterrupted
from .recipe import TrainConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

ROLES: tuple[Role, Role] = ("target", "source")  # A is in the video, B's face is put there


class StepResult(NamedTuple):
    """What one training step reports."""

    step: int  # counted from 1
    loss_a: float  # the loss of person A, 0 is perfect
    loss_b: float  # the same of person B


class Trainer:
    """A network in training: its weights, their running average, and the optimiser.

    Args:
        model: the network; it is moved to `device`.
        batches_a: endless pairs of person A, e.g. `dataset.endless_batches(...)`.
        batches_b: the same of person B.
        config: how to train.
        device: None picks the GPU if there is one.
        accelerator: an `accelerate.Accelerator` of a run with several processes; each then makes
            its share of every batch, and `device` is the accelerator's.

    Attributes:
        average: a network with the running mean of the weights: draws better than `model`.
        history: one `StepResult` a step so far.
        scores: (step, PSNR in dB) of each `evaluate` so far.
        step: steps made so far.
        clock: counts the time of training, and how much is left of a run in minutes.
        gradients: makes each step's gradients, in as many pieces as memory asks for.
        faces_per_step: of both people, in all processes; 0 before the first step.

    Raises:
        PermissionError: if A agreed to be the source of a swap only, or B the target only.
        ValueError: if the batches cannot be shared out among the processes.
    """

    def __init__(
        self,
        model: FaceSwapAutoencoder,
        batches_a: Iterator[Batch],
        batches_b: Iterator[Batch],
        config: TrainConfig | None = None,
        device: str | torch.device | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.config = config or TrainConfig()
        self.accelerator = accelerator
        self.device = accelerator.device if accelerator else pick_device(device)
        self.processes = accelerator.num_processes if accelerator else 1
        self.dtype = pick_dtype(self.device, self.config.precision)
        self.model = place(model, self.device).train()
        self.model.consent = self._notes(model.consent, batches_a, batches_b)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.average.held_out_db = None
        self.batches_a, self.batches_b = batches_a, batches_b
        # One optimiser over everything: with one for each person the shared encoder would be
        # stepped twice.
        self.optimizer = torch.optim.Adam(
            self._groups(),
            lr=self.config.learning_rate,
            betas=(self.config.beta1, self.config.beta2),
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.gradients = Gradients(self.model, self.optimizer, self.config, self.dtype, accelerator)
        for batches in (batches_a, batches_b):
            self._prepare(batches)
        self.step = 0
        self.clock = TrainingClock()
        self._time_passed: float | None = None  # share of the run's minutes; None: goes by steps
        self.history: list[StepResult] = []
        self.scores: list[tuple[int, float]] = []
        self.faces_per_step = 0
        self._caution = 1.0  # share of the learning rate that is used; less after a bad step
        self._ahead: dict[str, Batch] = {}  # batches taken for a step that is not made yet
        self._store: CheckpointStore | None = None  # nobody else may save there during `run`

    def _groups(self) -> list[dict[str, Any]]:
        """The weights, by their share of the learning rate; with a share of 0 they stay fixed."""
        encoder, share = self.model.encoder, self.config.encoder_rate
        groups: dict[float, list[torch.nn.Parameter]] = {}
        early = {id(w) for part in (encoder.down, encoder.to_code) for w in part.parameters()}
        for name, weight in self.model.named_parameters():
            # A pixel of a texture is seen by few pixels of a batch.
            own = self.config.texture_rate if name.endswith(".texture") else 1.0
            own = share if id(weight) in early else own
            weight.requires_grad_(own > 0.0)
            if own > 0.0:
                groups.setdefault(own, []).append(weight)
        return [{"params": weights, "share": own} for own, weights in groups.items()]

    def train_step(self) -> StepResult:
        """One step on one batch of each person.

        A batch without a finite loss or gradient is skipped, and the learning rate halved; it
        recovers over the next hundred steps.

        Raises:
            FloatingPointError: if `config.max_skips` steps in a row had to be skipped; the weights
                stay as they were.
            MemoryError: if even a batch cut to single faces does not fit into memory.
            ValueError: if a source of batches has run dry.
        """
        with uninterrupted():
            return self._step()

    def _step(self) -> StepResult:
        adversarial = self.config.adversarial_at(self.step + 1, self._time_passed)
        for _ in range(self.config.max_skips + 1):
            a, b = self._next(self.batches_a, "A"), self._next(self.batches_b, "B")
            loss_a, loss_b, norm = self.gradients(a, b, adversarial)
            if math.isfinite(loss_a + loss_b + norm):
                break
            self._ahead.clear()
            self._skip(loss_a, loss_b)
        else:
            raise FloatingPointError(
                f"expected a finite loss, got {loss_a} (A) and {loss_b} (B) at step "
                f"{self.step + 1} and none in {self.config.max_skips + 1} batches in a row; the "
                f"weights are those of step {self.step}: save them, then go on with a lower "
                "learning_rate or precision='float32', and look for broken pictures among the faces"
            )
        rate = self.config.rate_at(self.step + 1, self._time_passed) * self._caution
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.gradients.apply()
        self.step += 1
        self._ahead.clear()
        self.faces_per_step = (len(a.warped) + len(b.warped)) * self.processes
        self._caution = min(1.0, self._caution * 2.0**0.01)
        self._update_average()
        self.history.append(StepResult(self.step, loss_a, loss_b))
        return self.history[-1]

    @property
    def images_per_second(self) -> float:
        """Faces trained on in a second lately, of both people; 0 before it is known."""
        return self.faces_per_step / self.clock.turn_s if self.clock.turn_s else 0.0

    def run(self, steps: int | None = None, minutes: float | None = None) -> Iterator[StepResult]:
        """Train, yielding after each step; leave the loop whenever you like.

        Of a run in minutes the clock says when it ends, and the learning rate falls with the share
        of the time that has passed. All time counts from this call to the loop's end, what the
        caller does between two steps too; the time between two loops does not. It ends within half
        a step of the minutes, its last step at `config.final_rate`.

        Args:
            steps: how many; None goes on to the end of the run: the minutes it was begun with, or
                `config.steps` in all.
            minutes: length of the whole run, what was trained so far included; from then on they
                are the run's instead of `config.steps`, in its checkpoints as well.

        Raises:
            ValueError: if `minutes` is not positive and finite, or `steps` is given as well.
        """
        if minutes is not None:
            if not 0.0 < minutes < math.inf:
                raise ValueError(f"minutes: expected more than 0, got {minutes}")
            if steps is not None:
                raise ValueError(f"expected steps or minutes, got {steps} and {minutes}")
            self.clock.minutes = minutes
        self.clock.begin()
        return self._run(steps)

    def _run(self, steps: int | None) -> Iterator[StepResult]:
        with contextlib.ExitStack() as end:
            if self._store is not None:
                self._store.hold()
                end.callback(self._store.release)
            yield from self._steps(steps)

    def _steps(self, steps: int | None) -> Iterator[StepResult]:
        last = None if steps is None else self.step + steps
        by_time = self.clock.minutes is not None
        if by_time:
            self._time_passed = self._share_of_time()
        over = self.finished if last is None else self.step >= last
        while not over:
            with uninterrupted():
                if by_time:
                    self._time_passed = self._share_of_time()
                result = self.train_step()
                self.clock.count(turn=True)
                # Even if this step took longer than all the time that was left, one more follows,
                # at the final rate.
                ending = by_time and last is None and self._time_passed == 1.0
                if ending:
                    self.clock.end()
            yield result
            if last is not None:
                over = self.step >= last
            else:
                over = ending if by_time else self.finished

    def _share_of_time(self) -> float:
        """The share of its minutes that a run has behind it, 0..1; 1 if the next step is the last.

        Of several processes the first one's clock holds for all, so that they stop at the same
        step.
        """
        self.clock.count()
        last_s = self.clock.last_s
        if self.processes > 1:
            from accelerate.utils import broadcast

            mine = torch.tensor(
                [self.clock.spent_s, last_s], dtype=torch.float64, device=self.device
            )
            self.clock.spent_s, last_s = broadcast(mine).tolist()
        return self.clock.share(last_s)

    @property
    def finished(self) -> bool:
        """Whether the run is at its end: that of its minutes, or else of its steps."""
        if self.clock.minutes is not None:
            return self.clock.left_s <= 0.0
        return self.step >= self.config.steps

    def evaluate(self, held_a: Batch, held_b: Batch) -> float:
        """How well the averaged network draws faces that were held out of training.

        It also measures the network's usual error, see `FaceSwapAutoencoder.usual_error_of`.

        Args:
            held_a: faces of A that are not trained on, as `FaceDataset.still` gives them.
            held_b: the same of B.

        Returns:
            Mean PSNR of A as A and B as B inside the faces, in dB; also kept in `scores`.

        Raises:
            ValueError: if the faces come without masks.
        """
        total = redraw(self.average, "A", held_a, self._there)
        total += redraw(self.average, "B", held_b, self._there)
        score = total / (len(held_a.warped) + len(held_b.warped))
        self.scores.append((self.step, score))
        self.average.held_out_db = score
        return score

    def checkpoint(self) -> Checkpoint:
        """Everything that going on exactly where the run is needs."""
        extra = {
            "train": dataclasses.asdict(self.config),
            "scores": self.scores,
            "caution": self._caution,
            **self.gradients.state(),
            "positions": [self._position(self.batches_a, "A"), self._position(self.batches_b, "B")],
        }
        if self.clock.minutes is not None:
            extra |= {"minutes": self.clock.minutes, "spent_s": self.clock.spent_s}
        history = torch.tensor(self.history, dtype=torch.float64).reshape(-1, 3)
        average, moments = self.average.state_dict(), optimizer_tensors(self.optimizer)
        adversary = self.gradients.adversary_state()
        return Checkpoint(self.model, self.step, average, moments, history, extra, adversary)

    def save(self, store: CheckpointStore) -> Path:
        """Write a checkpoint that `start_or_resume` and `Trainer.resume` continue from.

        Of several processes the first one writes, and the others wait for it. To write it into a
        single file, `save_checkpoint(path, trainer.checkpoint())`.

        Args:
            store: keeps the best by `scores` beside the newest.

        Returns:
            Where the file is; in a process that does not write, the store's folder.

        Raises:
            OSError: as `CheckpointStore.save`.
        """
        path = store.folder
        if self.accelerator is None or self.accelerator.is_main_process:
            fresh = bool(self.scores) and self.scores[-1][0] == self.step
            path = store.save(self.checkpoint(), self.scores[-1][1] if fresh else None)
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()
        return path

    @classmethod
    def resume(
        cls,
        saved: Checkpoint,
        batches_a: Iterator[Batch],
        batches_b: Iterator[Batch],
        config: TrainConfig | None = None,
        device: str | torch.device | None = None,
        accelerator: Accelerator | None = None,
    ) -> Trainer:
        """Continue a run from a checkpoint; its batches go on where they were.

        Args:
            saved: what `load_checkpoint` or a store's `latest` or `best` gave.
            batches_a: as for a new `Trainer`, like all that follows.
            batches_b: the same of person B.
            config: None takes the settings the run was saved with.
            device: None picks the GPU if there is one.
            accelerator: of a run with several processes.

        Raises:
            ValueError: if the checkpoint holds weights only, or another kind of state.
        """
        begun = bool(saved.step)  # before the first step the optimiser has nothing to remember
        if not saved.average or (begun and not saved.optimizer) or "train" not in saved.extra:
            raise ValueError(
                "expected the checkpoint of a training run, got weights only; start a new Trainer "
                "with them as its model"
            )
        try:
            config = config or TrainConfig(**saved.extra["train"])
            trainer = cls(saved.model, batches_a, batches_b, config, device, accelerator)
            trainer._take_up(saved)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"expected the state of a training run, got another or damaged one ({error}); "
                "start a new Trainer with load_checkpoint(path).model"
            ) from error
        logger.info("continuing at step %d", trainer.step)
        return trainer

    def _take_up(self, saved: Checkpoint) -> None:
        """Set everything but the weights to what was saved."""
        self.average.load_state_dict(saved.average)
        if saved.step:
            load_optimizer(self.optimizer, saved.optimizer)
        extra = saved.extra
        self.gradients.take_up(extra, saved.adversary)
        self.step = saved.step
        self.clock.minutes = extra.get("minutes")  # none: the run goes by steps
        self.clock.spent_s = float(extra.get("spent_s", 0.0))
        if self.clock.minutes is not None:
            self._time_passed = self.clock.share(0.0)
        self._caution = float(extra["caution"])
        self.scores = [(int(step), float(score)) for step, score in extra["scores"]]
        rows = [] if saved.history is None else saved.history.tolist()
        self.history = [StepResult(int(step), a, b) for step, a, b in rows]
        positions = zip((self.batches_a, self.batches_b), extra["positions"], strict=True)
        for batches, position in positions:
            if isinstance(batches, Batches) and position is not None:
                batches.seek(int(position))
            else:
                logger.warning("these batches cannot be wound forward: going on with other ones")

    def _position(self, batches: Iterator[Batch], name: str) -> int | None:
        """How many of its batches were trained on; None if it cannot tell."""
        return batches.position - (name in self._ahead) if isinstance(batches, Batches) else None

    def _next(self, batches: Iterator[Batch], name: str) -> Batch:
        """The next batch, the same one until its step is made."""
        try:
            if name not in self._ahead:
                self._ahead[name] = self._there(next(batches))
            return self._ahead[name]
        except StopIteration as error:
            raise ValueError(
                f"expected endless batches of person {name}, got to their end after step "
                f"{self.step}; make them with dataset.endless_batches"
            ) from error

    def _there(self, batch: Batch) -> Batch:
        """The batch on the training device, in the layout in which convolutions run fastest."""
        warped = batch.warped.to(self.device, memory_format=torch.channels_last)
        rest = (part if part is None else part.to(self.device) for part in batch[1:])
        return Batch(warped, *rest)  # type: ignore[arg-type]

    @staticmethod
    def _notes(
        earlier: tuple[ConsentNote, ...], *sources: Iterator[Batch]
    ) -> tuple[ConsentNote, ...]:
        """What is passed on of the consent of all people trained on, each note once."""
        consents = [s.dataset.faces.consent if isinstance(s, Batches) else None for s in sources]
        for consent, role in zip(consents, ROLES, strict=True):
            if consent is not None:
                consent.check_role(role)
        notes = [consent.note for consent in consents if consent is not None]
        return tuple(dict.fromkeys((*earlier, *notes)))

    def _prepare(self, batches: Iterator[Batch]) -> None:
        """Have a process make its own part of each batch, where and what this network uses."""
        network = self.model.config
        if isinstance(batches, Batches):
            batches.to(self.device)
            batches.leave_out(mask=not network.mask, points=not network.landmarks)
            if self.accelerator is not None:
                batches.shard(self.accelerator.process_index, self.processes)
        elif self.processes > 1:
            raise ValueError(
                "expected batches from dataset.endless_batches, which processes can share, "
                f"got {type(batches).__name__}"
            )

    def _skip(self, loss_a: float, loss_b: float) -> None:
        """Leave a batch out whose loss or gradient is not finite."""
        if self.gradients.drop(math.isfinite(loss_a + loss_b)):
            return
        self._caution /= 2.0
        said = (
            "skipped a batch at step %d without a finite loss or gradient (%g, %g); the learning "
            "rate is %g of its plan for now"
        )
        logger.warning(said, self.step + 1, loss_a, loss_b, self._caution)

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first, or the untrained weights would linger in the mean.
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, 1.0 - keep)


def start_or_resume(
    store: CheckpointStore,
    model: FaceSwapAutoencoder,
    batches_a: Iterator[Batch],
    batches_b: Iterator[Batch],
    config: TrainConfig | None = None,
    device: str | torch.device | None = None,
    accelerator: Accelerator | None = None,
) -> Trainer:
    """A trainer that goes on with the unfinished run in `store`, or a new one if there is none.

    A finished run, or one of another network or start, is moved aside and a new one begun. From
    now on to the end of the trainer's next loop no other program may save into the store.

    Args:
        store: where the run is saved.
        model: the network that a new run starts with.
        batches_a: as for `Trainer`, like all that follows.
        batches_b: the same of person B.
        config: of a new run; one that goes on keeps its own.
        device: None picks the GPU if there is one.
        accelerator: of a run with several processes.

    Raises:
        RuntimeError: if another program is training there.
        ValueError: if what is there is no whole checkpoint of a run; move it away to start anew.
    """
    writes = accelerator is None or accelerator.is_main_process
    if writes:
        store.hold()
    saved = store.latest()
    kind = (model.config, model.start)
    if saved and saved.unfinished and (saved.model.config, saved.model.start) == kind:
        trainer = Trainer.resume(saved, batches_a, batches_b, None, device, accelerator)
    else:
        if writes and saved is not None:
            for folder in (store.folder, store.mirror):
                if folder is not None and folder.exists():
                    moved = set_aside(folder)
                    logger.warning("%s held another or a finished run, now in %s", folder, moved)
        if accelerator is not None:
            accelerator.wait_for_everyone()
        trainer = Trainer(model, batches_a, batches_b, config, device, accelerator)
    trainer._store = store if writes else None
    return trainer

"""What a training panel's thread does: steps, pictures now and then, scores and saves."""

from __future__ import annotations

import importlib.util
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ..dataset import Batch
from ..images import Image
from ..marking.label import draw_label
from ..plotting import plot_losses, prediction_image
from ..runs.checkpoint import HARDLY_TRAINED_DB
from ..runs.store import CheckpointStore
from ..training.recipe import plateaued
from ..training.trainer import Trainer
from .base import png_bytes
from .jobs import Job, JobState

GRID_SHARE, CURVE_SHARE = 0.03, 0.02  # of the time that live pictures may take
SAVES_A_RUN = 12  # or more, so that none is further away than this:
SAVE_AT_LEAST_S = 300.0
KEPT_SHARE = 0.1  # of a run's minutes for its last save, at most
SNAPSHOTS = 48  # pictures of the grid that are kept at most, evenly spread over the run
POINTS = 2000  # of the live curve: a longer history is thinned
Quality = Literal["not yet", "usable", "still improving", "done"]
PATIENCE = 5  # scores in a row that bring nothing, until training counts as done
CELL = 96  # side of a face in the live grid in pixels


@dataclass(frozen=True)
class TrainingStatus:
    """Where a training panel is."""

    step: int  # made so far
    steps: int  # of the whole run; about so many, if it goes by minutes
    images_per_second: float  # of both people, lately; 0 before it is known
    eta_s: float  # seconds to the end of the run; infinite before it is known
    memory_mb: int | None  # the most so far, of the GPU or else of the program; None: not known
    steps_to_save: int  # to the next save
    state: JobState
    minutes: float | None = None  # length of the whole run; None: it is planned in steps
    score: float | None = None  # dB on faces held out, the newest; None: not measured yet
    quality: Quality | None = None  # the same in words

    @property
    def share(self) -> float:
        """What part of the run is done, 0..1."""
        if self.minutes is None:
            return self.step / max(1, self.steps)
        return min(1.0, max(0.0, 1.0 - self.eta_s / (60.0 * self.minutes))) if self.step else 0.0

    @property
    def left(self) -> str:
        """How long it will take, "3 min" or "40 s"; "" before it is known, and at the end."""
        if not self.images_per_second or not self.eta_s:
            return ""
        return f"{self.eta_s / 60.0:.0f} min" if self.eta_s >= 90.0 else f"{self.eta_s:.0f} s"

    def __str__(self) -> str:
        if self.state == "ready" and self.step == 0:
            planned = f"{self.steps} steps" if self.minutes is None else f"{self.minutes:.3g} min"
            return f"ready to train for {planned}: press Start, or call run()"
        parts = [f"{self.state}: step {self.step} of {self.steps}"]
        if self.minutes is not None:
            passed = self.share * self.minutes
            parts = [f"{self.state}: step {self.step}, {passed:.1f} of {self.minutes:.3g} min"]
        if self.state == "ready":
            parts.append("press Start, or call run()")
        if self.left:
            parts += [f"{self.images_per_second:.0f} images a second", f"{self.left} to go"]
        if self.memory_mb is not None:
            parts.append(f"at most {self.memory_mb} MB of memory")
        if self.state in ("running", "paused"):
            several = "s" if self.steps_to_save != 1 else ""
            parts.append(f"{self.steps_to_save} step{several} to the next save")
        return " · ".join(parts)


def quality_of(scores: Sequence[float]) -> Quality | None:
    """How good a network is, in words.

    Args:
        scores: dB of faces held out of training, oldest first, as `Trainer.scores` has them.

    Returns:
        "not yet" while it draws a smear (`runs.hardly_trained`), "done" once more training brings
        nothing (`plateaued`), "still improving" before, and "usable" as long as there are too few
        scores to tell; None if there is none.
    """
    if not scores:
        return None
    if scores[-1] < HARDLY_TRAINED_DB:
        return "not yet"
    if plateaued(scores, PATIENCE):
        return "done"
    return "still improving" if len(scores) > PATIENCE else "usable"


class Cadence:
    """When to do something again that shall take only a share of the time.

    Args:
        share: of the time, 0..1.
        least_s: seconds from one end to the next beginning, at least.
    """

    def __init__(self, share: float, least_s: float) -> None:
        self.share, self.least_s = share, least_s
        self.spent_s = 0.0
        self._next = -math.inf
        self._first = True

    def due(self, now: float) -> bool:
        """True if it is time, in seconds of some clock."""
        return now >= self._next

    def took(self, began: float, ended: float) -> None:
        """Tell when it was done."""
        cost = ended - began
        if self._first:  # it also loads libraries, and says nothing of the next ones
            self._first, cost = False, 0.0
        self.spent_s += cost
        self._next = ended + max(self.least_s, cost / self.share - cost)


class TrainingLoop:
    """The work of one panel, and its timing.

    Args:
        trainer: what is trained.
        store: where it is saved to.
        show: some faces of A and as many of B to draw, `FaceDataset.preview`.
        held: faces of A and of B held out of training, `FaceDataset.still`; each save is scored
            by them.
        save_every: steps between two saves; None saves twelve times a run, and at least every
            five minutes.
        minutes: length of a new run, and how much longer a finished one is trained when it is
            started again; None takes `trainer.config.steps`.
        refresh_s: seconds between two live pictures; more where these would take above 5 %.

    Attributes:
        snapshots: a picture of the grid at each save, RGB uint8.
        draw: what is done with live pictures, PNG files of the grid and of the losses, each None
            if it stays as it is; as long as nobody looks it is None, and none are made.
        tell: called with a sentence at each turn of events, and with None now and then.

    Raises:
        ValueError: if `save_every` is below 1, or `minutes` or `refresh_s` not positive.
    """

    def __init__(
        self,
        trainer: Trainer,
        store: CheckpointStore,
        show: tuple[Batch, Batch],
        held: tuple[Batch, Batch],
        save_every: int | None = None,
        minutes: float | None = None,
        refresh_s: float = 3.0,
    ) -> None:
        if save_every is not None and save_every < 1:
            raise ValueError(f"save_every: expected at least 1 step, got {save_every}")
        for name, value in (("minutes", minutes), ("refresh_s", refresh_s)):
            if value is not None and not value > 0.0:
                raise ValueError(f"{name}: expected more than 0, got {value}")
        self.trainer, self.store, self.show, self.held = trainer, store, show, held
        self.save_every, self.minutes = save_every, minutes
        self.snapshots: list[Image] = []
        self.draw: Callable[[bytes | None, bytes | None], None] | None = None
        self.tell: Callable[[str | None], None] = lambda text: None
        self._apart = 1  # every how many saves a snapshot is kept
        self._saves = 0
        self._saved_at = trainer.step
        self._spent_s = 0.0
        self._held_at = math.inf  # when a pause began, by the trainer's clock; inf: none
        self._grid = Cadence(GRID_SHARE, refresh_s)
        self._line = Cadence(CURVE_SHARE, 2.0 * refresh_s)
        self._words = Cadence(1.0, 1.0)

    def __call__(self, job: Job[None]) -> None:
        """Train to the end of the run, or until the job is stopped; then save."""
        steps = self.trainer.run(minutes=self._minutes())  # its clock counts from now on
        self._check()
        if not self._goes_on(job):
            return
        began = time.monotonic()
        for _ in steps:
            if self.trainer.step >= self._saved_at + self._interval():
                self._check()
            self._look()
            self._spent_s += time.monotonic() - began
            if not self._goes_on(job):
                break
            began = time.monotonic()  # without what a pause took
        self._check()

    @property
    def finished(self) -> bool:
        """True at the end of the run as planned."""
        return self.trainer.finished

    @property
    def drawing_share(self) -> float:
        """What part of the time went into live pictures so far, 0..1."""
        drawn_s = self._grid.spent_s + self._line.spent_s
        return drawn_s / self._spent_s if self._spent_s else 0.0

    def status(self, state: JobState) -> TrainingStatus:
        """Where it is, and how fast it goes."""
        step, steps, clock = self.trainer.step, self.trainer.config.steps, self.trainer.clock
        minutes = self._minutes() if step == 0 else clock.minutes
        if minutes is not None:
            left_s = max(0.0, 60.0 * minutes - clock.spent_s)
            steps = step + math.ceil(left_s / clock.turn_s) if clock.turn_s else max(step, 1)
        elif step < steps:
            left_s = (steps - step) * clock.turn_s if clock.turn_s else math.inf
        else:
            left_s = 0.0
        scores = [score for _, score in self.trainer.scores]
        return TrainingStatus(
            step,
            steps,
            self.trainer.images_per_second,
            left_s,
            memory_mb(self.trainer.device),
            max(0, min(self._saved_at + self._interval(), steps) - step),
            state,
            minutes,
            scores[-1] if scores else None,
            quality_of(scores),
        )

    def save(self) -> Path:
        """Write a checkpoint."""
        path = self.trainer.save(self.store)
        self._saved_at = self.trainer.step
        return path

    def picture(self, grid: bool = True, curve: bool = True) -> None:
        """Draw what the network makes of some faces, and the losses, if anybody looks."""
        if self.draw is None:
            return
        faces = None
        if grid:
            faces = png_bytes(draw_label(prediction_image(self.trainer.average, *self.show, CELL)))
        self.draw(faces, self._curve() if curve and self.trainer.history else None)

    def _curve(self) -> bytes:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        history = self.trainer.history
        figure = plot_losses(history[:: 1 + len(history) // POINTS], self.trainer.scores)
        canvas = FigureCanvasAgg(figure)
        figure.set_dpi(90)
        canvas.draw()
        return png_bytes(np.asarray(canvas.buffer_rgba())[:, :, :3])

    def _check(self) -> None:
        """Score, save and draw."""
        scores, step = self.trainer.scores, self.trainer.step
        if scores and scores[-1][0] == step == self._saved_at:
            return  # the last save of the run was this very step
        began = time.monotonic()
        self.trainer.evaluate(*self.held)
        path = self.save()
        if self._saves % self._apart == 0:
            self.snapshots.append(prediction_image(self.trainer.average, *self.show))
        self._saves += 1
        if len(self.snapshots) > SNAPSHOTS:
            self.snapshots, self._apart = self.snapshots[::2], 2 * self._apart
        self.picture()
        self._keep_for_the_end(time.monotonic() - began)
        self.tell(f"saved as {path.name}, {self.trainer.scores[-1][1]:.2f} dB on unseen faces")

    def _keep_for_the_end(self, check_s: float) -> None:
        """Have the minutes end after the last check, which takes about as long as this one."""
        clock = self.trainer.clock
        if clock.minutes is not None:
            clock.kept_s = min(check_s, KEPT_SHARE * 60.0 * clock.minutes)

    def _minutes(self) -> float | None:
        """Length of a new run, or of a finished one that is prolonged; None: it has its own."""
        if self.minutes is None or (self.trainer.step and not self.finished):
            return None
        return self.trainer.clock.spent_s / 60.0 + self.minutes

    def _goes_on(self, job: Job[None]) -> bool:
        """Do what was asked for between two steps; False if the run shall end."""
        self._held_at, clock = math.inf, self.trainer.clock
        going = job.between(self._hold)
        clock.leave_out(max(0.0, clock.now() - self._held_at))  # a pause
        return going

    def _hold(self) -> None:
        """What is done at the beginning of a pause."""
        self.save()
        self.picture()
        self._held_at = self.trainer.clock.now()

    def _look(self) -> None:
        """Update what is shown, when it is time."""
        began = time.monotonic()
        if self._words.due(began):
            self.tell(None)
            self._words.took(began, began)
        if self.draw is None:
            return
        if self._grid.due(began):
            self.picture(curve=False)
            self._grid.took(began, time.monotonic())
        elif self._line.due(began):
            self.picture(grid=False)
            self._line.took(began, time.monotonic())

    def _interval(self) -> int:
        """Steps between two saves."""
        if self.save_every is not None:
            return self.save_every
        share, clock = max(1, self.trainer.config.steps // SAVES_A_RUN), self.trainer.clock
        if not clock.turn_s:
            return share
        most = max(1, int(SAVE_AT_LEAST_S / clock.turn_s))
        if clock.minutes is not None:
            share = max(1, int(60.0 * clock.minutes / SAVES_A_RUN / clock.turn_s))
        return min(share, most)


def memory_mb(device: torch.device) -> int | None:
    """The most memory used so far, of a GPU by torch, else of this program; None: not known."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    return peak_memory_mb()


def peak_memory_mb() -> int | None:
    """The most memory this program ever had, in MB; None where the system does not say."""
    if importlib.util.find_spec("resource") is None:  # Windows
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if platform.system() == "Darwin" else 1e3))

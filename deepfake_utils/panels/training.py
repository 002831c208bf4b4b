"""Training with buttons: it runs in a thread of the kernel, and the page only looks on.

    panel = TrainingPanel(trainer, store, (show_a, show_b), (held_a, held_b), minutes=5.0)
    panel             # in a notebook: buttons, the grid of predictions, the losses
    panel.run()       # the same by hand: trains to the end, or until it is interrupted
    panel.start(), panel.pause(), panel.save(), panel.stop(), panel.wait(60.0)

The state is on the panel and in the store: closing the page changes nothing, and after the loss of
the kernel `training_project.train` goes on from the last save.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..dataset import Batch, Batches, endless_batches
from ..files import take_lock
from ..images import Image
from ..plotting import GRID_TITLES, plot_losses, plot_pairs, plot_prediction_grid
from ..runs.store import CheckpointStore
from ..training.trainer import Trainer
from .base import has_widgets
from .jobs import Worker, working
from .training_loop import State, TrainingLoop, TrainingStatus
from .training_view import TrainingView

if TYPE_CHECKING:
    import ipywidgets as widgets
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class TrainingPanel:
    """Start, pause, stop and save a training run, and watch it.

    Everything that touches the networks happens in one thread, between two steps.

    Args:
        trainer: what is trained.
        store: where it is saved to; of each store one panel trains at a time.
        show: some faces of A and as many of B to draw, `FaceDataset.preview`.
        held: faces of A and of B held out of training, `FaceDataset.still`; each save is scored
            by them.
        save_every: steps between two saves; None saves twelve times a run, and at least every
            five minutes.
        minutes: length of a new run, which its first steps are timed for, and how much longer a
            finished one is trained when it is started again; None takes `trainer.config.steps`.
        refresh_s: seconds between two live pictures; more where these would take above 5 %.

    Attributes:
        trainer: that trainer.
        store: that store.

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
        self.trainer, self.store = trainer, store
        self._loop = TrainingLoop(trainer, store, show, held, save_every, minutes, refresh_s)
        self._loop.tell = self._tell
        self._worker: Worker | None = None
        self._view: TrainingView | None = None
        self._blocking = False  # True while `run` keeps the kernel from hearing the buttons

    @property
    def step(self) -> int:
        """Steps made so far."""
        return self.trainer.step

    @property
    def status(self) -> TrainingStatus:
        """Where it is, how fast it goes, and how long it will take."""
        return self._loop.status(self._state())

    @property
    def error(self) -> Exception | None:
        """What ended the training too early; None if nothing did."""
        return None if self._worker is None else self._worker.error

    @property
    def snapshots(self) -> list[Image]:
        """A picture of the grid at each save, (H, W, 3) RGB uint8, as for a GIF; 48 at most."""
        return list(self._loop.snapshots)

    @property
    def drawing_share(self) -> float:
        """What part of the time went into live pictures so far, 0..1."""
        return self._loop.drawing_share

    def start(self) -> None:
        """Begin, go on after a pause or a stop, or train a finished run for as long again.

        Raises:
            RuntimeError: if another panel or program trains this store.
            OSError: if its folder cannot be written.
        """
        if (worker := self._alive()) is not None:
            worker.go_on()
            self._tell("")
            return
        folder = self.store.folder.resolve()
        if running(self.store) is not None:
            raise RuntimeError(
                f"{folder} is being trained by another panel of this notebook, which "
                "training_panel.running(store) gives: go on with that one, or stop it first"
            )
        try:
            lock = take_lock(folder.with_name(f"{folder.name}.lock"))
        except BlockingIOError as error:
            raise RuntimeError(
                f"{folder} is being trained by another notebook or program; stop it there first"
            ) from error

        def work(worker: Worker) -> None:
            try:
                self._loop(worker)
            finally:
                lock.release()

        self._worker = Worker(_name(self.store), work, self._ended, self)
        atexit.register(self.stop)  # a kernel that is shut down saves first
        self._tell("starting")
        self._worker.start()

    def pause(self) -> None:
        """Save, and stand still after the running step; returns once it does."""
        if (worker := self._alive()) is not None:
            self._tell("pausing after this step")
            worker.pause()
            if worker.holding:
                self._tell("paused and saved; Start goes on")

    def stop(self) -> None:
        """Save, and end after the running step; returns once it has. `start` goes on from here."""
        if (worker := self._alive()) is not None:
            self._tell("saving, then stopping")
            worker.stop()
            worker.join()

    def save(self) -> Path:
        """Save now, between two steps.

        Raises:
            OSError: if it cannot be written.
        """
        path = self._between_steps(self._loop.save)
        self._tell(f"saved as {path.name}")
        return path

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the training ends, or so long.

        Returns:
            True if it has ended, or never began.
        """
        if self._worker is not None:
            self._worker.join(timeout_s)
        return self._alive() is None

    def run(self) -> TrainingStatus:
        """Start, and wait for the end; for scripts, and to run all cells of a notebook.

        Interrupting it saves and stops, and what comes next is run; call it again to train on.

        Raises:
            RuntimeError, OSError: as `start`.
            Exception: what ended the training too early.
        """
        self._blocking = True
        try:
            self.start()
            while not self.wait(0.5):
                pass
        except KeyboardInterrupt:
            self.stop()
        finally:
            self._blocking = False
            self._tell()
        if self.error is not None:
            raise self.error
        return self.status

    def pairs(self, count: int = 8) -> Figure:
        """What the network is taught, `plot_pairs` of A; the training is not touched.

        Raises:
            TypeError: if the trainer's batches are not from `dataset.endless_batches`.
        """
        batches = self.trainer.batches_a
        if not isinstance(batches, Batches):
            raise TypeError(f"expected batches from endless_batches, got {type(batches).__name__}")
        return plot_pairs(next(endless_batches(batches.dataset, count, batches.warp)), count)

    def grid(self) -> Figure:
        """What the network makes of some faces now, `plot_prediction_grid`; also in training."""

        def draw() -> Figure:
            title = f"step {self.step} of {self.trainer.config.steps}"
            return plot_prediction_grid(self.trainer.average, *self._loop.show, title)

        return self._between_steps(draw)

    def curve(self) -> Figure:
        """The losses so far, `plot_losses`; also in training.

        Raises:
            ValueError: if there was no step yet.
        """
        return self._between_steps(lambda: plot_losses(self.trainer.history, self.trainer.scores))

    @property
    def box(self) -> widgets.VBox:
        """Buttons, bar, figures, the grid of predictions and the losses.

        Raises:
            ImportError: if ipywidgets is missing.
        """
        if self._view is None:
            actions = {"Start": self.start, "Pause": self.pause, "Stop": self.stop}
            self._view = TrainingView({**actions, "Save": self.save}, GRID_TITLES)
            self._loop.draw = self._view.draw
            if self._alive() is None:
                self._loop.picture()
            self._tell("Start trains; the page may be closed meanwhile")
        return self._view.box

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_widgets():
            display(self.box)
            return
        text = (
            f"{self.status}. Without ipywidgets, train by panel.run(), or by panel.start(), "
            "panel.pause(), panel.save() and panel.stop(); look by panel.grid() and panel.curve()."
        )
        display({"text/plain": text}, raw=True)

    def _alive(self) -> Worker | None:
        """The worker, if it is at work."""
        return self._worker if self._worker is not None and self._worker.is_alive() else None

    def _state(self) -> State:
        if (worker := self._alive()) is not None and not worker.done:
            return "paused" if worker.holding else "running"
        if self.error is not None:
            return "failed"
        if self._loop.finished:
            return "finished"
        return "ready" if self._worker is None else "stopped"

    def _between_steps(self, do: Callable[[], Result]) -> Result:
        worker = self._alive()
        return do() if worker is None else worker.ask(do)

    def _ended(self) -> None:
        """What the thread does last."""
        atexit.unregister(self.stop)
        if (error := self.error) is not None:
            logger.error("training stopped at step %d: %s", self.step, error)
            self._tell(f"{type(error).__name__}: {error}")
        elif self._loop.finished:
            self._tell(
                "finished and saved" + "; Start trains on" * (self._loop.minutes is not None)
            )
        else:
            self._tell("stopped and saved; Start goes on")

    def _tell(self, text: str | None = None) -> None:
        """Show how far it is and, unless it is None, a sentence."""
        if self._view is not None:
            status = self.status
            self._view.tell(status.step, status.steps, str(status))
            if text and self._blocking and status.state == "running":
                text += "; a cell waits for the end: interrupt it to stop and save"
            if text is not None:
                self._view.say(text, wrong=status.state == "failed")
            allowed = {
                "running": {"Pause", "Stop", "Save"},
                "paused": {"Start", "Stop", "Save"},
            }.get(status.state, {"Start", "Save"})
            self._view.allow(set() if self._blocking else allowed)


def running(store: CheckpointStore) -> TrainingPanel | None:
    """The panel of this program that trains a store now, be it paused; None if there is none."""
    owner = getattr(working(_name(store)), "owner", None)
    return owner if isinstance(owner, TrainingPanel) else None


def _name(store: CheckpointStore) -> str:
    return f"training {store.folder.resolve()}"

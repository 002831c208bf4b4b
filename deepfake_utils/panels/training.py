"""Training with buttons: it runs in a thread of the kernel, and the page only looks on.

    panel = train(project, NetworkChoice(minutes=5.0))  # or TrainingPanel(TrainingLoop(...))
    panel             # in a notebook: buttons, the grid of predictions, the losses
    panel.run()       # the same by hand: trains to the end, or until it is interrupted
    panel.start(), panel.pause(), panel.save(), panel.stop(), panel.wait(60.0)

The state is on the panel and in the store: closing the page changes nothing, and after the loss of
the kernel `train(project)` goes on from the last save.
"""

from __future__ import annotations

import atexit
import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..autoencoder import FaceSwapAutoencoder, Preset, preset, smallest_map
from ..dataset import Batch, Batches, FaceDataset, endless_batches, photometric_augment
from ..detectors import MeshLandmarker
from ..extraction import extract_clip, load_faces
from ..files import reading, restore_folder
from ..images import Image
from ..plotting import GRID_TITLES, plot_losses, plot_pairs, plot_prediction_grid
from ..runs.project import Person, Project
from ..runs.store import CheckpointStore
from ..samples import TEST_START_S
from ..settings import Settings, setting
from ..training.recipe import Start, TrainConfig, recipe
from ..training.trainer import Trainer, start_or_resume
from ..warping import WarpConfig
from .base import GREY, RED, Panel
from .jobs import Job, working
from .places import sample_of
from .training_loop import TrainingLoop, TrainingStatus
from .training_view import TrainingView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

KEY = "training"  # under which project.json remembers the settings
HELD = 0.05  # share of each person's faces that is held out of training, the last ones
PEOPLE: tuple[Person, Person] = ("a", "b")


@dataclass(frozen=True)
class NetworkChoice(Settings):
    """Which network a notebook trains, and for how long."""

    preset: Preset = setting("sharp", '"quick" is smaller, "original" is for a GPU')
    image_size: int = setting(
        128, "side of the face in pixels", useful=(64, 96, 128, 160, 192, 256)
    )
    start: Start = setting(
        "pretrained", "begin with faces known, if sharp at 128 px, or learn all from scratch"
    )
    mask: bool = setting(
        False, "True has the network draw a mask of the face, which the swap then uses"
    )
    minutes: float = setting(5.0, "how long to train, saving and drawing included", above=0.0)
    light: float = setting(
        0.0,
        "strength of random changes of light and colour; 1 for clips that differ",
        least=0.0,
        slider=(0.0, 2.0, 0.1),
    )

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        super().__post_init__()
        smallest_map(self.image_size)

    @property
    def begins(self) -> Start:
        """What it begins from: only "sharp" at 128 px has a pretrained start."""
        known = (self.preset, self.image_size) == ("sharp", 128)
        return self.start if known else "scratch"

    def build(self) -> FaceSwapAutoencoder:
        """The network as it begins."""
        if self.begins == "pretrained":
            return FaceSwapAutoencoder.pretrained(self.mask)
        config = preset(self.preset, self.image_size)
        return FaceSwapAutoencoder(dataclasses.replace(config, mask=self.mask))

    def recipe(self) -> TrainConfig:
        """The training settings that suit it."""
        return recipe(self.preset, self.begins)


@dataclass(frozen=True)
class Choices:
    """All that is chosen before a training run."""

    network: NetworkChoice
    settings: TrainConfig
    warp: WarpConfig


class TrainingPanel(Panel):
    """Start, pause, stop and save a training run, and watch it.

    Everything that touches the networks happens in one thread, between two steps.

    Args:
        loop: what is trained, and how often it is saved and drawn.

    Attributes:
        trainer: the loop's trainer.
        store: where it is saved to; of each store one panel trains at a time.
    """

    methods = (
        "Without ipywidgets, train by panel.run(), or by panel.start(), panel.pause(), "
        "panel.save() and panel.stop(); look by panel.grid() and panel.curve()."
    )

    def __init__(self, loop: TrainingLoop) -> None:
        self.trainer, self.store, self._loop = loop.trainer, loop.store, loop
        loop.tell = self._tell
        self._job = Job(_name(self.store), self._work, self._job_moved, self)
        self._blocking = False  # True while `run` keeps the kernel from hearing the buttons

    def __str__(self) -> str:
        return str(self.status)

    @property
    def step(self) -> int:
        """Steps made so far."""
        return self.trainer.step

    @property
    def status(self) -> TrainingStatus:
        """Where it is, how fast it goes, and how long it will take."""
        state = self._job.state
        if not self._job.running and state != "failed" and self._loop.finished:
            state = "finished"  # be it by an earlier program
        return self._loop.status(state)

    @property
    def error(self) -> Exception | None:
        """What ended the training too early; None if nothing did."""
        return self._job.error

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
        if self._job.running:
            self._job.go_on()
            self._tell("")
            return
        folder = self.store.folder.resolve()
        if running(self.store) is not None:
            raise RuntimeError(
                f"{folder} is being trained by another panel of this notebook, which "
                "training.running(store) gives: go on with that one, or stop it first"
            )
        self.store.hold()
        atexit.register(self.stop)  # a kernel that is shut down saves first
        self._job.start()

    def pause(self) -> None:
        """Save, and stand still after the running step; returns once it does."""
        if self._job.running:
            self._tell("pausing after this step")
            self._job.pause()
            if self._job.state == "paused":
                self._tell("paused and saved; Start goes on")

    def stop(self) -> None:
        """Save, and end after the running step; returns once it has. `start` goes on from here."""
        if self._job.running:
            self._tell("saving, then stopping")
            self._job.stop()
        self._job.wait()

    def save(self) -> Path:
        """Save now, between two steps.

        Raises:
            OSError: if it cannot be written.
        """
        path = self._job.ask(self._loop.save)
        self._tell(f"saved as {path.name}")
        return path

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the training ends, or so long.

        Returns:
            True if it has ended, or never began.
        """
        return self._job.wait(timeout_s)

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

        Args:
            count: how many faces.

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
            title = f"step {self.step}"
            return plot_prediction_grid(self.trainer.average, *self._loop.show, title)

        return self._job.ask(draw)

    def curve(self) -> Figure:
        """The losses so far, `plot_losses`; also in training.

        Raises:
            ValueError: if there was no step yet.
        """
        return self._job.ask(lambda: plot_losses(self.trainer.history, self.trainer.scores))

    def make_view(self) -> TrainingView:
        """Buttons, bar, figures, the grid of predictions and the losses."""
        actions = {"Start": self.start, "Pause": self.pause, "Stop": self.stop, "Save": self.save}
        self._view = TrainingView(actions, GRID_TITLES)
        self._loop.draw = self._view.draw
        if not self._job.running:
            self._loop.picture()
        self._tell("Start trains; the page may be closed meanwhile")
        return self._view

    def _work(self, job: Job[None]) -> None:
        try:
            self._loop(job)
        finally:
            self.store.release()

    def _job_moved(self) -> None:
        """What the panel says at the beginning and at the end; the latter in the job's thread."""
        if self._job.running:
            self._tell("starting")
            return
        atexit.unregister(self.stop)
        if (error := self.error) is not None:
            logger.error("training stopped at step %d: %s", self.step, error)
            self._tell(f"{type(error).__name__}: {error}")
        elif self._loop.finished:
            more = "" if self._loop.minutes is None else "; Start trains on"
            self._tell(f"finished and saved{more}")
        else:
            self._tell("stopped and saved; Start goes on")

    def _tell(self, text: str | None = None) -> None:
        """Show how far it is and, unless it is None, a sentence."""
        if self._view is not None:
            status = self.status
            self._view.tell(status)
            if text and self._blocking and status.state == "running":
                text += "; a cell waits for the end: interrupt it to stop and save"
            if text is not None:
                self._view.say(text, RED if status.state == "failed" else GREY)
            known = {"running": {"Pause", "Stop", "Save"}, "paused": {"Start", "Stop", "Save"}}
            allowed = known.get(status.state, {"Start", "Save"})
            self._view.allow(set() if self._blocking else allowed)


def running(store: CheckpointStore) -> TrainingPanel | None:
    """The panel of this program that trains a store now, be it paused; None if there is none."""
    owner = getattr(working(_name(store)), "owner", None)
    return owner if isinstance(owner, TrainingPanel) else None


def _name(store: CheckpointStore) -> str:
    return f"training {store.folder.resolve()}"


def need_faces(project: Project, stride: int = 1) -> bool:
    """See that a project has faces to train on: those of the sample people if nothing is chosen.

    Args:
        project: whose `faces("a")` and `faces("b")` are looked for.
        stride: of the sample clips take every stride-th frame.

    Returns:
        Whether faces of the sample people were extracted now.

    Raises:
        FileNotFoundError: if one person's are missing, or other clips than the samples are chosen
            and their faces were not extracted yet.
    """
    samples = {who: sample_of(who) for who in PEOPLE}
    for who in PEOPLE:
        restore_folder(project.faces(who))
    missing = [who for who in PEOPLE if not project.faces(who).is_dir()]
    chosen = {Path(clip.path) for clip in project.clips.values()}
    if missing and (len(missing) == 1 or not chosen <= {film for film, _ in samples.values()}):
        raise FileNotFoundError(
            f"no faces of person {' and '.join(missing)} in {project.root}; run 'Extract the faces'"
            " in 01_extract_faces.ipynb first"
        )
    for who in missing:
        film, agreed = samples[who]
        end_s = TEST_START_S if who == "a" else None  # the rest is for the test
        part, find = (0.0, end_s, stride), MeshLandmarker()
        extract_clip(film, project.faces(who), find, *part, consent=agreed)
    return bool(missing)


def train(
    project: Project,
    network: NetworkChoice | None = None,
    settings: TrainConfig | None = None,
    warp: WarpConfig | None = None,
) -> TrainingPanel:
    """A panel that trains on a project's faces and saves into its `run` folder.

    A run that was stopped, interrupted or lost with its kernel goes on from the last save, with
    the settings it was begun with; one that is going on in this kernel is found again. The project
    remembers what was chosen, so `train(project)` alone goes on with its run, be it finished.

    Args:
        project: whose `faces("a")` and `faces("b")` are trained on.
        network: which network, and how many minutes; a finished run, or one of another network,
            is moved aside, and a new one begun. None takes what the project remembers.
        settings: how to train; None takes what suits the network.
        warp: how far faces are shaken; None takes the usual.

    Raises:
        FileNotFoundError: if there are no faces, or nothing is chosen and nothing remembered.
        RuntimeError: if another run of this project is going on in this kernel.
        PermissionError, ValueError: as `FaceDataset`, or if project.json or the last checkpoint
            is damaged.
    """
    known = _remembered(project)
    if network is None and settings is None and warp is None:
        if known is None:
            raise FileNotFoundError(
                f"no training run in {project.root} to go on with; choose a network to begin one: "
                "train(project, NetworkChoice())"
            )
        chosen, again = known, True
    else:
        network = network or (known.network if known is not None else NetworkChoice())
        settings = settings or network.recipe()
        chosen, again = Choices(network, settings, warp or WarpConfig()), False
    store = project.store()
    if (going := running(store)) is not None:
        if chosen != known:
            raise RuntimeError(
                f"{store.folder} is being trained with other settings; stop that run first "
                "(train(project).stop()), or call train(project) to go on with it"
            )
        return going
    panel = _panel(project, store, chosen, again)
    project.write(KEY, dataclasses.asdict(chosen))
    return panel


def _remembered(project: Project) -> Choices | None:
    said = project.read(KEY)
    if said is None:
        return None
    wanted = f"the settings of a training run under {KEY!r}"
    with reading(project.root / "project.json", wanted, "mend the file or move it away"):
        network, settings = NetworkChoice(**said["network"]), TrainConfig(**said["settings"])
        return Choices(network, settings, WarpConfig(**said["warp"]))


def _panel(project: Project, store: CheckpointStore, chosen: Choices, again: bool) -> TrainingPanel:
    network = chosen.network
    model = network.build()
    light = photometric_augment(network.light) if network.light else None
    sets: list[FaceDataset] = []
    held: list[Batch] = []
    for person in PEOPLE:
        learned, rest = load_faces(project.faces(person)).split(HELD)
        sets.append(FaceDataset(learned, network.image_size, model.config.coverage, light))
        held.append(FaceDataset(rest, network.image_size, model.config.coverage).still())
    batch_size = chosen.settings.batch_size
    a, b = (endless_batches(each, batch_size, chosen.warp, seed=i) for i, each in enumerate(sets))
    saved = store.latest() if again else None
    if saved is not None:
        trainer = Trainer.resume(saved, a, b)
    else:
        trainer = start_or_resume(store, model, a, b, chosen.settings)
        store.release()  # until the panel starts
    count = min(4, *map(len, sets))
    show = (sets[0].preview(count), sets[1].preview(count))
    loop = TrainingLoop(trainer, store, show, (held[0], held[1]), minutes=network.minutes)
    return TrainingPanel(loop)

"""From a project's folder to a training panel, in one call; the same call goes on with the run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from ..autoencoder import FaceSwapAutoencoder, preset, smallest_map
from ..dataset import Batch, FaceDataset, endless_batches, photometric_augment
from ..extraction import extract_clip, load_faces
from ..landmarks import MeshLandmarker
from ..runs.project import Person, Project
from ..runs.store import CheckpointStore
from ..samples import TEST_START_S, sample_clips, sample_consent
from ..training.recipe import TrainConfig, recipe
from ..training.trainer import Trainer, start_or_resume
from ..warping import WarpConfig
from .training import TrainingPanel, running

KEY = "training"  # under which project.json remembers the settings
HELD = 0.05  # share of each person's faces that is held out of training, the last ones
PEOPLE: tuple[Person, Person] = ("a", "b")


def _usual_size() -> int:
    """A size that trains in minutes here."""
    return 128 if torch.cuda.is_available() else 96


@dataclass(frozen=True)
class NetworkChoice:
    """Which network a notebook trains, and for how long."""

    preset: Literal["quick", "original"] = "quick"  # "original" is for a GPU
    image_size: int = field(default_factory=_usual_size)  # of the face: 64, 96, 128, 192 or 256 px
    mask: bool = False  # True has the network draw a mask of the face, which the swap then uses
    minutes: float = 5.0  # the run is made as long as fits
    light: float = 0.0  # strength of random changes of light and colour; 1 for clips that differ

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        smallest_map(self.image_size)
        if not self.minutes > 0.0:
            raise ValueError(f"minutes: expected more than 0, got {self.minutes}")
        if not self.light >= 0.0:
            raise ValueError(f"light: expected at least 0, got {self.light}")


@dataclass(frozen=True)
class Choices:
    """All that is chosen before a training run."""

    network: NetworkChoice
    settings: TrainConfig
    warp: WarpConfig


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
    films = dict(zip(PEOPLE, sample_clips(), strict=False))
    missing = [who for who in PEOPLE if not project.faces(who).is_dir()]
    chosen = {Path(clip.path) for clip in project.clips.values()}
    if missing and (len(missing) == 1 or not chosen <= set(films.values())):
        raise FileNotFoundError(
            f"no faces of person {' and '.join(missing)} in {project.root}; run 'Extract the faces'"
            " in 01_extract_faces.ipynb first"
        )
    for who in missing:
        agreed = sample_consent("A" if who == "a" else "B")
        end_s = TEST_START_S if who == "a" else None  # the rest is for the test
        part, find = (0.0, end_s, stride), MeshLandmarker()
        extract_clip(films[who], project.faces(who), find, *part, consent=agreed)
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
        settings = settings or recipe(network.preset)
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
    try:
        network, settings = NetworkChoice(**said["network"]), TrainConfig(**said["settings"])
        return Choices(network, settings, WarpConfig(**said["warp"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{project.root / 'project.json'}: expected the settings of a training run under "
            f"{KEY!r}, got something else ({error}); mend the file or move it away"
        ) from error


def _panel(project: Project, store: CheckpointStore, chosen: Choices, again: bool) -> TrainingPanel:
    network = chosen.network
    config = dataclasses.replace(preset(network.preset, network.image_size), mask=network.mask)
    light = photometric_augment(network.light) if network.light else None
    sets: list[FaceDataset] = []
    held: list[Batch] = []
    for person in PEOPLE:
        learned, rest = load_faces(project.faces(person)).split(HELD)
        sets.append(FaceDataset(learned, network.image_size, config.coverage, light))
        held.append(FaceDataset(rest, network.image_size, config.coverage).still())
    batch_size = chosen.settings.batch_size
    a, b = (endless_batches(each, batch_size, chosen.warp, seed=i) for i, each in enumerate(sets))
    saved = store.latest() if again else None
    if saved is not None:
        trainer = Trainer.resume(saved, a, b)
    else:
        trainer = start_or_resume(store, FaceSwapAutoencoder(config), a, b, chosen.settings)
    count = min(4, *map(len, sets))
    show = (sets[0].preview(count), sets[1].preview(count))
    return TrainingPanel(trainer, store, show, (held[0], held[1]), minutes=network.minutes)

"""Going on with a run that was stopped or killed, or beginning a new one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..autoencoder import FaceSwapAutoencoder
from ..dataset import Batch
from ..files import set_aside
from ..runs.checkpoint import load_checkpoint
from ..runs.store import CheckpointStore
from .recipe import TrainConfig
from .trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


def start_or_resume(
    where: CheckpointStore | str | os.PathLike[str],
    model: FaceSwapAutoencoder,
    batches_a: Iterator[Batch],
    batches_b: Iterator[Batch],
    config: TrainConfig | None = None,
    device: str | torch.device | None = None,
    accelerator: Accelerator | None = None,
) -> Trainer:
    """A trainer that goes on with the unfinished run at `where`, or a new one if there is none.

    A finished run, or one of another shape of network, is moved aside and a new one begun.

    Args:
        where: the store or the file that the run is saved to.
        model: the network to start with.

    Raises:
        ValueError: if what is there is not a whole checkpoint; move it away to start anew.
    """
    if isinstance(where, CheckpointStore):
        saved, places = where.latest(), [where.folder, where.mirror]
    else:
        saved, places = load_checkpoint(where) if Path(where).exists() else None, [Path(where)]
    if saved is not None:
        length = saved.extra.get("train", {}).get("steps", 0)
        if saved.model.config == model.config and saved.step < length:
            return Trainer.resume(saved, batches_a, batches_b, None, device, accelerator)
        if accelerator is None or accelerator.is_main_process:
            for place in places:
                if place is not None and place.exists():
                    moved = set_aside(place)
                    logger.warning("%s held another or a finished run, now in %s", place, moved)
        if accelerator is not None:
            accelerator.wait_for_everyone()
    return Trainer(model, batches_a, batches_b, config, device, accelerator)

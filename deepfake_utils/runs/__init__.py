"""What outlives a session: checkpoints of a training run, and the folder of a whole swap.

`checkpoint` is one file, `store` a folder of them that kills and full disks cannot spoil,
`seed_weights` reads those of 2017, and `project` is the folder that each notebook hands on.
"""

from .checkpoint import (
    Checkpoint,
    hardly_trained,
    load_checkpoint,
    save_checkpoint,
    weights_sha256,
)
from .project import Clip, Project
from .seed_weights import load_seed_weights
from .store import CheckpointStore, copy_verified

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "Clip",
    "Project",
    "copy_verified",
    "hardly_trained",
    "load_checkpoint",
    "load_seed_weights",
    "save_checkpoint",
    "weights_sha256",
]

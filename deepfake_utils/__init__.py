"""Face swapping to learn from, in the order that data flows.

video -> landmarks -> faces -> dataset (warping) -> training (autoencoder) -> checkpoint
                        |                                                       |
                        +---------------> swapping <----------------------------+ -> video

`umeyama` is used twice: to align faces, and to aim the target of a warp.

What a swap needs is here. The rest is one step further, in folders that are loaded when they are
first used: `du.scoring.score_sample`, `du.marking.write_picture`, `du.video.VideoWriter`.

For your own or consenting people's faces, or synthetic ones. What is written says that it was
modified by AI.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from .autoencoder import FaceSwapAutoencoder, preset
from .consent import Subject, read_consent, write_consent
from .dataset import FaceDataset, endless_batches
from .detectors.fan import FanLandmarker
from .detectors.mesh import MeshLandmarker
from .extraction import extract_clip, extract_faces, load_faces
from .faces import align_face, face_mask
from .images import Image, Matrix, Points, read_image, to_image, to_tensor, write_image
from .marking.reading import read_provenance
from .plotting import show_images
from .rendering import side_by_side, swap_video
from .runs.checkpoint import load_checkpoint
from .runs.store import CheckpointStore
from .samples import sample_clips
from .scoring.scorecard import score_swap
from .swapping import SwapConfig, Swapper
from .tracking.people import FaceChoice
from .training.recipe import TrainConfig, plateaued, recipe
from .training.trainer import Trainer, start_or_resume
from .umeyama import invert, transform_points, umeyama, umeyama_batch
from .video import read_frames, read_video_info
from .warping import WarpConfig, random_warp

__version__ = "0.1.0"

__all__ = [
    "CheckpointStore",
    "FaceChoice",
    "FaceDataset",
    "FaceSwapAutoencoder",
    "FanLandmarker",
    "Image",
    "Matrix",
    "MeshLandmarker",
    "Points",
    "Subject",
    "SwapConfig",
    "Swapper",
    "TrainConfig",
    "Trainer",
    "WarpConfig",
    "align_face",
    "endless_batches",
    "extract_clip",
    "extract_faces",
    "face_mask",
    "invert",
    "load_checkpoint",
    "load_faces",
    "plateaued",
    "preset",
    "random_warp",
    "read_consent",
    "read_frames",
    "read_image",
    "read_provenance",
    "read_video_info",
    "recipe",
    "sample_clips",
    "score_swap",
    "show_images",
    "side_by_side",
    "start_or_resume",
    "swap_video",
    "to_image",
    "to_tensor",
    "transform_points",
    "umeyama",
    "umeyama_batch",
    "write_consent",
    "write_image",
]

FOLDERS = (
    "compositing",
    "curation",
    "detectors",
    "lessons",
    "marking",
    "panels",
    "runs",
    "scoring",
    "superres",
    "tracking",
    "training",
    "video",
)


def __getattr__(name: str) -> ModuleType:
    """A folder of the package, loaded now (PEP 562)."""
    if name in FOLDERS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(
        f"deepfake_utils has no {name!r}; the folders are {', '.join(FOLDERS)}, and "
        "dir(deepfake_utils.scoring), say, lists what is in one"
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *FOLDERS})

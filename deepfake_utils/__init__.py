"""Face swapping to learn from, in the order that data flows.

video -> landmarks -> faces -> dataset (warping) -> training (autoencoder) -> checkpoint
                        |                                                       |
                        +---------------> swapping <----------------------------+ -> video

`umeyama` is used twice: to align faces, and to aim the target of a warp.

For your own or consenting people's faces, or synthetic ones. What is written says that it was
modified by AI.
"""

from .autoencoder import AutoencoderConfig, FaceSwapAutoencoder, preset
from .consent import Consent, Subject, read_consent, write_consent
from .dataset import Batch, FaceDataset, endless_batches, photometric_augment
from .detectors.fan import FanLandmarker
from .extraction import FaceSet, extract_clip, extract_faces, load_faces
from .faces import AlignedFace, align_face, face_mask
from .images import Image, Matrix, Points, read_image, to_image, to_tensor, write_image
from .landmarks import Landmarker, MeshLandmarker
from .marking.reading import Provenance, read_provenance
from .plotting import (
    plot_landmarks,
    plot_losses,
    plot_pairs,
    plot_prediction_grid,
    show_images,
)
from .rendering import export_layers, side_by_side, swap_video
from .runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .runs.seed_weights import load_seed_weights
from .runs.store import CheckpointStore
from .samples import load_truth, sample_clips, sample_consent
from .scoring.identity import IdentityModel
from .scoring.likeness import inner_face_psnr, score_clip
from .scoring.scorecard import Scorecard, score_sample, score_swap
from .superres.network import (
    SuperResolutionConfig,
    SuperResolver,
    load_superres,
    save_superres,
    upscale,
)
from .superres.training import train_superres
from .swapping import SwapConfig, Swapper
from .tracking.people import FaceChoice
from .tracking.steadying import TrackConfig
from .tracking.tracks import track_faces
from .training.recipe import Pace, TrainConfig, plateaued, recipe
from .training.trainer import StepResult, Trainer, start_or_resume
from .umeyama import invert, transform_points, umeyama_batch
from .video import VideoInfo, read_frames, read_video_info
from .warping import WarpConfig, random_transform, random_warp, warp_batch

__version__ = "0.1.0"

__all__ = [
    "AlignedFace",
    "AutoencoderConfig",
    "Batch",
    "Checkpoint",
    "CheckpointStore",
    "Consent",
    "FaceChoice",
    "FaceDataset",
    "FaceSet",
    "FaceSwapAutoencoder",
    "FanLandmarker",
    "IdentityModel",
    "Image",
    "Landmarker",
    "Matrix",
    "MeshLandmarker",
    "Pace",
    "Points",
    "Provenance",
    "Scorecard",
    "StepResult",
    "Subject",
    "SuperResolutionConfig",
    "SuperResolver",
    "SwapConfig",
    "Swapper",
    "TrackConfig",
    "TrainConfig",
    "Trainer",
    "VideoInfo",
    "WarpConfig",
    "align_face",
    "endless_batches",
    "export_layers",
    "extract_clip",
    "extract_faces",
    "face_mask",
    "inner_face_psnr",
    "invert",
    "load_checkpoint",
    "load_faces",
    "load_seed_weights",
    "load_superres",
    "load_truth",
    "photometric_augment",
    "plateaued",
    "plot_landmarks",
    "plot_losses",
    "plot_pairs",
    "plot_prediction_grid",
    "preset",
    "random_transform",
    "random_warp",
    "read_consent",
    "read_frames",
    "read_image",
    "read_provenance",
    "read_video_info",
    "recipe",
    "sample_clips",
    "sample_consent",
    "save_checkpoint",
    "save_superres",
    "score_clip",
    "score_sample",
    "score_swap",
    "show_images",
    "side_by_side",
    "start_or_resume",
    "swap_video",
    "to_image",
    "to_tensor",
    "track_faces",
    "train_superres",
    "transform_points",
    "umeyama_batch",
    "upscale",
    "warp_batch",
    "write_consent",
    "write_image",
]

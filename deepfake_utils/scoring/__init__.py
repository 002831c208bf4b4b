"""How good a swap is, in figures.

`scorecard` joins all figures in one table; `plots` draws it. What is measured of each frame is in
`measures`, which calls `likeness` (to the right answer), `expression` (mouth and eyelids), `seam`
and `identity` (whose face it is). `bootstrap` says how sure a figure is. For a new figure add a
line to `scorecard.MEASURES`, and in `measures.Column.add` put its number for each frame.
"""

from ..tracking.identity import IdentityModel, identity_available
from .expression import mouth_opening, visible_eyelid_closing
from .likeness import (
    fine_detail,
    inner_face_psnr,
    inner_face_ssim,
    perfect_swap,
    score_clip,
    shape_error,
    sharpness,
)
from .measures import frame_change, landmark_jitter
from .plots import plot_scorecard
from .scorecard import MEASURES, Scorecard, ScoreConfig, score_sample, score_swap
from .seam import ciede2000, edge_steps, seam_visibility

__all__ = [
    "MEASURES",
    "IdentityModel",
    "ScoreConfig",
    "Scorecard",
    "ciede2000",
    "edge_steps",
    "fine_detail",
    "frame_change",
    "identity_available",
    "inner_face_psnr",
    "inner_face_ssim",
    "landmark_jitter",
    "mouth_opening",
    "perfect_swap",
    "plot_scorecard",
    "score_clip",
    "score_sample",
    "score_swap",
    "seam_visibility",
    "shape_error",
    "sharpness",
    "visible_eyelid_closing",
]

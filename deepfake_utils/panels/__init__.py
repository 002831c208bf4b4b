"""The panels of the notebooks: forms, buttons, sliders, all usable by plain calls as well.

`base` has what they share, `form` makes a form of any dataclass, `jobs` runs long work in a thread.
`places` and `downloads` find and fetch clips; `clip` (00, 01), `faces` (01), `training` (02) and
`swap` (03) are the panels, each with its widgets in the file `..._view`; `page` has what 00 asks of
two clip panels, `notebook` what is no panel.
Works with ipywidgets 7 (Colab), 8 and none, in Colab and in local Jupyter.
"""

from ..curation.report import PairReport, pair_report
from ..curation.selection import Curation
from .clip import ClipPanel
from .faces import FacesPanel
from .form import ConfigForm, config_form, consent_form
from .notebook import RunLog, attended, runtime, show_videos
from .page import begin, check_faces, has_answer
from .places import open_project
from .swap import SwapPanel
from .swap_view import passages
from .training import NetworkChoice, TrainingPanel, need_faces, train
from .training_loop import TrainingStatus

__all__ = [
    "ClipPanel",
    "ConfigForm",
    "Curation",
    "FacesPanel",
    "NetworkChoice",
    "PairReport",
    "RunLog",
    "SwapPanel",
    "TrainingPanel",
    "TrainingStatus",
    "attended",
    "begin",
    "check_faces",
    "config_form",
    "consent_form",
    "has_answer",
    "need_faces",
    "open_project",
    "pair_report",
    "passages",
    "runtime",
    "show_videos",
    "train",
]

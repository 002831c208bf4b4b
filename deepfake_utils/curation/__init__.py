"""Which of the extracted faces to train on, and what is missing among them.

`selection` has `Curation`, which drops and keeps the crops of a faces folder; `folder` is how it
moves their files so that each step can be undone; `inspection` is what is measured of each crop,
`covering` how much of the face something covers. `report` compares the faces of two people, and
`advice` says what to film, drop or set before training.
"""

from .inspection import FaceMeasures, near_duplicates
from .report import PairReport, pair_report
from .selection import Curation, SetSummary

__all__ = [
    "Curation",
    "FaceMeasures",
    "PairReport",
    "SetSummary",
    "near_duplicates",
    "pair_report",
]

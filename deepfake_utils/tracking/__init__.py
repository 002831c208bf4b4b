"""One person through a film: found in each frame, followed, steadied.

Begin with `tracks.track_faces`, through which all frames go. `cuts` finds where shots begin.
`people` says whose face it is: who is chosen and stayed with. `steadying` takes the tremble out of
the points.
"""

from .cuts import CutDetector
from .people import FaceChoice, FaceFollower
from .steadying import TrackConfig, TrackedFrame
from .tracks import track_faces

__all__ = [
    "CutDetector",
    "FaceChoice",
    "FaceFollower",
    "TrackConfig",
    "TrackedFrame",
    "track_faces",
]

"""What finds faces and their points in a picture; another landmark detector is a file beside these.

`blazeface` finds faces, `facemesh` fits 468 points to one, `fitting` makes 68 of them and judges
them, `following` goes through a film, `mesh` is all of this in one. `fan` finds the 68 points by
another, slower network. `pose` says from the points which way a head is turned. `weights` checks
the files of weights.
"""

from .blazeface import Detection, FaceDetector
from .facemesh import FaceMesh
from .fan import FanLandmarker
from .mesh import MeshLandmarker
from .pose import HeadPose, angle_between, head_pose, rotation_matrix

__all__ = [
    "Detection",
    "FaceDetector",
    "FaceMesh",
    "FanLandmarker",
    "HeadPose",
    "MeshLandmarker",
    "angle_between",
    "head_pose",
    "rotation_matrix",
]

"""68 points by FAN, of the package face-alignment: a second opinion, much slower than FaceMesh."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlparse

import numpy as np
import torch
from numpy.typing import NDArray

from ..images import Image, Points, check_image
from ..landmarks import Face, Watcher
from ..umeyama import transform_points
from .blazeface import BlazeFace, FaceDetector, overlap
from .facemesh import crop_around, cut_crop, square_to_frame, upright
from .fitting import SAME, agreement
from .weights import SHORT_FILE, check_weights

# Files that face-alignment downloads. It checks none of them itself.
FAN_SHA256: Mapping[str, str] = {
    "2DFAN4-11f355bf06.pth.tar": "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
    "s3fd-619a316812.pth": "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
    "blazeface.pth": "54ecff653feaaaf1f7d44b6aff28fd2fc50e483a4e847563b6dd261369c43ba4",
    "anchors.npy": "a10bb2fb93ab54ca426d6c750bfc3aad685028a16dcf231357d03694f261fd95",
    "face_detection_yunet_2023mar.onnx": (
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    ),
}
Detector = Literal["own", "sfd", "blazeface", "yunet", "retinaface"]
AGREED = 0.8  # agreement below which the points are wrong: those of faces upside down reach 0.75
CUT = 384  # side in pixels of the upright pictures that FAN is shown ...
ROOM = 2.0  # ... and of how many faces' boxes


class FanLandmarker:
    """68 points by FAN (Bulat & Tzimiropoulos 2017, arXiv:1703.07332), package face-alignment.

    Some hundred times slower than `MeshLandmarker` on a CPU, and it downloads 92 MB of weights
    (with detector="sfd" another 86 MB) the first time, to torch.hub's folder. Needs
    pip install 'deepfake-utils[fan]', which installs desktop OpenCV beside the headless one.

    FAN is shown each face turned upright, and what it finds is judged as `MeshLandmarker` does: a
    face is right or not found.

    The author offers code and weights under the BSD 3-clause licence, but does not own the pictures
    they were trained on (300W, 300W-LP, AFLW and others), which their owners gave for research: ask
    them before commercial use (face-alignment, issues 179 and 260).
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        detector: Detector | None = None,
        max_faces: int | None = None,
        flip: bool = True,
        weights_sha256: Mapping[str, str] = FAN_SHA256,
    ) -> None:
        """Download the weights if they are not there, check them, load them.

        Args:
            device: torch device; None is "cuda" if there is one, else "cpu".
            detector: "own" is that of `MeshLandmarker`; the others are face-alignment's, by its
                names: "sfd" finds most but takes about 1.8 s a frame on two CPU cores,
                "blazeface" looks at the middle square of the frame only, "yunet" and "retinaface"
                are small; for the last, give the file's hash in `weights_sha256`. Its "dlib" is
                deprecated, and "scrfd" needs one more package. None is "sfd" on CUDA, where its
                cost is small, and "own" elsewhere.
            max_faces: return at most that many, the largest; None is all.
            flip: average with the points of the mirrored face; takes twice as long.
            weights_sha256: file name -> sha256 of every weights file that is needed.

        Raises:
            ImportError: if face-alignment is not installed.
            ValueError: if an argument is out of range, or a weights file is not the expected one.
                Such a file is not loaded.
            ConnectionError: if the weights cannot be downloaded.
        """
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"max_faces: expected 1 or more, or None for all, got {max_faces}")
        if detector not in (None, *get_args(Detector)):
            raise ValueError(
                f"detector: expected one of {get_args(Detector)} or None, got {detector!r}"
            )
        try:
            from face_alignment import FaceAlignment, LandmarksType
            from face_alignment.api import models_urls as fan_urls
        except ImportError as error:
            raise ImportError(
                "expected the package face-alignment, got none that can be imported "
                f"({error}); install it: pip install 'deepfake-utils[fan]'"
            ) from error
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.detector = detector or ("sfd" if self.device.startswith("cuda") else "own")
        self.max_faces = max_faces
        # face-alignment unpickles what it downloads without a check, so that the check must come
        # first: the files are put where it looks for them.
        _fetch_weights(fan_urls["2DFAN-4"], weights_sha256)
        if self.detector != "own":
            for url in _downloads_of(self.detector):
                _fetch_weights(url, weights_sha256)
        self._own = FaceDetector() if self.detector == "own" else None
        self._fan = FaceAlignment(
            LandmarksType.TWO_D,
            device=self.device,
            flip_input=flip,
            face_detector="folder" if self._own else self.detector,  # "folder" loads nothing
            compile=False,  # took 100 s to compile on two CPU cores and was not faster
        )
        self._check = BlazeFace(SHORT_FILE)

    def __call__(self, frame: Image) -> list[Points]:
        """The points of `faces`: float64 (68, 2), (x, y) in frame pixels, of each face."""
        return [face.points for face in self.faces(frame)]

    def faces(self, frame: Image) -> list[Face]:
        """The points and how sure it is of each face in `frame`; the largest face first.

        Raises:
            TypeError, ValueError: if `frame` is not (H, W, 3) uint8.
        """
        check_image(frame, "frame")
        found: list[Face] = []
        boxes = np.empty((0, 4))
        for box, turn in self._boxes(frame):
            face = self._fit(frame, box, turn)
            around = np.concatenate([face.points.min(axis=0), face.points.max(axis=0)])
            if face.confidence >= AGREED and not (overlap(around, boxes) > SAME).any():
                found.append(face)
                boxes = np.concatenate([boxes, around[None]])
        found.sort(key=lambda face: -float(np.prod(np.ptp(face.points, axis=0))))
        return found[: self.max_faces]

    def follow(self) -> Watcher:
        """What finds the faces in the frames of one film: each frame is looked at by itself."""
        return lambda frame, time_s: self.faces(frame)

    def _boxes(self, frame: Image) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Boxes (4,) of the faces, and rotations (2, 2), head -> frame, as far as known."""
        if self._own:
            return [(d.box, upright(d.points[1] - d.points[0])) for d in self._own(frame)]
        boxes = self._fan.face_detector.detect_from_image(frame)
        return [(np.asarray(box, np.float64)[:4], np.eye(2)) for box in boxes]

    def _fit(self, frame: Image, box: NDArray[np.float64], turn: NDArray[np.float64]) -> Face:
        """The points of one face: as the box says, else in steps of an eighth of a turn."""
        best = self._run(frame, box, turn)
        for angle in np.radians([180, 45, -45, 90, -90, 135, -135]):
            if best.confidence >= AGREED:
                break
            other = turn @ upright(np.array([np.cos(angle), np.sin(angle)]))
            best = max(best, self._run(frame, box, other), key=lambda face: face.confidence)
        if best.confidence < AGREED:
            return best
        exact = self._run(frame, box, upright(best.points[45] - best.points[36]))
        return exact if exact.confidence >= AGREED else best

    def _run(self, frame: Image, box: NDArray[np.float64], turn: NDArray[np.float64]) -> Face:
        """FAN's points of a face turned upright, and how well BlazeFace agrees."""
        low, high = box.reshape(2, 2)
        side = float((high - low).max())
        to_frame = square_to_frame((low + high) / 2, ROOM * side, turn, CUT)
        half = CUT / 2 / ROOM
        inside = [CUT / 2 - half, CUT / 2 - half, CUT / 2 + half, CUT / 2 + half, 1.0]
        cut = cut_crop(frame, to_frame, CUT)
        # None, not an empty list, is what it returns where it sees no face.
        found = self._fan.get_landmarks_from_image(cut, detected_faces=[np.array(inside)])
        if not found:
            return Face(np.tile((low + high) / 2, (68, 1)), 0.0)
        points = transform_points(np.asarray(found[0], np.float64)[:, :2], to_frame)
        crop = crop_around(points, self._check.size)
        return Face(points, agreement(self._check, frame, points, crop))


def _downloads_of(detector: str) -> list[str]:
    """What one of face-alignment's detectors downloads."""
    module = import_module(f"face_alignment.detection.{detector}.{detector}_detector")
    urls = getattr(module, "models_urls", None) or {"model": module.model_url}
    return [url for name, url in urls.items() if "back" not in name]  # not its default


def _fetch_weights(url: str, expected: Mapping[str, str]) -> Path:
    """Make sure that the file of `url` is in torch.hub's folder, and is the expected one.

    Raises:
        ConnectionError: if it is not there and cannot be downloaded.
        ValueError: if its sha256 is not the one in `expected`, or `expected` has none for it.
    """
    name = Path(urlparse(url).path).name
    if name not in expected:
        raise ValueError(
            f"expected a sha256 for {name}, got some only for {', '.join(expected)}; this "
            "release of face-alignment uses other weights: install face-alignment==1.5.0, or "
            "pass weights_sha256"
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except OSError as error:  # URLError and time-outs are OSErrors
            raise ConnectionError(
                f"could not download {url} ({error}); download it elsewhere, put it at {path}, "
                "or use MeshLandmarker, which needs no download"
            ) from error
    check_weights(path, expected[name], "it was not loaded, delete it and try again")
    return path

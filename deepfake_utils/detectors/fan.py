"""68 points by FAN, of the package face-alignment: a second opinion, much slower than FaceMesh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

import numpy as np
import torch

from ..images import Image, Points, check_image
from .blazeface import FaceDetector
from .weights import check_weights

# Files that face-alignment downloads. It checks none of them itself.
FAN_SHA256: Mapping[str, str] = {
    "2DFAN4-11f355bf06.pth.tar": "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
    "s3fd-619a316812.pth": "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
}


class FanLandmarker:
    """68 points by FAN (Bulat & Tzimiropoulos 2017, arXiv:1703.07332), package face-alignment.

    Some hundred times slower than `MeshLandmarker` on a CPU, and it downloads 92 MB of weights
    (with detector="sfd" another 86 MB) the first time, to torch.hub's folder. Needs
    pip install 'deepfake-utils[fan]', which installs desktop OpenCV beside the headless one.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        detector: Literal["blazeface", "sfd"] | None = None,
        max_faces: int | None = None,
        flip: bool = True,
        weights_sha256: Mapping[str, str] = FAN_SHA256,
    ) -> None:
        """Download the weights if they are not there, check them, load them.

        Args:
            device: torch device; None is "cuda" if there is one, else "cpu".
            detector: "blazeface" is this package's own, 2 ms a frame; "sfd" also finds faces of a
                few dozen pixels, but takes about 1.8 s a frame on two CPU cores. None is "sfd"
                on CUDA, where that cost is small, and "blazeface" elsewhere.
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
        if detector not in (None, "blazeface", "sfd"):
            raise ValueError(f"detector: expected 'blazeface', 'sfd' or None, got {detector!r}")
        try:
            from face_alignment import FaceAlignment, LandmarksType
            from face_alignment.api import models_urls as fan_urls
            from face_alignment.detection.sfd.sfd_detector import models_urls as sfd_urls
        except ImportError as error:
            raise ImportError(
                "expected the package face-alignment, got none that can be imported "
                f"({error}); install it: pip install 'deepfake-utils[fan]'"
            ) from error
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.detector = detector or ("sfd" if self.device.startswith("cuda") else "blazeface")
        self.max_faces = max_faces
        # face-alignment unpickles what it downloads without a check, so that the check must come
        # first: the files are put where it looks for them.
        _fetch_weights(fan_urls["2DFAN-4"], weights_sha256)
        if self.detector == "sfd":
            _fetch_weights(sfd_urls["s3fd"], weights_sha256)
        # Its own "blazeface" is the same network, but looks at the middle square of the frame
        # only, and is one more download from a branch that may change. "folder" loads nothing.
        self._own = None if self.detector == "sfd" else FaceDetector()
        self._fan = FaceAlignment(
            LandmarksType.TWO_D,
            device=self.device,
            flip_input=flip,
            face_detector="folder" if self._own else "sfd",
            compile=False,  # took 100 s to compile on two CPU cores and was not faster
        )

    def __call__(self, frame: Image) -> list[Points]:
        """68 points (x, y) of each face in `frame`, float64 (68, 2) in frame pixels.

        Returns:
            The largest face first; [] if there is none.

        Raises:
            TypeError: if `frame` is not a uint8 array.
            ValueError: if its shape is not (H, W, 3).
        """
        check_image(frame, "frame")
        if self._own:
            boxes = [np.append(d.box, d.score) for d in self._own(frame)]
        else:
            boxes = [np.asarray(b) for b in self._fan.face_detector.detect_from_image(frame)]
        boxes.sort(key=lambda box: float(np.prod(box[2:4] - box[:2])), reverse=True)
        boxes = boxes[: self.max_faces]
        if not boxes:
            return []
        # None, not an empty list, is what it returns where it sees no face.
        found = self._fan.get_landmarks_from_image(frame, detected_faces=boxes) or []
        faces = [np.asarray(points, np.float64)[:, :2] for points in found]
        return sorted(faces, key=lambda p: float(np.prod(np.ptp(p, axis=0))), reverse=True)


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

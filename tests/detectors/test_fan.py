"""FAN without its real weights: what is downloaded, checked and loaded, and what comes out."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deepfake_utils.detectors.blazeface import BlazeFace, Detection, overlap
from deepfake_utils.detectors.facemesh import FaceMesh
from deepfake_utils.detectors.fan import FanLandmarker, _fetch_weights
from deepfake_utils.detectors.weights import SHORT_FILE
from deepfake_utils.files import sha256_of
from deepfake_utils.landmarks import MESH68
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.umeyama import transform_points
from deepfake_utils.video import read_frames

SHARED_BLAZEFACE = Path(__file__).resolve().parents[3] / "shared" / "models" / "blazeface"
FAN_FILE = "2DFAN4-11f355bf06.pth.tar"
SFD_FILE = "s3fd-619a316812.pth"

needs_fan = pytest.mark.skipif(
    importlib.util.find_spec("face_alignment") is None, reason="face-alignment is not installed"
)


def test_fan_without_the_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(ImportError, match=r"pip install 'deepfake-utils\[fan\]'"):
        FanLandmarker()


def test_fan_arguments() -> None:
    with pytest.raises(ValueError, match=r"detector: expected one of .*'own', 'sfd'"):
        FanLandmarker(detector="dlib")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_faces: expected 1 or more"):
        FanLandmarker(max_faces=0)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of torch.hub's downloads, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_weights_are_downloaded_once_and_checked(hub: Path, tmp_path: Path) -> None:
    served = tmp_path / "net.pth"
    served.write_bytes(b"weights")
    expected = {"net.pth": sha256_of(served)}
    assert _fetch_weights(served.as_uri(), expected).read_bytes() == b"weights"
    served.unlink()
    assert _fetch_weights(served.as_uri(), expected) == hub / "net.pth"
    (hub / "net.pth").write_bytes(b"Weights")
    with pytest.raises(ValueError, match=r"net\.pth: expected sha256 .* it was not loaded"):
        _fetch_weights(served.as_uri(), expected)
    (hub / "net.pth").unlink()
    with pytest.raises(ConnectionError, match=r"could not download .*net\.pth"):
        _fetch_weights(served.as_uri(), expected)
    with pytest.raises(ValueError, match=r"expected a sha256 for other\.pth"):
        _fetch_weights((tmp_path / "other.pth").as_uri(), expected)


class _Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


@pytest.mark.fan
@needs_fan
@pytest.mark.parametrize("name", [FAN_FILE, SFD_FILE])
def test_fan_does_not_load_changed_weights(hub: Path, tmp_path: Path, name: str) -> None:
    sprung = tmp_path / "sprung"
    for file in (FAN_FILE, SFD_FILE):
        (hub / file).write_bytes(b"fine")
    (hub / name).write_bytes(pickle.dumps(_Trap(sprung)))
    hashes = {file: sha256_of(b"fine") for file in (FAN_FILE, SFD_FILE)}
    with pytest.raises(ValueError, match=f"{name}: expected sha256"):
        FanLandmarker(device="cpu", detector="sfd", weights_sha256=hashes)
    assert not sprung.exists()
    pickle.loads((hub / name).read_bytes())
    assert sprung.exists()  # the trap works


class _Upright:
    """Stands for FAN, whose weights are on one server only: finds points in upright faces alone."""

    def __init__(self) -> None:
        self._mesh, self.cuts = FaceMesh(refine=0), []

    def get_landmarks_from_image(self, image: np.ndarray, detected_faces: list) -> list:
        self.cuts.append(image)
        (box,) = detected_faces
        eyes = np.array([[0.0, 0.0], [1.0, 0.0], *4 * [(0.0, 0.0)]])
        return [self._mesh(image, Detection(1.0, box[:4], eyes))[0][MESH68]]


@pytest.fixture
def fan(hub: Path) -> FanLandmarker:
    """With random weights, which show the plumbing and find nothing."""
    from face_alignment.models import FAN

    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), hub / FAN_FILE)
    hashes = {FAN_FILE: sha256_of(hub / FAN_FILE)}
    return FanLandmarker(device="cpu", flip=False, weights_sha256=hashes)


@pytest.mark.slow  # compiles a part of face-alignment
@pytest.mark.fan
@needs_fan
def test_fan_with_random_weights_finds_nothing(fan: FanLandmarker) -> None:
    assert fan.detector == "own"
    assert fan(np.full((360, 640, 3), 128, np.uint8)) == []
    frame = next(read_frames(sample_clips().person_a))
    points = fan._fan.get_landmarks_from_image(frame, detected_faces=[[90, 60, 290, 300, 1.0]])
    assert np.shape(points[0]) == (68, 2)
    assert fan(frame) == []  # these points lie anywhere
    with pytest.raises(TypeError, match="frame: expected uint8"):
        fan(frame.astype(np.float32))


@pytest.mark.slow
@pytest.mark.fan
@needs_fan
@pytest.mark.parametrize("knows_the_eyes", [True, False])
def test_fan_is_shown_faces_turned_upright(fan: FanLandmarker, knows_the_eyes: bool) -> None:
    clips = sample_clips()
    first_a, first_b = (next(read_frames(path)) for path in (clips.person_a, clips.person_b))
    fan._fan = _Upright()
    if not knows_the_eyes:  # as with face-alignment's own detectors, which give boxes only
        boxes = fan._boxes
        fan._boxes = lambda frame: [(box, np.eye(2)) for box, _ in boxes(frame)]
    for roll in (0, 60, 150):
        matrix = cv2.getRotationMatrix2D((191.5, 191.5), roll, 0.8)
        frame = np.full((384, 634, 3), 90, np.uint8)
        frame[60:310, :250] = cv2.resize(first_a, (250, 250), interpolation=cv2.INTER_AREA)
        frame[:, 250:] = cv2.warpAffine(first_b, matrix, (384, 384), borderMode=1)
        matrix[0, 2] += 250
        true = transform_points(load_truth().landmarks_b[0].astype(np.float64), matrix)
        faces = fan(frame)
        assert len(faces) == 2
        eyes = np.linalg.norm(true[45] - true[36])
        near = [
            np.linalg.norm(p - true, axis=1).mean() / eyes for p in faces if p[:, 0].min() > 250
        ]
        assert all(error < 0.1 for error in near)
    fan.max_faces = 1
    assert len(fan(frame)) <= 1


@pytest.mark.fan
@needs_fan
@pytest.mark.skipif(not SHARED_BLAZEFACE.is_dir(), reason="../shared is not here")
def test_own_blazeface_agrees_with_face_alignments() -> None:
    # In torch, with weights published by somebody else: an independent reading of the
    # same network, so nearly the same boxes.
    from face_alignment.detection.blazeface import FaceDetector as TorchBlazeFace

    (weights,) = SHARED_BLAZEFACE.rglob("blazeface.pth")
    other = TorchBlazeFace(
        "cpu", path_to_detector=str(weights), path_to_anchor=str(weights.parent / "anchors.npy")
    )
    own = BlazeFace(SHORT_FILE)
    for path in (sample_clips().person_a, sample_clips().person_b):
        for frame in read_frames(path, stride=90):
            theirs = np.asarray(other.detect_from_image(frame))
            small = cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA)
            scores, seen = own(small, 0.5)
            box = seen[scores.argmax(), :2].ravel() * len(frame) - 0.5
            assert len(theirs) == 1
            assert overlap(box, theirs[:, :4])[0] > 0.8

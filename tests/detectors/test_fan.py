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

from deepfake_utils.detectors.blazeface import FaceDetector, overlap
from deepfake_utils.detectors.fan import FanLandmarker, _fetch_weights
from deepfake_utils.files import sha256_of
from deepfake_utils.samples import load_truth, sample_clips
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


@pytest.mark.slow  # compiles a part of face-alignment
@pytest.mark.fan
@needs_fan
def test_fan_with_random_weights(hub: Path) -> None:
    # The real weights are on one server only. These show the plumbing: which faces, what order,
    # what shape, in whose coordinates; not where the points lie in a face.
    from face_alignment.models import FAN

    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), hub / FAN_FILE)
    hashes = {FAN_FILE: sha256_of(hub / FAN_FILE)}
    fan = FanLandmarker(device="cpu", flip=False, weights_sha256=hashes)
    assert fan.detector == "own"
    assert fan(np.full((360, 640, 3), 128, np.uint8)) == []

    clips = sample_clips()
    first_a, first_b = (next(read_frames(path)) for path in (clips.person_a, clips.person_b))
    frame = np.full((384, 634, 3), 90, np.uint8)
    frame[60:310, :250] = cv2.resize(first_a, (250, 250), interpolation=cv2.INTER_AREA)
    frame[:, 250:] = first_b
    faces = fan(frame)
    assert [p.shape for p in faces] == [(68, 2), (68, 2)]
    assert {p.dtype for p in faces} == {np.dtype(np.float64)}
    sizes = [np.prod(np.ptp(p, axis=0)) for p in faces]
    assert sizes[0] >= sizes[1]

    fan.max_faces = 1
    (only,) = fan(frame)
    # Untrained points lie anywhere in FAN's crop, which is about twice the face's box.
    true = load_truth().landmarks_b[0] + [250, 0]
    assert np.abs(only - true.mean(axis=0)).max() < 1.5 * np.ptp(true, axis=0).max()
    with pytest.raises(TypeError, match="frame: expected uint8"):
        fan(frame.astype(np.float32))


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
    own = FaceDetector()
    for path in (sample_clips().person_a, sample_clips().person_b):
        for frame in read_frames(path, stride=90):
            theirs = np.asarray(other.detect_from_image(frame))
            (ours,) = own(frame)
            assert len(theirs) == 1
            assert overlap(ours.box, theirs[:, :4])[0] > 0.8

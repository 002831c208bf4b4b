"""The models that come with the package: checked before use, named in NOTICE, run either way."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfake_utils.detectors import MeshLandmarker, weights
from deepfake_utils.files import sha256_of
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import read_frames


@pytest.mark.parametrize("name", weights.MODEL_SHA256)
def test_changed_or_missing_model_file(tmp_path: Path, name: str) -> None:
    for model in weights.MODEL_SHA256:
        shutil.copy(weights.MODELS_DIR / model, tmp_path)
    assert MeshLandmarker(models_dir=tmp_path)(next(read_frames(sample_clips().person_a)))
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"{name}: expected sha256 .*got .*reinstall"):
        MeshLandmarker(models_dir=tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"expected the model {name}"):
        MeshLandmarker(models_dir=tmp_path)


@pytest.mark.parametrize("folder", ["models", "samples"])
def test_notice_names_every_file_with_its_hash(folder: str) -> None:
    path = weights.MODELS_DIR.parent / folder
    notice = (path / "NOTICE").read_text(encoding="utf-8")
    files = [p for p in path.iterdir() if p.name not in ("NOTICE", "LICENSE")]
    assert files
    for file in files:
        part = notice.split(f"\n{file.name}\n")[1].split("\n\n")[0]
        assert sha256_of(file) in part


def test_both_ways_of_running_a_net_agree() -> None:
    # OpenCV 5 has an engine that gives one output at a time; then `forward` asks twice.
    class OneAtATime:
        def __init__(self, net: cv2.dnn.Net) -> None:
            self.net = net

        def forward(self, names: str | list[str]) -> np.ndarray:
            if not isinstance(names, str):
                raise cv2.error("one output only")
            return self.net.forward(names)

    net = weights.read_model(weights.MESH_FILE)
    net.setInput(np.full((1, 3, 192, 192), 0.5, np.float32))
    names = ["conv2d_21", "conv2d_31"]
    for a, b in zip(
        weights.forward(net, names), weights.forward(OneAtATime(net), names), strict=True
    ):
        assert np.allclose(a.ravel(), b.ravel(), atol=1e-3)

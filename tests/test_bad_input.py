"""What people really hand in: the whole way in, and a clear word of what was expected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.consent import Subject, write_consent
from deepfake_utils.dataset import FaceDataset, endless_batches
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.extraction import extract_faces, load_faces
from deepfake_utils.images import write_image
from deepfake_utils.marking.writing import save_figure, write_gif
from deepfake_utils.plotting import plot_losses
from deepfake_utils.rendering import swap_video
from deepfake_utils.runs.checkpoint import Checkpoint, save_checkpoint
from deepfake_utils.samples import sample_clips
from deepfake_utils.swapping import Swapper
from deepfake_utils.training.trainer import StepResult, TrainConfig, Trainer
from deepfake_utils.video import VideoWriter, read_frames, read_video_info


@pytest.fixture(scope="module")
def landmarker():
    return MeshLandmarker()


@pytest.fixture
def swapper(tiny, landmarker):
    return Swapper(FaceSwapAutoencoder(tiny), landmarker, device="cpu")


def noise_clip(path: Path, frames: int = 4) -> Path:
    made = np.random.default_rng(0)
    with VideoWriter(path, fps=25, size_wh=(160, 120)) as writer:
        for number in range(frames):
            plain = np.full((120, 160, 3), 40 * number, np.uint8)
            noise = made.integers(0, 256, (120, 160, 3), dtype=np.uint8)
            writer.write(noise if number % 2 else plain)
    return path


# Clips --------------------------------------------------------------------------------------


def test_a_path_with_nothing_there(tmp_path, swapper, landmarker):
    missing = tmp_path / "me.mp4"
    for act in (
        lambda: extract_faces(read_frames(missing), tmp_path / "faces", landmarker),
        lambda: swap_video(missing, tmp_path / "out.mp4", swapper),
    ):
        with pytest.raises(FileNotFoundError, match=r"no video at .*me\.mp4; check the path"):
            act()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"Dear diary\n" * 50, b"", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_only_looks_like_a_video(tmp_path, swapper, landmarker, content):
    clip = tmp_path / "text.mp4"
    clip.write_bytes(content)
    for act in (
        lambda: extract_faces(read_frames(clip), tmp_path / "faces", landmarker),
        lambda: swap_video(clip, tmp_path / "out.mp4", swapper),
    ):
        with pytest.raises(ValueError, match=r"expected .*video.*text\.mp4"):
            act()
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_video_that_was_not_downloaded_whole(tmp_path, swapper, share):
    data = sample_clips().person_b_as_a.read_bytes()
    clip = tmp_path / "cut.mp4"
    clip.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"expected .*cut\.mp4.* download it again"):
        swap_video(clip, tmp_path / "out.mp4", swapper, 3.99)
    assert list(tmp_path.iterdir()) == [clip]
    report = swap_video(clip, tmp_path / "out.mp4", swapper)  # what there is
    assert 100 * share - 15 < report.frames < 100
    assert f"the film breaks off at {report.breaks_off_s:.2f} s" in str(report)
    assert read_video_info(tmp_path / "out.mp4").frame_count == report.frames


def test_a_video_without_a_face(tmp_path, swapper, landmarker):
    clip = noise_clip(tmp_path / "wall.mp4")
    with pytest.raises(ValueError, match="expected a face in at least one frame, got none in 4"):
        extract_faces(read_frames(clip), tmp_path / "faces", landmarker)
    with pytest.raises(ValueError, match=r"at least one frame of .*wall\.mp4, got none in 4"):
        swap_video(clip, tmp_path / "out.mp4", swapper)
    assert list(tmp_path.glob("**/*.png")) == []
    assert not (tmp_path / "out.mp4").exists()
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [clip]


def test_two_people_in_the_picture(tmp_path, frame, landmarker, swapper, caplog):
    other = next(iter(read_frames(sample_clips().person_b)))
    small = cv2.resize(other, (256, 256), interpolation=cv2.INTER_AREA)
    both = np.full((384, 640, 3), 90, np.uint8)
    both[:, :384], both[64:320, 384:] = frame, small
    report = extract_faces([both], tmp_path / "both", landmarker, size=96)
    alone = extract_faces([frame], tmp_path / "one", landmarker, size=96)
    assert (report.frames_with_several, alone.frames_with_several) == (1, 0)
    assert "1 of 1 frames show several faces; took one" in caplog.text
    one, other = (load_faces(tmp_path / name).images[0].astype(int) for name in ("both", "one"))
    assert np.abs(one - other)[16:80, 16:80].mean() < 4
    changed = (swapper.swap_frame(both) != both).any(axis=(0, 2))
    assert changed[:384].any() and not changed[384:].any()


@pytest.mark.parametrize("cut", [np.s_[:, 140:], np.s_[:, :-140], np.s_[130:]])
def test_a_face_at_the_edge_of_the_picture(tmp_path, frame, landmarker, swapper, cut):
    part = np.ascontiguousarray(frame[cut])
    assert extract_faces([part], tmp_path, landmarker, size=64).saved == 1
    result = swapper.swap_frame(part)
    assert result.shape == part.shape
    assert 0.02 < (result != part).any(axis=2).mean() < 0.9


def test_a_tiny_video_and_one_with_odd_sides(tmp_path, frame, swapper):
    odd = cv2.resize(frame, (161, 121), interpolation=cv2.INTER_AREA)
    with VideoWriter(tmp_path / "odd.mkv", fps=25, size_wh=(161, 121)) as writer:
        for _ in range(3):
            writer.write(odd)
    report = swap_video(tmp_path / "odd.mkv", tmp_path / "out.mp4", swapper)
    info = read_video_info(report.path)
    assert (report.frames, info.frame_count, info.width, info.height) == (3, 3, 162, 122)
    assert not info.has_audio


# Folders of crops ---------------------------------------------------------------------------


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ValueError, match=r"expected images \(.*png.*\) in .*, got none"):
        FaceDataset(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder at"):
        FaceDataset(tmp_path / "none")
    with pytest.raises(NotADirectoryError, match=r"got the file .*notes\.txt"):
        FaceDataset(tmp_path / "notes.txt")


def test_grey_deep_and_transparent_crops_are_taken(tmp_path, picture):
    bgr = picture[..., ::-1]
    cv2.imwrite(str(tmp_path / "grey.png"), picture[..., 1])
    cv2.imwrite(str(tmp_path / "deep.png"), bgr.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "clear.png"), np.dstack([bgr, np.full((64, 64), 255, np.uint8)]))
    write_consent(tmp_path, Subject("A", "self"))
    dataset = FaceDataset(tmp_path, 64)
    clear, deep, grey = (dataset[index].permute(1, 2, 0).numpy() for index in range(3))
    assert np.array_equal(clear, picture)
    assert np.array_equal(deep, picture)
    assert np.array_equal(grey[..., 0], picture[..., 1])
    batch = next(endless_batches(dataset, 4, device="cpu"))
    assert batch.warped.shape == (4, 3, 64, 64)


def test_one_crop_only(tmp_path, picture):
    write_image(tmp_path / "one.png", picture)
    with pytest.raises(ValueError, match="expected at least 2 faces of a person, got 1; extract"):
        FaceDataset(tmp_path)


def test_a_crop_that_is_no_picture(tmp_path, picture):
    write_image(tmp_path / "a.png", picture)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"expected an image .*b\.png"):
        FaceDataset(tmp_path)
    (tmp_path / "b.png").write_bytes(data[:30])
    with pytest.raises(ValueError, match=r"expected an image .*b\.png"):
        FaceDataset(tmp_path)


# Networks and runs --------------------------------------------------------------------------


def test_a_size_that_fits_no_network():
    with pytest.raises(ValueError, match=r"e\.g\. 64, 80, 96, 128, 160, 192 or 256; got 100"):
        FaceSwapAutoencoder(preset("quick", 100))


def test_a_network_of_another_size_than_the_batches(face_set, tiny):
    batches = endless_batches(FaceDataset(face_set, 64), 2, device="cpu")
    trainer = Trainer(FaceSwapAutoencoder(tiny), batches, batches, device="cpu")
    with pytest.raises(ValueError, match=r"32\), got \(2, 3, 64, 64\); .*image_size=64"):
        trainer.train_step()


def test_a_rate_that_is_far_too_high(crops, tiny):
    config = TrainConfig(steps=30, learning_rate=1e36, warmup_steps=0, precision="float32")
    a, b = (endless_batches(FaceDataset(folder, 32), 2, device="cpu") for folder in crops)
    trainer = Trainer(FaceSwapAutoencoder(tiny), a, b, config, "cpu")
    with pytest.raises(FloatingPointError, match="lower learning_rate or precision='float32'"):
        list(trainer.run())


def test_a_checkpoint_that_is_something_else(tmp_path, picture):
    from deepfake_utils.runs.checkpoint import load_checkpoint

    write_image(tmp_path / "x.png", picture)
    (tmp_path / "x.png").rename(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"expected a whole safetensors file.*x\.safetensors"):
        load_checkpoint(tmp_path / "x.safetensors")
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(OSError, match=r"d\.safetensors"):
        load_checkpoint(tmp_path / "d.safetensors")


# Places that cannot be written --------------------------------------------------------------


def test_output_below_a_file(tmp_path, frame, tiny, swapper, landmarker):
    (tmp_path / "file").write_text("in the way")
    below = tmp_path / "file" / "sub"
    model = FaceSwapAutoencoder(tiny)
    figure = plot_losses([StepResult(1, 0.5, 0.5)])
    for act in (
        lambda: extract_faces([frame], below, landmarker, size=64),
        lambda: save_checkpoint(below / "c.safetensors", Checkpoint(model, 0)),
        lambda: swap_video(sample_clips().person_a, below / "o.mp4", swapper, 0.0, 0.1),
        lambda: save_figure(below / "f.png", figure),
        lambda: write_gif(below / "g.gif", [frame]),
    ):
        with pytest.raises(OSError, match="file"):
            act()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from deepfake_utils.images import write_image
from deepfake_utils.marking.writing import save_figure, write_gif
from deepfake_utils.plotting import show_images
from deepfake_utils.video import VideoWriter

folder = Path(sys.argv[1])
noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
figure = show_images([noise])
figure.canvas.draw()  # so that matplotlib writes its cache of fonts now

def film(path):
    with VideoWriter(path, fps=25, size_wh=(200, 200)) as writer:
        for turn in range(20):
            writer.write(np.rot90(noise, turn).copy())

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails, not the process
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
for name, act in (
    ("x.png", lambda path: write_image(path, noise)),
    ("f.png", lambda path: save_figure(path, figure)),
    ("g.gif", lambda path: write_gif(path, [noise])),
    ("v.mp4", film),
):
    path = folder / name[0] / name
    path.parent.mkdir()
    try:
        act(path)
        print(name, "written")
    except Exception as error:
        left = sorted(p.name for p in path.parent.iterdir())
        print(name, "OSError" if isinstance(error, OSError) else repr(error), left)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_full_disk_leaves_no_half_files(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    names = ("x.png", "f.png", "g.gif", "v.mp4")
    assert run.stdout.splitlines() == [f"{name} OSError []" for name in names]

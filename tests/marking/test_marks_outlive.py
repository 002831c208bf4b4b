"""pytest -m slow tests/marking/test_marks_outlive.py: what `make demo` writes, and its fate."""

import av
import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.dataset import FaceDataset
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.images import read_image, write_image
from deepfake_utils.lessons.attacks import encoded
from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.marking.writing import save_figure, write_gif
from deepfake_utils.plotting import plot_prediction_grid, prediction_image
from deepfake_utils.rendering import export_layers, side_by_side, swap_video
from deepfake_utils.samples import sample_clips
from deepfake_utils.swapping import Swapper
from deepfake_utils.video import VideoWriter, read_frames

pytestmark = pytest.mark.slow

ALL = ("watermark", "metadata", "manifest")
# Smooth faces on white paper hide no mark that outlives more than being copied, if that.
NAMES = ("swap.mp4", "predictions.gif", "side_by_side.mp4")


@pytest.fixture(scope="module")
def written(tmp_path_factory, crops):
    """The files of the quick-start notebook, of an untrained network."""
    folder = tmp_path_factory.mktemp("demo")
    config = preset("quick", 64)
    model = FaceSwapAutoencoder(config)
    shown = [FaceDataset(each, config.image_size).preview(4) for each in crops]
    save_figure(folder / "predictions.png", plot_prediction_grid(model, *shown, "step 1 of 1"))
    first = prediction_image(model, *shown)
    later = [cv2.GaussianBlur(first, (0, 0), sigma) for sigma in (1.5, 3.0)]  # harder to mark
    images = [first, *later]
    write_gif(folder / "predictions.gif", images, fps=3)
    clip, swapper = sample_clips().person_a, Swapper(model, MeshLandmarker())
    swap_video(clip, folder / "swap.mp4", swapper, 14.0, 17.84)
    clips = {"film": clip, "swap": folder / "swap.mp4"}
    side_by_side(clips, folder / "side_by_side.mp4", {"film": 14.0})
    export_layers(clip, folder / "layers", swapper, 14.0, 14.1)
    return folder


def pages(path):
    """All frames of a picture, GIF or video."""
    if path.suffix == ".gif":
        with Pillow.open(path) as gif:
            count = gif.n_frames
            found = []
            for number in range(count):
                gif.seek(number)
                found.append(np.asarray(gif.convert("RGB")))
        return found
    return [read_image(path)] if path.suffix == ".png" else list(read_frames(path))


def stripped(path, folder):
    """The same content without metadata and signature."""
    copy = folder / path.name
    if path.suffix == ".mp4":
        with av.open(str(path)) as source, av.open(str(copy), "w") as output:
            stream = output.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    output.mux(packet)
    elif path.suffix == ".gif":
        found = [Pillow.fromarray(page) for page in pages(path)]
        found[0].save(copy, save_all=True, append_images=found[1:])
    else:
        write_image(copy, read_image(path))
    return copy


def at_crf_28(path, folder):
    """As somebody's video, of two seconds if it was a picture."""
    found = pages(path)
    found = found if len(found) > 50 else found[:1] * 50
    even = [page[: len(page) // 2 * 2, : page.shape[1] // 2 * 2].copy() for page in found]
    worse = encoded(even, options={"crf": "28"})
    copy = folder / f"{path.stem}.mp4"
    with VideoWriter(copy, fps=25, size_wh=worse[0].shape[1::-1], quality="best") as writer:
        for page in worse:
            writer.write(page)
    return copy


def screenshot(path, folder, scale, moment=0.5):
    """One frame on a screen that shows other things, as JPEG."""
    found = pages(path)
    shown = cv2.resize(found[int(len(found) * moment)], None, fx=scale, fy=scale)
    height, width = shown.shape[:2]
    screen = np.full((height + 170, width + 220, 3), 244, np.uint8)
    screen[:40], screen[:, :90] = (60, 64, 70), (32, 34, 38)
    screen[100 : 100 + height, 140 : 140 + width] = shown
    copy = folder / f"{path.stem}.jpg"
    Pillow.fromarray(screen).save(copy, quality=90)
    return copy


@pytest.mark.parametrize("name", NAMES)
def test_what_the_demo_writes_bears_all_marks(written, name):
    found = read_provenance(written / name)
    assert found.disclosed and found.sound and found.layers == ALL


def test_a_figure_bears_what_cannot_be_seen_in_it(written):
    found = read_provenance(written / "predictions.png")
    assert found.disclosed and found.sound and set(found.layers) >= {"metadata", "manifest"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_still_disclosed_without_metadata(written, tmp_path, name):
    found = read_provenance(stripped(written / name, tmp_path))
    assert found.disclosed and found.layers == ("watermark",)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_still_disclosed_at_crf_28(written, tmp_path, name):
    found = read_provenance(at_crf_28(written / name, tmp_path))
    assert found.disclosed and found.layers == ("watermark",)


@pytest.mark.parametrize("scale", [0.75, 1.0, 1.25, 1.5])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_still_disclosed_by_a_screenshot(written, tmp_path, name, scale):
    # One frame of 384 pixels is read more often than not, so several moments are looked at.
    moments = (0.1, 0.3, 0.5, 0.7, 0.9) if name == "swap.mp4" else (0.5,)
    found = [read_provenance(screenshot(written / name, tmp_path, scale, at)) for at in moments]
    print(name, scale, [each.disclosed for each in found])
    assert any(each.disclosed and each.layers == ("watermark",) for each in found)


def test_exported_faces_bear_the_marks(written):
    faces = sorted((written / "layers").glob("face_*.png"))
    assert faces
    for path in faces:
        found = read_provenance(path)
        assert found.disclosed and {"metadata", "manifest"} <= set(found.layers)

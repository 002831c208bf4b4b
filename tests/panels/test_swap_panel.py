"""pytest tests/panels/test_swap_panel.py"""

import dataclasses
import itertools
import math
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import cv2
import numpy as np
import pytest

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.marking.label import draw_label
from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.marking.watermark import Watermark
from deepfake_utils.panels.preview import BOX_WH, GAP
from deepfake_utils.panels.swap import SwapPanel
from deepfake_utils.panels.swap_view import download_link, passages
from deepfake_utils.rendering import FrameNote, SwapReport
from deepfake_utils.runs.project import Clip, Project
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.swapping import SwapConfig, Swapper
from deepfake_utils.video import VideoWriter, read_frames, read_video_info

CLIP = Clip(str(sample_clips().person_a), 14.0, 14.4)  # ten frames
UNCOVERED = SwapConfig(covered=math.inf, batch_size=2)  # an untrained network redraws nobody


class Landmarks:
    """The package's own landmarker, which counts, says when it begins, and takes its time."""

    def __init__(self):
        self.calls, self.pause_s, self.begun = 0, 0.0, threading.Event()
        self._find = MeshLandmarker()

    def __call__(self, frame):
        self.calls += 1
        self.begun.set()
        time.sleep(self.pause_s)
        return self._find(frame)


@pytest.fixture
def model(tiny):
    return FaceSwapAutoencoder(tiny)


@pytest.fixture
def landmarks():
    return Landmarks()


@pytest.fixture
def panel(model, landmarks, tmp_path):
    return SwapPanel(CLIP, Swapper(model, landmarks, UNCOVERED, "cpu"), tmp_path / "swap.mp4")


def halves(image):
    """As filmed, as swapped."""
    width = (image.shape[1] - GAP) // 2
    assert image.shape[1] == 2 * width + GAP
    return image[:, :width], image[:, width + GAP :]


# One frame ----------------------------------------------------------------------------------


def test_a_frame_is_shown_as_filmed_and_as_swapped(panel):
    film = next(iter(read_frames(CLIP.path, 14.2)))
    left, right = halves(panel.show_frame(14.2))
    assert panel.time_s == 14.2 and panel.look().outcome == "swapped"
    assert np.array_equal(left, film)
    changed = np.abs(left.astype(int) - right).max(axis=2)
    assert changed[150:250, 130:250].mean() > 20  # the face
    assert changed[300:].mean() < 3  # the watermark only


def test_what_is_shown_of_a_swap_bears_label_and_watermark(panel):
    left, right = halves(panel.show_frame(14.2))
    label = (draw_label(left).astype(int) - left).any(axis=2)
    assert np.abs(right.astype(int) - draw_label(left))[label].mean() < 5
    seen = [halves(panel.show_frame(14.0 + i / 25))[1] for i in range(8)]
    assert Watermark().read(seen) is not None
    assert Watermark().read([left] * 8) is None


def test_moving_a_slider_only_blends_again(panel, model, landmarks):
    drawn = []
    model.encoder.register_forward_hook(lambda *_: drawn.append(1))
    pictures = [panel.show_frame(14.2)]
    for settings in ({"erode": 0.2}, {"feather": 0.3}, {"colour": "none"}, {"sharpness": 2.0}):
        panel.set(settings)
        pictures.append(panel.show_frame())
    assert landmarks.calls == 1 and len(drawn) == 1
    pairs = itertools.pairwise(pictures)
    assert all(np.abs(a.astype(int) - b).max() > 1 for a, b in pairs)
    panel.set({"identity": "A"})
    assert np.abs(panel.show_frame().astype(int) - pictures[-1]).max() > 1
    assert landmarks.calls == 1 and len(drawn) == 2


def test_settings_are_those_of_the_swap_config(panel):
    panel.set({"erode": -0.1, "blend": "pyramid"})
    wanted = dataclasses.replace(UNCOVERED, erode=-0.1, blend="pyramid")
    assert panel.config == wanted
    with pytest.raises(ValueError, match=r"expected a setting of \[.*'erode'.*\], got 'size'"):
        panel.set({"size": 1})
    with pytest.raises(ValueError, match="feather: expected at least 0, got -1"):
        panel.set({"erode": 0.0, "feather": -1})
    assert panel.config == wanted


def test_the_mask_is_drawn_on_the_filmed_picture_only(panel):
    plain = halves(panel.show_frame(14.2))
    panel.outline = True
    lined = halves(panel.show_frame())
    assert np.array_equal(plain[1], lined[1])
    ys, xs = np.nonzero((plain[0] != lined[0]).any(axis=2))
    points = load_truth().landmarks_a[355]
    low, high = points.min(axis=0), points.max(axis=0)
    assert np.abs([xs.min() - low[0], xs.max() - high[0], ys.max() - high[1]]).max() < 25
    panel.set({"erode": 0.2})
    smaller = np.nonzero((plain[0] != halves(panel.show_frame())[0]).any(axis=2))
    assert np.ptp(smaller[1]) < np.ptp(xs)


def test_a_close_view_shows_the_face_only_and_larger(panel):
    panel.close = panel.outline = True
    left, right = halves(panel.show_frame(14.2))
    assert max(left.shape[:2]) == max(right.shape[:2]) == min(BOX_WH)
    found = MeshLandmarker()(left)[0]
    assert 0.45 < np.ptp(found[:, 0]) / left.shape[1] < 0.75


@pytest.fixture
def empty(tmp_path):
    """A clip in which there is nobody, wider than the panel."""
    path = tmp_path / "empty.mp4"
    with VideoWriter(path, fps=25, size_wh=(1280, 720)) as writer:
        for level in range(5):
            writer.write(np.full((720, 1280, 3), 100 + level, np.uint8))
    return path


def test_a_clip_without_a_face_is_told(empty, model, tmp_path):
    panel = SwapPanel(empty, Swapper(model, MeshLandmarker(), device="cpu"), tmp_path / "s.mp4")
    panel.close = panel.outline = True
    left, right = halves(panel.show_frame())
    assert np.array_equal(left, right) and left.shape == (276, 490, 3)
    assert panel.look().outcome == "no face"
    with pytest.raises(ValueError, match=r"got none in 5 \(5 times no face"):
        panel.render()
    assert panel.report is None and not panel.path.exists()


def test_wrong_clips_are_told(model, tmp_path):
    swapper = Swapper(model, MeshLandmarker(), device="cpu")
    with pytest.raises(FileNotFoundError, match="no video at"):
        SwapPanel(tmp_path / "none.mp4", swapper, tmp_path / "s.mp4")
    with pytest.raises(ValueError, match=r"begins before its end at 18\.0.* s, got a start of 20"):
        SwapPanel(Clip(CLIP.path, 20.0), swapper, tmp_path / "s.mp4")
    with pytest.raises(ValueError, match="expected another file than the clip"):
        SwapPanel(CLIP, swapper, CLIP.path)
    panel = SwapPanel(CLIP, swapper, tmp_path / "s.mp4")
    with pytest.raises(ValueError, match="segment inside the clip"):
        panel.show_frame(99.0)
    assert panel.time_s == 14.0


# The whole clip -----------------------------------------------------------------------------


def test_rendering_writes_the_marked_part_with_its_settings(panel):
    panel.set({"identity": "A"})
    report = panel.render()
    assert report is panel.report and report.path == panel.path
    assert report.outcomes == {"swapped": 10}
    assert (panel.job.progress.done, panel.job.progress.total) == (10, 10)
    info = read_video_info(panel.path)
    assert info.frame_count == 10 and info.has_audio
    assert read_provenance(panel.path).layers == ("watermark", "metadata", "manifest")
    shown, sixth = halves(panel.show_frame(14.2))[1], list(read_frames(panel.path))[5]
    assert np.abs(shown.astype(int) - sixth).mean() < 3


def test_rendering_notes_the_film_in_its_project(model, landmarks, tmp_path):
    project, path = Project(tmp_path), tmp_path / "swap.mp4"
    swapper = Swapper(model, landmarks, UNCOVERED, "cpu")
    SwapPanel(CLIP, swapper, path, project=project).render()
    assert project.swapped(path).film == CLIP


def test_rendering_in_a_thread_can_be_stopped_and_leaves_nothing(panel, landmarks):
    panel.path.write_bytes(b"earlier")
    landmarks.pause_s = 0.05
    panel.start()
    assert landmarks.begun.wait(20)
    with pytest.raises(RuntimeError, match="got one under way"):
        panel.render()
    panel.cancel()
    with pytest.raises(CancelledError, match="stopped after 1 of 10 frames"):
        panel.wait()
    assert panel.report is None
    assert [each.name for each in panel.path.parent.iterdir()] == ["swap.mp4"]
    assert panel.path.read_bytes() == b"earlier"
    landmarks.pause_s = 0.0
    assert panel.render().frames == 10


def test_frames_can_be_looked_at_while_the_clip_is_rendered(panel, model, landmarks):
    alone = panel.show_frame(14.2)
    panel.start()
    assert np.array_equal(panel.show_frame(14.2), alone)
    assert panel.show_frame(14.3).shape == alone.shape
    assert panel.wait().frames == 10
    with pytest.raises(RuntimeError, match=r"call start\(\)"):
        SwapPanel(CLIP, Swapper(model, landmarks, device="cpu"), panel.path).wait()


def test_passages_join_what_belongs_together():
    notes = [FrameNote(n, n / 10, "no face", 0.0) for n in (3, 4, 5, 9)]
    notes.insert(3, FrameNote(6, 0.6, "covered", 0.2))
    report = SwapReport(CLIP.path, 10, {}, tuple(notes))
    assert passages(report) == [
        "0.30 to 0.50 s: no face, 3 frames",
        "0.60 to 0.60 s: covered, 1 frame",
        "0.90 to 0.90 s: no face, 1 frame",
    ]


# Widgets ------------------------------------------------------------------------------------


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def find(panel, text):
    """The control that bears a text."""
    (found,) = [w for w in walk(panel.box) if getattr(w, "description", "").startswith(text)]
    return found


def texts(panel):
    return " ".join(w.value for w in walk(panel.box) if type(w).__name__ == "HTML")


def shown(panel):
    (picture,) = [w for w in walk(panel.box) if type(w).__name__ == "Image"]
    data = cv2.imdecode(np.frombuffer(picture.value, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(data, cv2.COLOR_BGR2RGB)


def test_widgets_and_calls_do_the_same(panel):
    first = shown(panel) if panel.box else None
    find(panel, "mask smaller").value = 0.2
    assert panel.config.erode == 0.2 and not np.array_equal(shown(panel), first)
    find(panel, "colours by").value = "histogram"
    find(panel, "whose face").value = "A"
    assert (panel.config.colour, panel.config.identity) == ("histogram", "A")
    find(panel, "show the mask").value = True
    find(panel, "frame at").value = 14.2
    assert panel.time_s == 14.2 and panel.outline and "(14.20 s)" in texts(panel)
    assert np.array_equal(shown(panel), panel.look().image)
    panel.set({"feather": 0.9, "blend": "poisson"})  # more than the slider offered
    assert find(panel, "soft edge").value == 0.9
    assert find(panel, "laid over").value == "poisson"
    assert np.array_equal(shown(panel), panel.look().image)


def test_a_panel_of_a_hardly_trained_network_says_so(model, landmarks, tmp_path):
    for score, said in ((None, False), (24.0, False), (18.5, True)):
        model.held_out_db = score
        swapper = Swapper(model, landmarks, UNCOVERED, "cpu")
        panel = SwapPanel(CLIP, swapper, tmp_path / "swap.mp4")
        assert ("Careful: this network is hardly trained: 18.5 dB" in texts(panel)) == said


def test_every_control_has_a_text_and_the_panel_is_narrow_enough(panel):
    kinds = ("Slider", "Dropdown", "Checkbox", "Button")
    controls = [w for w in walk(panel.box) if type(w).__name__.endswith(kinds)]
    assert len(controls) == 12 and all(w.description for w in controls)
    assert panel.box.layout.max_width == "1000px"
    assert 2 * BOX_WH[0] + GAP <= 1000


def test_what_is_wrong_is_said_in_the_panel(panel):
    assert "as filmed" in texts(panel)
    find(panel, "frame at").max = 99.0
    find(panel, "frame at").value = 99.0
    assert "choose a segment inside the clip" in texts(panel)
    find(panel, "frame at").value = 14.0
    assert "inside the clip" not in texts(panel)


def test_a_frame_without_a_face_is_told_in_the_panel(empty, model, tmp_path):
    panel = SwapPanel(empty, Swapper(model, MeshLandmarker(), device="cpu"), tmp_path / "s.mp4")
    assert "no face was found: the frame stays as filmed" in texts(panel)
    find(panel, "Render").click()
    with pytest.raises(ValueError, match="5 times no face"):
        panel.wait()
    assert "5 times no face" in texts(panel) and not find(panel, "Render").disabled


def test_the_button_renders_and_shows_the_film(panel):
    assert find(panel, "Stop").disabled
    find(panel, "Render").click()
    assert find(panel, "Render").disabled and not find(panel, "Stop").disabled
    panel.wait()
    assert "10 frames in" in texts(panel) and not find(panel, "Render").disabled
    (bar,) = [w for w in walk(panel.box) if type(w).__name__ == "IntProgress"]
    assert (bar.value, bar.max) == (10, 10)
    (film,) = [w for w in walk(panel.box) if type(w).__name__ == "Video"]
    assert bytes(film.value) == panel.path.read_bytes()
    (link,) = [w for w in walk(panel.box) if type(w).__name__ == "Output"]
    assert "swap.mp4" in link.outputs[0]["data"]["text/html"]
    count = len(list(walk(panel.box)))
    panel.render()
    assert len(list(walk(panel.box))) == count  # nothing grows


def test_the_link_is_relative(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    link = download_link(tmp_path / "out" / 'a "b".mp4')
    assert re.search(r'href="\.\./out/a%20%22b%22\.mp4" download="a &quot;b&quot;\.mp4"', link)


def test_a_panel_says_how_to_do_without_widgets(tmp_path):
    program = f"""
import sys
sys.modules["ipywidgets"] = None
from IPython.core.interactiveshell import InteractiveShell
from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.panels.swap import SwapPanel
from deepfake_utils.swapping import Swapper
InteractiveShell.instance()
swapper = Swapper(FaceSwapAutoencoder(preset("quick", 64)), lambda frame: [], device="cpu")
panel = SwapPanel({CLIP.path!r}, swapper, "none.mp4")
panel._ipython_display_()
print(panel.show_frame().shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "panel.render() writes the video" in done.stdout and "(384, 776, 3)" in done.stdout

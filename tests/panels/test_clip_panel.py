"""pytest tests/panels/test_clip_panel.py: choosing a clip, by plain methods and by the widgets."""

import hashlib
import importlib.util
import re
from datetime import datetime
from typing import get_args

import cv2
import ipywidgets as widgets
import numpy as np
import pytest
from IPython.lib.pretty import pretty
from test_downloads import server  # noqa: F401

from deepfake_utils.consent import Basis, Subject, read_consent
from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.extraction import load_faces
from deepfake_utils.panels import base
from deepfake_utils.panels.base import RED
from deepfake_utils.panels.clip import ClipFacts, ClipPanel, frame_at, look_at
from deepfake_utils.panels.clip_view import picture
from deepfake_utils.panels.form import GROUNDS
from deepfake_utils.runs.project import Clip, Project
from deepfake_utils.samples import sample_clips, sample_consent
from deepfake_utils.video import VideoWriter, read_frames, read_video_info


@pytest.fixture(scope="session")
def landmarker():
    return MeshLandmarker()


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """A folder with a clip of a face, one without, one that is cut off, and a text."""
    folder = tmp_path_factory.mktemp("films")
    face = list(read_frames(sample_clips().person_b, 0.0, 1.0))
    for name, frames in {
        "face.mp4": face,
        "nobody.mp4": [np.full((96, 128, 3), 90, np.uint8)] * 10,
        "late.mp4": [np.zeros_like(face[0])] * 20 + face[:10],
    }.items():
        with VideoWriter(folder / name, fps=25, size_wh=frames[0].shape[1::-1]) as writer:
            for frame in frames:
                writer.write(frame)
    whole = sample_clips().person_b.read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("this is no video")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def panel(tmp_path, films, landmarker):
    """Of person B, with a clip of a second chosen."""
    project = Project(tmp_path / "project")
    project.choose_clip("b", Clip(str(films / "face.mp4")))
    return ClipPanel(project, "b", landmarker)


@pytest.fixture
def fresh(tmp_path, landmarker):
    """Of person B, with nothing chosen yet."""
    return ClipPanel(Project(tmp_path / "project"), "b", landmarker)


def texts(panel):
    """What the panel's box says, without the tags."""
    found, todo = [], [panel.box]
    while todo:
        widget = todo.pop(0)
        todo = [*getattr(widget, "children", ()), *todo]
        if isinstance(widget, widgets.HTML | widgets.Label):
            found.append(re.sub(r"<[^>]*>", " ", widget.value))
    return " ".join(found).replace("&#x27;", "'").replace("&quot;", '"')


def all_widgets(box, kind):
    found = [box] if isinstance(box, kind) else []
    for child in getattr(box, "children", ()):
        found += all_widgets(child, kind)
    return found


def named(panel, text):
    """The widget with that description."""
    kinds = (widgets.DOMWidget,)
    return next(w for w in all_widgets(panel.box, kinds) if getattr(w, "description", "") == text)


# What is seen of a clip ---------------------------------------------------------------------


def test_facts_of_a_sample(landmarker):
    facts, frames, points = look_at(Clip(str(sample_clips().person_a), 1.0, 7.0), landmarker)
    assert (facts.info.width, facts.info.height, facts.info.fps) == (384, 384, 25.0)
    assert facts.faces == (1, 1, 1) and facts.advice == () and facts.frames == 150
    assert [frame.shape for frame in frames] == [(384, 384, 3)] * 3
    assert [each.shape for each in points] == [(68, 2)] * 3
    wanted = list(read_frames(sample_clips().person_a, 1.0, 7.0))
    for frame, index in zip(frames, (0, 75, 149), strict=True):
        assert np.array_equal(frame, wanted[index])
    assert str(facts) == (
        "person_a.mp4: 384x384, 25 frames a second, 18.0 s, with sound; used from 1.0 to 7.0 s, "
        "a face in the first, middle and last frame"
    )


@pytest.mark.parametrize("time_s", [0.0, 0.019, 0.02, 0.5, 0.98, 5.0])
def test_the_frame_at_a_time_is_the_last_before_it(films, time_s):
    info = read_video_info(films / "face.mp4")
    frames = list(read_frames(films / "face.mp4"))
    assert np.array_equal(frame_at(info, time_s), frames[min(24, int(time_s * 25 + 1e-9))])


def test_advice_names_what_may_spoil_the_result(films, landmarker):
    facts, _, points = look_at(Clip(str(films / "late.mp4")), landmarker)
    assert facts.faces == (0, 0, 1) and [len(each) for each in points] == [0, 0, 68]
    assert "in the first and middle frame" in facts.advice[0]
    assert "only 1.2 s long" in facts.advice[1]
    facts, _, _ = look_at(Clip(str(films / "nobody.mp4")), landmarker)
    assert "No face was found in its first, middle and last frame" in facts.advice[0]
    assert str(facts).endswith("no face")
    several = ClipFacts(facts.info, 0.0, 9.0, (1, 2, 1), 50.0)
    assert len(several.advice) == 2 and "trim it to a part that shows one" in several.advice[0]
    assert "only 50 pixels high" in several.advice[1]


def test_of_several_people_the_one_at_a_place_is_extracted(tmp_path, landmarker):
    both = tmp_path / "both.mp4"
    pair = (read_frames(clip, 0.0, 0.2) for clip in sample_clips()[:2])
    with VideoWriter(both, fps=25, size_wh=(768, 384)) as writer:
        for left, right in zip(*pair, strict=True):
            writer.write(np.hstack([left, right]))
    panel = ClipPanel(Project(tmp_path / "p"), "a", landmarker)
    panel.use_path(both)
    panel.agree("synthetic")
    middles = []
    for where in ((0.25, 0.5), (0.75, 0.5)):
        assert panel.extract(where=where).saved == 5
        faces = load_faces(panel.project.faces("a"))
        middles.append(faces.images[:, 96:160, 96:160].mean(axis=(0, 1, 2)))
    assert np.abs(middles[0] - middles[1]).max() > 5.0  # two people, not the same twice


def test_pictures_are_small_and_show_the_points(frame, points):
    plain, dotted = picture(frame, np.empty((0, 2))), picture(frame, points)
    assert plain.shape == dotted.shape == (300, 300, 3)
    x, y = (points[30] * 300 / 384).round().astype(int)
    assert not np.array_equal(plain[y, x], dotted[y, x])
    tall = picture(np.zeros((1920, 1080, 3), np.uint8), points)
    assert tall.shape == (533, 300, 3)


# Plain methods ------------------------------------------------------------------------------


def test_it_starts_with_the_sample_and_remembers(tmp_path, films, landmarker):
    project = Project(tmp_path)
    panel = ClipPanel(project, "a", landmarker)
    assert panel.is_sample and panel.clip == Clip(str(sample_clips().person_a))
    assert panel.training_clip == Clip(str(sample_clips().person_a), 0.0, 14.0)
    assert panel.consent == sample_consent("A")
    found = panel.use_path(str(films / "face.mp4"))
    assert found == panel.found and found.info.frame_count == 25
    panel.trim(0.2, 0.8)
    again = ClipPanel(Project(tmp_path), "a", landmarker)
    assert again.clip == Clip(str(films / "face.mp4"), 0.2, 0.8) == again.training_clip
    assert again.found == panel.found and not again.is_sample
    assert ClipPanel(project, "b", landmarker).clip == Clip(str(sample_clips().person_b))
    with pytest.raises(ValueError, match="expected 'a' or 'b', got 'c'"):
        ClipPanel(project, "c", landmarker)


def test_a_part_is_checked(fresh):
    assert fresh.trim(2.0).start_s == 2.0
    assert fresh.clip.end_s is None
    fresh.trim(1.0, 99.0)
    assert fresh.clip == Clip(fresh.clip.path, 1.0, None)
    for part, text in (((3.0, 2.0), "expected more than start_s"), ((14.0,), "14.00 s.*got 14")):
        with pytest.raises(ValueError, match=text):
            fresh.trim(*part)
    assert fresh.clip.start_s == 1.0


def test_what_cannot_be_used_is_told_and_the_choice_stays(panel, films):
    for name, error, text in (
        ("text.mp4", ValueError, r"expected a video, got something .*text\.mp4"),
        (
            "cut.mp4",
            ValueError,
            "it is incomplete, download it again|incomplete download|got a decoding error",
        ),
        ("empty", FileNotFoundError, "expected a video in the folder .*empty, got none"),
        ("none.mp4", FileNotFoundError, r"no clip at .*check the path: .* has cut\.mp4, face\.mp4"),
        ("none/a.mp4", FileNotFoundError, "no clip at .*films.* has no such folder"),
    ):
        with pytest.raises(error, match=text):
            panel.use_path(str(films / name))
    with pytest.raises(ValueError, match=r"expected a link that begins .*got 'me.mp4'"):
        panel.use_link("me.mp4")
    assert panel.clip.path == str(films / "face.mp4")


def test_a_folder_gives_its_first_video(panel, films):
    names = [path.name for path in panel.videos(str(films))]
    assert names == ["cut.mp4", "face.mp4", "late.mp4", "nobody.mp4", "text.mp4"]
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        panel.use_path(str(films))


def test_uploads_are_kept_if_they_are_videos(panel, films):
    with pytest.raises(ValueError, match="expected a video"):
        panel.use_upload("me.mp4", b"no video")
    assert not list(panel.project.clips_folder.iterdir())
    panel.use_upload("../me.mp4", memoryview((films / "face.mp4").read_bytes()))
    assert panel.clip.path == str(panel.project.clips_folder / "me.mp4")
    with (films / "late.mp4").open("rb") as file:
        panel.use_upload("me.mp4", file)
    assert panel.clip.path == str(panel.project.clips_folder / "me-2.mp4")


def test_a_link_is_fetched_into_the_project(panel, films, server):  # noqa: F811
    address, folder, _ = server
    data = (films / "face.mp4").read_bytes()
    (folder / "face.mp4").write_bytes(data)
    panel.use_link(f" {address}/face.mp4 ", hashlib.sha256(data).hexdigest())
    assert panel.found.info.frame_count == 25
    assert panel.project.clips_folder in panel.found.info.path.parents
    with pytest.raises(ConnectionError, match="could not download"):
        panel.use_link(f"{address}/none.mp4")


def test_a_clip_that_is_gone_is_told_not_replaced(tmp_path, films, landmarker):
    mine = tmp_path / "mine.mp4"
    mine.write_bytes((films / "face.mp4").read_bytes())
    ClipPanel(Project(tmp_path / "p"), "a", landmarker).use_path(str(mine))
    mine.unlink()
    again = ClipPanel(Project(tmp_path / "p"), "a", landmarker)
    with pytest.raises(FileNotFoundError, match=r"no video at .*mine\.mp4"):
        _ = again.found
    assert "no video at" in texts(again)
    again.use_sample()
    assert "384x384" in texts(again)


def test_an_agreement_holds_for_one_clip(panel, films):
    with pytest.raises(
        ValueError, match=r"expected a choice of whose .*panel_b\.agree\(.self.\).*'consent'"
    ):
        _ = panel.consent
    me = Subject("B", basis="self", expires="2099-01-01")
    panel.agree(me)
    assert panel.consent == me
    assert ClipPanel(panel.project, "b").consent == me
    panel.use_path(str(films / "late.mp4"))
    with pytest.raises(ValueError, match="expected a choice of whose face"):
        _ = panel.consent
    panel.use_path(str(films / "face.mp4"))
    assert panel.consent == me
    panel.agree(None)
    with pytest.raises(ValueError, match="expected a choice of whose face"):
        _ = panel.consent
    panel.use_sample()
    assert panel.consent == sample_consent("B")


def test_a_word_is_enough_to_agree_and_what_is_missing_is_said(panel):
    assert "face.mp4" in str(panel) and "It may not be used yet" in str(panel)
    panel.agree("self")
    assert panel.consent == Subject("B", basis="self")
    assert "It may be used: it is me" in str(panel)
    with pytest.raises(ValueError, match=r"basis: expected one of .*got 'yes'"):
        panel.agree("yes")
    panel.agree(Subject("B", basis="consent", given="2020-01-01", expires="2020-02-01"))
    for told in (str(panel), texts(panel)):
        assert "It may not be used: the consent of person 'B' expired on 2020-02-01" in told
    with pytest.raises(PermissionError, match="expired"):  # before the long work, not after it
        panel.extract()
    assert not panel.project.faces("b").exists()


def test_a_notebook_shows_what_was_found_in_sentences(panel):
    assert pretty(panel.found).splitlines() == [f"{panel.found}.", *panel.found.advice]


def test_faces_are_cut_out_once(panel):
    with pytest.raises(ValueError, match="expected a choice of whose face"):
        panel.extract(stride=5)
    folder = panel.project.faces("b")
    assert not folder.exists()
    panel.agree(Subject("B", basis="self"))
    report = panel.extract(stride=5, size=128)
    assert (report.frames, report.saved, report.folder) == (5, 5, folder)
    assert load_faces(folder).images.shape == (5, 128, 128, 3)
    assert '"landmarker": "MeshLandmarker"' in (folder / "faces.json").read_text()
    dropped = sorted(folder.glob("*.png"))[0]
    dropped.unlink()  # as if somebody had looked through them
    panel.agree(Subject("B", basis="consent"))
    assert ClipPanel(panel.project, "b").extract(stride=5, size=128) == report
    assert len(load_faces(folder)) == 4 and not dropped.exists()
    assert read_consent(folder).subjects[0].basis == "consent"
    assert panel.extract(stride=5, size=128, again=True) == report and dropped.exists()
    panel.trim(0.4)
    assert panel.extract(stride=5, size=128).saved == 3
    assert len(load_faces(folder)) == 3


def test_a_clip_without_a_face_is_told(panel, films):
    panel.use_path(str(films / "nobody.mp4"))
    assert "No face was found" in texts(panel)
    panel.agree(Subject("B", basis="self"))
    with pytest.raises(ValueError, match="expected a face in at least one frame, got none in 10"):
        panel.extract()


# Widgets ------------------------------------------------------------------------------------


def test_the_box_shows_what_was_found(fresh):
    assert "Person B, whose face is put there" in texts(fresh)
    assert "person_b.mp4: 384x384, 25 frames a second, 14.0 s, with sound" in texts(fresh)
    assert "first frame, 0.0 s: a face" in texts(fresh)
    shown = all_widgets(fresh.box, widgets.Image)
    decoded = [cv2.imdecode(np.frombuffer(w.value, np.uint8), 1) for w in shown]
    assert [image.shape for image in decoded] == [(300, 300, 3)] * 3
    assert "nothing is to be done" in texts(fresh)
    assert fresh.view._ground.layout.display == "none"


def test_every_widget_has_a_label(panel):
    kinds = (widgets.Text, widgets.Dropdown, widgets.Button, widgets.FloatSlider)
    kinds += (widgets.FileUpload,)
    assert all(widget.description for widget in all_widgets(panel.box, kinds))
    width = panel.box.layout.max_width
    assert int(width.removesuffix("px")) <= 1000


def test_one_way_is_shown_at_a_time(panel):
    way = named(panel, "take the clip from")
    for value, field in (("path", "path"), ("link", "link or Drive id"), ("upload", "choose")):
        way.value = value
        rows = [row for row in panel.view._rows.values() if row.layout.display != "none"]
        assert len(rows) == 1 and named(panel, field) in all_widgets(rows[0], widgets.DOMWidget)


def test_buttons_and_sliders_do_what_the_methods_do(panel, films):
    named(panel, "path").value = str(films / "late.mp4")
    named(panel, "look there").click()
    assert panel.clip.path == str(films / "late.mp4") and "late.mp4" in texts(panel)
    start, end = named(panel, "start / s"), named(panel, "end / s")
    assert (start.max, end.value) == (1.2, 1.2)
    start.value = 0.3
    assert panel.clip == Clip(panel.clip.path, 0.3, None)
    end.value = 0.6
    assert panel.clip == Clip(panel.clip.path, 0.3, 0.6)
    assert "last frame, 0.6 s" in texts(panel)
    start.value = 0.7
    assert "expected more than start_s" in texts(panel)
    assert panel.clip.start_s == 0.3
    named(panel, "use it").click()
    assert panel.is_sample and (start.value, end.value) == (0.0, 14.0)


def test_a_plain_call_shows_in_the_box(panel, films):
    assert "face.mp4" in texts(panel)
    panel.use_path(str(films / "late.mp4"))
    assert "late.mp4" in texts(panel) and "first frame, 0.0 s: no face" in texts(panel)


def test_videos_of_a_folder_are_offered(panel, films, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("face.mp4", "late.mp4"):
        (folder / name).symlink_to(films / name)
    named(panel, "path").value = str(folder)
    named(panel, "look there").click()
    offered = named(panel, "video in the folder")
    assert [name for name, _ in offered.options] == ["face.mp4", "late.mp4"]
    assert offered.layout.display != "none" and panel.clip.path == str(folder / "face.mp4")
    offered.value = str(folder / "late.mp4")
    assert panel.clip.path == str(folder / "late.mp4")


def test_a_broken_film_does_not_hide_the_others_of_a_folder(panel, films):
    named(panel, "path").value = str(films)
    named(panel, "look there").click()
    assert "cut.mp4" in texts(panel) and panel.clip.path == str(films / "face.mp4")
    offered = named(panel, "video in the folder")
    assert offered.layout.display != "none"
    offered.value = str(films / "late.mp4")
    assert panel.clip.path == str(films / "late.mp4")


@pytest.mark.parametrize("name", ["text.mp4", "cut.mp4", "empty", "none.mp4"])
def test_errors_are_said_in_the_panel(panel, films, name):
    named(panel, "path").value = str(films / name)
    named(panel, "look there").click()
    assert re.search("expected a video|incomplete|decoding error|no clip at", texts(panel))
    assert panel.clip.path == str(films / "face.mp4")


def test_a_download_shows_how_far_it_is_and_what_went_wrong(panel, films, server, capsys):  # noqa: F811
    address, folder, handler = server
    data = (films / "face.mp4").read_bytes()
    (folder / "face.mp4").write_bytes(data)
    link, fetch = named(panel, "link or Drive id"), named(panel, "download")
    link.value = f"{address}/none.mp4"
    fetch.click()
    assert "404" in texts(panel)
    link.value = f"{address}/face.mp4"
    handler.breaks = (len(data), len(data) // 2)  # what is there, then the file
    fetch.click()
    assert "broke off after" in texts(panel)
    assert panel.clip.path == str(films / "face.mp4")
    said = []
    panel.view.said.observe(lambda change: said.append(change.new), "value")
    fetch.click()
    assert panel.found.info.frame_count == 25 and "face.mp4" in texts(panel)
    assert any("interrupt the kernel to stop" in each for each in said)
    assert "100%" in capsys.readouterr().err  # the bar; in a notebook it lies in the panel
    named(panel, "SHA-256").value = "0" * 64
    fetch.click()
    assert "expected SHA-256" in texts(panel)


def test_a_download_can_be_interrupted(panel, films, monkeypatch):
    def interrupted(*_):  # as the kernel's interrupt does, inside the download
        raise KeyboardInterrupt

    monkeypatch.setattr(panel, "use_link", interrupted)
    named(panel, "download").click()
    assert "stopped" in texts(panel) and panel.clip.path == str(films / "face.mp4")


def test_an_upload_is_taken_from_the_widget(panel, films):
    data = (films / "face.mp4").read_bytes()
    upload = named(panel, "choose")
    if int(widgets.__version__.split(".")[0]) < 8:
        upload.metadata, upload.data = [{"name": "me.mp4", "size": len(data)}], [data]
        upload._counter = 1  # as the browser does
    else:
        part = {"name": "me.mp4", "type": "video/mp4", "size": len(data)}
        upload.value = ({**part, "content": memoryview(data), "last_modified": datetime.now()},)
    assert panel.clip.path == str(panel.project.clips_folder / "me.mp4")
    assert len(upload.value) == 0 and "me.mp4" in texts(panel)


def test_the_panel_asks_whose_face_it_is_in_words(panel):
    view = panel.view
    basis, until = view._basis, named(panel, "expires")
    assert "Whose face is it?" in texts(panel) and view._ground.layout.display != "none"
    assert [value for _, value in basis.options] == ["", *GROUNDS]
    assert set(GROUNDS) == set(get_args(Basis))
    assert basis.value == "" and "choose whose face it is" in texts(panel)
    assert RED not in view._agreed.value  # not before it is needed
    with pytest.raises(ValueError, match="expected a choice of whose face"):
        panel.extract()
    assert RED in view._agreed.value
    basis.value = "self"
    assert panel.consent == Subject("B", basis="self")
    assert "It may be used: it is me" in texts(panel) and RED not in view._agreed.value
    assert named(panel, "audience").value == "private"
    until.value = "next year"
    assert "expected a day as YYYY-MM-DD" in texts(panel)
    until.value = "2099-01-01"
    assert panel.consent.expires == "2099-01-01"
    again = ClipPanel(panel.project, "b")
    assert named(again, "expires").value == "2099-01-01" and again.view._basis.value == "self"
    basis.value = ""
    with pytest.raises(ValueError, match="expected a choice of whose face"):
        _ = panel.consent


def test_without_ipywidgets_the_methods_are_named(fresh, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    monkeypatch.setattr(base, "has_widgets", lambda: False)
    fresh._ipython_display_()
    assert "person_b.mp4: 384x384" in shown[0]["text/plain"]
    assert "use_path(path)" in shown[0]["text/plain"]
    assert fresh._view is None
    assert importlib.util.find_spec("ipywidgets")  # else nothing was tested

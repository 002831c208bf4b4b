"""pytest tests/panels/test_page.py: what goes wrong on the one page is said before long work."""

import shutil

import pytest
from IPython.core.interactiveshell import InteractiveShell
from test_clip_panel import films, landmarker, texts  # noqa: F401

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.panels import page
from deepfake_utils.panels.clip import ClipPanel
from deepfake_utils.panels.page import begin, check_faces, has_answer
from deepfake_utils.runs.checkpoint import Checkpoint
from deepfake_utils.runs.project import Clip, Project
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import VideoWriter, read_frames


@pytest.fixture
def pair(tmp_path, landmarker):  # noqa: F811
    """The panels of A and B of a new project, with the samples."""
    project = Project(tmp_path / "project")
    return [ClipPanel(project, person, landmarker) for person in "ab"]


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """A second of person A."""
    path = tmp_path_factory.mktemp("mine") / "me.mp4"
    with VideoWriter(path, fps=25, size_wh=(384, 384)) as writer:
        for frame in read_frames(sample_clips().person_a, 2.0, 3.0):
            writer.write(frame)
    return path


@pytest.fixture
def own(pair, film, films):  # noqa: F811
    """The same with a second of film each, in which both may be used."""
    copy = pair[0].project.root / "me.mp4"
    shutil.copy(film, copy)
    for panel, path in zip(pair, (copy, films / "face.mp4"), strict=True):
        panel.use_path(path)
        panel.agree("self")
    return pair


def test_of_own_clips_all_is_trained_on_and_swapped_unless_cut(own):
    a, b = own
    for panel in own:
        assert panel.training_clip == panel.target_clip == panel.clip and not panel.is_sample
    said = begin(a, b).splitlines()
    assert said[0] == "A: me.mp4, trained on from 0.0 to 1.0 s, swapped from 0.0 to 1.0 s"
    assert said[1] == "B: face.mp4, trained on from 0.0 to 1.0 s"
    a.trim(0.2, 0.8)
    assert a.training_clip == a.target_clip == Clip(a.clip.path, 0.2, 0.8)
    assert not has_answer(a, b)


def test_of_the_sample_the_test_is_swapped_and_not_trained_on(pair):
    a, b = pair
    film = str(sample_clips().person_a)
    assert a.training_clip == Clip(film, 0.0, 14.0) and a.target_clip == Clip(film, 14.0)
    assert has_answer(a, b)
    a.trim(1.0, 16.0)
    assert a.training_clip == Clip(film, 1.0, 14.0) and a.target_clip == Clip(film, 14.0, 16.0)
    assert has_answer(a, b)
    a.trim(0.0, 10.0)
    assert a.training_clip == a.target_clip == Clip(film, 0.0, 10.0) and not has_answer(a, b)
    a.trim(15.0)
    assert a.training_clip == a.target_clip and not has_answer(a, b)  # trained on what it shows


def test_somebody_at_the_page_can_choose_first(pair, monkeypatch):
    assert "person_a.mp4" in begin(*pair, first=True)  # a program is not kept waiting
    monkeypatch.setattr(page, "attended", lambda: True)
    with pytest.raises(ValueError, match="Your turn: choose your two clips in these panels"):
        begin(*pair, first=True)
    assert "Your turn" in texts(pair[0]) and "person_a.mp4" in texts(pair[0])
    assert "swapped from 14.0 to 18.0 s" in begin(*pair)


def test_what_is_missing_is_said_in_the_words_of_the_panel(own):
    a, b = own
    a.agree(None)
    with pytest.raises(ValueError) as stop:
        begin(a, b)
    lines = str(stop.value).splitlines()
    assert lines[0] == "Person A: It may not be used yet: choose whose face it is."
    assert lines[1:] == ["Then run all cells once more."]
    a.agree("self")
    (a.project.root / "me.mp4").unlink()
    again = ClipPanel(a.project, "a", a.landmarker)
    with pytest.raises(ValueError, match=r"Person A: no video at .*me\.mp4"):
        begin(again, b)


def test_one_film_twice_is_told_by_what_is_in_it(own, films):  # noqa: F811
    a, b = own
    other = a.project.root / "other.mp4"
    shutil.copy(films / "face.mp4", other)
    a.use_path(other)
    a.agree("self")
    with pytest.raises(ValueError, match="A and B show the same moments of one film"):
        begin(a, b)
    a.trim(0.0, 0.5)
    b.trim(0.5)  # as a film in which one person is seen after the other
    begin(a, b)


def test_one_film_is_told_though_it_was_cut_and_encoded_again(own, films):  # noqa: F811
    a, b = own
    for panel in own:
        panel.extract(stride=5, size=64)
    check_faces(a, b)
    other = a.project.root / "other.mp4"
    with VideoWriter(other, fps=25, size_wh=(384, 384), quality="small") as writer:
        for frame in read_frames(films / "face.mp4", 0.2):
            writer.write(frame)
    a.use_path(other)
    a.agree("self")
    a.extract(stride=5, size=64)
    begin(a, b)  # their bytes differ
    with pytest.raises(ValueError, match="A and B show the same moments of one film"):
        check_faces(a, b)


def test_a_notebook_shows_the_sentence_and_no_traceback(own, capsys):
    own[0].agree(None)
    shell = InteractiveShell()
    shell.user_ns |= {"panel": own[0], "pair": own, "begin": begin}
    for call in ("panel.extract()", "begin(*pair)"):
        done = shell.run_cell(call)
        shown = capsys.readouterr()
        assert isinstance(done.error_in_exec, ValueError)  # so that the cells below do not run
        told = (shown.out + shown.err).strip().splitlines()
        assert 1 <= len(told) <= 2 and "whose face" in told[0] and "Traceback" not in told[0]


def test_a_run_of_other_clips_is_not_gone_on_with(own, films, tiny, caplog):  # noqa: F811
    a, b = own
    store = a.project.store()
    for panel in own:
        panel.extract(stride=20, size=64)
    store.save(Checkpoint(FaceSwapAutoencoder(tiny), 3, extra={"train": {"steps": 10}}))
    a.extract(stride=20, size=64)  # the same clip
    b.trim(0.1)
    b.extract(stride=20, size=64)  # and of the same another part
    assert store.latest().step == 3
    b.use_path(films / "late.mp4")
    b.agree("self")
    b.extract(stride=20, size=64)
    assert store.latest() is None and "is now in" in caplog.text
    assert (a.project.root / "run-1").is_dir()


def test_a_video_is_known_by_the_film_it_was_made_of(own, films):  # noqa: F811
    a, b = own
    project, video = a.project, a.project.root / "swap.mp4"
    assert project.swapped(video) is None
    shutil.copy(films / "face.mp4", video)
    assert project.swapped(video) is None  # nobody knows where it came from
    project.note_swap(video, a.target_clip, "a smear")
    assert project.swapped(video) == (a.target_clip, b.clip.path, "a smear")
    shutil.copy(films / "late.mp4", video)
    assert project.swapped(video) is None  # it is another one now

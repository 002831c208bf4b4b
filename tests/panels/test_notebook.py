"""pytest tests/panels/test_notebook.py: video players, and the log of a run."""

import json
import math
import time

import pytest
from IPython.display import HTML

from deepfake_utils.panels import RunLog, attended, runtime, show_videos
from deepfake_utils.samples import sample_clips


def test_videos_are_inside_the_page():
    player = show_videos({"A & <B>": sample_clips().person_b_as_a}, width=123)
    assert isinstance(player, HTML)
    assert player.data.count("<video") == 1
    assert "width:123px" in player.data and "A &amp; &lt;B&gt;" in player.data
    assert player.data.count("base64,") == 2  # of the player, and of the link
    assert 'download="person_b_as_a.mp4">Download person_b_as_a.mp4</a>' in player.data
    assert str(sample_clips().person_b_as_a.parent) not in player.data
    assert len(player.data) > sample_clips().person_b_as_a.stat().st_size * 4 / 3


def test_a_missing_video_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video at .*none\.mp4; write it first"):
        show_videos({"x": tmp_path / "none.mp4"})


def test_run_log_adds_up_and_is_written(tmp_path):
    log = RunLog()
    for _ in range(2):
        with log("a"):
            time.sleep(0.06)
    with pytest.raises(RuntimeError), log("b"):
        raise RuntimeError
    summary = log.write(tmp_path / "new" / "s.json", {"score_db": 24.1})
    assert summary == json.loads((tmp_path / "new" / "s.json").read_text(encoding="utf-8"))
    assert summary["score_db"] == 24.1
    assert summary["seconds"]["a"] == pytest.approx(0.1, abs=0.06)
    assert set(summary["seconds"]) == {"a", "b"}
    assert {"python", "torch", "numpy", "av"} <= set(summary["versions"])
    assert summary["peak_memory_mb"] > 100
    assert summary["device"]


def test_a_number_that_is_not_finite_is_null_in_the_log(tmp_path):
    RunLog().write(tmp_path / "s.json", {"scores": {"db": math.nan}})
    assert json.loads((tmp_path / "s.json").read_text())["scores"] == {"db": None}


def test_the_machine_is_told_and_no_time_is_guessed(monkeypatch):
    assert "No GPU here" in runtime() and "(measured)" in runtime()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Some GPU")
    assert runtime().startswith("A GPU: Some GPU.")
    assert not any(letter.isdigit() for letter in runtime())


def test_nobody_sits_at_a_test():
    assert not attended()

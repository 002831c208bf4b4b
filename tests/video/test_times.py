"""pytest tests/video/test_times.py: times as people write them."""

from pathlib import Path

import pytest

import deepfake_utils
from deepfake_utils.video import Time, read_timed_frames, to_seconds

SAMPLE = Path(deepfake_utils.__file__).parent / "data" / "samples" / "person_a.mp4"


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        (2, 2.0),
        (2.5, 2.5),
        ("2", 2.0),
        ("2.5", 2.5),
        ("0:02", 2.0),
        ("00:00:02.500", 2.5),
        ("1:02:03.25", 3723.25),
        (" 90:00 ", 5400.0),
    ],
)
def test_times_as_people_write_them(time: Time, wanted: float) -> None:
    assert to_seconds(time) == wanted


@pytest.mark.parametrize("time", ["", "two", "1:2:3:4", "-1", "1:-2", "0:02s", "nan", ":"])
def test_times_that_are_none_say_so(time: str) -> None:
    with pytest.raises(ValueError, match="expected a time such as"):
        to_seconds(time)


def test_a_part_by_a_players_clock() -> None:
    frames = [time_s for _, time_s in read_timed_frames(SAMPLE, "0:14", "00:00:14.200")]
    assert frames == pytest.approx([14.0, 14.04, 14.08, 14.12, 14.16])

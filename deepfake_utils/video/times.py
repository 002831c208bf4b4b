"""Moments of a film as people write them: 2, 2.5, "0:02" or "00:00:02.500"."""

from __future__ import annotations

import math
import re

Time = float | str  # seconds, or text as of a player's clock

_CLOCK = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def to_seconds(time: Time) -> float:
    """Seconds of a number, or of text such as "2.5", "0:02" or "1:00:02.500".

    Raises:
        ValueError: if the text is none of these.
    """
    if not isinstance(time, str):
        return float(time)
    match = _CLOCK.fullmatch(time.strip())
    if match is None:
        raise ValueError(f'expected a time such as 2.5, "0:02" or "00:00:02.500", got {time!r}')
    seconds = 0.0
    for part in filter(None, match.groups()):
        seconds = seconds * 60.0 + float(part)
    return seconds


def check_segment(start: Time, end: Time | None) -> tuple[float, float | None]:
    """Both in seconds.

    Raises:
        ValueError: unless 0 <= start < end.
    """
    start_s, end_s = to_seconds(start), None if end is None else to_seconds(end)
    if not 0.0 <= start_s < math.inf:
        raise ValueError(f"expected a start of 0 s or later, got {start_s}")
    if end_s is not None and not end_s > start_s:
        raise ValueError(f"expected an end after the start ({start_s} s), got {end_s} s")
    return start_s, end_s

"""The time that a run has been trained for, and what share of its minutes that is."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

RECENT = 9  # turns whose median is the pace: a save or a jump of the clock hardly moves it


class TrainingClock:
    """Counts the time in which a run's loop goes round, from step to step.

    All that happens from `begin` to the loop's end counts: steps, drawing, saving. What lies
    between two loops, and what `leave_out` is told of, does not.

    Args:
        now: seconds of some clock that only runs forward.

    Attributes:
        minutes: length of the whole run; None if it is planned in steps.
        spent_s: seconds of `minutes` trained so far, as of the last step.
        kept_s: seconds of `minutes` to keep for what comes after the last step, such as a save.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.minutes: float | None = None
        self.spent_s = self.kept_s = 0.0
        self._turns: deque[float] = deque(maxlen=RECENT)
        self._mark = 0.0  # up to when it has counted
        self._turn = 0.0  # seconds of the turn that is going on
        self._warm = False  # the first turn also loads libraries, and says nothing of the next

    @property
    def turn_s(self) -> float:
        """Seconds from one step to the next lately; 0 before it is known."""
        return statistics.median(self._turns) if self._turns else 0.0

    @property
    def left_s(self) -> float:
        """Seconds of training that are left of `minutes`; infinite if there are none."""
        if self.minutes is None:
            return float("inf")
        return max(0.0, 60.0 * self.minutes - self.spent_s)

    @property
    def last_s(self) -> float:
        """With so few seconds left the next step is the last: half a turn at most comes after."""
        return 1.5 * self.turn_s + self.kept_s

    def begin(self) -> None:
        """Count from now on."""
        self._mark, self._turn = self.now(), 0.0

    def count(self, turn: bool = False) -> None:
        """Add the time since the last call.

        Args:
            turn: whether a turn of the loop ends here, by which the pace is measured.
        """
        now = self.now()
        passed = max(0.0, now - self._mark)
        self._mark = now
        self._turn += passed
        if self.minutes is not None:
            self.spent_s += passed
        if turn:
            if self._warm:
                self._turns.append(self._turn)
            self._turn, self._warm = 0.0, True

    def leave_out(self, seconds: float) -> None:
        """Do not count so much of the time since the last step, such as a pause."""
        self._mark += seconds

    def share(self, last_s: float) -> float:
        """The share of `minutes` that has passed, 0..1.

        Args:
            last_s: the share is 1 if no more seconds than these are left, see the property.
        """
        if self.minutes is None:
            raise ValueError("expected a run of so many minutes, got one planned in steps")
        return 1.0 if self.left_s <= last_s else self.spent_s / (60.0 * self.minutes)

    def end(self) -> None:
        """Be at the end of `minutes`: what is left of them is too short for a step."""
        if self.minutes is not None:
            # Not a sum, whose rounding would leave a run of some process unfinished.
            self.spent_s = max(self.spent_s, 60.0 * self.minutes)

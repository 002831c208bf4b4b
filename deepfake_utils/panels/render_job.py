"""A swap under way: how far it is, when it will be done, and how to stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from ..rendering import SwapReport

PAUSE_S = 0.2  # between two reports of progress; a browser need not hear of every frame

Tell: TypeAlias = Callable[[int, int], None]  # frames done, frames in all


class Progress(NamedTuple):
    """How far a swap is."""

    done: int  # frames written
    total: int  # frames that there will be
    seconds: float  # since it began

    @property
    def eta_s(self) -> float:
        """Seconds to go, at the pace so far."""
        return self.seconds / max(1, self.done) * (self.total - self.done)

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.eta_s), 60)
        left = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        return f"{self.done} of {self.total} frames, {left} to go"


class RenderJob:
    """Runs a swap here or in a thread, one at a time, as often as asked.

    Args:
        work: makes the swap; calls what it is given with frames done and frames in all.
        changed: called when there is something new to show, from the thread that works.
    """

    def __init__(
        self, work: Callable[[Tell], SwapReport], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._work, self._changed = work, changed
        self._busy, self._stop = threading.Lock(), threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="swap")
        self._future: Future[SwapReport] | None = None
        self.progress: Progress | None = None  # of the run under way or the last one
        self.report: SwapReport | None = None  # of the last run, if it came to its end
        self.error: Exception | None = None  # what ended the last run, if it did not

    @property
    def running(self) -> bool:
        """Whether a swap is under way."""
        return self._busy.locked()

    def run(self) -> SwapReport:
        """Make the swap here and wait for it.

        Raises:
            RuntimeError: if one is under way.
            CancelledError: if `cancel` was called meanwhile.
        """
        self._begin()
        return self._run()

    def start(self) -> None:
        """Make the swap in a thread; `wait` waits for it.

        Raises:
            RuntimeError: if one is under way.
        """
        self._begin()
        self._future = self._pool.submit(self._run)

    def cancel(self) -> None:
        """Stop the swap after the frame it is at; nothing of it stays. Without one, do nothing."""
        self._stop.set()

    def wait(self) -> SwapReport:
        """Wait for the swap that `start` began.

        Raises:
            RuntimeError: if there was none.
            CancelledError: if it was stopped; any other error that ended it is raised, too.
        """
        if self._future is None:
            raise RuntimeError("expected a rendering that was started, got none; call start()")
        return self._future.result()

    def _begin(self) -> None:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(
                "expected no other rendering, got one under way; wait() for it or cancel() it"
            )
        self._stop.clear()
        self.progress = self.report = self.error = None
        self._changed()

    def _run(self) -> SwapReport:
        began_s = told_s = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal told_s
            if self._stop.is_set():
                raise CancelledError(f"stopped after {done} of {total} frames")
            now_s = time.monotonic()
            self.progress = Progress(done, total, now_s - began_s)
            if now_s - told_s >= PAUSE_S:
                told_s = now_s
                self._changed()

        try:
            self.report = self._work(tell)
            return self.report
        except Exception as error:
            self.error = error
            raise
        finally:
            self._busy.release()
            self._changed()

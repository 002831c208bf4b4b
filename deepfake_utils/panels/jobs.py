"""Long work in a thread or here: how far it is, how to pause and stop it, and to ask in between."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast

Result = TypeVar("Result")
Answer = TypeVar("Answer")
JobState = Literal["ready", "running", "paused", "stopped", "finished", "failed"]
Wish = Literal["run", "pause", "stop"]

TOLD_EVERY_S = 0.2  # between two reports of progress; a browser need not hear of every frame


class Progress(NamedTuple):
    """How far a video is."""

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


class Job(Generic[Result]):
    """Does `work`, one run at a time, as often as asked: here (`run`) or in a thread (`start`).

    Args:
        name: of the work and its thread; `working` finds a job by it.
        work: what to do; given this job, it calls `between` or `tell` after each step.
        changed: called, where the work is done, when it begins, goes on by `tell`, or has ended.
        owner: whose work it is.

    Attributes:
        state: where it is; "stopped" if it ended early because of `stop` or an interrupt.
        progress: what `tell` said last in this run or the last one.
        result: what the last run gave; None if there was none, or it did not come to its end.
        error: what ended the last run too early; a CancelledError if `tell` did because of `stop`.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Job[Result]], Result],
        changed: Callable[[], None] = lambda: None,
        owner: object = None,
    ) -> None:
        self.name, self.owner, self._work, self._changed = name, owner, work, changed
        self.state: JobState = "ready"
        self.progress: Progress | None = None
        self.error: Exception | None = None
        self.result: Result | None = None
        self._wish: Wish = "run"
        self._asked: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._moved = threading.Condition()  # guards the state, the wish and what is asked
        self._thread: _Thread | None = None
        self._worker = 0  # the thread that works, be it this program's main one
        self._began_s = self._told_s = 0.0

    # For whoever wants it done ----------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it is under way, be it paused."""
        return self.state in ("running", "paused")

    def run(self) -> Result:
        """Do it here.

        Raises:
            RuntimeError: if it is under way.
            Exception: what ended it too early; CancelledError if it was stopped.
        """
        self._begin()
        self._thread = None
        self._do()
        return self.outcome()

    def start(self) -> None:
        """Do it in a thread; `wait` waits for it.

        Raises:
            RuntimeError: if it is under way.
        """
        self._begin()
        self._thread = _Thread(self)
        self._thread.start()

    def pause(self) -> None:
        """Stand still after the step that is running; returns once it does, or has ended."""
        with self._moved:
            self._wish = "pause"
            self._moved.notify_all()
            self._moved.wait_for(lambda: self.state != "running")

    def go_on(self) -> None:
        """Work again after `pause`."""
        self._want("run")

    def stop(self) -> None:
        """End after the step that is running; `wait` waits for it. Without a run, do nothing."""
        self._want("stop")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread's end, or so long; whether it has ended, or never began."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def outcome(self) -> Result:
        """What the last run gave.

        Raises:
            RuntimeError: if there was none.
            Exception: what ended it too early; CancelledError if it was stopped.
        """
        if self.state == "ready":
            raise RuntimeError("expected work that was started, got none; call start()")
        if self.error is not None:
            raise self.error
        return cast(Result, self.result)

    def ask(self, do: Callable[[], Answer]) -> Answer:
        """Have something done between two steps, or here if nothing is under way.

        Raises:
            Exception: what `do` raises.
        """
        answer: Future[Answer] = Future()
        with self._moved:
            taken = self.running and threading.get_ident() != self._worker
            if taken:
                self._asked.append((answer, do))
                self._moved.notify_all()
        return answer.result() if taken else do()

    # For the work -----------------------------------------------------------------------------

    def between(self, hold: Callable[[], None] = lambda: None) -> bool:
        """For `work` to call after each step: does what was asked for, and waits if paused.

        Args:
            hold: called once at the beginning of a pause.

        Returns:
            False if the work shall end.
        """
        while True:
            self._serve()
            wish = self._wish
            if wish == "pause" and self.state != "paused":
                hold()
            with self._moved:
                if self._wish != wish:  # changed meanwhile
                    continue
                self.state = "paused" if wish == "pause" else "running"
                if self._asked:
                    continue
                if wish != "pause":
                    return wish == "run"
                self._moved.notify_all()
                self._moved.wait()

    def tell(self, done: int, total: int) -> None:
        """For `work` to call after each of its frames, instead of `between`.

        Raises:
            CancelledError: if the work shall end.
        """
        if not self.between():
            raise CancelledError(f"stopped after {done} of {total} frames")
        now_s = time.monotonic()
        self.progress = Progress(done, total, now_s - self._began_s)
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            self._changed()

    # ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._moved:
            if self.running:
                raise RuntimeError(
                    f"expected no other {self.name}, got one under way; wait for it or stop it"
                )
            self.state, self._wish, self._worker = "running", "run", 0
        self.progress = self.error = self.result = None
        self._changed()

    def _do(self) -> None:
        self._worker = threading.get_ident()
        self._began_s = self._told_s = time.monotonic()
        state: JobState = "stopped"  # also if it is interrupted
        try:
            self.result = self._work(self)
            if self._wish != "stop":
                state = "finished"
        except CancelledError as error:
            self.error = error
        except Exception as error:  # whatever it is: in a thread nobody else would ever see it
            self.error, state = error, "failed"
        finally:
            with self._moved:
                self.state = state
                self._moved.notify_all()
            self._serve()
            self._changed()

    def _want(self, wish: Wish) -> None:
        with self._moved:
            self._wish = wish
            if self.state == "paused":
                self.state = "running"
            self._moved.notify_all()

    def _serve(self) -> None:
        while self._asked:
            answer, do = self._asked.popleft()
            try:
                answer.set_result(do())
            except Exception as error:  # it is for whoever asked
                answer.set_exception(error)


class _Thread(threading.Thread):
    def __init__(self, job: Job[Any]) -> None:
        # A daemon, or a kernel could not be shut down.
        super().__init__(name=job.name, target=job._do, daemon=True)
        self.job = job


def working(name: str) -> Job[Any] | None:
    """The job of that name which is under way in a thread of this program, if there is one."""
    jobs = (each.job for each in threading.enumerate() if isinstance(each, _Thread))
    return next((job for job in jobs if job.name == name and job.running), None)

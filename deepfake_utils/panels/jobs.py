"""A thread that works step by step and can be paused, stopped, and asked for things in between."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

Result = TypeVar("Result")


class Worker(threading.Thread):
    """Does `work`, which calls `between` after each step.

    Args:
        name: of the thread.
        work: what to do; given this worker.
        ended: called in the thread at its end, however that came.
        owner: whose work it is; `working` finds it by the name.

    Attributes:
        error: what ended the work too early, if anything did.
        holding: True while it stands still because of `pause`.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Worker], None],
        ended: Callable[[], None],
        owner: object,
    ) -> None:
        super().__init__(name=name, daemon=True)  # or a kernel could not be shut down
        self.owner, self._work, self._ended = owner, work, ended
        self.error: Exception | None = None
        self.holding = False
        self._wish: Literal["run", "pause", "stop"] = "run"
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._open = True  # jobs are taken
        self._changed = threading.Condition()

    def run(self) -> None:
        """The thread's own; call `start`."""
        try:
            self._work(self)
        except Exception as error:  # whatever it is: nobody else would ever see it
            self.error = error
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._serve()
        self._ended()

    @property
    def done(self) -> bool:
        """True once the work has ended, though the thread may still say so."""
        return not self._open

    def pause(self) -> None:
        """Stand still after the step that is running; returns once it does, or has ended."""
        with self._changed:
            self._wish = "pause"
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.holding or not self._open)

    def go_on(self) -> None:
        """Work again after `pause`."""
        self._want("run")

    def stop(self) -> None:
        """Have `between` say that it is enough; `join` waits for the end."""
        self._want("stop")

    def ask(self, do: Callable[[], Result]) -> Result:
        """Have something done between two steps, or by this thread if the worker does nothing.

        Raises:
            Exception: what `do` raises.
        """
        if threading.current_thread() is self:
            return do()
        job: Future[Result] = Future()
        with self._changed:
            taken = self._open
            if taken:
                self._jobs.append((job, do))
                self._changed.notify_all()
        return job.result() if taken else do()

    def between(self, hold: Callable[[], None]) -> bool:
        """For `work` to call after each step: does what was asked for, and waits if paused.

        Args:
            hold: called once at the beginning of a pause.

        Returns:
            False if the work shall end.
        """
        while True:
            self._serve()
            if self._wish == "pause" and not self.holding:
                hold()
            with self._changed:
                self.holding = self._wish == "pause"
                if self._jobs:
                    continue
                if not self.holding:
                    return self._wish == "run"
                self._changed.notify_all()
                self._changed.wait()

    def _want(self, wish: Literal["run", "pause", "stop"]) -> None:
        with self._changed:
            self._wish, self.holding = wish, False
            self._changed.notify_all()

    def _serve(self) -> None:
        while self._jobs:
            job, do = self._jobs.popleft()
            try:
                job.set_result(do())
            except Exception as error:  # it is for whoever asked
                job.set_exception(error)


def working(name: str) -> Worker | None:
    """The worker of that name which is at work in this program, if there is one."""
    found = (each for each in threading.enumerate() if isinstance(each, Worker))
    return next((each for each in found if each.name == name), None)

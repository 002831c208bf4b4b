"""pytest tests/panels/test_jobs.py: work in a thread or here, paused, stopped and asked."""

import threading
import time
from concurrent.futures import CancelledError

import pytest

from deepfake_utils.panels.jobs import Job, Progress, working


def count(job):
    """Steps until it is told to stop."""
    steps = 0
    while job.between():
        steps += 1
        time.sleep(0.001)
    return steps


@pytest.fixture
def job():
    made = Job("counting", count, owner="me")
    yield made
    made.stop()
    assert made.wait(20)


def test_it_pauses_goes_on_and_stops(job):
    assert job.state == "ready" and job.wait() and working("counting") is None
    job.start()
    assert job.running and working("counting") is job and working("counting").owner == "me"
    job.pause()
    assert job.state == "paused" and job.running
    with pytest.raises(RuntimeError, match="expected no other counting, got one under way"):
        job.start()
    job.go_on()
    assert job.state == "running" and not job.wait(0.01)
    job.stop()
    assert job.wait(20) and job.state == "stopped"
    assert job.outcome() == job.result >= 0 and working("counting") is None


def test_a_pause_is_announced_once(job):
    held = []

    def work(job):
        while job.between(lambda: held.append(threading.current_thread().name)):
            time.sleep(0.001)

    other = Job("holding", work)
    other.start()
    other.pause()
    assert other.ask(lambda: 5) == 5
    assert held == ["holding"]
    other.stop()
    assert other.wait(20)


def test_what_is_asked_is_done_between_two_steps_by_its_thread(job):
    name = threading.current_thread().name
    assert job.ask(lambda: threading.current_thread().name) == name  # nothing is under way
    job.start()
    for _ in range(2):  # running and paused
        assert job.ask(lambda: threading.current_thread().name) == "counting"
        with pytest.raises(ZeroDivisionError):
            job.ask(lambda: 1 / 0)
        assert job.ask(lambda: job.ask(lambda: 3)) == 3  # by the thread itself
        job.pause()


def test_here_or_in_a_thread_it_gives_the_same_and_says_when_it_changed():
    said = []

    def work(job):
        for done in range(3):
            job.tell(done + 1, 3)
        return "film"

    job = Job("work", work, lambda: said.append(job.state))
    assert job.run() == "film" and said == ["running", "finished"]
    assert job.progress[:2] == (3, 3) and job.state == "finished"
    job.start()
    assert job.wait(20) and job.outcome() == "film"


def test_stopping_ends_tell_with_an_error():
    begun = threading.Event()

    def work(job):
        for done in range(10_000):
            job.tell(done, 10_000)
            begun.set()
            time.sleep(0.001)

    job = Job("work", work)
    job.start()
    assert begun.wait(20)
    job.stop()
    assert job.wait(20) and job.state == "stopped" and job.result is None
    with pytest.raises(CancelledError, match=r"stopped after \d+ of 10000 frames"):
        job.outcome()


def test_what_goes_wrong_is_kept_and_the_next_run_begins_anew():
    ends = iter([ValueError("no"), KeyboardInterrupt(), None])

    def work(job):
        if (error := next(ends)) is not None:
            raise error
        return 1

    job = Job("work", work)
    with pytest.raises(RuntimeError, match=r"call start\(\)"):
        job.outcome()
    with pytest.raises(ValueError, match="no"):
        job.run()
    assert job.state == "failed" and isinstance(job.error, ValueError)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    assert job.state == "stopped" and job.error is None
    assert job.run() == 1


def test_progress_says_what_is_left():
    assert str(Progress(25, 100, 10.0)) == "25 of 100 frames, 30 s to go"
    assert str(Progress(1, 101, 2.0)) == "1 of 101 frames, 3 min 20 s to go"

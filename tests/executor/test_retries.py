"""Calls that raise what `retry_on` names run again: on a real Hub of this machine."""

from __future__ import annotations

import time
from concurrent.futures import wait
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest
import tenacity

import hfexecutor
from hfexecutor.events import CallRetried

NOW = tenacity.wait_none()


class Flaky(ConnectionError):
    pass


@dataclass(frozen=True)
class Frozen(Exception):
    """Lets nothing be set, not even its notes."""

    text: str


def until_third(path: str, kind: type[BaseException] = Flaky) -> str:
    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write("x")
    if (count := len(Path(path).read_text())) < 3:
        raise kind(f"try {count}")
    return f"try {count}"


def test_a_call_runs_again_until_it_returns(make, tmp_path):
    heard = []
    with make(1, retry_on=ConnectionError, retry_wait=NOW) as executor:
        executor.events.listen(heard.append)
        future = executor.submit(until_third, str(tmp_path / "tries"))
        assert future.result(60) == "try 3"
        assert executor.stats().retried == 2
        assert (executor.stats().done, executor.stats().failed) == (1, 0)
    retried = [event for event in heard if isinstance(event, CallRetried)]
    assert [(event.call, event.seconds) for event in retried] == [(1, 0.0), (1, 0.0)]
    assert "attempt 2 ended with Flaky: try 2; job" in str(retried[1])


@pytest.mark.parametrize("kind", [Flaky, Frozen])
def test_the_last_error_comes_with_notes_on_the_attempts_before_it(make, tmp_path, kind):
    with make(1, retry_on=(Flaky, Frozen), retry_wait=NOW, max_retries=1) as executor:
        error = executor.submit(until_third, str(tmp_path / "tries"), kind).exception(60)
    assert type(error) is kind
    (note,) = error.__notes__
    assert note.startswith(f"attempt 1 ended with {kind.__name__}")
    assert "try 1" in note
    if kind is Frozen:
        with pytest.raises(FrozenInstanceError):
            error.text = "other"


def test_it_runs_again_elsewhere_after_its_pause(make, tmp_path):
    def where(path: str) -> str:
        import os

        until_third(path)
        return os.environ["JOB_ID"]

    pauses = tenacity.wait_fixed(0.3)
    with make(2, retry_on=Flaky, retry_wait=pauses) as executor:
        wait([executor.submit(time.sleep, 0.2) for _ in range(2)])  # two jobs are up
        begun = time.monotonic()
        future = executor.submit(where, str(tmp_path / "tries"))
        future.result(60)
        assert time.monotonic() - begun > 0.6
        jobs = executor.stats().jobs_started
    assert jobs == 2


def test_what_nobody_names_is_not_retried_nor_what_was_killed(make, tmp_path):
    with make(1, retry_on=KeyError, retry_wait=NOW) as executor:
        path = tmp_path / "tries"
        assert type(executor.submit(until_third, str(path)).exception(60)) is Flaky
        assert path.read_text() == "x"
        running = executor.submit(time.sleep, 60)
        while not running.running():
            time.sleep(0.01)
        running.kill()
        assert isinstance(running.exception(60), hfexecutor.CallStoppedError)


def test_an_error_of_ours_is_retried_where_it_is_named(make, tmp_path):
    def hang_once(path: str) -> str:
        if not Path(path).exists():
            Path(path).touch()
            time.sleep(60)
        return "done"

    options = {"call_timeout": 0.5, "retry_wait": NOW}
    with make(1, retry_on=hfexecutor.CallTimeoutError, **options) as executor:
        assert executor.submit(hang_once, str(tmp_path / "once")).result(60) == "done"


def test_a_call_that_waits_for_its_next_attempt_can_be_stopped(make, tmp_path):
    with make(1, retry_on=Flaky, retry_wait=tenacity.wait_fixed(3600)) as executor:
        retried = iter(executor.events)
        future = executor.submit(until_third, str(tmp_path / "tries"))
        next(event for event in retried if isinstance(event, CallRetried))
        assert future.running()
        assert not future.cancel()
        future.kill()
        error = future.exception(10)
        assert isinstance(error, hfexecutor.CallStoppedError)
        assert "attempt 1" in error.__notes__[0]

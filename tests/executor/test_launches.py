"""Launches: repeated where that is safe, dropped where nobody wants them, paid for once."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.runtime.launcher import PLACES

from .conftest import MODES, until
from .test_bad_input import another_python

POST = "POST /api/jobs/{namespace}"

pytestmark = pytest.mark.usefixtures("short_looks", "short_patience")


def sign(path: str, n: int, seconds: float = 0.0) -> int:
    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write(f"{n}\n")
    time.sleep(seconds)
    return n * n


def executed(path: Path) -> Counter[int]:
    return Counter(map(int, path.read_text().split())) if path.exists() else Counter()


def still_running(hub: LocalHub) -> list[str]:
    return [job.id for job in hub.jobs() if job.stage in {"RUNNING", "SCHEDULING"}]


# --- without retries ----------------------------------------------------------------------------

# One row for each way that the edge takes: an answer that says nothing, none at all, and lists that
# do not show the job. tests/simulation draws the rest, and tests/faults has them with retries.
UNCLEAR = {
    "answered 500": [f.Refuse(500, route=POST, times=1)],
    "reset, and created": [f.Reset(route=POST, nth=1, after=True)],
    "answered 500, created, and often missed": [
        f.Refuse(500, route=POST, nth=1, after=True),
        f.MissJob(probability=0.7),
    ],
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_a_launch_without_a_clear_answer_costs_a_warm_worker_no_call(
    case: str, tmp_path: Path
) -> None:
    """With `max_retries=0`, too: calls go only to the one job that is known."""
    path = tmp_path / "ran"
    with LocalHub(faults=UNCLEAR[case], seed=3) as hub:
        with HubExecutor(2, endpoint=hub.endpoint, token=hub.token, max_retries=0) as executor:
            futures = [executor.submit(sign, str(path), n, 0.05) for n in range(12)]
            assert [future.result(60) for future in futures] == [n * n for n in range(12)]
        assert still_running(hub) == []
    assert executed(path) == Counter(range(12))


def test_where_there_is_no_door_the_error_says_what_is_known() -> None:
    with LocalHub(faults=[f.Refuse(500, route=POST, nth=1)]) as hub:
        with HubExecutor(
            1, endpoint=hub.endpoint, token=hub.token, max_retries=0, reuse_workers=False
        ) as executor:
            begun = time.monotonic()
            error = executor.submit(pow, 2, 3).exception(120)
            took = time.monotonic() - begun
    assert isinstance(error, hfexecutor.HubUnavailableError)
    text = str(error)
    assert "500" in text  # what was answered
    assert "max_retries=0" in text  # why it was not repeated
    claimed = [float(number) for number in re.findall(r"([\d.]+) s\b", text)]
    assert claimed, text  # how long it was looked for
    assert max(claimed) <= took + 1, text


def test_where_there_is_no_door_a_launch_that_is_found_runs_its_call(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    with LocalHub(faults=[f.Refuse(500, route=POST, nth=1, after=True)]) as hub:
        with HubExecutor(
            1, endpoint=hub.endpoint, token=hub.token, max_retries=0, reuse_workers=False
        ) as executor:
            assert executor.submit(sign, str(path), 3).result(60) == 9
        assert still_running(hub) == []
    assert executed(path) == Counter([3])


# --- after a stop ---------------------------------------------------------------------------------


def exit_with_an_error(executor: HubExecutor, futures: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), executor:
        1 / 0  # noqa: B018


def cancel_all(executor: HubExecutor, futures: list[Any]) -> None:
    assert all(future.cancel() for future in futures)


def shut_down(executor: HubExecutor, futures: list[Any]) -> None:
    executor.shutdown(wait=True, cancel_futures=True)


# What a launch waits for, and how it comes that nobody wants it any more. Which launches are
# dropped is the core's to say, for every stop (tests/unit/core/test_machine.py); here it is heard.
DROPPED = {
    "an answer to others": ([f.Slow(route=POST, seconds=0.5)], shut_down, True),
    "the rate limit": ([f.Refuse(429, route=POST, times=1, retry_in=3)], cancel_all, True),
    "another try": ([f.Refuse(503, route=POST)], exit_with_an_error, False),
    "a connection": ([f.Reset(route=POST)], cancel_all, False),
}


@pytest.mark.parametrize("case", DROPPED)
def test_a_launch_that_was_not_sent_is_dropped(case: str) -> None:
    faults, stop, warm = DROPPED[case]
    with LocalHub(faults=faults) as hub:
        with HubExecutor(
            60, endpoint=hub.endpoint, token=hub.token, reuse_workers=warm
        ) as executor:
            futures = [executor.submit(pow, 2, n) for n in range(60)]
            until(lambda: hub.requests[POST] > 0)
            before = hub.requests[POST]
            stop(executor, futures)
            assert wait(futures, 60).not_done == set()
        # Nobody is left who could send one, and all that were under way have arrived.
        assert hub.requests[POST] <= before + PLACES
        assert still_running(hub) == []


def test_any_number_of_workers_can_be_stopped_while_they_wait(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For minutes, if they were waited for."""
    caplog.set_level(logging.ERROR, "hfexecutor")
    workers = 600
    with LocalHub(faults=[f.Refuse(429, route=POST, retry_in=300)]) as hub:
        with pytest.raises(ZeroDivisionError):
            with HubExecutor(
                workers, endpoint=hub.endpoint, token=hub.token, reuse_workers=MODES[mode]
            ) as executor:
                futures = [executor.submit(pow, 2, n) for n in range(workers)]
                until(lambda: hub.requests[POST] > 0)
                1 / 0  # noqa: B018
        assert all(future.done() for future in futures)
        assert still_running(hub) == []
    until(lambda: not [t for t in threading.enumerate() if t.name == "hfexecutor-pool"])
    assert [record.getMessage() for record in caplog.records] == []


# --- what can never work --------------------------------------------------------------------------


def test_a_wrong_python_is_paid_for_once(
    hub: LocalHub, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job of that image can ever run a call, so no second one is started to learn it again."""
    found = another_python()
    if found is None:
        pytest.skip("there is no other Python on this machine")
    version, path = found
    # See tests/executor/test_bad_input.py: an image that does not keep its name's promise.
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    image = f"ghcr.io/astral-sh/uv:python{version}-bookworm"
    monkeypatch.setattr("hfexecutor.options.default_image", lambda: image)

    before = hub.requests[POST]
    with HubExecutor(
        1, endpoint=hub.endpoint, token=hub.token, reuse_workers=MODES[mode]
    ) as executor:
        first = executor.submit(pow, 2, 3).exception(60)
        assert isinstance(first, hfexecutor.PythonMismatchError), repr(first)
        for _ in range(3):
            again = error_of_a_call(executor)
            assert isinstance(again, (hfexecutor.PythonMismatchError, hfexecutor.BrokenHubExecutor))
            assert f"Python {version}" in str(again)
        assert executor.stats().jobs_started == 1
    assert hub.requests[POST] == before + 1


@pytest.mark.parametrize("image", ["python:3.11-slim", "ubuntu:24.04"])
def test_an_image_without_uv_is_named_and_paid_for_once(hub: LocalHub, image: str) -> None:
    """Also where the call needs no package: it is uv that starts the job."""
    with HubExecutor(1, endpoint=hub.endpoint, token=hub.token, image=image) as executor:
        error = executor.submit(pow, 2, 3).exception(60)
        assert isinstance(error, hfexecutor.JobFailedError)
        assert "Its image has no uv, with which jobs are started: add it, as in `COPY" in str(error)
        assert executor.stats().jobs_started == 1


def error_of_a_call(executor: HubExecutor) -> BaseException | None:
    """Return what a call ends with, at `submit` or on its future."""
    try:
        return executor.submit(pow, 2, 3).exception(60)
    except hfexecutor.HubExecutorError as error:
        return error

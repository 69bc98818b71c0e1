"""Warm workers, whether a door's address comes with the launch or once the job runs."""

from __future__ import annotations

import time
from pathlib import Path

from hfexecutor import CallStoppedError, HubExecutor
from hfexecutor.local import LocalHub

from .conftest import until


def executor_of(hub: LocalHub, max_workers: int = 2) -> HubExecutor:
    return HubExecutor(max_workers, endpoint=hub.endpoint, token=hub.token, slots_per_job=1)


def test_calls_go_through_the_door(hub_that_tells: LocalHub) -> None:
    with executor_of(hub_that_tells) as executor:
        assert list(executor.map(abs, range(-300, 0))) == list(range(300, 0, -1))
    assert hub_that_tells.requests["POST door"] > 0
    assert hub_that_tells.requests["POST /api/jobs/{namespace}"] == 2
    assert [job.stage for job in hub_that_tells.jobs() if job.stage == "ERROR"] == []


def test_a_large_argument_and_a_large_result(hub_that_tells: LocalHub) -> None:
    data = bytes(3 << 20)
    with executor_of(hub_that_tells, 1) as executor:
        assert executor.submit(bytes.upper, data).result(60) == data


def begin_and_sleep(path: str) -> None:
    Path(path).touch()
    time.sleep(60)


def test_a_running_call_is_stopped(hub_that_tells: LocalHub, tmp_path: Path) -> None:
    with executor_of(hub_that_tells, 1) as executor:
        stopped = executor.submit(begin_and_sleep, str(tmp_path / "begun"))
        until((tmp_path / "begun").exists)
        until(stopped.running)  # before the client has heard of it, a kill is a cancel
        assert stopped.kill()
        assert isinstance(stopped.exception(60), CallStoppedError)
        assert executor.submit(abs, -2).result(60) == 2

"""Where a job's port cannot be used, calls still run: on one-shot jobs that take several each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hfexecutor import HubExecutor
from hfexecutor.core.rules import Rules
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.doors import DoorRejectedError
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.runtime import runner

POST = "POST /api/jobs/{namespace}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RULES", Rules(door_wait=0.5))


def results(hub: LocalHub, workers: int = 2) -> Iterator[Any]:
    with HubExecutor(workers, endpoint=hub.endpoint, token=hub.token) as executor:
        assert "warm workers" in repr(executor)
        assert list(executor.map(pow, range(30), [2] * 30)) == [n * n for n in range(30)]
        assert "one-shot jobs" in repr(executor)
        yield executor.stats()
    assert hub.running == 0


def test_a_door_that_nobody_opens() -> None:
    with LocalHub(faults=[f.DoorFault(how="refuse")]) as hub:
        for stats in results(hub):
            assert stats.done == 30


def test_a_door_that_nobody_opens_to_the_only_worker() -> None:
    with LocalHub(faults=[f.DoorFault(how="drop")]) as hub:
        for stats in results(hub, workers=1):
            assert stats.done == 30


def test_a_door_that_is_no_place_for_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reject(*_: Any, **__: Any) -> bytes:
        raise DoorRejectedError("The token is not sent there", 0)

    monkeypatch.setattr(HubClient, "knock", reject)
    with LocalHub() as hub:
        for stats in results(hub):
            assert stats.jobs_started < 30


def test_a_door_whose_address_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    list_jobs = HubClient.list_jobs

    async def without(*args: Any, **options: Any) -> list[Any]:
        jobs = await list_jobs(*args, **options)
        return [job.model_copy(update={"expose_urls": ()}) for job in jobs]

    monkeypatch.setattr(HubClient, "list_jobs", without)
    with LocalHub(expose_urls="running") as hub:
        for stats in results(hub):
            assert stats.jobs_started < 30


def test_a_hub_that_exposes_no_port() -> None:
    with LocalHub(faults=[f.Refuse(400, message="no ports here", route=POST, times=1)]) as hub:
        for stats in results(hub, workers=1):
            assert stats.failed == 0


def test_what_was_refused_at_a_door_is_run_elsewhere_at_once(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., HubExecutor]
) -> None:
    knock = HubClient.knock
    seen = []

    async def reject_third(*args: Any, **options: Any) -> bytes:
        seen.append(1)
        if len(seen) == 3:
            raise DoorRejectedError("The door answered 409.", 409)
        return await knock(*args, **options)

    monkeypatch.setattr(HubClient, "knock", reject_third)
    with make(1, idle_timeout=60) as executor:
        for n in range(10):
            assert executor.submit(pow, n, 2).result(20) == n * n

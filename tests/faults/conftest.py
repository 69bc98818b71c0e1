"""The table's machinery: run calls on a hub that misbehaves, and look at everything afterwards."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from hfexecutor import HubExecutor, HubFuture
from hfexecutor.local import LocalHub, Timings

DEADLINE = 60.0  # seconds for all calls of a row; none comes near it


def work(path: str, n: int, seconds: float = 0.0) -> int:
    """Sign that the call was executed, print a line, and return the square."""
    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write(f"{n}\n")
    print(f"line of call {n}")
    time.sleep(seconds)
    return n * n


def die(path: str, n: int, seconds: float = 0.0) -> None:
    """Sign, and kill the whole job: the supervisor, too."""
    import signal

    work(path, n, seconds)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@dataclass
class Run:
    """What a row did."""

    futures: list[HubFuture[Any]]
    executed: Counter[int]
    hub: LocalHub
    stats: Any = None
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", autouse=True)
def by_value(request: pytest.FixtureRequest) -> Iterator[None]:
    """Send the functions of this module and the test's along: jobs have no such files."""
    modules = [sys.modules[__name__], request.module]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Run calls under faults; when it returns the executor is shut down."""

    def run(
        faults: list[Any],
        *,
        warm: bool = True,
        calls: int = 6,
        seconds: float = 0.0,
        call: Callable[..., Any] = work,
        timings: Timings | None = None,
        log_window: int | None = None,
        expose_urls: str = "launch",
        seed: int = 0,
        max_workers: int = 2,
        give_up_after: float = 20.0,
        **options: Any,
    ) -> Run:
        path = tmp_path / "executed"
        with LocalHub(
            timings=timings,
            faults=faults,
            seed=seed,
            log_window=log_window,
            expose_urls=expose_urls,
        ) as hub:
            begun = time.monotonic()
            with HubExecutor(
                max_workers,
                endpoint=hub.endpoint,
                token=hub.token,
                namespace=hub.namespace,
                reuse_workers=warm,
                give_up_after=give_up_after,
                **{"slots_per_job": 1} | options,  # more than one job
            ) as executor:
                futures = [executor.submit(call, str(path), n, seconds) for n in range(calls)]
                wait(futures, DEADLINE)
                took = time.monotonic() - begun
                stats = executor.stats()
            signed = path.read_text().split() if path.exists() else []
            result = Run(futures, Counter(map(int, signed)), hub, stats, took)
            result.left = [job.id for job in hub.jobs() if job.stage in {"RUNNING", "SCHEDULING"}]
        return result

    return run


@pytest.fixture(autouse=True)
def lists_that_are_up_to_date(short_looks: None) -> None:
    """Look for unclear launches for a moment only: no row with one has lists that lag."""


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """After every row: no thread of a pool, and soon none of a launch.

    The pool does not wait for a launch that hangs. But its hub is closed by now, so even that one
    has nothing left to hang on: no row is an exception.
    """
    before = set(threading.enumerate())

    def left(name: str) -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name == name and t not in before]

    yield
    assert not left("hfexecutor-pool")
    deadline = time.monotonic() + 60.0
    while left("hfexecutor-launch") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left("hfexecutor-launch")

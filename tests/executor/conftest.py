"""One embedded Hub for these tests, and executors in both modes on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub

MODES = {"warm": True, "cold": False}


@pytest.fixture(scope="module", autouse=True)
def by_value(request: pytest.FixtureRequest) -> Iterator[None]:
    """Send this module's functions along: jobs have no such file."""
    cloudpickle.register_pickle_by_value(request.module)
    yield
    cloudpickle.unregister_pickle_by_value(request.module)


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as running:
        yield running


@pytest.fixture(params=["launch", "running"])
def hub_that_tells(request: pytest.FixtureRequest) -> Iterator[LocalHub]:
    """A hub that tells a door's address with the launch, and one that does so once a job runs."""
    with LocalHub(expose_urls=request.param) as running:
        yield running


# The client's side of how a script ends is the same in both modes: with jobs of one call each it is
# looked at by the tests marked slow.
WARM_FIRST = pytest.mark.parametrize("mode", ["warm", pytest.param("cold", marks=pytest.mark.slow)])


@pytest.fixture(params=list(MODES))
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(hub: LocalHub) -> Callable[..., HubExecutor]:
    def make(max_workers: int = 2, **options: Any) -> HubExecutor:
        # A job for each call that runs: many of these tests are about more than one job.
        options = {"endpoint": hub.endpoint, "token": hub.token, "slots_per_job": 1, **options}
        return HubExecutor(max_workers, **options)

    return make


@pytest.fixture
def executor(make: Callable[..., HubExecutor], mode: str, hub: LocalHub) -> Iterator[HubExecutor]:
    """An executor of this test's own; when it is shut down no job may be left."""
    with make(reuse_workers=MODES[mode]) as executor:
        yield executor
    assert hub.running == 0


@pytest.fixture
def warm(make: Callable[..., HubExecutor], hub: LocalHub) -> Iterator[HubExecutor]:
    with make() as executor:
        yield executor
    assert hub.running == 0


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what happens in another process, of which nobody sends word."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)

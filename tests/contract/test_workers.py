"""How many workers there are, and how they are stopped: as in Python 3.14, on every version."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE
STOPS = ["terminate_workers", "kill_workers"]


def stop(executor: Executor, name: str) -> None:
    """Call `name`; before Python 3.14 do for the stdlib what its documentation says there."""
    if hasattr(executor, name):
        getattr(executor, name)()
        return
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        getattr(process, name.partition("_")[0])()


def has_begun(future: Future[Any]) -> None:
    """Wait until the client knows it: word of a job's start is a little late."""
    deadline = time.monotonic() + TIMEOUT
    while not future.running():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def killable(kind):
    if not kind.remote:
        pytest.skip("nobody can stop a thread")


def test_nobody_has_to_say_how_many_workers_there_are(make):
    executor = make(None)

    assert list(executor.map(calls.double, range(3))) == [0, 2, 4]
    assert executor._max_workers >= 1


@pytest.mark.parametrize("name", STOPS)
def test_workers_that_are_stopped_end_running_calls_and_cancel_the_others(
    make, gate, killable, name
):
    executor = make(1)
    running = executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    has_begun(running)
    waiting = [executor.submit(calls.nothing) for _ in range(200)]
    stop(executor, name)

    with pytest.raises(BrokenExecutor):
        running.result(TIMEOUT)
    for future in waiting:  # the first may have been handed to the worker already
        with pytest.raises((CancelledError, BrokenExecutor)):
            future.result(TIMEOUT)
    assert waiting[-1].cancelled()


@pytest.mark.parametrize("name", STOPS)
def test_an_executor_whose_workers_were_stopped_takes_no_more_calls(make, gate, killable, name):
    executor = make(1)
    executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    stop(executor, name)

    with pytest.raises(RuntimeError):  # BrokenExecutor is one, too
        executor.submit(calls.nothing)
    executor.shutdown()
    stop(executor, name)  # once more is no harm


@pytest.mark.parametrize("name", STOPS)
def test_workers_are_stopped_without_waiting_for_them(make, gate, killable, name):
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(make(2))
        held = [executor.submit(calls.meet, gate.address) for _ in range(2)]
        gate.arrived(2)
        for future in held:
            has_begun(future)
        stop(executor, name)
        for future in held:
            assert isinstance(future.exception(TIMEOUT), BrokenExecutor)


@pytest.mark.parametrize("name", STOPS)
def test_an_executor_without_workers_can_be_stopped(make, killable, name):
    executor = make(1)
    stop(executor, name)

    with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
        executor.submit(calls.nothing)


def test_a_process_makes_room_for_a_new_one_after_so_many_calls(make, killable):
    executor = make(1, max_tasks_per_child=2)
    processes = Counter(executor.submit(calls.process_id).result(TIMEOUT) for _ in range(6))

    assert max(processes.values()) <= 2
    assert len(processes) >= 3


def test_it_does_so_also_when_all_calls_are_submitted_at_once(kind, make):
    if not kind.hub:
        pytest.skip("some versions of the stdlib wait for ever then")
    executor = make(2, max_tasks_per_child=3)
    futures = [executor.submit(calls.process_id) for _ in range(20)]
    processes = Counter(future.result(TIMEOUT) for future in futures)

    assert max(processes.values()) <= 3
    assert sum(processes.values()) == 20


@pytest.mark.parametrize(("given", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_how_many_calls_a_process_runs_is_checked(kind, killable, given, error):
    with pytest.raises(error, match=r"^max_tasks_per_child must be "):
        kind.make(1, max_tasks_per_child=given)

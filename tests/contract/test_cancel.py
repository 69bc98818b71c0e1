"""Cancelling, and how the state of a future goes on."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, wait

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


@pytest.fixture
def busy(make, gate):
    """Return an executor whose only worker is held, and the future that holds it."""
    executor = make(1)
    held = executor.submit(calls.meet, gate.address, "held")
    gate.arrived(1)
    return executor, held


def test_a_future_goes_from_pending_to_running_to_done(kind, make, gate):
    executor = make(1)
    first = executor.submit(calls.meet, gate.address, 1)
    later = [executor.submit(calls.same, n) for n in range(5)]
    gate.arrived(1)
    if not kind.hub:  # a job's start is seen a little after it happened
        assert first.running()
    assert not first.done()
    assert not first.cancelled()
    assert not later[-1].running()
    gate.open()

    assert first.result(TIMEOUT) == 1
    assert first.done()
    assert not first.running()
    assert not first.cancelled()
    assert [future.result(TIMEOUT) for future in later] == [0, 1, 2, 3, 4]


def test_a_pending_call_can_be_cancelled_and_never_runs(busy, gate, tmp_path, signatures):
    executor, held = busy
    path = str(tmp_path / "ran")
    futures = [executor.submit(calls.sign, path, n) for n in range(5)]
    assert futures[-1].cancel()
    assert futures[-1].cancel()  # still true the second time
    gate.open()

    assert held.result(TIMEOUT) == "held"
    assert [future.result(TIMEOUT) for future in futures[:-1]] == [0, 1, 2, 3]
    assert futures[-1].cancelled()
    assert futures[-1].done()
    executor.shutdown()
    assert signatures() == ["0", "1", "2", "3"]


def test_a_cancelled_future_has_no_result(busy):
    executor, _ = busy
    future = [executor.submit(calls.nothing) for _ in range(5)][-1]
    future.cancel()

    with pytest.raises(CancelledError):
        future.result(TIMEOUT)
    with pytest.raises(CancelledError):
        future.exception(TIMEOUT)


def test_a_finished_call_cannot_be_cancelled(executor):
    future = executor.submit(calls.same, 1)
    future.result(TIMEOUT)

    assert not future.cancel()
    assert not future.cancelled()
    assert future.result() == 1


def test_a_running_call_cannot_be_cancelled(kind, make, gate):
    if kind.hub:
        pytest.skip("a job's start is seen a little after it happened: see the next test")
    future = make(1).submit(calls.meet, gate.address, 1)
    gate.arrived(1)

    assert not future.cancel()
    gate.open()
    assert future.result(TIMEOUT) == 1


def test_once_a_future_says_that_it_runs_it_cannot_be_cancelled(kind, make, gate):
    future = make(1).submit(calls.meet, gate.address, 1)
    gate.arrived(1)
    deadline = threading.Event()
    while kind.hub and not future.running() and not deadline.wait(0.01):
        pass

    assert not future.cancel()
    gate.open()
    assert future.result(TIMEOUT) == 1


def test_waiting_for_a_result_can_end_before_the_call_does(busy, gate):
    _, held = busy

    with pytest.raises(TimeoutError):
        held.result(timeout=0)
    with pytest.raises(TimeoutError):
        held.exception(timeout=0.01)
    gate.open()
    assert held.result(TIMEOUT) == "held"


def test_a_thread_that_waits_is_woken_by_a_cancellation(busy):
    executor, _ = busy
    future = [executor.submit(calls.nothing) for _ in range(5)][-1]
    waits, seen = threading.Event(), []

    def wait_for_it():
        waits.set()
        try:
            future.result(TIMEOUT)
        except CancelledError as error:
            seen.append(error)

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    waits.wait()
    future.cancel()
    thread.join(TIMEOUT)

    assert len(seen) == 1


def test_a_cancelled_call_takes_nobodys_place(busy, gate):
    executor, _ = busy
    futures = [executor.submit(calls.same, n) for n in range(20)]
    cancelled = [future for future in futures[3:-1] if future.cancel()]
    assert len(cancelled) > 10
    gate.open()

    assert wait(futures, TIMEOUT).not_done == set()
    assert futures[-1].result() == 19


def test_a_call_cancelled_at_once_is_forgotten(kind, make):
    """Whatever the moment in which the executor's own thread looks at what was submitted."""
    executor = make(2)
    executor.submit(calls.nothing).result(TIMEOUT)
    futures = []
    for number in range(kind.many):
        futures.append(executor.submit(calls.nothing))
        if number % 3 == 2:
            futures[-1].cancel()
        spin(number % 10 * 1e-4)
    calls.settle(futures)
    executor.shutdown()

    assert wait(futures, timeout=0).not_done == set()


def spin(seconds):
    """Let a moment pass that is shorter than a sleep can be."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

"""Every way in which an executor is closed."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import CancelledError, wait

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE
AFTER_SHUTDOWN = "^cannot schedule new futures after shutdown$"


def test_nothing_can_be_submitted_afterwards(make):
    executor = make(1)
    executor.shutdown()

    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(calls.nothing)


def test_nothing_can_be_submitted_while_it_still_runs(make, gate):
    executor = make(1)
    held = executor.submit(calls.meet, gate.address, 1)
    gate.arrived(1)
    executor.shutdown(wait=False)

    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(calls.nothing)
    gate.open()
    assert held.result(TIMEOUT) == 1


def test_it_waits_for_every_call(make):
    executor = make(2)
    futures = [executor.submit(calls.slow_for_even, n) for n in range(5)]
    executor.shutdown()

    assert [future.done() for future in futures] == [True] * 5


def test_a_with_block_waits_for_every_call(make):
    with make(2) as executor:
        futures = [executor.submit(calls.slow_for_even, n) for n in range(5)]

    assert [future.done() for future in futures] == [True] * 5
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(calls.nothing)


def test_entering_gives_the_executor_itself(make):
    executor = make(1)

    with executor as entered:
        assert entered is executor


def test_without_waiting_the_calls_still_finish(make, gate):
    executor = make(1)
    futures = [executor.submit(calls.meet, gate.address, n) for n in range(3)]
    gate.arrived(1)
    executor.shutdown(wait=False)
    assert not any(future.done() for future in futures)
    gate.open()

    assert [future.result(TIMEOUT) for future in futures] == [0, 1, 2]


def test_an_executor_dropped_after_a_shutdown_finishes_its_calls(make_unheld, gate):
    executor = make_unheld(1)
    future = executor.submit(calls.meet, gate.address, 1)
    gate.arrived(1)
    executor.shutdown(wait=False)
    del executor
    gate.open()

    assert future.result(TIMEOUT) == 1


def test_it_can_be_shut_down_again(make):
    executor = make(1)
    executor.submit(calls.nothing)
    executor.shutdown(wait=False)
    executor.shutdown()
    executor.shutdown()
    with executor:
        pass


def test_one_that_was_never_used_can_be_shut_down(make):
    make(3).shutdown()


def test_what_has_not_begun_can_be_cancelled(kind, make, gate):
    executor = make(1)
    held = executor.submit(calls.meet, gate.address, "held")
    gate.arrived(1)
    calls.begun(held)
    rest = [executor.submit(calls.nothing) for _ in range(20)]
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()

    assert held.result(TIMEOUT) == "held"
    calls.settle(rest)
    if kind.hub:  # those who wait are told, which the stdlib's executors forget
        assert wait(rest, TIMEOUT).not_done == set()
    assert sum(future.cancelled() for future in rest) > 10
    assert rest[-1].cancelled()
    with pytest.raises(CancelledError):
        rest[-1].result()


def test_waiting_and_cancelling_go_together(make, gate):
    executor = make(1)
    held = executor.submit(calls.meet, gate.address, "held")
    gate.arrived(1)
    rest = [executor.submit(calls.nothing) for _ in range(20)]
    gate.open()
    executor.shutdown(wait=True, cancel_futures=True)

    assert held.done()
    assert all(future.done() for future in rest)


def test_a_thread_that_waits_for_a_call_cancelled_by_shutdown_is_woken(make, gate):
    executor = make(1)
    executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    future = [executor.submit(calls.nothing) for _ in range(20)][-1]
    woken = threading.Event()

    def wait_for_it():
        with contextlib.suppress(CancelledError):
            future.result(TIMEOUT)
        woken.set()

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()

    assert woken.wait(TIMEOUT)
    thread.join()


def test_a_call_cancelled_just_before_hangs_nothing(make):
    executor = make(1)
    futures = [executor.submit(calls.nothing) for _ in range(5)]
    for future in futures:
        future.cancel()
    executor.shutdown()

    assert all(future.done() for future in futures)
    assert wait(futures, timeout=0).not_done == set()


def test_an_exception_in_the_block_stops_what_costs_money(kind, make, gate):
    if not kind.hub:
        pytest.skip("the stdlib's executors wait, and cost nothing")
    futures = []

    def leave_with_an_exception():
        with make(1) as executor:
            futures.extend(executor.submit(calls.meet, gate.address) for _ in range(20))
            gate.arrived(1)
            raise calls.CustomError  # the gate stays shut: nothing can wait for the call's end

    with pytest.raises(calls.CustomError):
        leave_with_an_exception()

    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) > 10


@pytest.mark.parametrize("way", ["shutdown", "cancel_futures", "exception", "unused"])
def test_no_job_runs_when_it_returns(kind, make, hub, way):
    if not kind.hub:
        pytest.skip("the stdlib's executors have no jobs")
    executor = make(2, labels={"way": way})
    if way != "unused":
        futures = [executor.submit(calls.slow_for_even, n) for n in range(3)]
        futures[0].result(TIMEOUT)
    if way == "exception":
        executor.__exit__(ValueError, ValueError(), None)
    else:
        executor.shutdown(cancel_futures=way == "cancel_futures")

    ours = [job for job in hub.jobs() if job.labels.get("way") == way]
    assert bool(ours) == (way != "unused")
    assert [job for job in ours if job.stage in {"RUNNING", "SCHEDULING"}] == []

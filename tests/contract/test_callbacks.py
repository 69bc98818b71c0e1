"""Callbacks of futures, which run while an executor is in the middle of its work."""

from __future__ import annotations

import logging
import queue
import threading

import contract_calls as calls

TIMEOUT = calls.DEADLINE


def test_callbacks_are_called_once_and_in_order(make, gate):
    future = make(1).submit(calls.meet, gate.address)
    gate.arrived(1)
    seen, last = [], threading.Event()
    for name in "abc":
        future.add_done_callback(lambda done, name=name: seen.append((name, done)))
    future.add_done_callback(lambda _: last.set())
    gate.open()

    assert last.wait(TIMEOUT)
    assert seen == [("a", future), ("b", future), ("c", future)]


def test_a_callback_on_a_finished_call_is_called_at_once(executor):
    future = executor.submit(calls.nothing)
    future.result(TIMEOUT)
    seen = []
    future.add_done_callback(seen.append)

    assert seen == [future]


def test_callbacks_are_called_for_failures_and_cancellations(make, gate):
    executor = make(1)
    seen = queue.SimpleQueue()
    failed = executor.submit(calls.meet_or_fail, gate.address, calls.CustomError())
    failed.add_done_callback(seen.put)
    gate.arrived(1)
    cancelled = [executor.submit(calls.nothing) for _ in range(5)][-1]
    cancelled.add_done_callback(seen.put)
    assert cancelled.cancel()
    gate.open()

    assert {seen.get(timeout=TIMEOUT), seen.get(timeout=TIMEOUT)} == {failed, cancelled}


def test_an_exception_in_a_callback_is_logged_and_harmless(make, gate, caplog):
    executor = make(1)
    future = executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    last = threading.Event()

    def fail(_):
        raise calls.CustomError("from the callback")

    future.add_done_callback(fail)
    future.add_done_callback(lambda _: last.set())
    with caplog.at_level(logging.ERROR, logger="concurrent.futures"):
        gate.open()
        assert last.wait(TIMEOUT)

    assert "from the callback" in caplog.text
    assert executor.submit(calls.same, 1).result(TIMEOUT) == 1


def test_a_callback_may_submit(executor):
    second = queue.SimpleQueue()
    first = executor.submit(calls.same, 1)
    first.add_done_callback(
        lambda done: second.put(executor.submit(calls.double, done.result())),
    )

    assert second.get(timeout=TIMEOUT).result(TIMEOUT) == 2


def test_a_callback_may_cancel_others_and_shut_down(make, gate):
    executor = make(1)
    held = executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    rest = [executor.submit(calls.nothing) for _ in range(10)]
    done = threading.Event()

    def stop(_):
        executor.shutdown(wait=False, cancel_futures=True)
        done.set()

    held.add_done_callback(stop)
    gate.open()

    assert done.wait(TIMEOUT)
    calls.settle(rest)
    assert rest[-1].cancelled()


def test_the_result_is_set_when_the_callback_runs(executor):
    seen = queue.SimpleQueue()
    executor.submit(calls.same, 7).add_done_callback(
        lambda done: seen.put((done.done(), done.running(), done.result(timeout=0))),
    )

    assert seen.get(timeout=TIMEOUT) == (True, False, 7)

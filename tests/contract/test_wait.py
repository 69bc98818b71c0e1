"""``wait`` and ``as_completed`` on the futures of every executor."""

from __future__ import annotations

from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    as_completed,
    wait,
)

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


@pytest.fixture
def held(executor, gate):
    future = executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    return future


def test_wait_for_the_first(executor, held, gate):
    quick = executor.submit(calls.nothing)

    assert wait([held, quick], TIMEOUT, FIRST_COMPLETED) == ({quick}, {held})
    gate.open()


def test_wait_for_the_first_when_one_is_done_already(executor, held, gate):
    quick = executor.submit(calls.nothing)
    quick.result(TIMEOUT)

    assert wait([held, quick], TIMEOUT, FIRST_COMPLETED) == ({quick}, {held})
    gate.open()


def test_wait_for_the_first_exception(executor, held, gate):
    good = executor.submit(calls.nothing)
    good.result(TIMEOUT)
    bad = executor.submit(calls.fail, calls.CustomError())

    assert wait([held, good, bad], TIMEOUT, FIRST_EXCEPTION) == ({good, bad}, {held})
    gate.open()


def test_without_an_exception_the_first_exception_means_all(executor):
    futures = {executor.submit(calls.same, n) for n in range(3)}

    assert wait(futures, TIMEOUT, FIRST_EXCEPTION) == (futures, set())


def test_wait_for_all(executor):
    futures = {executor.submit(calls.fail_at, 1, n) for n in range(3)}

    assert wait(futures, TIMEOUT, ALL_COMPLETED) == (futures, set())


def test_wait_gives_up_in_time(executor, held, gate):
    quick = executor.submit(calls.nothing)
    quick.result(TIMEOUT)

    assert wait([held, quick], timeout=0.05) == ({quick}, {held})
    gate.open()


def test_cancelled_futures_are_waited_for_too(make, gate):
    executor = make(1)
    held = executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    rest = [executor.submit(calls.nothing) for _ in range(5)]
    assert rest[-1].cancel()
    gate.open()

    assert wait([held, *rest], TIMEOUT).not_done == set()


def test_completed_futures_are_given_as_they_end(executor, held, gate):
    quick = executor.submit(calls.nothing)
    completed = as_completed([held, quick], TIMEOUT)

    assert next(completed) is quick
    gate.open()
    assert next(completed) is held
    assert next(completed, None) is None


def test_a_future_given_twice_completes_once(executor):
    future = executor.submit(calls.nothing)

    assert list(as_completed([future, future], TIMEOUT)) == [future]


def test_as_completed_gives_up_in_time(executor, held, gate):
    quick = executor.submit(calls.nothing)
    quick.result(TIMEOUT)
    seen = []

    with pytest.raises(TimeoutError, match=r"1 \(of 2\) futures unfinished"):
        seen.extend(as_completed([held, quick], timeout=0.05))
    gate.open()


def test_futures_of_several_origins_mix(executor):
    other: Future[int] = Future()
    other.set_result(0)
    ours = executor.submit(calls.nothing)

    assert wait([other, ours], TIMEOUT).done == {other, ours}

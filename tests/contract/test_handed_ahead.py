"""Calls that a worker was handed, and has not begun, are still the client's.

Handing calls ahead hides the way to a worker, and is nobody's business: what `running()` and
`cancel()` say, and how long an end takes, is what it is where nothing is handed ahead. In each test
a worker has first run a call that took no time, so that whoever forecasts from that hands out many.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from concurrent.futures import wait

import contract_calls as calls
import pools
import pytest

TIMEOUT = calls.DEADLINE
AHEAD = 200


# It makes a difference to when things happen, and to nothing else.
FAR = pytest.param("hub-far", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def far_hub(hub):
    """Return a Hub whose jobs are as far away as those of the real one."""
    from hfexecutor.local import LocalHub, Timings

    with LocalHub(timings=Timings(door=0.105)) as far:
        yield far


@pytest.fixture(scope="module", params=["threads", "processes", "hub-near", FAR])
def pool(request):
    if request.param == "hub-near":
        return pools.hub_pool("hub-near", request.getfixturevalue("hub"))
    if request.param == "hub-far":
        return pools.hub_pool("hub-far", request.getfixturevalue("far_hub"))
    return pools.stdlib_pool(request.param)


@pytest.fixture
def make(pool):
    """Make executors whose first call has been a micro-call."""
    with contextlib.ExitStack() as stack:

        def make(max_workers, **options):
            executor = pool.make(max_workers, **options)
            stack.callback(executor.shutdown, wait=True, cancel_futures=True)
            assert executor.submit(int).result(TIMEOUT) == 0
            return executor

        yield make


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ran")


@pytest.fixture
def queued(make, gate, path):
    """Return an executor with a held worker, the call that holds it, and those behind it."""
    executor = make(1)
    held = executor.submit(calls.meet, gate.address, "held")
    rest = [executor.submit(calls.sign, path, number) for number in range(AHEAD)]
    gate.arrived(1)
    calls.begun(held)
    yield executor, held, rest
    gate.open()


def at_rest(executor):
    """Return when no message travels to a job any more: what was said has arrived there."""
    if not hasattr(executor, "stats"):
        return
    deadline = time.monotonic() + TIMEOUT
    sent, since = executor.stats().messages, time.monotonic()
    while time.monotonic() - since < 0.7:
        assert time.monotonic() < deadline, "it sends messages without an end"
        time.sleep(0.02)
        if (now := executor.stats().messages) != sent:
            sent, since = now, time.monotonic()


def test_at_most_one_call_that_has_not_begun_says_that_it_runs(pool, queued):
    _, held, rest = queued
    most, end = 0, time.monotonic() + 0.5
    while time.monotonic() < end:
        most = max(most, sum(future.running() for future in rest))

    assert held.running()
    assert most <= pool.ahead


def test_whatever_does_not_say_that_it_runs_can_be_cancelled_and_never_runs(
    pool, queued, gate, signatures
):
    executor, held, rest = queued
    cancelled = [number for number, future in enumerate(rest) if future.cancel()]
    at_rest(executor)
    gate.open()

    assert held.result(TIMEOUT) == "held"
    assert len(cancelled) >= AHEAD - pool.ahead
    kept = [number for number in range(AHEAD) if number not in set(cancelled)]
    assert [rest[number].result(TIMEOUT) for number in kept] == kept
    assert all(rest[number].cancelled() for number in cancelled)
    executor.shutdown()
    assert signatures() == [str(number) for number in kept]


def test_one_call_that_is_cancelled_in_the_middle_is_the_only_one_missing(queued, gate, signatures):
    executor, _, rest = queued
    assert rest[AHEAD // 2].cancel()
    at_rest(executor)
    gate.open()
    executor.shutdown()

    assert rest[AHEAD // 2].cancelled()
    assert [future.result() for future in rest if not future.cancelled()] == [
        number for number in range(AHEAD) if number != AHEAD // 2
    ]
    assert sorted(signatures(), key=int) == [
        str(number) for number in range(AHEAD) if number != AHEAD // 2
    ]


def test_a_cancel_that_crosses_a_start_is_final(make, signatures, path, caplog):
    """What has begun meanwhile is stopped, or runs through; nobody hears of its outcome."""
    caplog.set_level(logging.WARNING, "hfexecutor")
    executor = make(1)
    ends = Counter()
    futures = []
    for number in range(10):
        batch = [executor.submit(calls.sign, path, f"{number}.{n}") for n in range(100)]
        for n, future in enumerate(batch):
            future.add_done_callback(lambda _, name=f"{number}.{n}": ends.update([name]))
        futures.append(batch)
        batch[3 * number].exception(TIMEOUT)
        for future in batch:
            future.cancel()
    states = [[future.cancelled() for future in batch] for batch in futures]
    assert executor.submit(calls.double, 4).result(TIMEOUT) == 8  # it goes on as if nothing were
    flat = [future for batch in futures for future in batch]
    calls.settle(flat)
    executor.shutdown()

    for batch, were_cancelled in zip(futures, states, strict=True):
        for future, was_cancelled in zip(batch, were_cancelled, strict=True):
            assert future.done()
            assert future.cancelled() == was_cancelled
    assert len(ends) == 1000
    assert set(ends.values()) == {1}  # each callback ran once
    ran = Counter(signatures())
    assert max(ran.values()) == 1
    done = {
        f"{number}.{n}"
        for number, batch in enumerate(futures)
        for n, future in enumerate(batch)
        if not future.cancelled()
    }
    assert done <= set(ran)
    assert [record.getMessage() for record in caplog.records] == []


# --- ends -------------------------------------------------------------------------------------


def shut_down(executor, gate, path):
    """Shut down when the first call has begun, and cancel the rest."""
    futures = [executor.submit(calls.sign_and_meet, path, gate.address, n) for n in range(AHEAD)]
    gate.arrived(1)
    calls.begun(futures[0])
    executor.shutdown(wait=False, cancel_futures=True)


def fail_a_map(executor, gate, path):
    """See the first call of a map fail."""
    with pytest.raises(calls.CustomError):
        next(mapped(executor, gate, path, calls.FAIL))


def time_a_map_out(executor, gate, path):
    """Wait for a map's result for less than it takes."""
    results = mapped(executor, gate, path, 0, timeout=0.5)
    with pytest.raises(TimeoutError):
        list(results)


def close_a_map(executor, gate, path):
    """Take the first result of a map only."""
    results = mapped(executor, gate, path, calls.PASS)
    assert next(results) == calls.PASS
    results.close()


def drop_a_map(executor, gate, path):
    """Take the first result of a map, and forget the rest, as `for ...: break` does."""
    for result in mapped(executor, gate, path, calls.PASS):
        assert result == calls.PASS
        break


def mapped(executor, gate, path, first, **options):
    """Map calls of which all are held but the first, unless it is, too."""
    numbers = [first, *range(1, AHEAD)]
    arguments = [path] * AHEAD, [gate.address] * AHEAD, numbers
    return executor.map(calls.sign_and_meet, *arguments, **options)


ENDS = [shut_down, fail_a_map, time_a_map_out, close_a_map, drop_a_map]


@pytest.mark.parametrize("end", ENDS)
def test_an_end_brings_back_what_has_not_begun(pool, make, end, gate, path, signatures):
    """No more calls begin than with the stdlib: two hundred, if what was handed stayed there."""
    executor = make(1)
    end(executor, gate, path)
    at_rest(executor)
    gate.open()
    executor.shutdown()

    assert len(signatures()) <= 2 + max(1, pool.ahead)


def test_an_exception_that_leaves_the_block_brings_back_what_has_not_begun(
    pool, queued, signatures
):
    if not pool.hub:
        pytest.skip("the stdlib's executors wait for all calls, and cost nothing")
    from hfexecutor import CallStoppedError

    executor, held, rest = queued
    with pytest.raises(calls.CustomError), executor:
        raise calls.CustomError  # the gate stays shut

    assert isinstance(held.exception(), CallStoppedError)
    assert all(future.done() for future in rest)
    assert sum(future.cancelled() for future in rest) >= AHEAD - pool.ahead
    assert signatures() == []


# --- a forecast that was wrong ------------------------------------------------------------------


def test_what_was_handed_ahead_is_not_held_up_by_a_long_call(make, gate, path, signatures):
    """A second worker, there already or started for it, runs what the first one was handed."""
    executor = make(2)
    held = executor.submit(calls.meet, gate.address, "held")
    gate.arrived(1)
    rest = [executor.submit(calls.sign, path, number) for number in range(AHEAD)]

    assert wait(rest, TIMEOUT).not_done == set()
    assert not held.done()
    assert sorted(map(int, signatures())) == list(range(AHEAD))


@pytest.mark.usefixtures("short_patience")
def test_what_comes_back_during_a_long_call_is_not_lost_with_its_job(
    pool, make, gate, path, signatures
):
    """Without retries a job that is lost takes along what it may have begun: not two hundred."""
    if not pool.hub:
        pytest.skip("a process pool that lost a process is broken, and fails everything")
    from hfexecutor import JobError

    executor = make(1, max_retries=0)
    held = executor.submit(calls.meet_and_kill_the_job, gate.address)
    rest = [executor.submit(calls.sign, path, number) for number in range(AHEAD)]
    gate.arrived(1)
    calls.begun(held)
    at_rest(executor)
    time.sleep(1.0)  # the forecast is seen to be wrong only when time has passed
    at_rest(executor)
    gate.open()

    assert isinstance(held.exception(TIMEOUT), JobError)
    assert wait(rest, TIMEOUT).not_done == set()
    lost = [number for number, future in enumerate(rest) if future.exception() is not None]
    assert len(lost) <= 4
    assert sorted(map(int, signatures())) == [n for n in range(AHEAD) if n not in set(lost)]


def test_threads_that_cancel_and_submit_at_once_lose_nothing(make, path, signatures):
    executor = make(2)
    futures, lock = [], threading.Lock()

    def work(seed):
        for number in range(100):
            future = executor.submit(calls.sign, path, f"{seed}.{number}")
            if number % 4 == seed:
                future.cancel()
            with lock:
                futures.append((f"{seed}.{number}", future))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls.settle(future for _, future in futures)
    executor.shutdown()

    ran = Counter(signatures())
    assert max(ran.values()) == 1
    for name, future in futures:
        assert future.cancelled() or future.result(0) == name
        assert future.cancelled() or ran[name] == 1

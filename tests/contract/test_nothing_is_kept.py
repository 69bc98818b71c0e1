"""When a call has ended, in whatever way, nothing of it is alive on the client; its job still is.

Each row makes a call of which everything is watched that can be: its argument, function, result,
exception, and future by weak references, and what these carry by the memory that is in use. It is
made as the first call of a worker and as a later one, since these travel by different ways. The
Hub is another process: in this one it would keep the job's log.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import contract_calls as calls
import pools
import pytest

TIMEOUT = calls.DEADLINE
LOAD = 2 << 20  # bytes that a watched thing carries; travels through the door
IN_LOG = 128 << 10  # and one whose result comes through the log
MOMENT = calls.DEADLINE  # seconds in which another thread finishes its step, however busy
KEPT = 64 << 10  # bytes that may be kept of calls, whatever they carry: figures, names
READ = 256 << 10  # bytes that a connection reads at once
BUFFER = LOAD // 2  # and with what connections have read last


@dataclass
class OutsideHub:
    endpoint: str
    token: str


@pytest.fixture(scope="module")
def outside_hub():
    """Return a Hub that is a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "hfexecutor.cli", "hub"], stdout=subprocess.PIPE, text=True
    ) as process:
        endpoint = process.stdout.readline().removeprefix("export HF_ENDPOINT=").strip()
        token = process.stdout.readline().removeprefix("export HF_TOKEN=").strip()
        yield OutsideHub(endpoint, token)
        process.terminate()


# What the stdlib's processes keep is no promise of ours: they show that these tests are fair.
PROCESSES = pytest.param("processes", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["threads", PROCESSES, "hub"])
def pool(request):
    if request.param != "hub":
        return pools.stdlib_pool(request.param)
    return pools.hub_pool("hub", request.getfixturevalue("outside_hub"))


class Watch:
    """Watches what a row makes; the row itself keeps nothing."""

    def __init__(self, released, gate):
        self.released = released
        self.gate = gate
        self.events = []

    def __call__(self, thing):
        self.events.append((type(thing).__name__, self.released.watch(thing)))
        return thing

    def alive(self):
        """Return the kinds of what is alive, once other threads have finished their step.

        Who still is in that step may be part of a circle, which is garbage only afterwards.
        """
        deadline = time.monotonic() + MOMENT
        while True:
            gc.collect()
            left = [name for name, event in self.events if not event.wait(0.01)]
            if not left or time.monotonic() > deadline:
                return left


# --- rows: each makes one call and sees it end --------------------------------------------------


def value(executor, watch):
    future = watch(executor.submit(calls.name_of, watch(calls.Thing("argument"))))
    assert future.result(TIMEOUT) == "argument"


def large_argument(executor, watch):
    future = watch(executor.submit(calls.name_of, watch(calls.Thing("argument", LOAD))))
    assert future.result(TIMEOUT) == "argument"


def large_result(executor, watch):
    future = watch(executor.submit(calls.make_large_thing, LOAD))
    assert watch(future.result(TIMEOUT)).name == "large"


def result_through_the_log(executor, watch):
    future = watch(executor.submit(calls.make_large_thing, IN_LOG))
    assert watch(future.result(TIMEOUT)).name == "large"


def result_that_nobody_takes(executor, watch):
    future = watch(executor.submit(calls.make_large_thing, LOAD))
    while not future.done():
        time.sleep(0.001)


def function(executor, watch):
    load = calls.Thing("function", LOAD)
    future = watch(executor.submit(watch(lambda: load.name)))
    assert future.result(TIMEOUT) == "function"


def partial(executor, watch):
    future = watch(executor.submit(functools.partial(calls.name_of, calls.Thing("part", LOAD))))
    assert future.result(TIMEOUT) == "part"


def method(executor, watch):
    future = watch(executor.submit(watch(calls.Thing("owner", LOAD)).told))
    assert future.result(TIMEOUT) == "owner"


def raised(executor, watch):
    future = watch(executor.submit(calls.fail_with_thing, LOAD))
    with pytest.raises(calls.LargeError) as caught:
        future.result(TIMEOUT)
    watch(caught.value)
    watch(caught.value.thing)


def raised_and_never_looked_at(executor, watch):
    future = watch(executor.submit(calls.fail_with_thing, LOAD))
    while not future.done():
        time.sleep(0.001)


def callback(executor, watch):
    seen = []
    future = watch(executor.submit(calls.make_large_thing, LOAD))
    future.add_done_callback(watch(lambda f: seen.append(f.exception())))
    del future
    deadline = time.monotonic() + TIMEOUT
    while not seen and time.monotonic() < deadline:
        time.sleep(0.001)
    assert seen == [None]


def cancelled(executor, watch):
    held = executor.submit(calls.meet, watch.gate.address)
    watch.gate.arrived(1)
    ahead = [executor.submit(calls.nothing) for _ in range(3)]
    future = watch(executor.submit(calls.name_of, watch(calls.Thing("argument", LOAD))))
    assert future.cancel()
    watch.gate.let_one_pass()
    assert [one.result(TIMEOUT) for one in [held, *ahead]] == [None] * 4
    with pytest.raises(CancelledError):
        future.result(TIMEOUT)


def map_in_chunks(executor, watch):
    things = [watch(calls.Thing(str(n), LOAD // 8)) for n in range(8)]
    names = executor.map(calls.name_of, things, chunksize=3)
    del things
    assert list(names) == list("01234567")


def map_with_large_results(executor, watch):
    for thing in executor.map(calls.make_large_thing, [LOAD // 4] * 4, chunksize=2):
        watch(thing)
        del thing


def map_that_fails(executor, watch):
    results = executor.map(calls.fail_with_thing, [LOAD] * 3)
    with pytest.raises(calls.LargeError) as caught:
        next(results)
    watch(caught.value)


def map_that_is_closed(executor, watch):
    results = executor.map(calls.name_of, [watch(calls.Thing(str(n), LOAD // 8)) for n in range(8)])
    assert next(results) == "0"
    results.close()


def died(executor, watch):
    from hfexecutor import CallDiedError

    future = watch(executor.submit(calls.die_with, watch(calls.Thing("argument", LOAD))))
    with pytest.raises((CallDiedError, BrokenProcessPool)) as caught:
        future.result(TIMEOUT)
    watch(caught.value)


def timed_out(executor, watch):
    from hfexecutor import CallTimeoutError

    thing = watch(calls.Thing("argument", LOAD))
    future = watch(executor.submit(calls.keep_thing_for, 60, thing))
    del thing
    with pytest.raises(CallTimeoutError) as caught:
        future.result(TIMEOUT)
    watch(caught.value)


def killed(executor, watch):
    from hfexecutor import CallStoppedError

    thing = watch(calls.Thing("argument", LOAD))
    future = watch(executor.submit(calls.keep_thing_for, 60, thing))
    del thing
    calls.begun(future)
    assert future.kill()
    with pytest.raises(CallStoppedError) as caught:
        future.result(TIMEOUT)
    watch(caught.value)


def lost(executor, watch):
    from hfexecutor import JobError

    future = watch(executor.submit(calls.kill_the_job_with, watch(calls.Thing("argument", LOAD))))
    with pytest.raises(JobError) as caught:
        future.result(TIMEOUT)
    watch(caught.value)


def not_picklable(executor, watch):
    future = watch(executor.submit(calls.same, watch(calls.Thing("argument", LOAD)), lambda: 1))
    watch(future.exception(TIMEOUT) or calls.Thing())


EVERYWHERE = [
    value,
    large_argument,
    large_result,
    result_through_the_log,
    result_that_nobody_takes,
    partial,
    method,
    raised,
    raised_and_never_looked_at,
    callback,
    cancelled,
    map_in_chunks,
    map_with_large_results,
    map_that_fails,
    map_that_is_closed,
]
BY_VALUE = [function]  # a process of the stdlib's takes no closure
OURS = [timed_out, killed, lost]  # what the stdlib does not do
BREAKING = [died]  # what breaks a pool of the stdlib

ROWS = EVERYWHERE + BY_VALUE + OURS + BREAKING
SLOW = [partial, method, map_with_large_results, raised_and_never_looked_at]  # much like others
OPTIONS = {timed_out: {"call_timeout": 0.5}, lost: {"max_retries": 0}}


def applies(pool, row):
    if pool.name == "threads":
        return row in EVERYWHERE or row in BY_VALUE
    return pool.hub or row in EVERYWHERE or row in BREAKING


@pytest.fixture(scope="module")
def used(pool):
    """Return an executor that has run something: what is imported and kept once is no call's."""
    with pool.make(1) as executor:
        yield executor


@pytest.fixture
def watch(released, gate):
    return Watch(released, gate)


@pytest.fixture(autouse=True)
def in_use():
    """Return how many bytes are in use."""
    tracemalloc.start()

    def in_use():
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    yield in_use
    tracemalloc.stop()


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.__name__, marks=[pytest.mark.slow] * (row in SLOW)) for row in ROWS],
)
@pytest.mark.usefixtures("short_patience")
def test_nothing_of_a_call_is_kept(pool, row, watch, in_use, request):
    if not applies(pool, row):
        pytest.skip("not with this pool")
    options = OPTIONS.get(row, {})
    if options or row in BREAKING:
        with pool.make(1, **options) as executor, contextlib.suppress(BrokenProcessPool):
            row(executor, watch)
    else:
        row(request.getfixturevalue("used"), watch)
    with pool.make(1, **options) as executor:
        before = in_use()
        for number in ("first", "second"):
            row(executor, watch)
            if row in BREAKING and pool.processes:
                return  # a pool that has broken keeps the error, with the future in its traceback
            assert watch.alive() == [], number
            # The stdlib's keep what they pickled last, in a buffer. And with a job that is lost a
            # connection breaks in the middle of something, both of whose ends are in this process:
            # of the client's own objects none is left, see above.
            if not pool.processes and row is not lost:
                kept = settled(in_use, before + BUFFER) - before
                assert kept < BUFFER, f"{kept} bytes after the {number} call"
        if pool.hub and row is not lost:
            assert executor.stats().jobs_running == 1
            assert executor.stats().jobs_started == 1


def settled(in_use, enough):
    """Return how much is in use when other threads have finished their step."""
    deadline = time.monotonic() + MOMENT
    while (now := in_use()) > enough and time.monotonic() < deadline:
        time.sleep(0.01)
    return now


def test_four_jobs_keep_none_of_their_results(pool, watch, in_use):
    with pool.make(4) as executor:
        list(executor.map(calls.double, range(40)))
        before = in_use()
        futures = [executor.submit(calls.make_large_thing, 4 * LOAD) for _ in range(4)]
        for future in futures:
            watch(future.result(TIMEOUT))
        del future, futures
        assert watch.alive() == []
        assert settled(in_use, before + LOAD) - before < LOAD


def test_what_is_kept_of_a_thousand_calls_does_not_grow(pool, in_use):
    """Whatever is noted of each call goes with it: numbers, names, functions."""
    with pool.make(2) as executor:
        list(executor.map(calls.double, range(1000)))
        before = in_use()
        for _ in range(2):
            list(executor.map(calls.double, range(1000)))
        most = 2 * KEPT + READ  # a connection's read buffer, which does not grow
        assert settled(in_use, before + most) - before < most


def test_functions_that_are_made_for_each_call_are_not_kept(pool, watch, in_use):
    if pool.processes:
        pytest.skip("a process of the stdlib's takes no closure")

    def made(load):
        return lambda: load.name

    with pool.make(1) as executor:
        executor.submit(made(calls.Thing())).result(TIMEOUT)
        before = in_use()
        for number in range(16):
            future = executor.submit(watch(made(calls.Thing(str(number), LOAD // 8))))
            assert future.result(TIMEOUT) == str(number)
        del future
        assert watch.alive() == []
        assert settled(in_use, before + LOAD // 8) - before < LOAD // 8


def test_an_initializer_that_fails_leaves_nothing(pool, watch, in_use):
    if pool.processes:
        pytest.skip("closures do not travel there")

    def run():
        load = watch(calls.Thing("initarg", LOAD // 16))
        with pool.make(1, initializer=calls.fail_with, initargs=(load,)) as executor:
            del load
            future = watch(executor.submit(calls.name_of, watch(calls.Thing("argument", LOAD))))
            error = watch(future.exception(TIMEOUT))
            assert "broken" in type(error).__name__.lower()
            with pytest.raises(type(error)):
                executor.submit(calls.nothing)

    run()
    if pool.name == "threads":  # these log the error, with all that its traceback refers to
        return
    before = in_use()
    run()
    assert watch.alive() == []
    assert settled(in_use, before + KEPT) - before < KEPT


# Counted where nobody else opens anything meanwhile: in a process of its own.
DESCRIPTORS = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

def used():
    return len(os.listdir("/proc/self/fd"))

if __name__ == "__main__":
    kind, endpoint, token, size = sys.argv[1:]
    if kind == "threads":
        executor = ThreadPoolExecutor(1)
    elif kind == "processes":
        context = multiprocessing.get_context("forkserver")
        executor = ProcessPoolExecutor(1, mp_context=context)
    else:
        from hfexecutor import HubExecutor
        executor = HubExecutor(1, endpoint=endpoint, token=token)
    with executor:
        executor.submit(bytes, int(size)).result()
        before = used()
        for _ in range(20):
            executor.submit(bytes, int(size)).result()
        assert used() <= before + 4, (used(), before)
"""


def test_descriptors_do_not_grow_with_calls(pool, outside_hub, tmp_path):
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("Linux tells what is open")
    script = tmp_path / "script.py"
    script.write_text(DESCRIPTORS)
    arguments = [pool.name, outside_hub.endpoint, outside_hub.token, str(LOAD)]
    subprocess.run([sys.executable, script, *arguments], check=True, timeout=120)

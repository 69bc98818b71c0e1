"""Maps beyond the stdlib's, on threads and in jobs: as results end, with failures, starmap."""

from __future__ import annotations

import itertools
import logging
import weakref
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor, as_completed
from multiprocessing.pool import ThreadPool

import contract_calls as calls
import pytest

from hfexecutor import CallDiedError, HubExecutor, RemoteCallError

TIMEOUT = calls.DEADLINE


@pytest.fixture(scope="module")
def jobs(hub):
    """An executor whose workers are jobs, for what threads cannot do."""
    with HubExecutor(2, endpoint=hub.endpoint, token=hub.token) as shared:
        yield shared


@pytest.fixture
def stdlib():
    with ThreadPoolExecutor(2) as threads:
        yield threads


def unordered(executor: Executor, fn, *iterables, timeout=None):
    """What ``ordered=False`` is in the stdlib."""
    futures = [executor.submit(fn, *row) for row in zip(*iterables, strict=False)]
    return (future.result() for future in as_completed(futures, timeout))


# --- how far they have come ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "failed"),
    [
        ({}, 0),
        ({"chunksize": 4}, 0),
        ({"buffersize": 2, "ordered": False}, 0),
        ({"return_exceptions": True}, 2),
        ({"return_exceptions": True, "chunksize": 4}, 2),
    ],
)
def test_items_that_are_done_are_shown(pool, capsys, options, failed):
    items = ["1", "x", "3", "y", "5"] if failed else "12345"
    results = list(pool.map(int, items, progress=True, **options))

    assert len(results) == 5
    told = capsys.readouterr().err
    assert told.startswith(f"int: 5 of 5 done, {'2 failed, ' if failed else ''}")
    assert told.count("\n") == 1


def test_progress_ends_with_a_map_that_fails_or_is_left(pool, capsys):
    with pytest.raises(ValueError, match="'x'"):
        list(pool.starmap(int, [("1",), ("x",)], progress=True))
    assert "1 failed" in capsys.readouterr().err

    results = pool.map(int, itertools.count(), buffersize=2, progress=True)
    assert next(results) == 0
    results.close()
    assert capsys.readouterr().err.startswith("int: ")


def test_progress_is_yes_or_no(pool):
    with pytest.raises(TypeError, match="progress must be True or False"):
        pool.map(int, "1", progress="no")


# --- as they end -----------------------------------------------------------------------------


def test_a_slow_call_holds_up_no_other(pool, stdlib, gate):
    ours = pool.map(calls.meet_unless_first, [gate.address] * 3, [1, 0, 0], ordered=False)
    theirs = unordered(stdlib, calls.meet_unless_first, [gate.address] * 3, [1, 0, 0])

    for results in (ours, theirs):
        assert [next(results), next(results)] == [0, 0]
    gate.open()
    for results in (ours, theirs):
        assert list(results) == [1]


@pytest.mark.parametrize("chunksize", [1, 3])
@pytest.mark.parametrize("buffersize", [None, 1, 2])
def test_none_is_missing_and_none_comes_twice(pool, chunksize, buffersize):
    results = pool.map(
        calls.double, range(10), chunksize=chunksize, buffersize=buffersize, ordered=False
    )

    assert sorted(results) == list(range(0, 20, 2))


def test_the_first_exception_ends_it_and_cancels_the_rest(new, gate, tmp_path, signatures):
    with new(1) as pool:
        gates = [gate.address] * 300
        results = pool.map(
            calls.meet_and_sign, gates, [str(tmp_path / "no" / "file"), *gates[1:]], ordered=False
        )
        gate.arrived(1)
        gate.let_one_pass()
        with pytest.raises(FileNotFoundError):
            next(results)
        gate.open()
        assert list(results) == []


def test_leaving_cancels_what_has_not_begun(new, gate, tmp_path, signatures):
    with new(1) as pool:
        gates, path = [gate.address] * 300, str(tmp_path / "ran")
        results = pool.map(calls.meet_and_sign, gates, [path] * 300, range(300), ordered=False)
        gate.arrived(1)
        gate.let_one_pass()
        assert next(results) == 0
        results.close()
        gate.open()

    assert len(signatures()) < 150


def test_a_time_limit_ends_it_after_what_has_ended(new, gate):
    with new(1) as pool:
        results = pool.map(
            calls.meet_unless_first, [gate.address] * 2, [0, 1], ordered=False, timeout=TIMEOUT
        )
        assert next(results) == 0
        results = pool.map(calls.nothing, ordered=False, timeout=0)
        assert list(results) == []
        results = pool.map(calls.meet, [gate.address], ordered=False, timeout=0.05)
        with pytest.raises(TimeoutError):
            next(results)
        gate.open()


def test_the_buffer_is_filled_as_results_are_taken(pool):
    numbers = itertools.count()
    results = pool.map(calls.same, numbers, ordered=False, buffersize=3)

    assert next(numbers) == 3
    next(results)
    assert next(numbers) == 5
    results.close()


# --- exceptions as results -------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 2, 5])
@pytest.mark.parametrize("ordered", [True, False])
def test_exceptions_stand_where_results_would(pool, chunksize, ordered):
    results = pool.map(
        calls.fail_at, [2] * 5, range(5), chunksize=chunksize, ordered=ordered,
        return_exceptions=True,
    )  # fmt: skip
    results = list(results)

    errors = [one for one in results if not isinstance(one, int)]
    assert [type(error) for error in errors] == [calls.CustomError]
    assert errors[0].args == (2,)
    assert sorted(one for one in results if isinstance(one, int)) == [0, 1, 3, 4]
    if ordered:
        assert results[2] is errors[0]


@pytest.mark.parametrize("chunksize", [1, 2])
def test_an_exception_that_is_returned_has_its_remote_traceback(jobs, chunksize):
    errors = list(
        jobs.map(calls.fail_below_here, ["a", "b"], chunksize=chunksize, return_exceptions=True)
    )

    assert [str(error) for error in errors] == ["a", "b"]
    for error in errors:
        assert "_deeper_frame" in str(error.__cause__)


class NoPickle(Exception):
    def __reduce__(self):
        raise TypeError("not this one")


def fail_oddly(number):
    if number == 0:
        raise NoPickle
    if number == 1:
        raise SystemExit(3)
    return number


@pytest.mark.parametrize("chunksize", [1, 3])
def test_what_cannot_travel_is_told_in_words_and_harms_no_other_row(jobs, chunksize):
    import cloudpickle

    module = __import__("sys").modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        results = list(jobs.map(fail_oddly, range(3), chunksize=chunksize, return_exceptions=True))
    finally:
        cloudpickle.unregister_pickle_by_value(module)

    assert isinstance(results[0], NoPickle | RemoteCallError)
    assert isinstance(results[1], SystemExit)
    assert results[2] == 2


def test_a_call_that_dies_takes_all_its_rows_along_and_no_other(jobs):
    things = [calls.Thing(str(n)) for n in range(3)]
    results = list(jobs.map(calls.die_with, things, chunksize=2, return_exceptions=True))

    assert [type(one) for one in results] == [CallDiedError] * 3
    assert results[0] is results[1] is not results[2]


def test_a_cancelled_call_is_an_exception_too(new, gate):
    with new(1) as pool:
        first = pool.submit(calls.meet, gate.address)
        gate.arrived(1)
        calls.begun(first)
        results = pool.map(calls.double, range(5), return_exceptions=True)
        pool.shutdown(wait=False, cancel_futures=True)
        gate.open()

        assert [type(one) for one in results] == [CancelledError] * 5


def test_the_time_limit_is_no_result(pool, gate):
    results = pool.map(calls.meet, [gate.address], timeout=0.05, return_exceptions=True)

    with pytest.raises(TimeoutError):
        next(results)
    gate.open()


def test_a_timeout_error_of_a_call_is(pool):
    (result,) = pool.map(
        calls.fail, [TimeoutError("its own")], timeout=TIMEOUT, return_exceptions=True
    )

    assert isinstance(result, TimeoutError)


def test_failures_are_summed_up_at_the_end(pool, caplog):
    errors = [ValueError("bad shape"), KeyError("x"), ValueError("another")]
    results = pool.map(calls.meet_or_fail, [("127.0.0.1", 1)] * 3, errors, return_exceptions=True)
    assert len(list(results)) == 3

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("hfexecutor", logging.WARNING)
    assert record.getMessage().startswith(
        "3 of 3 calls failed: 2 \N{MULTIPLICATION SIGN} ValueError: bad shape, "
        "1 \N{MULTIPLICATION SIGN} KeyError: 'x'; first in call 0 (counted from 0)"
    )


def test_failures_are_summed_up_once_though_a_run_sums_up_too(hub, caplog):
    caplog.set_level(logging.INFO, "hfexecutor")
    with HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
        assert len(list(executor.map(int, ["1", "x", "y"], return_exceptions=True))) == 3

    summaries = [one for one in caplog.records if "of 3 calls failed" in one.getMessage()]
    assert [one.levelno for one in summaries] == [logging.WARNING]
    assert any("run over: 3 calls, 2 failed" in one.getMessage() for one in caplog.records)


@pytest.mark.parametrize("chunksize", [1, 4])
def test_the_summary_leads_to_the_first_that_failed(jobs, caplog, chunksize):
    results = jobs.map(print_and_fail_from(5), range(8), chunksize=chunksize, ordered=False,
                       return_exceptions=True)  # fmt: skip
    assert len(list(results)) == 8

    text = caplog.records[-1].getMessage()
    assert "3 of 8 calls failed" in text
    assert "first in call 5 (counted from 0), http" in text
    assert text.endswith("\n    at 5") if chunksize == 1 else "\n    at 7" in text


def print_and_fail_from(bad):
    def call(number):
        print(f"at {number}")
        if number >= bad:
            raise ValueError("too many")

    return call


def test_without_failures_nothing_is_said(pool, caplog):
    assert list(pool.map(calls.double, [1, 2], return_exceptions=True)) == [2, 4]

    assert caplog.records == []


# --- starmap ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 2])
def test_starmap_is_that_of_a_pool_of_multiprocessing(pool, chunksize):
    rows = [(1, 2), [3, 4, 5], iter((6, 7))]
    ours = list(pool.starmap(calls.add, rows, chunksize=chunksize))
    rows[2] = iter((6, 7))
    with ThreadPool(2) as threads:
        assert ours == threads.starmap(calls.add, rows, chunksize=chunksize) == [3, 12, 13]


def test_starmap_has_the_options_of_map(pool):
    numbers = itertools.count()
    results = pool.starmap(
        calls.fail_at, ((2, n) for n in numbers), buffersize=1, return_exceptions=True
    )  # fmt: skip

    assert next(numbers) == 1
    assert next(results) == 0
    assert isinstance(next(results), calls.CustomError)
    results.close()


def test_what_is_no_row_is_refused_at_once(pool):
    with pytest.raises(TypeError, match="not iterable"):
        pool.starmap(calls.double, [1, 2])


# --- what is left ----------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 2])
@pytest.mark.parametrize("options", [{"ordered": False}, {"return_exceptions": True}])
def test_no_result_is_kept(pool, released, chunksize, options):
    results = pool.map(calls.make_thing, "abcd", chunksize=chunksize, **options)

    for thing in results:
        gone = released.watch(thing)
        del thing
        assert released.now(gone)


def test_no_exception_is_kept(pool, released):
    results = pool.map(calls.fail, [calls.CustomError(n) for n in range(2)], return_exceptions=True)

    gone = released.watch(next(results))
    assert released.now(gone)
    assert len(list(results)) == 1


@pytest.mark.parametrize("ordered", [True, False])
def test_the_executor_is_not_kept(new, ordered):
    pool = new(1)
    results = pool.map(calls.double, range(3), buffersize=1, ordered=ordered)
    assert next(results) == 0
    kept = weakref.ref(pool)
    del pool

    assert list(results) == [2]
    assert kept() is None

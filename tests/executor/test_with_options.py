"""Calls with other options share the jobs of one executor."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest
import tenacity

import hfexecutor


def fail(path):
    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write("x")
    raise ConnectionError("again")


def wait_for(path):
    import os

    while not os.path.exists(path):  # noqa: PTH110 - runs in a job
        time.sleep(0.01)


def job_of(_=None):
    import os

    return os.environ["JOB_ID"]


def test_a_view_shares_jobs_run_events_and_budget_with_its_executor(make):
    with make(1) as executor:
        view = executor.with_options(call_timeout=60)
        assert executor.submit(job_of).result(60) == view.submit(job_of).result(60)
        assert list(view.map(job_of, range(3))) == [executor.submit(job_of).result(60)] * 3
        assert list(view.starmap(pow, [(2, 3)])) == [8]
        assert view.name == executor.name
        stats = executor.stats()
        assert (stats.jobs_started, stats.done) == (1, 7)
        assert repr(view).startswith("<ExecutorView (call_timeout) of <HubExecutor")


def test_each_call_has_the_options_of_who_took_it(make, tmp_path):
    paths = [tmp_path / name for name in ("first", "second", "third")]
    with make(1) as executor:
        short = executor.with_options(call_timeout=0.4)
        again = executor.with_options(
            retry_on=ConnectionError, max_retries=3, retry_wait=tenacity.wait_none()
        )
        late = short.submit(time.sleep, 60)
        errors = [
            pool.submit(fail, str(path))
            for pool, path in zip((executor, again, short), paths, strict=True)
        ]
        fine = executor.submit(time.sleep, 0.8)
        assert isinstance(late.exception(60), hfexecutor.CallTimeoutError)
        assert [type(future.exception(60)) for future in errors] == [ConnectionError] * 3
        assert fine.result(60) is None
    assert [len(path.read_text()) for path in paths] == [1, 4, 1]


def test_a_view_of_a_view_keeps_what_is_not_given(make, tmp_path):
    path = tmp_path / "tries"
    with make(1) as executor:
        view = executor.with_options(retry_on=ConnectionError, retry_wait=tenacity.wait_none())
        view = view.with_options(max_retries=1).with_options(call_timeout=30)
        view.submit(fail, str(path)).exception(60)
    assert len(path.read_text()) == 2


def test_keyed_calls_and_resumed_maps_go_through_a_view_as_well(make, tmp_path):
    with make(1, name="keyed-by-view") as executor:
        view = executor.with_options(call_timeout=60)
        assert view.submit_keyed("a", pow, 2, 5).result(60) == 32
        assert list(view.map(pow, [2], [3], resume="viewed")) == [8]
    with make(1, name="keyed-by-view") as executor:
        assert executor.submit_keyed("a", pow, 2, 9).result(60) == 32
        assert list(executor.map(pow, [2], [3], resume="viewed")) == [8]
        assert executor.stats().jobs_started == 0


def test_the_end_of_its_block_waits_for_its_own_calls_and_ends_no_job(make, tmp_path):
    with make(2) as executor:
        other = executor.submit(wait_for, str(tmp_path / "go on"))
        with executor.with_options(call_timeout=60) as view:
            mine = view.submit(time.sleep, 0.1)
        assert mine.done()
        assert not other.done()
        with pytest.raises(RuntimeError, match="after shutdown of this view"):
            view.submit(pow, 2, 3)
        assert executor.submit(pow, 2, 3).result(60) == 8
        (tmp_path / "go on").touch()


def test_an_exception_stops_its_own_calls_alone(make):
    with make(2) as executor:
        other = executor.submit(time.sleep, 0.5)
        with pytest.raises(KeyError), executor.with_options(call_timeout=60) as view:
            mine = view.submit(time.sleep, 60)
            raise KeyError
        assert mine.cancelled() or isinstance(mine.exception(), hfexecutor.CallStoppedError)
        assert other.result(60) is None


def test_it_can_cancel_what_waits(make):
    with make(1) as executor:
        executor.submit(time.sleep, 0.5)
        view = executor.with_options(max_retries=1)
        waiting = [view.submit(time.sleep, 0) for _ in range(20)]
        view.shutdown(wait=True, cancel_futures=True)
        assert any(future.cancelled() for future in waiting)
        assert all(future.done() for future in waiting)


def test_its_executor_takes_no_more_after_its_own_shutdown(make):
    with make(1) as executor:
        view = executor.with_options(max_retries=1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        view.submit(pow, 2, 3)


def test_a_lazy_map_of_a_view_that_nobody_holds_goes_on(make):
    with make(1) as executor:
        found = executor.with_options(call_timeout=60).map(pow, [2, 3, 4], [2] * 3, buffersize=1)
        gc.collect()
        assert list(found) == [4, 9, 16]

        async def later():
            return [n async for n in executor.with_options(max_retries=1).amap(pow, [2], [3])]

        assert asyncio.run(later()) == [8]


def test_a_view_keeps_its_executor_and_is_kept_by_nobody(make):
    executor = make(1)
    view = executor.with_options(max_retries=1)
    future = view.submit(pow, 2, 3)
    assert future.result(60) == 8
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None
    executor.shutdown()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_workers": 3}, "max_workers is one that all calls of an executor share"),
        ({"token": "hf_x"}, "token is one that all calls of an executor share; with_options"),
        ({"initargs": ()}, "initargs is one that all calls of an executor share"),
        ({"speed": 3}, "speed is no option; with_options.. takes flavor, scheduling_timeout"),
        ({"max_retries": -1}, "max_retries must be 0 or more"),
        ({"call_timeout": "soon"}, "call_timeout must be seconds"),
        ({"retry_on": 3}, "retry_on must be an exception's type"),
        ({"retry_on": KeyError, "max_retries": 0}, "retry_on runs calls again"),
        ({"dependencies": "numpy"}, "list of requirements"),
        ({"call_timeout": "13h"}, "timeout=43200 s would end jobs before a call has had its"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once_and_by_name(make, options, text):
    executor = make(1, timeout="12h")
    with pytest.raises((TypeError, ValueError), match=text):
        executor.with_options(**options)
    executor.shutdown()


def test_requirements_are_installed_for_these_calls_alone(make):
    def has(name):
        import importlib.util

        return importlib.util.find_spec(name) is not None

    with make(1, dependencies=None) as executor:
        assert not executor.submit(has, "iniconfig").result(60)
        assert executor.with_options(dependencies=["iniconfig"]).submit(has, "iniconfig").result(60)


def test_an_initializer_with_needs_asks_for_auto(make):
    def initialize():
        import iniconfig

        return iniconfig

    with make(1, initializer=initialize) as executor:
        with pytest.raises(ValueError, match=r"add 'auto'"):
            executor.with_options(dependencies=None)
        view = executor.with_options(dependencies=["auto", "iniconfig"])
        assert view.submit(pow, 2, 3).result(60) == 8

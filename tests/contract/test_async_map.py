"""``amap`` and ``async with``, on threads and in jobs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import contract_calls as calls
import pytest

from hfexecutor import CallStoppedError, HubExecutor

TIMEOUT = calls.DEADLINE


@pytest.fixture
def make_jobs(hub):
    return lambda workers=1: HubExecutor(workers, endpoint=hub.endpoint, token=hub.token)


def run(main):
    return asyncio.run(asyncio.wait_for(main, TIMEOUT))


# --- amap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 2])
@pytest.mark.parametrize("buffersize", [None, 1])
@pytest.mark.parametrize("ordered", [True, False])
def test_results_are_those_of_map(pool, chunksize, buffersize, ordered):
    async def main():
        results = pool.amap(
            calls.add, range(5), itertools.count(10), chunksize=chunksize,
            buffersize=buffersize, ordered=ordered,
        )  # fmt: skip
        return [one async for one in results]

    results = run(main())
    assert (results if ordered else sorted(results)) == [10, 12, 14, 16, 18]


def test_calls_are_submitted_before_a_result_is_asked_for(new, gate):
    with new(2) as pool:
        results = pool.amap(calls.meet, [gate.address] * 2, "ab")  # no loop runs yet
        gate.arrived(2)
        gate.open()

        async def main():
            return [one async for one in results]

        assert run(main()) == ["a", "b"]


@pytest.mark.parametrize("ordered", [True, False])
def test_the_loop_is_free_while_a_result_is_waited_for(new, gate, ordered):
    with new(1) as pool:

        async def main():
            results = pool.amap(calls.meet, [gate.address], "a", ordered=ordered)
            waiting = asyncio.ensure_future(anext(results))
            await asyncio.to_thread(gate.arrived, 1)
            assert not waiting.done()
            gate.open()
            assert await waiting == "a"
            return await anext(results, "no more")

        assert run(main()) == "no more"


def test_a_slow_call_holds_up_no_other(pool, gate):
    async def main():
        results = pool.amap(calls.meet_unless_first, [gate.address] * 3, [1, 0, 0], ordered=False)
        assert [await anext(results), await anext(results)] == [0, 0]
        gate.open()
        return [one async for one in results]

    assert run(main()) == [1]


@pytest.mark.parametrize("ordered", [True, False])
def test_an_exception_ends_it(pool, ordered):
    async def main():
        results = pool.amap(calls.fail_at, [0], [0], ordered=ordered)
        with pytest.raises(calls.CustomError):
            await anext(results)
        return await anext(results, "no more")

    assert run(main()) == "no more"


def test_exceptions_are_results_if_wanted(pool):
    async def main():
        results = pool.amap(calls.fail_at, [1] * 3, range(3), return_exceptions=True)
        return [one async for one in results]

    first, error, last = run(main())
    assert (first, last) == (0, 2)
    assert isinstance(error, calls.CustomError)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_time_limit_ends_it(new, gate, ordered):
    with new(1) as pool:

        async def main():
            results = pool.amap(calls.meet, [gate.address], ordered=ordered, timeout=0.05)
            with pytest.raises(TimeoutError):
                await anext(results)
            gate.open()

        run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_leaving_early_cancels_what_has_not_begun(new, gate, tmp_path, signatures, ordered):
    path = str(tmp_path / "ran")
    with new(1) as pool:

        async def main():
            results = pool.amap(
                calls.meet_and_sign, [gate.address] * 300, [path] * 300, range(300),
                ordered=ordered,
            )  # fmt: skip
            await asyncio.to_thread(gate.arrived, 1)
            gate.let_one_pass()
            async with contextlib.aclosing(results):
                assert await anext(results) == 0
            gate.open()

        run(main())

    assert len(signatures()) < 150


@pytest.mark.parametrize("ordered", [True, False])
def test_a_cancelled_task_cancels_what_has_not_begun(new, gate, tmp_path, signatures, ordered):
    path = str(tmp_path / "ran")
    with new(1) as pool:

        async def take_all():
            gates = [gate.address] * 300
            rows = (gates, [path] * 300, range(300))
            async for _ in pool.amap(calls.meet_and_sign, *rows, ordered=ordered):
                pass

        async def main():
            task = asyncio.ensure_future(take_all())
            await asyncio.to_thread(gate.arrived, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.open()

        run(main())

    assert len(signatures()) < 150


def test_what_ends_after_its_loop_is_no_trouble(new, gate):
    with new(1) as pool:
        results = pool.amap(calls.meet, [gate.address] * 2, "ab", ordered=False)

        async def main():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(results), 0.05)

        run(main())
        gate.open()


# --- async with ------------------------------------------------------------------------------


def test_leaving_the_block_waits_and_leaves_the_loop_free(make_jobs, gate):
    executors = []

    async def main():
        async with make_jobs() as executor:
            executors.append(executor)
            future = executor.submit(calls.meet, gate.address, "seen through")
            await asyncio.to_thread(gate.arrived, 1)
            asyncio.get_running_loop().call_later(0.1, gate.open)  # it runs while we leave
        assert future.done()
        return future.result()

    assert run(main()) == "seen through"
    assert executors[0].stats().jobs_running == 0


def test_an_exception_that_leaves_it_stops_what_runs(make_jobs, gate):
    executors, futures = [], []

    async def main():
        async with make_jobs() as executor:
            executors.append(executor)
            futures.append(executor.submit(calls.meet, gate.address))
            await asyncio.to_thread(gate.arrived, 1)
            await asyncio.to_thread(calls.begun, futures[0])
            raise calls.CustomError

    with pytest.raises(calls.CustomError):
        run(main())
    assert isinstance(futures[0].exception(0), CallStoppedError)
    assert executors[0].stats().jobs_running == 0


@pytest.mark.parametrize("where", ["inside", "leaving"])
def test_a_cancelled_task_stops_what_runs(make_jobs, gate, where):
    executors, futures = [], []

    async def use(leaving):
        async with make_jobs() as executor:
            executors.append(executor)
            futures.append(executor.submit(calls.meet, gate.address))
            await asyncio.to_thread(gate.arrived, 1)
            await asyncio.to_thread(calls.begun, futures[0])
            leaving.set()
            if where == "inside":
                await asyncio.sleep(TIMEOUT)

    async def main():
        leaving = asyncio.Event()
        task = asyncio.ensure_future(use(leaving))
        await leaving.wait()
        await asyncio.sleep(0)  # it goes on to the next thing that it waits for
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert futures[0].done()

    run(main())
    assert isinstance(futures[0].exception(0), CallStoppedError)
    assert executors[0].stats().jobs_running == 0


def test_it_takes_no_calls_afterwards(make_jobs):
    async def main():
        async with make_jobs() as executor:
            assert await asyncio.wrap_future(executor.submit(calls.double, 2)) == 4
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.amap(calls.double, [1])

    run(main())

"""The executor in an event loop."""

from __future__ import annotations

import asyncio

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


def run(main):
    return asyncio.run(asyncio.wait_for(main, TIMEOUT))


def test_a_future_can_be_awaited(executor):
    async def main():
        return await asyncio.wrap_future(executor.submit(calls.double, 4))

    assert run(main()) == 8


def test_an_exception_is_raised_where_it_is_awaited(executor):
    async def main():
        await asyncio.wrap_future(executor.submit(calls.fail, calls.CustomError("awaited")))

    with pytest.raises(calls.CustomError, match="awaited"):
        run(main())


def test_it_serves_run_in_executor(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, calls.add, 1, 2, 3)

    assert run(main()) == 6


def test_many_are_gathered(executor):
    async def main():
        loop = asyncio.get_running_loop()
        many = (loop.run_in_executor(executor, calls.double, n) for n in range(5))
        return await asyncio.gather(*many)

    assert run(main()) == [0, 2, 4, 6, 8]


def test_cancelling_the_awaiting_side_cancels_a_pending_call(make, gate):
    executor = make(1)
    executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    future = [executor.submit(calls.nothing) for _ in range(5)][-1]

    async def main():
        awaited = asyncio.wrap_future(future)
        awaited.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaited

    run(main())
    assert future.cancelled()


def test_the_loop_is_not_blocked_while_a_call_runs(make, gate):
    executor = make(1)

    async def main():
        awaited = asyncio.wrap_future(executor.submit(calls.meet, gate.address, "late"))
        await asyncio.to_thread(gate.arrived, 1)
        assert not awaited.done()
        gate.open()
        return await awaited

    assert run(main()) == "late"

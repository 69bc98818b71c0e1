"""Faults of logs on their way out: what the readers of one connection get."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from hfexecutor.local import faults
from hfexecutor.local.streams import CutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hfexecutor.local.jobs import Job

    from .injector import Injector

    Batches = AsyncIterator[list[bytes]]
    Queue = asyncio.Queue[tuple[float, list[bytes] | CutError | None]]


class Reading(NamedTuple):
    """One connection to a job's log.

    Attributes:
        batches: what would be sent without the fault in question.
        job: whose log.
        there: how many of its events were there when the connection was made.
    """

    batches: Batches
    job: Job
    there: int


def disturb(batches: Batches, job: Job, injector: Injector, there: int) -> Batches:
    """Return what a reader of a job's log gets, given the faults that strike this connection.

    Args:
        batches: what it gets without them.
        job: whose log.
        injector: knows which faults strike.
        there: how many events of `batches` are a replay.
    """
    for fault in injector.strike(tuple(_READING), job.number, job.labels):
        batches = _READING[type(fault)](fault, Reading(batches, job, there))
    return batches


async def _cut(fault: faults.CutLog, reading: Reading) -> Batches:
    left = fault.lines
    async for batch in reading.batches:
        if len(batch) > left:
            victim = batch[left]
            raise CutError(b"".join(batch[:left]) + victim[: len(victim) // 2])
        left -= len(batch)
        yield batch


async def _stall(fault: faults.StallLog, reading: Reading) -> Batches:
    left = fault.lines
    stalled = False
    async for batch in reading.batches:
        if stalled or len(batch) <= left:
            left -= len(batch)
            yield batch
            continue
        yield batch[:left]
        stalled = True
        await _sleep(fault.seconds)
        yield batch[left:]
    if not stalled:
        await _sleep(fault.seconds)


async def _late(fault: faults.LateLog, reading: Reading) -> Batches:
    queue: Queue = asyncio.Queue()
    clock = asyncio.get_running_loop().time
    filling = asyncio.ensure_future(_fill(reading.batches, queue, lambda: clock() + fault.seconds))
    try:
        while True:
            due, batch = await queue.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if batch is None:
                return
            if isinstance(batch, CutError):
                raise batch
            yield batch
    finally:
        filling.cancel()


async def _fill(batches: Batches, queue: Queue, due: Callable[[], float]) -> None:
    try:
        async for batch in batches:
            queue.put_nowait((due(), batch))
    except CutError as cut:
        queue.put_nowait((due(), cut))
    queue.put_nowait((due(), None))


async def _short_replay(fault: faults.ShortReplay, reading: Reading) -> Batches:
    position = 0
    async for batch in reading.batches:
        numbered = enumerate(batch, position)
        position += len(batch)
        yield [event for at, event in numbered if at < fault.lines or at >= reading.there]


async def _repeat(fault: faults.RepeatLines, reading: Reading) -> Batches:
    position = 0
    async for batch in reading.batches:
        numbered = enumerate(batch, position + 1)
        position += len(batch)
        yield [
            copy for at, event in numbered for copy in [event] * (2 if at % fault.every == 0 else 1)
        ]


async def _shuffle(fault: faults.ShuffleLines, reading: Reading) -> Batches:
    dice = random.Random(fault.places)  # noqa: S311
    async for batch in reading.batches:
        keyed = [(at + dice.uniform(0, fault.places), event) for at, event in enumerate(batch)]
        yield [event for _, event in sorted(keyed, key=lambda pair: pair[0])]


async def _lose_head(fault: faults.LoseHead, reading: Reading) -> Batches:
    skip = max(0, reading.there - fault.keep)
    async for batch in reading.batches:
        yield batch[skip:]
        skip = max(0, skip - len(batch))


async def _lose_tail(fault: faults.LoseTail, reading: Reading) -> Batches:
    """Keep the last lines back: that they are the last is known only at the end."""
    held: list[bytes] = []
    async for batch in reading.batches:
        held += batch
        if len(held) > fault.lines:
            yield held[: -fault.lines]
            held = held[-fault.lines :]
    if fault.seconds is not None and _seconds_since_end(reading.job) >= fault.seconds:
        yield held


async def _none(fault: faults.NoLog, reading: Reading) -> Batches:
    if not fault.endless:
        return
    async for _batch in reading.batches:
        pass
    await _sleep(None)
    yield []


def _seconds_since_end(job: Job) -> float:
    return asyncio.get_running_loop().time() - (job.log_ended or float("inf"))


async def _sleep(seconds: float | None) -> None:
    if seconds is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(seconds)


_READING: dict[type[faults.Fault], Callable[[Any, Reading], Batches]] = {
    faults.CutLog: _cut,
    faults.StallLog: _stall,
    faults.LateLog: _late,
    faults.ShortReplay: _short_replay,
    faults.RepeatLines: _repeat,
    faults.ShuffleLines: _shuffle,
    faults.LoseHead: _lose_head,
    faults.LoseTail: _lose_tail,
    faults.NoLog: _none,
}

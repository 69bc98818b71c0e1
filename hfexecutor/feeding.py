"""Feeding a worker through its door: calls, acknowledgements and orders, many to a message.

One message is on its way at a time, so what piles up meanwhile travels together; only the parts of
large outcomes are fetched beside it. A message whose
answer was lost is sent again under its old number: the worker then repeats its answer and does
nothing twice. What a worker did not take for good comes back when it is over, see
:meth:`hfexecutor.crew.Crew.lose`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import tenacity

from hfexecutor.hub.doors import (
    DoorAmbiguousError,
    DoorError,
    DoorRejectedError,
    DoorUnreachableError,
)
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames

if TYPE_CHECKING:
    from hfexecutor.scheduler import Scheduler
    from hfexecutor.worker import Worker

__all__ = ["feed", "fetch"]

logger = logging.getLogger("hfexecutor")

FETCHES = 8  # parts of a large outcome on their way at once
KNOCK_TIMEOUT = 10.0  # seconds for a small message and its answer
_NOT_FOUND, _KNOWN = 404, 409
SLOWEST = 64 << 10  # bytes per second that a large one travels at least


async def feed(scheduler: Scheduler, worker: Worker) -> None:
    """Carry a worker's mail to its door for as long as both last."""
    while not _gone(worker):
        await worker.mail.wait()
        worker.mail.clear()
        while worker.has_mail and not _gone(worker):
            if entries := worker.compose():
                await _deliver(scheduler, worker, entries)


def _gone(worker: Worker) -> bool:
    return worker.over or worker.bye is not None or worker.door is None


async def _deliver(scheduler: Scheduler, worker: Worker, entries: list[wire.Entry]) -> None:
    begun = time.monotonic()
    worker.unsure.clear()
    try:
        reply = await _ask(scheduler, worker, entries)
    except (DoorError, frames.FrameError) as error:
        if worker.over or worker.bye is not None:
            return
        logger.warning("the door of %s is given up: %s", worker.describe(), error)
        calls = [entry.call for entry in entries if entry.kind == wire.CALL]
        if _undelivered(error):
            taken = [worker.drop(call) for call in calls]
            scheduler.doors.returned(call for call in taken if call is not None)
        else:
            worker.unsure.update(calls)
        scheduler.doors.failed(worker)
        scheduler.pump()
        return
    worker.round_trip = time.monotonic() - begun
    scheduler.doors.answered(worker, reply)


async def fetch(scheduler: Scheduler, worker: Worker, call_id: int, size: int) -> None:
    """Get a large outcome through the door, in parts, several at a time.

    One connection through the Hub's proxy carries some 2 MiB/s, sixteen of them a hundred times as
    much. What fails is asked for again when the worker announces it again.
    """
    slots = asyncio.Semaphore(FETCHES)

    async def part(number: int) -> None:
        async with slots:
            if call_id in worker.held:
                order = wire.Entry(wire.FETCH, call_id, 0, 1, wire.pack_ids([number]))
                reply = await _ask(scheduler, worker, [order], FETCHES * wire.FETCH_BYTES)
                worker.troubled = False
                scheduler.heard(worker, worker.intake.join(reply))

    try:
        await asyncio.gather(*map(part, range(-(-size // wire.FETCH_BYTES))))
    except (DoorError, frames.FrameError) as error:
        logger.info("the outcome of a call in %s was not fetched: %s", worker.describe(), error)
    finally:
        worker.fetching.discard(call_id)


async def _ask(
    scheduler: Scheduler, worker: Worker, entries: list[wire.Entry], expected: int = 0
) -> list[wire.Entry]:
    """Send a message and return what the answer to it says; `expected` bytes may come back."""
    number, message = worker.seal_message(entries)
    patience = KNOCK_TIMEOUT + (len(message) + expected) / SLOWEST
    answer = await _knock(scheduler, worker, message, patience)
    return wire.unpack(frames.open_reply(worker.seal, number, answer))


async def _knock(scheduler: Scheduler, worker: Worker, message: bytes, patience: float) -> bytes:
    """Send a message until it is answered, refused for good, or the worker is gone.

    A door that fails for long is no reason to give the message up: the worker may be running
    calls all the while, and leaves by itself if it hears nothing more.
    """
    url = worker.door
    if url is None:
        raise DoorUnreachableError("the door was given up")
    delivered = False  # perhaps
    async for attempt in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: _may_pass(worker, error)),
        stop=lambda _: _gone(worker),
        wait=tenacity.wait_random_exponential(multiplier=0.02, max=2),
        before_sleep=lambda state: scheduler.doors.troubled(worker, state.seconds_since_start or 0),
        sleep=asyncio.sleep,
        reraise=True,
    ):
        with attempt:
            try:
                return await scheduler.connection.hub.knock(url, message, timeout=patience)
            except (DoorUnreachableError, DoorRejectedError) as error:
                if delivered and _undelivered(error):
                    raise DoorAmbiguousError(str(error)) from error
                raise
            except DoorAmbiguousError:
                delivered = True
                raise
    raise AssertionError("unreachable: tenacity reraises")


def _undelivered(error: Exception) -> bool:
    """Say whether a message has not been dealt with; a door that knows its number may have."""
    if isinstance(error, DoorRejectedError):
        return error.status != _KNOWN
    return isinstance(error, DoorUnreachableError)


def _may_pass(worker: Worker, error: BaseException) -> bool:
    """Say whether a door may answer later; a new one may not be known everywhere at first."""
    if isinstance(error, DoorRejectedError):
        return error.status == _NOT_FOUND and not worker.door_answered
    return isinstance(error, (DoorUnreachableError, DoorAmbiguousError))

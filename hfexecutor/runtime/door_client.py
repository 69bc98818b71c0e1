"""Doors: messages to workers, and large outcomes from them."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final

from hfexecutor.core.events import (
    Answered,
    DoorFailure,
    Fetched,
    FetchFailed,
    FetchRefused,
    Listened,
    ListenFailed,
    RangeFailed,
    RangeKept,
    RangeRefused,
    Unanswered,
)
from hfexecutor.hub.doors import (
    DoorAmbiguousError,
    DoorError,
    DoorRejectedError,
    DoorUnreachableError,
)
from hfexecutor.hub.hosts import Door
from hfexecutor.hub.ranges import Query
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, ranges, seals
from hfexecutor.runtime.arrivals import Arrival, Arrivals, CrowdedError
from hfexecutor.runtime.news import news_of

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from hfexecutor.core import commands as do
    from hfexecutor.core.fetching import Key
    from hfexecutor.runtime.edge import Surroundings

__all__ = ["DoorClient"]

# Seconds between two looks whether there is room now: memory that is freed tells nobody.
_CROWDED: Final = 0.25


class DoorClient:
    """Take messages to doors, each of them once for each command."""

    def __init__(self, around: Surroundings) -> None:
        self._hub = around.connection.hub
        self._links = around.links
        self._tasks = around.tasks
        self._tell = around.tell
        self._loop = asyncio.get_running_loop()
        self._doors: dict[str, Door] = {}
        self._arrivals = Arrivals()
        self._under_way: dict[str, set[asyncio.Task[None]]] = {}

    def send(self, command: do.Send) -> None:
        """Take a message to a door, and its answer back."""
        self._start(command.worker, self._send(command))

    def send_range(self, command: do.SendRange) -> None:
        """Take a range of a buffer to a door."""
        self._start(command.worker, self._send_range(command))

    def fetch(self, command: do.Fetch) -> None:
        """Fetch a range of a large outcome."""
        self._start(command.worker, self._fetch(command))

    def listen(self, command: do.Listen) -> None:
        """Wait for what a worker says as it happens."""
        self._start(command.worker, self._listen(command))

    def forget(self, worker: str) -> None:
        """Hang up: the worker is over."""
        for task in self._under_way.pop(worker, ()):
            task.cancel()
        if (door := self._doors.pop(worker, None)) is not None:
            self._hub.forget_door(door)

    def _start(self, worker: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.start(work, worker, among=self._under_way.setdefault(worker, set()))

    async def _send(self, command: do.Send) -> None:
        worker, number, begun = command.worker, command.number, self._loop.time()
        try:
            reply = await self._ask(command, command.entries)
        except frames.FrameError as error:
            self._tell(Unanswered(worker, number, DoorFailure.FORGED, 0, str(error)))
        except DoorError as error:
            failure, status = _sort(error)
            self._tell(Unanswered(worker, number, failure, status, str(error)))
        else:
            seconds = self._loop.time() - begun
            self._tell(Answered(worker, number, news_of(reply), seconds))

    async def _fetch(self, command: do.Fetch) -> None:
        worker, number, call, key = command.worker, command.number, command.call, command.key
        seal, head = self._links.of(worker).seal, bytearray(seals.REPLY_HEAD_BYTES)
        span = wire.pack_ids([command.start, command.stop])
        message = self._message(command, (wire.Entry(wire.FETCH, call, 0, 1, span),))
        try:
            views = (await self._places(key)).views(command.start, command.stop)
            check = functools.partial(seals.check_reply, seal, number, head, views)
            query = Query([message], [memoryview(head), *views], check)
            await self._hub.fetch(self._door(command), query, timeout=command.patience)
        except MemoryError as error:
            why = str(error) or f"it has {key.size:,} bytes"
            self._tell(FetchRefused(worker, number, call, why))
        except (DoorError, frames.FrameError) as error:
            self._tell(FetchFailed(worker, number, call, str(error) or repr(error)))
        else:
            for view in views:  # or a place with views of it would have to be copied at the end
                view.release()
            news = self._arrivals.take(key, call, command.stop - command.start)
            self._tell(Fetched(worker, number, call, news))

    async def _places(self, key: Key) -> Arrival:
        """Return the places of an outcome, once what else is on its way leaves room for them.

        Raises:
            MemoryError: There is none, and nothing on its way.
        """
        while True:
            try:
                return self._arrivals.of(key)
            except CrowdedError:
                await asyncio.sleep(_CROWDED)

    async def _send_range(self, command: do.SendRange) -> None:
        worker, number, buffer = command.worker, command.number, command.buffer
        seal, start = self._links.of(worker).seal, command.part * ranges.RANGE_BYTES
        part = ranges.Range(buffer.name, buffer.size, command.part, buffer.digests[command.part])
        data = buffer.data[start : start + ranges.RANGE_BYTES]
        head, body = bytearray(seals.REPLY_HEAD_BYTES), bytearray(ranges.REPLY_BYTES)
        check = functools.partial(seals.check_reply, seal, number, head, [body])
        query = Query(
            [ranges.seal_range(seal, number, part), data],
            [memoryview(head), memoryview(body)],
            check,
            ranges.PATH,
        )
        try:
            await self._hub.fetch(self._door(command), query, timeout=command.patience)
        except (DoorError, frames.FrameError) as error:
            self._tell(RangeFailed(worker, number, str(error)))
            return
        if why := ranges.unpack_reply(body):
            self._tell(RangeRefused(worker, number, why))
        else:
            self._tell(RangeKept(worker, number))

    async def _listen(self, command: do.Listen) -> None:
        worker, number = command.worker, command.number
        wish = wire.pack_ids([command.position, int(1000 * command.seconds)])
        try:
            reply = await self._ask(command, (wire.Entry(wire.LISTEN, 0, 0, 1, wish),))
        except (DoorError, frames.FrameError) as error:
            self._tell(ListenFailed(worker, number, str(error)))
        else:
            entries = tuple(self._links.of(worker).parser.told(reply))
            position = next((e.call for e in entries if e.kind == wire.POSITION), command.position)
            self._tell(Listened(worker, number, position, news_of(entries)))

    async def _ask(
        self, command: do.Send | do.Listen, entries: tuple[wire.Entry, ...]
    ) -> list[wire.Entry]:
        message, door = self._message(command, entries), self._door(command)
        answer = await self._hub.knock(door, message, timeout=command.patience)
        seal = self._links.of(command.worker).seal
        return wire.unpack(frames.open_reply(seal, command.number, answer))

    def _message(
        self, command: do.Send | do.Fetch | do.Listen, entries: tuple[wire.Entry, ...]
    ) -> bytes:
        seal = self._links.of(command.worker).seal
        return frames.seal_message(seal, command.number, wire.pack(entries))

    def _door(self, command: do.Send | do.SendRange | do.Fetch | do.Listen) -> Door:
        door = self._doors[command.worker] = Door(command.door, command.job, command.port)
        return door


def _sort(error: DoorError) -> tuple[DoorFailure, int]:
    if isinstance(error, DoorRejectedError):
        return DoorFailure.REJECTED, error.status
    if isinstance(error, DoorUnreachableError):
        return DoorFailure.UNREACHABLE, 0
    assert isinstance(error, DoorAmbiguousError)
    return DoorFailure.AMBIGUOUS, 0

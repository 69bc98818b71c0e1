"""Server-sent events: a job's log and its metrics, each as an ASGI response."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from .jobs import Job
    from .logs import Log

_HEADERS = (
    (b"content-type", b"text/event-stream;charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_KEEP_ALIVE = b": keep-alive\n\n"
_MAX_SEND = 1 << 20


class CutError(Exception):
    """Have the connection cut after these last bytes, in the middle of everything."""

    def __init__(self, last: bytes) -> None:
        super().__init__("cut")
        self.last = last


class EventStream:
    """An ASGI response that sends batches of events until they end or the client leaves.

    Args:
        batches: what to send; a batch goes out in as few pieces as possible.
        keep_alive: a comment is sent after so many seconds of silence.
        abort: cuts the connection of a request.
    """

    def __init__(
        self,
        batches: AsyncIterator[list[bytes]],
        keep_alive: float,
        abort: Callable[[Scope], None],
    ) -> None:
        self._batches = batches
        self._keep_alive = keep_alive
        self._abort = abort
        self._sent = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream."""
        pump = asyncio.ensure_future(self._pump(scope, send))
        leaving = asyncio.ensure_future(_until_left(receive))
        try:
            await self._keep_alive_until_done({pump, leaving}, send)
        finally:
            leaving.cancel()
            pump.cancel()
            await asyncio.gather(pump, leaving, return_exceptions=True)

    async def _keep_alive_until_done(self, tasks: set[asyncio.Task[None]], send: Send) -> None:
        clock = asyncio.get_running_loop().time
        self._sent = clock()
        while True:
            wait = max(0.0, self._sent + self._keep_alive - clock())
            done, _ = await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            if clock() >= self._sent + self._keep_alive:
                await self._send(send, _KEEP_ALIVE)

    async def _pump(self, scope: Scope, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": list(_HEADERS)}
        await send(start)
        await self._send(
            send, b""
        )  # the headers leave with the first piece of the body, be it empty
        try:
            async for batch in self._batches:
                for chunk in _joined(batch):
                    await self._send(send, chunk)
        except CutError as cut:
            await self._send(send, cut.last)
            self._abort(scope)
            await asyncio.Event().wait()  # until the client is seen to have left
        await self._send(send, b"", more=False)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        self._sent = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _joined(events: list[bytes]) -> list[bytes]:
    if sum(map(len, events)) <= _MAX_SEND:
        return [b"".join(events)] if events else []
    chunks: list[list[bytes]] = [[]]
    size = 0
    for event in events:
        if chunks[-1] and size + len(event) > _MAX_SEND:
            chunks.append([])
            size = 0
        chunks[-1].append(event)
        size += len(event)
    return [b"".join(chunk) for chunk in chunks]


class Replay:
    """What a reader gets of the lines that are there already.

    Attributes:
        ahead: what is sent before all else.
        position: the number of the line that comes next.
        there: how many events all that is.
    """

    def __init__(self, log: Log, tail: int | None) -> None:
        self.ahead: list[bytes] = []
        self.position = log.start
        if tail is not None and log.total - tail > log.start:
            self.position = log.total - tail
            self.ahead = log.first  # the real Hub sends it whatever the tail is
        self.there = len(self.ahead) + log.total - self.position


async def follow(log: Log, lag: float, replay: Replay) -> AsyncIterator[list[bytes]]:
    """Yield the events of a log, beginning with a replay, to its end.

    Args:
        log: whose events.
        lag: each event is so many seconds late.
        replay: where to begin.
    """
    news = asyncio.Event()
    stop = log.listen(news.set)
    ahead, position = replay.ahead, replay.position
    try:
        while True:
            news.clear()
            ended = log.ended
            events, position = log.after(position)
            events, ahead = ahead + events, []
            if events:
                if lag:
                    await asyncio.sleep(lag)
                yield events
            if position < log.total:
                continue
            if ended:
                return
            await news.wait()
    finally:
        stop()


async def sample(
    job: Job, interval: float, measure: Callable[[Job], dict[str, Any]], *, endless: bool
) -> AsyncIterator[list[bytes]]:
    """Yield a job's metrics at an interval for as long as it runs; `endless`: do not end then."""
    while not job.stage.over:
        data = json.dumps(measure(job), separators=(",", ":"))
        yield [f"event: metric\ndata: {data}\n\n".encode()]
        await asyncio.sleep(interval)
    if endless:
        await asyncio.Event().wait()

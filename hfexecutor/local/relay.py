"""The two ends of a connection through a door.

Requests are parsed as far as is needed to check the token of each and to know where it ends.
Replies are relayed as they come: they keep their order, so nothing needs to know where one ends.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
from typing import TYPE_CHECKING

from . import heads
from .faults import DoorFault
from .listening import LOOPBACK, is_loopback, reset

if TYPE_CHECKING:
    from .doors import Doors
    from .jobs import Job
    from .runners import Answer

_MAX_ANSWERED = 64 << 20
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    411: b"Length Required",
    431: b"Request Header Fields Too Large",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
}


class JobEnd(asyncio.Protocol):
    """The connection to the job's port."""

    transport: asyncio.Transport

    def __init__(self, client: Client) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._client.doors.connections.add(transport)

    def data_received(self, data: bytes) -> None:
        """Hand the job's bytes on."""
        self._client.send(data)
        throttle(self.transport, len(data), self._client.doors.timings.door_rate)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Hang up on the client when the job has hung up."""
        self._client.doors.connections.discard(self.transport)
        self._client.transport.close()

    def pause_writing(self) -> None:
        """Read no more from a client than the job takes."""
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._client.transport.resume_reading()


class Client(asyncio.Protocol):
    """A client's connection to a door.

    While `_worker` is at work on the beginning of a request, what arrives is kept in `_buffer`.
    """

    transport: asyncio.Transport

    def __init__(self, doors: Doors, job: Job, port: int) -> None:
        self.doors = doors
        self._job = job
        self._port = port
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._body: heads.Body | None = None
        self._raw = False
        self._fault: str | None = None
        self._end: JobEnd | None = None
        self._worker: asyncio.Task[None] | None = None

    # ---------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.doors.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Let go of the job when the client has gone."""
        self.doors.connections.discard(self.transport)
        if self._worker:
            self._worker.cancel()
        if self._end:
            self._end.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client to where they belong."""
        throttle(self.transport, len(data), self.doors.timings.door_rate)
        if self._worker is None and not self._buffer and self._in_request:
            self._forward(data)
            return
        self._buffer += data
        self._arrived.set()
        if self._worker is None:
            self._advance()
        elif len(self._buffer) > heads.MAX_HEAD:
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """Read no more from the job than the client takes."""
        if self._end:
            self._end.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self._end:
            self._end.transport.resume_reading()

    # ---------------------------------------------------------------- requests, one after the other

    def send(self, data: bytes) -> None:
        """Hand bytes of the job on to the client."""
        if self._fault == "deliver":
            reset(self.transport)
        else:
            self.transport.write(data)

    @property
    def _in_request(self) -> bool:
        """Whether what arrives next belongs to a request whose head has been dealt with."""
        return self._raw or (self._body is not None and not self._body.done)

    def _advance(self) -> None:
        """Deal with what is in the buffer, as far as that goes."""
        while self._buffer and self._worker is None and not self.transport.is_closing():
            if self._in_request:
                data = bytes(self._buffer)
                self._buffer.clear()
                self._forward(data)
            elif not self._next_head():
                return

    def _forward(self, data: bytes) -> None:
        """Hand bytes of a request's body on to the job, and keep what follows it."""
        taken = len(data)
        if not self._raw:
            assert self._body is not None
            try:
                taken = self._body.take(data)
            except heads.HeadError as error:
                self._refuse(400, str(error))
                return
        if self._fault == "drop":
            self._drop_if_complete()
            return
        assert self._end is not None
        self._end.transport.write(data if taken == len(data) else data[:taken])
        if taken < len(data):
            self._buffer += data[taken:]
            self._advance()

    def _next_head(self) -> bool:
        """Begin the next request; False: its head is not complete."""
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer)) > heads.MAX_HEAD:
            self._refuse(431, "head too large")
            return False
        if end < 0:
            return False
        try:
            head = heads.parse(bytes(self._buffer[:end]))
            self._body, self._raw = heads.Body(head.length), head.upgrade
            refusal = self._why_not(head)
        except heads.HeadError as error:
            refusal = 400, str(error)
        del self._buffer[: end + 4]
        if refusal:
            self._refuse(*refusal)
            return False
        self._begin(head)
        return True

    def _why_not(self, head: heads.Head) -> tuple[int, str] | None:
        if not is_loopback((head.get(b"host") or LOOPBACK.encode()).decode("latin-1")):
            return 403, "This port answers under loopback names only"
        if self._port not in self._job.public_ports:
            given = head.get(b"authorization") or b""
            if not hmac.compare_digest(given, b"Bearer " + self.doors.token):
                return 401, "Invalid credentials in Authorization header"
        if self._job.stage.over:
            return 503, "The job is over"
        return None

    def _begin(self, head: heads.Head) -> None:
        self.doors.count(head.method.decode())
        struck = self.doors.plan.strike(DoorFault, self._job.number, self._job.labels)
        self._fault = struck[0].how if struck else None
        if self._fault == "refuse":
            self._refuse(502, "The job does not answer")
        elif self._fault == "drop":
            self._drop_if_complete()
        elif self._end and not self.doors.timings.door and not self._fault:
            self._pass_on(head)
        else:
            self._worker = asyncio.ensure_future(self._reach(head))

    async def _reach(self, head: heads.Head) -> None:
        """Do the part of a request that has to wait for something."""
        if self._fault == "hang":
            await asyncio.Event().wait()
        if self.doors.timings.door:
            await asyncio.sleep(self.doors.timings.door)
        answer = self._job.doors.get(self._port)
        if answer is not None:
            await self._answer(answer, head)
        elif self.doors.leads_to(self._job, self._port) and await self._connected():
            self._pass_on(head)
        else:
            self._refuse(502, f"The job does not listen on port {self._port}")
        self._worker = None
        self.transport.resume_reading()
        self._advance()

    async def _connected(self) -> bool:
        if self._end is None:
            loop = asyncio.get_running_loop()
            try:
                _, self._end = await loop.create_connection(
                    lambda: JobEnd(self), LOOPBACK, self._port
                )
            except OSError:
                return False
        return True

    def _pass_on(self, head: heads.Head) -> None:
        assert self._end is not None
        self._end.transport.write(head.without(b"authorization"))

    async def _answer(self, answer: Answer, head: heads.Head) -> None:
        """Reply in the place of a simulated job."""
        length = head.length
        if length is None or length > _MAX_ANSWERED:
            self._refuse(411, "A simulated job needs a content-length")
            return
        while len(self._buffer) < length:
            self._arrived.clear()
            self.transport.resume_reading()
            await self._arrived.wait()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._body = None
        reply = answer(body)
        data = await reply if inspect.isawaitable(reply) else reply
        if self._fault == "deliver":
            reset(self.transport)
        else:
            self._reply(200, data)

    def _drop_if_complete(self) -> None:
        if self._body is None or self._body.done:
            reset(self.transport)

    def _refuse(self, status: int, text: str) -> None:
        """Answer with an error and hang up: what follows on this connection is not looked at."""
        self._reply(status, text.encode(), b"connection: close\r\n")
        self.transport.close()

    def _reply(self, status: int, body: bytes, extra: bytes = b"") -> None:
        head = b"HTTP/1.1 %d %s\r\ncontent-length: %d\r\n%s\r\n"
        self.transport.write(head % (status, _REASONS[status], len(body), extra) + body)


def throttle(transport: asyncio.Transport, size: int, rate: float | None) -> None:
    """Read no more for as long as so many bytes take at that rate."""
    if rate is not None and size > _FREE_BYTES and not transport.is_closing():
        transport.pause_reading()
        asyncio.get_running_loop().call_later(size / rate, transport.resume_reading)


_FREE_BYTES = 4096  # too few to be worth a timer

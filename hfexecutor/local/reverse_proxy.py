"""The way of HTTP through an exposed port: from a client's connection to the job's, and back.

Requests are parsed, since each has to show the token, and since no byte may reach a job that does
not clearly belong to one. Replies are handed on as they come: they keep their order, so nothing
here needs to know where one ends.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import logging
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import h11

from .faults import DoorFault
from .listening import LOOPBACK, is_loopback, reset
from .stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .injection.injector import Injector
    from .jobs import Job
    from .runners import Answer
    from .timings import Timings

_logger = logging.getLogger("hfexecutor")
_MAX_HEAD = 32 * 1024
_MAX_ANSWERED = 64 << 20
_READ_BYTES = 256 << 10  # at once
# What cannot be written at once a transport keeps as it is; before it was copied.
_KEEPS_VIEWS = sys.version_info >= (3, 12)
_FREE_BYTES = 4096  # too few to be worth a timer


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The port of a job that connections are to reach, and what holds for them.

    Attributes:
        job: whose port.
        port: its number.
        authorization: what the header of that name must be, unless the port is public.
        timings: `door` and `door_rate` apply.
        injector: the faults; those of doors apply.
        reachable: whether the port of this machine is the job's.
        count: called with the method of each request that is let in.
        connections: all that are open, on both sides.
        read_buffer: which they share.
    """

    job: Job
    port: int
    authorization: bytes
    timings: Timings
    injector: Injector
    reachable: Callable[[], bool]
    count: Callable[[str], None]
    connections: set[asyncio.Transport]
    read_buffer: ReadBuffer


class ReadBuffer:
    """Memory that connections are read into, one at a time, and written on from at once.

    Memory that is new for each piece costs more than the rest of a piece's way through here.

    Attributes:
        view: what the next piece is read into.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_BYTES))

    def write(self, transport: asyncio.Transport, data: memoryview) -> None:
        """Write a piece of what was read."""
        transport.write(data)
        if _KEEPS_VIEWS and transport.get_write_buffer_size():
            self.view = memoryview(bytearray(_READ_BYTES))


class _RefusedError(Exception):
    """Say with which status a request is answered instead of being handed on."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Upstream(asyncio.BufferedProtocol):
    """The connection to the job's port."""

    transport: asyncio.Transport

    def __init__(self, client: Proxy) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._client.target.connections.add(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Say where the next piece goes."""
        return self._client.target.read_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        """Hand the job's bytes on."""
        target = self._client.target
        self._client.send(target.read_buffer.view[:nbytes])
        throttle(self.transport, nbytes, target.timings.door_rate)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Hang up on the client when the job has hung up."""
        self._client.target.connections.discard(self.transport)
        self._client.transport.close()

    def pause_writing(self) -> None:
        """Read no more from a client than the job takes."""
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._client.transport.resume_reading()


class Proxy(asyncio.BufferedProtocol):
    """A client's connection to an exposed port: one request after the other.

    A request is dealt with at once where that is possible. Where something has to be waited for,
    `_waiting` is the task that does so; what arrives meanwhile is left unread by the parser.
    """

    transport: asyncio.Transport

    def __init__(self, target: Target) -> None:
        self.target = target
        self._parser: h11.Connection | None = None  # of a request of which something has arrived
        self._writer: h11.Connection | _Copy | None = None
        # And not written yet: a head goes with its body.
        self._passed_on: list[bytes | memoryview] = []
        self._upgrade = self._raw = False
        self._fault: str | None = None
        self._sent = 0  # bytes of a reply that is cut
        self._rest = 0  # bytes of a body that pass unread
        self._upstream: _Upstream | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._answer: Answer | None = None
        self._body = bytearray()

    # ---------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.target.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Let go of the job when the client has gone."""
        self.target.connections.discard(self.transport)
        if self._waiting:
            self._waiting.cancel()
        if self._upstream:
            self._upstream.transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Say where the next piece goes."""
        return self.target.read_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes of the client to where they belong."""
        throttle(self.transport, nbytes, self.target.timings.door_rate)
        data = self.target.read_buffer.view[:nbytes]
        if self._raw:
            assert self._upstream is not None
            self.target.read_buffer.write(self._upstream.transport, data)
            return
        if self._rest:
            data = self._pass_body(data)
            if not data:
                return
        parser = self._parse(bytes(data))
        if self._waiting is None:
            self._advance()
        elif len(parser.trailing_data[0]) > _MAX_HEAD:
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """Read no more from the job than the client takes."""
        if self._upstream:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self._upstream:
            self._upstream.transport.resume_reading()

    # ---------------------------------------------------------------- requests, one after the other

    def send(self, data: memoryview) -> None:
        """Hand bytes of the job on to the client."""
        if self._fault == "deliver":
            reset(self.transport)
        elif self._fault == "cut":
            self.transport.write(bytes(data[: self._sent]))
            self.transport.close()
        else:
            self.target.read_buffer.write(self.transport, data)

    def _parse(self, data: bytes) -> h11.Connection:
        """Give more to the parser, and return it."""
        if self._parser is None:
            # One for each request: it would otherwise want to know of the replies, too.
            self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._parser.receive_data(data)
        return self._parser

    def _advance(self) -> None:
        """Deal with what has arrived, as far as that goes."""
        try:
            while self._waiting is None and not (self._raw or self.transport.is_closing()):
                if self._parser is None:
                    break
                event = self._parser.next_event()
                if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    break
                self._take(event)
            self._write()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, str(error))
        except _RefusedError as refused:
            self._refuse(refused.status, str(refused))

    def _take(self, event: object) -> None:
        match event:
            case h11.Request():
                headers = event.headers.raw_items()
                values = {name.lower(): value for name, value in headers}
                self._check(event, headers, values)
                self._begin(event, headers, values)
            case h11.Data(data=data) if self._answer is not None:
                self._body += data
                if len(self._body) > _MAX_ANSWERED:
                    raise _RefusedError(413, "A simulated job takes no more than 64 MiB")
            case h11.Data() | h11.EndOfMessage() if self._writer is not None:
                self._pass_on(event)
        if isinstance(event, h11.EndOfMessage):
            self._end_request()

    def _check(self, request: h11.Request, headers: _Headers, values: _Values) -> None:
        """Refuse what may not go on to the job."""
        if not is_loopback(values.get(b"host", LOOPBACK.encode()).decode("latin-1")):
            raise _RefusedError(403, "This port answers under loopback names only")
        if b"content-length" in values and b"transfer-encoding" in values:
            raise _RefusedError(400, "Ambiguous length of the body")
        if request.http_version != b"1.1":
            raise _RefusedError(505, "This port speaks HTTP/1.1 only")
        if self.target.port not in self.target.job.public_ports:
            if len(values) < len(headers):
                _refuse_repeated(headers, _TOKEN)
            given = values.get(_TOKEN, b"")
            if not hmac.compare_digest(given, self.target.authorization):
                raise _RefusedError(401, "Invalid credentials in Authorization header")
        if self.target.job.stage.over:
            raise _RefusedError(503, "The job is over")
        if len(values) < len(headers):
            _refuse_repeated(headers, b"host", b"connection", b"content-length")

    def _begin(self, request: h11.Request, headers: _Headers, values: _Values) -> None:
        target, job = self.target, self.target.job
        target.count(request.method.decode())
        struck = target.injector.strike(DoorFault, job.number, job.labels)
        self._fault, self._sent = (struck[0].how, struck[0].sent) if struck else (None, 0)
        self._upgrade = b"upgrade" in values.get(b"connection", b"").lower()
        if self._fault == "refuse":
            raise _RefusedError(502, "The job does not answer")
        if self._fault == "drop":
            return  # at its end
        if self._upstream and not target.timings.door and not self._fault:
            self._open(request, headers, values)
        else:
            self._wait_for(self._reach(request, headers, values))

    async def _reach(self, request: h11.Request, headers: _Headers, values: _Values) -> None:
        """Do the part of a request that has to wait for something."""
        target = self.target
        if self._fault == "hang":
            await asyncio.Event().wait()
        if target.timings.door:
            await asyncio.sleep(target.timings.door)
        self._answer = target.job.doors.get(target.port)
        if self._answer is not None:
            self._body.clear()
        elif target.job.stage is Stage.SCHEDULING:
            raise _RefusedError(502, "The job does not run yet")
        elif target.reachable() and await self._connected():
            self._open(request, headers, values)
        else:
            raise _RefusedError(502, f"The job does not listen on port {target.port}")

    async def _connected(self) -> bool:
        if self._upstream is None:
            loop = asyncio.get_running_loop()
            try:
                _, self._upstream = await loop.create_connection(
                    lambda: _Upstream(self), LOOPBACK, self.target.port
                )
            except OSError:
                return False
        return True

    def _open(self, request: h11.Request, headers: _Headers, values: _Values) -> None:
        """Hand a request's head on to the job, without the token."""
        as_sent = [pair for pair in headers if pair[0].lower() != _TOKEN]
        if b"transfer-encoding" in values:
            self._writer = h11.Connection(h11.CLIENT)  # it cuts the body into chunks again
            method, path = request.method, request.target
            self._pass_on(h11.Request(method=method, target=path, headers=as_sent))
        else:
            self._passed_on.append(_head(request, as_sent))
            length = int(values.get(b"content-length", b"0"))
            if length and not (self._fault or self._upgrade):
                self._begin_body(length)
            else:
                self._writer = _Copy()

    def _begin_body(self, length: int) -> None:
        """Let a body of a known length pass: to parse it takes longer than all the rest."""
        assert self._parser is not None
        arrived, _ = self._parser.trailing_data
        self._rest, self._parser = length, None
        if more := self._pass_body(memoryview(bytes(arrived))):
            self._parse(bytes(more))

    def _pass_body(self, data: memoryview) -> memoryview:
        """Hand on what belongs to a body; return what comes after it."""
        body = data if len(data) <= self._rest else data[: self._rest]
        self._rest -= len(body)
        self._passed_on.append(body)
        self._write()
        return data[len(body) :]

    def _pass_on(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        assert self._writer is not None
        if data := self._writer.send(event):
            self._passed_on.append(data)

    def _write(self) -> None:
        if self._passed_on:
            assert self._upstream is not None
            transport, pieces = self._upstream.transport, self._passed_on
            if len(pieces) == 1 and isinstance(pieces[0], memoryview):
                self.target.read_buffer.write(transport, pieces[0])
            else:
                transport.write(b"".join(pieces))
            pieces.clear()

    def _end_request(self) -> None:
        """Be ready for the next request, or for whatever follows in another protocol."""
        assert self._parser is not None
        rest, _ = self._parser.trailing_data
        answer, self._answer = self._answer, None
        self._parser = self._writer = None
        if self._fault == "drop":
            reset(self.transport)
        elif answer is not None:
            self._wait_for(self._answer_with(answer, bytes(self._body)))
        elif self._upgrade:
            self._raw = True
            self._write()
            if rest and self._upstream:
                self._upstream.transport.write(rest)
            return
        if rest:
            self._parse(rest)

    async def _answer_with(self, answer: Answer, body: bytes) -> None:
        """Reply in the place of a simulated job."""
        reply = answer(body)
        data = await reply if inspect.isawaitable(reply) else reply
        self.send(memoryview(_reply(200, data)))

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        self._waiting = asyncio.ensure_future(self._finish(work))

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for something, and go on with what has arrived since."""
        try:
            await work
        except _RefusedError as refused:
            self._refuse(refused.status, str(refused))
        except Exception as error:  # whatever it is, nobody else would hear of it
            _logger.exception("a request through a port of job %s failed", self.target.job.id)
            self._refuse(500, f"LocalHub failed: {error!r}")
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._advance()

    def _refuse(self, status: int, text: str) -> None:
        """Answer with an error and hang up: what follows on this connection is not looked at."""
        self.transport.write(_reply(status, text.encode(), (b"connection", b"close")))
        self.transport.close()


_TOKEN = b"authorization"
_Headers: TypeAlias = "list[tuple[bytes, bytes]]"
_Values: TypeAlias = "dict[bytes, bytes]"  # by name, in lower case


class _Copy:
    """Writes a body of a known length, which the parser has counted: as it is."""

    def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        """Return the bytes of this part."""
        return bytes(event.data) if isinstance(event, h11.Data) else b""


def _head(request: h11.Request, headers: _Headers) -> bytes:
    """Return a head that the parser has found to be well-formed."""
    lines = [b"%b %b HTTP/1.1" % (request.method, request.target)]
    lines += [b"%b: %b" % pair for pair in headers]
    return b"\r\n".join([*lines, b"", b""])


def _refuse_repeated(headers: _Headers, *once: bytes) -> None:
    names = [name.lower() for name, _ in headers]
    for name in once:
        if names.count(name) > 1:
            raise _RefusedError(400, f"More than one {name.decode()} header")


def _reply(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> bytes:
    writer = h11.Connection(h11.SERVER)
    length = (b"content-length", b"%d" % len(body))
    phrase = HTTPStatus(status).phrase.encode()
    reply = h11.Response(status_code=status, reason=phrase, headers=[length, *headers])
    events = (reply, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(writer.send(event) or b"" for event in events)


def throttle(transport: asyncio.Transport, size: int, rate: float | None) -> None:
    """Read no more for as long as so many bytes take at that rate."""
    if rate is not None and size > _FREE_BYTES and not transport.is_closing():
        transport.pause_reading()
        asyncio.get_running_loop().call_later(size / rate, transport.resume_reading)

"""The door: a listening socket and the few connections through it."""

from __future__ import annotations

import errno
import socket
from collections import deque

from .buffered_writer import BufferedWriter
from .http_parser import Parser, Request, response, response_head
from .ranges import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .buffers import Buffer
    from .event_loop import EventLoop
    from .messages import Reply

    Body = bytes | tuple[Buffer, ...]

__all__ = ["HTTPServer"]

_MOST_CONNECTIONS = 48  # a client fetches over 16 at once, and another one may be there
_READ_BYTES = 1 << 16
_AT_ONCE = 256 << 10  # bytes of a large body that are read, then others have their turn
_MOST_UNREAD = 16 << 20  # bytes of answers that a client leaves unread
_MOST_SPARE = 4
_JOINED = 1 << 16  # bytes of answers that are written as one
_REQUEST_SECONDS = 10.0  # for a request to come in, and more for a large one:
_SLOWEST = 64 << 10  # bytes per second
_IDLE_SECONDS = 900.0
_LOOK_SECONDS = 5.0  # between two looks at who takes too long
_OK = 200
_AT_HOME = b"hfexecutor worker\n"
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


class HTTPServer:
    """Listen at an address and let messages be handled.

    Args:
        address: host and port; a port of 0 takes any.
        loop: tells when somebody comes.
        handle: returns status and body for the body of a POST, and the ticket that it gets; None
            where :meth:`reply` is to be called with that ticket later.
        take_range: returns status and body for the body of a POST of a range.

    Raises:
        OSError: the address cannot be listened at.
    """

    def __init__(
        self,
        address: tuple[str, int],
        loop: EventLoop,
        handle: Callable[[bytes | bytearray, int], tuple[int, Reply] | None],
        take_range: Callable[[bytes | bytearray], tuple[int, bytes]],
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._take_range = take_range
        self._tickets = 0
        self._standing: dict[int, _Connection] = {}  # those that wait for a reply, by ticket
        # Answers that take their time to make, and whose.
        self._large: deque[tuple[_Connection, Callable[[], tuple[int, Body]]]] = deque()
        self._connections: dict[_Connection, None] = {}  # the longest silent first
        # Bodies of ranges, for the next ones: new memory takes as long as all else with a range.
        self.spare: list[bytearray] = []
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._looks = False  # for connections that take too long
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(64)
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        loop.on_readable(self._socket.fileno(), self._accept)

    def __repr__(self) -> str:
        return f"<HTTPServer port {self.port} [{len(self._connections)} connections]>"

    def close(self) -> None:
        """Close the door, and the connections through it."""
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._loop.at(None, self._show_out)
        for connection in list(self._connections):
            connection.answer()
            connection.close()

    def let_go(self) -> None:
        """Forget all sockets, in a forked child, which has closed or will close them itself.

        A socket object that is collected later would close whatever has its number by then.
        """
        self._socket.detach()
        for connection in self._connections:
            connection.let_go()
        self.__dict__.clear()

    def handle(self, connection: _Connection, body: bytes | bytearray) -> tuple[int, bytes] | None:
        """Return status and body for a POST; None if the connection has to wait for them."""
        self._tickets += 1
        ticket = self._tickets
        answer = self._handle(body, ticket)
        if answer is None:
            self._standing[ticket] = connection
            return None
        status, reply = answer
        if isinstance(reply, bytes):
            return status, reply
        self._answer_later(connection, lambda: (_OK, reply()))
        return None

    def take(self, connection: _Connection, body: bytes | bytearray) -> None:
        """Take the body of a POST of a range, to be answered soon."""
        self._answer_later(connection, lambda: self._taken(body))

    def _taken(self, body: bytes | bytearray) -> tuple[int, bytes]:
        answer = self._take_range(body)
        if isinstance(body, bytearray) and len(self.spare) < _MOST_SPARE:
            self.spare.append(body)
        return answer

    def _answer_later(
        self, connection: _Connection, answer: Callable[[], tuple[int, Body]]
    ) -> None:
        self._large.append((connection, answer))
        self._loop.at(self._loop.clock(), self._reply_large)

    def _reply_large(self) -> None:
        """Give one large answer, and the next one in the next round: small ones come between."""
        connection, answer = self._large.popleft()
        if connection.is_open:
            status, body = answer()
            connection.reply(body, status)
        if self._large:
            self._loop.at(self._loop.clock(), self._reply_large)

    def reply(self, ticket: int, body: bytes) -> None:
        """Give a request its answer that waits for one; nothing if its connection is gone."""
        connection = self._standing.pop(ticket, None)
        if connection is not None:
            connection.reply(body)

    def _accept(self) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS and self._connections:
                next(iter(self._connections)).close()
            return
        if len(self._connections) >= _MOST_CONNECTIONS:
            next(iter(self._connections)).close()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen(_Connection(client, self._loop, self))

    def seen(self, connection: _Connection) -> None:
        """Note that a connection was active just now."""
        self._connections.pop(connection, None)
        self._connections[connection] = None
        if not self._looks:  # activity must not put it off
            self._looks = True
            self._loop.at(self._loop.clock() + _LOOK_SECONDS, self._show_out)

    def gone(self, connection: _Connection) -> None:
        """Note that a connection is closed."""
        self._connections.pop(connection, None)
        for ticket in [ticket for ticket, one in self._standing.items() if one is connection]:
            del self._standing[ticket]

    def _show_out(self) -> None:
        """Close the connections that take too long."""
        now = self._loop.clock()
        for connection in list(self._connections):
            if connection.deadline <= now:
                connection.close()
        self._looks = bool(self._connections)
        if self._looks:
            self._loop.at(now + _LOOK_SECONDS, self._show_out)


class _Connection:
    """One client."""

    def __init__(
        self,
        client: socket.socket,
        loop: EventLoop,
        server: HTTPServer,
    ) -> None:
        self._socket = client
        self._loop = loop
        self._server = server
        self._requests: deque[Request] = deque()  # behind one that waits for its reply
        self._standing: Request | None = None  # the one that does
        self._parser = Parser(server.spare)
        self._writer = BufferedWriter(
            client.fileno(), loop, on_broken=self.close, on_empty=self._end
        )
        self._answers: list[Buffer] = []  # to be written before the loop waits
        self._last = False  # nothing is read any more, and what is written is the end
        self._began = 0.0
        self.deadline = loop.clock() + _REQUEST_SECONDS
        loop.on_readable(client.fileno(), self._read)

    @property
    def is_open(self) -> bool:
        """Whether it is not closed."""
        return self._socket.fileno() >= 0

    def close(self) -> None:
        """Close the connection."""
        if self._socket.fileno() >= 0:
            self._writer.close()
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        self._server.gone(self)

    def let_go(self) -> None:
        """Forget everything, in a forked child."""
        self._socket.detach()
        self._writer.__dict__.clear()
        self.__dict__.clear()

    def _read(self) -> None:
        was_begun = self._parser.begun
        space = self._parser.space()
        try:
            if space is not None:
                count = self._socket.recv_into(space, min(len(space), _AT_ONCE))
                requests = self._parser.filled(count)
            else:
                data = self._socket.recv(_READ_BYTES)
                count = len(data)
                requests = self._parser.feed(data)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not count:
            self.close()
            return
        self._requests.extend(requests)
        self._serve()
        self._watch(was_begun=was_begun)

    def reply(self, body: Body, status: int = _OK) -> None:
        """Answer the request that waits for it, and go on with those that came after it."""
        request, self._standing = self._standing, None
        assert request is not None
        self._respond(request, status, body)
        self._serve()
        self._watch(was_begun=self._parser.begun)

    def _serve(self) -> None:
        while self._requests and self._standing is None and not self._last:
            request = self._requests.popleft()
            status, body = request.status, b""
            if request.method == "GET":
                body = _AT_HOME
            elif request.path == PATH:
                self._server.take(self, request.body)
                self._standing = request
                return
            elif request.method == "POST":
                answer = self._server.handle(self, request.body)
                if answer is None:
                    self._standing = request
                    return
                status, body = answer
            self._respond(request, status, body)

    def _respond(self, request: Request, status: int, body: Body) -> None:
        keep = request.keep and status == _OK
        self._last = not keep
        if not self._answers:
            # Not at once: whoever waits for the answer would take the processor from what the
            # message has set going.
            self._loop.before_waiting(self.answer)
        if isinstance(body, bytes):
            self._answers.append(response(status, body, keep=keep))
        else:  # large, and not copied
            head = response_head(status, sum(map(len, body)), keep=keep)
            self._answers += (head + body[0], *body[1:])

    def answer(self) -> None:
        """Write the answers that are there."""
        answers, self._answers = self._answers, []
        if answers and self._socket.fileno() >= 0:
            if len(answers) > 1 and sum(map(len, answers)) <= _JOINED:
                answers = [b"".join(answers)]
            for answer in answers:
                self._writer.write(answer)
            if self._last:
                self._end()

    def _watch(self, *, was_begun: bool) -> None:
        """Set the time until which the client has to go on."""
        if self._socket.fileno() < 0 or self._last:
            return
        now = self._loop.clock()
        if self._writer.backlog > _MOST_UNREAD:
            self.close()
            return
        if self._parser.begun:
            self._began = self._began if was_begun else now
            self.deadline = self._began + _REQUEST_SECONDS + self._parser.awaited / _SLOWEST
        else:
            self.deadline = now + _IDLE_SECONDS
        self._server.seen(self)

    def _end(self) -> None:
        """End the connection once all is written.

        What the client is still sending is read and thrown away for a while: closing with unread
        data would reset the connection, and the client might never see why.
        """
        if not self._last or self._writer.backlog or self._writer.broken:
            return
        self._loop.on_readable(self._socket.fileno(), self._throw_away)
        self.deadline = self._loop.clock() + _REQUEST_SECONDS
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def _throw_away(self) -> None:
        try:
            more = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self.close()

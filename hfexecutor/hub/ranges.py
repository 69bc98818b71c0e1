"""Send large bodies, and read large answers straight into their places, in threads.

They go over several connections. A thread that waits for a socket holds up nobody, and one read
takes as much as has arrived; the event loop hears of each answer when it is whole. asyncio would
hand every piece to the loop first.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections import defaultdict
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from hfexecutor.hub.hosts import Origin, split
from hfexecutor.hub.http1 import NotConnectedError
from hfexecutor.hub.threads import in_thread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

__all__ = ["CutError", "Query", "Ranges"]

_CONNECT_SECONDS: Final = 10.0
_IDLE_PER_ORIGIN: Final = 16
_OK: Final = 200
_MOST_TOLD: Final = 200  # bytes of an answer that tells of an error


class CutError(ConnectionError):
    """The answer has another length than it should."""


class Query(NamedTuple):
    """A request, and a place for its answer, one of which is large.

    Attributes:
        body: Of the request, in pieces.
        into: What the answer's body fills exactly.
        check: Called when they are full, in a thread.
        path: What is asked for there.
    """

    body: Sequence[bytes | memoryview]
    into: Sequence[memoryview]
    check: Callable[[], None]
    path: str = ""


class Ranges:
    """Connections that wait for their next large answer. Only one event loop may use it.

    Args:
        trust: Returns the certificates to trust; called when they are needed.
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust
        self._idle: defaultdict[Origin, list[HTTPConnection]] = defaultdict(list)

    def __repr__(self) -> str:
        return f"<Ranges {sum(map(len, self._idle.values()))} idle>"

    async def post(
        self, url: str, headers: dict[str, str], query: Query, seconds: float
    ) -> tuple[int, bytes]:
        """Send one request, and read the answer into its places.

        When this returns, or raises anything but `CancelledError`, nothing writes there any more.

        Returns:
            The status, and what an answer says that is no success.

        Raises:
            NotConnectedError: Nothing was sent.
            OSError, HTTPException: It failed after something was sent.
        """
        origin = split(url)
        exchange = _Exchange(self._take(origin), _target(url), headers, query)
        timer = asyncio.get_running_loop().call_later(seconds, exchange.hang_up)
        try:
            answer = await in_thread(exchange.run)
        except BaseException:  # also cancelled half way: nobody can go on with this connection
            exchange.hang_up()
            raise
        finally:
            timer.cancel()
        self._keep(origin, exchange.connection)
        return answer

    def forget(self, origin: Origin) -> None:
        """Close the connections to one place."""
        for connection in self._idle.pop(origin, ()):
            connection.close()

    def close(self) -> None:
        """Close all of them."""
        for origin in list(self._idle):
            self.forget(origin)

    def _take(self, origin: Origin) -> HTTPConnection:
        waiting = self._idle[origin]
        while waiting:
            connection = waiting.pop()
            if not _is_over(connection):
                return connection
            connection.close()
        if origin.scheme == "https":
            trust = self._trust()
            return HTTPSConnection(
                origin.host, origin.port, timeout=_CONNECT_SECONDS, context=trust
            )
        return HTTPConnection(origin.host, origin.port, timeout=_CONNECT_SECONDS)

    def _keep(self, origin: Origin, connection: HTTPConnection) -> None:
        waiting = self._idle[origin]
        if connection.sock is not None and len(waiting) < _IDLE_PER_ORIGIN:
            waiting.append(connection)
        else:
            connection.close()


class _Exchange:
    """A request and its answer."""

    def __init__(
        self, connection: HTTPConnection, target: str, headers: dict[str, str], query: Query
    ) -> None:
        self.connection = connection
        # In pieces: so each is sent as it is.
        sized = {**headers, "Content-Length": str(sum(map(len, query.body)))}
        self._request = ("POST", target, query.body, sized)
        self._query = query
        self._ended = False
        # The connection's own is gone once an answer without a length has begun.
        self._sock: Any = None

    def run(self) -> tuple[int, bytes]:
        """Do it, in a thread."""
        try:
            answer = self._ask()
        except BaseException:
            self._ended = True
            raise
        finally:
            if self._ended:
                self.connection.close()
        return answer

    def hang_up(self) -> None:
        """Have it end, from any thread."""
        self._ended = True
        if (sock := self._sock) is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # and no farewell of TLS

    def _ask(self) -> tuple[int, bytes]:
        self._connect()
        self.connection.request(*self._request)
        with self.connection.getresponse() as response:
            if response.status != _OK:
                return response.status, response.read(_MOST_TOLD)
            for view in self._query.into:
                if response.readinto(view) != len(view):
                    raise CutError("the answer is too short")
            if response.read(1):
                raise CutError("the answer is too long")
        self._query.check()
        return _OK, b""

    def _connect(self) -> None:
        if self.connection.sock is None:
            try:
                self.connection.connect()
            except (OSError, UnicodeError) as error:  # also of TLS, and of name resolution
                raise NotConnectedError(str(error) or "no connection in time") from error
            sock: Any = self.connection.sock
            sock.settimeout(None)  # from now on who waits says for how long
        self._sock = self.connection.sock
        if self._ended:  # it hung up when there was nothing yet to do it with
            raise CutError("no connection in time")


def _is_over(connection: HTTPConnection) -> bool:
    """Say whether the other side has closed a connection on which nothing is awaited."""
    sock: socket.socket | None = connection.sock
    if sock is None:
        return True
    poll = select.poll() if hasattr(select, "poll") else None
    if poll is None:
        return bool(select.select([sock], [], [], 0)[0])
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

"""Speak to the doors of jobs: one POST, one answer.

Nothing is ever sent twice here. The errors say what the caller must know to decide about that:
whether the message may have been delivered.

A warm call is one such POST, so the direct way (:mod:`hfexecutor.hub.http1`) is as short as can
be. Where a proxy stands between, httpx does it: it knows how to talk to those.
"""

from __future__ import annotations

import asyncio
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import h11
import httpx

from hfexecutor.hub.hosts import door_problem, split
from hfexecutor.hub.http1 import NotConnectedError, Pool
from hfexecutor.hub.ranges import CutError, Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hfexecutor.hub.credentials import Credentials
    from hfexecutor.hub.hosts import Door
    from hfexecutor.hub.network import Network
    from hfexecutor.hub.ranges import Query

__all__ = [
    "DoorAmbiguousError",
    "DoorError",
    "DoorRejectedError",
    "DoorUnreachableError",
    "Doors",
]

_UNSENT: Final = (
    NotConnectedError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_FAILED: Final = (*_UNSENT, OSError, HTTPException, h11.ProtocolError, httpx.TransportError)


class DoorError(Exception):
    """A message to a job's door was not answered with success; between us and the pool alone."""


class DoorUnreachableError(DoorError):
    """Nobody opened: the message was certainly not delivered."""


class DoorAmbiguousError(DoorError):
    """The message went out, and then something failed: it may have been delivered."""


class DoorRejectedError(DoorError):
    """The door, or the proxy before it, answered and refuses the message; `status` says how.

    `status` is 0 where this side refused to send it at all.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Doors:
    """All doors of one client's jobs.

    Args:
        endpoint: The Hub that the jobs belong to; decides which doors may see the token.
        credentials: What doors are shown.
        network: Makes HTTP clients, and knows whether a direct connection is possible.
    """

    def __init__(self, endpoint: str, credentials: Credentials, network: Network) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._direct = Pool(network.trust)
        self._ranges = Ranges(network.trust)
        self._trusted: set[Door] = set()
        self._detour: httpx.AsyncClient | None = None
        if network.indirect:
            self._detour = network.open(httpx.Timeout(10), httpx.Limits(), bearer=False)

    def __repr__(self) -> str:
        return f"<Doors {self._direct!r}{' behind a proxy' if self._detour else ''}>"

    async def aclose(self) -> None:
        """Hang up everywhere."""
        self._direct.close()
        self._ranges.close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next round, so let it have one
        if self._detour is not None:
            await self._detour.aclose()

    def forget(self, door: Door) -> None:
        """Hang up on one door."""
        if door in self._trusted:
            self._trusted.remove(door)
            self._direct.forget(split(door.url))
            self._ranges.forget(split(door.url))

    async def post(self, door: Door, body: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        """Send `body` to a door and return what it answers.

        Raises:
            DoorUnreachableError: Not delivered.
            DoorAmbiguousError: Perhaps delivered.
            DoorRejectedError: Answered with 3xx or 4xx, or not a place for the token.
        """
        self._trust(door)
        try:
            status, reply = await self._send(door.url, body, timeout)
        except _FAILED as error:
            raise _told(error, door.url, timeout) from error
        return self._judge(door.url, status, reply)

    async def fetch(self, door: Door, query: Query, timeout: float) -> None:  # noqa: ASYNC109
        """Send a query to a door, and read what it answers into its places, see :class:`Ranges`.

        Raises:
            DoorError: As in :meth:`post`.
        """
        self._trust(door)
        url = door.url.removesuffix("/") + query.path if query.path else door.url
        try:
            if self._detour is None:
                headers = await self._headers()
                status, said = await self._ranges.post(url, headers, query, timeout)
            else:
                status, said = await self._send(url, b"".join(query.body), timeout)
            whole = self._judge(door.url, status, said)
            if self._detour is not None:
                _spread(whole, query.into)
        except _FAILED as error:
            raise _told(error, door.url, timeout) from error
        if self._detour is not None:
            query.check()

    def _trust(self, door: Door) -> None:
        if door not in self._trusted:
            if problem := door_problem(door, self._endpoint):
                raise DoorRejectedError(f"No token is sent to {door.url!r}: {problem}.")
            self._trusted.add(door)

    async def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {await self._credentials.for_doors()}",
            "Content-Type": "application/octet-stream",
        }

    async def _send(self, url: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        headers = await self._headers()
        if self._detour is None:
            return await self._direct.post(url, headers, body, seconds)
        return await _by_httpx(self._detour, url, headers, body, seconds)

    def _judge(self, url: str, status: int, reply: bytes) -> bytes:
        if 200 <= status < 300:  # noqa: PLR2004  (the range of HTTP's successes)
            return reply
        said = self._credentials.redact(reply[:200].decode("utf-8", "replace").strip())
        message = f"The door at {url} answered {status}{': ' if said else ''}{said}."
        if status >= 500:  # noqa: PLR2004  (a proxy's way to say that it did not hear the end)
            raise DoorAmbiguousError(message)
        raise DoorRejectedError(message, status)


def _told(error: Exception, url: str, seconds: float) -> DoorError:
    """Return in our words what the network raises."""
    if isinstance(error, _UNSENT):
        return DoorUnreachableError(f"The door at {url} cannot be reached: {error}.")
    why = str(error) or f"no answer within {seconds:g} s"
    return DoorAmbiguousError(f"The door at {url} may have got the message: {why}.")


def _spread(whole: bytes, into: Sequence[memoryview]) -> None:
    if len(whole) != sum(map(len, into)):
        raise CutError("the answer has another length")
    start = 0
    for view in into:
        view[:] = whole[start : start + len(view)]
        start += len(view)


async def _by_httpx(
    http: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, seconds: float
) -> tuple[int, bytes]:
    async with asyncio.timeout(seconds):
        response = await http.post(url, headers=headers, content=body, timeout=seconds)
    return response.status_code, response.content

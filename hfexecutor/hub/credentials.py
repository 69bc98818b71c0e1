"""The tokens that requests show, read anew where they may rotate.

Tokens of OAuth and OIDC logins live for hours, and ``huggingface_hub.get_token`` renews them: that
can take a request of its own, so it is asked in a thread, and not more often than is of use.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import httpx

from hfexecutor.errors import AuthenticationError
from hfexecutor.hub.failures import redact
from hfexecutor.hub.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Bearer", "Credentials"]

_LOG: Final = logging.getLogger("hfexecutor.hub")
_FRESH: Final = 5.0  # seconds; they are renewed minutes before they end
_REMEMBERED: Final = 8  # tokens, to be kept out of messages


class Credentials:
    """What one client shows to the Hub, and to the doors of its jobs.

    Args:
        token: The token to begin with; keys of the run are derived from this one.
        renew: Returns the token of the moment, may block; None where it never changes.
        door_token: A token for doors alone; None shows them the Hub's.
        clock: Returns monotonic seconds, for tests.
    """

    def __init__(
        self,
        token: str,
        *,
        renew: Callable[[], str] | None = None,
        door_token: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.first = token
        self._token = token
        self._renew = renew
        self._door_token = door_token
        self._clock = clock
        self._read_at = clock()
        self._reading = asyncio.Lock()
        self._shown = deque([door_token or token, token], _REMEMBERED)

    def __repr__(self) -> str:
        return f"<Credentials{', renewed' if self._renew else ''}>"

    async def for_hub(self) -> str:
        """Return the token of the moment; it is at most a few seconds old."""
        if self._renew is not None and self._is_old():
            async with self._reading:
                if self._is_old():
                    await self._read(self._renew)
        return self._token

    def read(self) -> str:
        """Return the same to who can wait for it, in whichever thread."""
        if self._renew is not None and self._is_old():
            self._note(_result_of(self._renew))
        return self._token

    async def for_doors(self) -> str:
        """Return the token that doors are shown."""
        return self._door_token or await self.for_hub()

    def redact(self, text: str) -> str:
        """Return `text` without any token that was shown, or looks like one."""
        return redact(text, *self._shown)

    def _is_old(self) -> bool:
        return self._clock() - self._read_at > _FRESH

    async def _read(self, renew: Callable[[], str]) -> None:
        self._note(await in_thread(functools.partial(_result_of, renew)))

    def _note(self, token: str | None) -> None:
        if token is not None and token != self._token:
            self._token = token
            self._shown.append(token)
        self._read_at = self._clock()


def _result_of(renew: Callable[[], str]) -> str | None:
    try:
        return renew()
    except AuthenticationError as error:
        # What we have may be good for long; if it is not, the Hub says so at the next request.
        _LOG.warning("The token could not be read again, going on with the last one: %s", error)
        return None


class Bearer(httpx.Auth):
    """Show the token of the moment with each request."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {await self._credentials.for_hub()}"
        yield request

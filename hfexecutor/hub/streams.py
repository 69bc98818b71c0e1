"""Follow logs: many long-lived streams, on connections of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from hfexecutor.errors import HubUnavailableError, RateLimitedError
from hfexecutor.hub.failures import Answer
from hfexecutor.hub.logs import LogDecoder, LogLine
from hfexecutor.hub.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hfexecutor.hub.api import Api
    from hfexecutor.hub.credentials import Credentials
    from hfexecutor.hub.network import Network

__all__ = ["Streams"]

# The Hub sends a keep-alive comment every 30 s: two may get lost before a stream counts as dead.
_TIMEOUT: Final = httpx.Timeout(10, read=75)
# No limit, and no reuse: with the API's connections shared, 20 followed logs would starve it.
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_HEADERS: Final = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}


class Streams:
    """The log streams of one client."""

    def __init__(self, api: Api, credentials: Credentials, network: Network) -> None:
        self._api = api
        self._credentials = credentials
        self._http = network.open(_TIMEOUT, _LIMITS)

    async def aclose(self) -> None:
        """Break off all streams."""
        await self._http.aclose()

    async def follow(self, path: str, doing: str) -> AsyncGenerator[list[LogLine], None]:
        """Yield the lines of a log as they come; see :meth:`hfexecutor.hub.HubClient.logs`."""
        await self._api.admit(doing)
        decoder = LogDecoder()
        try:
            async with self._http.stream("GET", self._api.url(path), headers=_HEADERS) as stream:
                self._api.check(await _answer(stream), doing)
                async for chunk in stream.aiter_bytes():
                    if lines := decoder.feed(chunk):
                        yield lines
        except httpx.HTTPError as error:
            why = self._credentials.redact(f"{type(error).__name__} {error}".strip())
            raise HubUnavailableError(f"Could not {doing}: {why}") from error
        except TransientError as error:
            kind = RateLimitedError if error.limited else HubUnavailableError
            raise kind(f"Could not {doing}: {error.seen}") from error


async def _answer(stream: httpx.Response) -> Answer:
    """Return status and headers; of a refusal also the start of the body (it may be endless)."""
    headers = {key.lower(): value for key, value in stream.headers.items()}
    body = b"" if stream.is_success else await anext(stream.aiter_bytes(), b"")
    return Answer(stream.status_code, headers, body)

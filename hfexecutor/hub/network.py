"""HTTP clients that show a token to one endpoint, and what they have in common."""

from __future__ import annotations

import ssl
import urllib.request
from typing import TYPE_CHECKING

import httpx

from hfexecutor.hub.credentials import Bearer
from hfexecutor.hub.hosts import is_loopback, split
from hfexecutor.hub.unlogged import UnloggedClient

if TYPE_CHECKING:
    from hfexecutor.hub.credentials import Credentials

__all__ = ["Network"]


class Network:
    """Make the HTTP clients of one Hub client.

    Args:
        endpoint: The Hub's address.
        credentials: What each request shows.
        transport: Replaces the real network, for tests.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._origin = split(endpoint)
        self._bearer = Bearer(credentials)
        self._transport = transport
        self._trust: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"<Network to {self._origin.host}>"

    def trust(self) -> ssl.SSLContext:
        """Return the certificates to trust; reading them takes 40 ms, so it is done once."""
        if self._trust is None:
            self._trust = httpx.create_ssl_context()
        return self._trust

    def open(
        self, timeout: httpx.Timeout, limits: httpx.Limits, *, bearer: bool = True
    ) -> httpx.AsyncClient:
        """Return an HTTP client; it follows no redirect, for the token's sake.

        Args:
            timeout: For each request.
            limits: Of its connections.
            bearer: Whether each request shows the Hub's token.
        """
        plain = self._origin.scheme == "http"
        return UnloggedClient(
            headers={"User-Agent": "hfexecutor"},
            auth=self._bearer if bearer else None,
            timeout=timeout,
            limits=limits,
            transport=self._transport,
            follow_redirects=False,
            # A proxy has no business between this process and a Hub on the same machine.
            trust_env=not is_loopback(self._origin.host),
            # Without any certificates https is refused, as it should be where none is expected.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else self.trust(),
        )

    @property
    def indirect(self) -> bool:
        """Whether something stands between us and the world: a proxy, or a test."""
        proxies = urllib.request.getproxies().keys() & {"https", "all"}
        return self._transport is not None or (bool(proxies) and not is_loopback(self._origin.host))

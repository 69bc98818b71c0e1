"""What every request passes before it reaches a route, and every reply on its way out."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.routing import compile_path

from .errors import ApiError
from .listening import is_loopback
from .troubles import error_reply

if TYPE_CHECKING:
    from collections import Counter

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .api import Handler
    from .identity import Identity
    from .timings import Timings
    from .troubles import Troubles

_PUBLIC = {"/api/jobs/hardware"}
_KEYED = {"/", "/jobs/{namespace}/{jobId}"}  # they ask for a key of their own
_NOT_FOUND = "Sorry, we can't find the page you are looking for."
_TOO_MANY = "We had to rate limit you. Please slow down."


class Budget:
    """So many requests per window of so many seconds; None: as many as one likes."""

    def __init__(self, limit: int | None, window: float = 300.0) -> None:
        self._limit = limit
        self._window = window
        self._used = 0
        self._ends = time.monotonic() + window

    def spend(self) -> bool:
        """Count a request; False: it is one too many."""
        if self._limit is None:
            return True
        if time.monotonic() >= self._ends:
            self._used, self._ends = 0, time.monotonic() + self._window
        self._used += 1
        return self._used <= self._limit

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return what the Hub tells about the budget with each reply."""
        if self._limit is None:
            return []
        left, seconds = (
            max(0, self._limit - self._used),
            max(1, round(self._ends - time.monotonic())),
        )
        policy = f'"fixed window";"api";q={self._limit};w={round(self._window)}'
        return [
            (b"ratelimit", f'"api";r={left};t={seconds}'.encode()),
            (b"ratelimit-policy", policy.encode()),
        ]


class Gate:
    """The ASGI application: checks, counts, delays and routes requests, and lets faults strike.

    Args:
        routes: (method, route, handler); the first that matches gets the request.
        identity: whose token is asked for.
        timings: `api` applies.
        budget: is charged with each request.
        requests: counts them by route.
        troubles: the faults of routes.
    """

    def __init__(
        self,
        routes: list[tuple[str, str, Handler]],
        *,
        identity: Identity,
        timings: Timings,
        budget: Budget,
        requests: Counter[str],
        troubles: Troubles,
    ) -> None:
        self._routes = [
            (method, path, compile_path(path)[0], handler) for method, path, handler in routes
        ]
        self._me = identity
        self._timings = timings
        self._budget = budget
        self._requests = requests
        self._troubles = troubles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # Only the closing of the hub cancels a request, when its connection has been cut already.
        with contextlib.suppress(asyncio.CancelledError, ClientDisconnect):
            await self._respond(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._timings.api:
            await asyncio.sleep(self._timings.api)
        try:
            answer = await self._answer(scope, receive)
        except ApiError as error:
            answer = error_reply(error)
        extra = [
            (b"date", formatdate(usegmt=True).encode()),
            (b"x-request-id", f"Root=1-{secrets.token_hex(12)}".encode()),
            *self._budget.headers(),
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}  # a fault's own budget
                added = [pair for pair in extra if pair[0] not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await answer(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        headers = Headers(scope=scope)
        _refuse_browsers(headers)
        template, handler, params = self._find(scope["method"], _path(scope))
        scope["path_params"] = params
        scope["route"] = f"{scope['method']} {template}"
        self._requests[scope["route"]] += 1
        if template not in _KEYED:
            self._me.check_token(headers.get("authorization"), needed=template not in _PUBLIC)
        # The page is for people, who have it renewed every two seconds: it is no part of the API.
        if template not in _KEYED and not self._budget.spend():
            raise ApiError(429, _TOO_MANY)
        if "namespace" in params:
            self._me.check_namespace(params["namespace"])
        return await self._troubles.around(handler, Request(scope, receive))

    def _find(self, method: str, path: str) -> tuple[str, Handler, dict[str, Any]]:
        allowed = False
        for known, template, regex, handler in self._routes:
            match = regex.match(path)
            if match and known == method:
                return template, handler, match.groupdict()
            allowed = allowed or bool(match)
        if allowed:
            raise ApiError(405, "Method not allowed")
        if path.startswith("/api/scheduled-jobs/"):
            raise ApiError(501, "LocalHub has no scheduled jobs")
        raise ApiError(404, "LocalHub has the Jobs API, and of that no more than is published")


def _path(scope: Scope) -> str:
    """Return the path if it is a plain one: nothing escaped, no empty or dotted segments."""
    raw = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0]
    path: str = scope["path"]
    if raw != path.encode() or (
        path != "/" and any(part in ("", ".", "..") for part in path[1:].split("/"))
    ):
        raise ApiError(404, _NOT_FOUND)
    return path


def _refuse_browsers(headers: Headers) -> None:
    """Refuse pages of other sites, and other sites' names that point here (DNS rebinding)."""
    if not is_loopback(headers.get("host", "")):
        raise ApiError(403, "This hub answers under loopback names only")
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise ApiError(403, "Cross-origin requests are refused")

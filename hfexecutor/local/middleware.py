"""What every request passes on its way in, and every reply on its way out."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from .error_replies import error_reply
from .errors import ApiError
from .listening import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .timings import Timings

_NOT_FOUND = "Sorry, we can't find the page you are looking for."
_NOT_ALLOWED = 405
_WITH_FILES = ("/api/buckets/", "/buckets/")
_PAGES = ("/jobs/", "/assets/")


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


class Envelope:
    """Delays requests, answers those that are refused, and gives each reply the Hub's headers.

    Args:
        app: what answers.
        timings: `api` applies.
        budget: what is told of it.
    """

    def __init__(self, app: ASGIApp, timings: Timings, budget: Budget) -> None:
        self._app = app
        self._timings = timings
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # Only the closing of the hub cancels a request, when its connection has been cut already.
        with contextlib.suppress(asyncio.CancelledError, ClientDisconnect):
            if self._timings.api:
                await asyncio.sleep(self._timings.api)
            await self._answer(scope, receive, self._with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # has starlette raise where it would answer in words of its own
        try:
            await self._app(scope, receive, send)
        except ApiError as error:
            refusal = error
        except HTTPException as error:
            text = "Method not allowed" if error.status_code == _NOT_ALLOWED else error.detail
            refusal = ApiError(error.status_code, text)
        else:
            return
        await error_reply(refusal)(scope, receive, send)

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [
                    (b"date", formatdate(usegmt=True).encode()),
                    (b"x-request-id", f"Root=1-{secrets.token_hex(12)}".encode()),
                    *self._budget.headers(),
                ]
                present = {name.lower() for name, _ in message["headers"]}  # a fault's own budget
                added = [pair for pair in extra if pair[0] not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return send_with_headers


class OnlyFromHere:
    """Refuses pages of other sites, other sites' names that point here, and odd paths.

    Links that lead to a page of this hub, from a notebook say, are followed: who follows one sees
    the page, not the site that has the link.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or raise."""
        headers = Headers(scope=scope)
        if not is_loopback(headers.get("host", "")):  # DNS rebinding
            raise ApiError(403, "This hub answers under loopback names only")
        site = headers.get("sec-fetch-site", "none")
        elsewhere = site not in ("none", "same-origin") and not _follows_a_link(scope, headers)
        if elsewhere or headers.get("origin", own := f"http://{headers['host']}") != own:
            raise ApiError(403, "Cross-origin requests are refused")
        if not _is_plain(scope):
            raise ApiError(404, _NOT_FOUND)
        await self._app(scope, receive, send)


def is_page(path: str) -> bool:
    """Say whether a path, or the template of one, belongs to the pages for people."""
    return path == "/" or path.startswith(_PAGES)


def _follows_a_link(scope: Scope, headers: Headers) -> bool:
    """Say whether somebody opens a page, in a window and not in a frame."""
    whole_window = ("navigate", "document")
    return (
        scope["method"] == "GET"
        and is_page(scope["path"])
        and (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == whole_window
    )


def _is_plain(scope: Scope) -> bool:
    """Say whether nothing in a path is escaped, and no segment empty or dotted.

    Paths of files in buckets may have anything in them, and come escaped: they are never more than
    keys.
    """
    path: str = scope["path"]
    if path.startswith(_WITH_FILES):
        return True
    raw = scope.get("raw_path", path.encode()).partition(b"?")[0]
    segments = path[1:].split("/")
    return bool(raw == path.encode()) and (path == "/" or not {"", ".", ".."} & set(segments))

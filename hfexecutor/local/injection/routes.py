"""Faults of routes: what answers a request in the place of its handler, or after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response

from hfexecutor.local import faults
from hfexecutor.local.error_replies import error_reply
from hfexecutor.local.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from hfexecutor.local.api import Handler
    from hfexecutor.local.store import Store

    from .injector import Injector


_MESSAGES = {
    402: "Pre-paid credit balance is insufficient",
    429: "We had to rate limit you. Please slow down.",
    500: "Internal Error - We're working hard to fix this as soon as possible!",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class RouteFaults:
    """Lets faults strike around the handling of requests.

    Args:
        injector: the faults.
        store: knows the jobs that requests are about.
        abort: resets the connection of a request.
        restart: takes the hub down for so many seconds.
    """

    def __init__(
        self,
        injector: Injector,
        store: Store,
        abort: Callable[[Scope], None],
        restart: Callable[[float], None],
    ) -> None:
        self._injector = injector
        self._store = store
        self._abort = abort
        self._restart = restart

    async def around(self, handler: Handler, request: Request) -> ASGIApp:
        """Handle a request, or have a fault do that."""
        answer = await self._struck(request, after=False)
        if answer is not None:
            return answer
        answer = await handler(request)
        return await self._struck(request, after=True) or answer

    async def _struck(self, request: Request, *, after: bool) -> ASGIApp | None:
        job = request.scope.get("job") or self._store.get(request.path_params.get("jobId"))
        number, labels = (job.number, job.labels) if job else (len(self._store), {})
        struck = self._injector.strike(
            faults.RouteFault, number, labels, route=request.scope["template"], after=after
        )
        for fault in struck:
            if isinstance(fault, faults.Slow):
                await asyncio.sleep(fault.seconds)
        answers = [fault for fault in struck if not isinstance(fault, faults.Slow)]
        return self._answer(answers[0]) if answers else None

    def _answer(self, fault: faults.RouteFault) -> ASGIApp:
        match fault:
            case faults.Refuse(status=status, message=message, retry_in=seconds):
                text = message or _MESSAGES.get(status, "Error")
                reply = error_reply(ApiError(status, text))
                if status == 429:  # noqa: PLR2004
                    reply.headers["RateLimit"] = f'"api";r=0;t={seconds}'
                    reply.headers["RateLimit-Policy"] = '"fixed window";"api";q=1000;w=300'
                return reply
            case faults.Garble(body=body):
                return Response(body, media_type="application/json")
            case faults.Restart(down=down):
                return _Silence(lambda _scope: self._restart(down))
            case faults.Reset():
                return _Silence(self._abort)
            case _:
                return _Silence(lambda _scope: None)


class _Silence:
    """An ASGI response that never comes."""

    def __init__(self, first: Callable[[Scope], None]) -> None:
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        self._first(scope)
        while (await receive())["type"] != "http.disconnect":
            pass

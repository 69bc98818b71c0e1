"""The API by which `hf_xet` stores and reads chunks: version 1 of the Xet protocol.

Newer versions of its routes are answered with 404, at which the library takes these. Whether chunks
are in another bucket already is not told: each has its own. The routes are no part of the Hub's
API, and are not charged to its rate limit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from hfexecutor.local import faults, requests
from hfexecutor.local.errors import ApiError

from .cas import Plan
from .formats import FormatError
from .ranges import asked_for
from .sending import FileRange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Scope

    from hfexecutor.local.injection.injector import Injector

    from .access import Access
    from .cas import Cas
    from .store import Buckets

    Handler = Callable[[Request], Awaitable[ASGIApp]]

_ROOT = "/xet/{key}"
_MAX_XORB, _MAX_SHARD = 128 << 20, 256 << 20  # the protocol's are 64 MiB
_HASH = 64


class CasApi:
    """Handlers of all routes; `routes` is what a router needs."""

    def __init__(
        self, buckets: Buckets, access: Access, injector: Injector, reset: Callable[[Scope], None]
    ) -> None:
        self._buckets = buckets
        self._access = access
        self._injector = injector
        self._reset = reset

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return (method, route, handler)."""
        return [
            ("POST", f"{_ROOT}/v1/xorbs/default/{{hash}}", self.put_xorb),
            ("POST", f"{_ROOT}/v1/shards", self.put_shard),
            ("POST", f"{_ROOT}/shards", self.put_shard),  # hf_xet 1.5
            ("GET", f"{_ROOT}/v1/reconstructions/{{hash}}", self.plan),
            ("GET", f"{_ROOT}/xorbs/{{hash}}/{{expires}}/{{signature}}", self.get_xorb),
            ("POST", f"{_ROOT}/v1/telemetry", self.telemetry),
        ]

    async def put_xorb(self, request: Request) -> ASGIApp:
        """Take a xorb in."""
        cas, name = self._cas(request, write=True), request.path_params["hash"]
        if len(name) != _HASH or not name.isalnum():
            raise ApiError(400, "Invalid hash")
        size = 0
        with cas.draft() as path:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > _MAX_XORB:
                        raise ApiError(413, "Payload too large")
                    file.write(chunk)
            try:
                inserted = await asyncio.to_thread(cas.take, name, path)
            except FormatError as error:
                raise ApiError(400, f"Invalid xorb: {error}") from error
        return JSONResponse({"was_inserted": inserted})

    async def put_shard(self, request: Request) -> ASGIApp:
        """Learn which chunks make which files."""
        cas = self._cas(request, write=True)
        try:
            cas.learn(await requests.body(request, _MAX_SHARD))
        except FormatError as error:
            raise ApiError(400, f"Invalid shard: {error}") from error
        return JSONResponse({"result": 1})

    async def plan(self, request: Request) -> ASGIApp:
        """Say which chunks make a file, or a part of it, and where they are."""
        cas, name = self._cas(request, write=False), request.path_params["hash"]
        size = cas.size(name)
        if size is None:
            raise ApiError(404, "File not found")
        span = asked_for(request.headers.get("range"), size)
        plan = cas.plan(name, span.start, span.end) if span else None
        if plan is None and size:
            raise ApiError(416, "Range not satisfiable")
        return JSONResponse(self._to_json(request.path_params["key"], cas, plan))

    def _to_json(self, key: str, cas: Cas, plan: Plan | None) -> dict[str, object]:
        plan = plan or Plan(0, ())
        terms = [
            {
                "hash": term.xorb,
                "unpacked_length": term.size,
                "range": {"start": term.start, "end": term.end},
            }
            for term in plan.terms
        ]
        places: dict[str, list[dict[str, object]]] = {}
        for xorb, start, end in plan.chunks():
            first, last = cas.span(xorb, start, end)
            place: dict[str, object] = {
                "range": {"start": start, "end": end},
                "url": self._access.address(key, xorb),
                "url_range": {"start": first, "end": last - 1},
            }
            places.setdefault(xorb, []).append(place)
        return {"offset_into_first_range": plan.skip, "terms": terms, "fetch_info": places}

    async def get_xorb(self, request: Request) -> ASGIApp:
        """Send a range of a xorb."""
        given = request.path_params
        key, name = given["key"], given["hash"]
        self._access.check_address(key, name, given["expires"], given["signature"])
        path = self._buckets.cas_of(key).path(name)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ApiError(404, "Xorb not found") from error
        span = asked_for(request.headers.get("range"), size)
        if span is None:
            raise ApiError(416, "Range not satisfiable")
        cut = self._injector.strike((faults.CutContent, faults.SpoilContent))
        return FileRange(path, span, size, cut, self._reset)

    async def telemetry(self, request: Request) -> ASGIApp:
        """Take what the library tells about a transfer, and forget it."""
        self._cas(request, write=False)
        await requests.body(request)
        return JSONResponse({})

    def _cas(self, request: Request, *, write: bool) -> Cas:
        key = request.path_params["key"]
        self._access.check(key, request.headers.get("authorization", ""), write=write)
        return self._buckets.cas_of(key)

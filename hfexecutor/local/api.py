"""The routes of the Hub's Jobs API."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from . import billing, lists, replies, requests, schema, streams
from .errors import ApiError
from .hardware import FLAVORS
from .injection import reads
from .metrics import Meter
from .stages import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Scope

    from .identity import Identity
    from .jobs import Job
    from .settings import Settings
    from .store import Store

    Handler = Callable[[Request], Awaitable[ASGIApp]]

PUBLIC = {"/api/jobs/hardware"}  # what asks for no token


class Api:
    """Handlers of all routes; `routes` is what a router needs."""

    def __init__(
        self, store: Store, identity: Identity, settings: Settings, abort: Callable[[Scope], None]
    ) -> None:
        self._store = store
        self._abort = abort
        self._me = identity
        self._settings = settings
        self._since = replies.now()

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return (method, route, handler), the more specific routes first."""
        ns, job = "/api/jobs/{namespace}", "/api/jobs/{namespace}/{jobId}"
        return [
            ("GET", "/api/whoami-v2", self.whoami),
            ("GET", "/api/settings/billing/usage/jobs", self.usage),
            ("GET", "/api/jobs/hardware", self.hardware),
            ("GET", ns, self.page),
            ("POST", ns, self.run),
            ("GET", f"{ns}/count", self.count),
            ("POST", f"{ns}/auth-check/{{perms}}", self.access),
            ("GET", job, self.inspect),
            ("GET", f"{job}/logs", self.logs),
            ("GET", f"{job}/metrics", self.metrics),
            ("GET", f"{job}/events", self.events),
            ("POST", f"{job}/cancel", self.cancel),
            ("POST", f"{job}/duplicate", self.duplicate),
            ("POST", f"{job}/auth-check/{{perms}}", self.access),
            ("PUT", f"{job}/labels", self.labels),
            ("PUT", f"{job}/expose", self.expose),
        ]

    # ------------------------------------------------------------------ without a job

    async def whoami(self, request: Request) -> ASGIApp:  # noqa: ARG002
        """Tell whose token it is."""
        return JSONResponse(self._me.whoami(self._since))

    async def hardware(self, request: Request) -> ASGIApp:  # noqa: ARG002
        """List the flavors."""
        return JSONResponse([flavor.to_json() for flavor in FLAVORS.values()])

    async def usage(self, request: Request) -> ASGIApp:  # noqa: ARG002
        """Tell what the jobs would have cost."""
        return JSONResponse(billing.usage(self._store))

    async def access(self, request: Request) -> ASGIApp:
        """Say that the holder of the token has access."""
        if request.path_params["perms"] not in ("read", "write"):
            raise ApiError(400, "Invalid option: expected one of 'read'|'write' at perms")
        if "jobId" in request.path_params:
            self._job(request)
        return JSONResponse(self._me.access())

    async def run(self, request: Request) -> ASGIApp:
        """Start a job."""
        spec = schema.read(schema.Spec, await requests.body(request))
        job = await self._store.start(spec, self._me.as_initiator())
        request.scope["job"] = job
        return self._show(job)

    async def page(self, request: Request) -> ASGIApp:
        """List jobs, newest first, a page at a time."""
        injector = self._store.injector
        moment = lists.moment(injector)
        found = self._store.find(_stages(request), _labels(request), _cursor(request), moment)
        shown, last = lists.page(found, self._settings.page_size, injector, self._me, moment)
        headers = {}
        if last is not None:
            url = request.url.include_query_params(cursor=_to_cursor(last))
            headers["Link"] = f'<{self._me.base_url}{url.path}?{url.query}>; rel="next"'
        return JSONResponse(shown, headers=headers)

    async def count(self, request: Request) -> ASGIApp:
        """Count jobs."""
        return JSONResponse({"count": sum(1 for _ in self._store.find(_stages(request), []))})

    # ------------------------------------------------------------------ one job

    async def inspect(self, request: Request) -> ASGIApp:
        """Show a job."""
        return self._show(self._job(request))

    async def cancel(self, request: Request) -> ASGIApp:
        """Cancel a job."""
        job = self._job(request)
        await self._store.cancel(job)
        return self._show(job)

    async def duplicate(self, request: Request) -> ASGIApp:
        """Start a job like another one."""
        job = self._job(request)
        initiator = {"type": "duplicated-job", "id": job.id}
        again = await self._store.start(job.spec, initiator)
        request.scope["job"] = again
        return self._show(again)

    async def labels(self, request: Request) -> ASGIApp:
        """Replace a job's labels."""
        wanted = schema.read(schema.SetLabels, await requests.body(request))
        job = self._job(request)
        job.labels = wanted.labels
        return self._show(job)

    async def expose(self, request: Request) -> ASGIApp:
        """Replace a job's exposed ports."""
        wanted = schema.read(schema.Expose, await requests.body(request))
        job = self._job(request)
        await self._store.expose(job, wanted.ports, wanted.public)
        return self._show(job)

    async def logs(self, request: Request) -> ASGIApp:
        """Stream a job's log."""
        job = self._job(request)
        timings = self._store.timings
        replay = streams.Replay(job.log, _tail(request))
        batches = streams.follow(job.log, timings.log_lag, replay)
        return self._stream(reads.disturb(batches, job, self._store.injector, replay.there))

    async def metrics(self, request: Request) -> ASGIApp:
        """Stream what a running job uses."""
        job = self._job(request)
        if job.stage.over:
            raise ApiError(406, "Job is already finished")
        meter, timings = Meter(), self._store.timings
        samples = streams.sample(
            job, timings.metrics, meter.sample, endless=self._settings.endless_metrics
        )
        return self._stream(samples)

    async def events(self, request: Request) -> ASGIApp:
        """Refuse: the form of this stream is not published."""
        self._job(request)
        raise ApiError(501, "LocalHub does not imitate this: its form is not published")

    def _stream(self, batches: AsyncIterator[list[bytes]]) -> ASGIApp:
        return streams.EventStream(batches, self._store.timings.keep_alive, self._abort)

    def _job(self, request: Request) -> Job:
        job = self._store[request.path_params["jobId"]]
        request.scope["job"] = job
        return job

    def _show(self, job: Job) -> ASGIApp:
        return JSONResponse(replies.job(job, self._me))


# ---------------------------------------------------------------------- reading requests


def _stages(request: Request) -> set[str]:
    wanted = set(request.query_params.getlist("stage"))
    if not wanted <= set(Stage):
        raise ApiError(400, f"Invalid option: expected one of {'|'.join(Stage)} at stage")
    return wanted


def _labels(request: Request) -> list[tuple[str, str]]:
    return [schema.label(text) for text in request.query_params.getlist("label")]


def _tail(request: Request) -> int | None:
    text = request.query_params.get("tail")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):  # noqa: PLR2004
        raise ApiError(400, "Invalid input: expected a number >=0 at tail")
    return int(text)


def _to_cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"before:{number}".encode()).decode()


def _cursor(request: Request) -> int | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        word, _, number = base64.urlsafe_b64decode(text[:2048]).decode().partition(":")
        if word == "before":
            return int(number)
    except ValueError:
        pass
    raise ApiError(400, "Invalid cursor")

"""Handlers of the pages."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from hfexecutor.local.errors import ApiError
from hfexecutor.local.streams import EventStream

from . import access, filters, frames, job_view, jobs_view, live, log_view, words
from .tally import Tallies
from .usage import HEIGHT, WIDTH, Watches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Scope

    from hfexecutor.local.api import Handler
    from hfexecutor.local.identity import Identity
    from hfexecutor.local.jobs import Job
    from hfexecutor.local.settings import Settings
    from hfexecutor.local.store import Store

_HERE = Path(__file__).parent
_ASSETS = {
    "pages.css": "text/css",
    "pages.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Site:
    """The pages of a hub.

    Args:
        store: the jobs.
        identity: whose jobs.
        settings: the key of the pages, and how many jobs one has.
        abort: closes the connection of a request.
    """

    def __init__(
        self, store: Store, identity: Identity, settings: Settings, abort: Callable[[Scope], None]
    ) -> None:
        self._store = store
        self._me = identity
        self._settings = settings
        self._abort = abort
        self._access = access.Access(settings.page_key, identity.base_url)
        self._tallies = Tallies()
        self._watches = Watches(settings.timings.metrics)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"version": _version, "plural": words.plural}
        self._templates.globals |= {
            "namespace_url": f"/jobs/{identity.name}",
            "hub": identity.base_url.partition("://")[2],
            "chart_width": WIDTH,
            "chart_height": HEIGHT,
        }

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return (method, route, handler), the more specific routes first."""
        jobs, job = "/jobs/{namespace}", "/jobs/{namespace}/{jobId}"
        return [
            ("GET", "/assets/{name}", self.asset),
            ("GET", "/", self._page(self.home)),
            ("GET", jobs, self._page(self.jobs)),
            ("GET", f"{jobs}/live", self._page(self.jobs_live)),
            ("GET", job, self._page(self.job)),
            ("GET", f"{job}/live", self._page(self.job_live)),
            ("GET", f"{job}/log", self._page(self.raw_log)),
            ("POST", f"{job}/cancel", self._page(self.cancel)),
        ]

    # ------------------------------------------------------------------ what all have in common

    def _page(self, handler: Handler) -> Handler:
        """Return a handler that asks for the key first, and words errors for people."""

        async def answer(request: Request) -> ASGIApp:
            try:
                reply: ASGIApp | None = self._access.enter(request)
                if reply is None:
                    if "namespace" in request.path_params:
                        self._me.check_namespace(request.path_params["namespace"])
                    reply = await handler(request)
            except ApiError as error:
                html = self._render("error.html", status=error.status, message=error.message)
                reply = HTMLResponse(html, error.status)
            if isinstance(reply, Response):
                reply.headers.update(access.HEADERS)
            return reply

        return answer

    def _render(self, template: str, **values: Any) -> str:
        html = self._templates.get_template(template).render(**values)
        # What cannot be encoded, half a surrogate pair in a variable say, must not fail the page.
        return html.encode("utf-8", "replace").decode()

    def _stream(self, batches: AsyncIterator[list[bytes]]) -> ASGIApp:
        return EventStream(batches, self._settings.timings.keep_alive, self._abort)

    def _job(self, request: Request) -> Job:
        job = self._store[request.path_params["jobId"]]
        request.scope["job"] = job
        return job

    async def asset(self, request: Request) -> Response:
        """Send the style sheet, the script, or the icon: there is nothing secret in them."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise ApiError(404, "There is no such file")
        data = (_HERE / "static" / name).read_bytes()
        return Response(data, media_type=_ASSETS[name], headers=access.HEADERS)

    # ------------------------------------------------------------------ the list

    async def home(self, request: Request) -> Response:  # noqa: ARG002
        """Lead to the list."""
        return RedirectResponse(f"/jobs/{self._me.name}", 303)

    async def jobs(self, request: Request) -> Response:
        """Show jobs, newest first."""
        asked = filters.Filter.read(request.query_params)
        parts = await self._jobs_parts(asked)
        everything = list(self._store)[::-1]
        html = self._render(
            "jobs.html", parts=parts, asked=asked, names=jobs_view.names(everything, asked)
        )
        return HTMLResponse(html)

    async def jobs_live(self, request: Request) -> ASGIApp:
        """Tell the list what changes."""
        asked = filters.Filter.read(request.query_params)

        async def look() -> list[tuple[object, ...]]:
            return [jobs_view.mark(job, self._tallies) for job in await self._kept(asked)]

        return self._stream(live.jobs(look, lambda: self._jobs_parts(asked)))

    async def _kept(self, asked: filters.Filter) -> list[Job]:
        """Return the jobs that a filter keeps, newest first, their calls counted."""
        kept = [job for job in reversed(list(self._store)) if asked.keeps(job)]
        await self._tallies.catch_up(kept)
        return kept

    async def _jobs_parts(self, asked: filters.Filter) -> Sequence[str]:
        kept = await self._kept(asked)
        rows, older = jobs_view.rows(kept, self._tallies, self._settings.page_size, asked.before)
        summary = jobs_view.summary(kept, self._tallies)
        return [
            self._render("summary.html", summary=summary),
            self._render("rows.html", rows=rows, asked=asked),
            self._render("older.html", asked=asked, older=older, rows=rows),
        ]

    # ------------------------------------------------------------------ one job

    async def job(self, request: Request) -> Response:
        """Show a job, and of its log the newest lines or those that are asked for."""
        job = self._job(request)
        search = log_view.Search.read(request.query_params)
        lines = await log_view.lines(job.log, search)
        html = self._render(
            "job.html",
            id=job.id,
            parts=await self._job_parts(job, search),
            run=job.labels.get(frames.RUN, ""),
            spec=job_view.spec(job),
            search=search,
            lines=lines,
            stage=job.shown_stage,
        )
        return HTMLResponse(html)

    async def job_live(self, request: Request) -> ASGIApp:
        """Tell a job's page what changes."""
        job = self._job(request)
        search = log_view.Search.read(request.query_params)
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return self._stream(
            live.job(
                job,
                search,
                filters.as_number(last),
                lambda: self._job_parts(job, search),
                lambda lines: self._render(
                    "lines.html", id=job.id, lines=lines, search=search, follows=True
                ),
            )
        )

    async def _job_parts(self, job: Job, search: log_view.Search) -> Sequence[str]:
        await self._tallies.catch_up([job])
        tally, state = self._tallies.of(job), job_view.state(job, self._tallies)
        charts = self._watches.of(job).charts()
        return [
            self._render("state.html", state=state),
            self._render("cancel.html", id=job.id, over=state.over),
            self._render("charts.html", charts=charts, over=state.over),
            self._render(
                "log_summary.html",
                id=job.id,
                total=job.log.total,
                gone=job.log.start,
                hidden=tally.hidden,
                search=search,
            ),
        ]

    async def raw_log(self, request: Request) -> Response:
        """Send all there is of a log, as it was written."""
        log = self._job(request).log
        return StreamingResponse(log_view.texts(log), media_type="text/plain")

    async def cancel(self, request: Request) -> Response:
        """Cancel a job, and lead back to its page."""
        access.check_origin(request)
        job = self._job(request)
        await self._store.cancel(job)
        return RedirectResponse(f"/jobs/{self._me.name}/{job.id}", 303)


def _version(html: str) -> str:
    """Return what differs where HTML does, but for the texts of running clocks."""
    return f"{zlib.crc32(live.timeless(html).encode('utf-8', 'replace')):08x}"

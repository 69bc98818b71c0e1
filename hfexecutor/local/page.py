"""A page for people: the hub's jobs, and the log of each."""

from __future__ import annotations

import hmac
import json
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from .errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from .api import Handler
    from .identity import Identity
    from .jobs import Job
    from .store import Store

# The key is in the page's address: it must not travel on, and nothing foreign may run here.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LocalHub</title>
<meta http-equiv="refresh" content="2"><style>
body {{ font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 70em; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .3em .8em; border-bottom: 1px solid #ddd }}
td {{ font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere }}
.RUNNING {{ color: #0a58ca }} .COMPLETED {{ color: #18794e }} .ERROR {{ color: #b42318 }}
</style></head><body><h1>LocalHub</h1><p>{summary}</p>
<table><tr><th>Job</th><th>Stage</th><th>Flavor</th><th>Seconds</th><th>Command</th><th>Message</th></tr>
{rows}</table></body></html>"""
_MAX_ROWS = 500
_MAX_COMMAND = 120


class Page:
    """Handlers of the page.

    Whoever has its key may look. A browser that has once shown the key gets it as a cookie, so that
    the addresses of jobs that Hugging Face's tools print can be opened in it.
    """

    def __init__(self, store: Store, identity: Identity, key: str) -> None:
        self._store = store
        self._me = identity
        self._key = key
        # Cookies know no ports: the name keeps those of several hubs apart.
        self._cookie = f"localhub-{identity.base_url.rpartition(':')[2]}"

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return (method, route, handler)."""
        return [("GET", "/", self.overview), ("GET", "/jobs/{namespace}/{jobId}", self.log)]

    async def overview(self, request: Request) -> Response:
        """Show all jobs."""
        self._check(request)
        jobs = list(self._store)
        running = sum(not job.stage.over for job in jobs)
        summary = f"{len(jobs)} jobs of {escape(self._me.name)}, {running} of them not over"
        rows = "\n".join(self._row(job) for job in reversed(jobs[-_MAX_ROWS:]))
        reply = HTMLResponse(_HTML.format(summary=summary, rows=rows), headers=_HEADERS)
        reply.set_cookie(self._cookie, self._key, httponly=True, samesite="strict")
        return reply

    async def log(self, request: Request) -> ASGIApp:
        """Show the log of a job as it is now."""
        self._check(request)
        events, _ = self._store[request.path_params["jobId"]].log.after(0)
        lines = [json.loads(event[len(b"data: ") :])["data"] for event in events]
        return PlainTextResponse("\n".join(lines) + "\n", headers=_HEADERS)

    def _check(self, request: Request) -> None:
        given = request.query_params.get("key") or request.cookies.get(self._cookie, "")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            raise ApiError(401, "Open the address that LocalHub printed: it ends in a key")

    def _row(self, job: Job) -> str:
        seconds = (job.finished or job.created) - (job.started or job.created)
        command = " ".join((*job.spec.command, *job.spec.arguments))
        if len(command) > _MAX_COMMAND:
            command = f"{command[:_MAX_COMMAND]}…"
        link = f'<a href="/jobs/{quote(self._me.name)}/{job.id}">{job.id}</a>'
        cells = (job.spec.flavor, f"{seconds.total_seconds():.1f}" if job.finished else "", command)
        texts = "".join(f"<td>{escape(cell)}</td>" for cell in (*cells, job.message or ""))
        stage = escape(job.shown_stage)
        return f'<tr><td>{link}</td><td class="{stage}">{stage}</td>{texts}</tr>'

"""What a page is told while it is open, as server-sent events.

An event `part` has an element of the page, which takes the place of the one with its id; an event
`log` has lines that follow. Both are the HTML that the page itself is made of. `end` says
that nothing will follow.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from .log_view import MOST_LINES, Lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from hfexecutor.local.jobs import Job
    from hfexecutor.local.logs import Log

    from .log_view import Search

_INTERVAL = 1.0  # seconds between two looks at what tells of no changes
_PAUSE = 0.1  # after each batch, for more to come together
_LINES_A_SECOND = 2000  # at most: a browser that got more would fall behind, and stand still
_TOO_MANY = 5 * MOST_LINES  # lines: of a log that is ahead by more, earlier ones are passed over
_RUNNING = re.compile(r'(<time [^>]*data-since="\d+"[^>]*>)[^<]*')


def timeless(html: str) -> str:
    """Return HTML without the texts of clocks that the page lets run by itself."""
    return _RUNNING.sub(r"\1", html)


def event(name: str, html: str, number: int | None = None) -> bytes:
    """Return an event; the page comes back with its number after a broken connection."""
    lines = [f"event: {name}", *(f"data: {line}" for line in html.split("\n"))]
    if number is not None:
        lines.append(f"id: {number}")
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


class Parts:
    """Tells which parts of a page have changed since they were last asked for."""

    def __init__(self) -> None:
        self._last: dict[int, str] = {}

    def changed(self, parts: Sequence[str]) -> list[bytes]:
        """Return an event for each part that has changed, at first for all of them."""
        news = []
        for place, html in enumerate(parts):
            bare = timeless(html)
            if self._last.get(place) != bare:
                self._last[place] = bare
                news.append(event("part", html))
        return news


async def jobs(
    look: Callable[[], Awaitable[object]], render: Callable[[], Awaitable[Sequence[str]]]
) -> AsyncIterator[list[bytes]]:
    """Yield what changes of a list of jobs, for ever.

    Args:
        look: returns something that differs when the parts may, and costs less than making them.
        render: makes the parts of the page.
    """
    parts, last = Parts(), None
    while True:
        if (now := await look()) != last:
            last = now
            if batch := parts.changed(await render()):
                yield batch
        await asyncio.sleep(_INTERVAL)


async def job(
    job: Job,
    search: Search,
    position: int | None,
    render: Callable[[], Awaitable[Sequence[str]]],
    render_lines: Callable[[Lines], str],
) -> AsyncIterator[list[bytes]]:
    """Yield what changes of a job's page, until the job is over and all of it was told.

    Args:
        job: the job.
        search: which lines of its log the page shows.
        position: of the first line that the page does not have yet; None: it wants none.
        render: makes the parts of the page.
        render_lines: makes lines of the log.
    """
    news = asyncio.Event()
    stop = job.log.listen(news.set)
    parts = Parts()
    at = job.log.total if position is None else position
    try:
        while True:
            news.clear()
            over = job.stage.over and job.log.ended
            batch, pause = [], _PAUSE
            if position is not None and at < job.log.total:
                lines = _follow(job.log, search, at)
                at, pause = lines.position, max(pause, len(lines.lines) / _LINES_A_SECOND)
                batch.append(event("log", render_lines(lines), at))
            batch += parts.changed(await render())
            if batch:
                yield batch
            if position is None or at >= job.log.total:
                if over:
                    yield [event("end", "")]
                    return
                await _wait(news, _INTERVAL)
            await asyncio.sleep(pause)
    finally:
        stop()


def _follow(log: Log, search: Search, position: int) -> Lines:
    """Return the lines from a position on: of many the last ones."""
    begin = position if search.text else max(position, log.total - _TOO_MANY)
    events, after = log.after(begin)
    first = after - len(events)
    pairs = zip(range(first, after), events, strict=True)
    found = [pair for pair in pairs if search.keeps(pair[1])]
    kept = found[-MOST_LINES:]
    skipped = kept[0][0] if kept and (len(kept) < len(found) or first > position) else None
    return Lines(search.lines(kept), after, skipped)


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass

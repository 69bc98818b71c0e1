"""The picture as one HTML page, which needs nothing from elsewhere and can reach nothing.

The data stands in it as JSON that no browser runs; the one script and the one style sheet are named
by their hashes in a content security policy, so nothing else is run or loaded, whatever the names
of runs, functions and exceptions are.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from hfexecutor.timeline.findings import duration
from hfexecutor.timeline.shares import KINDS, phases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hfexecutor.timeline.lanes import Lane
    from hfexecutor.timeline.spans import CallSpan, JobSpan

__all__ = ["page_of"]

_SHOWN: Final = 8  # calls in a table
_SHOWN_JOBS: Final = 40
_STEPS: Final = 500  # of the curve of costs
_MICRO: Final = 1_000_000
_DONE, _FAILED, _LOST, _OPEN, _STOPPED = range(5)


class Shown(Protocol):
    """What is shown of a run: see :class:`~hfexecutor.timeline.timeline.Timeline`."""

    @property
    def name(self) -> str: ...
    @property
    def headline(self) -> str: ...
    @property
    def began(self) -> float: ...
    @property
    def until(self) -> float: ...
    @property
    def over(self) -> bool: ...
    @property
    def calls(self) -> Sequence[CallSpan]: ...
    @property
    def jobs(self) -> Sequence[JobSpan]: ...
    @property
    def lanes(self) -> Sequence[Lane]: ...
    @property
    def shares(self) -> Mapping[str, float]: ...
    @property
    def findings(self) -> Sequence[str]: ...
    @property
    def notes(self) -> Sequence[str]: ...


def page_of(run: Shown) -> str:
    """Return the page."""
    script, style = _file("page.js"), _file("page.css")
    parts = {
        "title": html.escape(f"Run {_printable(run.name)}"),
        "headline": html.escape(_printable(run.headline)),
        "findings": _list("findings", run.findings),
        "shares": _shares(run.shares),
        "tables": _tables(run),
        "notes": _notes(run.notes),
        "data": _data(run),
        "script": script,
        "style": style,
        "script_hash": _hash(script),
        "style_hash": _hash(style),
    }
    # In one go: what is put in is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("page.html"))


@functools.cache
def _file(name: str) -> str:
    return resources.files("hfexecutor.timeline").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _printable(text: str) -> str:
    """Show what does not print as its escape: it may turn text around."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


def _text(text: str, most: int = 200) -> str:
    return html.escape(_printable(text if len(text) <= most else f"{text[: most - 1]}…"))


# --- words ------------------------------------------------------------------------------------


def _list(name: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(line, 500)}</li>" for line in lines)
    return f'<ul class="{name}">{items}</ul>' if items else ""


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    title = '<h2 id="notes-title">What is not in it</h2>'
    return f'<section aria-labelledby="notes-title">{title}{_list("notes", notes)}</section>'


def _shares(shares: Mapping[str, float]) -> str:
    total = sum(shares.values())
    if not total:
        return '<p class="quiet">No job was there.</p>'
    rects, items, x = [], [], 0.0
    for kind, name in KINDS.items():
        share = shares[kind] / total
        if share <= 0:
            continue
        width = 1000 * share
        rects.append(f'<rect class="{kind}" x="{x:.2f}" width="{width:.2f}" height="10"/>')
        x += width
        square = f'<rect class="{kind}" width="10" height="10"/>'
        swatch = f'<svg aria-hidden="true" viewBox="0 0 10 10">{square}</svg>'
        items.append(
            f'<li>{swatch}<span class="amount">{_percent(share)}</span> {name} '
            f'<span class="seconds">{duration(shares[kind])}</span></li>'
        )
    stack = (
        '<svg class="stack" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(rects)}</svg>"
    )
    return f'{stack}<ul class="shares">{"".join(items)}</ul>'


def _percent(share: float) -> str:
    return "&lt; 1%" if share < 0.005 else f"{share:.0%}"  # noqa: PLR2004 - as it is rounded


def _tables(run: Shown) -> str:
    ran = [call for call in run.calls if call.seconds is not None]
    slowest = sorted(ran, key=lambda call: -(call.seconds or 0.0))[:_SHOWN]
    bad = [call for call in run.calls if call.state in {"failed", "retried", "lost"}]
    tables = [
        _table("Slowest calls", _CALLS, [_call_row(call, run.began) for call in slowest]),
        _table(
            f"Calls that failed, or ran again{_of(bad, _SHOWN)}",
            _CALLS,
            [_call_row(call, run.began) for call in bad[:_SHOWN]],
        ),
    ]
    counts: dict[str, int] = {}
    for call in run.calls:
        if call.job_id is not None and call.state in {"done", "failed"}:
            counts[call.job_id] = counts.get(call.job_id, 0) + 1
    rows = [_job_row(job, counts.get(job.id, 0), run.until) for job in run.jobs[:_SHOWN_JOBS]]
    jobs = _table(f"Jobs{_of(run.jobs, _SHOWN_JOBS)}", _JOBS, rows)
    return f'<div class="tables">{"".join(tables)}</div>{jobs}'


_CALLS: Final = (("call", True), ("function", False), ("took", True), ("waited", True),
                 ("began at", True), ("job", False), ("ended", False))  # fmt: skip
_JOBS: Final = (("job", False), ("flavor", False), ("slots", True), ("calls", True),
                ("for hardware", True), ("cold start", True), ("installing", True),
                ("there for", True), ("cost", True))  # fmt: skip


def _of(rows: Sequence[object], most: int) -> str:
    return f" (the first {most} of {len(rows):,})" if len(rows) > most else ""


def _table(title: str, columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are HTML; nothing where there are no rows."""
    if not rows:
        return ""
    sides = ['class="right"' if right else "" for _, right in columns]
    head = "".join(
        f'<th scope="col" {side}>{name}</th>'
        for (name, _), side in zip(columns, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td {side}>{cell}</td>" for cell, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<section><h2>{html.escape(title)}</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{html.escape(title)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _call_row(call: CallSpan, since: float) -> list[str]:
    waited = None
    if call.began is not None and call.submitted is not None:
        waited = call.began - call.submitted
    return [
        str(call.call),
        _text(call.name),
        _seconds(call.seconds),
        _seconds(waited),
        "" if call.began is None else duration(max(0.0, call.began - since)),
        _text((call.job_id or "")[:8]),
        _text(call.error or call.state),
    ]


def _job_row(job: JobSpan, calls: int, now: float) -> list[str]:
    launched, began, up, ended = phases(job, now)
    installs = sum((now if p.ended is None else p.ended) - p.began for p in job.installs)
    name = _text(job.id)
    if _is_of_the_web(job.url):
        name = f'<a href="{html.escape(_printable(job.url))}" rel="noopener noreferrer">{name}</a>'
    return [
        name,
        _text(job.flavor),
        str(job.slots),
        f"{calls:,}",
        _seconds(began - launched),
        _seconds(up - began),
        _seconds(installs or None),
        _seconds(ended - launched),
        "" if job.dollars is None else f"${job.dollars:.4f}",
    ]


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else duration(max(0.0, seconds))


def _is_of_the_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        return False


# --- data -------------------------------------------------------------------------------------


def _data(run: Shown) -> str:
    """Return what the script draws, as JSON that ends no element whatever is in it."""
    names, errors = _numbered(), _numbered()
    numbers = {job.id: number for number, job in enumerate(run.jobs)}
    ticks = _ticks_since(run.began)
    data = {
        "until": ticks(run.until),
        "over": run.over,
        "jobs": [_job_data(job, ticks, run.until) for job in run.jobs],
        "lanes": [_lane_data(lane, numbers, names, errors, ticks) for lane in run.lanes],
        "cost": list(_costs(run, ticks)),
        "kinds": KINDS,
    }
    data |= {"names": list(names), "errors": list(errors)}
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _ticks_since(origin: float) -> Callable[[float], int]:
    """Return what makes microseconds since the run began of a moment."""
    return lambda moment: round((moment - origin) * _MICRO)


class _Numbered(dict[str, int]):
    """Texts by numbers from 0, in the order in which they were asked for."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


def _numbered() -> _Numbered:
    return _Numbered()


def _job_data(job: JobSpan, ticks: Callable[[float], int], now: float) -> dict[str, Any]:
    launched, began, up, ended = map(ticks, phases(job, now))

    def periods(some: Iterable[Any]) -> list[list[int]]:
        return [
            [ticks(one.began), ticks(now if one.ended is None else one.ended), one.size]
            for one in some
        ]

    return {
        "id": _printable(job.id),
        "launched": launched,
        "began": began,
        "up": up,
        "ended": ended,
        "installs": periods(job.installs),
        "transfers": periods(job.transfers),
    }


def _lane_data(
    lane: Lane,
    jobs: Mapping[str, int],
    names: _Numbered,
    errors: _Numbered,
    ticks: Callable[[float], int],
) -> dict[str, Any]:
    """Return a lane in columns: the gap before each bar, its length, what is known of its call."""
    gaps, lengths, calls, functions, waits = [], [], [], [], []
    states: dict[int, int] = {}  # those that are not done
    raised: dict[int, int] = {}
    last = 0
    for place, bar in enumerate(lane.bars):
        call, began, ended = bar.call, ticks(bar.began), ticks(bar.ended)
        gaps.append(began - last)
        lengths.append(ended - began)
        last = ended
        calls.append(call.call)
        functions.append(names[_printable(call.name)])
        waits.append(-1 if call.submitted is None else max(0, began - ticks(call.submitted)))
        lost = _STOPPED if call.state == "stopped" else _LOST
        state = _OPEN if bar.open else lost if bar.lost else _FAILED
        if bar.open or bar.lost or call.state in {"failed", "retried"}:
            states[place] = state
        if call.error:
            raised[place] = errors[_printable(call.error)]
    return {
        "job": jobs[lane.job.id],
        "slot": lane.slot,
        "gaps": gaps,
        "lengths": lengths,
        "calls": calls,
        "names": functions if len(set(functions)) > 1 else functions[:1],
        "waits": waits if any(wait >= 0 for wait in waits) else [],
        "states": states,
        "errors": raised,
    }


def _costs(run: Shown, ticks: Callable[[float], int]) -> Iterator[tuple[int, float]]:
    """Yield how the cost grows: by the minute that a job begins, so that it is the most."""
    steps: list[tuple[float, float]] = []
    for job in run.jobs:
        launched, began, _, ended = phases(job, run.until)
        if not job.dollars:
            continue
        since = began if job.began is not None else launched
        # What was billed says how many minutes there are, whenever the first of them began.
        minutes = max(1, -int(-(ended - since) // 60))
        steps += [(since + 60 * minute, job.dollars / minutes) for minute in range(minutes)]
    steps.sort()
    total, every = 0.0, max(1, len(steps) // _STEPS)
    for number, (moment, dollars) in enumerate(steps):
        total += dollars
        if number % every == 0 or number == len(steps) - 1:
            yield ticks(moment), round(total, 6)

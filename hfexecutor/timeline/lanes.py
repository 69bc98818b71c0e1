"""Puts the calls of a run into lanes, one for each slot of each job. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfexecutor.timeline.spans import CallSpan, JobSpan

__all__ = ["Bar", "Lane", "by_our_clock", "lanes_of", "up_in_time"]


class Bar(NamedTuple):
    """A call in its lane; `lost`: its outcome will never be known, `open`: it may run still."""

    began: float
    ended: float
    call: CallSpan
    lost: bool = False
    open: bool = False


@dataclass(slots=True)
class Lane:
    """What one slot of a job did: bars that do not overlap, in their order."""

    job: JobSpan
    slot: int
    bars: list[Bar]


def by_our_clock(calls: Iterable[CallSpan]) -> list[CallSpan]:
    """Set the clocks of jobs right, as far as they cannot be.

    A call does not begin before it was sent, nor is its outcome heard before it has ended. The
    least correction is made that is in keeping with this for all calls of a job; where nothing is,
    the outcomes count, for when a call was sent is not always known well.
    """
    calls = list(calls)
    least: dict[str | None, float] = {}
    most: dict[str | None, float] = {}
    for call in calls:
        if call.began is None or call.ended is None:
            continue
        if call.sent is not None:
            least[call.job_id] = max(least.get(call.job_id, -math.inf), call.sent - call.began)
        if call.heard is not None:
            most[call.job_id] = min(most.get(call.job_id, math.inf), call.heard - call.ended)
    shifts = {
        job: shift
        for job in {*least, *most}
        if (shift := min(max(0.0, least.get(job, 0.0)), most.get(job, math.inf)))
    }
    if not shifts:
        return calls
    return [
        call
        if call.began is None or call.job_id not in shifts
        else replace(call, began=call.began + shifts[call.job_id])
        for call in calls
    ]


def up_in_time(jobs: Iterable[JobSpan], calls: Iterable[CallSpan]) -> list[JobSpan]:
    """Have jobs take calls when the first one begins there: that they do may be heard later."""
    first: dict[str | None, float] = {}
    for call in calls:
        if call.began is not None:
            first[call.job_id] = min(first.get(call.job_id, math.inf), call.began)
    settled = []
    for job in jobs:
        moments = [first.get(job.id, math.inf), *(period.began for period in job.installs)]
        up = min(math.inf if job.up is None else job.up, *moments)
        settled.append(replace(job, up=up) if up < math.inf else job)
    return settled


def lanes_of(jobs: Iterable[JobSpan], calls: Iterable[CallSpan], now: float) -> list[Lane]:
    """Return the lanes of all jobs, each with its bars.

    Calls that were sent to a job and have no outcome take the places that are free there, the
    first of them: the others wait.

    Args:
        jobs: The jobs.
        calls: The calls, by our clock.
        now: Until when jobs and calls that are not over are reckoned.
    """
    ended: dict[str, list[CallSpan]] = {}
    unanswered: dict[str, list[CallSpan]] = {}
    stopped: dict[str, list[CallSpan]] = {}
    for call in calls:
        if call.job_id is None:
            continue
        if call.began is not None and call.slot is not None:
            ended.setdefault(call.job_id, []).append(call)
        elif call.state == "stopped":
            stopped.setdefault(call.job_id, []).append(call)
        elif call.state in {"sent", "lost", "failed"} and call.sent is not None:
            unanswered.setdefault(call.job_id, []).append(call)
    lanes: list[Lane] = []
    for job in jobs:
        here = ended.get(job.id, [])
        slots = max([job.slots, *(call.slot + 1 for call in here if call.slot is not None)])
        own = [Lane(job, slot, []) for slot in range(slots)]
        for call in sorted(here, key=_order):
            assert call.slot is not None
            _add(own[call.slot].bars, call)
        for call in stopped.get(job.id, ()):
            _put_between(own, job, call)
        if job.id in unanswered and job.up is not None:
            _fill(own, job, unanswered[job.id], now)
        lanes += own
    return lanes


def _order(call: CallSpan) -> tuple[float, int]:
    return (call.began or 0.0, call.call)


def _add(bars: list[Bar], call: CallSpan) -> None:
    """Add a call, a little later where the one before it seems to overlap: clocks have ticks."""
    assert call.began is not None
    began = max(call.began, bars[-1].ended) if bars else call.began
    ended = max(began, call.began + (call.seconds or 0.0))
    bars.append(Bar(began, ended, call))


def _put_between(lanes: Sequence[Lane], job: JobSpan, call: CallSpan) -> None:
    """Put an attempt that was stopped where it may have run: its slot has gone on to others."""
    ends = [moment for moment in (call.heard, job.ended) if moment is not None]
    if not ends or call.sent is None:
        return
    ended, first = min(ends), max(call.sent, job.up or call.sent)
    free = [max([first, *(bar.ended for bar in lane.bars if bar.began < ended)]) for lane in lanes]
    slot = min(range(len(lanes)), key=free.__getitem__)
    if free[slot] < ended:
        lanes[slot].bars.append(Bar(free[slot], ended, call, lost=True))
        lanes[slot].bars.sort(key=lambda bar: bar.began)


def _fill(lanes: Sequence[Lane], job: JobSpan, calls: list[CallSpan], now: float) -> None:
    """Put calls of which nothing was heard where they may have run."""
    end = now if job.ended is None else job.ended
    free = {lane.slot: lane.bars[-1].ended if lane.bars else (job.up or end) for lane in lanes}
    for call in sorted(calls, key=lambda call: (call.sent or 0.0, call.call)):
        if not free:
            return
        slot = min(free, key=lambda slot: free[slot])
        began = max(free.pop(slot), call.sent or 0.0)
        if began < end:
            is_open = call.state == "sent" and job.ended is None
            lanes[slot].bars.append(Bar(began, end, call, lost=not is_open, open=is_open))

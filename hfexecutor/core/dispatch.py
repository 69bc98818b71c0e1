"""Who gets how many calls, and how many jobs are wanted: pure decisions over plain numbers.

A worker *holds* calls: as many as it has slots run, the rest wait there. Holding calls ahead hides
the round trip to the job; holding too many makes calls wait behind a long one while somebody else
is idle. So how many it holds follows how long its calls take: one for slow calls, hundreds for
micro-calls.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "View",
    "allowance",
    "assign",
    "jobs_wanted",
    "load",
    "most_jobs",
    "room",
    "share",
    "slots_of_job",
    "surplus",
]

# Per slot: a hundred micro-calls, and more the longer the way is. Not any number: to cancel what
# waits at a worker takes a message, which may come too late.
MOST_AHEAD = 100
AHEAD_PER_SECOND = 4000  # of round trip
# Seconds of work a slot should have waiting, besides two round trips. Long, so that short calls
# travel many to a message; not longer, because of what waits there somebody else could run.
HORIZON = 0.3


class View(NamedTuple):
    """What dispatch needs to know of a worker that takes calls."""

    slots: int
    held: int
    duration: float | None = None  # mean seconds of its recent calls, None when unknown
    round_trip: float = 0.0  # seconds from sending a call to its arrival there
    alone: bool = False  # it is to hold nothing ahead: somebody else could run it at once
    risk: bool = False  # it holds, or would get, a call that may kill it: nothing else beside it


def slots_of_job(
    max_workers: int, *, asked: int | None, machine: int, reuse_workers: bool = True
) -> int:
    """Return how many calls a job is to run at once.

    Args:
        max_workers: Calls that all jobs together may run at once.
        asked: What the user wants; None for what the `machine` is for.
        machine: Calls that a machine of the flavor is for.
        reuse_workers: Without, each call has a job of its own.
    """
    return min(asked or machine, max_workers) if reuse_workers else 1


def most_jobs(max_workers: int, slots: int) -> int:
    """Return how many jobs it takes to run `max_workers` calls at once."""
    return -(-max_workers // slots)


def allowance(view: View) -> int:
    """Return how many calls the worker may hold in all."""
    if view.risk:
        return 1
    if view.alone:
        return view.slots
    if view.duration is None:
        return 2 * view.slots
    horizon = 2 * view.round_trip + HORIZON
    ahead = math.ceil(horizon / max(view.duration, 1e-6))
    most = MOST_AHEAD + int(AHEAD_PER_SECOND * view.round_trip)
    return view.slots * (1 + min(max(ahead, 1), most))


def room(view: View) -> int:
    """Return how many calls the worker should be given now.

    None while more than half of what may wait there still does: so a message brings many.
    """
    most = allowance(view)
    enough = min(most, view.slots) + max(0, most - view.slots) // 2
    return max(0, most - view.held) if view.held <= enough else 0


def assign(queued: int, views: Sequence[View]) -> list[int]:
    """Return how many of `queued` calls each worker gets now.

    The least loaded slot is served first, so no worker is given a call to hold while another has
    an idle slot.

    >>> assign(3, [View(slots=2, held=2), View(slots=2, held=0)])
    [1, 2]
    """
    if len(views) == 1:  # nothing to weigh
        return [min(queued, room(views[0]))]
    given = [0] * len(views)
    heap = [
        (view.held / view.slots, index, free)
        for index, view in enumerate(views)
        if (free := room(view))
    ]
    heapq.heapify(heap)
    while queued and heap:
        load, index, free = heap[0]
        given[index] += 1
        queued -= 1
        if free > 1:
            heapq.heapreplace(heap, (load + 1 / views[index].slots, index, free - 1))
        else:
            heapq.heappop(heap)
    return given


def load(views: Iterable[View]) -> tuple[int, int]:
    """Return how many calls are held in all, and how many slots are busy with them.

    Beside a call that may kill its worker no slot is free.

    >>> load([View(slots=2, held=5), View(slots=2, held=1), View(slots=2, held=0)])
    (6, 3)
    >>> load([View(slots=4, held=1, risk=True)])
    (1, 4)
    """
    held = busy = 0
    for view in views:
        held += view.held
        busy += view.slots if view.risk and view.held else min(view.slots, view.held)
    return held, busy


def surplus(view: View, held: int, slots: int) -> int:
    """Return how many calls should leave this worker, so that one move makes all even.

    That is what it holds beyond its fair part of all calls `held`, with `slots` to take them.

    >>> surplus(View(slots=1, held=9), held=9, slots=3)
    6
    """
    fair = math.ceil(held / slots) * view.slots
    return max(0, view.held - max(fair, view.slots))


def share(queued: int, jobs: int, slots: int) -> int:
    """Return how many calls a one-shot job should take (guided self-scheduling).

    Large shares first and small ones last keep all jobs busy to the end: each takes half of what
    would be its equal part of the rest.

    >>> [share(n, jobs=4, slots=1) for n in (100, 40, 8, 1)]
    [13, 5, 1, 1]
    """
    return min(queued, max(slots, math.ceil(queued / (2 * max(jobs, 1)))))


def jobs_wanted(
    *,
    outstanding: int,
    live: int,
    slots: int,
    most: int,
    duration: float | None = None,
    cold_start: float | None = None,
    stalled: bool = False,
) -> int:
    """Return how many jobs of so many `slots` to start now.

    One slot for each outstanding call, beside the `live` ones, with `most` jobs; but none when what
    is live will be through the work before a new job could begin (`cold_start` seconds, as
    measured). That is a forecast from earlier calls: once outcomes fail to appear (`stalled`) it
    counts no more.

    >>> jobs_wanted(outstanding=10, live=2, slots=2, most=3)
    3
    >>> jobs_wanted(outstanding=100, live=2, slots=1, most=6, duration=0.001, cold_start=6.0)
    0
    """
    wanted = min(most, math.ceil((outstanding - live) / slots))
    if wanted <= 0:
        return 0
    if live and not stalled and duration is not None and cold_start is not None:
        remaining = outstanding * duration / live
        if remaining < cold_start:
            return 0
    return wanted

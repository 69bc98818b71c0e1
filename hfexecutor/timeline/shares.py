"""Where the time of a run's slots went, and what that means for who wonders why it was slow. Pure.

A slot is there from the moment when its job was asked for until the job is over. At each moment it
does the first of these that is true: it runs a call, its job installs packages, calls or results
are on their way, the job waits for hardware, it starts, or nothing is to be done: it is idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfexecutor.timeline.lanes import Lane
    from hfexecutor.timeline.spans import JobSpan, Period

__all__ = ["KINDS", "phases", "shares_of"]

KINDS: Final = {
    "running": "running calls",
    "hardware": "waiting for hardware",
    "starting": "cold starts",
    "installing": "installing packages",
    "transferring": "transfers",
    "lost": "calls lost, or stopped for a backup",
    "idle": "idle",
}
"""What a slot does, and what that is called."""

Stretch = tuple[float, float]


def phases(job: JobSpan, now: float) -> tuple[float, float, float, float]:
    """Return when a job was asked for, began to run, could take calls, and was over.

    What is not known, or not yet, is the moment after it; `now` is the end of what goes on.
    """
    ended = now if job.ended is None else job.ended
    up = ended if job.up is None else min(job.up, ended)
    began = up if job.began is None else min(job.began, up)
    launched = began if job.launched is None else min(job.launched, up)
    return launched, max(began, launched), up, ended


def shares_of(lanes: Iterable[Lane], now: float) -> dict[str, float]:
    """Return the seconds of all slots together that went into each of `KINDS`."""
    shares = dict.fromkeys(KINDS, 0.0)
    for lane in lanes:
        launched, began, up, ended = phases(lane.job, now)
        shares["hardware"] += began - launched
        shares["starting"] += up - began
        taken: list[Stretch] = []
        for bar in lane.bars:
            shares["lost" if bar.lost else "running"] += bar.ended - bar.began
            taken.append((bar.began, bar.ended))
        left = max(0.0, ended - up) - sum(end - start for start, end in taken)
        for kind, periods in (
            ("installing", lane.job.installs),
            ("transferring", lane.job.transfers),
        ):
            if periods:
                taken, seconds = _fill_gaps(taken, _cut(periods, up, ended))
                shares[kind] += seconds
                left -= seconds
        shares["idle"] += max(0.0, left)
    return shares


def _cut(periods: Iterable[Period], start: float, end: float) -> list[Stretch]:
    """Return what of these lies between two moments, as stretches that do not overlap."""
    cut: list[Stretch] = []
    for period in sorted(periods, key=lambda period: period.began):
        began = max(period.began, start, cut[-1][1] if cut else start)
        ended = min(end if period.ended is None else period.ended, end)
        if began < ended:
            cut.append((began, ended))
    return cut


def _fill_gaps(taken: Sequence[Stretch], wanted: Sequence[Stretch]) -> tuple[list[Stretch], float]:
    """Add to `taken` what of `wanted` is free there; return that, and how many seconds it is."""
    added: list[Stretch] = []
    place = 0
    for start, end in wanted:
        while place < len(taken) and taken[place][1] <= start:
            place += 1
        at = place
        moment = start
        while at < len(taken) and taken[at][0] < end:
            if taken[at][0] > moment:
                added.append((moment, taken[at][0]))
            moment = max(moment, taken[at][1])
            at += 1
        if moment < end:
            added.append((moment, end))
    return sorted([*taken, *added]), sum(end - start for start, end in added)

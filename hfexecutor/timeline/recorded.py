"""From what an executor has recorded, and what its jobs cost, to rows, and to a timeline."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, NamedTuple

from hfexecutor.timeline.recorder import NOWHERE
from hfexecutor.timeline.spans import CallSpan, JobSpan, Period
from hfexecutor.timeline.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfexecutor.cost import Cost
    from hfexecutor.timeline.recorder import Attempt, Job, Snapshot
    from hfexecutor.timeline.spans import State

__all__ = ["Recording", "recording_of", "timeline_of"]

# By their numbers in the recorder; a place with number 0 is no call's.
_STATES: Final[tuple[State, ...]] = ("waiting", "waiting", "sent", "done", "failed", "cancelled")


class Recording(NamedTuple):
    """When the run began and ended, its calls and jobs, and how much was left out."""

    began: float | None
    ended: float | None
    calls: tuple[CallSpan, ...]
    jobs: tuple[JobSpan, ...]
    calls_left_out: int
    others_left_out: int


def recording_of(snapshot: Snapshot) -> Recording:
    """Return what was recorded as rows: those of attempts that were not the last come first."""
    jobs = tuple(map(_job_span, snapshot.jobs))
    ids = [None, *(job.id for job in jobs)]
    calls = [_attempt_span(attempt, snapshot, ids) for attempt in snapshot.again]
    names = snapshot.names
    for number, row in enumerate(zip(*snapshot.columns, strict=True), 1):
        state, submitted, sent, heard, began, seconds, job, slot, name, error = row
        if state:
            calls.append(
                CallSpan(
                    call=number,
                    name=names[name],
                    state=_STATES[state],
                    job_id=ids[job],
                    slot=None if slot == NOWHERE else slot,
                    submitted=submitted or None,
                    sent=sent or None,
                    began=began or None,
                    seconds=seconds if began else None,
                    heard=heard or None,
                    error=names[error],
                )
            )
    return Recording(
        snapshot.began,
        snapshot.ended,
        tuple(calls),
        jobs,
        snapshot.calls_left_out,
        snapshot.others_left_out,
    )


def _attempt_span(attempt: Attempt, snapshot: Snapshot, ids: Sequence[str | None]) -> CallSpan:
    """Return the row of an attempt that is not the one with the outcome."""
    submitted, name, raised = snapshot.columns[1], snapshot.columns[8], attempt.raised
    place = attempt.call - 1
    return CallSpan(
        call=attempt.call,
        name=snapshot.names[name[place]],
        state=_state_of(attempt),
        job_id=ids[attempt.job],
        slot=None if raised is None else raised.slot,
        submitted=submitted[place] or None,
        sent=attempt.sent or None,
        began=None if raised is None else raised.began,
        seconds=None if raised is None or raised.began is None else raised.ran,
        heard=attempt.stopped if raised is None else raised.at,
        error="" if raised is None else raised.error,
    )


def _state_of(attempt: Attempt) -> State:
    if attempt.raised is not None:
        return "retried"
    if attempt.stopped is not None:
        return "stopped"
    return "sent" if attempt.backup else "lost"


def _job_span(job: Job) -> JobSpan:
    return JobSpan(
        id=job.id,
        url=job.url,
        flavor=job.flavor,
        slots=job.slots,
        launched=job.launched,
        began=job.began,
        up=job.up,
        ended=job.ended,
        dollars=job.dollars,
        installs=tuple(Period(*stretch) for stretch in job.installs.values()),
        transfers=tuple(Period(*stretch) for stretch in job.transfers),
    )


def timeline_of(name: str, recording: Recording, cost: Cost, now: float) -> Timeline:
    """Return the timeline of a run.

    Args:
        name: Of the run.
        recording: What was heard of it.
        cost: What its jobs cost; of those that run still it is known from here alone.
        now: Seconds since 1970.
    """
    dollars = {job.id: job.dollars for job in cost.jobs} if cost.dollars is not None else {}
    jobs = [
        job if job.dollars is not None else dataclasses.replace(job, dollars=dollars.get(job.id))
        for job in recording.jobs
    ]
    notes = []
    if recording.calls_left_out:
        kept = len({call.call for call in recording.calls})
        notes.append(
            f"The first {kept:,} calls are shown; {recording.calls_left_out:,} later ones are not."
        )
    if recording.others_left_out:
        notes.append(
            f"{recording.others_left_out:,} jobs, transfers or lost calls more than are remembered."
        )
    return Timeline.of(
        name,
        recording.calls,
        jobs,
        began=recording.began,
        until=now if recording.ended is None else recording.ended,
        over=recording.ended is not None,
        dollars=cost.dollars,
        notes=notes,
    )

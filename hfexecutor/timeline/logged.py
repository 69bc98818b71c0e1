"""From what the logs of a run tell of its jobs and calls to a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfexecutor.timeline.spans import CallSpan, JobSpan, Period
from hfexecutor.timeline.timeline import Timeline

if TYPE_CHECKING:
    from datetime import datetime

    from hfexecutor.logged_calls import CallSeen, JobSeen, RunCalls
    from hfexecutor.runs import RunJob
    from hfexecutor.timeline.spans import State

__all__ = ["timeline_of_logs"]

_STATES: Final[dict[str, State]] = {
    "done": "done",
    "failed": "failed",
    "open": "sent",
    "lost": "lost",
}
_UNKNOWN: Final = (
    "What only the process of the run knows: when calls were submitted, and how long they waited; "
    "what their functions are called; how long calls and large results were on their way, which "
    "counts as idle; calls that no job has had, and earlier tries of those that ran again."
)


def timeline_of_logs(calls: RunCalls, now: float) -> Timeline:
    """Put together what is known of a run."""
    run, clocks = calls.run, {}
    jobs: list[JobSpan] = []
    notes = [_UNKNOWN]
    for job in run.jobs:
        seen = calls.jobs[job.id]
        clocks[job.id] = seen.clock if seen.clock is not None else _moment(job.started)
        jobs.append(_job_span(job, seen, clocks[job.id]))
    blind = sum(job.started is not None and calls.jobs[job.id].clock is None for job in run.jobs)
    if blind:
        notes.append(
            f"The logs of {blind:,} jobs do not begin with what their workers say first: their "
            "calls may seem to begin too early, by what a cold start takes."
        )
    if calls.unread:
        notes.append(f"The logs of {len(calls.unread):,} jobs could not be read.")
    numbers = sorted(calls.calls)
    return Timeline.of(
        run.name,
        [_call_span(calls.calls[n], jobs, clocks) for n in numbers],
        jobs,
        until=now if run.running else _moment(run.finished) or now,
        over=not run.running,
        dollars=run.dollars,
        notes=notes,
    )


def _moment(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()


def _job_span(job: RunJob, seen: JobSeen, clock: float | None) -> JobSpan:
    installs = [
        Period(clock + began, None if seconds is None else clock + began + seconds)
        for began, seconds in seen.installs.items()
        if clock is not None
    ]
    return JobSpan(
        id=job.id,
        url=job.url,
        flavor=job.flavor,
        slots=seen.slots or 1,
        launched=_moment(job.created),
        began=_moment(job.started),
        up=seen.clock,
        ended=_moment(job.finished),
        dollars=job.dollars,
        installs=tuple(installs),
    )


def _call_span(call: CallSeen, jobs: list[JobSpan], clocks: dict[str, float | None]) -> CallSpan:
    clock = clocks.get(call.job)
    began = None if call.began is None or clock is None else clock + call.began
    # One of which nothing was heard may have run from the first moment on.
    sent = next((job.up for job in jobs if job.id == call.job), None) if began is None else None
    return CallSpan(
        call=call.number,
        name="",
        state=_STATES[call.state],
        job_id=call.job,
        slot=call.slot,
        submitted=None,
        sent=sent,
        began=began,
        seconds=call.seconds,
        heard=None,
        error=call.error.partition(":")[0],
    )

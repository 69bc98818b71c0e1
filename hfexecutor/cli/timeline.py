"""`hfexecutor timeline`."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hfexecutor.cli.choosing import RUN, choose
from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.runs import read_all
from hfexecutor.cli.tables import show_json
from hfexecutor.timeline.spans import CallSpan, JobSpan, Period
from hfexecutor.timeline.timeline import Timeline

if TYPE_CHECKING:
    from datetime import datetime

    from hfexecutor.cli.calls import CallSeen, JobSeen, RunCalls
    from hfexecutor.cli.place import Place
    from hfexecutor.runs import RunJob
    from hfexecutor.timeline.spans import State

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


@click.command("timeline")
@RUN
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file. Default: timeline-NAME.html.",
)
@click.option("--json", "as_data", is_flag=True, help="For programs; writes no file without -o.")
@at_a_place
def command(place: Place, name: str, output: Path | None, as_data: bool) -> int:
    """Draw a run: what each slot of its jobs did, and when; why it was slow.

    Writes one HTML page that needs nothing else, and says what stands out. It is made of what the
    Hub and the logs of the jobs tell, also of a run whose process is gone; where that is there
    still, executor.timeline() knows more.
    """
    run = choose(place, name)
    calls = read_all(place, [run])[run.nonce]
    timeline = timeline_of(calls, time.time())
    if as_data:
        show_json(
            {
                "name": timeline.name,
                "began": timeline.began,
                "until": timeline.until,
                "over": timeline.over,
                "dollars": timeline.dollars,
                "shares": timeline.shares,
                "findings": timeline.findings,
                "jobs": [dataclasses.asdict(job) for job in timeline.jobs],
                "calls": [dataclasses.asdict(call) for call in timeline.calls],
            }
        )
    if output is not None or not as_data:
        path = output or Path(f"timeline-{run.name}.html")
        try:
            timeline.save(path)
        except OSError as error:
            raise VerbError(f"{path} cannot be written: {error}", ExitCode.USAGE) from error
        click.echo(f"{path}: {timeline.headline}", err=True)
        if not as_data:
            for line in timeline.findings:
                click.echo(line)
    calls.tell_unread()
    return ExitCode.DONE


def timeline_of(calls: RunCalls, now: float) -> Timeline:
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

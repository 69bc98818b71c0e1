"""`hfexecutor show`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from hfexecutor.cli.choosing import RUN, age_of, choose, full_name
from hfexecutor.cli.exit_codes import ExitCode
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.runs import as_json, read_all, state_of, tell_unread
from hfexecutor.cli.tables import Column, age, dollars, show_json, show_table

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place
    from hfexecutor.logged_calls import CallSeen, RunCalls
    from hfexecutor.runs import Run, RunJob

_JOBS: Final = (
    Column("JOB"),
    Column("STAGE"),
    Column("FLAVOR", weight=2),
    Column("CALLS", weight=4, right=True),
    Column("TIME", weight=3, right=True),
    Column("COST", weight=1, right=True),
)
_KEY: Final = Column("KEY", cut=True)
_CALLS: Final = (
    Column("CALL", right=True),
    _KEY,
    Column("STATE"),
    Column("TIME", weight=2, right=True),
    Column("JOB", weight=1),
    Column("ERROR", cut=True),
)


@click.command("show")
@RUN
@click.option("--all-calls", is_flag=True, help="Also those that went well; default: all others.")
@click.option("--json", "as_data", is_flag=True, help="For programs.")
@at_a_place
def command(place: Place, name: str, all_calls: bool, as_data: bool) -> int:
    """Show a run: what it is, its jobs, and calls that have failed or not ended.

    Ends with 1 if a call has failed or was lost.
    """
    run = choose(place, name)
    calls = read_all(place, [run])[run.nonce]
    seen = calls.counts()
    code = ExitCode.FAILED if seen["failed"] or seen["lost"] else ExitCode.DONE
    listed = sorted(calls.calls.values(), key=lambda call: call.number)
    if as_data:
        show_json({**as_json(run, calls), "all_calls": [_call_json(call) for call in listed]})
        return code
    _show_run(run, calls)
    click.echo()
    show_table(_JOBS, [_job_row(job, calls) for job in run.jobs])
    listed = [call for call in listed if all_calls or call.state != "done"]
    if listed:
        click.echo()
        keyed = any(call.key is not None for call in listed)
        columns = [column for column in _CALLS if keyed or column is not _KEY]
        show_table(columns, [_call_row(call, keyed=keyed) for call in listed])
    tell_unread(calls)
    return code


def _show_run(run: Run, calls: RunCalls) -> None:
    seen = calls.counts()
    counted = ", ".join(
        f"{seen[state]} {state}" for state in ("done", "failed", "open", "lost") if seen[state]
    )
    lines = {
        "run": full_name(run),
        "script": run.script,
        "state": state_of(run),
        "age": age_of(run),
        "calls": counted or "none known",
        "cost": f"{dollars(run.dollars)} at most",
    }
    for title, text in lines.items():
        if text:
            click.echo(f"{title:<7} {text}")


def _job_row(job: RunJob, calls: RunCalls) -> list[str]:
    ended = sum(
        call.job == job.id and call.state in ("done", "failed") for call in calls.calls.values()
    )
    end = job.finished or datetime.now(UTC)
    seconds = None if job.started is None else (end - job.started).total_seconds()
    return [job.id, job.stage, job.flavor, str(ended), age(seconds), dollars(job.dollars)]


def _call_row(call: CallSeen, *, keyed: bool) -> list[str]:
    time = "" if call.seconds is None else f"{call.seconds:.2f} s"
    key = [call.key or ""] if keyed else []
    return [str(call.number), *key, call.state, time, call.job, " ".join(call.error.split())]


def _call_json(call: CallSeen) -> dict[str, Any]:
    return {
        "number": call.number,
        "key": call.key,
        "state": call.state,
        "job": call.job,
        "seconds": call.seconds,
        "error": call.error or None,
        "traceback": call.traceback or None,
    }

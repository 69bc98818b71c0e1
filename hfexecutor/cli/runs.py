"""`hfexecutor runs`."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any, Final

import click

from hfexecutor.cli.choosing import age_of, find_all, full_name
from hfexecutor.cli.exit_codes import ExitCode
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.tables import Column, dollars, show_json, show_table
from hfexecutor.logged_calls import RunCalls, read_calls

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place
    from hfexecutor.hub.client import HubClient
    from hfexecutor.runs import Run

__all__ = ["as_json", "read_all", "state_of", "tell_unread"]

_MOST_LOGS: Final = 100  # that one listing reads: each is a request
_COLUMNS: Final = (
    Column("RUN", cut=True),
    Column("SCRIPT", weight=1, cut=True),
    Column("STATE"),
    Column("JOBS", weight=4, right=True),
    Column("DONE", weight=6, right=True),
    Column("FAILED", weight=7, right=True),
    Column("OPEN", weight=5, right=True),
    Column("AGE", weight=2, right=True),
    Column("COST", weight=3, right=True),
)


@click.command("runs")
@click.option(
    "--last", type=click.IntRange(1), default=20, help="How many, the latest; default 20."
)
@click.option("--running", is_flag=True, help="Only those of which a job may run still.")
@click.option("--calls/--no-calls", default=True, help="Whether logs are read to count calls.")
@click.option("--json", "as_data", is_flag=True, help="For programs.")
@at_a_place
def command(place: Place, last: int, running: bool, calls: bool, as_data: bool) -> int:
    """List runs, the latest first.

    Runs of this token's owner whose jobs the Hub still knows. JOBS are those that may run still, of
    all; COST is the most that can be billed for them so far. Calls are counted by what the logs of
    the jobs tell: OPEN are those that were handed out and have not ended, or were lost.
    A narrow terminal shows fewer columns, a pipe all of them.
    """
    found = [run for run in find_all(place) if run.running or not running][:last]
    read = read_all(place, found) if calls else {}
    if as_data:
        show_json([as_json(run, read.get(run.nonce)) for run in found])
        return ExitCode.DONE
    if not found:
        click.echo("no runs", err=True)
        return ExitCode.DONE
    names = [run.name for run in found]
    show_table(_COLUMNS, [_row(run, read.get(run.nonce), names.count(run.name)) for run in found])
    return ExitCode.DONE


def read_all(place: Place, runs: list[Run]) -> dict[str, RunCalls]:
    """Return what the logs of runs tell of their calls, by nonce: of as many as is reasonable."""
    wanted: list[RunCalls] = []
    left = _MOST_LOGS
    for run in runs:
        left -= len(run.jobs)
        if left >= 0 or not wanted:
            wanted.append(RunCalls(run, place.token))

    async def read(hub: HubClient) -> None:
        await hub.resolve_namespace()
        await asyncio.gather(*(read_calls(hub, calls) for calls in wanted))

    if wanted:
        place.ask(read)
    return {calls.run.nonce: calls for calls in wanted}


def tell_unread(calls: RunCalls) -> None:
    """Say on the standard error which logs could not be read."""
    for job, why in calls.unread.items():
        click.echo(f"the log of job {job} cannot be read: {why}", err=True)


def state_of(run: Run) -> str:
    """Return in one word what a run does, or how it ended."""
    stages = run.stages
    if run.running:
        return "running" if any(job.running and job.started for job in run.jobs) else "scheduling"
    if stages.get("ERROR"):
        return "failed"
    return "canceled" if stages.get("CANCELED") else "ended"


def as_json(run: Run, calls: RunCalls | None) -> dict[str, Any]:
    """Return what a program gets of a run."""
    counts = None
    if calls is not None and not calls.unread:
        seen = calls.counts()
        counts = {state: seen[state] for state in ("done", "failed", "open", "lost")}
    jobs = [
        dataclasses.asdict(job) | {"calls": [number for some in job.calls for number in some]}
        for job in run.jobs
    ]
    return {
        "name": run.name,
        "id": run.nonce,
        "script": run.script,
        "state": state_of(run),
        "running": run.running,
        "calls": counts,
        "created": run.created,
        "finished": run.finished,
        "dollars": run.dollars,
        "jobs": jobs,
    }


def _row(run: Run, calls: RunCalls | None, namesakes: int) -> list[str]:
    seen = calls.counts() if calls is not None and not calls.unread else None
    counted = ["?"] * 3
    if seen is not None:
        counted = [str(seen["done"]), str(seen["failed"]), str(seen["open"] + seen["lost"])]
    return [
        run.name if namesakes == 1 else full_name(run),
        run.script,
        state_of(run),
        f"{run.running}/{len(run.jobs)}",
        *counted,
        age_of(run),
        dollars(run.dollars),
    ]

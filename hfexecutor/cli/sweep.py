"""`hfexecutor sweep`."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from hfexecutor.cli.cancel import cancel_jobs
from hfexecutor.cli.exit_codes import ExitCode
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.swept_files import Files, owners_of
from hfexecutor.cli.tables import Column, age, show_json, show_table
from hfexecutor.core.adopting import port_of
from hfexecutor.errors import HubError
from hfexecutor.hub.doors import DoorError
from hfexecutor.hub.hosts import Door
from hfexecutor.labels import LAUNCH_LABEL, NAME_LABEL, OURS, RUN_LABEL
from hfexecutor.payload.package import BOOT_COMMAND
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames
from hfexecutor.runtime.keys import RunKeys

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place
    from hfexecutor.cli.swept_files import Owners
    from hfexecutor.hub.client import HubClient
    from hfexecutor.hub.models import Job

_PATIENCE: Final = 10.0  # seconds for the answer of a job
_AT_ONCE: Final = 16
_COLUMNS: Final = (
    Column("JOB"),
    Column("RUN", cut=True),
    Column("FLAVOR", weight=1),
    Column("AGE", weight=2, right=True),
    Column("NOBODY FOR", right=True),
    Column("", cut=True),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A job that may run still.

    Attributes:
        job: As the Hub shows it.
        silent: Seconds for which nobody was in touch with it; None where that is not known.
        why: Why it is not.
    """

    job: Job
    silent: float | None
    why: str = ""

    @property
    def run(self) -> str:
        return self.job.labels.get(NAME_LABEL, "")

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return _running_for(self.job)


def _running_for(job: Job) -> float:
    began = job.started_at or job.created_at
    return 0.0 if began is None else (datetime.now(UTC) - began).total_seconds()


@click.command("sweep")
@click.option(
    "--silent-for",
    type=click.FloatRange(0),
    default=300.0,
    metavar="SECONDS",
    help="That nobody was in touch with a job; default 300.",
)
@click.option(
    "--older-than",
    type=click.FloatRange(0),
    default=86400.0,
    metavar="SECONDS",
    help="Of files, that nobody has written one since; default 86400, a day.",
)
@click.option("--yes", is_flag=True, help="Cancel and delete without asking.")
@click.option("--json", "as_data", is_flag=True, help="For programs; asks nothing.")
@at_a_place
def command(place: Place, silent_for: float, older_than: float, yes: bool, as_data: bool) -> int:
    """Find what no client owns, and get rid of it: jobs that cost money, and files.

    Jobs of this token's owner that no client is in touch with are cancelled. Each is asked through
    its port. Those of runs that were detached on purpose are among them: to stop one run alone,
    `hfexecutor cancel` it. Jobs that do not answer are shown, and never cancelled.

    Files are deleted: of runs that have no job any more, in the bucket of large values; in that of
    results what is kept beyond 30 days and 4 GiB; on this machine, what killed processes have left.

    Shows what there is first; ends with 1 if some was found and is there still.
    """

    async def look(hub: HubClient) -> tuple[list[_Found], Owners]:
        jobs = await hub.list_jobs(OURS)
        return await _look(hub, place.token, jobs), await owners_of(hub, jobs)

    found, owners = place.ask(look)
    left = [one for one in found if one.silent is not None and one.silent >= silent_for]
    unknown = [one for one in found if one.silent is None]
    files = Files(place, owners, older_than)
    if not as_data:
        if left or unknown:
            show_table(_COLUMNS, [_row(one) for one in (*left, *unknown)])
        elif found:
            click.echo(f"somebody is in touch with all {len(found)} jobs that run")
        else:
            click.echo("no job of ours is running")
        files.show()
    jobs = [one.job.id for one in left]
    count = len(jobs) + len(files.found)
    agreed = count > 0 and (yes or (not as_data and _agreed(len(jobs), len(files.found))))
    if agreed:
        cancel_jobs(place, jobs)
        files.delete()
    if as_data:
        jobs_left = [_as_json(one, canceled=agreed and one in left) for one in (*left, *unknown)]
        show_json([*jobs_left, *files.as_json()])
    elif agreed:
        click.echo(_done(len(jobs), len(files.deleted)))
    return ExitCode.FAILED if count and not (agreed and files.all_deleted) else ExitCode.DONE


def _done(jobs: int, files: int) -> str:
    return ", ".join(
        f"{count} {how}" for count, how in ((jobs, "cancelled"), (files, "deleted")) if count
    )


def _agreed(jobs: int, files: int) -> bool:
    if not sys.stdin.isatty():
        what = "cancelled" if not files else "deleted" if not jobs else "cancelled or deleted"
        click.echo(f"nothing is {what} without --yes ({jobs + files} found)", err=True)
        return False
    asked = [f"cancel {jobs} that nobody is in touch with"] if jobs else []
    asked += [f"delete {files} of which nobody is there"] if files else []
    return click.confirm(f"{', and '.join(asked)}?", err=True)


async def _look(hub: HubClient, token: str, jobs: list[Job]) -> list[_Found]:
    jobs = [job for job in jobs if not job.finished]
    room = asyncio.Semaphore(_AT_ONCE)

    async def look(job: Job) -> _Found | None:
        async with room:
            if await hub.claim_of_run_problem(job, BOOT_COMMAND) is not None:
                return None
            return await _ask(hub, token, job)

    found = await asyncio.gather(*(look(job) for job in jobs))
    return [one for one in found if one is not None]


async def _ask(hub: HubClient, token: str, job: Job) -> _Found:
    """Ask a job for how long nobody was in touch with it."""
    if job.started_at is None:
        return _Found(job, None, "it has not begun")
    if not job.expose_urls:
        return _Found(job, None, "it has no port")
    seal = RunKeys(token, job.labels.get(RUN_LABEL, "")).seal(job.labels.get(LAUNCH_LABEL, ""))
    door = Door(job.expose_urls[0], job.id, port_of(job.expose_urls[0]) or 0)
    number = int(time.time() * 1000)
    message = frames.seal_message(seal, number, wire.pack([wire.Entry(wire.CONTACT, 0, 0, 1, b"")]))
    try:
        answer = await hub.knock(door, message, timeout=_PATIENCE)
        said = wire.unpack(frames.open_reply(seal, number, answer))
        (silent,) = [wire.unpack_ids(one.data) for one in said if one.kind == wire.CONTACT]
    except (DoorError, HubError, frames.FrameError, ValueError) as error:
        return _Found(job, None, " ".join(str(error).split()) or type(error).__name__)
    if silent:
        return _Found(job, silent[0] / 1000)
    return _Found(job, _running_for(job))  # ever since it began


def _row(one: _Found) -> list[str]:
    silent = "?" if one.silent is None else age(one.silent)
    return [one.job.id, one.run, one.job.flavor, age(one.seconds), silent, one.why]


def _as_json(one: _Found, *, canceled: bool) -> dict[str, object]:
    return {
        "kind": "job",
        "job": one.job.id,
        "url": one.job.url,
        "run": one.run,
        "flavor": one.job.flavor,
        "silent_seconds": one.silent,
        "why_unknown": one.why or None,
        "canceled": canceled,
    }

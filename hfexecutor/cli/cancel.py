"""`hfexecutor cancel`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from hfexecutor.cli.choosing import RUN, choose, full_name
from hfexecutor.cli.exit_codes import ExitCode
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.tables import show_json

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place
    from hfexecutor.hub.client import HubClient

__all__ = ["cancel_jobs"]


@click.command("cancel")
@RUN
@click.option("--json", "as_data", is_flag=True, help="For programs.")
@at_a_place
def command(place: Place, name: str, as_data: bool) -> int:
    """Stop all jobs of a run; running calls are lost, and what has ended stays in the logs.

    Does not ask: what runs costs money. A client that is still there sees its jobs lost and starts
    others: end it first.
    """
    run = choose(place, name)
    jobs = [job.id for job in run.jobs if job.running]
    cancel_jobs(place, jobs)
    if as_data:
        show_json({"name": run.name, "id": run.nonce, "canceled": jobs})
    elif jobs:
        click.echo(f"{full_name(run)}: {len(jobs)} of {len(run.jobs)} jobs cancelled")
    else:
        click.echo(f"{full_name(run)}: no job is running")
    return ExitCode.DONE


def cancel_jobs(place: Place, jobs: list[str]) -> None:
    """Make sure that these jobs run no longer.

    Raises:
        VerbError: The Hub refuses it, or cannot be reached.
    """

    async def cancel(hub: HubClient) -> None:
        await hub.resolve_namespace()
        await asyncio.gather(*(hub.cancel(job) for job in jobs))

    if jobs:
        place.ask(cancel)

"""`hfexecutor timeline`."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hfexecutor.cli.choosing import RUN, choose
from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.runs import read_all, tell_unread
from hfexecutor.cli.tables import show_json
from hfexecutor.timeline.logged import timeline_of_logs

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place


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
    timeline = timeline_of_logs(calls, time.time())
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
    tell_unread(calls)
    return ExitCode.DONE

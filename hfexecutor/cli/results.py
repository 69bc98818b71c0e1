"""`hfexecutor results`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hfexecutor.cli.choosing import RUN
from hfexecutor.cli.outcomes import attached_to, check_form, code_of, wait_for, write
from hfexecutor.cli.place import at_a_place

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place


@click.command("results")
@RUN
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="-",
    help="FILE.pkl: a dict of values, and of exceptions, by the number of the call. FILE.jsonl, or "
    "-, the default, for the standard output: a line of JSON for each call.",
)
@click.option("--wait", is_flag=True, help="For calls that run still; otherwise they are left out.")
@at_a_place
def command(place: Place, name: str, output: Path, wait: bool) -> int:
    """Write the results of a run whose process is gone.

    Ends with 1 if there is a call that has not ended well; what has ended is in the file even so.
    """
    check_form(output)
    with attached_to(place, name) as run:
        if wait:
            wait_for(run)
        count = write(run, output)
        if str(output) != "-":
            click.echo(f"{output}: outcomes of {count:,} calls", err=True)
        return code_of(run)

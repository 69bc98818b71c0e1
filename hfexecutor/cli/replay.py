"""`hfexecutor replay`."""

from __future__ import annotations

import random
from pathlib import Path

import click

from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.core.recording import replay


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> int:
    """Show what the core was told and what it says to that, step by step.

    A run is recorded where HFEXECUTOR_RECORD names a file. Ends with 1 if the core decides
    otherwise now than it did then.
    """
    differs = False
    try:
        with file.open(encoding="utf-8") as lines:
            for step in replay(lines, random.Random):
                click.echo(f"{step.now:.6f}")
                for event in step.events:
                    click.echo(f"    {event!r}")
                for said in step.commands:
                    click.echo(f"  > {said!r}")
                if step.differs:
                    differs = True
                    click.echo(f"  ! it said then: {', '.join(step.recorded) or 'nothing'}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerbError(f"{file} is no recording of a run: {error}", ExitCode.USAGE) from error
    return ExitCode.FAILED if differs else ExitCode.DONE

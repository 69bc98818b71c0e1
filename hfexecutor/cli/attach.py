"""`hfexecutor attach`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hfexecutor.cli.choosing import RUN
from hfexecutor.cli.outcomes import attached_to, code_of, show, wait_for
from hfexecutor.cli.place import at_a_place

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place


@click.command("attach")
@RUN
@at_a_place
def command(place: Place, name: str) -> int:
    """Go back to a run whose process is gone: wait for its calls, then show their results.

    From any machine with the same token; modules of the current directory are found when results
    are unpickled. Ctrl-C leaves the run as it is. Ends with 1 if a call has failed or was lost.
    """
    with attached_to(place, name) as run:
        wait_for(run)
        show(run)
        return code_of(run)

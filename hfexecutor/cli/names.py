"""Names of runs for a shell that completes them: at once, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

from hfexecutor.cli.exit_codes import VerbError
from hfexecutor.cli.place import find_place
from hfexecutor.labels import NAME_LABEL, OURS

if TYPE_CHECKING:
    import click

    from hfexecutor.hub.client import HubClient

__all__ = ["names_of_runs"]

_PATIENCE: Final = 2.0  # seconds: somebody has pressed TAB and waits


def names_of_runs(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the names that begin with `incomplete`; none if the Hub is slow, or refuses."""
    given = [ctx.params.get(name) for name in ("endpoint", "token", "namespace")]

    async def names(hub: HubClient) -> list[str]:
        return [job.labels.get(NAME_LABEL, "") for job in await hub.list_jobs(OURS)]

    try:
        found = find_place(*given).ask(names, _PATIENCE)
    except VerbError:
        return []
    return [CompletionItem(name) for name in dict.fromkeys(found) if name.startswith(incomplete)]

"""`hfexecutor doctor`."""

from __future__ import annotations

import asyncio
import dataclasses
import textwrap
from typing import TYPE_CHECKING

import click

from hfexecutor.cli.checks import checks
from hfexecutor.cli.exit_codes import ExitCode
from hfexecutor.cli.tables import show_json, terminal_width

if TYPE_CHECKING:
    from hfexecutor.cli.checks import Check

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.option("--endpoint", metavar="URL", help="The Hub. Default: as HubExecutor finds it.")
@click.option("--token", help="Others see it in the list of processes: better set HF_TOKEN.")
@click.option("--namespace", metavar="NAME", help="Who runs and pays. Default: the token's owner.")
@click.option("--json", "as_data", is_flag=True, help="For programs.")
def command(endpoint: str | None, token: str | None, namespace: str | None, as_data: bool) -> int:
    """Check what has to be right before a job is launched; it costs nothing.

    Versions, endpoint, whether the Hub answers, the clock, the token and its rights, who pays, the
    price list, jobs of ours that run, and how many requests are left. Ends with 1 if a check has
    failed.
    """

    async def look() -> list[Check]:
        found = []
        async for check in checks(endpoint, token, namespace):
            found.append(check)
            if not as_data:
                _show(check)
        return found

    found = asyncio.run(look())
    if as_data:
        show_json([dataclasses.asdict(check) for check in found])
    failed = any(check.verdict == "failed" for check in found)
    return ExitCode.FAILED if failed else ExitCode.DONE


def _show(check: Check) -> None:
    verdict = click.style(f"{check.verdict:<7}", fg=_COLORS[check.verdict])
    text = f"{check.found} {check.advice}".strip()
    width = terminal_width()
    if width is None:
        lines = [text]
    else:
        lines = textwrap.wrap(text, max(20, width - 21), break_on_hyphens=False)
    click.echo(f"{verdict}  {check.name:<9}  {lines[0]}")
    for line in lines[1:]:
        click.echo(f"{'':<20}{line}")

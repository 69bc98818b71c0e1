"""`hfexecutor doctor`."""

from __future__ import annotations

import asyncio
import dataclasses
import platform
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from hfexecutor import __version__
from hfexecutor.cli.checks import checks
from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.cli.measuring import JOBS, MINUTES, measure, most_dollars
from hfexecutor.cli.place import find_place
from hfexecutor.cli.tables import show_json, terminal_width

if TYPE_CHECKING:
    from hfexecutor.cli.checks import Check
    from hfexecutor.cli.measuring import Finding
    from hfexecutor.cli.place import Place
    from hfexecutor.hub.client import HubClient

_FLAVOR = "cpu-basic"  # the cheapest
_COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.option("--endpoint", metavar="URL", help="The Hub. Default: as HubExecutor finds it.")
@click.option("--token", help="Others see it in the list of processes: better set HF_TOKEN.")
@click.option("--namespace", metavar="NAME", help="Who runs and pays. Default: the token's owner.")
@click.option("--paid", is_flag=True, help="Then launch two jobs, and measure what only they show.")
@click.option("--yes", is_flag=True, help="With --paid: do not ask.")
@click.option(
    "--max-cost", default=0.05, metavar="DOLLARS", help="With --paid: $0.05 by default.",
    type=click.FloatRange(min=0),
)  # fmt: skip
@click.option("--json", "as_data", is_flag=True, help="For programs.")
def command(
    endpoint: str | None,
    token: str | None,
    namespace: str | None,
    *,
    paid: bool,
    yes: bool,
    max_cost: float,
    as_data: bool,
) -> int:
    """Check what has to be right before a job is launched; it costs nothing.

    Versions, endpoint, whether the Hub answers, the clock, the token and its rights, who pays, the
    price list, jobs of ours that run, and how many requests are left. Ends with 1 if a check has
    failed.

    With --paid it goes on, for a cent at the most: how late lists, stages and logs are, what a
    port does, which limits there are, how a job is ended. It is what the Hub's documents do not
    say: the text at the end is made to be reported. No job is left.
    """
    failed, found = _check(endpoint, token, namespace, as_data=as_data)
    if failed or not paid:
        if as_data:
            show_json(found)
        return ExitCode.FAILED if failed else ExitCode.DONE
    place = find_place(endpoint, token, namespace)
    most = place.ask(lambda hub: most_dollars(hub, _FLAVOR))
    _agree(most, max_cost, yes=yes)
    findings = place.ask(lambda hub: _measure(hub, as_data=as_data))
    if as_data:
        show_json([*found, *map(dataclasses.asdict, findings)])
    else:
        click.echo(_report(place, findings))
    whole = not any(one.name == "stopped early" for one in findings) and not findings[-1].value
    return ExitCode.DONE if whole else ExitCode.FAILED


def _check(
    endpoint: str | None, token: str | None, namespace: str | None, *, as_data: bool
) -> tuple[bool, list[dict[str, object]]]:
    """Check for nothing; say whether a check has failed, and what was found."""

    async def look() -> list[Check]:
        found = []
        async for check in checks(endpoint, token, namespace):
            found.append(check)
            if not as_data:
                _show(check)
        return found

    found = asyncio.run(look())
    failed = any(check.verdict == "failed" for check in found)
    return failed, [dataclasses.asdict(check) for check in found]


def _agree(most: float | None, max_cost: float, *, yes: bool) -> None:
    """Ask whether jobs may be launched.

    Raises:
        VerbError: They may not.
    """
    if most is None:
        raise VerbError(
            f"the Hub lists no price of {_FLAVOR}: nothing is launched", ExitCode.FAILED
        )
    if most > max_cost:
        raise VerbError(
            f"it may cost ${most:.4f}, and --max-cost is ${max_cost:.4f}: nothing is launched",
            ExitCode.USAGE,
        )
    if yes:
        return
    if not sys.stdin.isatty():
        raise VerbError("nobody can be asked here: --paid needs --yes", ExitCode.USAGE)
    question = (
        f"Launch {JOBS} jobs on {_FLAVOR}, which end within {MINUTES} minutes, for ${most:.4f} at "
        "the most?"
    )
    if not click.confirm(question, err=True):
        raise VerbError("nothing was launched", ExitCode.FAILED)


async def _measure(hub: HubClient, *, as_data: bool) -> list[Finding]:
    found = []
    async for finding in measure(hub, _FLAVOR):
        found.append(finding)
        if not as_data:
            click.echo(f"measured  {finding.name}: {finding.found}", err=True)
    return found


def _report(place: Place, findings: list[Finding]) -> str:
    """Return a block of text that says what was measured, and nothing of who has."""
    wide = max(len(one.name) for one in findings)
    head = f"hfexecutor {__version__} doctor --paid, Python {platform.python_version()}"
    rows = [f"  {one.name:<{wide}}  {one.found}" for one in findings]
    return "\n".join(["", f"{head}, {place.endpoint}, {_FLAVOR}", *rows])


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

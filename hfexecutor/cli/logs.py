"""`hfexecutor logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from hfexecutor.cli.choosing import RUN, choose, find_all
from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.cli.place import at_a_place
from hfexecutor.cli.runs import tell_unread
from hfexecutor.cli.tables import show_json
from hfexecutor.futures import Printed
from hfexecutor.logged_calls import RunCalls, follow_calls, read_calls

if TYPE_CHECKING:
    from hfexecutor.cli.place import Place
    from hfexecutor.hub.client import HubClient
    from hfexecutor.runs import Run

_OVER: Final = ("done", "failed", "lost")


class _Shown(Printed):
    """What a call prints, shown as it comes; a log that is replayed shows nothing twice."""

    __slots__ = ("_next", "_prefix")

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix
        self._next = 0

    def add(self, number: int, text: str) -> None:
        """Show a line, unless it was."""
        if number >= self._next:
            self._next = number + 1
            click.echo(self._prefix + text)


@click.command("logs")
@RUN
@click.argument("call", type=click.IntRange(1), required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run, or the call, is over.")
@click.option("--json", "as_data", is_flag=True, help="For programs; not with --follow.")
@at_a_place
def command(place: Place, name: str, call: int | None, follow: bool, as_data: bool) -> int:
    """Show what calls have printed: of the whole run, or of the CALL of that number.

    Lines of a whole run have their call's number in front. The Hub keeps about the last thousand
    lines of a job.
    """
    if follow and as_data:
        raise click.UsageError("--json is not for what goes on")
    run = choose(place, name)
    if follow:
        return _follow(place, run, call)
    calls = RunCalls(run, place.token)

    async def read(hub: HubClient) -> None:
        await hub.resolve_namespace()
        await read_calls(hub, calls)

    place.ask(read)
    texts = {number: seen.printed.text() for number, seen in sorted(calls.calls.items())}
    if call is not None:
        if call not in texts:
            raise VerbError(_no_call(run, call, calls), ExitCode.NO_RUN)
        texts = {call: texts[call]}
    if as_data:
        show_json([{"call": number, "text": text} for number, text in texts.items()])
    else:
        _show(texts, numbered=call is None)
    tell_unread(calls)
    return ExitCode.DONE


def _show(texts: dict[int, str], *, numbered: bool) -> None:
    for number, text in texts.items():
        if not numbered:
            click.echo(text, nl=False)
            continue
        for line in text.splitlines():
            click.echo(f"[{number}] {line}")


def _follow(place: Place, run: Run, call: int | None) -> int:
    calls = RunCalls(run, place.token, lambda number: _place_of(number, call))

    def refresh() -> Run:
        found = find_all(place, run.name)
        return next((one for one in found if one.nonce == run.nonce), calls.run)

    def is_over() -> bool:
        return call in calls.calls and calls.calls[call].state in _OVER

    async def read(hub: HubClient) -> None:
        await hub.resolve_namespace()
        await follow_calls(hub, calls, refresh, is_over)

    try:
        place.ask(read)
    except ExceptionGroup as several:  # of all logs that are read: nobody reads our lines, say
        raise several.exceptions[0] from None
    if call is not None and call not in calls.calls:
        raise VerbError(_no_call(run, call, calls), ExitCode.NO_RUN)
    return ExitCode.DONE


def _place_of(number: int, call: int | None) -> Printed:
    """Return the place for a call's lines: the screen if it is asked for."""
    if call is None:
        return _Shown(f"[{number}] ")
    return _Shown("") if number == call else Printed()


def _no_call(run: Run, call: int, calls: RunCalls) -> str:
    known = f"1 to {max(calls.calls)}" if calls.calls else "none"
    return f"run {run.name} has no call {call} by what its jobs tell; known are {known}"

"""Which run is meant by what was typed."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.cli.place import verb_error
from hfexecutor.cli.tables import age
from hfexecutor.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from hfexecutor.cli.place import Place
    from hfexecutor.runs import Run

__all__ = ["RUN", "age_of", "choose", "find_all", "full_name"]

Verb = TypeVar("Verb", bound="Callable[..., Any]")

_NEAREST: Final = 3
_SHOWN: Final = 6  # characters of what tells runs of one name apart


class _RunName(click.ParamType):  # type: ignore[type-arg]  # which it only is in newer versions
    """The name of a run; shells complete it by what the Hub says, if it says so at once."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return runs whose names begin with what was typed, the latest first."""
        del param
        from hfexecutor.cli.names import names_of_runs  # noqa: PLC0415 - loads the client

        return names_of_runs(ctx, incomplete)


RUN: Callable[[Verb], Verb] = click.argument("name", metavar="RUN", type=_RunName())
"""The argument of verbs that are about one run."""


def find_all(place: Place, name: str | None = None) -> list[Run]:
    """Return runs, the latest first: those of a name, or all.

    Raises:
        VerbError: The Hub refuses it, or cannot be reached.
    """
    from hfexecutor.runs import list_runs  # noqa: PLC0415 - loads the client

    try:
        return list_runs(name, **place.as_options)
    except HubError as error:
        raise verb_error(error) from error


def choose(place: Place, text: str) -> Run:
    """Return the run that is meant by ``NAME``, or ``NAME@`` and the start of what `runs` shows.

    Of several that have the name it is the one that is running, or else the latest.

    Raises:
        VerbError: There is none, or several of the name are running.
    """
    name, _, nonce = text.partition("@")
    found = [run for run in find_all(place, name) if run.nonce.startswith(nonce)]
    if not found:
        raise VerbError(_unknown(place, text), ExitCode.NO_RUN)
    running = [run for run in found if run.running]
    if len(running) > 1:
        which = "\n".join(f"  {full_name(run)}  {age_of(run)} old" for run in running)
        raise VerbError(
            f"{len(running)} runs of the name {name!r} are running; name one of\n{which}",
            ExitCode.SEVERAL_RUNS,
        )
    run = running[0] if running else found[0]
    if len(found) > 1:
        others = ", ".join(full_name(other) for other in found if other is not run)
        click.echo(f"this is {full_name(run)}, {age_of(run)} old; not meant: {others}", err=True)
    return run


def full_name(run: Run) -> str:
    """Return a name that no other run has."""
    return f"{run.name}@{run.nonce[:_SHOWN]}"


def age_of(run: Run) -> str:
    """Return how long ago a run began, in words."""
    if run.created is None:
        return "?"
    return age((datetime.now(UTC) - run.created).total_seconds())


def _unknown(place: Place, text: str) -> str:
    names = list(dict.fromkeys(run.name for run in find_all(place)))
    where = f"at {place.endpoint}" + (f" in {place.namespace}" if place.namespace else "")
    near = [name for name in names if name.startswith(text)][:_NEAREST]
    near = near or difflib.get_close_matches(text.partition("@")[0], names, _NEAREST)
    if near:
        hint = f"Did you mean {' or '.join(near)}? "
    elif names:
        hint = ""
    else:
        hint = "There are no runs of this token's owner there. "
    return f"there is no run {text!r} {where}. {hint}`hfexecutor runs` lists all"

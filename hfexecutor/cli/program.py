"""The command `hfexecutor`: its verbs, its exit codes, its completion in shells."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any, Final

import click

from hfexecutor.cli.exit_codes import ExitCode, VerbError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# With their help, so that neither `--help` nor a TAB in a shell has to load any of them.
_VERBS: Final = {
    "runs": "List runs: what they do, what they have done, what they cost.",
    "show": "Show a run: its jobs, and what became of its calls.",
    "attach": "Go back to a run: wait for its calls, then show their results.",
    "results": "Write the results of a run into a file.",
    "logs": "Show what the calls of a run have printed.",
    "timeline": "Draw a run: what its jobs did, and when; why it was slow.",
    "cancel": "Stop the jobs of a run.",
    "sweep": "Find jobs and files that no client owns; cancel and delete them.",
    "doctor": "Check token, rights, credits, clock, prices and the way to the Hub.",
    "hub": "Run an embedded Hub in the foreground: no account, no cost.",
    "replay": "Tell a recorded run to the core again, and show each decision.",
    "completion": "Print what makes a shell complete verbs, options and the names of runs.",
}


class Verbs(click.Group):
    """The verbs, each in a module of its name that is imported when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names, in the order of the help."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in _VERBS:
            near = difflib.get_close_matches(cmd_name, _VERBS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command {cmd_name!r}.{hint}", ctx)
        command: click.Command = importlib.import_module(f"hfexecutor.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing one."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the name of a verb without importing one."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for this alone

        found = [CompletionItem(name, help=words) for name, words in _VERBS.items()]
        verbs = [item for item in found if item.value.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from hfexecutor import __version__  # noqa: PLC0415 - not before it is asked for

        click.echo(f"hfexecutor {__version__}")
        ctx.exit()


@click.group(cls=Verbs, no_args_is_help=True, context_settings={"max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Print the version.",
)  # fmt: skip
def commands() -> None:
    """Run Python calls as Hugging Face Jobs.

    Runs are found by the labels of their jobs, from any machine whose token is the same. The Hub is
    the one that HubExecutor would take: see `hfexecutor doctor`.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; return the exit code, see :class:`ExitCode`."""
    try:
        code = commands.main(
            None if argv is None else list(argv), prog_name="hfexecutor", standalone_mode=False
        )
    except VerbError as error:
        error.show()
        return error.code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("hfexecutor: interrupted", err=True)
        return ExitCode.INTERRUPTED
    return int(code or 0)

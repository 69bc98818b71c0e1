"""`hfexecutor completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hfexecutor.cli.exit_codes import ExitCode


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the code that makes a shell complete what is typed after `hfexecutor`.

    \b
    In ~/.bashrc:                   eval "$(hfexecutor completion bash)"
    In ~/.zshrc:                    eval "$(hfexecutor completion zsh)"
    In ~/.config/fish/config.fish:  hfexecutor completion fish | source

    Names of runs are completed too, if the Hub answers within two seconds.
    """  # noqa: D301 - click takes that character for "as it stands"
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "hfexecutor", "_HFEXECUTOR_COMPLETE").source())
    return ExitCode.DONE

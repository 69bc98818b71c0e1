"""`hfexecutor hub`."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Literal

import click

from hfexecutor.cli.exit_codes import ExitCode, VerbError

if TYPE_CHECKING:
    from types import FrameType


@click.command("hub")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1; by default a free one."
)
@click.option(
    "--profile",
    type=click.Choice(["instant", "hub"]),
    default="instant",
    help="'hub' has the real Hub's delays and limits; the default, 'instant', has none.",
)
@click.option(
    "--expose-urls",
    type=click.Choice(["launch", "running"]),
    default="launch",
    help="When addresses of exposed ports are told: in the reply to the launch, the default, or "
    "once the job runs.",
)
def command(
    port: int, profile: Literal["instant", "hub"], expose_urls: Literal["launch", "running"]
) -> int:
    """Run an embedded Hub for Jobs in the foreground: no account, no network, no cost.

    Its jobs are processes of this machine. Ctrl-C ends the hub and its jobs.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        from hfexecutor.local import LocalHub  # noqa: PLC0415 - an extra

        with LocalHub(profile, port=port, expose_urls=expose_urls) as hub:
            click.echo(f"export HF_ENDPOINT={hub.endpoint}")
            click.echo(f"export HF_TOKEN={hub.token}")
            click.echo(f"# jobs and their logs: {hub.page}")
            click.echo("# Ctrl-C ends the hub and its jobs")
            stop.wait()
    except (ImportError, OSError, OverflowError) as error:
        raise VerbError(str(error), ExitCode.FAILED) from error
    return ExitCode.DONE

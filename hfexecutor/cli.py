"""The command line: `hfexecutor hub`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from hfexecutor import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    options = _parser().parse_args(argv)
    if options.version:
        _say(f"hfexecutor {__version__}")
        return 0
    if options.command is None:
        _parser().print_help()
        return 2
    return _hub(options)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hfexecutor", description="Run Python calls as Hugging Face Jobs."
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="command")
    hub = commands.add_parser(
        "hub",
        help="run an embedded Hub in the foreground",
        description="Run an embedded Hub for Jobs: no account, no network, no cost. "
        "Jobs are local processes.",
    )
    hub.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; default: a free one")
    hub.add_argument(
        "--profile",
        choices=("instant", "hub"),
        default="instant",
        help="'hub' has the real Hub's delays and limits; default: instant",
    )
    return parser


def _hub(options: argparse.Namespace) -> int:
    from hfexecutor.local import LocalHub  # noqa: PLC0415 - an extra

    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        with LocalHub(options.profile, port=options.port) as hub:
            _say(f"export HF_ENDPOINT={hub.endpoint}")
            _say(f"export HF_TOKEN={hub.token}")
            _say(f"# jobs and their logs: {hub.page}")
            _say("# Ctrl-C ends the hub and its jobs")
            stop.wait()
    except (ImportError, OSError, OverflowError) as error:
        sys.stderr.write(f"hfexecutor hub: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

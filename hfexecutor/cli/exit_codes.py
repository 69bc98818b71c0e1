"""What the exit codes of all verbs mean, and the errors that end with one."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, Any

import click

__all__ = ["ExitCode", "VerbError"]


class ExitCode(IntEnum):
    """What a shell is told; docs/command-line.md has the same table."""

    DONE = 0
    FAILED = 1  # what was asked about has failed: a call, a check, a comparison
    USAGE = 2  # as click has it
    NO_RUN = 3
    SEVERAL_RUNS = 4
    NO_RIGHTS = 5
    UNREACHABLE = 6
    REFUSED = 7
    INTERRUPTED = 130  # as shells have it for Ctrl-C


class VerbError(click.ClickException):
    """A verb cannot do what it was asked for; the message says what to do."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on the standard error."""
        click.echo(f"hfexecutor: {self.format_message()}", err=True, file=file)

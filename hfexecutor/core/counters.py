"""What the core counts while it works."""

from __future__ import annotations

__all__ = ["Counters"]


class Counters:
    """Plain sums.

    Attributes:
        cancelled: Calls that were cancelled before they began.
        retried: Times that a call was given to another job because its own was lost, or is to run
            again because of what it has raised.
        backups: Calls that were begun a second time while they ran.
        jobs: Jobs launched.
        messages: Messages to doors that were answered.
        seconds: Of all jobs that are over, from launch to end.
    """

    def __init__(self) -> None:
        self.cancelled = 0
        self.retried = 0
        self.backups = 0
        self.jobs = 0
        self.messages = 0
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<Counters {self.__dict__}>"

"""Whether jobs are launched with a port, or as one-shot jobs that take no calls later.

Where nobody can come to its port a job waits for calls until its `idle_timeout`, and that is paid
for. So ports are given up, for the rest of a run, once it has shown that they are of no use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfexecutor.core.rules import Limits, Rules

__all__ = ["Ports"]


class Ports:
    """What was seen of ports so far. What gives them up returns why, for the log.

    Attributes:
        given_up: Jobs get none any more.
        seen: A job with one was launched: it is not the port that the Hub refuses.
    """

    def __init__(self, limits: Limits, rules: Rules) -> None:
        self._rules = rules
        self.given_up = not limits.reuse_workers
        self.seen = False
        self._proven = False  # a door has answered
        self._shut = 0  # doors in a row that could not be used
        self._unused = 0  # jobs in a row that left before anybody came to their door

    def __repr__(self) -> str:
        return f"<Ports {'given up' if self.given_up else 'in use'}>"

    def answered(self) -> None:
        """A door has answered."""
        self._shut, self._unused, self._proven = 0, 0, True

    def shut(self, *, known: bool = False) -> str:
        """A door cannot be used: one of the first tells about all, a later one may be bad luck.

        `known`: The job itself has said why, as where another process has the port. That may be
        bad luck, too, and costs little: nobody looks for such a door.
        """
        self._shut += 1
        enough = self._rules.shut_doors if self._proven or known else 1
        if self.given_up or self._shut < enough:
            return ""
        self.given_up = True
        return "jobs cannot be reached through their port: going on with one-shot jobs"

    def unused(self) -> str:
        """A job has left before its door was of use: the next one may do the same, and be paid for.

        That is so where idle jobs leave sooner than the way to their door is known.
        """
        self._unused += 1
        if self.given_up or self._unused < self._rules.unused:
            return ""
        self.given_up = True
        return (
            f"{self._unused} jobs in a row left before their door could be used: going on with "
            "one-shot jobs (a longer idle_timeout would help)"
        )

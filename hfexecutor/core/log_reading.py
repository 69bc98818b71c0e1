"""The readings of one worker's log, one after the other, whatever the log does.

A log is read live and, when it ends, breaks off or stalls, read again from its start. What its end
means is not decided here but by the table in :mod:`~hfexecutor.core.stages`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hfexecutor.core.commands import ReadLog, StopLog

if TYPE_CHECKING:
    from hfexecutor.core.rules import Rules

__all__ = ["LogReading"]


class LogReading:
    """Which reading is open, and when the next one is.

    Attributes:
        is_open: A reading is under way.
        silent: The last one has ended, and the next one has not said a line yet.
        rereads: How often it was read again because something is missing.
        due: When it is to be read again, or its reading stopped.
        waits_for_stage: It is to be read again as soon as the job's stage changes, too.
    """

    def __init__(self, worker: str, rules: Rules) -> None:
        self._worker = worker
        self._rules = rules
        self._number = 0
        self._pause = rules.reopen[0]
        self.is_open = False
        self.silent = False
        self.rereads = 0
        self.due = math.inf
        self.waits_for_stage = False

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<LogReading {self._worker} {state}, number {self._number}>"

    @property
    def is_exhausted(self) -> bool:
        """Whether it was read again as often as patience allows."""
        return self.rereads >= len(self._rules.patience)

    def open(self, job: str) -> ReadLog:
        """Read it from its start."""
        self._number += 1
        self.is_open, self.due, self.waits_for_stage = True, math.inf, False
        return ReadLog(self._worker, job, self._number)

    def stop(self) -> list[StopLog]:
        """Stop the reading that is open; its end is told like any other."""
        self.due = math.inf
        return [StopLog(self._worker, self._number)] if self.is_open else []

    def limit(self, now: float) -> None:
        """The job is over: its log may go on for a while, and no longer."""
        if self.is_open:
            self.due = min(self.due, now + self._rules.log_grace)

    def ended(self, number: int, *, said: bool) -> bool:
        """Take the end of a reading; False if it is not the one that is open."""
        if not self.is_open or number != self._number:
            return False
        first, longest = self._rules.reopen
        # One that breaks off is opened at once; one that tells nothing new, as where the job has
        # ended and no list says so, costs a request each time.
        self._pause = first if said else min(2 * self._pause, longest)
        self.is_open, self.silent, self.due = False, True, math.inf
        return True

    def read_again(self, now: float) -> None:
        """Plan a reading because something is missing."""
        self.due = now + self._rules.patience[self.rereads]
        self.rereads += 1

    def skip(self) -> None:
        """Do without the reading that was planned: nothing that is missing could be in it."""
        self.due, self.silent = math.inf, True

    def follow(self, now: float, *, patient: bool) -> None:
        """Plan a reading because the job lives; with `patient`, only when its stage changes."""
        self.due = math.inf if patient else now + self._pause
        self.waits_for_stage = True

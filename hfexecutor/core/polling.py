"""When to ask the Hub for the stages of all jobs.

One list request answers for all of them. It is made at once when something has probably changed (a
log has ended, a door is wanted), soon while a job starts or ends, and seldom when all jobs run and
their logs are followed. One is made after the other: a Hub that is slow to answer is asked less.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfexecutor.core.rules import Rules

__all__ = ["Polling"]


class Polling:
    """The clock of the list request.

    Attributes:
        due: When it is to be made; infinity while one is under way, or none is wanted.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.due = math.inf
        self._wanted = math.inf  # while one is under way: when the next one is due
        self._asked = -math.inf
        self._under_way = False
        self._interval = rules.starting

    def nudge(self, now: float) -> None:
        """Ask at once, and soon again: something has probably changed."""
        self._interval = self._rules.quick
        self._bring_forward(max(now, self._asked + self._rules.quick))

    def leaves(self, now: float) -> None:
        """Ask in a moment: a job has said good-bye, and is about to end."""
        self._interval = self._rules.quick
        self._bring_forward(now + self._rules.quick)

    def left(self, now: float) -> None:
        """Ask at once, whenever that was done last: the log of a job that said good-bye has ended.

        That is once for each job, and who shuts down waits for nothing else.
        """
        self._interval = self._rules.quick
        self._bring_forward(now)

    def expect(self, now: float) -> None:
        """Ask before long: a job was launched."""
        self._interval = min(self._interval, self._rules.starting)
        self._bring_forward(now + self._rules.starting)

    def ask(self, now: float) -> None:
        """Note that a list is asked for now."""
        self._under_way, self._asked = True, now
        self.due = self._wanted = math.inf

    def answered(self, now: float, patience: float) -> None:
        """Plan the next one; no worker's stage may go unasked for longer than `patience`."""
        self._under_way = False
        rules = self._rules
        # Where all jobs run and are followed nothing is expected: seldom, without steps.
        pause = patience if patience >= rules.calm else min(self._interval, patience)
        self._interval = min(self._interval * rules.growth, rules.calm)
        self.due = min(now + pause, max(self._wanted, now))
        self._wanted = math.inf

    def failed(self, now: float) -> None:
        """Try again after a while."""
        self._under_way = False
        self.due, self._wanted = now + self._rules.relist, math.inf

    def restart(self, now: float) -> None:
        """Begin anew, and ask at once."""
        self.__init__(self._rules)  # type: ignore[misc]
        self.due = now

    def _bring_forward(self, moment: float) -> None:
        if self._under_way:
            self._wanted = min(self._wanted, moment)
        else:
            self.due = min(self.due, moment)

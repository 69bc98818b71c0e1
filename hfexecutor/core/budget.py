"""What the jobs of a run cost, and may cost.

The Hub bills a job by the minute: from the moment when it runs, each minute that it begins. When a
job began to run is known roughly: not before its launch was sent, and not before a list that showed
it waiting was asked for. Of two possible answers the dearer one counts, so what is reckoned here is
the most that can be billed.

With a limit each minute has to be granted before it begins. A job whose next minute is not granted
is ended while the present one lasts, so the limit is never passed by what is running, however many
jobs there are: every minute that has been granted counts as spent until its job is over.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hfexecutor.core.events import JobSeen
    from hfexecutor.core.rules import Rules

__all__ = ["Bill", "Budget", "Prices", "minutes_begun"]

MINUTE = 60.0
_REMEMBERED = 1000  # jobs that are over, each of which can be asked for


class Prices(NamedTuple):
    """Dollars an hour: of a job of one kind, and of its exposed port."""

    job: float
    door: float


def minutes_begun(seconds: float) -> int:
    """Return the minutes that are billed for a job that has run for so long."""
    return max(1, math.ceil(seconds / MINUTE))


class Bill:
    """The minutes of one job.

    Attributes:
        kind: What it is a job of.
        hourly: Dollars an hour, the port included.
        since: When it may have begun to run, at the earliest; infinity before its launch is sent.
        minutes: Those that were granted, with a limit; else 1.
        ending: No further minute was granted.
    """

    __slots__ = ("ending", "hourly", "kind", "minutes", "since")

    def __init__(self, kind: str, hourly: float) -> None:
        self.kind = kind
        self.hourly = hourly
        self.since = math.inf
        self.minutes = 1
        self.ending = False

    def __repr__(self) -> str:
        return f"<Bill {self.minutes} min at ${self.hourly:g}/h since {self.since:.1f}>"

    @property
    def paid_until(self) -> float:
        """When the last minute that was granted is over."""
        return self.since + self.minutes * MINUTE

    def minutes_at(self, now: float) -> int:
        """Return the minutes that it has begun."""
        if self.since > now:
            return 0
        return minutes_begun(now - self.since)

    def cost(self, minutes: int) -> float:
        """Return the dollars of so many minutes."""
        return minutes * self.hourly / 60


class Budget:
    """The bills of all jobs of a run, and the limit that they keep.

    Args:
        most: Dollars that may be spent in all; None without a limit.
        rules: How long before the end of a minute a job is ended.

    Attributes:
        prices: What a job of each kind costs, as far as the Hub says.
        unknown: A job was launched of which nobody knows the price.
        past: Dollars of the jobs that are over.
        over: The last of them, with their kind, minutes and dollars.
        due: When a minute may have to be granted next; infinity without a limit.

    >>> budget = Budget(0.01, Rules())
    >>> budget.prices["cpu-basic"] = Prices(job=0.54, door=0.0)
    >>> budget.affords("cpu-basic", door=False)
    1
    """

    def __init__(self, most: float | None, rules: Rules) -> None:
        self.most = math.inf if most is None else most
        self._ahead = rules.end_ahead
        self.prices: dict[str, Prices] = {}
        self.unknown = False
        self.past = 0.0
        self.over: deque[tuple[JobSeen, str, int, float]] = deque(maxlen=_REMEMBERED)
        self._bills: dict[str, Bill] = {}
        self._granted = 0.0  # dollars of the minutes granted to jobs that are not over
        self.due = math.inf

    def __repr__(self) -> str:
        return f"<Budget ${self.past:.4f} + ${self._granted:.4f} of ${self.most:g}>"

    def __iter__(self) -> Iterator[tuple[str, Bill]]:
        return iter(list(self._bills.items()))

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.most < math.inf

    @property
    def left(self) -> float:
        """Dollars that nothing was granted of; infinity without a limit."""
        # A millionth of a cent is no money: sums of fractions do not come out even.
        return self.most - self.past - self._granted + 1e-8

    def hourly(self, kind: str, *, door: bool) -> float:
        """Return what a job costs an hour, with or without an exposed port; 0 if nobody knows."""
        prices = self.prices.get(kind)
        return 0.0 if prices is None else prices.job + (prices.door if door else 0.0)

    def affords(self, kind: str, *, door: bool) -> float:
        """Return how many more jobs can be paid for, for a minute each; perhaps infinity."""
        minute = self.hourly(kind, door=door) / 60
        if not self.is_limited or not minute:
            return math.inf
        return max(0, math.floor(self.left / minute))

    # --- the life of a bill ------------------------------------------------------------------

    def open(self, worker: str, kind: str, *, door: bool) -> None:
        """A job is wanted: grant it its first minute."""
        bill = self._bills[worker] = Bill(kind, self.hourly(kind, door=door))
        self.unknown = self.unknown or kind not in self.prices
        self._granted += bill.cost(1)

    def sent(self, worker: str, now: float) -> None:
        """Its launch goes out: from now on it may run.

        One that is repeated changes nothing: it may have created a job the first time.
        """
        bill = self._bills[worker]
        bill.since = min(bill.since, now)
        if self.is_limited:
            self.due = min(self.due, bill.paid_until - self._ahead)

    def waits(self, worker: str, asked: float) -> None:
        """A list that was asked for at `asked` shows that it does not run yet."""
        bill = self._bills[worker]
        bill.since = max(bill.since, asked)

    def close(self, worker: str, now: float, job: JobSeen | None, *, began: bool = True) -> None:
        """It is over: what it can be billed is spent. What never `began` costs nothing."""
        bill = self._bills.pop(worker)
        self._granted -= bill.cost(bill.minutes)
        if not self._bills:
            self._granted = 0.0  # what fractions have left of it
        if job is not None:
            minutes = bill.minutes_at(now) if began else 0
            self.past += bill.cost(minutes)
            job = job._replace(aboard=())  # hundreds of numbers for each
            self.over.append((job, bill.kind, minutes, bill.cost(minutes)))

    def note_stray(self) -> None:
        """A job was cancelled that was no worker's: it is billed all the same.

        Its kind is not known, so it counts as one of the dearest.
        """
        self.past += max((self.hourly(kind, door=True) for kind in self.prices), default=0.0) / 60

    # --- minutes -----------------------------------------------------------------------------

    def expire(self, now: float, busy: Collection[str]) -> list[str]:
        """Grant the minutes that are about to begin, and return the jobs that get none.

        What is left is for those that are busy: an idle one goes on only if, for all it takes, all
        of them can have another minute as well.
        """
        if now < self.due:
            return []
        reserve = sum(self._bills[worker].cost(1) for worker in busy if worker in self._bills)
        ended = []
        # Busy ones first: what they take may be what an idle one would have had.
        for worker, bill in sorted(self._bills.items(), key=lambda item: item[0] not in busy):
            if bill.ending or bill.paid_until - self._ahead > now:
                continue
            minute = bill.cost(1)
            if self.left >= minute + (0.0 if worker in busy else reserve):
                bill.minutes += 1
                self._granted += minute
            else:
                bill.ending = True
                ended.append(worker)
        ends = (bill.paid_until for bill in self._bills.values() if not bill.ending)
        self.due = min(ends, default=math.inf) - self._ahead
        return ended

    # --- asked about it ----------------------------------------------------------------------

    def spent(self, now: float) -> float:
        """Return the most that can be billed for what has run until now, in dollars."""
        return self.past + sum(bill.cost(bill.minutes_at(now)) for _, bill in self)

    def rate(self, now: float) -> float:
        """Return the dollars an hour of what may run now."""
        return sum(bill.hourly for _, bill in self if bill.since <= now)

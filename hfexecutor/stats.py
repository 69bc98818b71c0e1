"""Figures for a person: what was done, and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfexecutor.hub.models import Hardware

__all__ = ["Counters", "Stats", "with_doors"]

_PER_SECOND = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_DOOR = 0.01 / 3600  # dollars a second for an exposed port; the Hub's price list does not have it


@dataclass(frozen=True, slots=True)
class Stats:
    """What an executor has done so far.

    Attributes:
        done: Calls that returned a value.
        failed: Calls that ended with an exception, their own or ours.
        cancelled: Calls that were cancelled before they began.
        retried: Times that a call was given to another job because its own was lost; also where it
            had not been delivered to that one yet, so it need not have run twice.
        pending: Calls whose future is not done.
        jobs_started: Jobs launched.
        jobs_running: Jobs that run now.
        requests: Requests to the Hub's API, launches included.
        messages: Messages to doors of jobs, which do not count towards the API's budget.
        seconds: Job seconds so far, all jobs together, from launch to end. The Hub bills from
            the moment a job runs, and by the minute.
        dollars: Estimate: `seconds` at the price of the Hub's list, and $0.01 an hour for the door
            of a job that has one. None when the list has no price for the flavor.
    """

    done: int
    failed: int
    cancelled: int
    retried: int
    pending: int
    jobs_started: int
    jobs_running: int
    requests: int
    messages: int
    seconds: float
    dollars: float | None


class Counters:
    """What a scheduler counts while it works."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.cancelled = 0
        self.retried = 0
        self.jobs = 0
        self.messages = 0
        self.seconds = 0.0
        self._dollars_per_second: float | None = None

    def price(self, hardware: Hardware | None) -> None:
        """Take the price of the flavor from the Hub's list."""
        unit = _PER_SECOND.get(hardware.unit_label) if hardware is not None else None
        if hardware is not None and unit is not None:
            self._dollars_per_second = hardware.unit_cost_micro_usd / 1e6 / unit

    def note(self, error: BaseException | None) -> None:
        """Count a call that is done."""
        if error is None:
            self.done += 1
        else:
            self.failed += 1

    def snapshot(
        self, *, pending: int, running: int, requests: int, running_seconds: float
    ) -> Stats:
        """Return the figures, with what only the scheduler knows added."""
        seconds = self.seconds + running_seconds
        price = self._dollars_per_second
        return Stats(
            done=self.done,
            failed=self.failed,
            cancelled=self.cancelled,
            retried=self.retried,
            pending=pending,
            jobs_started=self.jobs,
            jobs_running=running,
            requests=requests,
            messages=self.messages,
            seconds=round(seconds, 3),
            dollars=None if price is None else seconds * price,
        )


def with_doors(figures: Stats) -> Stats:
    """Return the figures with what the exposed port of each job costs on top."""
    if figures.dollars is None:
        return figures
    return replace(figures, dollars=figures.dollars + figures.seconds * _DOOR)

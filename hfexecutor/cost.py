"""What a run costs, for a person: :class:`Cost`."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfexecutor.runtime.runner import Runner

__all__ = ["Cost", "JobCost", "cost_of", "with_bills"]


@dataclass(frozen=True, slots=True)
class JobCost:
    """What one job has cost.

    Attributes:
        id: The Hub's id of the job.
        url: Its page.
        flavor: Its hardware.
        running: Whether it may run, and cost, still.
        minutes: Those that it has begun, from when it may have begun to run.
        dollars: The most that can be billed for them by the Hub's price list.
        billed: Dollars as the Hub's billing says; None if it was not asked, or does not know.
    """

    id: str
    url: str
    flavor: str
    running: bool
    minutes: int
    dollars: float
    billed: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What an executor's jobs have cost so far, by the Hub's price list.

    Attributes:
        dollars: The most that can be billed for all jobs; None if there are some and the Hub lists
            no price for them.
        hourly: Dollars an hour of the jobs that run now.
        max_cost: The limit that was set, None without.
        jobs: Each job, the latest last; of the jobs that are over only the last 1,000. `dollars`
            has all of them.
        billed: Dollars as the Hub's billing says, for those of `jobs` that it knows; None if it
            was not asked.
    """

    dollars: float | None
    hourly: float
    max_cost: float | None
    jobs: tuple[JobCost, ...]
    billed: float | None = None

    def __str__(self) -> str:
        if self.dollars is None:
            return "not known: the Hub lists no price for a flavor of these jobs"
        running = sum(job.running for job in self.jobs)
        text = f"${self.dollars:.4f} so far"
        if self.max_cost is not None:
            text += f" of ${self.max_cost:g}"
        if self.billed is not None:
            text += f" (${self.billed:.4f} by the Hub's bills)"
        if running:
            jobs = "1 job" if running == 1 else f"{running} jobs"
            text += f", and ${self.hourly:.2f} an hour for {jobs}"
        return text


def cost_of(runner: Runner) -> Cost:
    """Return what a runner's jobs have cost so far; may be called from any thread."""
    machine, now = runner.machine, time.monotonic()
    budget = machine.budget
    jobs = [
        JobCost(job.id, job.url, kind, running=False, minutes=minutes, dollars=dollars)
        for job, kind, minutes, dollars in list(budget.over)
    ]
    for worker_id, bill in budget:
        worker = machine.workers.get(worker_id)
        if worker is not None and (job := worker.job) is not None:
            minutes = bill.minutes_at(now)
            jobs.append(
                JobCost(
                    job.id,
                    job.url,
                    bill.kind,
                    running=True,
                    minutes=minutes,
                    dollars=bill.cost(minutes),
                )
            )
    return Cost(
        dollars=machine.dollars(now),
        hourly=budget.rate(now),
        max_cost=budget.most if budget.is_limited else None,
        jobs=tuple(jobs),
    )


def with_bills(cost: Cost, bills: Mapping[str, float]) -> Cost:
    """Return the same with what the Hub's billing says: dollars, by the ids of jobs."""
    jobs = tuple(dataclasses.replace(job, billed=bills.get(job.id)) for job in cost.jobs)
    known = sum(job.billed for job in jobs if job.billed is not None)
    return dataclasses.replace(cost, jobs=jobs, billed=known)

"""Figures for a person: what was done, and what it has cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfexecutor.progress.tally import Jobs
from hfexecutor.rich_display import job_links, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.rich_display import Part
    from hfexecutor.runtime.runner import Runner

__all__ = ["Stats", "describe", "describe_html", "jobs_of", "pages_of_jobs", "stats_of"]


@dataclass(frozen=True, slots=True)
class Stats:
    """What an executor has done so far.

    Attributes:
        done: Calls that returned a value.
        failed: Calls that ended with an exception, their own or ours.
        cancelled: Calls that were cancelled before they began.
        retried: Times that a call runs again: because it raised what `retry_on` names, or because
            its job was lost. There it need not have run twice, if it was not delivered yet.
        backups: Calls that were begun a second time while they ran, for `speculate`.
        pending: Calls whose future is not done.
        jobs_started: Jobs launched.
        jobs_running: Jobs that run now.
        requests: Requests to the Hub's API, launches included.
        messages: Messages to doors of jobs, which do not count towards the API's budget.
        seconds: Job seconds so far, all jobs together, from launch to end.
        dollars: The most that can be billed so far, as ``HubExecutor.cost`` has it for each job.
            None when the Hub's list has no price for the flavor.
    """

    done: int
    failed: int
    cancelled: int
    retried: int
    backups: int
    pending: int
    jobs_started: int
    jobs_running: int
    requests: int
    messages: int
    seconds: float
    dollars: float | None

    def _repr_html_(self) -> str:
        calls = [
            f"{number:,} {state}"
            for state, number in (
                ("done", self.done),
                ("failed", self.failed),
                ("cancelled", self.cancelled),
                ("retried", self.retried),
                ("backed up", self.backups),
                ("pending", self.pending),
            )
            if number or state == "done"
        ]
        rows = [
            ("calls", ", ".join(calls)),
            ("jobs", f"{self.jobs_started:,} started, {self.jobs_running:,} running"),
            ("job time", f"{self.seconds:,.1f} s"),
            ("cost", _dollars(self.dollars)),
            ("requests", f"{self.requests:,} to the Hub, {self.messages:,} messages to jobs"),
        ]
        return table("Stats", "", rows)


def stats_of(runner: Runner) -> Stats:
    """Return the figures of a runner so far; may be called from any thread."""
    machine, connection = runner.machine, runner.connection
    counters, now = machine.counters, time.monotonic()
    workers = [worker for worker in list(machine.workers.values()) if worker.job is not None]
    seconds = counters.seconds + sum(now - worker.launched_at for worker in workers)
    budget = machine.budget
    return Stats(
        done=runner.completer.done,
        failed=runner.completer.failed,
        cancelled=counters.cancelled,
        retried=counters.retried,
        backups=counters.backups,
        pending=len(machine.pending.open),
        jobs_started=counters.jobs,
        jobs_running=sum(worker.hello is not None for worker in workers),
        requests=connection.hub.requests if connection is not None else 0,
        messages=counters.messages,
        seconds=round(seconds, 3),
        dollars=None if budget.unknown or not budget.prices else budget.spent(now),
    )


def jobs_of(runner: Runner) -> Jobs:
    """Return the jobs of a runner at this moment; may be called from any thread."""
    machine = runner.machine
    workers = list(machine.workers.values())
    running = sum(worker.hello is not None for worker in workers)
    dollars = machine.dollars(time.monotonic()) if machine.counters.jobs else None
    waiting = (worker.job for worker in workers if worker.waits_for_hardware)
    why = next((job.message for job in waiting if job is not None and job.message), "")
    return Jobs(running, len(workers) - running, machine.counters.jobs, dollars, why)


def describe(runner: Runner, *, reuse_workers: bool) -> str:
    """Return what runs, waits and is done, for a repr; may be called from any thread."""
    parts = [
        *(f"{number} {_noun(number, 'job')} {state}" for number, state in _jobs(runner)),
        *(f"{number} {_noun(number, 'call')} {state}" for number, state in _calls(runner)),
        _mode(runner, reuse_workers=reuse_workers),
    ]
    return ", ".join(parts)


def describe_html(
    runner: Runner, *, title: str, detail: str, name: str, reuse_workers: bool
) -> str:
    """Return the same for a notebook, with the jobs' pages; may be called from any thread."""
    jobs = _states(_jobs(runner))
    dollars = jobs_of(runner).dollars
    rows: list[tuple[str, Part | Iterable[Part]]] = [
        ("run", name),
        ("jobs", jobs or "none now"),
        ("job pages", pages_of_jobs(runner)),
        ("calls", _states(_calls(runner)) or "none yet"),
        ("runs as", _mode(runner, reuse_workers=reuse_workers)),
        ("cost", "" if dollars is None else _dollars(dollars)),
    ]
    return table(title, detail, rows)


def pages_of_jobs(runner: Runner) -> list[Part]:
    """Return links to the pages of the jobs that there are now, the first of many."""
    workers = list(runner.machine.workers.values())
    return job_links((job.id, job.url) for worker in workers if (job := worker.job) is not None)


def _jobs(runner: Runner) -> list[tuple[int, str]]:
    workers = list(runner.machine.workers.values())
    up = sum(worker.hello is not None for worker in workers)
    return _known((up, "running"), (len(workers) - up, "scheduling"))


def _calls(runner: Runner) -> list[tuple[int, str]]:
    calls = list(runner.machine.pending.open.values())
    running = sum(call.claimed for call in calls)
    completer = runner.completer
    return _known(
        (running, "running"),
        (len(calls) - running, "waiting"),
        (completer.done, "done"),
        (completer.failed, "failed"),
    )


def _mode(runner: Runner, *, reuse_workers: bool) -> str:
    if not reuse_workers:
        return "one job per call"
    return "one-shot jobs" if runner.machine.one_shot else "warm workers"


def _known(*counts: tuple[int, str]) -> list[tuple[int, str]]:
    return [(number, state) for number, state in counts if number]


def _states(counts: list[tuple[int, str]]) -> str:
    return ", ".join(f"{number:,} {state}" for number, state in counts)


def _noun(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _dollars(dollars: float | None) -> str:
    return "not known" if dollars is None else f"${dollars:.4f} so far, at most"

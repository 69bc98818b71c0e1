"""Faults of jobs: what happens to one while it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from hfexecutor.local import faults
from hfexecutor.local.stages import End, Stage

from .writes import WRITE_FAULTS, FaultyWriter

if TYPE_CHECKING:
    from hfexecutor.local.logs import Log

    from .injector import Injector


class Target(Protocol):
    """What is asked of a job that faults strike."""

    number: int
    labels: dict[str, str]
    log: Log
    odd_stage: str | None

    def end(self, end: End) -> None:
        """Bring the job to an end."""

    def kill(self) -> None:
        """Kill what runs of it; that is no end if it is tried again."""


class JobFaults:
    """The faults that strike one job."""

    def __init__(self, job: Target, injector: Injector) -> None:
        self._job = job
        self._timers: list[asyncio.TimerHandle] = []
        self._coming = injector.strike(faults.JobFault, job.number, job.labels)
        self._spoiling = injector.strike(WRITE_FAULTS, job.number, job.labels)
        if any(isinstance(fault, faults.RawLineEnds) for fault in self._spoiling):
            job.log.escape = False
        self.retries = sum(isinstance(one, faults.KillJob) and one.retried for one in self._coming)

    def output(self) -> Log | FaultyWriter:
        """Return what takes an attempt's output."""
        return FaultyWriter(self._job.log, self._spoiling) if self._spoiling else self._job.log

    def forestall(self) -> bool:
        """Let those come that leave no time for anything to run; say whether there are any."""
        first = [one for one in self._coming if not (one.after or isinstance(one, faults.OddStage))]
        self._coming = [one for one in self._coming if one not in first]
        for one in first:
            self._strike(one)
        return bool(first)

    def begin(self) -> None:
        """Let the faults that await the job's start come, each once."""
        loop = asyncio.get_running_loop()
        coming, self._coming = self._coming, []
        self._timers += [loop.call_later(one.after, self._strike, one) for one in coming]

    def over(self) -> None:
        """Let nothing come any more."""
        for timer in self._timers:
            timer.cancel()

    def _strike(self, fault: faults.Fault) -> None:
        match fault:
            case faults.EndJob(stage=stage, message=message, cancel_reason=reason):
                self._job.end(End(Stage(stage), message, reason))
            case faults.OddStage(word=word):
                self._job.odd_stage = word
            case _:
                self._job.kill()

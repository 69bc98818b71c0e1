"""The faults of jobs at work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import faults
from .logfaults import WRITING, Scribbler
from .stages import End, Stage

if TYPE_CHECKING:
    from .jobs import Job
    from .logs import Log
    from .plan import Plan


class Mischief:
    """The faults that strike one job."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job = job
        self._timers: list[asyncio.TimerHandle] = []
        self._coming = plan.strike(faults.JobFault, job.number, job.labels)
        self._spoiling = plan.strike(WRITING, job.number, job.labels)
        if any(isinstance(fault, faults.RawLineEnds) for fault in self._spoiling):
            job.log.escape = False
        self.retries = sum(isinstance(one, faults.KillJob) and one.retried for one in self._coming)

    def output(self) -> Log | Scribbler:
        """Return what takes an attempt's output."""
        return Scribbler(self._job.log, self._spoiling) if self._spoiling else self._job.log

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
                if self._job.running:
                    self._job.running.kill()

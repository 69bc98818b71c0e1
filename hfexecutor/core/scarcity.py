"""Jobs that wait for their hardware: what is told of that, and when another kind is tried.

Hardware that is in demand may come late, or never. Where calls take another kind as well, a job
that stays in SCHEDULING for too long is cancelled. When the Hub has confirmed that, and that the
job never began, what it had aboard waits again, and the next job is one of the kind that comes next
in the list: so no two jobs are ever paid for the same calls, nor does one that is to begin only
once begin twice. If the job did begin in that moment, its calls are lost. The kind that did not
come is passed over for a while.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["Scarcity"]


class Scarcity:
    """Look after jobs that wait for hardware, each time that a list shows them."""

    def __init__(self, state: State, ends: Ends) -> None:
        self._state = state
        self._ends = ends
        self._tell_at: dict[str, float] = {}  # by kind: seconds of waiting that are told next
        self._said: dict[str, str] = {}  # by kind: the words of the Hub that were told last

    def look(self, asked: float) -> None:
        """Look at what a list has shown that was asked for at this time."""
        waiting: dict[str, list[Worker]] = defaultdict(list)
        for worker in list(self._state.workers.values()):
            if worker.waits_for_hardware and not self._pass_over(worker, asked):
                waiting[worker.kind].append(worker)
        for kind in self._tell_at.keys() - waiting.keys():
            del self._tell_at[kind]
        for kind, workers in waiting.items():
            self._tell(kind, workers, asked)

    def _pass_over(self, worker: Worker, asked: float) -> bool:
        """Cancel a job that has waited for too long, if another kind can be tried instead."""
        state, waited = self._state, asked - worker.launched_at
        if waited < self._patience(worker, waited):
            return False
        following = state.kinds.after(worker.kind, worker.asked_by, state.now)
        if following is None:
            return False
        state.kinds[worker.kind].passed_over_until = state.now + state.rules.passed_over
        text = f"{worker.describe()} got no {worker.kind} in {waited:.0f} s: trying "
        state.report(logging.INFO, text + following.name)
        self._ends.stop(worker, look=True)
        return True

    def _patience(self, worker: Worker, waited: float) -> float:
        """Return how long a job may wait: as long as the calls all allow that it would be for."""
        pending = self._state.pending
        least = pending.queue(worker.asked_by).scheduling_timeout
        if waited < least:  # also where those calls are over that would not have waited
            return least
        calls = (call for call in pending.open.values() if call.kinds == worker.asked_by)
        return min((call.options.scheduling_timeout for call in calls), default=math.inf)

    def _tell(self, kind: str, workers: list[Worker], asked: float) -> None:
        """Tell that jobs wait, now and then, and with each new word of the Hub."""
        first = min(workers, key=lambda worker: worker.launched_at)
        waited, job = asked - first.launched_at, first.job
        said = (job.message if job is not None else "") or self._said.get(kind, "")
        due = self._tell_at.get(kind, self._state.rules.tell_waiting)
        if waited < due and said == self._said.get(kind, ""):
            return
        self._said[kind] = said
        self._tell_at[kind] = max(due, 2 * waited)
        jobs = "1 job waits" if len(workers) == 1 else f"{len(workers)} jobs wait"
        words = f": {said}" if said else ""
        name = f"{kind} hardware" if kind else "hardware"
        self._state.report(logging.INFO, f"{jobs} for {name}, {waited:.0f} s so far{words}")

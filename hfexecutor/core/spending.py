"""Keep the limit of what jobs may cost.

:mod:`~hfexecutor.core.budget` reckons; here is what follows from it. Shortly before a minute of a
job is over the next is granted, or the job is ended: what it was running ends with it, and what it
had not begun goes back to the queue. When no job is left and none can be paid for, what waits ends
as well.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfexecutor.core import failures
from hfexecutor.core.ends import Verdict
from hfexecutor.core.launches import MINUTE

if TYPE_CHECKING:
    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker
    from hfexecutor.errors import CostLimitError

__all__ = ["Spending"]


class Spending:
    """Grant jobs their minutes, and end what cannot be paid."""

    def __init__(self, state: State, ends: Ends) -> None:
        self._state = state
        self._ends = ends

    def renew(self) -> None:
        """Grant the minutes that are about to begin; end the jobs for which nothing is left."""
        state = self._state
        busy = {worker.id for worker in state.workers.values() if worker.held}
        ended = state.budget.expire(state.now, busy)
        state.agenda.set(MINUTE, state.budget.due)
        for worker_id in ended:
            self._end(state.workers[worker_id])

    def _end(self, worker: Worker) -> None:
        """End a job whose next minute is not paid for."""
        state = self._state
        incomplete = worker.channel.outgoing.incomplete

        def judge(call: Call) -> Verdict:
            # What was handed over may begin before the job is cancelled, and nobody would know.
            return Verdict.UNTRIED if call.id in incomplete else Verdict.LOST

        text = f"{worker.describe()} is ended: max_cost pays for no other minute of it"
        state.report(logging.WARNING if worker.held else logging.INFO, text)
        for call in [call for call in worker.held.values() if call.claimed]:
            if self._ends.leave_to_twin(call):
                worker.drop(call.id)
                continue
            self._ends.fail(call, self._error(f"The call was running in {worker.describe()}."))
        error = self._error(f"The call was given to {worker.describe()}.")
        state.counters.retried += self._ends.empty(worker, judge, error)
        self._ends.stop(worker)

    def give_up(self) -> None:
        """End what waits if no job is left, and none can be launched for it."""
        state = self._state
        if state.workers:
            return
        for call in list(state.pending.open.values()):
            if not any(state.kinds[name].affordable for name in call.kinds):
                self._ends.fail(call, self._error("The call did not run."))

    def _error(self, where: str) -> CostLimitError:
        budget = self._state.budget
        return failures.limit_reached(budget.most, budget.spent(self._state.now), where)

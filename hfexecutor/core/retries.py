"""Calls that have raised and may run again: weighed outside, then kept waiting for their time.

Which exceptions a user wants to see retried, and after what pause, takes unpickling what a job has
sent, and running what the user has written. So the core asks for it, and is told: until then the
call is open as the next attempt of itself, which nobody holds.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core.agenda import Agenda
from hfexecutor.remote.outcomes import IN_BUCKET, VALUE

if TYPE_CHECKING:
    from hfexecutor.core import events as ev
    from hfexecutor.core.call import Call
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["AGAIN", "Retries"]

AGAIN = ("again",)  # on the agenda: the pause of a call is over
_EVER = math.nextafter(math.inf, 0.0)


class Retries:
    """Have calls run again, as their `retry` says."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._asked: dict[int, do.Completion] = {}  # how they ended otherwise, by the next id
        self._pauses = Agenda()

    def may_follow(self, call: Call, outcome: ev.Outcome) -> bool:
        """Whether another attempt may follow this outcome of a call that has a `retry`."""
        good = outcome.status in {VALUE, IN_BUCKET}
        return not good and call.retries_left > 0 and not call.killed

    def on_larger(self, call: Call, worker: Worker) -> bool:
        """Have a call run once more on a larger worker, if it is to; say whether it does."""
        state = self._state
        if not call.options.on_memory_error or call.killed:
            return False
        larger = state.kinds.larger(call.kinds, worker.kind)
        if not larger:
            return False
        again = call.on_larger(larger)
        state.pending.close(call.id)
        state.pending.delay(again)
        state.pending.release(again)
        state.counters.retried += 1
        text = f"call {call.number} was killed for memory on {worker.kind}, trying {larger[0]}"
        state.report(logging.INFO, f"{text}; {worker.describe()}")
        return True

    def rescue(self, worker: Worker) -> None:
        """Have what ran in a job that was ended for its memory run on larger ones, if it is to.

        Which of several calls has taken the memory nobody knows.
        """
        if not worker.ran_out_of_memory:
            return
        for call_id in sorted(worker.begun):
            call = worker.held.get(call_id)
            if call is not None and call.twin is None and self.on_larger(call, worker):
                worker.drop(call_id)

    def ask(self, call: Call, outcome: ev.Outcome, where: str, worker: str) -> None:
        """Ask whether a call is to run again, of which this is the outcome."""
        state = self._state
        again = call.next_attempt()
        state.pending.close(call.id)
        state.pending.delay(again)
        self._asked[again.id] = do.Completion(again, outcome, where, worker)
        state.do(do.WeighRetry(again, outcome, where, worker))

    def weighed(self, event: ev.RetryWeighed) -> None:
        """Have a call wait for its next attempt, or end with the outcome that it has."""
        state, completion = self._state, self._asked.pop(event.call)
        call = state.pending.open.get(event.call)
        if call is None:  # it was stopped meanwhile
            return
        if event.pause is None:
            state.pending.close(call.id)
            state.completions.append(completion)
            return
        state.counters.retried += 1
        self._pauses.set(call.id, state.now + event.pause)
        self.resume()

    def resume(self) -> None:
        """Queue the calls whose pause is over, or all if this process will not be there then."""
        state, pending = self._state, self._state.pending
        leaving = state.hand_over_by < math.inf
        for call_id in self._pauses.pop_due(_EVER if leaving else state.now):
            call = pending.open.get(call_id)  # type: ignore[call-overload] # they are ids
            if call is not None:
                pending.release(call)
        state.agenda.set(AGAIN, self._pauses.due)

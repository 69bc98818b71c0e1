"""How a run ends: workers leave, what may be left behind is looked for, and then it is over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hfexecutor.core.commands import Finish
from hfexecutor.core.failures import with_note
from hfexecutor.errors import BrokenHubExecutor, CallStoppedError

if TYPE_CHECKING:
    from hfexecutor.core import events as ev
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.state import State

__all__ = ["PART", "SWEEP", "Closing"]

PART = ("part",)  # on the agenda: workers have had their time to leave
SWEEP = ("sweep",)  # on the agenda: jobs were looked for long enough


class Closing:
    """The end of a run, as far as it has come.

    Attributes:
        aborted: Everything stops at once.
        detached: The jobs go on without this process, once they have what waits.
        sweeping: The workers are gone; jobs are looked for that may be left.
        finished: Nothing is left to do.
    """

    def __init__(self, state: State, ends: Ends) -> None:
        self._state = state
        self._ends = ends
        self._parting = False
        self._why: BrokenHubExecutor | CallStoppedError  # calls end with, once aborted
        self._swept: set[str] = set()  # jobs that lists may go on to show alive, though cancelled
        self.aborted = False
        self.detached: ev.Detached | None = None
        self.sweeping = False
        self.finished = False

    def closed(self, event: ev.Closed) -> None:
        """No more calls come."""
        self._state.closing = True
        if event.cancel:
            self._ends.cancel_pending()

    def detach(self, event: ev.Detached) -> None:
        """The jobs are to go on without this process."""
        state = self._state
        state.closing = True
        if self.detached is None:
            state.hand_over_by = state.now + state.rules.hand_over
        if self.detached is None or event.now:
            self.detached = event

    def let_go(self) -> None:
        """End here, once all is handed over; no job is told anything."""
        state, event = self._state, self.detached
        if event is None or not (event.now or self._is_handed_over()):
            return
        for call in list(state.pending.open.values()):
            self._ends.fail(call, with_note(event.error))
        for worker in list(state.workers.values()):
            self._ends.remove(worker)
        self.finish()

    def _is_handed_over(self) -> bool:
        workers = self._state.workers.values()
        pending = self._state.pending
        return not (pending.waiting or pending.held_back) and not any(
            worker.launch.is_open or worker.cancelling or worker.channel.is_delivering
            for worker in workers
            if worker.held
        )

    def abort(self, event: ev.Aborted) -> None:
        """Everything is to stop at once."""
        state = self._state
        state.closing = self.aborted = True
        kind = BrokenHubExecutor if event.broken else CallStoppedError
        self._why = kind(f"the call was stopped: {event.why}")
        self.stop_all()
        # From then on the cancels that were not answered are left to the last look.
        state.agenda.bring_forward(PART, state.now + state.rules.parting)

    def stop_all(self) -> None:
        """Stop what there is; also what was heard of since then, in the run of another process."""
        state, ends = self._state, self._ends
        ends.cancel_pending()
        for call in list(state.pending.open.values()):
            ends.fail(call, with_note(self._why))
        for worker in list(state.workers.values()):
            ends.stop(worker)

    def part(self) -> None:
        """Let the workers go; a Hub that does not answer holds nobody up for long."""
        state = self._state
        for worker in list(state.workers.values()):
            self._ends.dismiss(worker)
        if not state.workers and not self._ends.cancelling:
            self.end()
        elif not self._parting:
            self._parting = True
            seconds = state.rules.farewell + state.rules.parting
            state.agenda.bring_forward(PART, state.now + seconds)

    def end(self) -> None:
        """All workers are gone, or have had their time: see that no job is left behind."""
        state, ends = self._state, self._ends
        if self.sweeping or self.finished:
            return
        if not (ends.doubt or state.workers or ends.cancelling):  # a list would show nothing
            self.finish()
            return
        for worker in list(state.workers.values()):
            for call_id in list(worker.held):
                worker.drop(call_id)
            ends.remove(worker)
            worker.launch.drop()
        ends.past.clear()  # whatever is there now is to be cancelled
        self.sweeping = True
        state.agenda.set(SWEEP, state.now + state.rules.parting)
        state.polling.restart(state.now)

    def listed(self, event: ev.Listed) -> None:
        """Cancel every job of the run that is still there; look again while one may yet appear."""
        state, ends = self._state, self._ends
        for job in event.jobs:
            if not job.foreign and job.id not in self._swept:
                self._swept.add(job.id)
                ends.stop_stray(job)
        late = state.now < ends.sweep_until
        state.polling.answered(state.now, state.rules.starting if late else math.inf)
        if not late and not ends.cancelling:
            self.finish()

    def cancel_ended(self, event: ev.CancelEnded) -> None:
        """A job is cancelled, perhaps the last one."""
        self._ends.cancel_ended(event)
        if event.error is not None:
            self._swept.discard(event.job)  # once more, if there is time for it
        late = self._state.now < self._ends.sweep_until
        if self.sweeping and not late and not self._ends.cancelling:
            self.finish()

    def finish(self) -> None:
        """It is over."""
        self.finished = True
        self._state.do(Finish())

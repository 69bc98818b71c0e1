"""How workers end, and what becomes of the calls that they hold.

=============  ================================  ==============================================
way            when                              its calls
=============  ================================  ==============================================
dismiss        there is nothing left for it      it has none
stop           nobody wants what it does         lost, once its job is cancelled
lose           its job is over and owes          lost, unless they certainly never reached it
               outcomes
pass on        its job was never heard of        lost if it may have run all the same
=============  ================================  ==============================================

A call that is *lost* runs again, as long as its `max_retries` allow it; from then on it gets no
company, for it may be what ended its worker.
"""

from __future__ import annotations

import logging
import math
from enum import Enum
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import failures
from hfexecutor.core.channel import Door
from hfexecutor.core.launch import IN_DOUBT, LaunchState
from hfexecutor.core.stages import TERMINAL, phase_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hfexecutor.core import events as ev
    from hfexecutor.core.call import Call
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker
    from hfexecutor.errors import HubExecutorError

__all__ = ["Ends", "Verdict"]


class Verdict(Enum):
    """What a call has been through that its worker did not answer."""

    UNTRIED = "untried"  # it certainly never began: it runs elsewhere as if nothing had been
    BOUNCED = "bounced"  # the worker says so; believed a few times, not for ever
    LOST = "lost"  # it may have begun
    KILLED = "killed"  # it was to be stopped, and nobody can tell the worker


class Ends:
    """Ends of workers and of calls.

    Attributes:
        past: Jobs of ours that are nobody's any more, and since when.
        cancelling: Jobs whose cancel is under way.
        doubt: A job may exist that is no worker's.
        sweep_until: When it would show in a list, at the latest.
        reasons: Why calls have lost their worker, in the run of another process.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.past: dict[str, float] = {}
        self.cancelling: set[str] = set()
        self.doubt = False
        self.sweep_until = -math.inf
        self.reasons: dict[int, BaseException] = {}

    def __repr__(self) -> str:
        return f"<Ends {len(self.past)} past, {len(self.cancelling)} being cancelled>"

    # --- of calls ----------------------------------------------------------------------------

    def fail(self, call: Call, error: BaseException) -> None:
        """End a call without an outcome."""
        state = self._state
        if state.pending.close(call.id) is not None:
            self.stop_twin(call)
            if (worker := state.workers.get(call.worker)) is not None:
                worker.drop(call.id)
            state.do(do.Fail(call, error))

    def stop_twin(self, call: Call) -> None:
        """Stop the other attempt of a call that is over."""
        twin = call.twin
        if twin is not None:
            call.twin = twin.twin = None
            if self._state.pending.close(twin.id) is not None:
                self.release(twin)

    def leave_to_twin(self, call: Call, *, untried: bool = False) -> bool:
        """Forget an attempt that will not end, if another one is under way; say whether it is.

        One that is `untried` has not begun, and costs the other one none of its retries.
        """
        twin, pending = call.twin, self._state.pending
        if twin is None:
            return False
        call.twin = twin.twin = None
        twin.backups -= untried
        return twin.id in pending.open and pending.close(call.id) is not None

    def fail_all(self, error: BaseException) -> None:
        """End every open call with this error, and stop every job, but for those of others."""
        self._fail(list(self._state.pending.open.values()), error)
        for worker in [] if self._state.adopted else list(self._state.workers.values()):
            self.stop(worker)

    def fail_queue(self, kinds: tuple[str, ...], error: BaseException) -> None:
        """End every open call that asks for these kinds, and stop the jobs that were for them."""
        calls = self._state.pending.open.values()
        self._fail([call for call in calls if call.kinds == kinds], error)
        for worker in list(self._state.workers.values()):
            if worker.asked_by == kinds and not worker.held:
                self.stop(worker)

    def _fail(self, calls: Iterable[Call], error: BaseException) -> None:
        for call in calls:
            worker = self._state.workers.get(call.worker)
            where = ""
            if worker is not None and worker.job is not None:
                where = f"The call was in {worker.describe()}."
            self.fail(call, failures.with_note(error, where))

    def note_cancelled(self, call: Call) -> None:
        """A call is closed whose future was cancelled by its owner."""
        self._state.counters.cancelled += 1
        self._state.do(do.NotifyCancelled(call))

    def cancel_pending(self) -> None:
        """Cancel every call that has not begun."""
        state = self._state
        for call in [call for call in state.pending.open.values() if not call.claimed]:
            state.pending.close(call.id)
            state.counters.cancelled += 1
            state.do(do.CancelFuture(call))
            self.release(call)

    def release(self, call: Call, *, stop: bool = True) -> None:
        """A call that somebody may hold is not wanted any more; without `stop` it goes on there."""
        if (worker := self._state.workers.get(call.worker)) is None:
            return
        if stop:
            self.withdraw(worker, call)
        else:
            worker.drop(call.id)

    def withdraw(self, worker: Worker, call: Call) -> None:
        """Have a worker let go of a call, and stop the job that only this call needed.

        If the call has begun meanwhile it is killed, and what it says is dropped.
        """
        if worker.drop(call.id) is None:
            return
        self._state.touch(worker)
        if worker.hello is None and not worker.held:
            self.stop(worker)
        elif not worker.channel.outgoing.take_back(call.id):
            worker.channel.outgoing.kill([call.id])

    def requeue(self, worker: Worker, call_ids: Collection[int]) -> None:
        """Queue calls again that a worker gives back, or was never given."""
        if not call_ids:  # each answer to a message says which, and hardly one that there are any
            return
        calls = (worker.drop(call_id) for call_id in call_ids)
        self._queue_again(call for call in calls if call is not None)

    def _queue_again(self, calls: Iterable[Call]) -> None:
        again = []
        for call in calls:
            if self.leave_to_twin(call, untried=True):
                continue
            if call.killed:
                self.fail(call, failures.killed())
            else:
                again.append(call)
        self._state.pending.put_back(again)

    def empty(
        self,
        worker: Worker,
        judge: Callable[[Call], Verdict],
        error: HubExecutorError | None = None,
    ) -> int:
        """Take all calls from a worker: each runs again, or ends, as the verdict on it says.

        Args:
            worker: Who will not answer them.
            judge: Returns the verdict on a call, which the worker still holds then.
            error: What those end with that must not run again; None for one that says how often
                they were tried.

        Returns:
            How many run again.
        """
        again: list[Call] = []
        for call in list(worker.held.values()):
            verdict = judge(call)
            worker.drop(call.id)
            tried = verdict in {Verdict.LOST, Verdict.KILLED}
            if self.leave_to_twin(call, untried=not tried):
                continue
            call.lost += verdict is Verdict.LOST
            call.bounced += verdict is Verdict.BOUNCED
            if verdict is Verdict.KILLED:
                self.fail(call, failures.killed())
            elif self._state.adopted:  # another worker may know more
                call.lost = max(call.lost, 1)
                self.reasons[call.id] = error or failures.lost(worker, call)
                again.append(call)
            elif call.retries_left < 0:
                self.fail(call, error or failures.lost(worker, call))
            else:
                again.append(call)
        self._queue_again(again)
        return len(again)

    # --- of workers --------------------------------------------------------------------------

    def dismiss(self, worker: Worker) -> None:
        """Let an idle worker leave; cancel the job of one that cannot be told to."""
        if worker.is_closing:
            return
        state, door = self._state, worker.channel.door
        if worker.hello is None or door is Door.SHUT:
            self.stop(worker)
            return
        state.touch(worker)
        told_soon = door in {Door.ABSENT, Door.OPEN}
        patience = state.rules.farewell if told_soon else state.rules.unreached
        worker.leave_by = state.now + patience
        if door is not Door.ABSENT:  # one without leaves by itself
            worker.channel.outgoing.leave()
        if door is Door.AWAITED:
            state.polling.nudge(state.now)

    def stop(self, worker: Worker, *, look: bool = False) -> None:
        """Cancel a worker's job; while it is being launched, as soon as it exists.

        With `look`, find out whether a job that is not known to have begun ever did.
        """
        if worker.cancelling or worker.over:
            return
        worker.cancelling = True
        self._state.touch(worker)
        if worker.job is not None:
            self.cancel_job(worker, look=look)
        elif worker.launch.state not in IN_DOUBT:
            self.give_up_launch(worker)
        else:  # should it make two jobs, the answer tells of one alone
            self.doubt = True

    def retire(self, worker: Worker) -> None:
        """Stop a worker that can be given nothing more, if it has done what it had.

        What it holds otherwise was in a message of which nobody knows whether it was delivered:
        it runs elsewhere, unless that would be once too often. Then the job decides, as it goes on.
        """
        if worker.hello is None or worker.channel.door is not Door.SHUT:
            return  # one-shot jobs, whose door is absent, leave by themselves
        if worker.holds_only_killed:
            self.empty(worker, lambda _: Verdict.KILLED)
        if worker.holds_only_unsure and all(c.retries_left > 0 for c in worker.held.values()):
            self.stop(worker)

    def lose(self, worker: Worker) -> None:
        """A worker is over and owes outcomes.

        Whatever was on its way to it may have begun, and may be what killed it: nobody can tell
        for certain.
        """
        incomplete, state = worker.channel.outgoing.incomplete, self._state

        def judge(call: Call) -> Verdict:
            if call.id in incomplete or worker.never_began:
                return Verdict.UNTRIED
            if worker.owes_nothing and call.bounced < state.rules.bounced:
                return Verdict.BOUNCED
            return Verdict.LOST

        if (count := self.empty(worker, judge)) and not state.adopted and not worker.never_began:
            text = f"{worker.describe()} is lost, {count} calls run again"
            state.report(logging.WARNING, text)
            state.counters.retried += count
        self.remove(worker)

    def pass_on(self, worker: Worker, error: HubExecutorError | None, *, attempted: bool) -> None:
        """Have others run what a worker had aboard of which no word was heard.

        With `attempted` it may have run the calls all the same, and its words be lost: then those
        that must not run again end with `error`.
        """
        verdict = Verdict.LOST if attempted else Verdict.UNTRIED
        count = self.empty(worker, lambda _: verdict, error)
        self._state.counters.retried += count if attempted else 0
        self.remove(worker)

    def give_up_launch(self, worker: Worker) -> None:
        """Nobody wants this launch any more, and no request of it is under way."""
        unsent = worker.launch.state in {LaunchState.QUEUED, LaunchState.PAUSED}
        worker.launch.drop()
        if unsent:
            self._state.do(do.Withdraw(worker.id))
        self.pass_on(worker, None, attempted=worker.launch.doubtful)

    def remove(self, worker: Worker) -> None:
        """A worker is over, and what it held is taken care of."""
        if worker.over:
            return
        state, launch, job = self._state, worker.launch, worker.job
        worker.over = True
        del state.workers[worker.id]
        state.touched.pop(worker.id, None)
        state.agenda.drop(worker.id)
        if not state.adopted:  # who has launched it reckons what it costs
            state.budget.close(worker.id, state.now, job, began=not worker.never_began)
        if launch.doubtful or launch.state is LaunchState.POSTED:
            self.doubt = True
            since = launch.unclear_at if launch.doubtful else state.now
            self.sweep_until = max(self.sweep_until, since + state.rules.lag)
        if job is not None:
            state.counters.seconds += state.now - worker.launched_at
            self.past[job.id] = state.now
            left_unused = worker.bye is not None and worker.channel.door in _UNREACHED
            # At the end jobs are told to leave, whether or not anybody came.
            ours = not state.closing and not state.adopted
            if left_unused and ours and (why := state.ports.unused()):
                state.report(logging.WARNING, why)
        state.do(do.Forget(worker.id))

    # --- of jobs -----------------------------------------------------------------------------

    def cancel_job(self, worker: Worker, *, look: bool = False) -> None:
        """Have the job of a worker cancelled that is being stopped; for `look` see there."""
        assert worker.job is not None
        if worker.phase in TERMINAL:
            self.lose(worker)
        elif worker.job.id not in self.cancelling:
            worker.was_cancelled = True
            self.cancelling.add(worker.job.id)
            # What was aboard of a job that never began runs elsewhere as if nothing had been.
            look = (look or bool(worker.held)) and not worker.has_begun
            self._state.do(do.CancelJob(worker.job.id, look))

    def cancel_ended(self, event: ev.CancelEnded) -> None:
        """A job is cancelled, or nobody knows."""
        state = self._state
        self.cancelling.discard(event.job)
        if event.error is not None:
            self.doubt = True
            text = f"job {event.job} could not be cancelled: {event.error}"
            state.report(logging.WARNING, text)
        for worker in list(state.workers.values()):
            if worker.job is None or worker.job.id != event.job or not worker.cancelling:
                continue
            if event.error is not None and worker.held and self._is_whole(worker):
                # It runs what it holds, or will, whoever else does: so it keeps its calls, and what
                # it says counts, until a later cancel has worked.
                worker.cancelling = False
                state.touch(worker)
            else:
                worker.never_began = not event.began and not worker.has_spoken
                self.lose(worker)

    @staticmethod
    def _is_whole(worker: Worker) -> bool:
        """Whether a worker knows of all that it was given, and can be given more once it is up."""
        return not worker.was_started_again and worker.channel.door is not Door.SHUT

    def is_known(self, job_id: str) -> bool:
        """Whether a job that is no worker's is on its way out."""
        return job_id in self.past or job_id in self.cancelling

    def stop_stray(self, job: ev.JobSeen) -> None:
        """Cancel a job that is no worker's."""
        if phase_of(job.stage) not in TERMINAL and job.id not in self.cancelling:
            self.past[job.id] = self._state.now
            self._state.budget.note_stray()
            self.cancelling.add(job.id)
            self._state.do(do.CancelJob(job.id))

    def forget_past(self, alive: set[str]) -> None:
        """Keep in mind only jobs that lists may still show as alive."""
        horizon = self._state.now - self._state.rules.past
        self.past = {i: at for i, at in self.past.items() if i in alive or at > horizon}


_UNREACHED = frozenset({Door.AWAITED, Door.NEW})

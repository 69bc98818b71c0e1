"""The machine: events in, commands out. The only part of the core that anybody talks to.

The road of a call through it::

    Submitted ──> pending ──scheduling──> worker.held ──Post or Send──> the job
                                                                          │
    Complete <──────────── incoming <──Heard, Answered, Listened, Fetched─┘

One method may change anything: :meth:`Machine.handle`. It takes the events in their order, does
what is due, and then *settles*: brings calls and workers together, sends what is to be said, lets
go of who is not needed. Nothing re-enters: what follows from an event is settled once, after all of
them, and nothing of a user's runs meanwhile.

Its parts, each of which knows those above it, and none below::

    state       what they share               doors       opened, given up
    ends        of workers and their calls    tracking    stages and logs, and what they mean
    retries     of calls that raised          incoming    what jobs say
    storing     where there is no door        scarcity    of those that wait for hardware
    sharing     where there are many          scheduling  who gets what
    launches    from a wish to a job          speculation a second try beside the first
    adopting    another process's run         closing     the end of the run
    spending    no minute too much            probing     of the silent
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core import failures
from hfexecutor.core.adopting import Adopting
from hfexecutor.core.channel import Door
from hfexecutor.core.closing import PART, SWEEP, Closing
from hfexecutor.core.doors import Doors
from hfexecutor.core.ends import Ends
from hfexecutor.core.incoming import Incoming
from hfexecutor.core.launches import MINUTE, RETRY, Launches
from hfexecutor.core.placement import Placement
from hfexecutor.core.probing import PULSE, Probing
from hfexecutor.core.retries import AGAIN, Retries
from hfexecutor.core.scarcity import Scarcity
from hfexecutor.core.scheduling import Scheduling
from hfexecutor.core.sharing import Sharing
from hfexecutor.core.speculation import SPECULATE, Paces, Speculation
from hfexecutor.core.spending import Spending
from hfexecutor.core.state import State
from hfexecutor.core.storing import Storing
from hfexecutor.core.tracking import POLL, Tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from hfexecutor.core.call import Call
    from hfexecutor.core.rules import Limits, Rules
    from hfexecutor.core.worker import Worker
    from hfexecutor.errors import BrokenHubExecutor

__all__ = ["Machine"]


class Machine:
    """All state of a run, and all decisions about it.

    Args:
        limits: What the user wants.
        rules: Pauses and sizes.
        claim: Marks a call's future as running; False if it was cancelled before. The one question
            that the core asks instead of being told: a user may cancel in this very moment.
        rng: Chance, for names, ports and pauses.
        adopt: For the run of another process: returns a new call for a number. None, the default,
            for a run of its own.
        first: Then, the number of the first message to a door.

    Attributes:
        pending: The calls that are open.
        workers: Those that are not over, by id.
        counters: What was done so far.
        budget: What it costs, and may cost.
        adopting: The jobs and calls of another process, None for a run of its own.
    """

    def __init__(
        self,
        limits: Limits,
        rules: Rules,
        *,
        claim: Callable[[Call], bool],
        rng: Random,
        adopt: Callable[[int], Call] | None = None,
        first: int = 0,
    ) -> None:
        state = self._state = State(limits, rules, claim=claim, rng=rng)
        self.pending, self.workers, self.counters = state.pending, state.workers, state.counters
        self.budget = state.budget
        placement = Placement(limits, rules, state.kinds)
        ends = self._ends = Ends(state)
        retries = self._retries = Retries(state)
        paces = Paces()
        storing = Storing(state, ends)
        sharing = Sharing(state, storing)
        launches = Launches(state, ends, placement, storing=storing, sharing=sharing)
        doors = Doors(state, ends)
        tracking = self._tracking = Tracking(state, ends, launches, doors, retries)
        incoming = self._incoming = Incoming(
            state, ends, doors, tracking, retries=retries, paces=paces, storing=storing
        )
        self._scarcity = Scarcity(state, ends)
        probing = self._probing = Probing(state)
        spending = Spending(state, ends)
        scheduling = self._scheduling = Scheduling(
            state, ends, launches, spending, placement, storing=storing, sharing=sharing
        )
        speculation = Speculation(state, placement, paces)
        closing = self._closing = Closing(state, ends)
        self.adopting: Adopting | None = None
        if adopt is not None:
            state.adopted = True
            self.adopting = tracking.adopting = Adopting(state, ends, adopt, first=first)
            state.polling.restart(0.0)
            ends.doubt = True  # whoever stops it looks for its jobs once more: not all may be known
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.Submitted: self._submitted,
            ev.Cancelled: self._cancelled,
            ev.KillAsked: self._kill_asked,
            ev.Unshared: doors.unshared,
            ev.Unneeded: storing.unneeded,
            ev.Closed: closing.closed,
            ev.Aborted: closing.abort,
            ev.Detached: self._detached,
            ev.Connected: scheduling.connected,
            ev.ConnectFailed: scheduling.connect_failed,
            ev.Admitted: launches.admitted,
            ev.Launched: launches.launched,
            ev.LaunchFailed: launches.failed,
            ev.Looked: launches.looked,
            ev.Listed: self._listed,
            ev.ListFailed: self._list_failed,
            ev.Inspected: tracking.inspected,
            ev.CancelEnded: closing.cancel_ended,
            ev.Heard: incoming.heard,
            ev.LogEnded: tracking.log_ended,
            ev.Answered: incoming.answered,
            ev.Unanswered: doors.unanswered,
            ev.RangeKept: doors.range_kept,
            ev.RangeFailed: doors.range_failed,
            ev.RangeRefused: doors.range_refused,
            ev.Fetched: incoming.fetched,
            ev.FetchFailed: doors.fetch_failed,
            ev.FetchRefused: doors.fetch_refused,
            ev.Listened: incoming.listened,
            ev.ListenFailed: doors.listen_failed,
            ev.Broken: incoming.no_call_can_run,
            ev.RetryWeighed: retries.weighed,
            ev.Stored: storing.stored,
            ev.StoreFailed: sharing.store_failed,
            ev.Collected: storing.collected,
            ev.CollectFailed: storing.collect_failed,
            ev.EdgeFailed: self._edge_failed,
        }
        # What is due besides workers. Placing and polling are done when everything settles.
        self._due: dict[Any, Callable[[], None]] = {
            AGAIN: retries.resume,
            SPECULATE: speculation.look,
            MINUTE: spending.renew,
            PULSE: probing.pulse,
            RETRY: state.kinds.allow_more,
            PART: closing.end,
            SWEEP: closing.finish,
        }

    def __repr__(self) -> str:
        return f"<Machine {len(self.workers)} workers, {self.pending!r}>"

    @property
    def broken(self) -> BrokenHubExecutor | None:
        """Why no call can run any more, None if they can."""
        return self._incoming.broken

    @property
    def one_shot(self) -> bool:
        """Whether jobs take no calls later than at their launch."""
        return self._state.ports.given_up

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self._closing.finished

    @property
    def left_alone(self) -> bool:
        """Whether jobs go on without this process."""
        closing = self._closing
        detached = closing.detached is not None and not closing.aborted
        return detached or self.adopting is not None

    # --- the way in and out ------------------------------------------------------------------

    def handle(self, events: Iterable[ev.Event], now: float) -> list[do.Command]:
        """Take what has happened until `now`, and return what is to be done about it."""
        state = self._state
        state.now = now
        for event in events:
            self._handlers[type(event)](event)
        # After the events: an answer that has just come makes many a timer pointless.
        if now >= state.agenda.due:
            self._do_what_is_due()
        self._settle()
        commands, state.commands = state.commands, []
        return commands

    @property
    def due(self) -> float:
        """When :meth:`handle` wants to be called even if nothing has happened."""
        return self._state.agenda.due

    def _do_what_is_due(self) -> None:
        for key in self._state.agenda.pop_due(self._state.now):
            if isinstance(key, str):
                if (worker := self.workers.get(key)) is not None:
                    self._worker_due(worker)
            elif (act := self._due.get(key)) is not None:
                act()

    def _settle(self) -> None:
        """Follow up on what has changed, once."""
        state, closing = self._state, self._closing
        if not closing.finished:
            self._bring_together()
        if closing.finished:
            self._fall_silent()
            return
        # What is planned is compared here, for in most turns hardly any of it changes.
        now, planned, polling = state.now, state.agenda.moments, state.polling
        if polling.due != planned.get(POLL, math.inf) or now >= polling.due:
            # At the end no worker is known, nor when somebody has just attached: jobs may be there.
            unseen = self.adopting is not None and not self.adopting.listed
            self._tracking.poll(anyway=closing.sweeping or unseen)
        # Where no call is open nobody owes anything, so silence would mean nothing.
        if state.pending.open and (PULSE not in planned or state.pending.may_speculate):
            self._plan_looks()
        for worker in state.touched.values():
            if not worker.over:
                self._follow_up(worker)
        state.touched.clear()
        if state.completions:
            self._tell_outcomes()

    def _follow_up(self, worker: Worker) -> None:
        """Follow up on what has changed of a worker."""
        state = self._state
        # Before its HELLO nothing runs there: all that it has aboard can still be cancelled.
        if worker.ahead and worker.hello is not None:
            for call in worker.begin_calls(state.claim):
                self._drop_cancelled(worker, call)
        state.commands += worker.send(state.now)
        if (due := worker.due) != state.agenda.moments.get(worker.id, math.inf):
            state.agenda.set(worker.id, due)

    def _plan_looks(self) -> None:
        """Plan to look after silent workers, and for calls that take too long."""
        state = self._state
        state.agenda.bring_forward(PULSE, state.now + state.rules.pulse)
        if state.pending.may_speculate:
            state.agenda.bring_forward(SPECULATE, state.now + state.rules.speculate_every)

    def _fall_silent(self) -> None:
        """The edges are being taken down; who waits for a future is to be told all the same."""
        state = self._state
        state.commands = [c for c in state.commands if type(c) in _EVEN_THEN]
        if state.completions:
            self._tell_outcomes()

    def _bring_together(self) -> None:
        """Bring calls and workers together, or part them."""
        state, closing = self._state, self._closing
        if self.adopting is not None:
            self.adopting.settle()
            if closing.aborted:
                closing.stop_all()
        elif state.pending.open and not closing.aborted:
            self._scheduling.place(self._incoming.broken)
        if closing.detached is not None and not closing.aborted:
            closing.let_go()
        # Not before: a call that comes back needs a worker, and a new one would be a cold start.
        elif state.closing and not state.pending.open:
            closing.part()

    def _tell_outcomes(self) -> None:
        """Tell of them first, for who waits for one should not wait for anything else."""
        state = self._state
        state.commands.insert(0, do.Complete(tuple(state.completions)))
        state.completions = []

    # --- the user says -----------------------------------------------------------------------

    def _submitted(self, event: ev.Submitted) -> None:
        if self.pending.enter(event.calls):
            for worker in self.workers.values():
                worker.forget_age()
                self._state.touch(worker)
        self._scheduling.submitted(event.calls)

    def _cancelled(self, event: ev.Cancelled) -> None:
        call = self.pending.close(event.call)
        if call is not None:  # else its outcome was quicker, or we knew: see _drop_cancelled
            self._ends.note_cancelled(call)
            self._ends.release(call)

    def _drop_cancelled(self, worker: Worker, call: Call) -> None:
        """A call was cancelled before it began, and its owner's word for it is not here yet."""
        if self.pending.close(call.id) is not None:
            self._ends.note_cancelled(call)
        self._ends.withdraw(worker, call)

    def _kill_asked(self, event: ev.KillAsked) -> None:
        """Stop a running call: its child process through the door, else its job.

        One that nobody runs just now ends at once; one that cannot be reached, when it can.
        """
        for call in self.pending.of(event.call):
            if call.id in self.pending.open:  # else it has ended with its twin
                self._kill(call)

    def _kill(self, call: Call) -> None:
        call.killed = True
        worker = self.workers.get(call.worker)
        if worker is None:  # it ran, was lost or has raised, and now it waits to run again
            self._ends.fail(call, failures.killed())
            return
        self._state.touch(worker)
        if worker.channel.outgoing.take_back(call.id):
            self._ends.fail(call, failures.killed())
        elif worker.takes_orders:  # how it ends its worker will say: it may have ended already
            worker.channel.outgoing.kill([call.id])
        elif len(worker.held) == 1:  # nothing can be said there, and nobody else would be hit
            self._ends.fail(call, failures.killed())
            self._ends.stop(worker)
        elif worker.channel.door is Door.AWAITED:
            worker.channel.outgoing.kill([call.id])  # as soon as it can be told
        # Else others' calls run there behind a door that is shut: when only calls are left that are
        # to be killed, Ends.retire stops the job.

    def _detached(self, event: ev.Detached) -> None:
        self._closing.detach(event)
        self._retries.resume()  # who runs them next should have them while we can say so

    # --- the Hub says ------------------------------------------------------------------------

    def _listed(self, event: ev.Listed) -> None:
        if self._closing.sweeping:
            self._closing.listed(event)
        else:
            self._tracking.listed(event)
            if self.adopting is None:
                self._scarcity.look(event.asked)

    def _list_failed(self, event: ev.ListFailed) -> None:
        if self._closing.sweeping:  # who waits for the end has waited for the Hub long enough
            self._closing.finish()
        else:
            self._tracking.list_failed(event)

    # --- it is time --------------------------------------------------------------------------

    def _worker_due(self, worker: Worker) -> None:
        """Do what is due about one worker."""
        state, now = self._state, self._state.now
        state.touch(worker)
        if now >= worker.launch.due:
            state.commands += worker.launch.tick(now)
        if now >= worker.channel.due:
            state.commands += worker.channel.tick(now)
        if now >= worker.judge_at:
            self._probing.judge(worker)
        if now >= worker.log.due:
            if worker.log.is_open:  # what follows is decided when its end is told
                state.commands += worker.log.stop()
            else:
                self._tracking.read_on(worker)
        if now >= worker.ages_at:  # what follows is decided when calls and workers are parted
            worker.retiring = True
            text = f"{worker.describe()} is close to its timeout: it gets no more calls"
            state.report(logging.INFO, text)
        if not worker.over and now >= worker.leave_by:
            worker.leave_by = math.inf
            text = f"{worker.describe()} did not leave when told to, cancelling it"
            state.report(logging.WARNING, text)
            self._ends.stop(worker)

    def _edge_failed(self, event: ev.EdgeFailed) -> None:
        """Something of ours is broken: nobody should wait for what will not come."""
        self._ends.doubt = True
        self._ends.fail_all(event.error)
        worker = self.workers.get(event.worker)
        if worker is not None and worker.job is None:
            self._ends.remove(worker)  # first: a request that was under way may have made a job
            worker.launch.drop()

    # --- asked about it ----------------------------------------------------------------------

    def dollars(self, now: float) -> float | None:
        """Return the most that can be billed until now; None if jobs were launched at no price."""
        return None if self.budget.unknown else self.budget.spent(now)

    @property
    def past_jobs(self) -> frozenset[str]:
        """Ids of jobs that were ours, and are kept in mind for late lists."""
        return frozenset(self._ends.past)

    @property
    def cancelling_jobs(self) -> frozenset[str]:
        """Ids of jobs whose cancel is under way."""
        return frozenset(self._ends.cancelling)

    def check(self) -> None:
        """Raise AssertionError unless the state makes sense; for tests and the simulation."""
        held = 0
        for worker in self.workers.values():
            assert not worker.over, worker
            assert worker.ages_at == worker.reckon_age(), worker
            for call in worker.held.values():
                assert call.worker == worker.id, (call, worker)
                assert call.id in self.pending.open, call
                held += 1
        idle = [call for call in self.pending.open.values() if not call.worker]
        queued = sum(not call.delayed for call in idle)
        assert queued == self.pending.waiting, (queued, self.pending)
        assert held + len(idle) == len(self.pending.open), (held, idle, self.pending)
        if self.finished:
            assert not self.pending.open, self.pending


_EVEN_THEN = frozenset(
    {do.Complete, do.Fail, do.CancelFuture, do.NotifyCancelled, do.Report, do.Forget, do.Finish}
)

"""Bring calls and workers together: do what :mod:`~hfexecutor.core.placement` decides."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core.budget import Prices
from hfexecutor.core.channel import Door
from hfexecutor.core.placement import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core import events as ev
    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.launches import Launches
    from hfexecutor.core.placement import Placement
    from hfexecutor.core.spending import Spending
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker
    from hfexecutor.errors import HubExecutorError

__all__ = ["PLACE", "Scheduling"]

PLACE = ("place",)  # on the agenda: time to bring calls and workers together


class Scheduling:
    """Hand calls out, start jobs for them, take calls back; after the Hub was asked who we are."""

    def __init__(
        self,
        state: State,
        ends: Ends,
        launches: Launches,
        spending: Spending,
        placement: Placement,
    ) -> None:
        self._state = state
        self._ends = ends
        self._launches = launches
        self._spending = spending
        self._placement = placement
        self._connected = False
        self._connecting = False
        self._unreachable: HubExecutorError | None = None  # for good
        self._place_at = -math.inf

    def connected(self, event: ev.Connected) -> None:
        """Token, namespace and flavor are good."""
        self._connecting, self._connected = False, True
        self._placement.machine_slots = max(1, event.slots)
        if event.hourly is not None:
            self._state.budget.prices = Prices(event.hourly, event.door_hourly)

    def connect_failed(self, event: ev.ConnectFailed) -> None:
        """They are not, or nobody could be asked."""
        self._connecting = False
        if event.for_good:
            self._unreachable = event.error
        self._ends.fail_all(event.error)

    def place(self, broken: HubExecutorError | None) -> None:
        """Bring calls and workers together, unless no call can run."""
        state, pending = self._state, self._state.pending
        if pending.waiting and (why := self._unreachable or broken) is not None:
            self._ends.fail_all(why)
            return
        if not self._connected:
            if pending.waiting and not self._connecting:
                self._connecting = True
                state.do(do.Connect())
            return
        if state.now < self._place_at:  # it looks at every worker: with many, not at every event
            state.agenda.bring_forward(PLACE, self._place_at)
            return
        self._place_at = state.now + state.rules.deal * len(state.workers)
        self._placement.affordable = state.budget.affords(door=not state.ports.given_up)
        fleet = Fleet(state.workers.values(), state.now)
        if state.hand_over_by < math.inf:
            self._hand_over(fleet)
        self._replace(worker for worker in fleet.live if worker.aged)
        while pending.waiting and self._hand_out(fleet):
            pass
        # Who is there first, and only for what is left another job.
        for worker in fleet.live:
            self._ends.retire(worker)
        if pending.waiting:
            self._start_workers(Fleet(state.workers.values(), state.now))
            self._spending.give_up()
        if state.hand_over_by == math.inf:
            self._recall(fleet)

    def _hand_over(self, fleet: Fleet) -> None:
        """Give everything that waits to whoever takes calls, in equal shares: nobody will later.

        Those that are about to come up get theirs, too, unless it takes them too long.
        """
        state = self._state
        coming = any(w.hello is None or w.channel.door is Door.AWAITED for w in fleet.live)
        if coming and state.now < state.hand_over_by:
            state.agenda.bring_forward(PLACE, state.hand_over_by)
            return
        takers = [worker for worker in fleet.live if worker.takes_calls]
        for left, worker in zip(range(len(takers), 0, -1), takers, strict=True):
            self._give(worker, -(-self._state.pending.waiting // left))

    def _give(self, worker: Worker, count: int) -> bool:
        """Give so many queued calls to a worker; say whether there were any."""
        state = self._state
        calls = state.pending.dequeue(count, math.inf)
        if calls:
            self._give_these(worker, calls)
        return bool(calls)

    def _give_these(self, worker: Worker, calls: list[Call]) -> None:
        assert worker.job is not None
        self._state.touch(worker)
        worker.give(calls, self._state.now)
        self._state.do(do.Started(tuple(calls), worker.job))

    def _hand_out(self, fleet: Fleet) -> bool:
        """Give queued calls to the workers that are there; say whether more can be tried.

        That is where one was taken alone because it may have killed a worker.
        """
        pending = self._state.pending
        risky, gave = pending.is_risky, False
        for worker, count in self._placement.hand_out(pending, fleet):
            if not risky and pending.is_risky:
                break  # the others' shares were reckoned for calls that may have company
            calls = pending.dequeue(count, math.inf)
            gave = gave or bool(calls)
            if pending.attempts:
                calls = self._give_elsewhere(worker, calls, fleet)
            if calls:
                self._give_these(worker, calls)
        return gave and (risky or pending.is_risky)

    def _give_elsewhere(self, worker: Worker, calls: list[Call], fleet: Fleet) -> list[Call]:
        """Give those that have raised in this very worker to others, if any has room for them.

        Return what is left for it.
        """
        left = []
        for call in calls:
            other = None
            if call.avoid == worker.id:
                other = self._placement.other_than(worker, fleet, risk=call.lost > 0)
            if other is None:
                left.append(call)
            else:
                self._give_these(other, [call])
        return left

    def _start_workers(self, fleet: Fleet) -> None:
        state, placement = self._state, self._placement
        for slots in list(placement.jobs_to_start(state.pending, fleet)):
            self._launches.start(slots)
        if state.pending.waiting and placement.room(state.live) > 0:
            state.agenda.bring_forward(PLACE, state.now + state.rules.stall)

    def _replace(self, aged: Iterable[Worker]) -> None:
        """Part with workers that are close to their timeout: they end what they run, and leave.

        Only then others are started, for more calls at once than were asked for may not run.
        """
        for worker in aged:
            if not worker.held:
                self._ends.dismiss(worker)
            elif not worker.recalling and worker.in_vain < self._state.rules.in_vain:
                self._take_back(worker, worker.not_begun())

    def _take_back(self, worker: Worker, ids: list[int]) -> bool:
        """Take calls back from a worker; say whether it has to be asked for some of them."""
        self._state.touch(worker)
        unsent = [i for i in ids if worker.channel.outgoing.take_back(i)]
        self._ends.requeue(worker, unsent)
        sent = [i for i in ids if i in worker.held]
        if sent:
            worker.recalling = True
            worker.channel.outgoing.recall(sent)
        return bool(sent)

    def _recall(self, fleet: Fleet) -> None:
        """Get back what would be better off elsewhere, or where it can be cancelled."""
        state = self._state
        for worker, calls in self._placement.recalls(fleet):
            if not self._take_back(worker, worker.to_recall(calls)):
                # They may go to somebody else at once.
                state.agenda.bring_forward(PLACE, state.now)
        if not state.pending.waiting:  # else the idle slots have calls of their own coming
            for worker in self._placement.stuck(fleet):
                text = f"{worker.describe()} does not begin: others run its calls"
                state.report(logging.INFO, text)
                self._ends.stop(worker)
        if self._placement.again < math.inf:
            state.agenda.bring_forward(PLACE, self._placement.again)

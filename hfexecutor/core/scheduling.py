"""Bring calls and workers together: do what :mod:`~hfexecutor.core.placement` decides."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import failures
from hfexecutor.core.budget import Prices
from hfexecutor.core.channel import Door
from hfexecutor.core.placement import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core import events as ev
    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.launches import Launches
    from hfexecutor.core.pending import Queue
    from hfexecutor.core.placement import Placement
    from hfexecutor.core.sharing import Sharing
    from hfexecutor.core.spending import Spending
    from hfexecutor.core.state import State
    from hfexecutor.core.storing import Storing
    from hfexecutor.core.worker import Worker
    from hfexecutor.errors import HubExecutorError

__all__ = ["PLACE", "Scheduling"]

_GB = 1 << 30  # bytes; the Hub may mean 10 ** 9: what is refused does not fit either way
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
        *,
        storing: Storing,
        sharing: Sharing,
    ) -> None:
        self._state = state
        self._ends = ends
        self._launches = launches
        self._spending = spending
        self._placement = placement
        self._storing = storing
        self._sharing = sharing
        self._known: set[str] = set()  # kinds that the Hub has been asked about
        self._connecting: set[tuple[str, ...]] = set()
        self._unreachable: HubExecutorError | None = None  # for good
        self._place_at = -math.inf

    def connected(self, event: ev.Connected) -> None:
        """Token, namespace and some kinds are good."""
        kinds = tuple(offer.kind for offer in event.offers)
        state = self._state
        self._connecting.discard(kinds)
        self._known.update(kinds)
        state.kinds.learn(event.offers)
        for offer in event.offers:
            if offer.hourly is not None:
                state.budget.prices[offer.kind] = Prices(offer.hourly, offer.door_hourly)

        self._refuse_too_large(state.pending.open.values())

    def submitted(self, calls: Iterable[Call]) -> None:
        """Look at new calls."""
        self._refuse_too_large(calls)

    def _refuse_too_large(self, calls: Iterable[Call]) -> None:
        """End the calls that no machine they ask for can hold, before one is rented."""
        state = self._state
        for call in [call for call in calls if call.buffers and self._known.issuperset(call.kinds)]:
            memory = state.kinds.most_memory(call.kinds)
            if call.size > memory * _GB:
                self._ends.fail(call, failures.beyond_memory(call, memory))

    def connect_failed(self, event: ev.ConnectFailed) -> None:
        """They are not, or nobody could be asked."""
        self._connecting.discard(event.kinds)
        if event.for_good:
            self._unreachable = event.error
        self._ends.fail_queue(event.kinds, event.error)

    def _connect(self) -> list[Queue]:
        """Return the queues about whose kinds the Hub has been asked; have it asked about others.

        The queue comes first whose first call was submitted first.
        """
        ready = []
        for kinds, queue in self._state.pending.queues.items():
            if self._known.issuperset(kinds):
                ready.append(queue)
            elif queue.waiting and kinds not in self._connecting:
                self._connecting.add(kinds)
                self._state.do(do.Connect(kinds))
        if len(ready) > 1:
            ready.sort(key=lambda queue: call.number if (call := queue.next()) else math.inf)
        return ready

    def place(self, broken: HubExecutorError | None) -> None:
        """Bring calls and workers together, unless no call can run."""
        state, pending = self._state, self._state.pending
        waiting, queues = pending.waiting, None
        if waiting:
            if (why := self._unreachable or broken) is not None:
                self._ends.fail_all(why)
                return
            if not (queues := self._connect()):
                return
        if state.now < self._place_at:  # it looks at every worker: with many, not at every event
            state.agenda.bring_forward(PLACE, self._place_at)
            return
        self._place_at = state.now + state.rules.deal * len(state.workers)
        if not waiting and self._is_settled():
            return
        if queues is None:
            queues = self._connect()
        if queues:
            self._place(queues)

    def _place(self, queues: list[Queue]) -> None:
        state = self._state
        self._reckon()
        fleet = Fleet(state.workers.values(), state.now)
        if state.hand_over_by < math.inf:
            self._hand_over(queues, fleet)
        for worker in fleet.live:
            if worker.retiring:
                self._replace(worker)
        for queue in queues:
            self._hand_out(queue, fleet.of(queue.kinds))
        if not state.pending.waiting and self._is_settled():  # as after one call to an idle worker
            return
        # Who is there first, and only for what is left another job.
        for worker in fleet.live:
            self._ends.retire(worker)
        if state.pending.waiting:
            for queue in sorted(queues, key=lambda queue: queue.starved_since):
                self._start_workers(queue)
            self._make_way(queues)
            self._spending.give_up()
        if state.hand_over_by == math.inf:
            self._recall(queues, fleet)

    def _is_settled(self) -> bool:
        """Say whether every worker runs all that it holds, and goes on."""
        state = self._state
        return state.hand_over_by == math.inf and all(map(_stays_as_it_is, state.workers.values()))

    def _reckon(self) -> None:
        """Note how many more jobs of each kind can be paid for; without a limit any number can."""
        if not self._state.budget.is_limited:
            return
        state, door = self._state, not self._state.ports.given_up
        for kind in state.kinds:
            kind.affordable = state.budget.affords(kind.name, door=door)

    def _hand_over(self, queues: Iterable[Queue], fleet: Fleet) -> None:
        """Give everything that waits to whoever takes calls, in equal shares: nobody will later.

        Those that are about to come up get theirs, too, unless it takes them too long. What may
        have killed a worker has company then, and comes after it.
        """
        state = self._state
        coming = any(w.hello is None or w.channel.door is Door.AWAITED for w in fleet.live)
        if coming and state.now < state.hand_over_by:
            state.agenda.bring_forward(PLACE, state.hand_over_by)
            return
        for queue in queues:
            takers = [worker for worker in fleet.of(queue.kinds).live if worker.takes_calls]
            queue.put_suspects_last()
            for left, worker in zip(range(len(takers), 0, -1), takers, strict=True):
                share = -(-queue.waiting // left)
                while share > 0 and (calls := queue.dequeue(share, math.inf)):
                    self._give_these(worker, calls)
                    share -= len(calls)

    def _give_these(self, worker: Worker, calls: list[Call]) -> None:
        assert worker.job is not None
        self._state.touch(worker)
        worker.give(calls, self._state.now)
        self._state.do(do.Started(tuple(calls), worker.job))

    def _hand_out(self, queue: Queue, fleet: Fleet) -> None:
        """Give queued calls to the workers that are there."""
        if all(
            worker.launch.mounts for worker in fleet.fed
        ):  # who cannot read it need not wait for it
            self._share(queue, fleet)
        while queue.waiting and self._hand_out_some(queue, fleet):
            pass

    def _hand_out_some(self, queue: Queue, fleet: Fleet) -> bool:
        """Give queued calls to the workers that are there; say whether more can be tried.

        That is where one was taken alone because it may have killed a worker.
        """
        risky, gave = queue.is_risky, False
        for worker, count in self._placement.hand_out(queue, fleet, risky=risky):
            if gave and not risky and queue.is_risky:
                break  # the others' shares were reckoned for calls that may have company
            calls = queue.dequeue(count, math.inf)
            gave = gave or bool(calls)
            if self._state.pending.attempts:
                calls = self._give_elsewhere(worker, calls, fleet)
            if calls:
                self._give_these(worker, calls)
        return gave and (risky or queue.is_risky)

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

    def _start_workers(self, queue: Queue) -> None:
        state, placement = self._state, self._placement
        if not queue.waiting or (state.ports.given_up and not self._storing.prepare(queue)):
            return
        fleet = Fleet(state.workers.values(), state.now).of(queue.kinds)
        self._share(queue, fleet)
        if self._storing.is_awaited_by(queue):
            return
        for kind, slots in list(placement.jobs_to_start(queue, fleet)):
            self._launches.start(queue, kind, slots)
        self._reckon()  # what is left for the next queue
        fleet = Fleet(state.workers.values(), state.now).of(queue.kinds)
        if placement.room(state.kinds.wanted(queue.kinds, state.now), fleet) > 0:
            state.agenda.bring_forward(PLACE, state.now + state.rules.stall)

    def _share(self, queue: Queue, fleet: Fleet) -> None:
        """Have stored what several jobs would be sent, unless they have no door anyway."""
        if self._state.hand_over_by < math.inf or not self._sharing.is_possible(queue):
            return
        coming = sum(1 for _ in self._placement.jobs_to_start(queue, fleet))
        self._sharing.store(queue, fleet.live, coming)

    def _make_way(self, queues: list[Queue]) -> None:
        """Part with workers that others' calls cannot use, and which take their places."""
        state = self._state
        for queue in queues if len(queues) > 1 else ():
            if not queue.waiting:
                queue.starved_since = math.inf
                continue
            fleet = Fleet(state.workers.values(), state.now)
            for worker in self._placement.in_the_way(queue, queues, fleet):
                text = f"{worker.describe()} makes way for {' or '.join(queue.kinds)}"
                state.report(logging.INFO, text)
                worker.retiring = True
                state.agenda.bring_forward(PLACE, state.now)
            if queue.starved_since < math.inf:
                due = queue.starved_since + state.rules.give_way
                state.agenda.bring_forward(PLACE, max(due, state.now + state.rules.stall))

    def _replace(self, worker: Worker) -> None:
        """Part with a worker that gets no more calls: it ends what it runs, and leaves.

        Only then another is started, for more calls at once than were asked for may not run.
        """
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

    def _recall(self, queues: list[Queue], fleet: Fleet) -> None:
        """Get back what would be better off elsewhere, or where it can be cancelled."""
        state = self._state
        for worker, calls, kinds in self._placement.recalls(queues, fleet):
            if worker.recalling:  # of another queue's
                continue
            if not self._take_back(worker, worker.to_recall(calls, kinds)):
                # They may go to somebody else at once.
                state.agenda.bring_forward(PLACE, state.now)
        for queue in queues:
            if queue.waiting:  # the idle slots have calls of their own coming
                continue
            for worker in self._placement.stuck(queue, fleet.of(queue.kinds)):
                text = f"{worker.describe()} does not begin: others run its calls"
                state.report(logging.INFO, text)
                self._ends.stop(worker)
        if self._placement.again < math.inf:
            state.agenda.bring_forward(PLACE, self._placement.again)


def _stays_as_it_is(worker: Worker) -> bool:
    """Say whether a worker runs all that it holds, and goes on: nobody else is to run it."""
    return (
        (worker.hello is not None or worker.has_begun)
        and len(worker.held) <= worker.slots
        and not worker.retiring
        and worker.channel.door is not Door.SHUT
    )

"""Who gets which calls, who gives some back, and how many jobs that takes.

The arithmetic is in :mod:`~hfexecutor.core.dispatch`; here is what it is applied to. No worker and
no call is changed here: decisions are returned, and :mod:`~hfexecutor.core.scheduling` carries them
out.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from hfexecutor.core import dispatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfexecutor.core.kinds import Kind, Kinds
    from hfexecutor.core.pending import CallTimes, Queue
    from hfexecutor.core.rules import Limits, Rules
    from hfexecutor.core.worker import Worker

__all__ = ["Fleet", "Placement", "Recall"]


class Recall(NamedTuple):
    """Take so many calls back from a worker: the last of one queue that it holds."""

    worker: Worker
    calls: int
    kinds: tuple[str, ...]


class Fleet:
    """The workers at one moment, as placement looks at them: all, or those of some kinds.

    Attributes:
        live: Those that are not on their way out.
        fed: Those that calls can be given to.
    """

    def __init__(self, workers: Iterable[Worker], now: float, taken: int | None = None) -> None:
        self.live = [worker for worker in workers if not worker.is_closing]
        # As `takes_calls` says, but for what was asked already.
        self.fed = [w for w in self.live if w.channel.takes_calls and not w.retiring]
        self._taken = taken
        self.now = now
        self._kinds: set[str] | None = None  # as far as that was asked

    def of(self, kinds: tuple[str, ...]) -> Fleet:
        """Return those that may have calls which ask for these kinds."""
        if self._kinds is None:
            self._kinds = {worker.kind for worker in self.live}
        if self._kinds.issubset(kinds):
            return self
        return Fleet([w for w in self.live if w.kind in kinds], self.now, self.taken)

    @property
    def taken(self) -> int:
        """Slots of all that live, of whichever kind."""
        return self.slots if self._taken is None else self._taken

    @property
    def held(self) -> int:
        """How many calls they hold."""
        return sum(len(worker.held) for worker in self.live)

    @property
    def slots(self) -> int:
        """How many calls they run at once."""
        return sum([worker.slots for worker in self.live])


class Placement:
    """The decisions, and what they remember from one time to the next.

    Where a queue is looked at, the fleet has the workers that may have its calls, and no others.

    Attributes:
        again: When to look again although nothing has happened; infinity if there is no need.
    """

    def __init__(self, limits: Limits, rules: Rules, kinds: Kinds) -> None:
        self._limits = limits
        self._rules = rules
        self._kinds = kinds
        self.again = math.inf
        self._share_at = -math.inf

    # --- how many jobs -----------------------------------------------------------------------

    def slots(self, kind: Kind) -> int:
        """Return how many slots a job of a kind is expected to have."""
        limits = self._limits
        return dispatch.slots_of_job(
            limits.max_workers,
            asked=limits.slots_per_job,
            machine=kind.slots,
            reuse_workers=limits.reuse_workers,
        )

    def room(self, kind: Kind, fleet: Fleet) -> int:
        """Return how many more jobs of a kind there may be."""
        free = self._limits.max_workers - fleet.taken
        return self._jobs_of(kind, free, fleet)

    def _jobs_of(self, kind: Kind, free: int, fleet: Fleet) -> int:
        """Return how many more jobs of a kind there may be in so many slots that are free."""
        if free <= 0:
            return 0
        allowed = kind.most_jobs
        if allowed < math.inf:
            allowed -= sum(worker.kind == kind.name for worker in fleet.live)
        most = min(dispatch.most_jobs(free, self.slots(kind)), allowed, kind.affordable)
        return max(0, int(most))

    def jobs_to_start(self, queue: Queue, fleet: Fleet) -> Iterator[tuple[Kind, int]]:
        """Yield the kind and the slots of each job that is wanted for what is queued."""
        kind = self._kinds.wanted(queue.kinds, fleet.now)
        slots, free = self.slots(kind), self._limits.max_workers - fleet.taken
        for _ in range(self._wanted(queue, kind, free, fleet)):
            yield kind, min(slots, free)
            free -= slots

    def _wanted(self, queue: Queue, kind: Kind, free: int, fleet: Fleet) -> int:
        """Return how many jobs are wanted for what is queued, in so many slots that are free."""
        live = fleet.live
        return dispatch.jobs_wanted(
            outstanding=queue.waiting + fleet.held,
            live=fleet.slots,
            slots=self.slots(kind),
            most=self._jobs_of(kind, free, fleet),
            # Who takes no more is of no help with what is queued.
            duration=None if any(worker.retiring for worker in live) else queue.duration,
            cold_start=kind.cold_start,
            stalled=any(worker.is_stalled(fleet.now) for worker in live),
        )

    def aboard(self, queue: Queue, times: CallTimes, kind: Kind, slots: int) -> int:
        """Return how many calls a job that takes no more later should have aboard.

        Not more than it can run before its timeout, if each takes as long as the longest may.
        """
        limits = self._limits
        jobs = dispatch.most_jobs(limits.max_workers, slots)
        share = dispatch.share(queue.waiting, jobs, slots)
        if times.endless or limits.timeout == math.inf:
            return share
        time = limits.timeout - self._cold_start(kind) - self._rules.ahead_of(limits.timeout)
        return min(share, slots * max(1, int(time // times.longest)))

    # --- who makes way -----------------------------------------------------------------------

    def in_the_way(self, queue: Queue, queues: Iterable[Queue], fleet: Fleet) -> list[Worker]:
        """Return workers to part with, so that calls find a place that others may not have.

        Idle ones at once, if nobody else's calls wait for them. Where no worker at all may have
        these calls, one that works as well, but only after a while: each change costs a cold start.
        """
        others = [worker for worker in fleet.live if worker.kind not in queue.kinds]
        kind, ours = self._kinds.wanted(queue.kinds, fleet.now), fleet.of(queue.kinds)
        wanted = self._wanted(queue, kind, self._limits.max_workers, ours) if others else 0
        missing = wanted * self.slots(kind) - (self._limits.max_workers - fleet.taken)
        found = []
        waited_for = {name for other in queues if other.waiting for name in other.kinds}
        for worker in others:
            if missing > 0 and not worker.held and worker.kind not in waited_for:
                found.append(worker)
                missing -= worker.slots
        if missing <= 0 or found or ours.live:
            queue.starved_since = math.inf
            return found
        queue.starved_since = min(queue.starved_since, fleet.now)
        if fleet.now < queue.starved_since + self._rules.give_way:
            return []
        return self._busy_one(others)

    def _busy_one(self, workers: list[Worker]) -> list[Worker]:
        """Return the worker that is missed least; none while one is on its way out."""
        if any(worker.retiring for worker in workers):
            return []
        kinds = Counter(worker.kind for worker in workers)
        able = [worker for worker in workers if worker.takes_calls]
        return sorted(able, key=lambda worker: (-kinds[worker.kind], len(worker.held)))[:1]

    # --- who gets what -----------------------------------------------------------------------

    def hand_out(self, queue: Queue, fleet: Fleet, *, risky: bool) -> list[tuple[Worker, int]]:
        """Return how many of the queued calls each worker gets now.

        `risky`: the first of them may have killed a worker.
        """
        if not fleet.fed:
            return []
        first = fleet.fed[0]
        if len(fleet.fed) == 1 and not risky and first.can_begin(queue.waiting):
            # As comes out below: calls that can begin at once nothing else decides about.
            return [(first, queue.waiting)]
        kind = self._kinds.wanted(queue.kinds, fleet.now)
        growing = self.room(kind, fleet) > 0
        views = [
            worker.view(
                fleet.now,
                alone=growing and self._keeps_waiting(worker, kind, fleet.now),
                risk=risky,
            )
            for worker in fleet.fed
        ]
        counts = dispatch.assign(queue.waiting, views)
        return [(worker, n) for worker, n in zip(fleet.fed, counts, strict=True) if n]

    def other_than(self, worker: Worker, fleet: Fleet, *, risk: bool) -> Worker | None:
        """Return the least loaded of the other workers, if it has a free slot."""
        free = [
            (len(other.held) / other.slots, index, other)
            for index, other in enumerate(fleet.fed)
            if other is not worker
            and len(other.held) < other.slots
            and dispatch.room(other.view(fleet.now, risk=risk))
        ]
        return min(free)[2] if free else None

    def _keeps_waiting(self, worker: Worker, kind: Kind, now: float) -> bool:
        """Say whether a call would wait there longer than for a new job of that kind."""
        if worker.duration is None or worker.is_stalled(now):
            return True
        wait = (len(worker.held) + 1 - worker.slots) * worker.duration / worker.slots
        return wait > self._cold_start(kind)

    def _cold_start(self, kind: Kind) -> float:
        return kind.cold_start or self._rules.cold_start

    # --- who gives back ----------------------------------------------------------------------

    def recalls(self, queues: Iterable[Queue], fleet: Fleet) -> list[Recall]:
        """Return what to take back of what workers hold and have not begun.

        It comes back for two reasons: somebody else could begin it at once (an idle slot, or a job
        that could be started, where calls would wait longer than for one of those); or it was
        given on a forecast that proves wrong, and should not sit where it cannot be cancelled
        without a message.
        """
        self.again = math.inf
        ahead = [
            worker
            for worker in fleet.fed
            if len(worker.held) > worker.slots
            and not worker.recalling
            # What twice did not come back has begun, as far as anybody can know: until there is
            # progress asking again would change nothing.
            and worker.in_vain < self._rules.in_vain
        ]
        if not ahead:
            return []
        if fleet.now < self._share_at:  # it looks at every worker: not at every outcome
            self.again = self._share_at
            return []
        self._share_at = fleet.now + self._rules.share_every
        return [recall for queue in queues for recall in self._recalls(queue, ahead, fleet)]

    def _recalls(self, queue: Queue, ahead: list[Worker], fleet: Fleet) -> list[Recall]:
        """Return what to take back of the calls of one queue."""
        now, kinds = fleet.now, queue.kinds
        kind = self._kinds.wanted(kinds, now)
        fleet = fleet.of(kinds)
        held, busy = dispatch.load(worker.view(now) for worker in fleet.fed)
        idle = sum(worker.slots for worker in fleet.fed) - busy
        growth = self.room(kind, fleet) * self.slots(kind)
        found = []
        for worker in ahead:
            if worker.kind not in kinds:
                continue
            takers = idle + (growth if self._keeps_waiting(worker, kind, now) else 0)
            count = self._to_move(worker, takers, held, busy, now) or self._surplus(worker, now)
            # Last: it looks at each call that the worker holds.
            if count and (count := min(count, worker.waits_of(kinds))):
                found.append(Recall(worker, count, kinds))
            else:
                patience = self._rules.recall_after if takers else self._rules.stall
                stalls_at = worker.progress_at + patience
                self.again = min(self.again, stalls_at if stalls_at > now else now + patience)
        return found

    def _to_move(self, worker: Worker, takers: int, held: int, busy: int, now: float) -> int:
        """Return how many calls others should run; moving them costs two round trips."""
        if not takers:
            return 0
        surplus = dispatch.surplus(worker.view(now), held, busy + takers)
        cost = 2 * worker.channel.round_trip + self._rules.recall_after
        forecast = surplus * (worker.duration or 0.0) / worker.slots
        worth = forecast > cost or now - worker.progress_at > cost
        return surplus if worth else 0

    def _surplus(self, worker: Worker, now: float) -> int:
        """Return how many calls it holds beyond what its present call lets it have ahead."""
        if not worker.is_stalled(now):
            return 0
        return max(0, len(worker.held) - dispatch.allowance(worker.view(now)))

    def stuck(self, queue: Queue, fleet: Fleet) -> list[Worker]:
        """Return jobs to cancel because they do not begin, where idle slots can run their calls.

        None with a call that is to begin only once: a job may have begun without our having heard
        of it. And none that was ever seen to run, or heard: an older list may show it as waiting.
        """
        waiting = [worker for worker in fleet.live if worker.job and not worker.has_begun]
        if not waiting:
            return []
        # Slots that were idle a moment ago; each job that is cancelled takes as many as it held.
        _, busy = dispatch.load(worker.view(fleet.now) for worker in fleet.fed)
        idle = sum(worker.slots for worker in fleet.fed) - busy
        cold_starts, seconds = self._rules.stuck
        found = []
        for worker in waiting:
            if not 0 < len(worker.held) <= idle:
                continue
            if not worker.may_all_run_again or worker.asked_by != queue.kinds:
                continue  # else others may not be able to run its calls
            kind = self._kinds[worker.kind]
            patience = max(cold_starts * self._cold_start(kind), seconds)
            left = worker.launched_at + patience - fleet.now
            if left > 0:
                self.again = min(self.again, fleet.now + left)
                continue
            idle -= len(worker.held)
            found.append(worker)
        return found

"""Who gets which calls, who gives some back, and how many jobs that takes.

The arithmetic is in :mod:`~hfexecutor.core.dispatch`; here is what it is applied to. No worker and
no call is changed here: decisions are returned, and :mod:`~hfexecutor.core.scheduling` carries them
out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from hfexecutor.core import dispatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from hfexecutor.core.pending import Pending
    from hfexecutor.core.rules import Limits, Rules
    from hfexecutor.core.worker import Worker

__all__ = ["Fleet", "Placement", "Recall"]


class Recall(NamedTuple):
    """Take so many calls back from a worker, the last that it holds."""

    worker: Worker
    calls: int


class Fleet:
    """The workers at one moment, as placement looks at them.

    Attributes:
        live: Those that are not on their way out.
        fed: Those that calls can be given to.
    """

    def __init__(self, workers: Iterable[Worker], now: float) -> None:
        self.live = [worker for worker in workers if not worker.is_closing]
        self.fed = [worker for worker in self.live if worker.takes_calls]
        self.now = now

    @property
    def held(self) -> int:
        """How many calls they hold."""
        return sum(len(worker.held) for worker in self.live)


class Placement:
    """The decisions, and what they remember from one time to the next.

    Attributes:
        duration: Mean seconds of recent calls, on whichever worker; None before one was answered.
        cold_start: Seconds from launch to HELLO of the last worker that came up; None before.
        most_jobs: How many jobs the Hub lets us have.
        affordable: How many more of them can be paid for.
        machine_slots: Calls that a machine of the flavor is for.
        again: When to look again although nothing has happened; infinity if there is no need.
    """

    def __init__(self, limits: Limits, rules: Rules) -> None:
        self._limits = limits
        self._rules = rules
        self.duration: float | None = None
        self.cold_start: float | None = None
        self.most_jobs = math.inf
        self.affordable = math.inf
        self.machine_slots = 1
        self.again = math.inf
        self._share_at = -math.inf

    # --- how many jobs -----------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many slots a job is expected to have."""
        limits = self._limits
        return dispatch.slots_of_job(
            limits.max_workers,
            asked=limits.slots_per_job,
            machine=self.machine_slots,
            reuse_workers=limits.reuse_workers,
        )

    def room(self, live: Collection[Worker]) -> int:
        """Return how many more jobs there may be."""
        most = min(dispatch.most_jobs(self._limits.max_workers, self.slots), self.most_jobs)
        return int(min(max(0, most - len(live)), self.affordable))

    def jobs_to_start(self, pending: Pending, fleet: Fleet) -> Iterator[int]:
        """Yield the slots of each job that is wanted for what is queued."""
        live, slots = fleet.live, self.slots
        wanted = dispatch.jobs_wanted(
            outstanding=pending.waiting + fleet.held,
            slots=slots,
            live=len(live),
            most=len(live) + self.room(live),
            # Who takes no more is of no help with what is queued.
            duration=None if any(worker.aged for worker in live) else self.duration,
            cold_start=self.cold_start,
            stalled=any(worker.is_stalled(fleet.now) for worker in live),
        )
        free = self._limits.max_workers - sum(worker.slots for worker in live)
        for _ in range(wanted):
            if free <= 0:
                return
            yield min(slots, free)
            free -= slots

    def aboard(self, pending: Pending, slots: int) -> int:
        """Return how many calls a job that takes no more later should have aboard.

        Not more than it can run before its timeout, if each takes as long as the longest may.
        """
        limits, times = self._limits, pending.times
        jobs = dispatch.most_jobs(limits.max_workers, slots)
        share = dispatch.share(pending.waiting, jobs, slots)
        if times.endless or limits.timeout == math.inf:
            return share
        time = limits.timeout - self._cold_start - self._rules.ahead_of(limits.timeout)
        return min(share, slots * max(1, int(time // times.longest)))

    # --- who gets what -----------------------------------------------------------------------

    def hand_out(self, pending: Pending, fleet: Fleet) -> list[tuple[Worker, int]]:
        """Return how many of the queued calls each worker gets now."""
        if not fleet.fed:
            return []
        growing = self.room(fleet.live) > 0
        risky = pending.is_risky
        views = [
            worker.view(
                fleet.now,
                alone=growing and self._keeps_waiting(worker, fleet.now),
                risk=risky,
            )
            for worker in fleet.fed
        ]
        counts = dispatch.assign(pending.waiting, views)
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

    def _keeps_waiting(self, worker: Worker, now: float) -> bool:
        """Say whether a call would wait there longer than for a new job."""
        if worker.duration is None or worker.is_stalled(now):
            return True
        wait = (len(worker.held) + 1 - worker.slots) * worker.duration / worker.slots
        return wait > self._cold_start

    @property
    def _cold_start(self) -> float:
        return self.cold_start or self._rules.cold_start

    # --- who gives back ----------------------------------------------------------------------

    def recalls(self, fleet: Fleet) -> list[Recall]:
        """Return what to take back of what workers hold and have not begun.

        It comes back for two reasons: somebody else could begin it at once (an idle slot, or a job
        that could be started, where calls would wait longer than for one of those); or it was
        given on a forecast that proves wrong, and should not sit where it cannot be cancelled
        without a message.
        """
        self.again = math.inf
        now = fleet.now
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
        if now < self._share_at:  # it looks at every worker: not at every outcome
            self.again = self._share_at
            return []
        self._share_at = now + self._rules.share_every
        held, busy = dispatch.load(worker.view(now) for worker in fleet.fed)
        idle = sum(worker.slots for worker in fleet.fed) - busy
        growth = self.room(fleet.live) * self.slots
        found = []
        for worker in ahead:
            takers = idle + (growth if self._keeps_waiting(worker, now) else 0)
            count = self._to_move(worker, takers, held, busy, now) or self._surplus(worker, now)
            if count:
                found.append(Recall(worker, count))
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

    def stuck(self, fleet: Fleet) -> list[Worker]:
        """Return jobs to cancel because they do not begin, where idle slots can run their calls.

        None with a call that is to begin only once: a job may have begun without our having heard
        of it. And none that was ever seen to run, or heard: an older list may show it as waiting.
        """
        # Slots that were idle a moment ago; each job that is cancelled takes as many as it held.
        _, busy = dispatch.load(worker.view(fleet.now) for worker in fleet.fed)
        idle = sum(worker.slots for worker in fleet.fed) - busy
        if not idle:
            return []
        cold_starts, seconds = self._rules.stuck
        patience = max(cold_starts * self._cold_start, seconds)
        found = []
        for worker in fleet.live:
            if worker.job is None or worker.has_begun or not 0 < len(worker.held) <= idle:
                continue
            if not worker.may_all_run_again:
                continue
            left = worker.launched_at + patience - fleet.now
            if left > 0:
                self.again = min(self.again, fleet.now + left)
                continue
            idle -= len(worker.held)
            found.append(worker)
        return found

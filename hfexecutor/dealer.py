"""The dealer: who gets which calls now, and how many jobs that takes.

It gathers what the pure rules of :mod:`hfexecutor.dispatch` want to know, and carries out what they
say.
"""

from __future__ import annotations

import logging
import math
import re
from typing import TYPE_CHECKING

from hfexecutor import dispatch
from hfexecutor.stages import Phase
from hfexecutor.worker import STALL

if TYPE_CHECKING:
    from hfexecutor.hub.models import Hardware
    from hfexecutor.scheduler import Scheduler
    from hfexecutor.worker import Worker

__all__ = ["Dealer"]

logger = logging.getLogger("hfexecutor")

COLD_START = 6.0  # seconds, before any job was seen to start
SHARE_EVERY = 0.01  # seconds between two looks at who could take over from whom
RECALL_AFTER = 0.02  # seconds without progress before calls are taken back for idle workers
STUCK = (3.0, 5.0)  # a job that waits for so many cold starts, and so many seconds, may be stuck


class Dealer:
    """Bring calls and workers together.

    Attributes:
        duration: mean seconds of recent calls, on whichever worker; None before one was answered.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._options = scheduler.options
        self._ledger = scheduler.ledger
        self._crew = scheduler.crew
        self.duration: float | None = None
        self._share_again = 0.0

    def deal(self) -> None:
        """Do what can be done now for the calls that are open."""
        queue = self._ledger.queue
        while queue and self._hand_out():
            pass
        self._crew.retire_useless()
        if queue:
            self._start_workers()
            if queue and self._room() > 0:
                self._scheduler.look_again(STALL)
        elif self._ledger.open:
            self._share_out()

    def _hand_out(self) -> bool:
        """Give queued calls to the workers that are there; say whether more can be tried.

        That is where one was taken alone because it may have killed a worker.
        """
        workers = self._crew.fed
        if not workers:
            return False
        now, growing = self._scheduler.now(), self._room() > 0
        risky, gave = self._ledger.risky, False
        views = [
            worker.view(cautious=growing and self._keeps_waiting(worker), risk=risky)
            for worker in workers
        ]
        for worker, count in zip(
            workers, dispatch.assign(len(self._ledger.queue), views), strict=True
        ):
            if count:
                calls = self._ledger.take(count, running=True)
                for call in calls:
                    call.future.started_in(worker.job)
                worker.give(calls, now)
                gave = gave or bool(calls)
        return gave and (risky or self._ledger.risky)

    def _room(self) -> int:
        """Return how many more jobs there may be."""
        most = min(-(-self._options.max_workers // self._slots()), self._scheduler.most_jobs)
        return int(most) - len(self._crew.live)

    def _keeps_waiting(self, worker: Worker) -> bool:
        """Say whether a call would wait there longer than for a new job."""
        if worker.duration is None or worker.stalled(self._scheduler.now()):
            return True
        wait = (len(worker.held) + 1 - worker.slots) * worker.duration / worker.slots
        return wait > (self._crew.cold_start or COLD_START)

    def _start_workers(self) -> None:
        """Start the workers that are wanted for what is queued."""
        live, slots = self._crew.live, self._slots()
        wanted = dispatch.jobs_wanted(
            outstanding=len(self._ledger.queue) + sum(len(worker.held) for worker in live),
            slots=slots,
            live=len(live),
            most=len(live) + max(0, self._room()),
            duration=self.duration,
            cold_start=self._crew.cold_start,
            stalled=any(worker.stalled(self._scheduler.now()) for worker in live),
        )
        free = self._options.max_workers - sum(worker.slots for worker in live)
        for _ in range(wanted):
            if self._ledger.queue and free > 0:
                self._crew.start(min(slots, free))
                free -= slots

    def _slots(self) -> int:
        """Return how many slots a job is expected to have."""
        if not self._options.reuse_workers:
            return 1
        slots = self._options.slots_per_job
        if slots == "auto":
            slots = _cpus(self._scheduler.connection.hardware.get(self._options.flavor))
        return min(slots, self._options.max_workers)

    def _share_out(self) -> None:
        """Take back what workers hold but have not begun, for those that could begin it.

        Idle slots count; and so do jobs that could be started, where calls would wait longer than
        for one of those.
        """
        now, workers = self._scheduler.now(), self._crew.fed
        if now < self._share_again:  # it looks at every worker: not at every outcome
            self._scheduler.look_again(self._share_again - now)
            return
        self._share_again = now + SHARE_EVERY
        views = [worker.view() for worker in workers]
        held, busy = dispatch.load(views)
        idle = sum(view.slots for view in views) - busy
        if idle:
            self._relieve_stuck(idle, now)
        growth = max(0, self._room()) * self._slots()
        if not (idle or growth) or held == busy:
            return
        again = math.inf
        for worker, view in zip(workers, views, strict=True):
            if worker.recalling or view.held <= view.slots:
                continue
            takers = idle + (growth if self._keeps_waiting(worker) else 0)
            count = dispatch.surplus(view, held, busy + takers) if takers else 0
            if count and self._worth_taking(worker, count):
                worker.recall(list(worker.held)[-count:])
            else:
                again = RECALL_AFTER if idle else STALL
        if again < math.inf:
            self._scheduler.look_again(again)

    def _relieve_stuck(self, idle: int, now: float) -> None:
        """Cancel jobs that do not begin, where idle workers can run what they have aboard.

        Not with `max_retries=0`: a job may have begun without our having heard of it.
        """
        if not self._options.max_retries:
            return
        cold_starts, seconds = STUCK
        patience = max(cold_starts * (self._crew.cold_start or COLD_START), seconds)
        for worker in self._crew.live:
            if worker.phase is not Phase.WAITING or not 0 < len(worker.held) <= idle:
                continue
            left = worker.launched_at + patience - now
            if left > 0:
                self._scheduler.look_again(left)
                continue
            logger.info("%s does not begin: others run its calls", worker.describe())
            idle -= len(worker.held)
            self._crew.cancel(worker)

    def _worth_taking(self, worker: Worker, surplus: int) -> bool:
        """Say whether moving calls pays: it costs two round trips."""
        cost = 2 * worker.round_trip + RECALL_AFTER
        forecast = surplus * (worker.duration or 0.0) / worker.slots
        return forecast > cost or self._scheduler.now() - worker.progress_at > cost


def _cpus(hardware: Hardware | None) -> int:
    """Return the vCPUs of a flavor, of which the Hub says "8 vCPU"."""
    match = re.match(r"\d+", hardware.cpu) if hardware is not None else None
    return max(1, int(match[0])) if match else 1

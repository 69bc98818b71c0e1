"""The watch: one list request by label tells the stage of every job of the run.

It asks at once when nudged (a log has ended, a door is wanted), soon while a job starts or ends,
and seldom when all jobs run and their logs are followed. With no job it asks nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING

from hfexecutor.connection import LAUNCH_LABEL
from hfexecutor.errors import HubRequestError
from hfexecutor.stages import TERMINAL, Phase, phase_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.hub.models import Job
    from hfexecutor.scheduler import Scheduler
    from hfexecutor.worker import Worker

__all__ = ["Watch"]

logger = logging.getLogger("hfexecutor")

QUICK = 0.05  # seconds; a job that says good-bye is over within moments
STARTING = 1.0
CALM = 30.0
GROWTH = 1.6
LOG_GRACE = 3.0  # seconds a log may go on after its job is over
MISSED = 2  # lists in a row without a job before it is asked for by its id


class Watch:
    """Keep the stages of all workers up to date."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._asked = -QUICK
        self._due = math.inf
        self._interval = STARTING
        self._missed: dict[str, int] = {}

    def nudge(self) -> None:
        """Ask at once, and soon again: something has probably changed."""
        self._interval = QUICK
        self._bring_forward(max(self._loop.time(), self._asked + QUICK))

    def expect(self) -> None:
        """Ask before long: a job was launched."""
        self._interval = min(self._interval, STARTING)
        self._bring_forward(self._loop.time() + STARTING)

    def _bring_forward(self, due: float) -> None:
        if due < self._due:
            self._due = due
            self._moved.set()

    async def run(self) -> None:
        """Ask for ever; ends only by being cancelled, or with the error of a Hub that is gone."""
        while True:
            await self._until_due()
            if self._scheduler.crew.launched:
                labels = self._scheduler.connection.labels
                self.compare(await self._scheduler.connection.hub.list_jobs(labels))
            self._asked = self._loop.time()
            self._plan()

    async def _until_due(self) -> None:
        while (remaining := self._due - self._loop.time()) > 0:
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if remaining == math.inf else remaining):
                    await self._moved.wait()

    def _plan(self) -> None:
        workers = self._scheduler.crew.launched
        limit = min((_patience(worker) for worker in workers), default=math.inf)
        self._due = self._asked + (limit if limit >= CALM else min(self._interval, limit))
        self._interval = min(self._interval * GROWTH, CALM)

    def compare(self, jobs: Iterable[Job]) -> None:
        """Bring workers up to date, and stop jobs that should not exist."""
        workers = {worker.launch_id: worker for worker in self._scheduler.crew.launched}
        seen = set()
        for job in jobs:
            worker = workers.get(job.labels.get(LAUNCH_LABEL, ""))
            if worker is not None and worker.job is not None and worker.job.id == job.id:
                seen.add(worker.launch_id)
                self.update(worker, job)
            elif phase_of(job.stage) not in TERMINAL and self._scheduler.crew.is_stray(job):
                logger.warning("cancelling job %s: another one answers its launch", job.id)
                self._scheduler.crew.stop_stray(job)
        for launch_id, worker in workers.items():
            self._note_absence(worker, absent=launch_id not in seen)

    def _note_absence(self, worker: Worker, *, absent: bool) -> None:
        if not absent:
            self._missed.pop(worker.launch_id, None)
            return
        count = self._missed[worker.launch_id] = self._missed.get(worker.launch_id, 0) + 1
        if count >= MISSED:
            self._missed[worker.launch_id] = 0
            self._scheduler.spawn(self._inspect(worker))

    async def _inspect(self, worker: Worker) -> None:
        """Ask for one job: lists lag, and drop old jobs."""
        job = worker.job
        if job is None:
            return
        try:
            self.update(worker, await self._scheduler.connection.hub.inspect(job.id))
        except HubRequestError as error:
            logger.warning("%s is unknown to the Hub: %s", worker.describe(), error)
            self.update(worker, job.model_copy(update={"stage": "DELETED"}))

    def update(self, worker: Worker, job: Job) -> None:
        """Take what the Hub says about one worker's job."""
        before, worker.job = worker.phase, job
        worker.began = worker.began or worker.phase is Phase.RUNNING
        if worker.phase is not before:
            worker.changed.set()
            if worker.phase in TERMINAL and worker.deadline is not None:
                loop = asyncio.get_running_loop()
                worker.deadline.reschedule(loop.time() + LOG_GRACE)
        self._scheduler.doors.stage_seen(worker)


def _patience(worker: Worker) -> float:
    """Return how many seconds may pass until this worker's stage is asked for again."""
    if worker.bye is not None or worker.leaving or worker.silent:
        return 2.0
    if worker.hello is None:
        return 10.0
    if not worker.door_shut and not worker.one_shot and worker.door is None:
        return 2.0
    return CALM

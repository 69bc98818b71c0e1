"""The crew: the workers of a run, from their launch to their end, however that comes."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from typing import TYPE_CHECKING

from hfexecutor import dispatch
from hfexecutor.connection import LAUNCH_LABEL
from hfexecutor.errors import (
    HubExecutorError,
    HubRequestError,
    HubUnavailableError,
    JobFailedError,
    JobLostError,
    RateLimitedError,
)
from hfexecutor.following import follow
from hfexecutor.launching import aboard_bytes, launch, too_large
from hfexecutor.remote import entries as wire
from hfexecutor.stages import TERMINAL, Action
from hfexecutor.worker import Worker

if TYPE_CHECKING:
    from hfexecutor.calls import Call
    from hfexecutor.hub.models import Job
    from hfexecutor.scheduler import Scheduler

__all__ = ["Crew"]

logger = logging.getLogger("hfexecutor")

FAREWELL = 15.0  # seconds a worker has to leave when told to, before its job is cancelled
ENTRY = 48  # bytes of a launch message for each call, besides the call itself
MOST_BOUNCED = 5  # workers that may leave without having had a call, until that counts as lost
PAUSE = 60.0  # seconds without further jobs after a launch that failed for a while
MOST_STILLBORN = 3  # jobs in a row that were over before a word of ours, until none is tried again


class Crew:
    """Start workers, see them through their lives, and make good what they leave undone.

    Attributes:
        workers: those that are not over.
        cold_start: seconds from launch to HELLO of the last worker that came up, None before one
            did.
        doubt: a job may exist that is no worker's.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._ledger = scheduler.ledger
        self._options = scheduler.options
        self.workers: list[Worker] = []
        self.cold_start: float | None = None
        self.doubt = False
        self._stillborn = 0  # jobs in a row
        self._ours: set[str] = set()  # jobs that are, or were, a worker's

    # --- asked about it ----------------------------------------------------------------------

    @property
    def live(self) -> list[Worker]:
        """The workers that are not on their way out."""
        return [worker for worker in self.workers if not worker.closing]

    @property
    def fed(self) -> list[Worker]:
        """The workers that calls can be given to."""
        return [worker for worker in self.workers if worker.takes_calls]

    @property
    def launched(self) -> list[Worker]:
        """The workers whose job exists."""
        return [worker for worker in self.workers if worker.job is not None]

    def is_stray(self, job: Job) -> bool:
        """Say whether a job of this run belongs to nobody, not even to a launch under way."""
        if job.id in self._ours:  # one that is over here may be late to be over in a list
            return False
        launch_id = job.labels.get(LAUNCH_LABEL, "")
        return not any(w.launch_id == launch_id and w.job is None for w in self.workers)

    # --- they come ---------------------------------------------------------------------------

    def start(self, slots: int) -> None:
        """Start a worker of that many slots."""
        launch_id = secrets.token_hex(8)
        one_shot = self._scheduler.one_shot
        worker = Worker(
            launch_id,
            self._scheduler.connection.seal(launch_id),
            slots=1 if one_shot and not self._options.reuse_workers else slots,
            one_shot=one_shot,
            printed_of=self._ledger.printed,
            now=self._scheduler.now(),
        )
        self.workers.append(worker)
        worker.task = self._scheduler.spawn(self._tend(worker))

    def _board(self, worker: Worker) -> bool:
        """Take calls for a launch request; False if there is nothing to launch a job for."""
        if worker.cancelled or not self._ledger.queue:
            return False
        count, most = worker.slots, aboard_bytes(self._options)
        room = most
        if worker.one_shot and self._options.reuse_workers:
            jobs = -(-self._options.max_workers // worker.slots)
            count = dispatch.share(len(self._ledger.queue), jobs, worker.slots)
        if self._ledger.risky:
            count = 1
        aboard: list[Call] = []
        left: list[Call] = []
        for call in self._ledger.take(count, running=False):
            if call.size <= room:
                room -= call.size + ENTRY
                aboard.append(call)
            elif worker.one_shot and call.size > most:
                self._ledger.answer(call, error=too_large(call.size, most))
            else:
                left.append(call)
        self._ledger.put_back(left)
        worker.board(aboard)
        return bool(aboard or (left and not worker.one_shot))

    async def _tend(self, worker: Worker) -> None:
        """See one worker through its life."""
        scheduler = self._scheduler
        try:
            # Calls go aboard only when the request may go out: until then others can have them.
            await scheduler.connection.hub.admit_launch()
            if not self._board(worker):
                self.strike_off(worker)
                return
            worker.posting, worker.launched_at = True, scheduler.now()
            job = await launch(scheduler.connection, self._options, worker)
        except HubExecutorError as error:
            if worker.port is not None and not self._ours and _may_be_the_port(error):
                self._scheduler.doors.refused(error)
                self._run_elsewhere(worker, error, attempted=False)
                self.strike_off(worker)
            else:
                self._not_launched(worker, error)
            return
        except asyncio.CancelledError:
            self.doubt = self.doubt or worker.posting
            raise
        worker.job = job
        self._ours.add(job.id)
        self._ledger.counters.jobs += 1
        if worker.cancelled:
            await self._cancel(worker)
            return
        for call in worker.held.values():
            call.future.started_in(job)
        scheduler.watch.expect()
        action = await follow(scheduler, worker)
        if action is Action.FAIL:
            self._never_ran(worker)
        elif action is Action.LOSE:
            self.lose(worker)
        self.strike_off(worker)

    def _not_launched(self, worker: Worker, error: HubExecutorError) -> None:
        """The Hub refuses a launch: go on with what there is, or give up at once."""
        up = [other for other in self.live if other.hello is not None]
        if up:
            logger.warning("no more jobs for now, going on with %d: %s", len(up), error)
            self._scheduler.most_jobs = len(up)
            if isinstance(error, (HubUnavailableError, RateLimitedError)):
                self._scheduler.later(PAUSE, self._try_again)
            self._run_elsewhere(worker, error, attempted=worker.doubtful)
        elif worker.doubtful and not self._options.max_retries:
            self._run_elsewhere(worker, error, attempted=True)  # it may have run: not once more
        else:
            self._scheduler.fail_all(error)
        self.strike_off(worker)

    def _try_again(self) -> None:
        self._scheduler.most_jobs = math.inf
        self._scheduler.pump()

    def greet(self, worker: Worker, entry: wire.Entry) -> None:
        """A worker says HELLO: its job runs, and what is aboard begins."""
        worker.greet(entry)
        self._stillborn = 0
        self.cold_start = self._scheduler.now() - worker.launched_at
        for call in list(worker.held.values()):
            if not self._ledger.set_running(call):
                worker.drop(call.id)

    # --- they go -----------------------------------------------------------------------------

    def retire_useless(self) -> None:
        """Cancel the workers that have done what they had and can be given nothing more.

        What they hold otherwise was in a message of which nobody knows whether it was delivered:
        it runs elsewhere, unless it must not run twice.
        """
        for worker in self.live:
            if worker.hello is None or not worker.door_shut:
                continue
            if not worker.held or (self._options.max_retries and worker.holds_only_unsure):
                self.cancel(worker)

    def dismiss(self, worker: Worker) -> None:
        """Let an idle worker leave; cancel the job of one that cannot be told to."""
        if worker.closing:
            return
        if worker.takes_calls:
            worker.order(wire.LEAVE)
        elif worker.hello is None or not worker.one_shot:  # a one-shot job leaves by itself
            self.cancel(worker)
            return
        worker.leaving = True
        self._scheduler.later(FAREWELL, self._hurry, worker)

    def _hurry(self, worker: Worker) -> None:
        if not worker.over:
            logger.warning("%s did not leave when told to, cancelling it", worker.describe())
            self.cancel(worker)

    def cancel(self, worker: Worker) -> None:
        """Cancel a worker's job; while it is being launched, as soon as it exists."""
        if worker.cancelled or worker.over:
            return
        worker.cancelled = True
        if worker.job is not None:
            self._scheduler.spawn(self._cancel(worker))
        elif not worker.posting and worker.task is not None:
            worker.task.cancel()
            self.strike_off(worker)

    async def _cancel(self, worker: Worker) -> None:
        assert worker.job is not None
        if worker.phase not in TERMINAL:
            await self._cancel_job(worker.job.id, worker.describe())
        if worker.task is not None and worker.task is not asyncio.current_task():
            worker.task.cancel()
        self.lose(worker)
        self.strike_off(worker)

    def stop_stray(self, job: Job) -> None:
        """Cancel a job of this run that belongs to nobody, once."""
        self._ours.add(job.id)
        self._scheduler.spawn(self._cancel_job(job.id, f"job {job.id}"))

    async def _cancel_job(self, job_id: str, name: str) -> None:
        try:
            await self._scheduler.connection.hub.cancel(job_id)
        except HubExecutorError as error:
            self.doubt = True
            logger.warning("%s could not be cancelled: %s", name, error)

    def lose(self, worker: Worker) -> None:
        """A worker is over and owes outcomes: its calls run elsewhere, or fail.

        Whatever was on its way to it may have begun, and may be what killed it: nobody can tell
        for certain. So all of it counts as lost once more, and is dealt out without company from
        then on, so that a call that kills again takes no other along.
        """
        unsent = {call.id for call in worker.outbox}
        again: list[Call] = []
        for call in list(worker.held.values()):
            worker.drop(call.id)
            if call.id not in self._ledger.open:  # stopped, and nobody waits for it any more
                continue
            if call.id in unsent:
                pass
            elif worker.owes_nothing and call.bounced < MOST_BOUNCED:
                call.bounced += 1
            else:
                call.lost += 1
            if call.lost > self._options.max_retries:
                self._ledger.answer(call, error=_lost(worker, call))
            else:
                again.append(call)
        if again:
            logger.warning("%s is lost, %d calls run again", worker.describe(), len(again))
        self._ledger.counters.retried += len(again)
        self._ledger.put_back(again)

    def _never_ran(self, worker: Worker) -> None:
        """A job was over before our code said a word: bad image, no credits, killed, cancelled.

        Where no job has ever come up the next one would not either. But one that had begun, and
        ended without any output, was ended from outside: that may go better next time.
        """
        error = JobFailedError(
            f"{worker.describe()} ended before it could run anything. Its page tells more; check "
            f"image= and dependencies= where they are not the defaults.{worker.log_tail()}"
        )
        self._stillborn += 1
        assert worker.job is not None
        hopeless = self.cold_start is None and not worker.ended_from_outside
        if hopeless or worker.job.cancel_reason or self._stillborn >= MOST_STILLBORN:
            self._scheduler.fail_all(error)
        else:
            self._run_elsewhere(worker, error, attempted=True)

    def _run_elsewhere(self, worker: Worker, error: HubExecutorError, *, attempted: bool) -> None:
        """Have others run what a worker had aboard of which no word was heard.

        With `attempted` it may have run the calls all the same, and its words be lost: then those
        that must not run again end with `error`.
        """
        again: list[Call] = []
        for call in list(worker.held.values()):
            worker.drop(call.id)
            call.lost += attempted
            if call.lost > self._options.max_retries:
                self._ledger.answer(call, error=error)
            elif call.id in self._ledger.open:
                again.append(call)
        self._ledger.counters.retried += len(again) if attempted else 0
        self._ledger.put_back(again)

    def strike_off(self, worker: Worker) -> None:
        """A worker is over, and what it left is taken care of."""
        if worker.over:
            return
        worker.over = True
        worker.mail.set()
        self.workers.remove(worker)
        self.doubt = self.doubt or worker.doubtful
        if worker.job is not None:
            self._ledger.counters.seconds += self._scheduler.now() - worker.launched_at
        if worker.door is not None:
            self._scheduler.connection.hub.forget_door(worker.door)
        self._scheduler.pump()


def _may_be_the_port(error: HubExecutorError) -> bool:
    """Say whether a launch may have been refused because of the port that was to be exposed."""
    return type(error) is HubRequestError


def _lost(worker: Worker, call: Call) -> JobLostError:
    times = f" (attempt {call.lost})" if call.lost > 1 else ""
    return JobLostError(
        f"{worker.describe()} ended without the call's outcome{times}.{worker.log_tail()}"
    )

"""From the wish for a job to a worker with one, or to the next best thing.

What one launch goes through is in :mod:`~hfexecutor.core.launch`; here is what it carries, and what
follows from how it ended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.launch import IN_DOUBT, LaunchState
from hfexecutor.core.worker import Worker
from hfexecutor.errors import HubRequestError, HubUnavailableError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.kinds import Kind
    from hfexecutor.core.pending import Queue
    from hfexecutor.core.placement import Placement
    from hfexecutor.core.sharing import Sharing
    from hfexecutor.core.state import State
    from hfexecutor.core.storing import Storing
    from hfexecutor.errors import HubExecutorError

__all__ = ["MINUTE", "RETRY", "Launches"]

PORTS = (20_000, 32_000)  # below the ports that systems hand out by themselves
MINUTE = ("minute",)  # on the agenda: the minute of a job is nearly over
RETRY = ("retry",)  # on the agenda: the Hub may let us have more jobs again


class Launches:
    """Start workers, and take in what their launches come to."""

    def __init__(
        self,
        state: State,
        ends: Ends,
        placement: Placement,
        *,
        storing: Storing,
        sharing: Sharing,
    ) -> None:
        self._state = state
        self._storing = storing
        self._sharing = sharing
        self._ends = ends
        self._placement = placement
        self._told_of: set[str] = set()  # jobs with our labels that are not ours

    def start(self, queue: Queue, kind: Kind, slots: int) -> None:
        """Start a worker for the calls of a queue."""
        state = self._state
        worker_id = f"{state.rng.getrandbits(64):016x}"
        one_shot = state.ports.given_up
        worker = Worker(
            worker_id,
            kind=kind.name,
            asked_by=queue.kinds,
            slots=1 if not state.limits.reuse_workers else slots,
            one_shot=one_shot,
            port=None if one_shot else state.rng.randrange(*PORTS),
            limits=state.limits,
            times=state.pending.times,
            rules=state.rules,
            jitter=state.rng.random,
            now=state.now,
        )
        state.workers[worker_id] = worker
        state.budget.open(worker_id, kind.name, door=not one_shot)
        state.touch(worker)
        state.do(worker.launch.begin())

    # --- the request -------------------------------------------------------------------------

    def admitted(self, event: ev.Admitted) -> None:
        """A launch has its turn: say what goes out, or that nobody wants it any more."""
        state, worker = self._state, self._state.workers.get(event.worker)
        if worker is None or worker.launch.attempt != event.attempt:
            return
        if worker.launch.state is not LaunchState.QUEUED:
            return
        if state.ports.given_up and worker.port is not None and not worker.launch.doubtful:
            worker.give_up_port()  # not after a doubtful request: its job may have the port
        if worker.cancelling or not self._board(worker):
            self._ends.give_up_launch(worker)
            return
        if event.attempt > 1:
            worker.channel.relaunched(worker.held.values())
        worker.launch.post(state.now)
        worker.launched_at = state.now
        worker.may_run(min(worker.runs_since, state.now))  # a former request may have a job
        state.budget.sent(worker.id, state.now)
        state.agenda.set(MINUTE, state.budget.due)
        state.touch(worker)
        calls = tuple(worker.held.values())
        state.do(
            do.Post(
                worker.id,
                worker.kind,
                event.attempt,
                calls,
                worker.slots,
                worker.one_shot,
                worker.port,
                arguments=self._mounts_arguments(worker, calls),
                results=self._mounts_results(worker, calls),
            )
        )

    def _mounts_arguments(self, worker: Worker, calls: Iterable[Call]) -> bool:
        if worker.one_shot:
            return any(call.stored for call in calls)
        return self._sharing.mounts(worker)

    def _mounts_results(self, worker: Worker, calls: Iterable[Call]) -> bool:
        if not worker.one_shot and self._sharing.gave_up:
            return False
        return self._storing.mounts_results(calls, has_door=not worker.one_shot)

    def _board(self, worker: Worker) -> bool:
        """Choose calls for a launch request; False if there is nothing to launch a job for.

        They go aboard only now: until the request may go out others can have them. Where calls
        must not run twice, none go aboard of a job that can be reached later: so its launch can be
        repeated until it succeeds, and if that makes two jobs only one is ever given a call.
        """
        limits, queue = self._state.limits, self._state.pending.queue(worker.asked_by)
        if worker.launch.attempt > 1 and (worker.held or not worker.launch.repeatable):
            return bool(worker.held)
        if self._state.ports.given_up and not worker.one_shot:
            return False  # it would have a port all the same, and no folder of stored arguments
        if queue.next() is None:
            return False
        count = worker.slots
        if worker.one_shot and limits.reuse_workers:
            kind = self._state.kinds[worker.kind]
            count = self._placement.aboard(queue, self._state.pending.times, kind, worker.slots)
        if worker.one_shot and not self._storing.prepare(queue):
            return False
        room = limits.room - self._state.rules.entry * count
        calls = queue.dequeue(count, room, repeatable=not worker.one_shot)
        if not calls and worker.one_shot and queue.next() is not None:
            calls = queue.dequeue(1, limits.room)
        worker.board(calls)
        worker.launch.repeatable = worker.may_all_run_again
        return bool(calls) or (not worker.one_shot and queue.next() is not None)

    # --- the answer --------------------------------------------------------------------------

    def launched(self, event: ev.Launched) -> None:
        """A launch was answered with a job."""
        worker = self._state.workers.get(event.worker)
        if worker is not None and worker.launch.is_open:
            worker.launch.launched(event.job)
            self._adopt(worker, event.job)
            return
        # An answer so late that the job was found meanwhile, or that nobody wants it: the worker's
        # own job is meant, or one that a list has shown and that is on its way out, or another.
        own = worker is not None and worker.job is not None and worker.job.id == event.job.id
        if not (own or self._ends.is_known(event.job.id)):
            self._ends.stop_stray(event.job)

    def failed(self, event: ev.LaunchFailed) -> None:
        """A launch was not answered with a job."""
        state, worker = self._state, self._state.workers.get(event.worker)
        if worker is None:  # nobody wants it any more; but its job may be there, and cost
            unclear = {ev.LaunchFailure.UNCLEAR, ev.LaunchFailure.HOPELESS}
            self._ends.doubt = self._ends.doubt or event.failure in unclear
            return
        if not worker.launch.is_open or worker.launch.attempt != event.attempt:
            return
        worker.launch.failed(event.failure, event.error, state.now)
        if event.failure is not ev.LaunchFailure.REFUSED:
            state.report(logging.INFO, f"{event.error} (attempt {event.attempt})")
        self._follow_up(worker)

    def looked(self, event: ev.Looked) -> None:
        """The job of a launch was looked for."""
        state, worker = self._state, self._state.workers.get(event.worker)
        if worker is None or not worker.launch.is_open:
            return
        was_posted = worker.launch.state is LaunchState.POSTED
        for job in event.jobs or ():
            if job.foreign:
                self.tell_of_foreign(job)
        worker.launch.looked(event.jobs, state.now)
        if was_posted and (found := worker.launch.job) is not None:
            text = f"the launch of job {found.id} hangs, going on without its answer"
            state.report(logging.INFO, text)
        self._follow_up(worker)

    def tell_of_foreign(self, job: ev.JobSeen) -> None:
        """A label is a claim: a job that only says it is ours is left alone."""
        if job.id not in self._told_of:
            self._told_of.add(job.id)
            text = f"job {job.id} carries this run's labels and is not ours: {job.foreign}"
            self._state.report(logging.WARNING, text)

    def _follow_up(self, worker: Worker) -> None:
        """Follow up on a launch that has just moved on."""
        self._state.touch(worker)
        launch = worker.launch
        if launch.state is LaunchState.DONE:
            assert launch.job is not None
            self._adopt(worker, launch.job)
        elif worker.cancelling and launch.state not in IN_DOUBT:
            self._ends.give_up_launch(worker)  # nobody wants it: how it ended says nothing
        elif launch.state is LaunchState.GIVEN_UP:
            assert launch.error is not None
            self._not_launched(worker, launch.error)

    def _adopt(self, worker: Worker, job: ev.JobSeen) -> None:
        """Give a worker the job that its launch has come to."""
        state = self._state
        state.touch(worker)
        state.ports.seen = state.ports.seen or worker.port is not None
        self._sharing.launched(worker)
        worker.see(job)
        state.counters.jobs += 1
        if worker.cancelling:  # it was to be stopped when there was nothing to be cancelled yet
            self._ends.cancel_job(worker)
            return
        if worker.held:
            state.do(do.Started(tuple(worker.held.values()), job))
        state.do(worker.read_log(state.now))
        state.polling.expect(state.now)

    def _try_next(self, worker: Worker, error: HubExecutorError) -> bool:
        """The Hub refuses a kind: see to it that the next one is tried, if there is one."""
        state = self._state
        following = state.kinds.after(worker.kind, worker.asked_by, state.now)
        if following is None or (worker.launch.doubtful and not worker.launch.repeatable):
            return False
        state.kinds[worker.kind].passed_over_until = state.now + state.rules.passed_over
        text = f"no job of {worker.kind} can be started, trying {following.name}: {error}"
        state.report(logging.WARNING, text)
        return True

    def _not_launched(self, worker: Worker, error: HubExecutorError) -> None:
        """The Hub refuses a launch: go on with what there is, or give up at once."""
        state, ends, doubtful = self._state, self._ends, worker.launch.doubtful
        if type(error) is HubRequestError and self._sharing.is_refused(worker, error):
            ends.pass_on(worker, error, attempted=doubtful)
            return
        if worker.port is not None and not state.ports.seen and type(error) is HubRequestError:
            # It may be the port that it does not want: without one calls run as well.
            text = f"no job with a port can be started, going on without: {error}"
            state.report(logging.WARNING, text)
            state.ports.given_up = True
            ends.pass_on(worker, error, attempted=False)
        elif type(error) is HubRequestError and self._try_next(worker, error):
            ends.pass_on(worker, error, attempted=doubtful)
        elif up := [w for w in state.live if w.hello is not None and w.kind in worker.asked_by]:
            # Credits or capacity are at an end, say: what runs is paid for, and can do the rest.
            text = f"no more jobs for now, going on with {len(up)}: {error}"
            state.report(logging.WARNING, text)
            state.kinds[worker.kind].most_jobs = sum(w.kind == worker.kind for w in up)
            if isinstance(error, (HubUnavailableError, RateLimitedError)):  # that passes
                state.agenda.set(RETRY, state.now + state.rules.pause)
            ends.pass_on(worker, error, attempted=doubtful)
        elif doubtful and not worker.launch.repeatable:  # of others it says nothing
            ends.pass_on(worker, error, attempted=True)  # it may have run: not once more
        else:
            ends.fail_queue(worker.asked_by, error)
            ends.remove(worker)

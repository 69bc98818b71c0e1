"""Large buffers that many jobs with a door share: uploaded once, to a bucket that the jobs mount.

To send one to each of many jobs takes that many times as long as to send it once, for it is this
machine's line that is too slow. So where there are jobs, or are to be, for calls that share one, it
is stored first (:mod:`~hfexecutor.core.storing`), and the jobs read it
(:mod:`~hfexecutor.core.transfers`). Nothing depends on that: what is not stored, or cannot be read,
is sent.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core import events as ev
    from hfexecutor.core.call import Call
    from hfexecutor.core.pending import Queue
    from hfexecutor.core.state import State
    from hfexecutor.core.storing import Storing
    from hfexecutor.core.worker import Worker

__all__ = ["Sharing"]


class Sharing:
    """Decide what is worth storing, and which jobs mount it.

    Attributes:
        gave_up: Why jobs with a door mount nothing any more, empty while they may.
    """

    def __init__(self, state: State, storing: Storing) -> None:
        self._state = state
        self._storing = storing
        self._begun = False  # something was stored for them
        self._proven = False  # one that mounts the folder was launched
        self.gave_up = ""

    def __repr__(self) -> str:
        return f"<Sharing {'given up' if self.gave_up else 'begun' if self._begun else 'possible'}>"

    @property
    def _least(self) -> int:
        """How many jobs have to need a buffer until it is stored for them."""
        return self._state.rules.shared_jobs[self._state.limits.bucket is True]

    # --- what is stored ----------------------------------------------------------------------

    def is_possible(self, queue: Queue) -> bool:
        """Whether the first call of a queue refers to what may be worth it."""
        state, call = self._state, queue.next()
        if state.limits.bucket is False or self.gave_up or state.ports.given_up:
            return False
        return call is not None and bool(self._large_of(call))

    def store(self, queue: Queue, workers: list[Worker], coming: int) -> None:
        """Have stored what several jobs would each be sent for the first calls of a queue.

        Calls that refer to it leave the queue meanwhile, up to a number: the others are left to the
        jobs that are there, and small ones among the first get jobs.

        Args:
            queue: Of the calls.
            workers: Those that may have them.
            coming: How many jobs are about to be started for them.
        """
        calls, least = queue.first(self._storing.room), self._least
        worth = {
            name
            for name in self._shared(calls, workers, least) - self._storing.files
            if coming + sum(_would_read(worker, name) for worker in workers) >= least
        }
        for call in calls if worth else ():
            if wanted := [buffer for buffer in call.buffers if buffer.name in worth]:
                self._begun = True
                self._storing.store(call, wanted)

    def _shared(self, calls: Iterable[Call], workers: list[Worker], least: int) -> set[bytes]:
        """Return the names of large buffers of calls to which so many refer.

        For each worker that has one, or is being sent it, one call more did.
        """
        names = Counter(name for call in calls for name in self._large_of(call))
        return {
            name
            for name, count in names.items()
            if count + sum(name in worker.channel.transfers for worker in workers) >= least
        }

    def _large_of(self, call: Call) -> list[bytes]:
        least = self._state.rules.shared_bytes
        return [buffer.name for buffer in call.buffers if buffer.size >= least]

    def store_failed(self, event: ev.StoreFailed) -> None:
        """A buffer cannot be stored."""
        if not self._state.ports.given_up:
            self._give_up(str(event.error))
        self._storing.store_failed(event)

    # --- who mounts it -----------------------------------------------------------------------

    def mounts(self, worker: Worker) -> bool:
        """Say whether a job with a door has the folder of stored arguments.

        That is decided before anything is stored: as calls come one by one, the first jobs are
        launched before all those are here that share what they refer to.
        """
        launch = worker.launch
        mounts = not self.gave_up and self._may_share(worker)
        # Of a launch that is repeated either request may make the job.
        launch.mounts = mounts and (launch.attempt == 1 or launch.mounts)
        worker.channel.transfers.mount(self._storing.files if launch.mounts else ())
        return launch.mounts

    def _may_share(self, worker: Worker) -> bool:
        limits = self._state.limits
        if limits.bucket is not None or self._begun:
            return limits.bucket is not False
        if limits.max_workers < self._least * worker.slots:
            return False
        calls = self._state.pending.queue(worker.asked_by).first(self._storing.room)
        return bool(self._shared(calls, list(self._state.workers.values()), 2))

    def launched(self, worker: Worker) -> None:
        """A job was launched: if it mounts the folder, that is not what the Hub refuses."""
        self._proven = self._proven or worker.launch.mounts

    def is_refused(self, worker: Worker, error: BaseException) -> bool:
        """Say whether a launch may be refused for what it mounts: then none does from now on."""
        if self._proven or self.gave_up or not worker.launch.mounts:
            return False
        self._give_up(str(error))
        return True

    def _give_up(self, why: str) -> None:
        if not self.gave_up:
            self.gave_up = why
            text = f"large arguments go through the ports of jobs, and not through a bucket: {why}"
            self._state.report(logging.WARNING, text)


def _would_read(worker: Worker, name: bytes) -> bool:
    """Whether a worker can read a buffer, or has it: then others are to have it as well."""
    return worker.launch.mounts or name in worker.channel.transfers

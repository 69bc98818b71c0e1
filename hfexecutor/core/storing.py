"""Large values of calls in jobs without a door: they are files of a bucket that the jobs mount.

A launch request has room for some hundred KB, and a log for some MB. So what a call refers to
beyond that is stored before a job is launched for it; until then it is open, and in no queue. And
where an outcome says that the value is a file, the call stays open until the file was collected;
unless it is to stay there: then the outcome is all that its future wants.

=========  ===================================  ==================================================
a buffer   what it is                           what ends it
=========  ===================================  ==================================================
STORING    on its way into the bucket           it is there (STORED); it cannot be (unknown): then
                                                the calls that wait for it end
STORED     there, for all calls to come         the run
=========  ===================================  ==================================================
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import failures
from hfexecutor.remote.entries import MOST_IN_LOG
from hfexecutor.remote.outcomes import IN_BUCKET, TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core import events as ev
    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.pending import Queue
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["Storing"]

_AHEAD = 2  # times as many calls as may run: others' arguments are stored when it is their turn


class Storing:
    """Have large arguments stored, and large results collected."""

    def __init__(self, state: State, ends: Ends) -> None:
        self._state = state
        self._ends = ends
        self._stored: set[bytes] = set()
        self._storing: set[bytes] = set()
        self._waiting: dict[int, Call] = {}  # by id, for what is being stored
        self._collecting: dict[int, do.Collect] = {}  # by id of the call
        self._large_results = False  # there was one

    def __repr__(self) -> str:
        return f"<Storing {len(self._storing)}, {len(self._stored)} stored>"

    # --- arguments ---------------------------------------------------------------------------

    def prepare(self, queue: Queue) -> bool:
        """See that a launch request can carry the first call of a queue; say whether it can now.

        Calls that it could not carry leave the queue meanwhile, or end.
        """
        limits = self._state.limits
        while (call := queue.next()) is not None:
            if call.size > limits.room and all(one.name in self._stored for one in call.buffers):
                call.stored = bool(call.buffers)
            if call.size <= limits.room:
                return True
            if call.stored or not call.buffers or limits.bucket is False:
                why = "bucket=False was given" if limits.bucket is False else ""
                self._ends.fail(call, failures.too_large(call, limits.room, why))
            elif len(self._waiting) >= _AHEAD * limits.max_workers:
                return False
            else:
                self._store(call)
        return False

    def _store(self, call: Call) -> None:
        self._state.pending.hold_back(call)
        self._waiting[call.id] = call
        for buffer in call.buffers:
            if buffer.name not in self._storing and buffer.name not in self._stored:
                self._storing.add(buffer.name)
                self._state.do(do.Store(buffer))

    def stored(self, event: ev.Stored) -> None:
        """A buffer is in the bucket."""
        self._storing.discard(event.name)
        self._stored.add(event.name)
        ready = []
        for call in self._wanting(event.name):
            if all(buffer.name in self._stored for buffer in call.buffers):
                del self._waiting[call.id]
                call.stored = True
                ready.append(call)
        self._state.pending.let_back(ready)

    def store_failed(self, event: ev.StoreFailed) -> None:
        """A buffer cannot be stored: nothing is launched for the calls that refer to it."""
        self._storing.discard(event.name)
        for call in self._wanting(event.name):
            del self._waiting[call.id]
            error = failures.too_large(call, self._state.limits.room, str(event.error))
            self._ends.fail(call, error)

    def mounts_arguments(self, calls: Iterable[Call], *, has_door: bool) -> bool:
        """Say whether a job for these calls has the folder of stored arguments."""
        asked_for = has_door and self._state.limits.bucket is True
        return asked_for or any(call.stored for call in calls)

    def _wanting(self, name: bytes) -> list[Call]:
        """Return the open calls that wait for a buffer."""
        is_open = self._state.pending.open
        self._waiting = {i: call for i, call in self._waiting.items() if i in is_open}
        return [
            call
            for call in self._waiting.values()
            if any(buffer.name == name for buffer in call.buffers)
        ]

    # --- results -----------------------------------------------------------------------------

    def mounts_results(self, calls: Iterable[Call], *, has_door: bool) -> bool:
        """Say whether a job for these calls has a place for large results.

        Most runs have none, and a mount takes time with each job. So unless the user knows it
        (`bucket=True`), it is for those without a door that pass large values, and once a result
        was large: what is large and comes before goes through the log.
        """
        bucket = self._state.limits.bucket
        if bucket is not None:
            return bucket
        return not has_door and (self._large_results or any(call.stored for call in calls))

    def note_size(self, outcome: ev.Outcome) -> None:
        """Remember that results are large, if this one of a job without a door is."""
        if outcome.status in {IN_BUCKET, TOO_LARGE} or len(outcome.payload) > MOST_IN_LOG:
            self._large_results = True

    def is_collecting(self, call: Call) -> bool:
        """Whether the value of a call is on its way from the bucket."""
        return call.id in self._collecting

    def collect(self, call: Call, outcome: ev.Outcome, worker: Worker) -> None:
        """Have the value of a call collected, which no worker holds any more."""
        call.worker, call.delayed = "", True
        command = do.Collect(call, outcome, worker.describe(), worker.id)
        self._collecting[call.id] = command
        self._state.do(command)

    def unneeded(self, event: ev.Unneeded) -> None:
        """Nobody here refers to a result any more; jobs that are left to themselves may."""
        if self._state.hand_over_by == math.inf:
            self._state.do(do.Remove(event.name))

    def collected(self, event: ev.Collected) -> None:
        """The value of a call is here."""
        _, _, where, worker = self._collecting.pop(event.call)
        call = self._state.pending.close(event.call)
        if call is not None:  # else it was stopped meanwhile
            self._state.completions.append(do.Completion(call, event.outcome, where, worker))

    def collect_failed(self, event: ev.CollectFailed) -> None:
        """It cannot be had."""
        call = self._collecting.pop(event.call).call
        self._ends.fail(call, event.error)

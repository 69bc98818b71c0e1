"""Large values of calls that are files of a bucket, which jobs mount.

For jobs without a door: a launch request has room for some hundred KB, and a log for some MB. So
what a call refers to beyond that is stored before a job is launched for it; until then it is open,
and in no queue. And where an outcome says that the value is a file, the call stays open until the
file was collected; unless it is to stay there: then the outcome is all that its future wants.

What jobs with a door share may be stored for them, too (:mod:`~hfexecutor.core.sharing`).

=========  ===================================  ==================================================
a buffer   what it is                           what ends it
=========  ===================================  ==================================================
STORING    on its way into the bucket           it is there (STORED); it cannot be (unknown): then
                                                the calls that wait for it end, or are let go on
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
    from hfexecutor.core.call import Buffer, Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.pending import Queue
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["Storing"]

_AHEAD = 2  # times as many calls as may run: others' arguments are stored when it is their turn


class Storing:
    """Have large arguments stored, and large results collected.

    Attributes:
        files: Names of the buffers that are stored.
    """

    def __init__(self, state: State, ends: Ends) -> None:
        self._state = state
        self._ends = ends
        self.files: set[bytes] = set()
        self._storing: set[bytes] = set()
        self._waiting: dict[int, Call] = {}  # by id, for what is being stored
        self._collecting: dict[int, do.Collect] = {}  # by id of the call
        self._large_results = False  # there was one

    def __repr__(self) -> str:
        return f"<Storing {len(self._storing)}, {len(self.files)} stored>"

    # --- arguments ---------------------------------------------------------------------------

    def prepare(self, queue: Queue) -> bool:
        """See that a launch request can carry the first call of a queue; say whether it can now.

        Calls that it could not carry leave the queue meanwhile, or end.
        """
        limits = self._state.limits
        while (call := queue.next()) is not None:
            if call.size > limits.room and all(one.name in self.files for one in call.buffers):
                call.stored = bool(call.buffers)
            if call.size <= limits.room:
                return True
            if call.stored or not call.buffers or limits.bucket is False:
                why = "bucket=False was given" if limits.bucket is False else ""
                self._ends.fail(call, failures.too_large(call, limits.room, why))
            elif not self.room:
                return False
            else:
                self.store(call, call.buffers)
        return False

    @property
    def room(self) -> int:
        """How many more calls may wait for what they refer to."""
        return _AHEAD * self._state.limits.max_workers - len(self._waiting)

    def is_awaited_by(self, queue: Queue) -> bool:
        """Whether the first call of a queue refers to what is being stored."""
        call = queue.next()
        return call is not None and any(b.name in self._storing for b in call.buffers)

    def store(self, call: Call, buffers: Iterable[Buffer]) -> None:
        """Have buffers of a call stored, which leaves its queue meanwhile."""
        self._state.pending.hold_back(call)
        self._waiting[call.id] = call
        for buffer in buffers:
            if buffer.name not in self._storing and buffer.name not in self.files:
                self._storing.add(buffer.name)
                self._state.do(do.Store(buffer))

    def stored(self, event: ev.Stored) -> None:
        """A buffer is in the bucket."""
        self._storing.discard(event.name)
        self.files.add(event.name)
        ready = []
        for call in self._wanting(event.name):
            if all(buffer.name not in self._storing for buffer in call.buffers):
                del self._waiting[call.id]
                ready.append(call)
        self._state.pending.let_back(ready)

    def store_failed(self, event: ev.StoreFailed) -> None:
        """A buffer cannot be stored: nothing is launched for the calls that refer to it.

        But where jobs have doors they are sent it.
        """
        self._storing.discard(event.name)
        waiting = self._wanting(event.name)
        for call in waiting:
            del self._waiting[call.id]
        if not self._state.ports.given_up:
            self._state.pending.let_back(waiting)
            return
        for call in waiting:
            error = failures.too_large(call, self._state.limits.room, str(event.error))
            self._ends.fail(call, error)

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

"""Backups of calls that take far longer than others: whichever ends first has the outcome.

A call that hangs on a bad machine holds up whoever waits for all. Where it has taken three times
what such calls take in the middle, and slots are free that nobody waits for, a second attempt of it
begins in another job. The first outcome of the two counts, and the other attempt is stopped.

No job is started for a backup, and it counts against the call's `max_retries`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from hfexecutor.core.commands import BackupStarted, Started
from hfexecutor.core.placement import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfexecutor.core.call import Call, CallOptions
    from hfexecutor.core.placement import Placement
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["SPECULATE", "Paces", "Speculation"]

SPECULATE = ("speculate",)  # on the agenda: time to look for calls that take too long
_REMEMBERED = 999  # calls that the median is of


class _Pace:
    """How long the last calls took that have ended with a value."""

    def __init__(self) -> None:
        self.done = 0
        self._last: deque[float] = deque()
        self._sorted: list[float] = []

    def note(self, seconds: float) -> None:
        self.done += 1
        self._last.append(seconds)
        insort(self._sorted, seconds)
        if len(self._last) > _REMEMBERED:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]

    @property
    def median(self) -> float:
        return self._sorted[len(self._sorted) // 2]


class Paces:
    """How long calls take, of each set of options: those of an executor, or of a view of it.

    >>> paces = Paces()
    >>> for seconds in (1.0, 9.0, 2.0):
    ...     paces.note(CallOptions(speculate=True), seconds)
    >>> paces.of(CallOptions(speculate=True)).median
    2.0
    """

    def __init__(self) -> None:
        self._paces: dict[CallOptions, _Pace] = {}

    def note(self, options: CallOptions, seconds: float) -> None:
        """Note how long a call took."""
        if options not in self._paces:
            self._paces[options] = _Pace()
        self._paces[options].note(seconds)

    def of(self, options: CallOptions) -> _Pace | None:
        """Return the pace of calls with these options, None before one has ended."""
        return self._paces.get(options)


class _Late(NamedTuple):
    """A call that takes too long: for how long it runs, where, and what such calls take."""

    seconds: float
    call: Call
    worker: Worker
    median: float


class Speculation:
    """Look for calls that take too long, and start backups of them."""

    def __init__(self, state: State, placement: Placement, paces: Paces) -> None:
        self._state = state
        self._placement = placement
        self._paces = paces
        self._since: dict[int, float] = {}  # when calls were first seen running, by id

    def look(self) -> None:
        """Start backups of what takes too long, if nothing waits and slots are free."""
        state = self._state
        running = list(self._running())
        now, since = state.now, self._since
        self._since = {call.id: since.get(call.id, now) for call, _ in running}
        if state.pending.waiting or state.hand_over_by < math.inf:  # or who leaves hands over
            return
        late = [one for call, worker in running if (one := self._late(call, worker)) is not None]
        for one in sorted(late, key=lambda one: one.seconds, reverse=True):
            fleet = Fleet(state.workers.values(), now).of(one.call.kinds)
            other = self._placement.other_than(one.worker, fleet, risk=False)
            if other is not None:
                self._start(one, other)

    def _running(self) -> Iterator[tuple[Call, Worker]]:
        for worker in self._state.workers.values():
            for call_id in worker.begun:
                if (call := worker.held.get(call_id)) is not None and call.options.speculate:
                    yield call, worker

    def _late(self, call: Call, worker: Worker) -> _Late | None:
        """Return what is to be said of a call that takes too long; None of one that does not."""
        rules, pace = self._state.rules, self._paces.of(call.options)
        if call.twin is not None or call.killed or call.lost or call.retries_left < 1:
            return None
        if pace is None or pace.done + self._open(call.options) < rules.speculate_from:
            return None
        if pace.done < self._open(call.options):  # not even half of them
            return None
        seconds = self._state.now - self._since[call.id]
        most = max(rules.speculate_after * pace.median, pace.median + rules.speculate_least)
        return _Late(seconds, call, worker, pace.median) if seconds > most else None

    def _open(self, options: CallOptions) -> int:
        """Return how many calls with these options are open; nothing waits, so they are few."""
        calls = self._state.pending.open.values()
        return sum(call.options is options and not call.is_backup for call in calls)

    def _start(self, late: _Late, other: Worker) -> None:
        state, call = self._state, late.call
        assert other.job is not None
        backup = call.backup()
        state.pending.add_attempt(backup)
        other.give([backup], state.now)
        state.touch(other)
        state.counters.backups += 1
        state.do(Started((backup,), other.job, of_two=True))
        state.do(BackupStarted(backup, late.seconds, late.median, late.worker.job, other.job))

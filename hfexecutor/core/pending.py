"""Every call whose future is not done, from `submit` on; and which of them nobody holds."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core.call import Call, CallOptions

__all__ = ["CallTimes", "Pending", "Queue"]


class CallTimes:
    """How long the calls of a run may take, all that were submitted so far.

    Attributes:
        longest: Seconds that one with a limit may run.
        endless: There are some without a limit.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.endless = False

    def note(self, limit: float | None) -> bool:
        """Note that there are calls with this limit; say whether that is news."""
        before = (self.endless, self.longest)
        self.endless = self.endless or limit is None
        self.longest = max(self.longest, limit or 0.0)
        return before != (self.endless, self.longest)


class Queue:
    """Calls that no worker holds, and that ask for the same kinds of workers, in their order.

    Attributes:
        kinds: What they ask for.
        waiting: How many there are.
        duration: Mean seconds of recent calls that asked for these, on whichever worker; None
            before one was answered.
        scheduling_timeout: The least that one of all its calls so far allows a job to wait for its
            hardware.
        starved_since: Since when no worker may have them, as those of others take all places;
            infinity while that is not so.
    """

    def __init__(self, kinds: tuple[str, ...], pending: Pending) -> None:
        self.kinds = kinds
        self.waiting = 0
        self.duration: float | None = None
        self.scheduling_timeout = math.inf
        self.starved_since = math.inf
        self._pending = pending
        self._open = pending.open
        # May hold calls that are not open any more: they are passed over.
        self._calls: deque[Call] = deque()

    def __repr__(self) -> str:
        return f"<Queue for {' or '.join(self.kinds)}, {self.waiting} waiting>"

    def next(self) -> Call | None:
        """Return the call that is first, and leave it there."""
        calls = self._calls
        while calls and calls[0].id not in self._open:
            calls.popleft()
        return calls[0] if calls else None

    def first(self, count: int) -> list[Call]:
        """Return the calls that are first, so many, and leave them there."""
        return list(islice((call for call in self._calls if call.id in self._open), count))

    @property
    def is_risky(self) -> bool:
        """Whether the next call may have killed a worker."""
        call = self.next()
        return call is not None and call.lost > 0

    def dequeue(self, count: int, room: float, *, repeatable: bool = False) -> list[Call]:
        """Take up to `count` calls from the head, of `room` bytes at the most.

        What several of them refer to travels once, and counts once. One that may have killed a
        worker gets no company: it is taken alone, or left. With `repeatable` one that must not
        begin twice is left, and what is behind it.
        """
        calls: list[Call] = []
        aboard: dict[Any, int] = {}  # bytes of what they refer to
        queued, still_open = self._calls, self._open
        while queued and len(calls) < count:
            call = queued[0]
            if call.id not in still_open:
                queued.popleft()
                continue
            if repeatable and not call.options.max_retries:
                break
            if room < math.inf:
                refers = call.refers
                room -= len(call.data) + sum(refers[key] for key in refers.keys() - aboard)
                aboard |= refers
            if room < 0 or (call.lost and calls):
                break
            calls.append(queued.popleft())
            if call.lost:
                break
        self._count(-len(calls))
        return calls

    def put_suspects_last(self) -> None:
        """Put those last that may have killed a worker."""
        self._calls = deque(sorted(self._calls, key=lambda call: call.lost > 0))

    def append(self, call: Call) -> None:
        """Put a call last."""
        self._calls.append(call)
        self._count(1)

    def prepend(self, call: Call) -> None:
        """Put a call first."""
        self._calls.appendleft(call)
        self._count(1)

    def take(self, call: Call) -> None:
        """Take this call out: a worker turns out to hold it."""
        self._calls.remove(call)
        self._count(-1)

    def pass_over(self) -> None:
        """Note that one of its calls is open no longer."""
        self._count(-1)
        if not self.waiting:
            self._calls.clear()

    def _count(self, more: int) -> None:
        self.waiting += more
        self._pending.waiting += more


class Pending:
    """Open calls by id, and the queues of those that no worker holds.

    Attributes:
        open: All calls whose future is not done.
        waiting: How many of them wait in all, in whichever queue; this is asked at each turn.
        queues: By the kinds that their calls ask for; those that were ever asked for.
        attempts: By number, the ids of those that were submitted under another one.
        times: How long calls may run.
        held_back: Ids of those that were taken out of their queues for a while.
    """

    def __init__(self) -> None:
        self.open: dict[int, Call] = {}
        self.waiting = 0
        self.queues: dict[tuple[str, ...], Queue] = {}
        self.attempts: dict[int, list[int]] = {}
        self.times = CallTimes()
        self.held_back: set[int] = set()
        self.may_speculate = False  # of some calls there may be backups
        # Those of the last call, and its queue: most have the same.
        self._options: CallOptions | None = None
        self._queue: Queue | None = None

    def __repr__(self) -> str:
        return f"<Pending {len(self.open)} open, {self.waiting} waiting>"

    def queue(self, kinds: tuple[str, ...]) -> Queue:
        """Return the queue of calls that ask for these kinds."""
        queue = self.queues.get(kinds)
        if queue is None:
            queue = self.queues[kinds] = Queue(kinds, self)
        return queue

    def enter(self, calls: Iterable[Call]) -> bool:
        """Put new calls last; say whether calls may take longer now than those before."""
        longer = False
        for call in calls:
            if self._queue is None or call.options is not self._options:
                self._options = call.options
                queue = self._queue = self.queue(call.kinds)
                queue.scheduling_timeout = min(
                    queue.scheduling_timeout, call.options.scheduling_timeout
                )
                self.may_speculate = self.may_speculate or call.options.speculate
                longer = self.times.note(call.options.call_timeout) or longer
            self.open[call.id] = call
            self._queue.append(call)
        return longer

    def delay(self, call: Call) -> None:
        """Put a call among the open ones, and not into a queue: it is another's next attempt."""
        call.delayed = True
        self.add_attempt(call)

    def add_attempt(self, call: Call) -> None:
        """Put another attempt of a call among the open ones; who holds it is the caller's."""
        self.open[call.id] = call
        if call.id != call.number:
            self.attempts.setdefault(call.number, []).append(call.id)

    def release(self, call: Call) -> None:
        """Put a call last whose time has come."""
        call.delayed = False
        self.queue(call.kinds).append(call)

    def hold_back(self, call: Call) -> None:
        """Take a call out of its queue for a while, in which nobody is to have it."""
        self.take(call)
        call.delayed = True
        self.held_back.add(call.id)

    def let_back(self, calls: list[Call]) -> None:
        """Put calls first that were held back, and are open."""
        for call in calls:
            call.delayed = False
            self.held_back.discard(call.id)
        self.put_back(calls)

    def of(self, number: int) -> list[Call]:
        """Return what is open of the call that was submitted under this number."""
        ids = [number, *self.attempts.get(number, ())]
        return [self.open[call_id] for call_id in ids if call_id in self.open]

    def take(self, call: Call) -> None:
        """Take this call out of its queue: a worker turns out to hold it."""
        self.queue(call.kinds).take(call)

    def put_back(self, calls: Iterable[Call]) -> None:
        """Put calls that are open first, in their order."""
        for call in reversed([call for call in calls if call.id in self.open]):
            call.worker = ""
            self.queue(call.kinds).prepend(call)

    def close(self, call_id: int) -> Call | None:
        """Take a call out, for its future is done, or about to be; None if it was before."""
        call = self.open.pop(call_id, None)
        if call is None:
            return None
        if self.attempts and (ids := self.attempts.get(call.number)) and call_id in ids:
            ids.remove(call_id)
            if not ids:
                del self.attempts[call.number]
        self.held_back.discard(call_id)
        if not call.worker and not call.delayed:
            self.queue(call.kinds).pass_over()
        return call

"""Every call whose future is not done, from `submit` on; and which of them nobody holds."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.core.call import Call

__all__ = ["Pending"]


class Pending:
    """Open calls by id, and the queue of those that no worker holds.

    Attributes:
        open: All calls whose future is not done.
        waiting: How many of them are in the queue.
    """

    def __init__(self) -> None:
        self.open: dict[int, Call] = {}
        self.waiting = 0
        # May hold calls that are not open any more: they are passed over.
        self._queue: deque[Call] = deque()

    def __repr__(self) -> str:
        return f"<Pending {len(self.open)} open, {self.waiting} waiting>"

    def enter(self, calls: Iterable[Call]) -> None:
        """Put new calls last."""
        new = {call.id: call for call in calls}
        self.open.update(new)
        self._queue.extend(new.values())
        self.waiting += len(new)

    def next(self) -> Call | None:
        """Return the call that is first in the queue, and leave it there."""
        queue = self._queue
        while queue and queue[0].id not in self.open:
            queue.popleft()
        return queue[0] if queue else None

    @property
    def is_risky(self) -> bool:
        """Whether the next call may have killed a worker."""
        call = self.next()
        return call is not None and call.lost > 0

    def dequeue(self, count: int, room: float) -> list[Call]:
        """Take up to `count` calls from the head of the queue, of `room` bytes at the most.

        What several of them refer to travels once, and counts once. One that may have killed a
        worker gets no company: it is taken alone, or left.
        """
        calls: list[Call] = []
        aboard: dict[tuple[int, int], int] = {}  # bytes of what they refer to
        while len(calls) < count and (call := self.next()) is not None:
            if room < math.inf:
                refers = {(kind, number): len(data) for kind, number, data in call.kept}
                room -= len(call.data) + sum(refers[key] for key in refers.keys() - aboard)
                aboard |= refers
            if room < 0 or (call.lost and calls):
                break
            calls.append(self._queue.popleft())
            if call.lost:
                break
        self.waiting -= len(calls)
        return calls

    def take(self, call: Call) -> None:
        """Take this call out of the queue: a worker turns out to hold it."""
        self._queue.remove(call)
        self.waiting -= 1

    def put_back(self, calls: Iterable[Call]) -> None:
        """Put calls that are open first, in their order."""
        again = [call for call in calls if call.id in self.open]
        for call in again:
            call.worker = ""
        self._queue.extendleft(reversed(again))
        self.waiting += len(again)

    def close(self, call_id: int) -> Call | None:
        """Take a call out, for its future is done, or about to be; None if it was before."""
        call = self.open.pop(call_id, None)
        if call is not None and not call.worker:
            self.waiting -= 1
            if not self.waiting:
                self._queue.clear()
        return call

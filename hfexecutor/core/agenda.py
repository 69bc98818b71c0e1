"""What is due when: all deadlines of the core in one place, and one number for all of them."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Agenda"]


class Agenda:
    """A moment for each of many keys.

    Attributes:
        moments: Of each key, to be read only: who looks at each turn whether one has changed asks
            here.

    >>> agenda = Agenda()
    >>> agenda.set("list", 2.0)
    >>> agenda.set("pulse", 1.0)
    >>> agenda.due
    1.0
    >>> agenda.pop_due(1.5)
    ['pulse']
    """

    def __init__(self) -> None:
        self.moments: dict[Hashable, float] = {}
        self._due = math.inf  # the first one, as it was found last
        self._changed = False  # since then
        # May hold moments that were moved or dropped since: they are passed over.
        self._heap: list[tuple[float, int, Hashable]] = []
        self._count = 0  # keys need not be comparable

    def __len__(self) -> int:
        return len(self.moments)

    def set(self, key: Hashable, moment: float) -> None:
        """Set the moment of `key`, in place of an earlier one; infinity drops it."""
        if self.moments.get(key, math.inf) == moment:
            return
        if moment == math.inf:
            self.drop(key)
            return
        self.moments[key] = moment
        self._count += 1
        heapq.heappush(self._heap, (moment, self._count, key))
        if len(self._heap) > 64 + 4 * len(self.moments):  # mostly moments that were moved
            self._rebuild()
        self._changed = True

    def bring_forward(self, key: Hashable, moment: float) -> None:
        """Set the moment of `key`, unless it has an earlier one."""
        if moment < self.moments.get(key, math.inf):
            self.set(key, moment)

    def drop(self, key: Hashable) -> None:
        """Forget `key`."""
        self.moments.pop(key, None)
        self._changed = True

    @property
    def due(self) -> float:
        """The first moment, infinity if there is none."""
        if self._changed:  # this is asked at each turn, in most of which no moment changes
            heap, moments = self._heap, self.moments
            while heap and moments.get(heap[0][2]) != heap[0][0]:
                heapq.heappop(heap)
            self._due = heap[0][0] if heap else math.inf
            self._changed = False
        return self._due

    def pop_due(self, now: float) -> list[Hashable]:
        """Drop and return the keys whose moment has come, the earliest first."""
        found, heap, moments = [], self._heap, self.moments
        while heap and heap[0][0] <= now:
            moment, _, key = heapq.heappop(heap)
            if moments.get(key) == moment:
                del moments[key]
                found.append(key)
        self._changed = True
        return found

    def _rebuild(self) -> None:
        self._heap = [(moment, i, key) for i, (key, moment) in enumerate(self.moments.items())]
        self._count = len(self._heap)
        heapq.heapify(self._heap)

"""Which calls wait, and which slot gets how many of them. Pure."""

from __future__ import annotations

from collections import deque

from .pickling import wants_cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Pace", "Queue", "deal"]

_MOST_AHEAD = 64
_AHEAD_SECONDS = 0.002  # of work that a child is given at once
_OVERHEAD = 0.00003  # seconds that a call takes besides its own
_SLOW = 0.001  # a call that takes longer is no micro-call


class Queue:
    """The calls that no child has been given, first come first served, and their functions."""

    def __init__(self) -> None:
        self._calls: dict[int, bytes] = {}
        # Apart, for taking the first items of a dict again and again means looking at all the
        # places of those that were taken before. What is not in the dict any more is passed over.
        self._order: deque[int] = deque()
        self.functions: dict[int, bytes] = {}
        self.wants_cloudpickle = False

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, call: int) -> bool:
        return call in self._calls

    def add(self, call: int, data: bytes) -> None:
        """Put a call last."""
        self._calls[call] = data
        self._order.append(call)
        self._look_at(data)

    def add_function(self, number: int, data: bytes) -> None:
        """Keep a function that calls refer to by its number."""
        self.functions[number] = data
        self._look_at(data)

    def _look_at(self, data: bytes) -> None:
        if not self.wants_cloudpickle:
            self.wants_cloudpickle = wants_cloudpickle(data)

    def put_back(self, calls: dict[int, bytes]) -> None:
        """Put calls first that had been taken."""
        self._calls.update(calls)
        self._order.extendleft(reversed(calls))

    def take(self, count: int) -> dict[int, bytes]:
        """Take the first calls."""
        taken: dict[int, bytes] = {}
        while self._order and len(taken) < count:
            call = self._order.popleft()
            data = self._calls.pop(call, None)
            if data is not None:
                taken[call] = data
        return taken

    def remove(self, calls: Iterable[int]) -> list[int]:
        """Remove what is here of `calls`; return what was."""
        return [call for call in calls if self._calls.pop(call, None) is not None]

    def clear(self) -> list[int]:
        """Remove all calls and return them."""
        calls = list(self.take(len(self._calls)))
        self._order.clear()
        return calls


class Pace:
    """How many calls a child is given at once: one, unless they hardly take any time."""

    def __init__(self) -> None:
        self.depth = 1

    def note(self, seconds: float) -> None:
        """Take notice of how long a call took."""
        if seconds > _SLOW:
            self.depth = 1
        else:
            fitting = int(_AHEAD_SECONDS / (seconds + _OVERHEAD))
            self.depth = max(1, min(2 * self.depth, fitting, _MOST_AHEAD))


def deal(waiting: int, slots: Sequence[tuple[int, int]]) -> list[int]:
    """Return how many of `waiting` calls each slot gets.

    Args:
        waiting: calls in the queue.
        slots: for each, how many calls it has and how many it may have.

    Idle slots are served first, and what is given ahead is shared evenly.

    >>> deal(3, [(1, 8), (0, 1)])
    [2, 1]
    """
    given = [0] * len(slots)
    for index, (has, may) in enumerate(slots):
        if waiting and not has and may:
            given[index] = 1
            waiting -= 1
    if not waiting:
        return given
    rooms = [(may - has - given[index], index) for index, (has, may) in enumerate(slots)]
    hungry = sorted((room, index) for room, index in rooms if room > 0)
    for place, (room, index) in enumerate(hungry):  # the little room that some have is filled
        more = min(room, -(-waiting // (len(hungry) - place)))
        given[index] += more
        waiting -= more
    return given

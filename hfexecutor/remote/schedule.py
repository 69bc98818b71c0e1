"""Which calls wait, and which slot gets how many of them. Pure."""

from __future__ import annotations

from collections import deque

from .entries import need_of
from .pickling import wants_cloudpickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SLOW", "Pace", "Queue", "deal"]

_MOST_AHEAD = 64
_AHEAD_SECONDS = 0.002  # of work that a child is given at once
_OVERHEAD = 0.00003  # seconds that a call takes besides its own
SLOW = 0.001  # a call that takes longer is no micro-call


class Queue:
    """The calls that no child has been given, first come first served, and their functions.

    Calls with the same need stand in one line: those whose packages are not here let others pass.
    """

    def __init__(self) -> None:
        self._calls: dict[int, bytes] = {}
        # Apart, for taking the first items of a dict again and again means looking at all the
        # places of those that were taken before. What is not in the dict any more is passed over.
        self._lines: dict[int, deque[int]] = {}
        self.functions: dict[int, bytes] = {}
        self.wants_cloudpickle = False

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, call: int) -> bool:
        return call in self._calls

    def __iter__(self) -> Iterator[int]:
        return iter(self._calls)

    def add(self, call: int, data: bytes) -> None:
        """Put a call last."""
        self._calls[call] = data
        self._line(data).append(call)
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
        for call, data in reversed(calls.items()):
            self._line(data).appendleft(call)

    def needs(self) -> list[int]:
        """Return what the calls need that are here; what the first one needs comes first."""
        lines = self._lines
        for need in [need for need, line in lines.items() if not self._has_head(line)]:
            del lines[need]
        return sorted(lines, key=lambda need: lines[need][0]) if len(lines) > 1 else [*lines]

    def waiting(self, need: int) -> int:
        """Return how many calls with this need are here, at the most."""
        return len(self._calls) if len(self._lines) == 1 else len(self._lines.get(need, ()))

    def take(self, count: int, need: int = 0) -> dict[int, bytes]:
        """Take the first calls with this need."""
        taken: dict[int, bytes] = {}
        line = self._lines.get(need, ())
        while line and len(taken) < count:
            call = line.popleft()
            data = self._calls.pop(call, None)
            if data is not None:
                taken[call] = data
        return taken

    def _line(self, data: bytes) -> deque[int]:
        need = need_of(data)
        line = self._lines.get(need)
        if line is None:
            line = self._lines[need] = deque()
        return line

    def _has_head(self, line: deque[int]) -> bool:
        """Let a line begin with a call that is still here; say whether there is any."""
        while line and line[0] not in self._calls:
            line.popleft()
        return bool(line)

    def remove(self, calls: Iterable[int]) -> list[int]:
        """Remove what is here of `calls`; return what was."""
        return [call for call in calls if self._calls.pop(call, None) is not None]

    def clear(self) -> list[int]:
        """Remove all calls and return them."""
        calls = list(self._calls)
        self._calls.clear()
        self._lines.clear()
        return calls


class Pace:
    """How many calls a child is given at once: one, unless they hardly take any time."""

    def __init__(self) -> None:
        self.depth = 1

    def note(self, seconds: float) -> None:
        """Take notice of how long a call took."""
        if seconds > SLOW:
            self.depth = 1
            return
        fitting = min(_MOST_AHEAD, int(_AHEAD_SECONDS / (seconds + _OVERHEAD)))
        if self.depth != fitting:
            self.depth = max(1, min(2 * self.depth, fitting))


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

"""Large outcomes on their way: the places that their ranges are read into."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from hfexecutor.core.events import Done, Outcome
from hfexecutor.remote import memory, outcomes
from hfexecutor.remote.buffers import Place

if TYPE_CHECKING:
    from hfexecutor.core.events import News
    from hfexecutor.core.fetching import Key

__all__ = ["Arrival", "Arrivals", "CrowdedError", "check_room"]

_LARGE: Final = 32 << 20  # bytes from which on it is asked first how much memory is free


class CrowdedError(Exception):
    """There is no memory as long as other outcomes are on their way."""


def check_room(size: int, *, besides: int = 0) -> None:
    """See that there is memory for so many bytes, `besides` what others are about to take.

    Better an error than that the system ends this process, half way, for want of memory.

    Raises:
        MemoryError: There is not so much.
        CrowdedError: There would be, but for the others.
    """
    free = memory.room() if size >= _LARGE else None
    if free is None or size <= free - besides:
        return
    text = f"it has {size:,} bytes, and {max(0, free - besides):,} are free"
    raise CrowdedError(text) if besides else MemoryError(text)


class Arrival:
    """The places of one outcome: what is unpickled, and each buffer of the value apart.

    Buffers are apart because who keeps one of them should not keep them all.

    Args:
        size: Of the outcome, in bytes.
        layout: Kind and size of each buffer at its end, one after the other.

    Attributes:
        missing: Bytes that are not here yet.
    """

    def __init__(self, size: int, layout: tuple[int, ...]) -> None:
        sizes = layout[1::2]
        self._front = memoryview(bytearray(size - sum(sizes)))
        self._places = [Place(*one) for one in zip(layout[::2], sizes, strict=True)]
        self._views = [self._front, *(place.view for place in self._places)]
        self._ends = list(accumulate(map(len, self._views)))
        self.missing = size

    def __repr__(self) -> str:
        return f"<Arrival of {self._ends[-1]} bytes, {self.missing} missing>"

    def views(self, start: int, stop: int) -> list[memoryview]:
        """Return where these bytes belong."""
        found = []
        for view, end in zip(self._views, self._ends, strict=True):
            begin = end - len(view)
            if begin < stop and start < end:
                found.append(view[max(0, start - begin) : stop - begin])
        return found

    def filled(self, size: int) -> Outcome | None:
        """Note that so many bytes are here, and right; return the outcome when all are."""
        self.missing -= size
        if self.missing:
            return None
        return outcomes.decode(self._front, self._places)


class Arrivals:
    """All that is on its way; what nobody fetches any more goes with its key."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Key, Arrival] = WeakKeyDictionary()

    def of(self, key: Key) -> Arrival:
        """Return the places of an outcome.

        Raises:
            MemoryError: There is not so much memory.
            CrowdedError: Not as long as others are on their way.
        """
        arrival = self._of.get(key)
        if arrival is None:
            check_room(key.size, besides=sum(one.missing for one in self._of.values()))
            arrival = self._of[key] = Arrival(key.size, key.layout)
        return arrival

    def take(self, key: Key, call: int, size: int) -> tuple[News, ...]:
        """Note that so many bytes of a call's outcome are here; return it when all are."""
        outcome = self.of(key).filled(size)
        if outcome is None:
            return ()
        del self._of[key]
        return (Done(call, outcome),)

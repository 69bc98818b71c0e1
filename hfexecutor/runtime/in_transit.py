"""What is on its way through the doors of jobs: since when, and how much it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hfexecutor.core import events as ev
from hfexecutor.remote.ranges import count_of

if TYPE_CHECKING:
    from hfexecutor.core import commands as do

__all__ = ["InTransit", "Moved"]


class Moved(NamedTuple):
    """What has arrived: after so many seconds, so many bytes."""

    seconds: float
    size: int


class _Buffer(NamedTuple):
    """A buffer on its way: since when, how large it is, and which ranges have arrived."""

    begun: float
    size: int
    parts: set[int]


class InTransit:
    """What goes through doors: messages by number, buffers by name, large outcomes by call."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, int], tuple[float, int]] = {}
        self._outcomes: dict[tuple[str, int], tuple[float, int]] = {}
        self._buffers: dict[tuple[str, bytes], _Buffer] = {}
        self._ranges: dict[tuple[str, int], tuple[bytes, int]] = {}  # whose, and which part

    def __repr__(self) -> str:
        count = len(self._messages) + len(self._outcomes) + len(self._buffers)
        return f"<InTransit {count} on their way>"

    def sent(self, command: do.Send, now: float) -> None:
        """Note that a message goes out; one that is sent again has been on its way all along."""
        key = (command.worker, command.number)
        if key not in self._messages:
            self._messages[key] = (now, sum([len(entry.data) for entry in command.entries]))

    def range_sent(self, command: do.SendRange, now: float) -> None:
        """Note that a range of a buffer goes out; one that is sent again has been on its way."""
        worker, buffer = command.worker, command.buffer
        self._buffers.setdefault((worker, buffer.name), _Buffer(now, buffer.size, set()))
        self._ranges[worker, command.number] = (buffer.name, command.part)

    def range_kept(self, event: ev.RangeKept, now: float) -> Moved | None:
        """Return the buffer that is there with this range; None before its last one."""
        name, part = self._ranges.pop((event.worker, event.number), (b"", 0))
        buffer = self._buffers.get((event.worker, name))
        if buffer is None:
            return None
        buffer.parts.add(part)
        if len(buffer.parts) < count_of(buffer.size):
            return None
        del self._buffers[event.worker, name]
        return Moved(now - buffer.begun, buffer.size)

    def range_lost(self, event: ev.RangeFailed | ev.RangeRefused, _: float) -> None:
        """Note that a range has not arrived; of one that was refused nothing is kept there."""
        name, _part = self._ranges.pop((event.worker, event.number), (b"", 0))
        if type(event) is ev.RangeRefused:
            self._buffers.pop((event.worker, name), None)

    def fetching(self, command: do.Fetch, now: float) -> None:
        """Note that a range of a large outcome is asked for."""
        self._outcomes.setdefault((command.worker, command.call), (now, command.key.size))

    def refused(self, event: ev.FetchRefused, _: float) -> None:
        """Note that there is no room for a large outcome here: no more of it is asked for."""
        self._outcomes.pop((event.worker, event.call), None)

    def answered(self, event: ev.Answered, now: float) -> Moved | None:
        """Return what has arrived there; None if it was not on its way."""
        return _moved(self._messages.pop((event.worker, event.number), None), now)

    def fetched(self, event: ev.Fetched, now: float) -> Moved | None:
        """Return what has arrived here, with its last range; None before that."""
        if not event.news:
            return None
        return _moved(self._outcomes.pop((event.worker, event.call), None), now)

    def forget(self, worker: str) -> None:
        """A worker is over."""
        all_of_it: list[dict[Any, Any]]
        all_of_it = [self._messages, self._outcomes, self._buffers, self._ranges]
        for known in all_of_it:
            for key in [key for key in known if key[0] == worker]:
                del known[key]


def _moved(moving: tuple[float, int] | None, now: float) -> Moved | None:
    return None if moving is None else Moved(now - moving[0], moving[1])

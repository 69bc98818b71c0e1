"""Outcomes that the client may not have: kept, and said again before they are out of sight."""

from __future__ import annotations

from .entries import FETCH_BYTES, OUTCOME, Entry
from .frames import MAX_BODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Unacknowledged"]


class Unacknowledged:
    """Outcomes that the client may not have. Pure.

    Args:
        most: bytes to keep; beyond, the oldest are given up.
        window: lines of the log after which an outcome may be out of sight.
        again: bytes to repeat on our own account for each window; what is larger never is.
    """

    def __init__(
        self, most: int = 64 << 20, window: int = 300, again: int = 100 * MAX_BODY
    ) -> None:
        self._most = most
        self._window = window
        self._again = again
        self._said: dict[int, tuple[bytes, int]] = {}  # by call, the longest unsaid first
        self._announced: set[int] = set()  # those of which only the size was said
        self._bytes = 0
        self._repeated = (0, 0)  # bytes since that line
        self._look_at = 0  # the line before which nothing is out of sight

    def __len__(self) -> int:
        return len(self._said)

    def __contains__(self, call: int) -> bool:
        return call in self._said

    def keep(self, call: int, data: bytes, line: int) -> None:
        """Keep an outcome that is said at `line`; those are counted when first said."""
        self.drop(call)
        if not self._said:
            self._look_at = line + self._window
        self._said[call] = (data, line)
        self._bytes += len(data)
        if self._bytes > self._most:
            self._give_up(call)

    def _give_up(self, latest: int) -> None:
        for call in [call for call in self._said if call not in self._announced]:
            if self._bytes <= self._most or call == latest:
                return
            self.drop(call)

    @property
    def has_room(self) -> bool:
        """Whether something could be kept that must not be given up."""
        return self._bytes <= self._most

    def announce(self, call: int) -> None:
        """Note that only the size of an outcome was said: it is not given up before it is."""
        if call in self._said:
            self._announced.add(call)

    def drop(self, call: int) -> None:
        """Drop an outcome that the client has."""
        found = self._said.pop(call, None)
        self._announced.discard(call)
        if found is not None:
            self._bytes -= len(found[0])

    def take_announced(self, calls: Iterable[int] | None = None) -> list[tuple[int, bytes]]:
        """Return what was only announced (of `calls`, or all), and count it as said."""
        taken = self._announced if calls is None else self._announced.intersection(calls)
        self._announced = self._announced - taken
        return self.some(taken)

    def part(self, call: int, number: int) -> Entry | None:
        """Return a part of an outcome, as it is fetched; None if there is no such part."""
        data, _ = self._said.get(call, (b"", 0))
        parts = -(-len(data) // FETCH_BYTES)
        if not 0 <= number < parts:
            return None
        start = number * FETCH_BYTES
        return Entry(OUTCOME, call, number, parts, data[start : start + FETCH_BYTES])

    def out_of_sight(self, line: int) -> list[tuple[int, bytes]]:
        """Return what should be said again at `line`, and count it as said there.

        That is bounded, and lines that repeat count for nothing: or repeating would push out of
        sight what makes it repeat again.
        """
        if line < self._look_at:
            return []
        repeated, since = self._repeated
        if line - since >= self._window:
            repeated, since = 0, line
        found = []
        self._look_at = line + self._window
        for call, (data, said) in self._said.items():
            if len(data) > self._again or call in self._announced:
                continue
            if line - said < self._window or repeated + len(data) > self._again:
                self._look_at = max(said, since) + self._window
                break
            found.append((call, data))
            repeated += len(data)
        for call, data in found:
            del self._said[call]
            self._said[call] = (data, line)
        self._repeated = (repeated, since)
        return found

    def last_words(self) -> list[tuple[int, bytes]]:
        """Return what is to be said once more before the end: the latest, as far as it is little.

        What was only announced has to be said now, however much it is.
        """
        found, room = dict(self.take_announced()), self._again
        for call, (data, _) in reversed(self._said.items()):
            room -= 0 if call in found else len(data)
            if room < 0:
                break
            found[call] = data
        return list(found.items())

    def all(self) -> list[tuple[int, bytes]]:
        """Return everything."""
        return [(call, data) for call, (data, _) in self._said.items()]

    def some(self, calls: Iterable[int]) -> list[tuple[int, bytes]]:
        """Return what there is of `calls`."""
        return [(call, self._said[call][0]) for call in calls if call in self._said]

"""Outcomes that the client may not have: kept, and said again before they are out of sight."""

from __future__ import annotations

from .frames import MAX_BODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .buffers import Buffer

__all__ = ["MOST_LARGE", "Unacknowledged"]

MOST_LARGE = 8 << 30  # bytes of outcomes that wait to be fetched; beyond, they go into the log


class Unacknowledged:
    """Outcomes that the client may not have. Pure.

    Args:
        most: bytes to keep; beyond, the oldest are given up. What is announced does not count.
        window: lines of the log after which an outcome may be out of sight.
        again: bytes to repeat on our own account for each window; what is larger never is.
        most_large: bytes that may be announced, and are never given up.

    Attributes:
        look_at: the line before which nothing is out of sight.
    """

    def __init__(
        self,
        most: int = 64 << 20,
        window: int = 300,
        again: int = 100 * MAX_BODY,
        most_large: int = MOST_LARGE,
    ) -> None:
        self._most = most
        self._most_large = most_large
        self._window = window
        self._again = again
        self._said: dict[int, tuple[Buffer, int]] = {}  # by call, the longest unsaid first
        self._announced: set[int] = set()  # those of which only the size was said
        self._bytes = 0  # of what is not announced
        self._large = 0  # of what is
        self._repeated = (0, 0)  # bytes since that line
        self.look_at = 0

    def __len__(self) -> int:
        return len(self._said)

    def __contains__(self, call: object) -> bool:
        return call in self._said

    def keep(self, call: int, data: Buffer, line: int, *, announce: bool = False) -> bool:
        """Keep an outcome that is said at `line`; those are counted when first said.

        Say whether it may be announced, if that is wanted: else it has to be said whole.
        """
        if call in self._said:
            self.drop(call)
        if not self._said:
            self.look_at = line + self._window
        self._said[call] = (data, line)
        self._bytes += len(data)
        announced = announce and self.announce(call)
        if self._bytes > self._most:
            self._give_up(call)
        return announced

    def _give_up(self, latest: int) -> None:
        for call in [call for call in self._said if call not in self._announced]:
            if self._bytes <= self._most or call == latest:
                return
            self.drop(call)

    def announce(self, call: int) -> bool:
        """Note that only the size of an outcome is said: it is not given up before it is.

        False where too much waits already: then it has to be said whole.
        """
        if call in self._announced or call not in self._said:
            return True
        size = len(self._said[call][0])
        if self._large + size > self._most_large:
            return False
        self._announced.add(call)
        self._bytes -= size
        self._large += size
        return True

    def drop(self, call: int) -> None:
        """Drop an outcome that the client has."""
        found = self._said.pop(call, None)
        if found is None:
            return
        if call in self._announced:
            self._announced.discard(call)
            self._large -= len(found[0])
        else:
            self._bytes -= len(found[0])

    def take_announced(self, calls: Iterable[int] | None = None) -> list[tuple[int, Buffer]]:
        """Return what was only announced (of `calls`, or all), and count it as said."""
        taken = self._announced if calls is None else self._announced.intersection(calls)
        self._announced = self._announced - taken
        said = self.some(taken)
        size = sum(len(data) for _, data in said)
        self._large -= size
        self._bytes += size
        return said

    def range(self, call: int, start: int, stop: int) -> Buffer:
        """Return these bytes of an outcome, which are not copied; none if it is not here."""
        data, _ = self._said.get(call, (b"", 0))
        return memoryview(data)[start:stop]

    def out_of_sight(self, line: int) -> list[tuple[int, Buffer]]:
        """Return what should be said again at `line`, and count it as said there.

        That is bounded, and lines that repeat count for nothing: or repeating would push out of
        sight what makes it repeat again.
        """
        if line < self.look_at:
            return []
        repeated, since = self._repeated
        if line - since >= self._window:
            repeated, since = 0, line
        found = []
        self.look_at = line + self._window
        for call, (data, said) in self._said.items():
            if len(data) > self._again or call in self._announced:
                continue
            if line - said < self._window or repeated + len(data) > self._again:
                self.look_at = max(said, since) + self._window
                break
            found.append((call, data))
            repeated += len(data)
        for call, data in found:
            del self._said[call]
            self._said[call] = (data, line)
        self._repeated = (repeated, since)
        return found

    def last_words(self) -> list[tuple[int, Buffer]]:
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

    def all(self) -> list[tuple[int, Buffer]]:
        """Return everything."""
        return [(call, data) for call, (data, _) in self._said.items()]

    def some(self, calls: Iterable[int]) -> list[tuple[int, Buffer]]:
        """Return what there is of `calls`."""
        return [(call, self._said[call][0]) for call in calls if call in self._said]

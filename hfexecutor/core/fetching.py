"""Large outcomes of one worker: which ranges are missing, and when and how they are fetched.

A far door gives each connection a narrow share, some 2 MiB/s through the Hub's proxy, and sixteen
of them a hundred times as much; one on this machine gives two or three all that there is. So how
many ranges are on their way at once, and how large they are, follows from the round trip. Ranges
become smaller towards the end, that all connections end together, and several outcomes take turns.

A range that does not arrive is fetched again, after a pause that grows; what has arrived stays. An
outcome of which nothing arrives in several tries is given up: then its worker says it in its log.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfexecutor.core.rules import Rules

__all__ = ["Fetching", "Key", "Range"]


class Key:
    """One try to fetch an outcome; what has arrived of it is kept under this, and goes with it."""

    __slots__ = ("__weakref__", "layout", "size")

    def __init__(self, size: int, layout: tuple[int, ...]) -> None:
        self.size = size
        self.layout = layout

    def __repr__(self) -> str:
        return f"<Key of {self.size} bytes>"


class Range(NamedTuple):
    """Bytes of an outcome, to be asked for now."""

    call: int
    key: Key
    start: int
    stop: int


class _Outcome:
    """One outcome, and how far it has come."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self._next = 0  # what comes after this was never asked for
        self._failed: list[tuple[int, int]] = []  # ranges that did not arrive
        self.under_way: dict[int, tuple[int, int]] = {}  # by the number of the request
        self.here = 0  # bytes
        self.failures = 0  # since something has arrived
        self.again_at = -math.inf

    @property
    def is_here(self) -> bool:
        return not (self.under_way or self._failed) and self._next >= self.key.size

    def may_ask(self, now: float) -> bool:
        return now >= self.again_at and (bool(self._failed) or self._next < self.key.size)

    def take(self, size: int) -> tuple[int, int]:
        """Return the next range, of about `size` bytes."""
        if self._failed:
            return self._failed.pop()
        start, self._next = self._next, min(self.key.size, self._next + size)
        return start, self._next

    @property
    def unasked(self) -> int:
        return self.key.size - self._next

    def arrived(self, number: int) -> None:
        start, stop = self.under_way.pop(number)
        self.here += stop - start
        self.failures, self.again_at = 0, -math.inf

    def did_not_arrive(self, number: int) -> None:
        self._failed.append(self.under_way.pop(number))
        self.failures += 1


class Fetching:
    """All large outcomes that are fetched from one worker.

    Args:
        rules: The sizes and pauses.
        jitter: Returns a number from 0 to 1.

    Attributes:
        outcomes: Those on their way, by call; whose turn it is comes first.
        due: When a range is to be asked for again.
    """

    def __init__(self, rules: Rules, *, jitter: Callable[[], float]) -> None:
        self._rules = rules
        self._jitter = jitter
        self.outcomes: dict[int, _Outcome] = {}
        self.due = math.inf

    def __repr__(self) -> str:
        return f"<Fetching {len(self.outcomes)} outcomes>"

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes that are here of the outcomes that are on their way, and all of theirs."""
        outcomes = self.outcomes.values()
        return sum(one.here for one in outcomes), sum(one.key.size for one in outcomes)

    def add(self, call: int, size: int, layout: tuple[int, ...] = ()) -> None:
        """Fetch an outcome, unless that is under way."""
        if call not in self.outcomes and size > 0:
            self.outcomes[call] = _Outcome(Key(size, layout))

    def drop(self, call: int) -> None:
        """Fetch no more of an outcome."""
        self.outcomes.pop(call, None)
        if not self.outcomes:  # nobody asks then, and a moment that has come would be due for ever
            self.due = math.inf

    def clear(self) -> None:
        """Fetch nothing more."""
        self.outcomes.clear()
        self.due = math.inf

    def ask(self, now: float, round_trip: float, number: Callable[[], int]) -> Iterator[Range]:
        """Yield the ranges that are to be asked for now.

        Args:
            now: The time.
            round_trip: Of a small message to the door; it says how far that is.
            number: Returns the number of the next request.
        """
        far = round_trip > self._rules.near
        most, largest = self._rules.fetches[far], self._rules.fetch_bytes[far]
        free = most - sum(len(one.under_way) for one in self.outcomes.values())
        while free > 0:
            turn = next((c for c, one in self.outcomes.items() if one.may_ask(now)), None)
            if turn is None:
                break
            one = self.outcomes[turn] = self.outcomes.pop(turn)  # the others are before it now
            size = one.unasked // (2 * most)
            start, stop = one.take(max(self._rules.fetch_least, min(largest, size)))
            one.under_way[number()] = (start, stop)
            free -= 1
            yield Range(turn, one.key, start, stop)
        paused = (one.again_at for one in self.outcomes.values() if one.again_at > now)
        self.due = min(paused, default=math.inf) if free > 0 else math.inf

    def arrived(self, number: int, call: int) -> None:
        """Note that a range is here. One of an earlier try to fetch this outcome does not count."""
        one = self.outcomes.get(call)
        if one is not None and number in one.under_way:
            one.arrived(number)
            if one.is_here:
                self.drop(call)

    def failed(self, number: int, call: int, now: float) -> bool:
        """Note that a range did not arrive; say whether the outcome is given up for it."""
        one = self.outcomes.get(call)
        if one is None or number not in one.under_way:
            return False
        one.did_not_arrive(number)
        if one.failures >= self._rules.fetch_tries:
            self.drop(call)
            return True
        first, longest = self._rules.fetch_again
        pause = min(longest, first * 2.0 ** min(one.failures - 1, 30))
        one.again_at = now + self._jitter() * pause
        return False

"""Virtual time: what happens next happens now."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class LivelockError(AssertionError):
    """Things happen without end, and no time passes."""


class Timer:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function: Callable[..., Any] | None = function
        self.args = args

    def cancel(self) -> None:
        self.function = None
        self.args = ()


class Clock:
    """Calls functions in the order of their moments; no moment is earlier than the last one."""

    MOST_AT_ONCE = 200_000

    def __init__(self) -> None:
        self.now = 0.0
        self.happened = 0
        self._at_once = 0
        self._count = 0
        self._heap: list[tuple[float, int, Timer]] = []

    def later(self, seconds: float, function: Callable[..., Any], *args: Any) -> Timer:
        """Call a function after some time."""
        return self.at(self.now + seconds, function, *args)

    def at(self, moment: float, function: Callable[..., Any], *args: Any) -> Timer:
        """Call a function at a moment, or now if that has passed."""
        timer = Timer(function, args)
        self._count += 1
        heapq.heappush(self._heap, (max(moment, self.now), self._count, timer))
        return timer

    def step(self) -> bool:
        """Let the next thing happen; False if there is none."""
        while self._heap:
            moment, _, timer = heapq.heappop(self._heap)
            if timer.function is None:
                continue
            self._at_once = self._at_once + 1 if moment == self.now else 0
            if self._at_once > self.MOST_AT_ONCE:
                raise LivelockError(f"{self._at_once} things at {self.now} s: {timer.function}")
            self.now = moment
            self.happened += 1
            timer.function(*timer.args)
            return True
        return False

"""How fast to ask: one budget for all API requests of a client, launches included.

The Hub says in every answer how much of the account's budget is left (``RateLimit:
"api";r=912;t=240``). While much is left nobody waits. When it runs low, requests are spaced so
that the rest lasts until the window turns, with a reserve that only cancels may touch. After a 429
*all* requests hold until the time the Hub named, cancels being first in line when it is over.

:class:`Budget` is the arithmetic: no clock, no sleep. :class:`Limiter` does the waiting.
"""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfexecutor.hub.clock import Clock

__all__ = ["Budget", "Limiter", "Window", "parse_retry_after", "parse_window"]

_PARAM: Final = re.compile(r"\s*([a-zA-Z*]\w*)\s*=\s*\"?(-?[0-9]+(?:\.[0-9]+)?)", re.ASCII)
_LONGEST: Final = 86_400.0  # nobody is told to wait for more than a day
_COMFORT: Final = 0.25  # of the quota: above it nobody waits
_FEW: Final = 100.0  # what counts as comfortable where the quota is not told
_RESERVE: Final = 10.0  # requests kept for cancels
_GRACE: Final = 0.5  # seconds that cancels have for themselves after a hold


class Window(NamedTuple):
    """What one ``RateLimit`` header says: `remaining` requests for the next `reset` seconds."""

    remaining: float
    reset: float
    quota: float | None = None


def parse_window(headers: Mapping[str, str]) -> Window | None:
    """Read ``RateLimit`` and ``RateLimit-Policy`` (lower-case keys); None where they say nothing.

    Of several policies the one with the least left counts. Whatever cannot be read is ignored:
    a header is a hint, never a reason to fail.
    """
    quotas = {name: params.get("q") for name, params in _items(headers.get("ratelimit-policy", ""))}
    windows = [
        Window(params["r"], min(params["t"], _LONGEST), quotas.get(name))
        for name, params in _items(headers.get("ratelimit", ""))
        if "r" in params and "t" in params
    ]
    return min(windows, key=lambda window: window.remaining, default=None)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds a 429 (or 503) asks to stay away, None where it does not say."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:9]), _LONGEST)
    window = parse_window(headers)
    return window.reset if window is not None and window.remaining < 1 else None


def _items(header: str) -> list[tuple[str, dict[str, float]]]:
    return [_item(piece) for piece in header[:4_096].split(",")]


def _item(piece: str) -> tuple[str, dict[str, float]]:
    name, *params = piece.split(";")
    matches = filter(None, map(_PARAM.match, params))
    return name.strip(' "'), {m[1].lower(): max(0.0, float(m[2])) for m in matches}


class Budget:
    """Say when the next request may go, given what the Hub said last. Pure: time is passed in."""

    def __init__(self) -> None:
        self._held_until = -math.inf
        self._window_ends = -math.inf
        self._remaining = math.inf
        self._quota: float | None = None
        self._last = -math.inf
        self._next = -math.inf

    def __repr__(self) -> str:
        quota = "?" if self._quota is None else f"{self._quota:.0f}"
        return f"<Budget {self._remaining:.0f} of {quota} left>"

    def observe(self, window: Window, now: float) -> None:
        """Take over what an answer said is left."""
        self._remaining, self._quota = window.remaining, window.quota
        self._window_ends = now + window.reset
        self._next = self._last + self._gap(now)

    def hold(self, seconds: float, now: float) -> None:
        """Let nothing through for `seconds`: the Hub said so."""
        self._held_until = max(self._held_until, now + seconds)

    def delay(self, now: float, *, urgent: bool = False) -> float:
        """Return the seconds that the next request should still wait, 0 for none."""
        if urgent:
            return max(0.0, self._held_until - now)
        free = max(self._held_until + _GRACE, self._next)
        return max(0.0, free - now)

    def spend(self, now: float) -> None:
        """Count a request that goes out now."""
        self._remaining -= 1
        self._last = now
        self._next = now + self._gap(now)

    def _gap(self, now: float) -> float:
        """Return the seconds to keep between two requests."""
        left = self._window_ends - now
        comfortable = _FEW if self._quota is None else self._quota * _COMFORT
        if left <= 0 or self._remaining > comfortable:
            return 0.0
        return left / max(1.0, self._remaining - _RESERVE)


class Limiter:
    """Make requests wait as the :class:`Budget` says, in the order in which they came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._budget = Budget()
        self._lines = {False: asyncio.Lock(), True: asyncio.Lock()}

    def __repr__(self) -> str:
        return f"<Limiter {self._budget!r}>"

    async def admit(self, deadline: float, *, urgent: bool = False) -> bool:
        """Wait until a request may go; False, at once, when that cannot be before `deadline`.

        Args:
            deadline: On the limiter's own clock.
            urgent: True for a cancel: it has a line of its own and is not paced.
        """
        if self._clock.now() + self._budget.delay(self._clock.now(), urgent=urgent) > deadline:
            return False
        async with self._lines[urgent]:  # only the head of the line sleeps and looks again
            while wait := self._budget.delay(now := self._clock.now(), urgent=urgent):
                if now + wait > deadline:
                    return False
                await self._clock.sleep(wait)
            self._budget.spend(self._clock.now())
        return True

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of any answer (lower-case keys)."""
        window = parse_window(headers)
        if window is not None:
            self._budget.observe(window, self._clock.now())

    def hold(self, seconds: float) -> None:
        """Let nobody through for `seconds`: the Hub said so."""
        self._budget.hold(seconds, self._clock.now())

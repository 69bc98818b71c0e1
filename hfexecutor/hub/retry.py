"""When to ask the Hub again, and when to stop asking.

Only requests that may safely be repeated come here: reads, and cancels. What may pass (408, 429,
5xx, timeouts, resets) is asked again with growing, jittered pauses until `give_up_after` seconds
are over; everything else is final at once. Each pause is logged with its reason.

The time begins with the first try that fails. A process may stand still, as with its machine's lid
closed, and find its connections dead when it goes on. That time is not the Hub's: of each try at
most half a minute counts, and of each pause what it was meant to be. What a later try has to wait
for the rate limit counts in full.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random

from hfexecutor.errors import HubUnavailableError, RateLimitedError
from hfexecutor.hub.failures import SLOWER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

    from hfexecutor.hub.clock import Clock

__all__ = ["TransientError", "persist"]

_LOG: Final = logging.getLogger("hfexecutor.hub")
_LONGEST_TRY: Final = 30.0  # seconds: no request waits longer for an answer
_QUIET_TRIES: Final = 2  # the first hiccups are nobody's business
_BACKOFF: Final = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 0.5)

T = TypeVar("T")


class TransientError(Exception):
    """One try failed in a way that may pass; nobody outside of this package gets to see it.

    Attributes:
        seen: What happened, in words ("503 Service Unavailable", "no answer within 30 s").
        limited: Whether the Hub asked to slow down.
        wait: Seconds that the Hub asked to wait, 0 if it named none.
    """

    def __init__(self, seen: str, *, limited: bool = False, wait: float = 0.0) -> None:
        super().__init__(seen)
        self.seen = seen
        self.limited = limited
        self.wait = wait


class _Patience:
    """The time that one request has, and what tenacity asks about it."""

    def __init__(self, clock: Clock, seconds: float, doing: str, advice: Callable[[], str]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._doing = doing
        self._advice = advice
        self._spent = 0.0

    async def attempt(
        self, admit: Callable[[float], Awaitable[None]], attempt: Callable[[], Awaitable[T]]
    ) -> T:
        """Make one try when it may be made, and count the time that it takes."""
        began, left = self._clock.now(), self._seconds - self._spent
        await admit(left)
        if self._spent:
            self._spent += min(self._clock.now() - began, left)
        began = self._clock.now()
        try:
            return await attempt()
        finally:
            self._spent += min(self._clock.now() - began, _LONGEST_TRY)

    def over(self, state: RetryCallState) -> bool:
        """Stop when the next try would come too late."""
        return self._spent + state.upcoming_sleep > self._seconds

    def tell(self, state: RetryCallState) -> None:
        """Log why there is a pause, and count it."""
        self._spent += state.upcoming_sleep
        level = logging.INFO if state.attempt_number <= _QUIET_TRIES else logging.WARNING
        pause = state.upcoming_sleep
        _LOG.log(
            level, "Could not %s: %s; next try in %.1f s", self._doing, _cause(state).seen, pause
        )

    def give_up(self, state: RetryCallState) -> None:
        """Raise the error that says what was seen last, how often and for how long."""
        cause = _cause(state)
        tries = "once" if state.attempt_number == 1 else f"{state.attempt_number} times"
        kind = RateLimitedError if cause.limited else HubUnavailableError
        raise kind(
            f"Could not {self._doing}: tried {tries} in {self._spent:.0f} s, "
            f"seen last: {cause.seen}. "
            f"{SLOWER if cause.limited else self._advice()}"
        ) from cause


async def persist(
    attempt: Callable[[], Awaitable[T]],
    doing: str,
    *,
    admit: Callable[[float], Awaitable[None]],
    clock: Clock,
    give_up_after: float,
    advice: Callable[[], str],
) -> T:
    """Return what `attempt` returns, calling it again while it raises :class:`TransientError`.

    Args:
        attempt: One try; may be repeated without harm.
        doing: What it is for, as it reads after "could not".
        admit: Waits until a try may be made, for so many seconds at the most; raises if it may not.
        clock: Time and sleep.
        give_up_after: Seconds after the first failure, after which no further try is begun.
        advice: Says what to do when the time is over, unless it is to slow down.

    Raises:
        HubUnavailableError: The time is over; the message says what was seen last.
        RateLimitedError: The same, and it was the Hub that asked to wait.
    """
    patience = _Patience(clock, give_up_after, doing, advice)
    retrying = AsyncRetrying(
        sleep=clock.sleep,
        retry=retry_if_exception_type(TransientError),
        wait=_pause,
        stop=patience.over,
        before_sleep=patience.tell,
        retry_error_callback=patience.give_up,
    )
    return await retrying(patience.attempt, admit, attempt)


def _cause(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, TransientError)
    return error


def _pause(state: RetryCallState) -> float:
    return max(_cause(state).wait, _BACKOFF(state))

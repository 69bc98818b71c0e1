"""Which of a call's exceptions are retried, and after what pause: `retry_on` and `retry_wait`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeAlias

from tenacity import RetryCallState, Retrying, wait_exponential_jitter

from hfexecutor.errors import HubExecutorError, RemoteCallError
from hfexecutor.remote.error_report import type_name

__all__ = ["DEFAULT_WAIT", "RetryOn", "RetryRule", "Wait", "check_retry_on", "check_retry_wait"]

logger = logging.getLogger("hfexecutor")

RetryOn: TypeAlias = "type[BaseException] | Iterable[type[BaseException]]"
Wait: TypeAlias = Callable[[RetryCallState], float]

DEFAULT_WAIT: Final[Wait] = wait_exponential_jitter(initial=1, max=60)


class RetryRule(NamedTuple):
    """Says whether, and when, a call runs again that has raised.

    Attributes:
        kinds: Exceptions of these types, and of those derived from them. Errors of this library
            count only where they are named as such: ``Exception`` does not mean CallDiedError.
        wait: One of tenacity's strategies: from how often it was tried, to the seconds of a pause.
    """

    kinds: tuple[type[BaseException], ...]
    wait: Wait

    def matches(self, error: BaseException) -> bool:
        """Say whether this is one to retry.

        What cannot be rebuilt on this side has no type here, so the name of its own decides.
        """
        if isinstance(error, RemoteCallError) and error.type_name:
            return error.type_name in {type_name(kind) for kind in self.kinds}
        kinds = self.kinds
        if isinstance(error, HubExecutorError):
            kinds = tuple(kind for kind in kinds if issubclass(kind, HubExecutorError))
        return isinstance(error, kinds)

    def pause(self, error: BaseException, attempt: int) -> float | None:
        """Return the seconds until a call runs again, None if it does not.

        Args:
            error: What its last attempt has raised.
            attempt: The number of that one; the first is 1.
        """
        if not self.matches(error):
            return None
        try:
            seconds = float(self.wait(_state(error, attempt)))
        except Exception:  # a user's strategy
            logger.exception("retry_wait raised, so the call is not retried")
            return None
        return max(0.0, seconds) if seconds < math.inf else None


def _state(error: BaseException, attempt: int) -> RetryCallState:
    """Return what tenacity's strategies look at."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    outcome: Any = Future()  # as tenacity's own, which has a number besides
    outcome.attempt_number = attempt
    outcome.failed = True
    outcome.set_exception(error)
    state.outcome = outcome
    return state


def check_retry_on(name: str, given: RetryOn | None) -> tuple[type[BaseException], ...]:
    """Return the types of exceptions that a user names."""
    if given is None:
        return ()
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, type)):
        kinds = tuple(given)
    else:
        kinds = (given,)  # type: ignore[assignment] # it is looked at now
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise TypeError(
                f"{name} must be an exception's type, or a tuple of some, like (ConnectionError, "
                f"TimeoutError); not {kind!r}"
            )
    return kinds


def check_retry_wait(name: str, given: Wait | None) -> Wait:
    """Return the strategy that a user names, or the default."""
    if given is None:
        return DEFAULT_WAIT
    if isinstance(given, type) or not callable(given):
        raise TypeError(
            f"{name} must be one of tenacity's wait strategies, like tenacity.wait_fixed(5); not "
            f"{given!r}"
        )
    return given

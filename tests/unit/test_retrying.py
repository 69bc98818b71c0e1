"""Which exceptions are retried, and after what pause."""

from __future__ import annotations

import pytest
import tenacity

from hfexecutor import errors
from hfexecutor.retrying import DEFAULT_WAIT, RetryRule, check_retry_on, check_retry_wait


class Mine(ConnectionError):
    pass


def rule(*kinds, wait=DEFAULT_WAIT):
    return RetryRule(kinds, wait)


def unknown(name):
    error = errors.RemoteCallError("somewhere else")
    error.type_name = name
    return error


@pytest.mark.parametrize(
    ("kinds", "error", "matches"),
    [
        ((ConnectionError,), Mine(), True),
        ((ConnectionError, KeyError), KeyError(1), True),
        ((KeyError,), ValueError(), False),
        ((Exception,), KeyError(), True),
        # Ours count only where they are meant: a call that takes too long does so again.
        ((Exception,), errors.CallDiedError(), False),
        ((TimeoutError,), errors.CallTimeoutError(), False),
        ((errors.CallTimeoutError,), errors.CallTimeoutError(), True),
        ((errors.CallError,), errors.CallDiedError(), True),
        # What cannot be rebuilt has but a name.
        ((KeyError,), unknown("KeyError"), True),
        ((Mine,), unknown(f"{__name__}.Mine"), True),
        ((ConnectionError,), unknown(f"{__name__}.Mine"), False),
        ((Exception,), unknown("KeyError"), False),
    ],
)
def test_types_decide_and_names_where_there_is_no_type(kinds, error, matches):
    assert rule(*kinds).matches(error) is matches
    assert (rule(*kinds).pause(error, 1) is not None) is matches


def test_the_default_pause_grows_with_some_chance_up_to_a_minute():
    pauses = [rule(KeyError).pause(KeyError(), attempt) for attempt in range(1, 20)]
    for attempt, pause in enumerate(pauses):
        assert min(60, 2**attempt) <= pause <= min(60, 2**attempt + 1)


def test_strategies_of_tenacity_are_asked_with_what_they_look_at():
    fixed = tenacity.wait_fixed(5) + tenacity.wait_none()
    assert rule(KeyError, wait=fixed).pause(KeyError(), 3) == 5
    told = tenacity.wait_exception(lambda error: error.args[0])
    assert rule(KeyError, wait=told).pause(KeyError(7), 1) == 7
    assert rule(KeyError, wait=lambda state: state.attempt_number).pause(KeyError(), 4) == 4


@pytest.mark.parametrize("wait", [lambda _: 1 / 0, lambda _: None, lambda _: float("inf")])
def test_a_strategy_that_names_no_time_ends_the_retries(wait):
    assert rule(KeyError, wait=wait).pause(KeyError(), 1) is None


def test_a_pause_is_never_negative():
    assert rule(KeyError, wait=lambda _: -1).pause(KeyError(), 1) == 0.0


def test_types_are_taken_alone_and_together():
    assert check_retry_on("retry_on", None) == ()
    assert check_retry_on("retry_on", KeyError) == (KeyError,)
    assert check_retry_on("retry_on", [KeyError, OSError]) == (KeyError, OSError)


@pytest.mark.parametrize("given", ["KeyError", KeyError(), (KeyError, "x"), int, 3])
def test_what_is_no_type_of_exceptions_is_refused(given):
    with pytest.raises(TypeError, match="retry_on must be an exception's type"):
        check_retry_on("retry_on", given)


@pytest.mark.parametrize("given", [3, "5s", tenacity.wait_fixed])
def test_what_is_no_strategy_is_refused(given):
    with pytest.raises(TypeError, match=r"retry_wait must be one of tenacity's .*wait_fixed\(5\)"):
        check_retry_wait("retry_wait", given)

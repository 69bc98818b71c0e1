"""What a call raises arrives as it was raised, and says where."""

from __future__ import annotations

import sys
import traceback
from concurrent.futures import FIRST_EXCEPTION, as_completed, wait

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


@pytest.fixture
def falsy(kind):
    if not kind.hub and sys.version_info < (3, 14):
        pytest.skip("older executors of the stdlib take a false exception for none")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong", 1),
        KeyError("key"),
        OSError(2, "No such file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        ZeroDivisionError(),
        calls.CustomError("mine"),
        TimeoutError("the call's own"),
        StopIteration("done"),
        SystemExit(3),
        KeyboardInterrupt(),
        ExceptionGroup("several", [ValueError(1), TypeError(2)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_keeps_its_type_and_arguments(executor, error):
    future = executor.submit(calls.fail, error)

    with pytest.raises(type(error)) as caught:
        future.result(TIMEOUT)
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert repr(caught.value.args) == repr(error.args)
    assert future.exception() is caught.value


def test_the_cause_is_the_remote_traceback(kind, executor):
    error = executor.submit(calls.fail_below_here, "text").exception(TIMEOUT)

    printed = "".join(traceback.format_exception(error))
    assert "_deeper_frame" in printed
    if kind.remote:
        assert error.__cause__ is not None
        assert "_deeper_frame" in str(error.__cause__)
        assert "CustomError: text" in str(error.__cause__)


def test_the_cause_that_the_call_gave_is_told(executor):
    error = executor.submit(calls.fail_with_a_cause).exception(TIMEOUT)

    printed = "".join(traceback.format_exception(error))
    assert "the cause underneath" in printed
    assert "the error on top" in printed


def test_notes_are_told(executor):
    error = executor.submit(calls.fail_with_a_note).exception(TIMEOUT)

    assert "a note of the call's own" in "".join(traceback.format_exception(error))


@pytest.mark.usefixtures("falsy")
def test_a_false_exception_is_an_exception_everywhere(executor):
    future = executor.submit(calls.fail, calls.FalsyError("false"))

    assert wait([future], TIMEOUT, FIRST_EXCEPTION).done == {future}
    assert [completed.exception() is not None for completed in as_completed([future])] == [True]
    with pytest.raises(calls.FalsyError):
        future.result(TIMEOUT)
    with pytest.raises(calls.FalsyError):
        list(executor.map(calls.fail, [calls.FalsyError("mapped")], timeout=TIMEOUT))


def test_a_failed_call_fails_alone(executor):
    futures = [executor.submit(calls.fail_at, 1, n) for n in range(3)]

    assert futures[0].result(TIMEOUT) == 0
    assert isinstance(futures[1].exception(TIMEOUT), calls.CustomError)
    assert futures[2].result(TIMEOUT) == 2


def test_the_result_of_a_future_can_be_raised_twice(executor):
    future = executor.submit(calls.fail, calls.CustomError("again"))

    for _ in range(2):
        with pytest.raises(calls.CustomError, match="again"):
            future.result(TIMEOUT)

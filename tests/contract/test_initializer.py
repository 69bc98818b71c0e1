"""Initializers: once in every worker, and what happens when one fails."""

from __future__ import annotations

import contextlib
from concurrent.futures import BrokenExecutor

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


@pytest.fixture(autouse=True)
def unmarked():
    calls.forget()
    yield
    calls.forget()


def test_calls_find_what_the_initializer_left(make):
    executor = make(2, initializer=calls.remember, initargs=("ready",))
    futures = [executor.submit(calls.remembered) for _ in range(4)]

    assert [future.result(TIMEOUT) for future in futures] == ["ready"] * 4


def test_without_an_initializer_there_is_nothing_to_find(executor):
    assert executor.submit(calls.remembered).result(TIMEOUT) == "unset"


def test_an_initializer_is_callable(kind):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        kind.make(1, initializer=123)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failing_initializer_breaks_the_executor(make, capfd):
    executor = make(1, initializer=calls.fail_to_initialize)
    futures = [executor.submit(calls.nothing)]
    with contextlib.suppress(BrokenExecutor):  # as soon as it is known, submit says it
        futures += [executor.submit(calls.nothing) for _ in range(2)]

    for future in futures:
        with pytest.raises(BrokenExecutor):
            future.result(TIMEOUT)
    with pytest.raises(BrokenExecutor):
        executor.submit(calls.nothing).result(TIMEOUT)
    executor.shutdown()


def test_the_error_of_a_broken_executor_says_why(kind, make):
    if not kind.hub:
        pytest.skip("the stdlib logs the reason elsewhere")
    executor = make(1, initializer=calls.fail_to_initialize)

    with pytest.raises(BrokenExecutor, match="initializer") as caught:
        executor.submit(calls.nothing).result(TIMEOUT)
    assert "this initializer always fails" in str(caught.value)
    assert "this initializer always fails" in str(caught.value.__cause__)

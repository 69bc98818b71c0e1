"""What ``submit`` takes, and what its future gives back."""

from __future__ import annotations

from concurrent.futures import Future

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


def test_a_call_returns_its_value(executor):
    future = executor.submit(pow, 2, 5)

    assert isinstance(future, Future)
    assert future.result(TIMEOUT) == 32
    assert future.exception(TIMEOUT) is None


def test_arguments_arrive_as_they_were_given(executor):
    future = executor.submit(calls.echo, 1, "zwei", None, [3.0], key={"a": b"\0"})

    assert future.result(TIMEOUT) == ((1, "zwei", None, [3.0]), {"key": {"a": b"\0"}})


def test_keywords_named_like_the_parameters_of_submit_reach_the_call(executor):
    future = executor.submit(calls.echo, fn=1, self=2)

    assert future.result(TIMEOUT) == ((), {"fn": 1, "self": 2})


def test_the_function_is_positional_only(executor):
    with pytest.raises(TypeError):
        executor.submit(fn=calls.nothing)
    with pytest.raises(TypeError):
        executor.submit()


def test_a_method_of_an_object_is_a_function_too(executor):
    assert executor.submit(calls.Thing("named").told, 1).result(TIMEOUT) == "named"


def test_what_cannot_be_called_fails_on_the_future(executor):
    future = executor.submit(42)

    assert isinstance(future.exception(TIMEOUT), TypeError)


def test_wrong_arguments_fail_on_the_future(executor):
    future = executor.submit(calls.double, 1, 2, 3)

    assert isinstance(future.exception(TIMEOUT), TypeError)


@pytest.mark.parametrize("value", [None, 0, "", [], False, NotImplemented, ...])
def test_empty_values_are_results(executor, value):
    assert executor.submit(calls.same, value).result(TIMEOUT) == value


def test_a_large_value_comes_back_whole(kind, executor):
    value = bytes(range(256)) * (kind.largest // 256)

    assert executor.submit(calls.same, value).result(TIMEOUT) == value


def test_remote_calls_run_in_another_process(kind, executor):
    import os

    there = executor.submit(calls.process_id).result(TIMEOUT)

    assert (there != os.getpid()) == kind.remote


def test_an_argument_is_taken_as_it_is_at_submit(kind, executor, gate):
    if not kind.hub:
        pytest.skip("the stdlib pickles later, or never")
    held = executor.submit(calls.meet, gate.address)
    value = ["before"]
    future = executor.submit(calls.same, value)
    value.append("after")
    gate.open()

    assert held.result(TIMEOUT) is None
    assert future.result(TIMEOUT) == ["before"]


def test_what_cannot_be_pickled_fails_and_the_next_call_works(kind, executor):
    if not kind.remote:
        pytest.skip("threads pickle nothing")
    import threading

    with pytest.raises(Exception, match=r"(?i)pickle"):
        executor.submit(calls.same, threading.Lock()).result(TIMEOUT)

    assert executor.submit(calls.same, 1).result(TIMEOUT) == 1


def test_a_result_that_cannot_be_pickled_fails_and_the_next_call_works(kind, executor):
    if not kind.remote:
        pytest.skip("threads pickle nothing")
    import threading

    future = executor.submit(threading.Lock)

    assert "pickle" in str(future.exception(TIMEOUT)).lower()
    assert executor.submit(calls.same, 1).result(TIMEOUT) == 1


@pytest.mark.parametrize("number", [0, -1, -100])
def test_the_number_of_workers_is_positive(kind, number):
    with pytest.raises(ValueError, match=r"^max_workers must be greater than 0$"):
        kind.make(number)


def test_the_number_of_workers_is_the_first_parameter_and_a_keyword(kind):
    with kind.make(1) as by_place, kind.make(max_workers=1) as by_name:
        futures = [by_place.submit(calls.same, 1), by_name.submit(calls.same, 2)]

        assert [future.result(TIMEOUT) for future in futures] == [1, 2]


def test_no_more_calls_run_at_once_than_there_are_workers(make, gate):
    executor = make(2)
    futures = [executor.submit(calls.meet, gate.address, n) for n in range(4)]
    gate.arrived(2)

    assert not any(future.done() for future in futures)
    gate.let_one_pass()
    gate.arrived(1)  # the place of the one that left is taken
    assert sum(future.done() for future in futures) <= 1

    gate.open()
    assert [future.result(TIMEOUT) for future in futures] == [0, 1, 2, 3]

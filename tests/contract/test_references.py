"""Nothing is kept alive longer than it is needed."""

from __future__ import annotations

import contract_calls as calls

TIMEOUT = calls.DEADLINE


def test_an_argument_is_let_go_when_its_call_is_done(executor, released):
    thing = calls.Thing("argument")
    gone = released.watch(thing)
    future = executor.submit(calls.name_of, thing)
    del thing

    assert future.result(TIMEOUT) == "argument"
    assert released.now(gone)


def test_the_object_of_a_method_is_let_go_when_its_call_is_done(executor, released):
    thing = calls.Thing("owner")
    gone = released.watch(thing)
    future = executor.submit(thing.told)
    del thing

    assert future.result(TIMEOUT) == "owner"
    assert released.now(gone)


def test_a_pickled_argument_is_let_go_at_submit(kind, make, gate, released):
    import pytest

    if not kind.hub:
        pytest.skip("the stdlib keeps the argument until the call is sent")
    executor = make(1)
    executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    thing = calls.Thing()
    gone = released.watch(thing)
    later = executor.submit(calls.name_of, thing)
    del thing

    assert released.now(gone)
    assert not later.done()


def test_a_result_is_let_go_with_its_future(executor, released):
    future = executor.submit(calls.make_thing, "result")
    gone = released.watch(future.result(TIMEOUT))
    del future

    assert released.now(gone)


def test_a_result_that_was_yielded_is_let_go(executor, released):
    events = []
    for thing in executor.map(calls.make_thing, "abc"):
        events.append(released.watch(thing))
        del thing
        assert released.now(events[-1])

    assert len(events) == 3


def test_an_exception_is_let_go_with_its_future(executor, released):
    future = executor.submit(calls.fail, calls.CustomError("once"))
    gone = released.watch(future.exception(TIMEOUT))
    del future

    assert released.now(gone)


def test_a_future_is_let_go_when_it_is_done(executor, released):
    future = executor.submit(calls.nothing)
    future.result(TIMEOUT)
    gone = released.watch(future)
    del future

    assert released.now(gone)


def test_a_cancelled_call_lets_its_arguments_go(make, gate, released):
    executor = make(1)
    executor.submit(calls.meet, gate.address)
    gate.arrived(1)
    ahead = [executor.submit(calls.nothing) for _ in range(5)]
    thing = calls.Thing()
    gone = released.watch(thing)
    future = executor.submit(calls.name_of, thing)
    assert future.cancel()
    del thing
    gate.open()

    assert [one.result(TIMEOUT) for one in ahead] == [None] * 5
    assert released.now(gone)


def test_an_idle_executor_that_nobody_holds_goes_away(make_unheld, released):
    executor = make_unheld(1)
    executor.submit(calls.nothing).result(TIMEOUT)
    gone = released.watch(executor)
    del executor

    assert released.now(gone)


def test_an_executor_does_not_outlive_its_shutdown(make_unheld, released):
    executor = make_unheld(1)
    executor.submit(calls.nothing)
    executor.shutdown()
    gone = released.watch(executor)
    del executor

    assert released.now(gone)

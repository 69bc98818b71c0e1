"""What goes to a worker's door: calls in their order, functions once, orders last."""

from __future__ import annotations

import pytest
from core_stories import make_call
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.core.call import Function
from hfexecutor.core.outgoing import Outgoing
from hfexecutor.core.rules import Rules
from hfexecutor.remote import entries as wire

KINDS = {wire.CALL: "call", wire.FUNCTION: "function", wire.ACK: "ack", wire.KILL: "kill"}
KINDS |= {wire.RECALL: "recall", wire.LEAVE: "leave", wire.AGAIN: "again"}
SMALL = Rules(message=1000)


@pytest.fixture
def outgoing():
    return Outgoing(Rules())


def told(outgoing):
    return [(KINDS[entry.kind], entry.call) for entry in outgoing.compose()]


def messages(outgoing):
    found = []
    while outgoing.is_urgent:
        found.append(outgoing.compose())
    return found


def test_calls_travel_in_their_order_and_each_once(outgoing):
    for n in (3, 1, 2):
        outgoing.give(make_call(n))

    assert told(outgoing) == [("call", 3), ("call", 1), ("call", 2)]
    assert told(outgoing) == []


def test_a_call_that_is_taken_back_in_time_stays_at_home(outgoing):
    outgoing.give(make_call(1))
    outgoing.give(make_call(2))

    assert outgoing.take_back(1)
    assert told(outgoing) == [("call", 2)]
    assert not outgoing.take_back(2)


def test_a_function_travels_once_and_before_its_first_call(outgoing):
    function = Function(7, b"f")
    outgoing.give(make_call(1, function=function))
    outgoing.give(make_call(2, function=function))

    assert told(outgoing) == [("function", 7), ("call", 1), ("call", 2)]


def test_a_function_that_came_with_the_launch_does_not_travel_again(outgoing):
    function = Function(7, b"f")
    outgoing.aboard([make_call(1, function=function)])
    outgoing.give(make_call(2, function=function))

    assert told(outgoing) == [("call", 2)]


def test_what_workers_are_known_to_have_is_bounded():
    outgoing = Outgoing(Rules(functions=3))
    for n in range(1, 10):
        outgoing.give(make_call(n, function=Function(n, b"f")))
    outgoing.compose()

    assert len(outgoing._kept) <= 3


def test_orders_follow_the_calls_that_they_may_be_about(outgoing):
    outgoing.recall([1])
    outgoing.kill([2])
    outgoing.leave()
    outgoing.acknowledge(9)
    outgoing.give(make_call(1))

    kinds = [kind for kind, _ in told(outgoing)]
    assert kinds == ["ack", "call", "recall", "kill", "leave"]


def test_orders_wait_until_all_calls_are_on_their_way():
    outgoing = Outgoing(SMALL)
    outgoing.give(make_call(1, size=2500))
    outgoing.kill([1])

    first, *rest = messages(outgoing)
    assert wire.KILL not in {entry.kind for entry in first}
    assert rest[-1][-1].kind == wire.KILL


@given(st.lists(st.integers(0, 5000), max_size=8), st.integers(0, 3000))
def test_calls_of_any_size_arrive_in_messages_of_a_bounded_size(sizes, function_size):
    outgoing, function = Outgoing(SMALL), Function(99, b"f" * function_size)
    for n, size in enumerate(sizes, 1):
        outgoing.give(make_call(n, size=size, function=function))
    assembler, arrived = wire.Assembler(), []
    for message in messages(outgoing):
        assert sum(wire.entry_size(entry) for entry in message) <= SMALL.message
        arrived += [whole for entry in message if (whole := assembler.feed(entry)) is not None]

    assert [len(e.data) for e in arrived if e.kind == wire.CALL] == sizes
    assert [e.call for e in arrived if e.kind == wire.FUNCTION] == [99] * bool(sizes)


def test_acknowledgements_travel_with_what_goes_anyway(outgoing):
    outgoing.acknowledge(1)
    assert not outgoing.is_urgent

    outgoing.leave()
    assert told(outgoing) == [("ack", 0), ("leave", 0)]
    assert outgoing.acknowledgements == 0


def test_many_acknowledgements_travel_on_their_own(outgoing):
    for n in range(Rules().acks):
        outgoing.acknowledge(n)

    assert outgoing.is_urgent
    (ack,) = outgoing.compose()
    assert len(wire.unpack_ids(ack.data)) == Rules().acks


def test_a_call_of_which_parts_are_left_has_not_arrived():
    small = Outgoing(SMALL)
    small.give(make_call(1, size=2500))
    small.give(make_call(2))
    seen = [small.incomplete]
    while small.is_urgent:
        small.compose()
        seen.append(small.incomplete)

    assert seen == [{1, 2}, {1, 2}, {1, 2}, set()]


def test_what_is_cleared_tells_which_calls_never_went(outgoing):
    small = Outgoing(SMALL)
    small.give(make_call(1, size=2500))
    small.give(make_call(2))
    small.compose()

    assert small.clear() == {1, 2}  # of the first one a part has gone, which is nothing
    assert not small.is_urgent

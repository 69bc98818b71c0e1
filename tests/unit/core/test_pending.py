"""The queue of calls that nobody holds, and the calls whose future is not done."""

from __future__ import annotations

import math

from core_stories import make_call
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.core.call import Attachment, Call, Function
from hfexecutor.core.pending import Pending


def entered(*calls):
    pending = Pending()
    pending.enter(calls)
    return pending


def taken(pending, count=100, room=math.inf):
    calls = pending.queue(("",)).dequeue(count, room)
    for call in calls:
        call.worker = "w"
    return [call.id for call in calls]


def test_calls_are_taken_in_the_order_they_were_entered():
    pending = entered(make_call(1), make_call(2), make_call(3))

    assert taken(pending, 2) == [1, 2]
    assert pending.waiting == 1


def test_calls_that_are_put_back_come_first_and_in_their_order():
    calls = [make_call(n) for n in range(1, 5)]
    pending = entered(*calls)
    taken(pending, 3)
    pending.put_back(calls[1:3])

    assert taken(pending) == [2, 3, 4]


def test_a_call_is_closed_once():
    pending = entered(make_call(1))

    assert pending.close(1).id == 1
    assert pending.close(1) is None
    assert pending.waiting == 0
    assert pending.queue(("",)).next() is None


def test_what_is_closed_is_not_put_back():
    call = make_call(1)
    pending = entered(call)
    taken(pending)
    pending.close(1)
    pending.put_back([call])

    assert (pending.waiting, taken(pending)) == (0, [])


def test_no_more_bytes_are_taken_than_there_is_room_for():
    pending = entered(make_call(1, size=60), make_call(2, size=60), make_call(3, size=1))

    assert taken(pending, room=100) == [1]
    assert taken(pending, room=50) == []
    assert pending.waiting == 2


def test_what_calls_have_in_common_counts_once():
    """One archive of local code and one function, which a launch request carries once."""
    archive, need = Attachment(7, 1, bytes(60)), Attachment(8, 1, bytes(5))
    other = Attachment(7, 2, bytes(60))
    function = Function(1, bytes(20))
    calls = [
        Call(1, None, bytes(1), function, (archive, need)),
        Call(2, None, bytes(1), function, (archive, need)),
        Call(3, None, bytes(1), Function(2, bytes(12)), (archive, need)),
        Call(4, None, bytes(1), function, (other, need)),
    ]

    assert taken(entered(*calls), room=100) == [1, 2, 3]
    assert taken(entered(*calls), room=86) == [1]
    assert taken(entered(*calls), room=85) == []


def test_a_suspect_is_taken_alone_or_left():
    pending = entered(make_call(1), make_call(2, lost=1), make_call(3))

    assert taken(pending) == [1]
    assert pending.queue(("",)).is_risky
    assert taken(pending) == [2]
    assert not pending.queue(("",)).is_risky


@given(st.lists(st.tuples(st.sampled_from("ecptb"), st.integers(0, 30)), max_size=60))
def test_it_always_knows_how_many_wait(steps):
    pending, held, number = Pending(), [], 0
    for what, n in steps:
        if what == "e":
            number += 1
            pending.enter([make_call(number)])
        elif what == "c":
            pending.close(n)
            held = [call for call in held if call.id != n]
        elif what == "t":
            calls = pending.queue(("",)).dequeue(n, math.inf)
            for call in calls:
                call.worker = "w"
            held += calls
        elif held:
            pending.put_back([held.pop(n % len(held))])
        assert pending.waiting == sum(not call.worker for call in pending.open.values())
        assert pending.waiting == len(pending.open) - len(held)

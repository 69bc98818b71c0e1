"""Who gets how many calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote.entries import call_head
from hfexecutor.remote.schedule import Pace, Queue, deal

slots = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 20)), max_size=8)


@given(st.integers(0, 300), slots)
def test_nobody_gets_more_than_it_may_and_nothing_is_left_over(waiting, slots):
    given_out = deal(waiting, slots)
    room = sum(max(0, may - has) for has, may in slots)
    assert sum(given_out) == min(waiting, room)
    assert all(
        count <= max(0, may - has) for count, (has, may) in zip(given_out, slots, strict=True)
    )


@given(st.integers(0, 300), slots)
def test_nobody_gets_calls_ahead_while_a_slot_is_idle(waiting, slots):
    given_out = deal(waiting, slots)
    idle = any(
        not has and may and not count for count, (has, may) in zip(given_out, slots, strict=True)
    )
    for count, (has, _) in zip(given_out, slots, strict=True):
        assert not (idle and has + count > 1 and count)


def test_calls_ahead_are_shared_evenly():
    assert deal(20, [(1, 64), (1, 64)]) == [10, 10]
    assert deal(21, [(0, 64), (0, 64), (1, 1)]) == [11, 10, 0]


def test_without_slots_nothing_is_given():
    assert deal(5, []) == []


def test_slow_calls_are_given_one_at_a_time():
    pace = Pace()
    for _ in range(10):
        pace.note(0.01)
    assert pace.depth == 1


def test_micro_calls_are_given_ahead_more_and_more():
    pace = Pace()
    depths = []
    for _ in range(8):
        pace.note(1e-6)
        depths.append(pace.depth)
    assert depths == [2, 4, 8, 16, 32, 64, 64, 64]


def test_one_slow_call_makes_it_careful_again():
    pace = Pace()
    for _ in range(8):
        pace.note(1e-6)
    pace.note(0.01)
    assert pace.depth == 1


def data(call, need=0):
    return call_head(0, need) + b"%d" % call


def test_the_queue_is_first_come_first_served():
    queue = Queue()
    for call in range(1, 6):
        queue.add(call, data(call))
    taken = queue.take(2)
    assert taken == {1: data(1), 2: data(2)}
    queue.put_back(taken)
    assert queue.remove([4, 4, 9]) == [4]
    assert 4 not in queue
    assert len(queue) == 4
    assert list(queue.take(10)) == [1, 2, 3, 5]
    assert queue.clear() == []


def test_calls_that_need_something_let_others_pass():
    queue = Queue()
    for call, need in ((1, 7), (2, 0), (3, 7), (4, 9)):
        queue.add(call, data(call, need))

    assert queue.needs() == [7, 0, 9]
    assert list(queue.take(9)) == [2]
    assert list(queue.take(1, 7)) == [1]
    assert queue.needs() == [7, 9]
    queue.put_back({1: data(1, 7)})
    assert list(queue.take(9, 7)) == [1, 3]
    assert queue.needs() == [9]
    assert queue.waiting(9) == 1
    queue.remove([4])
    assert queue.needs() == []


def test_the_first_call_decides_which_need_comes_first():
    queue = Queue()
    queue.add(5, data(5, 1))
    queue.put_back({3: data(3, 2)})

    assert queue.needs() == [2, 1]

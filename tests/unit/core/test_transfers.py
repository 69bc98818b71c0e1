"""The large buffers of one worker: sent in ranges, kept, and forgotten when the client says so."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest

from hfexecutor.core.call import Buffer, Call
from hfexecutor.core.rules import Rules
from hfexecutor.core.transfers import Transfers
from hfexecutor.remote.entries import RANGE_BYTES


def buffer(name, ranges=1):
    return Buffer(name.encode(), ranges * RANGE_BYTES, (b"",) * ranges)


class Sent:
    """Transfers, and what they have sent."""

    def __init__(self, **rules):
        self.transfers = Transfers(Rules(**rules))
        self.numbers = itertools.count(1)
        self.calls = itertools.count(1)
        self.now = 0.0

    def give(self, *buffers):
        call = Call(next(self.calls), None, b"", None, (), buffers)
        self.transfers.wait(call)
        return call

    def step(self, most=16):
        """Return the calls that can go at once, and what is sent: number, name, part."""
        ready = self.transfers.let_in()
        sent = self.transfers.send(self.now, most, lambda: next(self.numbers))
        return ready, [(number, one.name.decode(), part) for number, one, part in sent]

    def bring(self, *buffers):
        """Have buffers arrive that some call needs; return that call."""
        call = self.give(*buffers)
        _, sent = self.step()
        for number, _, _ in sent:
            self.transfers.arrived(number)
        return call


def test_a_call_goes_when_all_ranges_of_all_its_buffers_are_there():
    world = Sent()
    call = world.give(buffer("a", 2), buffer("b"))
    ready, sent = world.step()
    assert not ready
    assert sorted(one[1:] for one in sent) == [("a", 0), ("a", 1), ("b", 0)]
    arrived = [world.transfers.arrived(number) for number, _, _ in sent]
    assert arrived == [[], [], [call]]


def test_how_far_buffers_have_come_is_known_while_a_call_wants_them():
    world = Sent()
    call = world.give(buffer("a", 3))
    assert world.transfers.progress == (0, 0)
    _, sent = world.step()
    world.transfers.arrived(sent[0][0])
    assert world.transfers.progress == (RANGE_BYTES, 3 * RANGE_BYTES)
    world.transfers.release(call.id)
    assert world.transfers.progress == (0, 0)


def test_a_buffer_that_is_there_or_on_its_way_is_not_sent_again():
    world = Sent()
    first, second = world.give(buffer("a")), world.give(buffer("a"))
    _, ((number, _, _),) = world.step()
    assert world.transfers.arrived(number) == [first, second]
    third = world.give(buffer("a"))
    assert world.step() == ([third], [])


def test_ranges_of_several_buffers_take_turns():
    world = Sent()
    world.give(buffer("a", 3))
    world.give(buffer("b", 3))
    _, sent = world.step(most=4)
    assert [name for _, name, _ in sent] == ["a", "b", "a", "b"]
    assert world.step(most=4) == ([], [])


def test_a_range_that_fails_is_sent_again_after_a_pause_and_no_other_is():
    world = Sent()
    call = world.give(buffer("a", 2))
    _, ((one, _, part), (other, _, _)) = world.step()
    world.transfers.failed(one, 0.0, jitter=1.0)
    assert world.step() == ([], [])
    world.now = world.transfers.again_at
    _, ((again, _, same),) = world.step()
    assert (again > other, same) == (True, part)
    assert world.transfers.arrived(one) == []  # late: it was counted as failed
    assert world.transfers.arrived(other) == []
    assert world.transfers.arrived(again) == [call]


def test_pauses_grow_while_nothing_arrives():
    world = Sent()
    world.give(buffer("a"))
    pauses = []
    for _ in range(4):
        _, ((number, _, _),) = world.step()
        world.transfers.failed(number, world.now, jitter=1.0)
        pauses.append(world.transfers.again_at - world.now)
        world.now = world.transfers.again_at
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]


def test_what_was_used_least_recently_and_is_not_needed_is_forgotten_first():
    world = Sent(buffer_bytes=2 * RANGE_BYTES)
    a, b = world.bring(buffer("a")), world.bring(buffer("b"))
    world.transfers.release(a.id)
    world.transfers.release(b.id)
    world.transfers.release(world.bring(buffer("a")).id)  # used once more
    world.give(buffer("c"))
    assert world.step() == ([], [])  # not before there is room
    assert world.transfers.to_drop() == (b"b",)
    assert world.step() == ([], [])
    world.transfers.dropped([b"b"])
    _, ((_, name, _),) = world.step()
    assert name == "c"


@pytest.mark.parametrize("rules", [{"buffer_bytes": RANGE_BYTES}, {"buffers": 1}])
def test_nothing_is_forgotten_that_a_call_needs(rules):
    world = Sent(**rules)
    running = world.bring(buffer("a"))
    world.give(buffer("b"))
    assert world.step() == ([], [])
    assert not world.transfers.is_urgent
    world.transfers.release(running.id)
    assert world.step() == ([], [])
    assert world.transfers.to_drop() == (b"a",)


def test_a_call_that_needs_more_than_there_may_be_is_let_in_alone():
    world = Sent(buffer_bytes=RANGE_BYTES)
    large = world.give(buffer("a", 3))
    world.give(buffer("b"))
    _, sent = world.step()
    assert [name for _, name, _ in sent] == ["a"] * 3
    for number, _, _ in sent:
        done = world.transfers.arrived(number)
    assert done == [large]


def test_what_nobody_wants_any_more_is_not_sent_on_and_is_not_sent_again_either():
    world = Sent()
    call = world.give(buffer("a", 4))
    _, ((one, _, _), (other, _, _)) = world.step(most=2)
    world.transfers.release(call.id)
    memory = weakref.ref(call.buffers[0])
    del call
    gc.collect()
    assert memory() is None  # nor is it kept here
    assert world.transfers.arrived(one) == []
    assert world.step() == ([], [])
    again = world.give(buffer("a", 4))
    _, sent = world.step()
    assert [part for _, _, part in sent] == [2, 3]
    arrived = [world.transfers.arrived(number) for number in (other, *(one[0] for one in sent))]
    assert arrived == [[], [], [again]]


def test_what_is_there_in_part_and_not_needed_is_forgotten_first():
    world = Sent(buffer_bytes=3 * RANGE_BYTES)
    world.transfers.release(world.bring(buffer("a")).id)
    call = world.give(buffer("b", 2))
    _, ((old, _, _),) = world.step(most=1)
    world.transfers.release(call.id)
    world.give(buffer("c"))
    world.step()
    assert world.transfers.to_drop() == (b"b",)
    world.transfers.dropped([b"b"])
    again = world.give(buffer("b"))
    _, sent = world.step()
    assert [name for _, name, _ in sent] == ["c", "b"]
    assert world.transfers.arrived(old) == []  # of the former try
    assert world.transfers.arrived(sent[1][0]) == [again]


def test_where_there_is_no_room_all_is_forgotten_that_is_not_needed_and_then_calls_fail():
    world = Sent()
    world.transfers.release(world.bring(buffer("a")).id)
    call = world.give(buffer("b", 2))
    _, ((number, _, _), _) = world.step()
    assert world.transfers.refused(number, 0.0, jitter=1.0) == []
    assert world.transfers.to_drop() == (b"a",)
    world.transfers.dropped([b"a"])
    world.now = world.transfers.again_at
    _, sent = world.step()
    assert len(sent) == 2  # it has kept nothing of it
    assert world.transfers.refused(sent[0][0], world.now, jitter=1.0) == [call]


def test_a_call_that_is_taken_back_before_it_is_let_in_leaves_no_trace():
    world = Sent(buffer_bytes=RANGE_BYTES)
    running = world.bring(buffer("a"))
    world.transfers.release(world.give(buffer("b")).id)
    assert world.step() == ([], [])
    world.transfers.release(running.id)
    assert not world.transfers.is_urgent


# --- files that the worker reads ------------------------------------------------------------------


def reading(world, *names):
    """Return the orders to read, by the names of buffers."""
    orders = world.transfers.to_load(world.now, lambda: next(world.numbers))
    found = {one.name.decode(): number for number, one in orders}
    assert list(found) == list(names)
    return list(found.values())


def test_what_the_worker_can_read_is_not_sent():
    world = Sent()
    world.transfers.mount({b"a"})
    first, second = world.give(buffer("a", 2), buffer("b")), world.give(buffer("a", 2))
    ready, ((number, name, _),) = world.step()
    assert (ready, name) == ([], "b")
    assert world.transfers.is_urgent
    assert world.transfers.progress == (0, RANGE_BYTES)
    (order,) = reading(world, "a")
    assert not world.transfers.is_urgent
    assert reading(world) == []  # once
    assert world.transfers.loaded(order, read=True) == [second]
    assert world.transfers.loaded(order, read=True) is None  # the log says it again
    assert world.transfers.arrived(number) == [first]


def test_what_it_cannot_read_is_sent_and_is_not_tried_again():
    world = Sent()
    world.transfers.mount({b"a"})
    first = world.give(buffer("a"))
    world.step()
    (order,) = reading(world, "a")
    assert world.transfers.loaded(order, read=False) == []
    _, ((number, _, _),) = world.step()
    assert world.transfers.loaded(order, read=True) is None
    assert world.transfers.arrived(number) == [first]
    world.transfers.release(first.id)
    assert world.transfers.forget([b"a"])
    world.transfers.to_drop()
    world.transfers.dropped([b"a"])
    world.give(buffer("a"))
    _, sent = world.step()
    assert [name for _, name, _ in sent] == ["a"]


@pytest.mark.parametrize("wanted", [True, False])
def test_what_it_does_not_say_to_have_read_is_sent_or_given_up(wanted):
    world = Sent(load=5.0)
    world.transfers.mount({b"a"})
    call = world.give(buffer("a"))
    world.step()
    (order,) = reading(world, "a")
    if not wanted:
        world.transfers.release(call.id)
    world.now = world.transfers.due
    assert 5.0 < world.now < 6.0
    _, sent = world.step()
    assert [name for _, name, _ in sent] == (["a"] if wanted else [])
    assert world.transfers.to_drop() == (() if wanted else (b"a",))
    assert world.transfers.loaded(order, read=True) is None


def test_one_that_nobody_wants_any_more_is_kept_once_it_is_read():
    world = Sent()
    world.transfers.mount({b"a"})
    world.transfers.release(world.give(buffer("a")).id)
    world.transfers.release(world.bring(buffer("a")).id)
    assert not world.transfers.is_urgent  # nobody has asked for it yet
    call = world.give(buffer("a"))
    world.step()
    (order,) = reading(world, "a")
    world.transfers.release(call.id)
    assert world.transfers.loaded(order, read=True) == []
    assert b"a" in world.transfers

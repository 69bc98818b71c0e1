"""Messages through the door: done once, answered each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames, seals
from hfexecutor.remote.buffer_cache import BufferCache
from hfexecutor.remote.entries import Entry
from hfexecutor.remote.listeners import Feed, Listeners
from hfexecutor.remote.memory import Memory
from hfexecutor.remote.messages import Messages

SEAL = frames.Seal(b"key")


class Door:
    """Messages, and what was received of them."""

    def __init__(self):
        self.received = []
        self.new = []
        buffers = BufferCache(Memory())
        self.messages = Messages(
            SEAL, Listeners(SEAL, Feed(), owed=()), self.receive, self.read, buffers
        )

    def read(self, call, start, stop, now, new):
        self.new.append(new)
        return bytes(stop - start)

    def receive(self, said, now):
        self.received.append([entry.call for entry in said])
        return [Entry(entries.STATE, len(self.received), 0, 1, b"")]

    def send(self, number, call, seal=SEAL):
        body = entries.pack([Entry(entries.CALL, call, 0, 1, b"")])
        return self.messages.answer(frames.seal_message(seal, number, body), 0.0, 0)


def test_a_message_is_received_once_and_answered_each_time():
    door = Door()
    first = door.send(1, call=10)
    assert door.send(2, call=20) != first
    assert door.send(1, call=10) == first
    assert door.received == [[10], [20]]
    status, reply = first
    assert status == 200
    (entry,) = entries.unpack(frames.open_reply(SEAL, 1, reply))
    assert entry.call == 1


@given(st.lists(st.integers(1, 30), max_size=60))
def test_in_any_order_and_any_number_each_message_counts_once(numbers):
    door = Door()
    for number in numbers:
        assert door.send(number, call=number)[0] == 200
    assert door.received == [[number] for number in dict.fromkeys(numbers)]


def test_messages_that_are_too_old_to_be_known_are_refused():
    door = Door()
    for number in range(1, 1100):
        door.send(number, call=number)
    assert door.send(1, call=1) == (409, b"")
    assert door.send(1099, call=1099)[0] == 200
    assert len(door.received) == 1099


def messages_of(size):
    messages = Messages(
        SEAL,
        Listeners(SEAL, Feed(), owed=()),
        lambda said, now: [Entry(entries.OUTCOME, said[0].call, 0, 1, bytes(size))],
        lambda call, start, stop, now, new: bytes(stop - start),
        BufferCache(Memory()),
    )

    def send(number, kind):
        data = entries.pack_ids([0, size]) if kind == entries.FETCH else b""
        body = entries.pack([Entry(kind, number, 0, 1, data)])
        return messages.answer(frames.seal_message(SEAL, number, body), 0.0, 0)

    return messages, send


def test_large_replies_are_repeated_as_long_as_there_is_room():
    messages, send = messages_of(1 << 20)
    replies = [send(number, entries.AGAIN) for number in range(1, 31)]
    assert send(1, entries.AGAIN) == (409, b"")
    assert [send(number, entries.AGAIN) for number in range(17, 31)] == replies[16:]
    assert messages._bytes <= 16 << 20


def test_what_is_fetched_pushes_no_other_reply_out():
    _, send = messages_of(1 << 20)
    order = send(1, entries.AGAIN)
    ranges = [send(number, entries.FETCH)[1]() for number in range(2, 40)]
    assert send(1, entries.AGAIN) == order
    assert [send(number, entries.FETCH)[1]() for number in range(2, 40)] == ranges


def test_what_was_forgotten_may_be_fetched_all_the_same():
    _, send = messages_of(1 << 20)
    fetched = send(1, entries.FETCH)[1]()
    for number in range(2, 40):
        send(number, entries.AGAIN)
    assert send(1, entries.FETCH)[1]() == fetched


def test_the_launch_message_is_not_for_the_door():
    assert Door().send(0, call=1) == (409, b"")


def test_another_key_opens_nothing():
    door = Door()
    assert door.send(1, call=1, seal=frames.Seal(b"other")) == (403, b"")
    assert door.received == []


def test_authentic_nonsense_is_refused():
    door = Door()
    assert door.messages.answer(frames.seal_message(SEAL, 1, b"nonsense"), 0.0, 0) == (400, b"")
    assert door.received == []


def test_a_range_is_told_as_it_is_and_sealed():
    status, reply = messages_of(3)[1](9, entries.FETCH)
    assert status == 200
    head, body = reply()
    assert frames.open_reply(SEAL, 9, head + body) == bytes(3)
    seals.check_reply(SEAL, 9, head, [body[:1], body[1:]])
    for number, said in ((8, body), (9, b"\0\1\0"), (9, body[:2])):
        with pytest.raises(entries.FrameError):
            seals.check_reply(SEAL, number, head, [said])


def test_a_fetch_of_no_range_is_refused():
    body = entries.pack([Entry(entries.FETCH, 7, 0, 1, entries.pack_ids([0]))])
    assert Door().messages.answer(frames.seal_message(SEAL, 1, body), 0.0, 0) == (400, b"")


def test_a_fetch_that_is_sent_again_is_not_new():
    door = Door()
    for number in (1, 3, 1, 2, 3, 4):
        body = entries.pack([Entry(entries.FETCH, 7, 0, 1, entries.pack_ids([0, 5]))])
        assert door.messages.answer(frames.seal_message(SEAL, number, body), 0.0, 0)[0] == 200

    assert door.new == [True, True, False, False, False, True]

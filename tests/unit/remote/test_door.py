"""The door's parser and the desk behind it: bounded, and nothing is done twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames
from hfexecutor.remote.desk import Desk
from hfexecutor.remote.door import MAX_BODY, MAX_HEAD, Parser, response
from hfexecutor.remote.entries import Entry


def post(body=b"", *fields, version="1.1"):
    head = [f"POST / HTTP/{version}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def parse(pieces):
    """Feed the pieces as a connection does, large bodies into the parser's own space."""
    parser, found = Parser(), []
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            space = parser.space()
            if space is None:
                found += parser.feed(bytes(rest))
                break
            taken = min(len(space), len(rest))
            space[:taken] = rest[:taken]
            rest = rest[taken:]
            space.release()
            found += parser.filled(taken)
    return found


def chunks(data, cuts):
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.lists(st.binary(max_size=300), max_size=5), st.lists(st.integers(0, 3000), max_size=30))
def test_however_it_is_chunked_the_bodies_arrive(bodies, cuts):
    data = b"".join(map(post, bodies))
    found = parse(chunks(data, cuts))
    assert [bytes(request.body) for request in found] == bodies
    assert all(request.status == 200 and request.keep for request in found)


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_make_it_raise(pieces):
    for request in parse(pieces):
        assert request.status != 200 or request.method in {"GET", "POST"}


@given(st.binary(max_size=60), st.integers(0, 100))
def test_a_damaged_head_does_no_harm(garbage, place):
    data = post(b"body", "Host: worker")
    parse([data[:place] + garbage + data[place:]])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"PUT / HTTP/1.1\r\n\r\n", 405),
        (b"POST /other HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 404),
        (b"POST / HTTP/1.1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", 417),
        (b"POST / HTTP/2.0\r\nContent-Length: 1\r\n\r\n", 505),
        (b"POST / HTTP/1.1 more\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nname : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: \xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"x" * MAX_HEAD, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_what_it_does_not_take_is_refused_for_good(data, status):
    parser = Parser()
    (refused,) = parser.feed(data)
    assert refused.status == status
    assert not refused.keep
    assert list(parser.feed(post(b"fine"))) == []


def test_somebody_may_ask_whether_anybody_is_at_home():
    (request,) = parse([b"GET /?x=1 HTTP/1.1\r\nHost: worker\r\n\r\n"])
    assert (request.status, request.method, request.keep) == (200, "GET", True)


@pytest.mark.parametrize(
    ("version", "field", "keep"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: Close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: keep-alive", True),
    ],
)
def test_the_connection_is_kept_as_asked(version, field, keep):
    (request,) = parse([post(b"x", field, version=version)])
    assert request.keep is keep


def test_it_knows_what_it_waits_for():
    parser = Parser()
    assert not parser.begun
    list(parser.feed(b"POST / HTTP/1.1\r\n"))
    assert parser.begun
    list(parser.feed(b"Content-Length: 50\r\n\r\nabc"))
    assert parser.begun
    assert parser.awaited == 50
    assert len(parser.space()) == 47


def test_an_answer_says_how_long_it_is():
    assert response(200, b"body", keep=True) == b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
    assert b"Connection: close\r\n" in response(403)


# --- the desk

SEAL = frames.Seal(b"key")


class Office:
    """A desk, and what was received there."""

    def __init__(self):
        self.received = []
        self.desk = Desk(SEAL, self.receive)

    def receive(self, said):
        self.received.append([entry.call for entry in said])
        return [Entry(entries.STATE, len(self.received), 0, 1, b"")]

    def send(self, number, call, seal=SEAL):
        body = frames.pack([Entry(entries.CALL, call, 0, 1, b"")])
        return self.desk.answer(frames.seal_message(seal, number, body))


def test_a_message_is_received_once_and_answered_each_time():
    office = Office()
    first = office.send(1, call=10)
    assert office.send(2, call=20) != first
    assert office.send(1, call=10) == first
    assert office.received == [[10], [20]]
    status, reply = first
    assert status == 200
    (entry,) = frames.unpack(frames.open_reply(SEAL, 1, reply))
    assert entry.call == 1


@given(st.lists(st.integers(1, 30), max_size=60))
def test_in_any_order_and_any_number_each_message_counts_once(numbers):
    office = Office()
    for number in numbers:
        assert office.send(number, call=number)[0] == 200
    assert office.received == [[number] for number in dict.fromkeys(numbers)]


def test_messages_that_are_too_old_to_be_known_are_refused():
    office = Office()
    for number in range(1, 1100):
        office.send(number, call=number)
    assert office.send(1, call=1) == (409, b"")
    assert office.send(1099, call=1099)[0] == 200
    assert len(office.received) == 1099


def desk_of(size):
    desk = Desk(SEAL, lambda said: [Entry(entries.OUTCOME, said[0].call, 0, 1, bytes(size))])

    def send(number, kind):
        body = frames.pack([Entry(kind, number, 0, 1, b"")])
        return desk.answer(frames.seal_message(SEAL, number, body))

    return desk, send


def test_large_replies_are_repeated_as_long_as_there_is_room():
    desk, send = desk_of(1 << 20)
    replies = [send(number, entries.AGAIN) for number in range(1, 31)]
    assert send(1, entries.AGAIN) == (409, b"")
    assert [send(number, entries.AGAIN) for number in range(17, 31)] == replies[16:]
    assert desk._bytes <= 16 << 20


def test_what_is_fetched_pushes_no_other_reply_out():
    _, send = desk_of(1 << 20)
    order = send(1, entries.AGAIN)
    parts = [send(number, entries.FETCH) for number in range(2, 40)]
    assert send(1, entries.AGAIN) == order
    assert [send(number, entries.FETCH) for number in range(2, 40)] == parts


def test_what_was_forgotten_may_be_fetched_all_the_same():
    _, send = desk_of(1 << 20)
    part = send(1, entries.FETCH)
    for number in range(2, 40):
        send(number, entries.AGAIN)
    assert send(1, entries.FETCH) == part


def test_the_launch_message_is_not_for_the_door():
    assert Office().send(0, call=1) == (409, b"")


def test_another_key_opens_nothing():
    office = Office()
    assert office.send(1, call=1, seal=frames.Seal(b"other")) == (403, b"")
    assert office.received == []


def test_authentic_nonsense_is_refused():
    office = Office()
    assert office.desk.answer(frames.seal_message(SEAL, 1, b"nonsense")) == (400, b"")
    assert office.received == []

"""The door's parser and the desk behind it: bounded, and nothing is done twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote.http_parser import MAX_BODY, MAX_HEAD, Parser, response


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


def test_a_head_like_the_last_one_says_the_same_and_another_one_its_own():
    head = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
    data = head + b"one" + head + b"two" + b"GET / HTTP/1.0\r\n\r\n" + head + b"end"
    found = [*(parser := Parser()).feed(data[:-2]), *parser.feed(data[-2:])]
    assert [request.body for request in found] == [b"one", b"two", b"", b"end"]
    assert [request.method for request in found] == ["POST", "POST", "GET", "POST"]
    assert [request.keep for request in found] == [True, True, False, True]


def test_a_spare_body_is_used_again_where_it_has_the_size():
    spare = [bytearray(b"old"), bytearray(b"older")]
    kept = spare[0]
    parser = Parser(spare)
    assert not list(parser.feed(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nn"))
    (request,) = parser.feed(b"ew")
    assert request.body is kept
    assert kept == b"new"
    assert spare == [b"older"]

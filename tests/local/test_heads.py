"""The bounded parser of doors."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.local.heads import Body, HeadError, parse


def test_a_head():
    head = parse(b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nAuthorization: Bearer t")
    assert (head.method, head.target, head.length) == (b"POST", b"/a?b", 12)
    assert head.get(b"authorization") == b"Bearer t"
    assert head.without(b"authorization") == (
        b"POST /a?b HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n"
    )
    assert not head.upgrade
    assert parse(b"GET / HTTP/1.0").length == 0


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /",
        b"GET / HTTP/2.0",
        b"GET  / HTTP/1.1",
        b"G@T / HTTP/1.1",
        b"GET /\x01 HTTP/1.1",
        b"GET / HTTP/1.1\r\nNo colon",
        b"GET / HTTP/1.1\r\nSpace : x",
        b"GET / HTTP/1.1\r\n folded: x",
        b"GET / HTTP/1.1\r\na: b\0c",
        b"GET / HTTP/1.1\nHost: x",
    ],
)
def test_what_is_no_head(head):
    with pytest.raises(HeadError):
        parse(head)


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 1\r\ncontent-length: 2",
        b"content-length: 1\r\ntransfer-encoding: chunked",
        b"content-length: -1",
        b"content-length: " + b"1" * 5000,
        b"content-length: 1,1",
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity",
    ],
)
def test_ambiguous_lengths_are_refused(headers):
    with pytest.raises(HeadError):
        parse(b"POST / HTTP/1.1\r\n" + headers).length  # noqa: B018


CHUNKED = b"5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: 1\r\n\r\n"


@given(st.lists(st.integers(1, 9), max_size=60))
def test_chunked_bodies_end_where_they_end(cuts):
    data, body, taken = CHUNKED + b"GET / next", Body(None), 0
    for cut in [*cuts, len(data)]:
        if body.done or taken >= len(data):
            break
        taken += body.take(data[taken : taken + cut])
    while not body.done:
        taken += body.take(data[taken:])
    assert taken == len(CHUNKED)


def test_bodies_of_known_length():
    body = Body(5)
    assert body.take(b"abc") == 3
    assert not body.done
    assert body.take(b"defg") == 2
    assert body.done
    assert Body(0).done


@pytest.mark.parametrize("data", [b"x\r\n", b"-1\r\n", b"\r\n", b"1" * 40_000])
def test_malformed_chunks(data):
    with pytest.raises(HeadError):
        Body(None).take(data)


@given(st.binary(max_size=200))
def test_nothing_makes_the_parser_raise_anything_else(data):
    for attempt in (lambda: parse(data).length, lambda: Body(None).take(data)):
        with contextlib.suppress(HeadError):
            attempt()

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.hub.logs import LogDecoder, LogLine, parse_line


def event(text, **more):
    return json.dumps({"data": text, "timestamp": "2026-05-12T14:58:23.645Z", **more}).encode()


def test_a_line_has_its_text_and_time():
    assert parse_line(event("hello", new=1)) == LogLine("hello", "2026-05-12T14:58:23.645Z")


@pytest.mark.parametrize(
    "text", ["", "é 漢 🙂", "a\u2028b\u2029c\u0085d", "nul \0 bell \a", "\r\n\t"]
)
def test_any_text_arrives_as_it_was_printed(text):
    raw = json.dumps({"data": text}, ensure_ascii=False).encode()

    assert parse_line(event(text)).text == text
    assert parse_line(raw) == LogLine(text)


def test_control_characters_need_not_be_escaped():
    assert parse_line(b'{"data": "a\0b\tc\x1bd"}').text == "a\0b\tc\x1bd"


def test_invalid_utf8_is_replaced():
    assert parse_line(b'{"data": "a\xffb"}').text == "a\ufffdb"


def test_a_lone_surrogate_can_be_written_on():
    line = parse_line(rb'{"data": "a\ud800b \ud83d\ude42"}')

    assert line.text.encode() == "a\ufffdb 🙂".encode()


@pytest.mark.parametrize(
    "broken",
    [b"", b"text", b'{"data": "cut', b"[1]", b"{}", b'{"data": 7}', b"null", b"7", b"[" * 99_999,
     b'{"data": null}', b"9" * 9_999],
)  # fmt: skip
def test_what_is_no_line_is_handed_on_as_it_is(broken):
    assert parse_line(broken) == LogLine(broken.decode(), "", broken=True)


def test_an_odd_timestamp_does_no_harm():
    assert parse_line(b'{"data": "x", "timestamp": 7}') == LogLine("x")


@given(st.binary(max_size=100))
def test_no_event_makes_it_raise(data):
    parse_line(data).text.encode()
    parse_line(b'{"data": "' + data + b'"}').text.encode()


def test_lines_come_in_lists_as_they_are_complete():
    decoder = LogDecoder()
    stream = b"data: " + event("one") + b"\n\ndata: " + event("two") + b"\n\n"

    assert decoder.feed(stream[:40]) == []
    assert [line.text for line in decoder.feed(stream[40:])] == ["one", "two"]


def test_a_busy_log_is_cheap_to_read():
    stream = (b"data: " + event("x" * 8_000) + b"\n\n") * 2_000
    decoder, begun = LogDecoder(), time.process_time()
    lines = sum(len(decoder.feed(stream[at : at + 65_536])) for at in range(0, len(stream), 65_536))

    assert lines == 2_000
    assert time.process_time() - begun < 0.5  # 0.05 on the machine it was written on

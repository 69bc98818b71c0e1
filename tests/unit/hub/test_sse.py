import itertools

from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.hub.sse import SSEDecoder

# What the decoder looks at, and what others take for a line end.
PIECES = st.sampled_from(
    [b"data:", b"data: ", b"data", b"\n", b"\n\n", b"\r\n", b"\r", b":", b": alive\n\n", b" ",
     b"event: x\n", b"id: 1\n", b"x\0", b"\xff", "\u2028\u2029\u0085".encode(), b'{"data": "y"}']
)  # fmt: skip
STREAMS = st.lists(PIECES, max_size=30).map(b"".join)


def decode(*chunks):
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def test_events_end_with_an_empty_line():
    assert decode(b"data: one\n\ndata: two\n") == [b"one"]
    assert decode(b"data: one\n\n", b"data: two\n", b"\n") == [b"one", b"two"]


def test_one_space_after_the_colon_is_not_data():
    assert decode(b"data:a\n\ndata: b\n\ndata:  c\n\n") == [b"a", b"b", b" c"]


def test_several_data_lines_are_one_event():
    assert decode(b"data: a\ndata: b\ndata:\n\n") == [b"a\nb\n"]


def test_comments_and_other_fields_are_no_events():
    assert decode(b": keep-alive\n\nevent: log\nid: 7\nretry: 3\nnonsense\n\n\n\n") == []


def test_carriage_returns_before_a_line_end_go():
    assert decode(b"data: a\r\n\r\n") == [b"a"]


def test_only_a_line_feed_ends_a_line():
    odd = "a\u2028b\u2029c\u0085d\re\x0bf\x0cg\x1ch".encode()

    assert decode(b"data: " + odd + b"\n\n") == [odd]


@given(STREAMS, st.lists(st.integers(0, 300), max_size=20))
def test_any_chunking_gives_the_same_events(stream, cuts):
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]

    assert decode(*chunks) == decode(stream)


@given(st.lists(st.binary(max_size=40)))
def test_no_input_makes_it_raise(chunks):
    decode(*chunks)


@given(st.lists(PIECES.map(lambda piece: piece * 7), max_size=60))
def test_memory_is_bounded_whatever_comes(chunks):
    decoder = SSEDecoder(max_event=50)
    for chunk in chunks:
        assert all(len(event) <= 51 for event in decoder.feed(chunk))
        assert decoder.held <= 2 * 50 + 1


def test_an_endless_line_is_cut():
    decoder = SSEDecoder(max_event=100)
    for _ in range(50):
        assert decoder.feed(b"data: " + b"x" * 60) == []
    assert decoder.held <= 100

    assert decoder.feed(b"\n\ndata: fine\n\n") == [
        b"x" * 60 + b"data: " + b"x" * 28,
        b"fine",
    ]
    assert repr(decoder) == "<SSEDecoder 0 bytes held>"


def test_endless_data_lines_are_cut_too():
    decoder = SSEDecoder(max_event=100)
    for _ in range(50):
        decoder.feed(b"data: 0123456789\n")

    (event,) = decoder.feed(b"\n")
    assert len(event) == 100


def test_events_of_a_megabyte_in_small_chunks_take_no_time():
    decoder = SSEDecoder()
    chunk = b"x" * 1_000
    events = decoder.feed(b"data: ")
    for _ in range(1_000):
        events += decoder.feed(chunk)
    events += decoder.feed(b"\n\n")

    assert [len(event) for event in events] == [1_000_000]

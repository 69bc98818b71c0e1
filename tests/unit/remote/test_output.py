"""Output: cut at markers and into lines, within its cap, however it is chunked."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from hfexecutor.remote.output import LONGEST_LINE, Output, Stream

MARKER = b"\x00" + bytes(range(15))
text = st.binary(max_size=30).map(lambda data: data.replace(MARKER, b""))


def chunks(data, cuts):
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def separate(stream, pieces):
    """Feed the pieces; return the output of each call that has ended, and of the present one."""
    calls = [b""]
    for piece in pieces:
        calls[-1] += stream.feed(piece)
        while stream.ended:
            calls.append(stream.turn())
    return calls


@given(st.lists(text, max_size=6), st.lists(st.integers(0, 1000), max_size=20))
@example([b"\x00\x01", b"\x00"], [1, 2, 3])
def test_however_it_is_chunked_each_call_gets_its_own(outputs, cuts):
    data = b"".join(output + MARKER for output in outputs)
    assert separate(Stream(MARKER), chunks(data, cuts)) == [*outputs, b""]


def test_what_may_be_a_marker_is_held_back_and_nothing_else():
    stream = Stream(MARKER)
    assert stream.feed(b"text" + MARKER[:5]) == b"text"
    assert stream.feed(b"more") == MARKER[:5] + b"more"


def test_output_after_a_marker_waits_for_its_call():
    stream = Stream(MARKER)
    assert stream.feed(b"one" + MARKER + b"two") == b"one"
    assert stream.ended
    assert stream.feed(b"more") == b""
    assert stream.turn() == b"twomore"


def show(output, pieces):
    """Return the lines as a client puts them together, and check their numbers."""
    shown = [line for piece in pieces for line in output.feed(piece)]
    shown += output.end()
    assert [number for number, _, _ in shown] == list(range(len(shown)))
    assert output.lines == len(shown)
    lines = []
    for _, joined, piece in shown:
        assert len(piece) <= 3 * LONGEST_LINE
        assert b"\n" not in piece
        if joined:
            lines[-1] += piece
        else:
            lines.append(piece)
    return lines


any_character = st.characters(exclude_categories=["Cs"])
printable = st.text(any_character, max_size=2000).map(str.encode)


@given(printable, st.lists(st.integers(0, 10_000), max_size=10), st.integers(1, 4))
@example("é".encode() * 5000, [3], 1)
@example(b"x" * 4096 + b"\n" + b"y" * 4097 + b"\n", [], 1)
def test_all_lines_are_shown_whole(data, cuts, times):
    data *= times
    lines = show(Output(1 << 20), chunks(data, cuts))
    expected = data.split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


@given(st.binary(max_size=6000), st.lists(st.integers(0, 10_000), max_size=10))
def test_what_is_no_text_becomes_text(data, cuts):
    for line in show(Output(1 << 20), chunks(data, cuts)):
        line.decode()


@given(st.integers(0, 400), st.integers(1, 40), st.lists(st.integers(0, 10_000), max_size=10))
def test_of_much_output_the_middle_is_missing_and_counted(count, width, cuts):
    cap = 1000
    data = b"".join(b"%0*d\n" % (width, i % 10**width) for i in range(count))
    lines = show(Output(cap), chunks(data, cuts))
    gaps = [line for line in lines if line.startswith(b"[hfexecutor:")]
    if len(data) <= cap:
        assert not gaps
        assert b"".join(line + b"\n" for line in lines) == data
        return
    (gap,) = gaps
    place = lines.index(gap)
    whole = data.split(b"\n")
    assert lines[: place - 1] == whole[: place - 1]
    assert lines[place + 1 :] == whole[:-1][len(whole) - 1 - len(lines[place + 1 :]) :]
    assert sum(map(len, lines)) - len(gap) <= cap
    assert int(gap.split()[1].replace(b",", b"")) > 0


def test_the_gap_tells_lines_and_size():
    lines = show(Output(1000), [b"x" * 99 + b"\n"] * 20_000)
    assert b"[hfexecutor: 19,990 lines (2.0 MB) of this call's output not shown]" in lines


def test_a_line_that_has_begun_is_shown_when_asked_for_and_goes_on():
    output = Output(1000)
    assert list(output.feed(b"10%")) == []
    assert output.partial
    assert list(output.flush()) == [(0, False, b"10%")]
    assert not output.partial
    assert list(output.feed(b" 20%\nnext\n")) == [(1, True, b" 20%"), (2, False, b"next")]
    assert list(output.end()) == []


def test_a_line_that_is_shown_early_is_not_cut_within_a_character():
    output = Output(1000)
    list(output.feed("aé".encode()[:2]))
    assert list(output.flush()) == [(0, False, b"a")]
    list(output.feed("é€😀".encode()[1:-1]))
    assert list(output.flush()) == [(1, True, "é€".encode())]
    assert list(output.end()) == [(2, True, "�".encode())]


def test_output_that_never_was_is_nothing():
    output = Output(1000)
    assert not output.begun
    assert list(output.end()) == []
    assert output.lines == 0

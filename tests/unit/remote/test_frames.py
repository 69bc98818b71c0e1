"""Entries and frames: whatever happens to a log, the same entries come out of it, or none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames
from hfexecutor.remote.entries import Assembler, Entry, FrameError
from hfexecutor.remote.frames import LineReader, LineWriter, Seal
from hfexecutor.remote.seals import framed

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find

SEAL = Seal(b"k" * 32)
STREAM = "0123abcd"

numbers = st.integers(0, 2**64 - 1)
small = st.builds(
    Entry, st.integers(0, 255), numbers, st.just(0), st.just(1), st.binary(max_size=200)
)
large = st.builds(
    lambda kind, call, size, seed: Entry(kind, call, 0, 1, (seed * (size // len(seed) + 1))[:size]),
    st.integers(0, 255),
    numbers,
    st.integers(0, 40_000),
    st.binary(min_size=1, max_size=50),
)
said = st.lists(st.one_of(small, small, large), max_size=20)


def write(said, seal=SEAL):
    return [line.decode("ascii") for line in LineWriter(seal, STREAM).lines(said)]


def hear(lines, seal=SEAL):
    """Return the complete entries of the lines, in order."""
    reader, assembler = LineReader(seal), Assembler()
    parts = [entry for line in lines for entry in reader.feed(line).entries]
    return [whole for whole in map(assembler.feed, parts) if whole is not None]


def once(heard):
    return list(dict.fromkeys(heard))


def unlike(said):
    """Return the entries without those that share kind and call with an earlier one."""
    return list({(entry.kind, entry.call): entry for entry in said}.values())


# --- bodies


@given(said)
def test_a_body_holds_its_entries(said):
    assert entries.unpack(entries.pack(said)) == said
    assert entries.unpack(memoryview(bytearray(entries.pack(said)))) == said


@given(st.binary(max_size=300))
def test_no_body_raises_anything_but_its_own_error(body):
    with contextlib.suppress(FrameError):
        entries.unpack(body)


@given(said, st.data())
def test_a_body_that_was_cut_is_no_body(said, data):
    body = entries.pack(said)
    cut = data.draw(st.integers(0, max(0, len(body) - 1)))
    try:
        found = entries.unpack(body[:cut])
    except FrameError:
        return
    assert found == said[: len(found)]


@given(st.lists(numbers, max_size=50))
def test_call_ids_are_a_list(ids):
    assert entries.unpack_ids(entries.pack_ids(ids)) == tuple(ids)


def test_half_a_call_id_is_an_error():
    with pytest.raises(FrameError):
        entries.unpack_ids(b"1234567")


# --- lines


@given(said)
@example([Entry(2, 1, 0, 1, b"x" * (10 * frames.MAX_BODY))])
def test_lines_bring_the_entries_in_order(said):
    lines = write(unlike(said))
    assert all(len(line) <= frames.MAX_LINE for line in lines)
    assert hear(lines) == unlike(said)


@given(said, st.data())
def test_lines_may_be_doubled_and_in_any_order(said, data):
    said = unlike(said)
    lines = write(said)
    heard = data.draw(st.permutations(lines + lines))
    assert sorted(once(hear(heard))) == sorted(said)


@given(said, st.data())
def test_lines_that_are_missing_change_nothing_about_the_others(said, data):
    lines = write(unlike(said))
    kept = [line for line in lines if data.draw(st.booleans())]
    heard = hear(kept)
    assert set(heard) <= set(said)
    assert sorted(once(hear(kept + lines))) == sorted(unlike(said))


@given(said, st.text(ANY, max_size=50), st.text(ANY, max_size=50))
def test_other_text_on_the_line_does_no_harm(said, before, after):
    lines = write(unlike(said))
    assert hear([before + line + after for line in lines]) == unlike(said)
    for line in lines:
        plain = LineReader(SEAL).feed(before + line + after).plain
        assert plain == (before + after if (before + after).strip() else None)


@given(said)
def test_several_frames_may_share_a_line(said):
    assert hear(["".join(write(unlike(said)))]) == unlike(said)


@given(st.integers(1, 20_000), st.integers(0, 20_000))
def test_a_frame_that_was_cut_in_two_is_plain_text(size, cut):
    (line, *_) = write([Entry(2, 1, 0, 1, b"x" * size)])
    cut = cut % len(line)
    for piece in (line[:cut], line[cut:]):
        found = LineReader(SEAL).feed(piece)
        if piece != line:
            assert found.entries == []
            assert found.plain == piece
            assert not found.forged


@given(st.text(ANY, max_size=300))
@example("#hfx1:")
@example("#hfx1:01234567:0:AAAA:" + "A" * 22 + ";")
@example("#hfx1:01234567:0:AAA:" + "A" * 22 + ";")
@example("#hfx1:\ud8001234567:0:AAAA:" + "A" * 22 + ";")
@example("#hfx1:01234567:\u0663:AAAA:" + "A" * 22 + ";")
@example("#hfx1:01234567:0:\u00e9AAA:" + "A" * 21 + "\u00e9;")
@example("#hfx1:" * 3000)
def test_any_text_is_plain_text(text):
    found = LineReader(SEAL).feed(text)
    assert found.entries == []
    assert found.plain == text


@given(said, st.data())
def test_a_changed_frame_is_refused_or_says_the_same(said, data):
    lines = write([*said, Entry(1, 0, 0, 1, b"{}")])
    line = data.draw(st.sampled_from(lines))
    place = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.characters().filter(lambda character: character != line[place]))
    found = LineReader(SEAL).feed(line[:place] + other + line[place + 1 :])
    # The same, where base64 has bits to spare.
    assert found.entries in ([], LineReader(SEAL).feed(line).entries)


def test_a_frame_with_another_key_is_refused_and_told():
    (line,) = write([Entry(1, 0, 0, 1, b"{}")], Seal(b"another"))
    found = LineReader(SEAL).feed(line)
    assert found.forged
    assert found.plain == line
    assert found.stream is None


def test_a_true_frame_behind_a_forged_one_is_heard():
    (line,) = write([Entry(1, 0, 0, 1, b"{}")])
    (forged,) = write([Entry(1, 0, 0, 1, b"{}")], Seal(b"another"))
    found = LineReader(SEAL).feed(forged + line)
    assert found.forged
    assert found.plain == forged
    assert found.entries == [Entry(1, 0, 0, 1, b"{}")]
    assert (found.stream, found.number) == (STREAM, 0)


def test_frames_are_numbered():
    writer, reader = LineWriter(SEAL, STREAM), LineReader(SEAL)
    lines = [line for n in range(3) for line in writer.lines([Entry(1, n, 0, 1, b"")])]
    assert [reader.feed(line.decode()).number for line in lines] == [0, 1, 2]


def test_what_is_said_again_is_cut_in_the_same_places():
    entry = Entry(2, 1, 0, 1, bytes(range(256)) * 100)
    parts = []
    for company in ([], [Entry(2, 9, 0, 1, b"x" * 3000)]):
        lines = write([*company, entry])
        parts.append(
            [e for line in lines for e in LineReader(SEAL).feed(line).entries if e.call == 1]
        )
    assert parts[0] == parts[1]


# --- assembling


def part(number, of, data=b"x", call=1):
    return Entry(2, call, number, of, data)


def test_parts_that_are_cut_differently_do_not_hinder_each_other():
    assembler = Assembler()
    assert assembler.feed(part(0, 2, b"a")) is None
    assert assembler.feed(part(1, 3, b"b")) is None
    assert assembler.feed(part(0, 2, b"?")) is None
    assert assembler.feed(part(1, 2, b"b")) == Entry(2, 1, 0, 1, b"ab")
    assert assembler.held == 0


@given(st.lists(st.tuples(numbers, st.integers(0, 5), st.integers(1, 5), st.binary(max_size=100))))
def test_an_assembler_holds_no_more_than_it_may(parts):
    assembler = Assembler(max_bytes=500, max_open=3)
    for call, number, of, data in parts:
        if number < of:
            assembler.feed(Entry(2, call, number, of, data))
        assert assembler.held <= 500
        assert len(assembler._open) <= 3


def test_what_was_given_up_is_found_when_it_is_said_again():
    assembler = Assembler(max_bytes=15)
    assembler.feed(part(0, 2, b"a" * 10, call=1))
    assembler.feed(part(0, 2, b"b" * 10, call=2))
    assert assembler.feed(part(1, 2, b"a", call=1)) is None
    assert assembler.feed(part(0, 2, b"a" * 10, call=1)) == Entry(2, 1, 0, 1, b"a" * 11)


# --- messages


@given(numbers, st.binary(max_size=300))
def test_a_message_arrives(number, body):
    found, opened = frames.open_message(SEAL, frames.seal_message(SEAL, number, body))
    assert (found, bytes(opened)) == (number, body)


@given(st.binary(max_size=100))
def test_no_message_raises_anything_but_its_own_error(blob):
    with pytest.raises(FrameError):
        frames.open_message(SEAL, blob)


@given(st.integers(0, 1000), st.integers(0, 7), st.binary(min_size=1, max_size=50))
def test_a_changed_message_is_refused(place, bit, body):
    blob = bytearray(frames.seal_message(SEAL, 7, body))
    blob[place % len(blob)] ^= 1 << bit
    with pytest.raises(FrameError):
        frames.open_message(SEAL, blob)


def test_a_reply_is_no_message_and_answers_one_only():
    reply = frames.seal_reply(SEAL, 5, b"body")
    assert bytes(frames.open_reply(SEAL, 5, reply)) == b"body"
    with pytest.raises(FrameError):
        frames.open_reply(SEAL, 6, reply)
    with pytest.raises(FrameError):
        frames.open_message(SEAL, reply)


def test_a_wiped_seal_seals_nothing():
    seal = Seal(bytearray(b"key"))
    assert repr(seal) == "<Seal of a launch>"
    seal.wipe()
    assert repr(seal) == "<Seal wiped>"
    with pytest.raises(FrameError):
        seal.mac(b"", b"")


def test_where_one_part_ends_matters():
    assert SEAL.mac(framed(b"ab"), b"c") != SEAL.mac(framed(b"a"), b"bc")

"""Reading a worker's log: whatever the log does, reading it again changes nothing."""

from __future__ import annotations

import struct
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.futures import Printed
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, plain
from hfexecutor.runtime.log_parser import TAIL_LINES, LogParser

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find

KEY = b"k" * 32
SPEAKER = struct.Struct("<QB")


def entry(kind, call=0, data=b""):
    return wire.Entry(kind, call, 0, 1, data)


class Job:
    """Writes a log as a supervisor does, and knows what a client should make of it."""

    def __init__(self, key=KEY):
        self.writer = frames.LineWriter(frames.Seal(key), "0123abcd")
        self.lines = []
        self.entries = []
        self.counts = defaultdict(int)
        self.texts = defaultdict(str)
        self._speaker = None
        self._open = {}

    def say(self, *entries):
        self.lines += [line.decode() for line in self.writer.lines(entries)]
        self.entries += [e for e in entries if e.kind != wire.SPEAKER]

    def show(self, call, text, ended=True):
        joined = self._open.get(call, False)
        number = self.counts[call]
        if self._speaker != call or joined:
            self.say(entry(wire.SPEAKER, call, SPEAKER.pack(number, int(joined))))
        self._speaker = call
        self.lines.append(text)
        self.counts[call] += 1
        self._open[call] = not ended
        if joined:
            self.texts[call] = self.texts[call].removesuffix("\n")
        self.texts[call] += text + "\n"

    def answer(self, call, data):
        self.say(entry(wire.OUTCOME, call, data))
        self._speaker = None


class Client:
    """Reads logs; knows the calls 1 to 5."""

    def __init__(self):
        self.printed = {call: Printed() for call in range(1, 6)}
        self.intake = LogParser(frames.Seal(KEY), self.printed.get)

    def read(self, lines):
        self.intake.rewind()
        return list(self.intake.feed(lines))

    def texts(self):
        return {call: text for call, p in self.printed.items() if (text := p.text())}


shows = st.tuples(
    st.just("show"),
    st.integers(1, 5),
    st.sampled_from(["", "a", "b", " c", "#hfx1:", "é"]),
    st.booleans(),
)
answers = st.tuples(st.just("answer"), st.integers(1, 5), st.sampled_from([b"", b"x", b"y" * 9000]))


@st.composite
def jobs(draw):
    job, done = Job(), set()
    for what, call, *rest in draw(st.lists(st.one_of(shows, shows, answers), max_size=25)):
        if call not in done:
            getattr(job, what)(call, *rest)
        if what == "answer":
            done.add(call)
    return job


@st.composite
def damaged(draw, lines):
    """Return the lines with some dropped, some doubled, and perhaps none after a while."""
    found = []
    for line in lines[: draw(st.integers(0, len(lines)))]:
        found += [line] * draw(st.sampled_from([0, 1, 1, 1, 2]))
    return found


@given(jobs(), st.data())
def test_a_log_that_breaks_off_and_is_read_again_says_what_it_says(job, data):
    client = Client()
    for _ in range(data.draw(st.integers(0, 3))):
        end = data.draw(st.integers(0, len(job.lines)))
        assert set(client.read(job.lines[:end])) <= set(job.entries)

    assert set(client.read(job.lines)) == set(job.entries)
    assert client.texts() == job.texts
    client.read(job.lines)
    assert client.texts() == job.texts


@given(jobs(), st.data())
def test_a_log_that_was_damaged_is_made_good_when_it_is_read_whole(job, data):
    client = Client()
    for _ in range(data.draw(st.integers(1, 3))):
        assert set(client.read(data.draw(damaged(job.lines)))) <= set(job.entries)

    entries = client.read(job.lines)
    for call, printed in client.printed.items():  # as when the outcome arrives
        printed.end(job.counts[call])
    assert set(entries) == set(job.entries)
    assert client.texts() == {call: text for call, text in job.texts.items() if text}


@given(st.lists(st.text(ANY, max_size=40) | st.just("#hfx1:0123abcd:0:AAAA:" + "A" * 22 + ";")))
def test_any_text_is_only_text(lines):
    client = Client()

    assert client.read(lines) == []
    assert client.texts() == {}


def test_an_outcome_larger_than_a_line_is_put_together_from_several_readings():
    job, client = Job(), Client()
    job.answer(1, b"x" * 20_000)
    assert len(job.lines) > 2

    assert client.read(job.lines[:1]) == []
    assert client.read(job.lines[1:]) == job.entries


def test_frames_of_another_key_are_counted_and_not_believed():
    job, client = Job(key=b"another"), Client()
    job.answer(1, b"forged")

    assert client.read(job.lines) == []
    assert client.intake.forged == 1
    assert client.intake.tail == job.lines


def test_a_frame_may_stand_within_a_line():
    job, client = Job(), Client()
    job.say(entry(wire.SPEAKER, 1, SPEAKER.pack(0, 0)))
    job.answer(2, b"x")
    lines = [job.lines[0], f"before {job.lines[1]} after"]

    assert client.read(lines) == job.entries
    assert client.texts() == {1: "before  after\n"}


def test_lines_before_the_first_speaker_belong_to_nobody():
    job, client = Job(), Client()
    job.lines.append("Installed 3 packages")
    job.say(entry(wire.HELLO, 0, plain.pack({"slots": 1})))

    assert client.read(job.lines) == job.entries
    assert client.texts() == {}
    assert client.intake.tail == ["Installed 3 packages"]


def test_lines_after_a_calls_outcome_are_not_its_own():
    job, client = Job(), Client()
    job.show(1, "mine")
    job.answer(1, b"x")
    job.lines.append("Terminated")

    client.read(job.lines)
    assert client.texts() == {1: "mine\n"}


def test_an_outcome_does_not_end_what_another_call_says():
    job, client = Job(), Client()
    job.show(1, "first")
    job.say(entry(wire.OUTCOME, 2, b"x"))
    job.lines.append("second")

    client.read(job.lines)
    assert client.texts() == {1: "first\nsecond\n"}


def test_what_a_call_of_nobody_prints_is_only_seen_in_the_tail():
    job, client = Job(), Client()
    job.show(1, "ours")
    job.show(99, "of a call that is answered")

    client.read(job.lines)
    assert client.texts() == {1: "ours\n"}
    assert client.intake.tail == ["ours", "of a call that is answered"]


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 10])
def test_a_speaker_that_cannot_be_read_is_ignored(data):
    job, client = Job(), Client()
    job.show(1, "a")
    job.say(entry(wire.SPEAKER, 2, data))
    job.lines.append("b")

    client.read(job.lines)
    assert client.texts() == {1: "a\nb\n"}


def test_the_tail_is_short_and_of_the_last_reading():
    client = Client()
    client.read(f"line {n}" for n in range(100))
    assert client.intake.tail == [f"line {n}" for n in range(100 - TAIL_LINES, 100)]

    client.read(["again"])
    assert client.intake.tail == ["again"]


def test_a_lines_number_continues_over_feeds():
    job, client = Job(), Client()
    for text in "abc":
        job.show(1, text)
    client.intake.rewind()
    for line in job.lines:
        assert list(client.intake.feed([line])) == []

    assert client.texts() == {1: "a\nb\nc\n"}

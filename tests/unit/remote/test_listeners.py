"""Requests that stand until there is something to say, and what they are answered with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames, outcomes, pipes, plain
from hfexecutor.remote.effects import Reply
from hfexecutor.remote.entries import Entry
from hfexecutor.remote.listeners import Feed
from hfexecutor.remote.machine import Machine
from hfexecutor.remote.memory import Memory

SEAL = frames.Seal(b"key")
MARKER = b"\0marker"


class Job:
    """A machine with one process that is ready, and a client that listens."""

    def __init__(self, *calls, **config):
        self.now = 100.0
        self.number = 0
        self.answers = {}  # by ticket
        self.position = 0
        config = {"port": 1234, **config}
        launch = [Entry(entries.CONFIG, 0, 0, 1, plain.pack(config))]
        launch += [call(number) for number in calls]
        self.machine = Machine(SEAL, launch, "01234567", take_back=lambda _: [], memory=Memory())
        self.machine.start(self.now)
        self.step()
        self.machine.forked(0, MARKER)
        self.end(pipes.READY, 0)
        self.machine.greet(config["port"], None, self.now)
        self.step()

    def step(self, seconds=0.0):
        self.now += seconds
        while effects := self.machine.step(self.now):
            for effect in effects:
                if isinstance(effect, Reply):
                    self.answers[effect.ticket] = effect.body

    def end(self, status, call, payload=b""):
        self.machine.output(0, MARKER, self.now)
        self.machine.result(0, (status, call, 0.0, 0.01, payload), self.now)

    def returns(self, call, payload=b"value"):
        """Let the present call return, and the log's lines be closed."""
        self.end(outcomes.VALUE, call, payload)
        self.step(0.1)

    def prints(self, text):
        self.machine.output(0, text, self.now)
        self.step()

    def submit(self, *numbers):
        self.number += 1
        body = entries.pack([call(number) for number in numbers])
        message = frames.seal_message(SEAL, self.number, body)
        assert self.machine.message(message, self.now)[0] == 200
        self.step()

    def listen(self, ticket, position=None, seconds=25.0, number=None):
        """Let a request stand under a ticket."""
        if number is None:
            self.number += 1
        position = self.position if position is None else position
        wish = entries.pack_ids([position, int(1000 * seconds)])
        body = entries.pack([Entry(entries.LISTEN, 0, 0, 1, wish)])
        message = frames.seal_message(SEAL, number or self.number, body)
        assert self.machine.message(message, self.now, ticket) is None
        self.step()
        return number or self.number

    def heard(self, ticket, number):
        """Return what a request was answered with: calls that ended, and lines."""
        said = entries.unpack(frames.open_reply(SEAL, number, self.answers.pop(ticket)))
        assert said[0].kind == entries.POSITION
        self.position = said[0].call
        return [
            entry.call
            if entry.kind == entries.OUTCOME
            else entries.unpack_printed(entry.data)[2]
            if entry.kind == entries.PRINTED
            else entry.kind
            for entry in said[1:]
        ]


def call(number):
    return Entry(entries.CALL, number, 0, 1, entries.call_head(0) + b"pickle")


def test_a_request_stands_until_a_call_has_ended():
    job = Job(1)
    number = job.listen(7)
    job.step(5.0)
    assert job.answers == {}

    job.returns(1)

    assert job.heard(7, number) == [1]
    assert b"#hfx1:" in job.machine.log.chunk()  # it is in the log all the same


def test_what_was_said_before_is_said_at_once():
    job = Job(1)
    job.returns(1)

    assert job.heard(7, job.listen(7)) == [1]


def test_what_was_heard_is_not_said_again_and_what_was_lost_is():
    job = Job(1)
    job.returns(1)
    job.heard(7, job.listen(7))
    job.submit(2)
    job.returns(2)
    number = job.listen(8)
    assert job.answers.pop(8)  # lost on its way

    assert job.heard(9, job.listen(9)) == [2]
    number = job.listen(10)
    job.step(24.0)
    assert job.answers == {}
    job.step(1.1)
    assert job.heard(10, number) == []


def test_lines_come_before_the_outcome_of_their_call():
    job = Job(1)
    number = job.listen(7)
    job.prints(b"one\ntwo\n")
    assert job.heard(7, number) == ["one", "two"]
    number = job.listen(8)
    job.prints(b"three")
    job.returns(1)

    assert job.heard(8, number) == ["three", 1]


def test_somebody_who_prints_without_end_does_not_make_an_answer_of_each_line():
    job = Job(1)
    number = job.listen(7)
    job.prints(b"one\n")
    assert job.heard(7, number) == ["one"]
    number = job.listen(8)
    job.prints(b"two\n")
    assert job.answers == {}
    assert job.machine.due() <= job.now + 0.02

    job.step(0.02)

    assert job.heard(8, number) == ["two"]


def test_the_size_of_a_large_outcome_is_said():
    job = Job()
    job.submit(1)
    number = job.listen(7)

    job.returns(1, b"x" * (1 << 20))

    assert job.heard(7, number) == [entries.LARGE]


def test_a_request_that_arrives_twice_is_answered_twice():
    job = Job(1)
    number = job.listen(7)
    job.listen(8, number=number)
    job.returns(1)

    assert job.answers.keys() == {7, 8}
    assert job.answers[7] == job.answers[8]


def test_an_old_request_that_somebody_sends_again_does_not_stand():
    job = Job(1)
    number = job.listen(7)
    job.listen(8)

    job.listen(9, number=number)

    assert job.heard(9, number) == []
    assert job.answers == {}


def test_no_more_than_a_few_stand():
    job = Job(1)
    numbers = [job.listen(ticket) for ticket in range(6)]

    assert job.answers.keys() == {0, 1}
    assert job.heard(0, numbers[0]) == []


def test_a_request_that_stands_is_no_work():
    job = Job(idle_timeout=10)
    job.submit(1)
    job.returns(1)
    job.heard(7, job.listen(7))
    job.listen(8)
    job.step(5)
    job.listen(9)
    assert not job.machine.over
    job.step(5.1)

    assert job.machine.over
    assert job.answers == {}


def test_one_that_hangs_up_leaves_nothing_undone():
    """Its ticket is answered, and nobody is there: the next one asks for the same."""
    job = Job(1)
    job.listen(7)
    job.returns(1)
    job.answers.clear()

    assert job.heard(8, job.listen(8)) == [1]


@pytest.mark.parametrize(
    "data", [b"", b"1234567", entries.pack_ids([1]), entries.pack_ids([1] * 3)]
)
def test_nonsense_is_refused(data):
    job = Job(1)
    body = entries.pack([Entry(entries.LISTEN, 0, 0, 1, data)])

    assert job.machine.message(frames.seal_message(SEAL, 1, body), 0.0) == (400, b"")


def test_a_job_without_a_door_keeps_no_feed():
    job = Job(1, port=None)
    job.returns(1)

    assert job.machine.log._feed is None


# --- the feed -------------------------------------------------------------------------------------


def test_outcomes_that_were_acknowledged_are_not_said_to_who_listens_later():
    job = Job(1, 2, 3)
    for number in (1, 2):
        job.returns(number)
    job.number += 1
    body = entries.pack([Entry(entries.ACK, 0, 0, 1, entries.pack_ids([1, 2]))])
    assert job.machine.message(frames.seal_message(SEAL, job.number, body), job.now)[0] == 200
    listening = job.listen(7)
    job.step(1.0)
    assert 7 not in job.answers  # there is nothing that the client does not have

    job.returns(3)

    assert job.heard(7, listening) == [3]


def line(call, number):
    return Entry(entries.PRINTED, call, 0, 1, entries.pack_printed(number, b"x" * 50, joined=False))


def test_an_outcome_never_comes_without_the_lines_of_its_call():
    feed = Feed(most=1000)
    for number in range(100):
        feed.add(line(1, number))
        feed.add(line(2, 0)) if number == 99 else None
    feed.add(Entry(entries.OUTCOME, 1, 0, 1, b"cut"))
    feed.add(Entry(entries.OUTCOME, 2, 0, 1, b"whole"))

    said, position = feed.read(0)

    assert [e.call for e in said if e.kind == entries.OUTCOME] == [2]
    assert position == feed.end
    feed.add(Entry(entries.OUTCOME, 1, 0, 1, b"of another attempt"))
    assert [e.call for e in feed.read(position)[0]] == [1]


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60
    )
)
def test_whoever_reads_on_gets_everything_once_and_in_order(steps):
    """Whatever is lost on its way; as long as there is room."""
    feed = Feed()
    written, heard, position = [], [], 0
    numbers = dict.fromkeys(range(1, 5), 0)
    for call, lines, reads, arrives in steps:
        for _ in range(lines):
            written.append(line(call, numbers[call]))
            numbers[call] += 1
            feed.add(written[-1])
        written.append(Entry(entries.OUTCOME, call, 0, 1, b"x"))
        feed.add(written[-1])
        if reads:
            feed.forget(position)
            said, after = feed.read(position)
            if arrives:
                heard += said
                position = after
    heard += feed.read(position)[0]

    assert heard == written


def test_a_reply_has_about_a_mebibyte_and_the_next_one_the_rest():
    feed = Feed()
    for number in range(10):
        feed.add(Entry(entries.OUTCOME, number, 0, 1, b"x" * 200_000))
    position, calls, replies = 0, [], 0
    while position < feed.end:
        said, position = feed.read(position)
        assert sum(map(entries.entry_size, said)) <= entries.REPLY_BYTES
        calls += [entry.call for entry in said]
        replies += 1

    assert calls == list(range(10))
    assert replies == 2


def test_a_position_of_another_supervisor_begins_anew():
    feed = Feed()
    feed.add(line(1, 0))

    assert feed.read(99) == ([line(1, 0)], 1)

"""What is said when: lines are few, nobody waits for long, and nothing is lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames
from hfexecutor.remote.entries import Entry
from hfexecutor.remote.log import Log
from hfexecutor.remote.unacknowledged import Unacknowledged


class Clock:
    """A log, the time, and what can be read."""

    def __init__(self):
        self.now = 100.0
        seal = frames.Seal(b"key")
        self.log = Log(frames.LineWriter(seal, "01234567"))
        self.reader = frames.LineReader(seal)

    def answer(self, call, data):
        self.log.outcome(call, data, self.now)

    def step(self, *, alone):
        self.log.step(self.now, alone=alone)

    def lines(self):
        text = ""
        while chunk := self.log.chunk():
            text += chunk.decode()
        assert not text or text.endswith("\n")
        return [self.reader.feed(line) for line in text.split("\n")[:-1]]

    def calls(self):
        return [[entry.call for entry in line.entries] for line in self.lines()]


@pytest.fixture
def log():
    return Clock()


def test_the_first_outcome_is_said_at_once(log):
    log.answer(1, b"V")
    log.step(alone=False)
    assert log.calls() == [[1]]


def test_the_next_ones_wait_for_company_but_not_for_long(log):
    log.answer(1, b"V")
    log.step(alone=False)
    for call in (2, 3):
        log.answer(call, b"V")
        log.step(alone=False)
    assert log.calls() == [[1]]
    assert log.log.due() <= log.now + 0.005
    log.now = log.log.due()
    log.step(alone=False)
    assert log.calls() == [[2, 3]]


def test_nobody_waits_when_nothing_more_is_to_come(log):
    for call in range(5):
        log.answer(call, b"V")
        log.step(alone=True)
        assert log.calls() == [[call]]


def test_while_a_burst_lasts_the_lines_become_fewer(log):
    spoken = []
    for step in range(1000):
        log.now += 0.001
        log.answer(step, b"V")
        log.step(alone=False)
        spoken += [log.now for _ in log.lines()]
    assert spoken[1] - spoken[0] < 0.01
    assert 0.045 < spoken[-1] - spoken[-2] < 0.06
    assert len(spoken) < 35


def test_after_a_pause_it_is_quick_again(log):
    for step in range(1000):
        log.now += 0.001
        log.answer(step, b"V")
        log.step(alone=False)
    log.now += 1
    log.step(alone=False)
    log.lines()
    log.now += 1
    log.answer(5000, b"V")
    log.step(alone=False)
    assert log.calls() == [[5000]]
    log.answer(5001, b"V")
    log.step(alone=False)
    assert log.log.due() <= log.now + 0.005


def test_a_full_line_waits_for_nothing(log):
    for call in range(200):
        log.answer(call, b"V" * 50)
        log.step(alone=False)
    lines = log.calls()
    assert len(lines) == 3
    assert min(map(len, lines[1:])) > 70


def test_a_large_outcome_is_written_as_the_log_takes_it(log):
    log.answer(1, bytes(5 << 20))
    log.step(alone=True)
    assert 0 < len(log.log.chunk()) < 1 << 20
    assert log.log.lines
    log.lines()
    assert not log.log.lines


def test_lines_of_a_call_follow_its_name(log):
    log.log.show(7, 0, False, b"one")
    log.log.show(7, 1, False, b"two")
    log.log.show(7, 2, False, b"three, begun")
    log.log.show(7, 3, True, b" and ended")
    log.log.show(8, 0, False, b"other")
    log.step(alone=True)
    said = [line.plain or line.entries[0][:2] for line in log.lines()]
    speaker = entries.SPEAKER
    assert said == [
        (speaker, 7), "one", "two", "three, begun",
        (speaker, 7), " and ended", (speaker, 8), "other",
    ]  # fmt: skip


def test_an_outcome_comes_after_the_lines_of_its_call(log):
    log.log.show(7, 0, False, b"line")
    log.answer(7, b"V")
    log.step(alone=True)
    assert [line.plain for line in log.lines()] == [None, "line", None]


def test_what_waits_goes_with_the_name_of_a_speaker(log):
    log.answer(1, b"V")
    log.log.show(7, 0, False, b"line")
    log.step(alone=True)
    assert log.calls() == [[1, 7], []]


def test_what_is_out_of_sight_is_said_again(log):
    log.answer(1, b"V")
    log.step(alone=True)
    for number in range(299):
        log.log.show(2, number, False, b"line")
    log.step(alone=True)
    said = [call for line in log.calls() for call in line]
    assert said.count(1) == 2


# --- what is not acknowledged


def test_what_is_acknowledged_is_forgotten():
    kept = Unacknowledged()
    kept.keep(1, b"a", 0)
    kept.keep(2, b"b", 0)
    kept.drop(1)
    kept.drop(1)
    assert kept.all() == [(2, b"b")]
    assert kept.some([1, 2]) == [(2, b"b")]
    assert 1 not in kept
    assert len(kept) == 1


def test_of_too_much_the_oldest_is_given_up():
    kept = Unacknowledged(most=100)
    for call in range(5):
        kept.keep(call, b"x" * 40, 0)
    assert [call for call, _ in kept.all()] == [3, 4]
    kept.keep(9, b"x" * 1000, 0)
    assert [call for call, _ in kept.all()] == [9]


@given(st.lists(st.integers(1, 200), max_size=60), st.integers(1, 500))
def test_repeating_is_bounded_and_gets_round_to_everything(sizes, again):
    kept = Unacknowledged(window=10, again=again)
    for call, size in enumerate(sizes):
        kept.keep(call, b"x" * size, 0)
    said = set()
    for line in range(10, 10 * (len(sizes) + 2), 10):  # one at a time is enough
        found = kept.out_of_sight(line)
        assert sum(len(data) for _, data in found) <= again
        assert kept.out_of_sight(line) == []
        said |= {call for call, _ in found}
    assert said == {call for call, size in enumerate(sizes) if size <= again}


def test_repeated_lines_do_not_make_it_repeat():
    kept = Unacknowledged(window=10)
    kept.keep(1, b"x", 0)
    assert kept.out_of_sight(9) == []
    assert kept.out_of_sight(10) == [(1, b"x")]
    assert kept.out_of_sight(10) == []


def test_entries_that_fill_a_line_exactly_stay_within_it(log):
    size = frames.MAX_BODY - entries.entry_size(Entry(entries.OUTCOME, 1, 0, 1, b""))
    log.answer(1, b"x" * size)
    log.answer(2, b"x")
    log.step(alone=True)
    assert log.calls() == [[1], [2]]


def test_hello_is_said_again_ever_less_often_until_somebody_has_come(log):
    begun, moments = log.now, []
    log.log.introduce(Entry(entries.HELLO, 0, 0, 1, b"{}"), log.now)
    for _ in range(5):
        log.step(alone=True)
        moments += [log.now - begun for _ in log.lines()]
        log.log.fetched = len(moments) == 3
        log.now = min(log.log.due(), log.now + 9)
    assert moments == [0, 2, 6]
    assert log.log.due() == math.inf


def test_what_was_announced_is_said_in_time_however_often_it_is_announced_again(log):
    log.log.has_door = log.log.fetched = True
    log.answer(1, bytes(300_000))
    begun = log.now
    for _ in range(3):
        log.now += 19
        log.log.announce(1, bytes(300_000), log.now)
    assert log.log.awaits_fetches
    log.step(alone=True)
    assert len(log.lines()) == 1
    assert log.log.due() == begun + 60

    log.now = log.log.due()
    log.step(alone=True)
    assert len(log.lines()) == 50
    assert not log.log.awaits_fetches


def test_what_is_being_fetched_is_given_time(log):
    log.log.has_door = log.log.fetched = True
    log.answer(1, bytes(300_000))
    log.now += 59
    assert log.log.read(1, 0, 10, log.now, True) == bytes(10)
    log.now += 2
    log.step(alone=True)
    assert log.log.awaits_fetches
    assert log.log.due() == log.now + 58


def test_what_is_large_waits_for_a_first_visit_and_not_for_long(log):
    log.log.has_door = True
    log.answer(1, bytes(300_000))
    log.step(alone=True)
    assert len(log.lines()) == 1
    log.now += 10
    log.step(alone=True)
    assert len(log.lines()) == 50


def test_without_a_door_what_is_large_is_said_at_once(log):
    log.answer(1, bytes(300_000))
    log.step(alone=True)
    assert len(log.lines()) == 50


def test_no_more_is_announced_than_may_wait():
    kept = Unacknowledged(most=10, most_large=250)
    assert [kept.keep(call, bytes(100), line=0, announce=True) for call in (1, 2, 3)] == [
        True,
        True,
        False,
    ]
    assert all(call in kept for call in (1, 2, 3))  # the last one is given up when the next comes
    kept.drop(1)
    assert kept.announce(3)
    kept.keep(4, bytes(10), line=0)
    assert all(call in kept for call in (2, 3, 4))


def test_the_last_words_are_the_latest_outcomes_and_all_that_was_only_announced():
    kept = Unacknowledged(again=25)
    for call in range(5):
        kept.keep(call, bytes(10), line=call)
    kept.keep(5, bytes(100), line=5)
    kept.announce(5)

    assert sorted(call for call, _ in kept.last_words()) == [3, 4, 5]

"""Which ranges of large outcomes are asked for, how many at once, and again after failures."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.core.fetching import Fetching
from hfexecutor.core.rules import Rules

RULES = Rules(fetches=(4, 16), fetch_bytes=(1000, 4000), fetch_least=100, fetch_tries=3)
NEAR, FAR = 0.001, 0.1


class Story:
    """What is fetched, and what was asked for."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.fetching = Fetching(rules, jitter=lambda: 1.0)
        self.now = 0.0
        self._numbers = itertools.count(1)
        self._last = 0

    def ask(self, round_trip: float = NEAR) -> list[tuple[int, int, int, int]]:
        """Return number, call, start and stop of what is asked for now."""
        asked = []
        for one in self.fetching.ask(self.now, round_trip, self._number):
            asked.append((self._last, one.call, one.start, one.stop))
        return asked

    def _number(self) -> int:
        self._last = next(self._numbers)
        return self._last


def test_a_near_door_gets_few_small_requests_and_a_far_one_many() -> None:
    near, far = Story(), Story()
    for story in (near, far):
        story.fetching.add(1, 1_000_000)
    assert [stop - start for *_, start, stop in near.ask()] == [1000] * 4
    assert [stop - start for *_, start, stop in far.ask(FAR)] == [4000] * 16
    assert near.ask() == []


def test_ranges_become_smaller_towards_the_end_and_leave_nothing_out() -> None:
    story = Story()
    story.fetching.add(1, 5050)
    sizes, end = [], 0
    while asked := story.ask():
        for number, _, start, stop in asked:
            assert start == end
            end = stop
            sizes.append(stop - start)
            story.fetching.arrived(number, 1)
    assert end == 5050
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 5
    assert not len(story.fetching)


def test_outcomes_take_turns() -> None:
    story = Story()
    for call in (1, 2, 3):
        story.fetching.add(call, 100_000)
    (number, *_), *rest = story.ask()
    assert [call for _, call, *_ in rest] == [2, 3, 1]
    story.fetching.arrived(number, 1)
    assert [call for _, call, *_ in story.ask()] == [2]


def test_what_fails_is_asked_for_again_after_a_pause_that_grows() -> None:
    story = Story()
    story.fetching.add(1, 250)
    first, *others = story.ask()
    for pause in (0.05, 0.1):
        assert not story.fetching.failed(first[0], 1, story.now)
        assert story.ask() == []
        assert math.isclose(story.fetching.due, story.now + pause)
        story.now = story.fetching.due
        (again,) = story.ask()
        assert again[1:] == first[1:]
        first = again
    assert len(others) == 2
    assert story.fetching.failed(first[0], 1, story.now)
    assert not len(story.fetching)
    assert not story.fetching.failed(others[0][0], 1, story.now)


def test_what_arrives_in_between_lets_it_be_tried_on() -> None:
    story = Story()
    story.fetching.add(1, 100_000)
    under_way: list[tuple[int, int, int, int]] = []
    for _ in range(2 * RULES.fetch_tries):
        under_way += story.ask()
        assert not story.fetching.failed(under_way.pop()[0], 1, story.now)
        story.fetching.arrived(under_way.pop()[0], 1)


def test_an_outcome_that_nobody_needs_any_more_is_not_fetched() -> None:
    story = Story()
    story.fetching.add(1, 100_000)
    ((number, *_), *_) = story.ask()
    story.fetching.drop(1)
    story.fetching.arrived(number, 1)
    assert story.ask() == []
    story.fetching.add(1, 0)  # nothing to fetch
    assert story.ask() == []


@given(
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=4),
    choices=st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=400),
    round_trip=st.sampled_from([NEAR, FAR]),
)
def test_whatever_fails_each_byte_arrives_once(
    sizes: list[int], choices: list[tuple[int, bool]], round_trip: float
) -> None:
    story = Story(Rules(fetches=(4, 16), fetch_bytes=(1000, 4000), fetch_least=100, fetch_tries=99))
    for call, size in enumerate(sizes, 1):
        story.fetching.add(call, size)
    arrived = {call: bytearray(size) for call, size in enumerate(sizes, 1)}
    under_way: list[tuple[int, int, int, int]] = []
    for place, works in itertools.chain(choices, itertools.repeat((0, True))):
        under_way += story.ask(round_trip)
        assert len(under_way) <= 16
        if not under_way:
            if not len(story.fetching):
                break
            story.now = story.fetching.due
            assert story.now < math.inf
            continue
        number, call, start, stop = under_way.pop(place % len(under_way))
        if works:
            story.fetching.arrived(number, call)
            for at in range(start, stop):
                arrived[call][at] += 1
        else:
            story.fetching.failed(number, call, story.now)
    assert all(set(counts) == {1} for counts in arrived.values())


def test_what_is_fetched_no_more_is_never_due_again() -> None:
    """A moment that nobody asks about kept the client busy for good."""
    story = Story()
    story.fetching.add(1, 500)
    (number, *_), *_ = story.ask()
    assert not story.fetching.failed(number, 1, story.now)
    story.ask()
    assert story.fetching.due < math.inf

    story.fetching.drop(1)
    assert story.fetching.due == math.inf

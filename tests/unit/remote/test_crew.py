"""The children together, without a supervisor: forks that fail, children that never start."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hfexecutor.remote import outcomes, slots
from hfexecutor.remote.config import Config
from hfexecutor.remote.crew import Crew
from hfexecutor.remote.loop import Loop


class Team:
    """A crew, and what it has said."""

    def __init__(self, **config):
        self.now = 100.0
        self.loop = Loop(clock=lambda: self.now)
        self.outcomes = []
        self.ready = 0
        self.crew = Crew(
            self.loop,
            Config(json.dumps(config).encode()),
            initializer=False,
            on_outcome=lambda *outcome: self.outcomes.append(outcome),
            on_ready=lambda: None,
            on_line=lambda *line: None,
        )


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_fork_that_fails_is_tried_again_later(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    team = Team(slots=2)
    before = open_descriptors()
    assert team.crew.fork_missing() is None
    assert open_descriptors() == before
    assert team.loop._timeout() == 1000.0
    assert team.outcomes == []


@pytest.fixture
def stillborn(monkeypatch):
    """Make every child end before it can take a call."""

    def fork(self):
        pipes = [os.pipe() for _ in range(4)]
        pid = os.fork()
        if not pid:
            os._exit(7)
        for reading, writing in pipes:
            os.close(reading)
            os.close(writing)
        tickets, calls, answers, output = [os.pipe() for _ in range(4)]
        for fd in (calls[0], answers[1], output[1]):
            os.close(fd)
        self._tickets_back, self._tickets = tickets
        self._calls, self._answers, self._output = calls[1], answers[0], output[0]
        for fd in self._descriptors():
            os.set_blocking(fd, False)
        self._begin(pid, b"\x00marker")

    monkeypatch.setattr(slots.Slot, "fork", fork)


def reap_one(team):
    (slot,) = team.crew.slots
    os.waitid(os.P_PID, slot.pid, os.WEXITED | os.WNOWAIT)
    team.crew.reap()


@pytest.mark.usefixtures("stillborn")
def test_children_that_never_start_fail_one_call_after_the_other():
    team = Team(slots=1)
    for call in (1, 2):
        team.crew.queue.add(call, bytes(8))
    for _ in range(6):
        team.crew.fork_missing()
        reap_one(team)
    assert [(call, status) for call, status, *_ in team.outcomes] == [
        (1, outcomes.DIED),
        (2, outcomes.DIED),
    ]
    details = json.loads(team.outcomes[0][4])
    assert (details["during"], details["exitcode"]) == ("start", 7)
    assert not team.crew.busy


@pytest.mark.usefixtures("stillborn")
def test_what_was_given_to_a_child_that_died_before_it_began_comes_first_again():
    team = Team(slots=1)
    for call in (1, 2, 3):
        team.crew.queue.add(call, bytes(8))
    team.crew.fork_missing()
    (slot,) = team.crew.slots
    assert list(slot.given) == [1]
    reap_one(team)
    assert team.outcomes == []
    assert list(team.crew.queue.take(9)) == [1, 2, 3]


@pytest.mark.usefixtures("stillborn")
def test_calls_given_ahead_of_a_slow_one_are_taken_back_in_time():
    team = Team(slots=1)
    team.crew.fork_missing()
    (slot,) = team.crew.slots
    slot.ready, slot.pace.depth = True, 8
    for call in range(1, 6):
        team.crew.queue.add(call, bytes(8))
    team.crew.deal()
    team.crew.settle()
    assert list(slot.given) == [1, 2, 3, 4, 5]
    assert os.read(slot._tickets_back, 8) == (1).to_bytes(8, "little")  # as the child does
    team.now += 0.02
    team.loop.step()
    assert list(slot.given) == [1]
    assert slot.pace.depth == 1
    assert list(team.crew.queue.take(9)) == [2, 3, 4, 5]
    reap_one(team)
    assert [outcome[:2] for outcome in team.outcomes] == [(1, outcomes.DIED)]

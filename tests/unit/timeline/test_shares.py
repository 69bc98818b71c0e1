"""Where the time of slots went: each moment of each slot counts once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeline_rows import call, job

from hfexecutor.timeline import Period
from hfexecutor.timeline.lanes import lanes_of
from hfexecutor.timeline.shares import KINDS, phases, shares_of


def shares(jobs, calls=(), now=20.0):
    return {kind: s for kind, s in shares_of(lanes_of(jobs, calls, now), now).items() if s}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, (0.0, 4.0, 5.0, 10.0)),
        ({"ended": None}, (0.0, 4.0, 5.0, 20.0)),
        ({"began": None}, (0.0, 5.0, 5.0, 10.0)),  # it shows when it takes calls
        ({"up": None}, (0.0, 4.0, 10.0, 10.0)),
        ({"began": None, "up": None}, (0.0, 10.0, 10.0, 10.0)),
        ({"launched": None}, (4.0, 4.0, 5.0, 10.0)),
        ({"launched": None, "began": None, "up": None, "ended": None}, (20.0,) * 4),
        ({"began": -2.0}, (0.0, 0.0, 5.0, 10.0)),  # the Hub's clock is behind
        ({"began": 7.0}, (0.0, 5.0, 5.0, 10.0)),  # it is ahead
    ],
)
def test_what_is_not_known_of_a_job_is_the_moment_after_it(given_, expected):
    assert phases(job(**given_), 20.0) == expected


def test_each_slot_has_its_share():
    calls = [call(1, 5.0, 2.0), call(2, 6.0, 4.0, slot=1)]

    assert shares([job(slots=2)], calls) == {
        "hardware": 8.0,
        "starting": 2.0,
        "running": 6.0,
        "idle": 4.0,
    }


def test_who_runs_a_call_does_not_wait_for_what_the_job_does_besides():
    installs = (Period(5.0, 7.0), Period(6.5, 8.0))
    transfers = (Period(3.0, 6.0), Period(7.5, 9.5))
    one = job(installs=installs, transfers=transfers)

    assert shares([one], [call(1, 6.0, 1.0)]) == {
        "hardware": 4.0,
        "starting": 1.0,
        "running": 1.0,
        "installing": 2.0,  # 5 to 6, 7 to 8
        "transferring": 1.5,  # 8 to 9.5
        "idle": 0.5,
    }


def test_what_goes_on_counts_until_now():
    one = job(ended=None, installs=(Period(6.0, None),))

    assert shares([one], now=9.0)["installing"] == 3.0


def test_a_lost_call_is_no_work():
    gone = call(1, None, None, state="lost", sent=6.0, slot=None)

    assert shares([job()], [gone]) == {"hardware": 4.0, "starting": 1.0, "lost": 4.0, "idle": 1.0}


moments = st.floats(0, 10, width=16)
periods = st.lists(st.builds(lambda a, b: Period(min(a, b), max(a, b)), moments, moments))


@given(periods, periods, st.lists(st.tuples(st.floats(5, 9), st.floats(0, 1)), max_size=9))
def test_the_shares_add_up_to_the_time_of_the_slots(installs, transfers, ran):
    one = job(installs=tuple(installs), transfers=tuple(transfers))
    calls = [call(n, began, min(seconds, 10 - began)) for n, (began, seconds) in enumerate(ran)]
    # Those that overlap are put one after the other, and may then end after the job.
    lanes = lanes_of([one], [], 20.0) if _overlap(calls) else lanes_of([one], calls, 20.0)
    found = shares_of(lanes, 20.0)

    assert set(found) == set(KINDS)
    assert sum(found.values()) == pytest.approx(10.0)
    assert min(found.values()) >= 0


def _overlap(calls):
    ordered = sorted(calls, key=lambda one: one.began)
    return any(a.ended > b.began for a, b in itertools.pairwise(ordered))

"""Which call was where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeline_rows import call, job

from hfexecutor.timeline.lanes import by_our_clock, lanes_of, up_in_time


def bars(lanes):
    return [[(bar.call.call, bar.began, bar.ended) for bar in lane.bars] for lane in lanes]


@pytest.mark.parametrize(
    ("sent", "heard", "shift"),
    [
        (None, None, 0.0),
        (4.0, 7.0, 0.0),  # nothing is wrong
        (5.5, 7.0, 0.5),  # it would have begun before it was sent
        (4.0, 5.5, -0.5),  # it would have been heard before its end
        (5.5, 5.75, -0.25),  # both: the outcome counts
    ],
)
def test_clocks_of_jobs_are_set_right_as_far_as_they_cannot_be(sent, heard, shift):
    other = call(2, job_id="j2", sent=None)
    shown = by_our_clock([call(1, 5.0, 1.0, sent=sent, heard=heard), other])

    assert [one.began for one in shown] == [5.0 + shift, 5.0]


def test_one_call_sets_the_clock_for_all_of_its_job():
    shown = by_our_clock([call(1, 5.0, 1.0, sent=7.0), call(2, 6.0, 1.0)])

    assert [one.began for one in shown] == [7.0, 8.0]


def test_a_job_takes_calls_when_the_first_begins_though_that_was_heard_later():
    jobs = [job(up=8.0), job("j2", up=None), job("j3", up=3.0)]
    calls = [call(1, 5.0), call(2, 6.0), call(3, 9.0, job_id="j2"), call(4, 4.0, job_id="j3")]

    assert [one.up for one in up_in_time(jobs, calls)] == [5.0, 9.0, 3.0]


def test_each_slot_has_its_calls_in_their_order():
    calls = [call(2, 7.0), call(1, 5.0), call(3, 5.5, slot=1)]

    assert bars(lanes_of([job(slots=3)], calls, 20.0)) == [
        [(1, 5.0, 6.0), (2, 7.0, 8.0)],
        [(3, 5.5, 6.5)],
        [],
    ]


def test_a_slot_that_only_a_call_knows_of_is_shown():
    assert len(lanes_of([job(slots=1)], [call(slot=3)], 20.0)) == 4


def test_calls_without_outcome_take_free_places_and_others_wait():
    sent = {"state": "sent", "began": None, "seconds": None, "slot": None}
    calls = [call(1, 5.0), *(call(n, sent=5.5, **sent) for n in (2, 3, 4))]
    lanes = lanes_of([job(slots=2, ended=None)], calls, 9.0)

    assert bars(lanes) == [[(1, 5.0, 6.0), (3, 6.0, 9.0)], [(2, 5.5, 9.0)]]
    assert [bar.open for lane in lanes for bar in lane.bars] == [False, True, True]


@pytest.mark.parametrize("state", ["lost", "failed", "sent"])
def test_a_call_that_ended_with_its_job_was_lost(state):
    gone = call(1, None, None, state=state, sent=5.5, slot=None)
    (lane,) = lanes_of([job()], [gone], 20.0)

    assert bars([lane]) == [[(1, 5.5, 10.0)]]
    assert lane.bars[0].lost


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 3)), max_size=40))
def test_bars_never_overlap(calls):
    some = [call(n, began / 10, seconds) for n, (began, seconds) in enumerate(calls)]
    (lane,) = lanes_of([job()], some, 20.0)

    assert len(lane.bars) == len(some)
    assert all(bar.began <= bar.ended for bar in lane.bars)
    assert all(a.ended <= b.began for a, b in zip(lane.bars, lane.bars[1:], strict=False))


def test_calls_of_a_job_that_is_not_shown_are_left_out():
    elsewhere = [call(1, job_id="other"), call(2, job_id=None)]

    assert bars(lanes_of([job()], elsewhere, 9.0)) == [[]]

"""Who gets how many calls: nobody waits behind somebody while a slot is idle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.core.dispatch import (
    AHEAD_PER_SECOND,
    MOST_AHEAD,
    View,
    allowance,
    assign,
    jobs_wanted,
    room,
    share,
    surplus,
)

seconds = st.floats(0, 1e4)
views = st.builds(
    View,
    slots=st.integers(1, 130),
    held=st.integers(0, 300),
    duration=st.none() | seconds,
    round_trip=st.floats(0, 10),
    alone=st.booleans(),
    risk=st.just(False),
)
workerss = st.lists(views, max_size=8)
queues = st.integers(0, 3000)


def idle(view, given=0):
    return max(0, view.slots - view.held - given)


@given(queues, workerss)
def test_no_worker_holds_a_new_call_while_another_has_an_idle_slot(queued, workers):
    plan = assign(queued, workers)

    if any(idle(view, n) for view, n in zip(workers, plan, strict=True)):
        assert all(view.held + n <= view.slots for view, n in zip(workers, plan, strict=True) if n)


@given(queues, workerss)
def test_nobody_gets_more_than_it_may_hold(queued, workers):
    for view, n in zip(workers, assign(queued, workers), strict=True):
        assert 0 <= n <= max(0, allowance(view) - view.held)


@given(queues, workerss)
def test_all_calls_are_given_as_long_as_there_is_room(queued, workers):
    assert sum(assign(queued, workers)) == min(queued, sum(map(room, workers)))


@given(views)
def test_a_worker_is_filled_up_once_half_of_what_waits_there_is_gone(view):
    most = allowance(view)
    if view.held < view.slots or view.held == 0:
        assert room(view) == most - view.held
    if view.held - view.slots > (most - view.slots) / 2:
        assert room(view) == 0


@given(st.integers(1, 30), views)
def test_a_risky_call_gets_no_company(queued, view):
    assert assign(queued, [view._replace(risk=True)]) == [1 if view.held == 0 else 0]


@given(st.integers(0, 200), st.integers(1, 8), st.integers(1, 16))
def test_equal_workers_get_equal_parts(queued, workers, slots):
    plan = assign(queued, [View(slots=slots, held=0, duration=1e-4)] * workers)

    assert max(plan) - min(plan) <= 1


@given(views)
def test_every_slot_may_be_used(view):
    assert allowance(view) >= view.slots


@given(st.integers(0, 130), views)
def test_a_worker_gets_what_it_can_begin_at_once_whatever_else_is_true_of_it(queued, view):
    if view.held + queued <= view.slots:
        assert assign(queued, [view]) == [queued]


@given(views, seconds)
def test_the_longer_calls_take_the_fewer_are_held_ahead(view, more):
    if view.duration is not None:
        slower = view._replace(duration=view.duration + more)
        most = MOST_AHEAD + AHEAD_PER_SECOND * view.round_trip
        assert allowance(slower) <= allowance(view) <= view.slots * (1 + most)


def test_a_slow_call_has_one_behind_it_and_a_micro_call_hundreds():
    assert allowance(View(slots=1, held=0, duration=60.0, round_trip=0.1)) == 2
    assert allowance(View(slots=1, held=0, duration=0.0, round_trip=0.1)) == 1 + MOST_AHEAD + 400
    assert allowance(View(slots=1, held=0, duration=0.01)) == 31


def test_until_durations_are_known_one_call_waits_for_each_slot():
    assert allowance(View(slots=4, held=0)) == 8


def test_nothing_waits_behind_a_call_that_may_kill_its_worker():
    assert allowance(View(slots=2, held=1, duration=0.001, alone=True)) == 2
    assert assign(5, [View(slots=2, held=1, alone=True)]) == [1]


def test_nobody_gets_anything_where_nobody_is():
    assert assign(3, []) == []


def test_idle_workers_may_take_what_does_not_run():
    taken = [surplus(View(slots=2, held=held), held, slots=4) for held in range(8)]
    assert taken == [0, 0, 0, 1, 2, 1, 2, 3]
    assert surplus(View(slots=2, held=8), held=8, slots=2) == 0


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 16))
def test_shares_shrink_and_empty_the_queue(queued, jobs, slots):
    shares = []
    while queued:
        shares.append(share(queued, jobs, slots))
        assert 1 <= shares[-1] <= queued
        queued -= shares[-1]

    assert shares == sorted(shares, reverse=True)


def test_nothing_is_shared_of_nothing():
    assert share(0, jobs=4, slots=2) == 0


counts = st.integers(0, 500)
somewhere = st.none() | st.floats(0, 1e4)


@given(counts, st.integers(1, 16), counts, st.integers(1, 100), somewhere, somewhere, st.booleans())
def test_never_more_jobs_than_calls_can_use(calls, slots, live, most, duration, cold, stalled):
    wanted = jobs_wanted(
        outstanding=calls,
        slots=slots,
        live=live,
        most=most,
        duration=duration,
        cold_start=cold,
        stalled=stalled,
    )

    assert wanted >= 0
    if wanted:
        assert wanted <= most
        assert live + (wanted - 1) * slots < calls


@given(st.integers(1, 500), st.integers(1, 16), st.integers(1, 100), somewhere, somewhere)
def test_the_first_job_is_always_wanted(calls, slots, most, duration, cold):
    assert jobs_wanted(
        outstanding=calls, slots=slots, live=0, most=most, duration=duration, cold_start=cold
    )


@pytest.mark.parametrize(
    ("duration", "cold_start", "stalled", "wanted"),
    [
        (1.0, 6.0, False, 4),  # 10 s of work for each live slot: a new job comes in time
        (0.1, 6.0, False, 0),  # one second of work
        (0.1, 6.0, True, 4),  # ... but that forecast has failed
        (0.1, None, False, 4),  # nothing is known of cold starts
        (None, 6.0, False, 4),  # nor of calls
    ],
)
def test_no_job_is_started_that_would_come_too_late(duration, cold_start, stalled, wanted):
    assert (
        jobs_wanted(
            outstanding=40,
            slots=1,
            live=4,
            most=4,
            duration=duration,
            cold_start=cold_start,
            stalled=stalled,
        )
        == wanted
    )

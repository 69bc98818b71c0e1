"""A limit of dollars, told to the core: what is launched, what is ended, and what futures hear."""

from __future__ import annotations

import pytest
from core_stories import Story, make_call

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.errors import CostLimitError

CENT = 0.01  # a minute of a job in these stories


def story(most: float | None, **limits) -> Story:
    return Story(max_cost=most, **{"max_workers": 8} | limits)


def submit(told: Story, count: int) -> list:
    calls = [make_call(n) for n in range(1, count + 1)]
    told.submit(*calls)
    return calls


def two_up(told: Story) -> tuple[str, str]:
    """Have two jobs up, each with a call that runs; the second a moment younger."""
    workers = told.start(), told.start()
    for worker in workers:
        told.hello(worker)
        for send in told.said(do.Send):
            told.answer(send)
    return workers


def test_no_more_jobs_are_launched_than_can_be_paid_for_a_minute():
    told = story(3.5 * CENT)
    submit(told, 8)
    assert len(told.said(do.Launch)) == 3
    assert told.machine.budget.left == pytest.approx(0.5 * CENT, abs=1e-6)


def test_without_a_limit_or_a_price_all_are_launched():
    for most, hourly in ((None, 0.6), (None, None)):
        told = story(most)
        told.hourly = hourly
        submit(told, 8)
        assert len(told.said(do.Launch)) == 8


def test_a_job_that_is_still_scheduling_counts():
    told = story(2 * CENT)
    submit(told, 8)
    for _ in range(2):
        told.start(stage="SCHEDULING")
    told.wait(30)
    assert not told.said(do.Launch)


def test_the_running_call_ends_when_its_minute_does_and_says_why():
    told = story(CENT, max_workers=1)
    running, waiting = submit(told, 2)
    worker = told.up()
    told.wait(54.9 - 0.003)
    assert not told.said(do.CancelJob)
    told.wait(0.5)

    (fail,) = told.said(do.Fail)
    assert fail.call is running
    assert isinstance(fail.error, CostLimitError)
    assert "max_cost=$0.01 pays for no further minute" in str(fail.error)
    assert f"job-{worker[:4]}" in str(fail.error)
    (cancel,) = told.said(do.CancelJob)
    assert cancel.job == f"job-{worker[:4]}"

    told.tell(ev.CancelEnded(cancel.job, None))
    (fail,) = told.said(do.Fail)
    assert fail.call is waiting
    assert "The call did not run" in str(fail.error)
    assert told.machine.budget.spent(told.now) == pytest.approx(CENT)


def test_minutes_are_granted_for_as_long_as_they_can_be_paid():
    told = story(3 * CENT, max_workers=1)
    submit(told, 1)
    worker = told.up()
    sent = told.now
    while not told.said(do.CancelJob):
        told.list(told.job(worker))
        told.wait(0.5)
    assert 174 < told.now - sent < 176


def test_an_idle_job_goes_before_a_busy_one():
    told = story(3 * CENT, max_workers=2)
    submit(told, 2)
    busy, idle = two_up(told)
    told.outcome(idle, 2)
    told.wait(56)

    assert [cancel.job for cancel in told.said(do.CancelJob)] == [f"job-{idle[:4]}"]
    assert not told.said(do.Fail)
    assert busy in told.machine.workers


def test_what_had_not_begun_runs_in_a_job_that_is_paid_for():
    told = story(3 * CENT, max_workers=2)
    submit(told, 4)
    first, second = two_up(told)
    while not told.said(do.CancelJob):
        told.wait(0.1)
        for send in told.said(do.Send):
            told.answer(send)

    # One of the two got the third minute; a call that the other may have begun counts as lost once.
    (cancel,) = told.said(do.CancelJob)
    ended, left = (first, second) if cancel.job == f"job-{first[:4]}" else (second, first)
    assert [fail.call.id for fail in told.said(do.Fail)] == [1 if ended == first else 2]
    told.tell(ev.CancelEnded(cancel.job, None))
    assert left in told.machine.workers
    assert len(told.machine.pending.open) == 3
    assert sum(call.lost for call in told.machine.pending.open.values()) == 1


def test_hardware_that_does_not_come_costs_nothing():
    told = story(2 * CENT, max_workers=1)
    submit(told, 1)
    worker = told.start(stage="SCHEDULING")
    for _ in range(100):
        told.wait(5)
        told.list(told.job(worker, "SCHEDULING"))
        assert not told.said(do.CancelJob)
    assert told.machine.budget.spent(told.now) <= CENT


def test_a_job_that_was_no_workers_is_counted():
    told = story(5 * CENT, max_workers=1)
    submit(told, 1)
    worker = told.up()
    before = told.machine.budget.past
    told.list(told.job(worker), ev.JobSeen("another", "RUNNING", launch=worker))

    assert [cancel.job for cancel in told.said(do.CancelJob)] == ["another"]
    assert told.machine.budget.past == pytest.approx(before + CENT)


def test_with_no_retries_what_was_handed_over_runs_nowhere_else():
    told = story(CENT, max_workers=1, max_retries=0)
    calls = submit(told, 3)
    told.up()
    for send in told.said(do.Send):
        told.answer(send)
    told.wait(56)

    failed = {fail.call: fail.error for fail in told.said(do.Fail)}
    assert calls[0] in failed
    assert all(isinstance(error, CostLimitError) for error in failed.values())

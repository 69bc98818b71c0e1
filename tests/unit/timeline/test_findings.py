"""The answer to *why was it slow?*: a run for each sentence, and one for none."""

from __future__ import annotations

import pytest
from timeline_rows import call, job

from hfexecutor.timeline import Timeline


def run(jobs, calls, until=None):
    ends = [one.ended for one in jobs if one.ended is not None]
    return Timeline.of("nightly", calls, jobs, until=until or max(ends, default=0.0), over=True)


def only(timeline, start):
    (found,) = [line for line in timeline.findings if line.startswith(start)]
    return found


def test_first_is_where_the_time_went():
    timeline = run([job()], [call(1, 5.0, 2.0)])

    assert timeline.findings[0] == (
        "Calls ran in 20% of the time of the slots, there or awaited; 40% went into waiting for "
        "hardware."
    )


def test_of_nothing_nothing_stands_out():
    assert run([], []).findings == ("No job was there.",)


def test_the_first_call_waited_for_something():
    timeline = run([job(launched=0.5)], [call(1, 5.25, 2.0)])

    assert only(timeline, "The first call") == (
        "The first call began 5.25 s after it was submitted: 0.50 s until its job was asked for, "
        "3.50 s for hardware, 1.00 s for a cold start."
    )


def test_one_long_call_at_the_end_is_named():
    short = [call(n, 5.0, 1.0, slot=n) for n in range(1, 8)]
    timeline = run([job(slots=8, ended=105.5)], [call(9, 5.0, 100.0), *short])

    assert only(timeline, "For the last") == (
        "For the last 1 min 39 s less than half of the slots that had been busy had work: call 9 "
        "(work) took 1 min 40 s. Long calls are better submitted first."
    )


def test_work_that_is_well_spread_has_no_such_end():
    calls = [call(n, 5.0, 20.0 + n / 10, slot=n) for n in range(8)]

    assert not any("For the last" in line for line in run([job(slots=8)], calls, 30.0).findings)


def test_jobs_that_idle_after_the_last_call_cost_money():
    timeline = run([job(ended=65.0)], [call(1, 5.0, 2.0)])

    assert "were there for another 58.0 s" in only(timeline, "After the last call")


def test_short_calls_are_better_taken_together():
    calls = [call(n, 5.0 + n / 100, 0.0005) for n in range(200)]

    assert "chunksize" in only(run([job()], calls), "Half of the calls ran for less than 500 µs")


def test_slots_that_are_always_busy_are_too_few():
    calls = [call(n, 5.0 + n, 1.0) for n in range(100)]
    timeline = run([job(ended=105.0)], calls)

    assert "max_workers" in only(timeline, "Slots were busy nearly all the time")


@pytest.mark.parametrize(("count", "words"), [(1, "1 call was lost"), (2, "2 calls were lost")])
def test_calls_that_were_lost_are_counted(count, words):
    gone = [call(n, None, None, state="lost", sent=6.0, slot=None) for n in range(1, 1 + count)]

    assert "of work in all" in only(run([job(slots=2)], gone), words)


def test_calls_that_ran_again_are_counted():
    bad = [call(n, 5.0 + n / 10, 0.1, state="retried", error="e") for n in (1, 2)]

    assert only(run([job()], bad), "Calls raised") == (
        "Calls raised and ran again 2 times, after 0.20 s of work in all."
    )


def test_calls_that_failed_are_counted_and_the_first_is_named():
    bad = [call(n, 5.0 + n / 10, 0.1, state="failed", error="KeyError") for n in (3, 2)]

    assert only(run([job()], bad), "2 calls") == "2 calls failed; first call 2: KeyError."

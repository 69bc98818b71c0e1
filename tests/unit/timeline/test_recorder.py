"""Events in, rows out: whatever happens to calls and jobs, in a bounded place."""

from __future__ import annotations

import threading

import pytest

from hfexecutor import events
from hfexecutor.timeline import recorder as module
from hfexecutor.timeline.lanes import lanes_of
from hfexecutor.timeline.recorded import recording_of
from hfexecutor.timeline.recorder import Recorder


@pytest.fixture
def recorder():
    recorder = Recorder()
    recorder(events.RunStarted(100.0, "nightly", ""))
    return recorder


def submit(recorder, *numbers, at=100.0, name="work"):
    recorder(events.CallsSubmitted(at, numbers, (name,) * len(numbers)))


def ended(at, *end):
    return events.CallsEnded(at, (events.CallEnd(*end),))


def start(recorder, name="j1", at=107.0, *, slots=2):
    recorder(events.JobCreated(at - 6.5, name, f"https://x/{name}", "cpu-basic", 0.5, slots))
    recorder(events.JobStarted(at, name, f"https://x/{name}", 7.0, slots, at - 1.0))


def test_a_call_is_followed_from_its_submission_to_its_outcome(recorder):
    submit(recorder, 1)
    start(recorder)
    recorder(events.CallsSent(107.0, (1,), "j1"))
    recorder(ended(109.0, 1, "j1", 1.5, None, 107.25, 1))
    (call,) = recording_of(recorder.snapshot()).calls

    assert (call.call, call.name, call.state) == (1, "work", "done")
    assert (call.job_id, call.slot) == ("j1", 1)
    assert (call.submitted, call.sent, call.began, call.ended) == (100.0, 107.0, 107.25, 108.75)
    assert (call.heard, call.error) == (109.0, "")


def test_a_job_is_followed_from_its_request_to_its_bill(recorder):
    start(recorder)
    recorder(events.Installing(108.0, "j1", 107.5, None, failed=False))
    assert recording_of(recorder.snapshot()).jobs[0].installs[0].ended is None
    recorder(events.Installing(110.0, "j1", 107.5, 2.0, failed=False))
    recorder(events.JobEnded(130.0, "j1", "https://x/j1", 29.0, 105.5, 0.02))
    (job,) = recording_of(recorder.snapshot()).jobs

    assert (job.id, job.url, job.flavor, job.slots) == ("j1", "https://x/j1", "cpu-basic", 2)
    assert (job.launched, job.began, job.up, job.ended) == (100.0, 105.5, 107.0, 130.0)
    assert [(period.began, period.ended) for period in job.installs] == [(107.5, 109.5)]
    assert job.dollars == 0.02


def test_parts_that_are_fetched_together_are_one_transfer(recorder):
    start(recorder)
    for ended, seconds in ((110.0, 1.0), (110.5, 1.2), (113.0, 0.5)):
        recorder(events.Transferred(ended, "j1", seconds, 1000, fetched=True))
    (job,) = recording_of(recorder.snapshot()).jobs

    assert [(period.began, period.ended, period.size) for period in job.transfers] == [
        (109.0, 110.5, 2000),
        (112.5, 113.0, 1000),
    ]


def test_a_call_whose_job_was_lost_has_a_row_for_each_try(recorder):
    submit(recorder, 1)
    start(recorder)
    recorder(events.CallsSent(107.0, (1,), "j1"))
    recorder(events.JobEnded(110.0, "j1", "", 10.0))
    start(recorder, "j2", 117.0)
    recorder(events.CallsSent(117.0, (1,), "j2"))
    recorder(ended(119.0, 1, "j2", 1.0, None, 117.5, 0))
    lost, done = recording_of(recorder.snapshot()).calls

    assert (lost.state, lost.job_id, lost.sent, lost.began) == ("lost", "j1", 107.0, None)
    assert (done.state, done.job_id, done.sent, done.began) == ("done", "j2", 117.0, 117.5)


def test_a_call_that_was_given_back_was_not_lost(recorder):
    submit(recorder, 1)
    start(recorder)
    start(recorder, "j2")
    recorder(events.CallsSent(107.0, (1,), "j1"))
    recorder(events.CallsSent(108.0, (1,), "j2"))
    (call,) = recording_of(recorder.snapshot()).calls

    assert (call.state, call.job_id, call.sent) == ("sent", "j2", 108.0)


def test_a_call_that_has_raised_and_ran_again_has_a_row_for_each_time(recorder):
    submit(recorder, 1)
    start(recorder)
    recorder(events.CallsSent(107.0, (1,), "j1"))
    recorder(events.CallRetried(108.0, 1, "j1", "attempt 1 ended", 1.0, 107.25, 1, 0.5))
    assert [call.state for call in recording_of(recorder.snapshot()).calls] == [
        "retried",
        "waiting",
    ]
    recorder(events.JobEnded(109.0, "j1", "", 9.0))  # later, and not what made it run again
    start(recorder, "j2", 117.0)
    recorder(events.CallsSent(117.0, (1,), "j2"))
    recorder(ended(119.0, 1, "j2", 1.0, None, 117.5, 0))
    first, second = recording_of(recorder.snapshot()).calls

    assert (first.state, first.job_id, first.slot, first.sent) == ("retried", "j1", 1, 107.0)
    assert (first.began, first.ended, first.heard) == (107.25, 107.75, 108.0)
    assert first.error == "attempt 1 ended"
    assert (second.state, second.job_id, second.began) == ("done", "j2", 117.5)


def test_each_end_of_a_call_is_a_state(recorder):
    submit(recorder, 1, 2, 3)
    start(recorder)
    recorder(events.CallsSent(107.0, (1,), "j1"))
    recorder(ended(108.0, 1, "j1", 0.5, "ValueError", 107.1, 0))
    recorder(events.CallCancelled(108.0, 2))

    states = [(call.state, call.error) for call in recording_of(recorder.snapshot()).calls]
    assert states == [("failed", "ValueError"), ("cancelled", ""), ("waiting", "")]


def test_numbers_that_were_never_submitted_are_no_calls(recorder):
    submit(recorder, 3)
    submit(recorder, 2)

    assert [call.call for call in recording_of(recorder.snapshot()).calls] == [2, 3]


def test_what_is_beyond_the_limits_is_counted(recorder, monkeypatch):
    for name in ("MOST_CALLS", "MOST_JOBS", "MOST_PERIODS", "MOST_AGAIN"):
        monkeypatch.setattr(module, name, 2)
    submit(recorder, *range(1, 6))
    for name in ("j1", "j2", "j3"):
        start(recorder, name)
        recorder(events.CallsSent(107.0, (1, 2, 5), name))
        recorder(events.JobEnded(108.0, name, "", 8.0))
        recorder(events.Transferred(108.0, name, 1.0, 10, fetched=False))
        recorder(events.Installing(108.0, name, 107.0, 1.0, failed=False))
    recorder(ended(109.0, 5, "j1", 0.5, None, 107.1, 0))
    recorder(events.CallCancelled(109.0, 4))
    recorder(events.RunEnded(110.0, 5, 0, 3, 10.0, None))
    recording = recording_of(recorder.snapshot())

    assert {call.call for call in recording.calls} == {1, 2}
    assert recording.calls_left_out == 3
    assert [job.id for job in recording.jobs] == ["j1", "j2"]
    assert sum(call.state == "lost" for call in recording.calls) == 2
    assert recording.others_left_out > 0
    assert (recording.began, recording.ended) == (100.0, 110.0)


def test_names_without_end_take_no_more_place(recorder, monkeypatch):
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    for number, name in enumerate("abca", 1):
        submit(recorder, number, name=name)

    assert [call.name for call in recording_of(recorder.snapshot()).calls] == ["a", "b", "", "a"]


def test_it_may_be_asked_while_events_come(recorder):
    def work():
        for number in range(1, 3000):
            submit(recorder, number)
            recorder(ended(108.0, number, None, 0.5, None, 107.1, 0))

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        for call in recording_of(recorder.snapshot()).calls:
            assert (call.state == "done") == (call.heard is not None)
    thread.join()
    assert len(recording_of(recorder.snapshot()).calls) == 2999


def with_backup(recorder):
    submit(recorder, 1)
    start(recorder)
    start(recorder, "j2")
    recorder(events.CallsSent(107.0, (1,), "j1"))
    recorder(events.BackupStarted(117.0, 1, "j2", "j1", 10.0, 2.0))


def test_a_backup_that_is_under_way_is_a_row_of_its_own(recorder):
    with_backup(recorder)
    rows = [(c.state, c.job_id, c.sent) for c in recording_of(recorder.snapshot()).calls]
    assert rows == [("sent", "j2", 117.0), ("sent", "j1", 107.0)]


@pytest.mark.parametrize(("winner", "sent", "other"), [("j1", 107.0, "j2"), ("j2", 117.0, "j1")])
def test_of_two_attempts_the_one_without_the_outcome_was_stopped(recorder, winner, sent, other):
    with_backup(recorder)
    recorder(ended(120.0, 1, winner, 2.0, None, 117.5, 0))
    stopped, done = recording_of(recorder.snapshot()).calls

    assert (stopped.state, stopped.job_id, stopped.heard) == ("stopped", other, 120.0)
    assert (done.state, done.job_id, done.sent, done.began) == ("done", winner, sent, 117.5)


def test_what_was_stopped_leaves_its_slot_to_others(recorder):
    with_backup(recorder)
    recorder(ended(120.0, 1, "j2", 2.0, None, 117.5, 0))
    submit(recorder, 2, 3, at=107.0)
    recorder(events.CallsSent(107.0, (2,), "j1"))
    recorder(ended(119.0, 2, "j1", 11.0, None, 108.0, 0))
    recorder(events.CallsSent(121.0, (3,), "j1"))
    recorder(ended(124.0, 3, "j1", 2.0, None, 121.5, 1))
    recording = recording_of(recorder.snapshot())
    lanes = lanes_of(recording.jobs, recording.calls, 200.0)
    bars = [[(b.began, b.ended, b.lost) for b in lane.bars] for lane in lanes[:2]]
    assert bars == [[(108.0, 119.0, False)], [(107.0, 120.0, True), (121.5, 123.5, False)]]

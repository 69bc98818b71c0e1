"""A worker's state, and what follows from it."""

from __future__ import annotations

import pytest
from core_stories import make_call

from hfexecutor.core import events as ev
from hfexecutor.core.pending import CallTimes
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.core.stages import Phase, Words
from hfexecutor.core.worker import Worker


def make(*aboard, slots=2, one_shot=False):
    worker = Worker(
        "w1",
        slots=slots,
        one_shot=one_shot,
        port=None if one_shot else 20_000,
        limits=Limits(),
        times=CallTimes(),
        rules=Rules(),
        jitter=lambda: 0.5,
        now=100.0,
    )
    worker.board(aboard)
    return worker


def job(stage="RUNNING", **more):
    return ev.JobSeen("123", stage, "https://hub/jobs/me/123")._replace(**more)


def up(*aboard, **options):
    worker = make(*aboard, **options)
    worker.see(job())
    worker.greet(ev.Hello(None, door=True), 100.0)
    worker.channel.open("123", "https://door")
    return worker


def test_its_evidence_follows_from_stage_and_words():
    worker = make(make_call(1))
    assert worker.evidence[:2] == (Phase.UNCLEAR, Words.NONE)
    worker.see(job())
    worker.greet(ev.Hello(2, door=True), 100.0)
    assert worker.evidence[:2] == (Phase.RUNNING, Words.OWING)
    worker.drop(1)
    assert worker.evidence[:2] == (Phase.RUNNING, Words.IDLE)
    worker.bye = ev.Bye(1, returned=False)
    worker.see(job("COMPLETED"))
    assert worker.evidence[:2] == (Phase.OVER, Words.BYE)


@pytest.mark.parametrize("older", ["SCHEDULING", "A NEW WORD"])
def test_a_stage_never_goes_back(older):
    worker = make()
    worker.see(job("RUNNING"))
    assert not worker.see(job(older))
    assert worker.job.stage == "RUNNING"
    worker.see(job("COMPLETED"))
    worker.see(job("RUNNING"))
    assert worker.phase is Phase.OVER


def test_an_address_that_was_told_is_kept():
    worker = make()
    worker.see(job(door="https://door"))
    worker.see(job())
    assert worker.job.door == "https://door"


def test_it_takes_calls_only_through_an_open_door():
    worker = make()
    assert not worker.takes_calls
    assert up().takes_calls


@pytest.mark.parametrize(
    "end",
    [
        lambda worker: setattr(worker, "leave_by", 1.0),
        lambda worker: setattr(worker, "cancelling", True),
        lambda worker: setattr(worker, "over", True),
        lambda worker: setattr(worker, "bye", ev.Bye(0, returned=False)),
        lambda worker: worker.channel.shut(),
    ],
    ids=["leaving", "cancelling", "over", "bye", "shut"],
)
def test_it_takes_no_calls_on_its_way_out(end):
    worker = up()
    end(worker)
    assert not worker.takes_calls


def test_it_is_described_by_job_stage_and_page():
    worker = make()
    assert worker.describe() == "a job that was not created"
    worker.see(job("ERROR", message="Job timeout"))
    assert worker.describe() == "job 123 (stage ERROR: Job timeout) https://hub/jobs/me/123"
    worker.see(job("CANCELED", cancel_reason="NO_CREDITS"))
    assert "cancel reason NO_CREDITS" in worker.describe()


def test_a_job_that_has_spoken_runs_whatever_the_list_says():
    worker = make()
    worker.see(job("SCHEDULING"))
    assert "stage SCHEDULING" in worker.describe()
    worker.greet(ev.Hello(None, door=True), 100.0)
    assert "stage RUNNING" in worker.describe()


def test_the_end_of_its_log_is_told():
    worker = make()
    assert worker.log_tail() == ""
    worker.tail = ("one", "two")
    assert worker.log_tail().splitlines()[1:] == ["The last lines of its log:", "one", "two"]


def test_it_is_left_alone_while_it_holds_a_call_that_lost_a_worker():
    worker = up(make_call(1, lost=1), make_call(2))
    assert worker.view(100.0).risk
    worker.drop(1)
    assert not worker.view(100.0).risk


def test_its_first_calls_are_running_one_for_each_slot():
    calls = [make_call(n) for n in range(1, 5)]
    worker = up(*calls)
    assert worker.begin_calls(lambda _: True) == []
    assert [call.claimed for call in calls] == [True, True, False, False]
    worker.drop(2)
    worker.begin_calls(lambda _: True)
    assert [call.claimed for call in calls] == [True, True, True, False]


def test_a_call_whose_owner_has_cancelled_it_does_not_begin():
    calls = [make_call(n) for n in range(1, 4)]
    worker = up(*calls, slots=1)
    assert worker.begin_calls(lambda call: call.id != 1) == [calls[0]]
    assert calls[1].claimed


def test_a_call_that_lost_a_worker_is_running_all_the_time():
    call = make_call(1, lost=1)
    call.claimed = True
    worker = up(call)
    assert worker.begin_calls(lambda _: False) == []


def test_an_answer_is_dropped_acknowledged_and_timed():
    call = make_call(1)
    worker = up(call)
    worker.answered(call, 0.5, 101.0)
    assert (worker.held, worker.answers, worker.duration) == ({}, 1, 0.5)
    assert worker.channel.outgoing.acknowledgements == 1
    assert worker.progress_at == 101.0


def test_a_one_shot_worker_is_told_nothing():
    call = make_call(1)
    worker = make(call, one_shot=True)
    worker.answered(call, 0.5, 101.0)
    assert worker.channel.outgoing.acknowledgements == 0


def test_the_mean_duration_follows_what_is_new():
    worker = up()
    for n in range(1, 200):
        worker.answered(make_call(n), 1.0 if n < 100 else 0.001, 101.0)
    assert worker.duration < 0.05


def test_a_call_that_takes_long_shows_that_the_mean_is_wrong():
    worker = up(make_call(1), slots=1)
    worker.duration = 0.001
    assert worker.pace(100.05) == 0.001
    assert worker.pace(103.0) == pytest.approx(3.0)


def test_it_owes_nothing_when_all_that_it_said_has_arrived():
    worker = up(make_call(1), make_call(2))
    worker.bye = ev.Bye(1, returned=False)
    assert not worker.owes_nothing
    worker.note_answer(1)
    assert worker.owes_nothing
    worker.bye = ev.Bye(1, returned=True)
    assert not worker.owes_nothing


def test_a_job_that_has_begun_anew_says_good_bye_for_its_second_life_alone():
    worker = up(make_call(1))
    worker.note_starts(2)
    worker.bye = ev.Bye(0, returned=False)
    assert not worker.owes_nothing

"""From what the core hears and says to what users hear: a history of a few lines, in no time."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Attachment, Buffer, Call
from hfexecutor.core.fetching import Key
from hfexecutor.events import (
    CallEnded,
    CallRetried,
    CallsSent,
    Events,
    Installing,
    JobCreated,
    JobEnded,
    JobsLaunched,
    JobStarted,
    PackagesNeeded,
    RunEnded,
    Transferred,
)
from hfexecutor.futures import PoolFuture
from hfexecutor.remote import entries, outcomes
from hfexecutor.runtime.observer import Observer

JOB = ev.JobSeen("j1", "SCHEDULING", "https://x/j1")


@pytest.fixture
def heard():
    return []


@pytest.fixture
def observer(heard):
    machine = SimpleNamespace(
        adopting=None,
        workers={},
        counters=SimpleNamespace(adopting=None, jobs=2),
        dollars=lambda _: None,
        budget=SimpleNamespace(over=[], prices=None),
    )
    events = Events()
    events.listen(heard.append)
    return Observer(machine, events, name="nightly", way_back="hfexecutor attach nightly")


def post(worker):
    return do.Post(worker, "cpu-basic", 1, (), 1, False, None)


def hello(worker, clock=None):
    return ev.Heard(worker, (ev.Hello(2, door=True, clock=clock),))


def up(observer, worker="a", clock=1000.0):
    """Have a job take calls."""
    observer.observe([], [post(worker)], 1.0)
    observer.observe([ev.Launched(worker, 1, JOB)], [], 1.5)
    observer.observe([hello(worker, clock)], [], 7.0)


def test_launches_that_follow_each_other_are_told_together(observer, heard):
    observer.observe([], [post("a")], 1.0)
    observer.observe([], [post("b"), post("c")], 1.05)
    assert heard == []
    observer.observe([], [], 1.1)
    observer.observe([], [post("d")], 9.0)
    observer.end(9.0)

    assert [event.jobs for event in heard if isinstance(event, JobsLaunched)] == [3, 1]


def test_a_job_is_told_from_its_request_to_its_end_and_only_once(observer, heard):
    observer.observe([], [post("a")], 1.0)
    observer.observe([ev.Launched("a", 1, JOB)], [], 1.01)
    observer.observe([hello("a")], [], 6.8)
    observer.observe([hello("a")], [], 7.0)
    observer.observe([], [do.Forget("a")], 31.0)

    created, launched, started, ended = heard
    assert isinstance(created, JobCreated)
    assert (created.job_id, created.flavor, created.slots) == ("j1", "cpu-basic", 1)
    assert isinstance(launched, JobsLaunched)
    assert isinstance(started, JobStarted)
    assert (started.job_id, started.slots, round(started.seconds, 3)) == ("j1", 2, 5.8)
    assert isinstance(ended, JobEnded)
    assert ended.seconds == 30.0


def test_a_launch_that_is_repeated_keeps_its_first_moment(observer, heard):
    observer.observe([], [post("a")], 1.0)
    observer.observe([], [post("a")], 5.0)
    observer.observe([ev.Launched("a", 2, JOB), hello("a")], [], 6.0)

    assert heard[-1].seconds == 5.0


def test_a_job_is_told_with_when_it_had_hardware_and_what_it_cost(observer, heard):
    observer.observe([], [post("a")], 1.0)
    observer.observe([ev.Launched("a", 1, JOB), ev.Heard("a", ())], [], 1.5)  # the Hub's own line
    observer.observe([hello("a")], [], 7.0)
    observer._machine.budget = SimpleNamespace(
        over=[(JOB._replace(started=123.0), "cpu-basic", 1, 0.25)], prices={"cpu-basic": object()}
    )
    observer.observe([], [do.Forget("a")], 31.0)

    (started,) = (event for event in heard if isinstance(event, JobStarted))
    assert started.began is not None
    assert started.began <= started.at
    ended = heard[-1]
    assert (ended.began, ended.dollars) == (123.0, 0.25)


def test_a_call_is_told_with_its_slot_and_by_the_clock_of_its_job(observer, heard):
    up(observer, clock=1000.0)
    call = Call(7, PoolFuture(), b"", None)
    outcome = outcomes.decode(outcomes.encode(outcomes.VALUE, 0.5, 0, began=2.5, slot=3))
    observer.observe([], [do.Started((call,), JOB)], 7.0)
    observer.observe([], [do.Complete((do.Completion(call, outcome, "job j1", "a"),))], 8.0)

    sent, ended = heard[-2:]
    assert isinstance(sent, CallsSent)
    assert (sent.calls, sent.job_id) == ((7,), "j1")
    assert isinstance(ended, CallEnded)
    assert (ended.job_id, ended.began, ended.seconds, ended.slot) == ("j1", 1002.5, 0.5, 3)


def test_a_call_that_had_a_backup_is_told_again_when_it_is_sent_again(observer, heard):
    up(observer)
    call = Call(7, PoolFuture(), b"", None)
    backup = call.backup()
    observer.observe([], [do.Started((backup,), JOB, of_two=True)], 7.0)
    assert not [event for event in heard if isinstance(event, CallsSent)]
    observer.observe([], [do.Started((backup,), JOB)], 9.0)

    assert heard[-1] == CallsSent(heard[-1].at, (7,), "j1")


def test_a_job_whose_clock_is_not_known_says_nothing_of_moments(observer, heard):
    up(observer, clock=None)
    call = Call(7, PoolFuture(), b"", None)
    outcome = outcomes.decode(outcomes.encode(outcomes.VALUE, 0.5, 0, began=2.5, slot=3))
    observer.observe([], [do.Complete((do.Completion(call, outcome, "job j1", "a"),))], 8.0)

    assert (heard[-1].began, heard[-1].slot, heard[-1].seconds) == (None, None, 0.5)


def test_an_installation_is_told_once_however_often_the_log_is_read(observer, heard):
    up(observer, clock=1000.0)
    begins, ends = ev.Installing(0.5, None), ev.Installing(0.5, 3.0)
    observer.observe([ev.Heard("a", (begins,))], [], 8.0)
    observer.observe([ev.Heard("a", (begins, ends))], [], 11.0)
    observer.observe([ev.Heard("a", (begins, ends))], [], 12.0)

    told = [event for event in heard if isinstance(event, Installing)]
    assert [(event.began, event.seconds, event.failed) for event in told] == [
        (1000.5, None, False),
        (1000.5, 3.0, False),
    ]


def message(number, size):
    entry = entries.Entry(entries.CALL, 1, 0, 1, bytes(size))
    return do.Send("a", "j1", "https://door", 1, number, (entry,), 10.0)


@pytest.mark.parametrize(
    ("size", "seconds", "told"), [(10, 0.01, False), (10, 0.25, True), (2 << 20, 0.01, True)]
)
def test_what_is_large_or_slow_on_its_way_is_told(observer, heard, size, seconds, told):
    up(observer)
    observer.observe([], [message(1, size)], 8.0)
    observer.observe([], [message(1, size)], 8.0 + seconds / 2)  # again, for want of an answer
    observer.observe([ev.Answered("a", 1, (), seconds)], [], 8.0 + seconds)
    observer.observe([ev.Answered("a", 1, (), seconds)], [], 20.0)  # and so is its answer

    moved = [event for event in heard if isinstance(event, Transferred)]
    assert [(round(event.seconds, 6), event.size, event.fetched) for event in moved] == (
        [(seconds, size, False)] if told else []
    )


def test_a_large_outcome_is_told_when_its_last_range_is_here(observer, heard):
    up(observer)
    key = Key(3000, ())
    ranges = {1: (0, 1000), 2: (1000, 3000)}
    asked = [do.Fetch("a", "j1", "https://door", 1, n, 5, key, *ranges[n], 9.0) for n in (1, 2)]
    observer.observe([], asked, 8.0)
    observer.observe([ev.Fetched("a", 1, 5, ())], [], 9.0)
    assert not [event for event in heard if isinstance(event, Transferred)]
    observer.observe([ev.Fetched("a", 2, 5, (ev.GivenBack(()),))], [], 9.5)

    (moved,) = [event for event in heard if isinstance(event, Transferred)]
    assert (moved.seconds, moved.size, moved.fetched) == (1.5, 3000, True)


def test_a_large_outcome_that_has_no_room_here_is_not_on_its_way_any_more(observer):
    up(observer)
    fetch = do.Fetch("a", "j1", "https://door", 1, 1, 5, Key(3000, ()), 0, 3000, 9.0)
    observer.observe([], [fetch], 8.0)
    assert repr(observer._in_transit) == "<InTransit 1 on their way>"
    observer.observe([ev.FetchRefused("a", 1, 5, "no memory")], [], 8.5)
    assert repr(observer._in_transit) == "<InTransit 0 on their way>"


def test_a_large_argument_is_told_when_the_job_has_its_last_range(observer, heard):
    up(observer)
    buffer = Buffer(b"name", 2 * entries.RANGE_BYTES + 5)
    where = ("a", "j1", "https://door", 1)

    def sent(number, part):
        return do.SendRange(*where, number, buffer, part, 9.0)

    observer.observe([], [sent(1, 0), sent(2, 1), sent(3, 2)], 8.0)
    observer.observe([ev.RangeKept("a", 1), ev.RangeFailed("a", 2, "cut")], [sent(4, 1)], 9.0)
    observer.observe([ev.RangeKept("a", 3), ev.RangeKept("a", 3)], [], 9.2)
    assert not [event for event in heard if isinstance(event, Transferred)]
    observer.observe([ev.RangeKept("a", 4)], [], 9.5)

    (moved,) = [event for event in heard if isinstance(event, Transferred)]
    assert (moved.seconds, moved.size, moved.fetched) == (1.5, buffer.size, False)


@pytest.mark.parametrize("pause", [1.5, None])
def test_an_attempt_after_which_a_call_runs_again_is_told_with_when_it_ran(observer, heard, pause):
    up(observer, clock=1000.0)
    future = PoolFuture()
    future.attempts = ("attempt 1 ended with ValueError: bad",)
    again = Call(7, future, b"", None).next_attempt()
    observer._machine.pending = SimpleNamespace(open={again.id: again})
    outcome = outcomes.decode(outcomes.encode(outcomes.RAISED, 0.5, 0, began=2.5, slot=3))
    observer.observe([], [do.WeighRetry(again, outcome, "job j1", "a")], 8.0)
    before = len(heard)
    observer.observe([ev.RetryWeighed(again.id, pause)], [], 8.0)
    observer.observe([ev.RetryWeighed(again.id, pause)], [], 8.0)

    told = [event for event in heard[before:] if isinstance(event, CallRetried)]
    assert [(e.call, e.job_id, e.seconds, e.began, e.slot, e.ran) for e in told] == (
        [] if pause is None else [(7, "j1", 1.5, 1002.5, 3, 0.5)]
    )


def test_packages_are_told_when_they_are_new(observer, heard):
    def call(number, *requirements):
        words = {"requirements": [[text, text] for text in requirements], "archives": []}
        need = Attachment(entries.NEED, number, json.dumps(words).encode())
        return Call(number, PoolFuture(), b"", None, (need,))

    observer.observe([ev.Submitted((call(1, "a==1"), call(2, "a==1", "b==2")))], [], 1.0)
    observer.observe([ev.Submitted((call(3, "b==2"),))], [], 2.0)

    started, first, *needed, second = heard
    assert started.name == "nightly"
    assert (first.calls, second.calls) == ((1, 2), (3,))
    assert [event.requirements for event in needed] == [("a==1",), ("b==2",)]
    assert {type(event) for event in needed} == {PackagesNeeded}


def test_a_cancelled_call_is_none_that_failed(observer, heard):
    cancelled, failed = PoolFuture(), PoolFuture()
    cancelled.cancel()
    failed.set_exception(ValueError())
    calls = [Call(1, cancelled, b"", None), Call(2, failed, b"", None)]
    observer.observe([], [do.Fail(call, ValueError()) for call in calls], 1.0)
    observer.end(2.0)

    run = heard[-1]
    assert isinstance(run, RunEnded)
    assert (run.calls, run.failed, run.dollars) == (1, 1, None)


@pytest.mark.parametrize(("told", "lines"), [([], 1), ([1], 1), ([2], 0), ([1, 1], 0)])
def test_what_maps_have_told_of_failures_is_not_said_again(observer, heard, caplog, told, lines):
    caplog.set_level("INFO", "hfexecutor")
    for number in (1, 2):
        future = PoolFuture()
        future.set_exception(ValueError("bad"))
        observer.observe([], [do.Fail(Call(number, future, b"", None), ValueError())], 1.0)
    for calls in told:
        observer.sum_up(calls)
    observer.end(2.0)

    said = [record for record in caplog.records if "calls failed:" in record.getMessage()]
    assert len(said) == lines
    assert heard[-1].failed == 2


def test_an_error_of_ours_ends_no_run(observer, caplog):
    observer.observe([], [do.Complete((None,))], 1.0)

    assert "please report it" in caplog.text

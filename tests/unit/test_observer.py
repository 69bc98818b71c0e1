"""From what the core hears and says to what users hear: a history of a few lines, in no time."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Attachment, Call
from hfexecutor.events import Events, JobEnded, JobsLaunched, JobStarted, PackagesNeeded, RunEnded
from hfexecutor.futures import PoolFuture
from hfexecutor.remote import entries
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
    )
    events = Events()
    events.listen(heard.append)
    return Observer(machine, events, name="nightly", way_back="hfexecutor attach nightly")


def post(worker):
    return do.Post(worker, "cpu-basic", 1, (), 1, False, None)


def hello(worker):
    return ev.Heard(worker, (ev.Hello(2, door=True),))


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

    launched, started, ended = heard
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

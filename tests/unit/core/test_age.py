"""Jobs that are close to their timeout, told to the core: they get no call that will not fit."""

from __future__ import annotations

from core_stories import Story, handed, ids, make_call

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.remote import entries as wire

TIMEOUT = 100.0
FITS = TIMEOUT - 20.0 - 10.0  # after its launch: a call of 20 s, and ten more to spare


def story(**limits) -> Story:
    return Story(**{"max_workers": 1, "timeout": TIMEOUT, "call_timeout": 20.0} | limits)


def up(told: Story) -> str:
    """Have a job up that runs the first call; it was launched a moment ago."""
    told.submit(make_call(1))
    worker = told.up()
    for send in told.said(do.Send):
        told.answer(send)
    return worker


def finish(told: Story, worker: str, call: int, duration: float) -> list[do.Command]:
    """Have a call end; return all that is said to that, messages to the door not answered."""
    return told.outcome(worker, call, duration=duration)


def test_a_job_takes_calls_as_long_as_one_fits_and_none_that_will_not():
    told = story()
    worker = up(told)
    finish(told, worker, 1, 1.0)
    told.wait(FITS - 1.0)
    told.submit(make_call(2))
    assert [handed(send) for send in told.said(do.Send)] == [[2]]
    told.answer(told.said(do.Send)[0])
    finish(told, worker, 2, 1.0)

    told.wait(2.0)
    told.submit(make_call(3))
    assert not any(handed(send) for send in told.said(do.Send))
    assert len(told.launches) == 1  # it leaves, and another one comes


def test_it_is_replaced_once_it_has_ended_what_it_runs():
    told = story()
    worker = up(told)
    told.wait(FITS + 1.0)
    told.submit(make_call(2))
    assert not told.launches  # more calls at once than max_workers may not run
    finish(told, worker, 1, FITS)
    assert len(told.launches) == 1
    successor = told.start()
    told.hello(successor)
    assert told.machine.workers[successor].held.keys() == {2}


def test_what_waits_there_comes_back_before_it_begins():
    told = story()
    worker = up(told)
    told.submit(make_call(2))
    (send,) = told.said(do.Send)
    assert handed(send) == [2]
    told.answer(send)

    recalled: list[int] = []
    while told.now < told.machine.workers[worker].runs_since + FITS + 1.0:
        told.wait(0.5)
        for send in told.said(do.Send):
            recalled += ids(send, wire.RECALL)
            back = (ev.GivenBack((2,)),) if recalled else ()
            told.answer(send, *back)

    assert recalled == [2]
    assert told.machine.workers[worker].held.keys() == {1}
    assert not told.launches


def test_time_in_which_it_did_not_run_yet_does_not_count():
    told = story()
    told.submit(make_call(1))
    worker = told.start()
    told.wait(30.0)
    told.list(told.job(worker, "SCHEDULING"))
    told.hello(worker)
    ages_at = told.machine.workers[worker].ages_at
    assert ages_at > told.now + FITS - 10.0


def test_without_call_timeout_the_longest_call_tells_what_fits():
    told = story(call_timeout=None)
    worker = up(told)
    told.wait(30.0)
    finish(told, worker, 1, 30.0)
    job = told.machine.workers[worker]
    assert job.ages_at - job.runs_since == TIMEOUT - 30.0 - 10.0


def test_a_job_that_never_has_the_time_takes_a_call_all_the_same():
    """Its successor would have no more of it; without that one would follow the other for ever."""
    told = story(timeout=20.0, call_timeout=15.0, max_retries=0)
    told.submit(make_call(1))
    worker = told.start()
    told.wait(8.0)
    told.hello(worker)
    assert [handed(send) for send in told.said(do.Send)] == [[1]]


def test_a_job_without_a_door_has_no_more_aboard_than_fits():
    for call_timeout, aboard in ((None, 50), (20.0, 4), (80.0, 1)):
        told = story(call_timeout=call_timeout)
        told.machine._state.ports.given_up = True
        told.submit(*(make_call(n) for n in range(1, 101)))
        (post,) = [c for c in told.admit(told.launches.popleft()) if type(c) is do.Post]
        assert len(post.calls) == aboard


def test_nothing_ages_where_no_timeout_is_known():
    told = story(timeout=float("inf"), call_timeout=None)
    worker = up(told)
    finish(told, worker, 1, 1.0)
    told.wait(1e4)
    told.submit(make_call(2))
    assert told.machine.workers[worker].held.keys() == {2}

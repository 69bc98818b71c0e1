"""Calls that have raised, told to the core: whether and when they run again, and where."""

from __future__ import annotations

from core_stories import Story, handed, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import CallOptions, number_of
from hfexecutor.errors import DetachedError

RAISED = b"E"


def story(**limits) -> Story:
    return Story(**{"max_workers": 1, "max_retries": 2, "retry": True} | limits)


def raises(told: Story, worker: str, call: int) -> do.WeighRetry | None:
    """Have a call raise; return what is asked then."""
    told.tell(ev.Heard(worker, (ev.Done(call, outcome(status=RAISED)),)))
    asked = told.said(do.WeighRetry)
    return asked[0] if asked else None


def weigh(told: Story, asked: do.WeighRetry, pause: float | None) -> int:
    told.tell(ev.RetryWeighed(asked.call.id, pause))
    return asked.call.id


def completed(told: Story) -> list[int]:
    return [one.call.number for said in told.said(do.Complete) for one in said.completions]


def given(told: Story) -> dict[str, list[int]]:
    """Return what was given to doors, and answer."""
    found: dict[str, list[int]] = {}
    for send in told.said(do.Send):
        if calls := handed(send):
            found[send.worker] = calls
        told.answer(send)
    return found


def up(told: Story) -> str:
    """Have a job up, and answer what is said at its door."""
    worker = told.up()
    given(told)
    return worker


def two_up(told: Story) -> tuple[str, str]:
    """Have two jobs up with a call each."""
    first, second = told.start(), told.start()
    for worker in (first, second):
        told.hello(worker)
        given(told)
    return first, second


def test_it_runs_again_when_its_pause_is_over_and_not_before():
    told = story()
    told.submit(make_call(1))
    worker = up(told)
    again = weigh(told, raises(told, worker, 1), 3.0)
    assert (number_of(again), completed(told), told.machine.pending.waiting) == (1, [], 0)

    told.wait(2.9)
    assert given(told) == {}
    told.wait(0.2)
    assert given(told) == {worker: [again]}
    told.outcome(worker, again)
    assert completed(told) == [1]
    assert told.machine.counters.retried == 1


def test_what_is_not_to_be_retried_ends_with_what_it_has_raised():
    told = story()
    told.submit(make_call(1))
    worker = told.up()
    weigh(told, raises(told, worker, 1), None)
    (said,) = told.said(do.Complete)
    assert [one.outcome.status for one in said.completions] == [RAISED]
    assert not told.machine.pending.open


def test_lost_jobs_and_what_was_raised_count_together():
    told = story(max_retries=1)
    told.submit(make_call(1))
    worker = told.up()
    again = weigh(told, raises(told, worker, 1), 0.0)
    given(told)
    assert raises(told, worker, again) is None
    assert completed(told) == [1]


def test_a_second_copy_of_the_first_outcome_changes_nothing():
    """A log is replayed from its start: what it says of one attempt is not the next one's."""
    told = story()
    told.submit(make_call(1))
    worker = told.up()
    weigh(told, raises(told, worker, 1), 0.0)
    assert raises(told, worker, 1) is None
    assert completed(told) == []
    assert len(told.machine.pending.open) == 1


def test_another_job_that_has_room_is_preferred():
    told = story(max_workers=2)
    told.submit(make_call(1), make_call(2))
    first, second = two_up(told)
    again = weigh(told, raises(told, first, 1), 1.0)
    told.outcome(second, 2)
    told.wait(1.1)
    assert given(told) == {second: [again]}


def test_where_no_other_has_room_the_same_job_runs_it():
    told = story(max_workers=2)
    told.submit(make_call(1), make_call(2))
    first, second = two_up(told)
    again = weigh(told, raises(told, first, 1), 1.0)
    told.wait(1.1)
    assert given(told) == {first: [again]}
    assert told.machine.workers[second].held.keys() == {2}


def test_what_waits_for_its_time_can_be_killed():
    told = story()
    told.submit(make_call(1))
    worker = told.up()
    asked = raises(told, worker, 1)
    told.tell(ev.KillAsked(1))
    assert [said.call.number for said in told.said(do.Fail)] == [1]
    told.tell(ev.RetryWeighed(asked.call.id, 1.0))  # too late
    told.wait(2.0)
    assert given(told) == {}
    assert not told.machine.pending.open


def test_what_was_to_be_killed_is_not_retried():
    told = story()
    told.submit(make_call(1))
    worker = told.up()
    told.tell(ev.KillAsked(1))
    assert raises(told, worker, 1) is None
    assert completed(told) == [1]


def test_a_shutdown_waits_for_it_and_an_abort_does_not():
    for end, stays in ((ev.Closed(cancel=True), True), (ev.Aborted("enough"), False)):
        told = story()
        told.submit(make_call(1))
        worker = told.up()
        weigh(told, raises(told, worker, 1), 5.0)
        told.tell(end)
        assert bool(told.machine.pending.open) is stays


def test_who_leaves_hands_it_over_at_once():
    told = story()
    told.submit(make_call(1))
    worker = up(told)
    again = weigh(told, raises(told, worker, 1), 50.0)
    told.tell(ev.Detached(DetachedError("gone")))
    sends = [send for send in told.said(do.Send) if handed(send)]
    assert [handed(send) for send in sends] == [[again]]
    told.answer(sends[0])
    assert [type(said.error) for said in told.said(do.Fail)] == [DetachedError]
    assert told.machine.finished


def test_one_that_must_not_begin_twice_is_given_to_no_job_that_may_be_launched_twice():
    """Calls of both kinds share a pool: what may run again goes aboard, and the other waits."""
    told = story()
    once = make_call(2)
    told.submit(make_call(1), once)
    once.options = CallOptions(max_retries=0)
    (post,) = [c for c in told.admit(told.launches.popleft()) if type(c) is do.Post]
    assert [call.id for call in post.calls] == [1]

    told = story()
    told.submit(once := make_call(1), make_call(2))
    once.options = CallOptions(max_retries=0)
    (post,) = [c for c in told.admit(told.launches.popleft()) if type(c) is do.Post]
    assert post.calls == ()

"""A process that leaves its jobs to themselves, told to the core."""

from __future__ import annotations

from core_stories import Story, handed, make_call

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.errors import DetachedError

LEFT = DetachedError("left")


def failed(told: Story) -> dict[int, type]:
    return {said.call.id: type(said.error) for said in told.said(do.Fail)}


def detach(told: Story, *, now: bool = False) -> None:
    told.tell(ev.Detached(LEFT, now))


def two_up(told: Story, calls: int) -> tuple[str, str]:
    told.submit(*[make_call(n) for n in range(1, calls + 1)])
    workers = told.start(), told.start()
    for worker in workers:
        told.hello(worker)
        while sends := told.said(do.Send):
            for send in sends:
                told.answer(send)
    return workers


def test_what_waits_is_handed_over_in_equal_shares_before_it_leaves():
    told = Story(max_workers=2)
    two_up(told, 22)
    detach(told)
    sends = told.said(do.Send)

    assert sorted(len(handed(send)) for send in sends) == [9, 9]
    assert told.said(do.Finish) == []
    first, second = sends
    told.answer(first)
    assert told.said(do.Finish) == []
    told.answer(second)
    assert told.said(do.Finish) == [do.Finish()]
    assert set(failed(told).values()) == {DetachedError}
    assert len(failed(told)) == 22
    assert told.said(do.CancelJob) == []


def test_outcomes_that_come_meanwhile_count():
    told = Story(max_workers=2)
    first, second = two_up(told, 22)
    detach(told)
    sends = {send.worker: send for send in told.said(do.Send)}
    told.outcome(first, 1)
    assert [one.call.id for said in told.said(do.Complete) for one in said.completions] == [1]
    ended: dict[int, type] = {}
    for send in sends.values():
        told.answer(send)
        ended |= failed(told)

    assert set(sends) == {first, second}
    assert set(ended) == set(range(2, 23))


def test_a_job_that_is_coming_up_gets_its_share():
    told = Story(max_workers=2)
    told.submit(*[make_call(n) for n in range(1, 12)])
    first, second = told.start(), told.start()
    told.hello(first)
    for send in told.said(do.Send):
        told.answer(send)
    detach(told)
    assert not any(handed(send) for send in told.said(do.Send))
    told.hello(second)

    assert told.until(do.Send)


def test_a_job_that_does_not_come_up_holds_nobody_for_long():
    told = Story(max_workers=2)
    told.submit(*[make_call(n) for n in range(1, 12)])
    first, _ = told.start(), told.start()
    told.hello(first)
    for send in told.said(do.Send):
        told.answer(send)
    detach(told)
    begun, over = told.now, []
    while not over:
        assert told.now < begun + 40
        told.wait(0.1)
        for send in told.said(do.Send):
            over += handed(send)
            told.answer(send)

    assert told.now > begun + 5
    assert len(over) >= 8


def test_who_leaves_now_hands_nothing_over():
    told = Story(max_workers=2)
    two_up(told, 22)
    detach(told, now=True)

    assert told.said(do.Finish) == [do.Finish()]
    assert told.said(do.Send) == told.said(do.CancelJob) == []
    assert len(failed(told)) == 22


def test_a_launch_that_has_calls_aboard_is_seen_through():
    told = Story(max_workers=1)
    told.submit(make_call(1))
    detach(told)
    assert told.said(do.Finish) == []
    told.start()

    assert told.said(do.Finish) == [do.Finish()] or told.until(do.Finish)


def test_who_is_interrupted_while_it_hands_over_stops_everything():
    told = Story(max_workers=2)
    two_up(told, 22)
    detach(told)
    told.tell(ev.Aborted("terminate_workers() was called"))

    assert len(told.said(do.CancelJob)) == 2


def test_without_a_call_it_leaves_at_once():
    told = Story(max_workers=1)
    detach(told)

    assert told.said(do.Finish) == [do.Finish()]


def test_where_no_job_takes_calls_yet_it_waits_for_the_first():
    told = Story(max_workers=1)
    told.submit(*[make_call(n) for n in range(1, 12)])
    worker = told.start()
    detach(told)
    told.wait(300)
    assert told.said(do.Finish) == []
    told.hello(worker)
    over: list[int] = []
    while not told.said(do.Finish):
        for send in told.said(do.Send):
            over += handed(send)
            told.answer(send)

    assert sorted(over) == list(range(2, 12))  # the first went with the launch

"""Two hours in which the core was asked nothing: its process stood still, its machine slept."""

from __future__ import annotations

import pytest
from core_stories import Story, make_call

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev


def stand_still(story: Story, seconds: float = 7200.0) -> None:
    """Let time pass in which nothing is told to the core, nor asked of it; then all is due."""
    story.now += seconds
    story.wait(0.0)


def went_on() -> tuple[Story, str]:
    """Return a run whose worker has had a message with two calls under way for two hours."""
    story = Story(give_up_after=300.0, slots_per_job=2, max_retries=0)
    story.submit(make_call(1), make_call(2))
    worker = story.start()
    story.list(story.job(worker))
    story.hello(worker, 2)
    story.answer(story.said(do.Send)[0])
    stand_still(story)
    assert not story.said(do.Fail)
    assert worker in story.machine.workers
    return story, worker


def test_outcomes_that_were_said_meanwhile_count_although_the_job_has_left() -> None:
    story, worker = went_on()
    ended = story.job(worker, "COMPLETED")
    story.list(ended)
    assert not story.said(do.Fail)
    story.tell(ev.LogEnded(worker, 1, said=True))  # its connection was dead
    for _ in range(10):
        if reads := story.said(do.ReadLog):
            break
        story.wait(0.5)
    assert reads
    story.outcome(worker, 1, 2)
    (complete,) = story.said(do.Complete)
    assert [done.call.id for done in complete.completions] == [1, 2]


@pytest.mark.parametrize("failure", [ev.DoorFailure.UNREACHABLE, ev.DoorFailure.AMBIGUOUS])
def test_a_first_message_that_was_on_its_way_is_sent_again(failure: ev.DoorFailure) -> None:
    story = Story(give_up_after=300.0, slots_per_job=2, max_retries=0)
    story.submit(make_call(1))
    worker = story.start()
    story.hello(worker, 2)
    (send,) = story.said(do.Send)
    stand_still(story)
    story.tell(ev.Unanswered(worker, send.number, failure, 0, "connection reset"))
    assert not story.said(do.CancelJob)
    (again,) = story.until(do.Send)
    assert again.number == send.number
    story.answer(again)
    story.outcome(worker, 1)
    (complete,) = story.said(do.Complete)
    assert [done.call.id for done in complete.completions] == [1]

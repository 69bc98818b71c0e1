"""Outcomes come through the door as they happen, and count once whichever way was first."""

import pytest
from core_stories import Story, handed, ids, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.channel import Door
from hfexecutor.remote import entries as wire


class Listener(Story):
    """A story of one worker whose door answers; its log says nothing by itself."""

    def __init__(self):
        super().__init__(max_workers=1)
        self.position = 0
        self.listens = []
        self.submit(make_call(1))
        self.worker = self.up()
        self.answer(*self.said(do.Send))

    def tell(self, *events, after=0.001):
        said = super().tell(*events, after=after)
        self.listens += [command for command in said if isinstance(command, do.Listen)]
        return said

    @property
    def channel(self):
        return self.machine.workers[self.worker].channel

    def listened(self, *calls, number=None, entries=None):
        """Have the request that stands answered with outcomes."""
        self.position += len(calls) if entries is None else entries
        number = self.listens[-1].number if number is None else number
        news = tuple(ev.Done(call, outcome()) for call in calls)
        return self.tell(ev.Listened(self.worker, number, self.position, news))

    def listen_fails(self):
        return self.tell(ev.ListenFailed(self.worker, self.listens[-1].number, "gone"))

    def completed(self):
        return [done.call.id for command in self.said(do.Complete) for done in command.completions]


@pytest.fixture
def story():
    return Listener()


def test_a_request_stands_while_the_worker_has_calls(story):
    (listen,) = story.listens

    assert listen.position == 0
    assert listen.seconds < listen.patience
    story.listened(1)
    assert story.completed() == [1]
    assert len(story.listens) == 2  # for the next call is likely to come soon
    assert story.listens[-1].position == 1


def test_an_idle_worker_is_asked_nothing(story):
    story.listened(1)
    story.wait(25.0)
    story.listened()

    story.wait(600.0)

    assert len(story.listens) == 2


def test_one_that_runs_out_is_renewed_while_calls_are_owed(story):
    story.wait(25.0)

    story.listened()

    assert len(story.listens) == 2


def test_the_log_says_it_once_more_and_nothing_follows(story):
    story.listened(1)
    story.outcome(story.worker, 1)

    assert story.said(do.Complete) == []
    story.tell(ev.Closed())
    (send,) = story.said(do.Send)
    assert ids(send, wire.ACK) == [1]  # and not twice


def test_the_log_may_be_first(story):
    story.outcome(story.worker, 1)
    assert story.completed() == [1]

    story.listened(1)

    assert story.said(do.Complete) == []


def test_a_request_that_breaks_off_says_nothing_about_the_door(story):
    pauses = []
    for _ in range(12):
        story.listen_fails()
        before = story.now
        story.commands = []
        while not story.said(do.Listen):
            story.wait(0.05)
        pauses.append(story.now - before)

    assert story.channel.door is Door.OPEN
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert 25 < pauses[-1] < 31


def test_one_that_comes_back_at_once_with_nothing_is_not_sent_again_and_again(story):
    for _ in range(10):
        story.listened()

    assert len(story.listens) == 1
    story.wait(0.2)
    assert len(story.listens) == 2


def test_lines_alone_are_news(story):
    story.listened(entries=3)

    assert len(story.listens) == 2
    assert story.listens[-1].position == 3


def test_no_request_goes_to_a_door_that_has_not_answered():
    story = Story(max_workers=1)
    story.submit(make_call(1))
    story.up()

    assert story.said(do.Send)
    assert story.said(do.Listen) == []


def test_a_door_in_trouble_is_not_listened_at_until_it_answers(story):
    story.submit(make_call(2))
    (send,) = story.said(do.Send)
    story.listen_fails()
    for _ in range(40):
        story.tell(
            ev.Unanswered(story.worker, send.number, ev.DoorFailure.UNREACHABLE, 0, "away"),
            after=0.1,
        )
        story.until(do.Send)
    assert story.channel.door is Door.TROUBLED
    story.listen_fails()
    before = len(story.listens)
    story.wait(3.0)
    assert len(story.listens) == before

    story.answer(send)

    assert len(story.listens) == before + 1


def test_the_answer_to_an_earlier_request_counts_and_does_not_disturb_the_present_one(story):
    first = story.listens[0].number
    story.listen_fails()
    story.wait(0.2)
    assert len(story.listens) == 2

    story.listened(1, number=first)

    assert story.completed() == [1]
    assert len(story.listens) == 2


def test_a_worker_that_is_over_is_not_listened_to(story):
    number = story.listens[0].number
    story.tell(ev.Aborted("enough"))
    (cancel,) = story.said(do.CancelJob)
    story.tell(ev.CancelEnded(cancel.job))

    assert story.tell(ev.ListenFailed(story.worker, number, "gone")) == []
    assert story.tell(ev.Listened(story.worker, number, 9, ())) == []


def test_a_worker_that_hangs_up_when_told_to_leave_has_probably_left(story):
    story.list(story.job(story.worker))  # that it runs was asked after its HELLO
    story.listened(1)
    story.tell(ev.Closed())
    story.answer(*story.said(do.Send))
    assert story.said(do.List) == []
    story.listen_fails()

    story.until(do.List)
    story.list(story.job(story.worker, "COMPLETED"))
    assert story.machine.finished  # before its log has said good-bye


# --- where the log is as quick as the door --------------------------------------------------------


def learn_that_the_log_is_quick(story):
    story.listened(1)
    story.outcome(story.worker, 1)
    story.wait(25.0)
    story.listened()
    story.listens.clear()


def test_where_the_log_is_quick_no_request_is_made_for_short_calls(story):
    learn_that_the_log_is_quick(story)
    for call in range(2, 50):
        story.submit(make_call(call))
        (send,) = story.said(do.Send)
        assert handed(send) == [call]
        story.answer(send)
        story.outcome(story.worker, call)

    story.wait(1.0)

    assert story.listens == []


def test_the_log_may_be_quicker_than_the_door(story):
    story.outcome(story.worker, 1)
    story.listened(1)
    story.submit(make_call(2))

    assert len(story.listens) == 1


def test_in_a_long_call_one_stands_after_all(story):
    learn_that_the_log_is_quick(story)
    story.submit(make_call(2))
    story.answer(*story.said(do.Send))
    assert story.listens == []

    story.wait(0.2)

    assert len(story.listens) == 1


def test_a_log_that_has_become_late_is_noticed_with_the_first_call(story):
    learn_that_the_log_is_quick(story)
    story.submit(make_call(2))
    story.answer(*story.said(do.Send))
    story.wait(0.2)
    story.listened(2)
    story.wait(0.1)  # the log has not said it

    story.submit(make_call(3))

    assert len(story.listens) == 2

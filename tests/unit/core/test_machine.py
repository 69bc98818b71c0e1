"""Histories of runs, told to the core: what it says to what happens, in milliseconds."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
from core_stories import Story, handed, ids, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.rules import Rules
from hfexecutor.errors import (
    BrokenHubExecutor,
    CallStoppedError,
    HubExecutorError,
    HubRequestError,
    HubUnavailableError,
    JobFailedError,
    JobLostError,
    PayloadTooLargeError,
)
from hfexecutor.remote import entries as wire


@pytest.fixture
def story() -> Story:
    return Story(max_workers=1)


def busy(story: Story, calls: int = 5, first: int = 1) -> str:
    """Return a worker that runs call `first` and holds the others that it may."""
    story.submit(*(make_call(n) for n in range(first, first + calls)))
    return story.up()


def launch_unclearly(story: Story) -> do.Launch:
    """Have call 1 travel in a launch that is answered 500."""
    story.submit(make_call(1))
    (launch,) = story.said(do.Launch)
    story.admit(launch)
    unclear = HubUnavailableError("answered 500")
    story.tell(ev.LaunchFailed(launch.worker, 1, ev.LaunchFailure.UNCLEAR, unclear))
    return launch


# --- the road of a call -----------------------------------------------------------------------


def test_a_call_goes_aboard_a_launch_and_its_outcome_to_its_future(story: Story) -> None:
    call = make_call(1)
    story.submit(call)
    (launch,) = story.said(do.Launch)
    story.admit(launch)
    (post,) = story.said(do.Post)
    assert post.calls == (call,)
    story.tell(ev.Launched(launch.worker, 1, story.job(launch.worker)))
    assert story.said(do.ReadLog) == [do.ReadLog(launch.worker, f"job-{launch.worker[:4]}", 1)]
    story.hello(launch.worker)
    story.outcome(launch.worker, 1)
    (complete,) = story.said(do.Complete)
    assert [item.call for item in complete.completions] == [call]
    assert not story.machine.pending.open


def test_later_calls_go_through_the_door_many_to_a_message(story: Story) -> None:
    worker = busy(story, calls=3)
    (knock,) = story.said(do.Send)
    assert (knock.worker, knock.door, knock.number) == (worker, "https://door", 1)
    assert handed(knock) == [2]  # nothing is known of how long calls take: one ahead
    story.answer(knock)
    story.outcome(worker, 1, duration=1e-6)
    (send,) = story.said(do.Send)
    assert handed(send) == [3]


def test_nothing_is_sent_before_hello_although_the_address_is_known(story: Story) -> None:
    story.submit(make_call(1), make_call(2))
    worker = story.start()
    assert not story.said(do.Send)
    story.hello(worker)
    assert story.said(do.Send)


def test_a_door_whose_address_comes_with_a_list_opens_then(story: Story) -> None:
    story.submit(make_call(1), make_call(2))
    worker = story.start(door="")
    story.hello(worker)
    assert not story.said(do.Send)
    assert story.said(do.List)  # at once: the address is wanted
    story.list(story.job(worker))
    (send,) = story.said(do.Send)
    assert handed(send) == [2]


# --- what runs, and what can be cancelled --------------------------------------------------------


def test_only_what_may_have_begun_counts_as_running(story: Story) -> None:
    calls = [make_call(n) for n in range(1, 202)]
    story.submit(calls[0])
    worker = story.up()
    story.answer(story.said(do.Send)[0])
    story.outcome(worker, 1, duration=1e-6)
    story.tell(ev.Submitted(tuple(calls[1:])))
    (send,) = story.said(do.Send)
    assert len(handed(send)) > 50  # micro-calls, as far as anybody knows
    assert [call.id for call in calls[1:] if call.claimed] == [2]
    story.outcome(worker, 2, duration=1e-6)
    assert [call.id for call in calls[2:] if call.claimed] == [3]


def test_what_was_handed_ahead_on_a_wrong_forecast_comes_back(story: Story) -> None:
    calls = [make_call(n) for n in range(1, 202)]
    story.submit(calls[0])
    worker = story.up()
    story.answer(story.said(do.Send)[0])
    story.outcome(worker, 1, duration=1e-6)
    story.tell(ev.Submitted(tuple(calls[1:])))
    (send,) = story.said(do.Send)
    ahead = handed(send)
    story.answer(send)
    story.wait(0.15)  # call 2 takes longer than micro-calls do
    (send,) = story.said(do.Send)
    recalled = ids(send, wire.RECALL)
    assert recalled == ahead[-len(recalled) :]
    assert len(ahead) - len(recalled) < 10
    story.answer(send, ev.GivenBack(tuple(recalled)))
    assert all(not calls[call - 1].worker for call in recalled)
    assert not story.said(do.Send)  # and does not go there again


def test_a_call_that_was_handed_ahead_can_be_cancelled_and_is_stopped_there(story: Story) -> None:
    worker = busy(story, calls=2)
    (send,) = story.said(do.Send)
    story.answer(send)
    story.tell(ev.Cancelled(2))
    assert story.said(do.NotifyCancelled)
    (send,) = story.said(do.Send)
    assert ids(send, wire.KILL) == [2]
    story.outcome(worker, 2)  # the message crossed its end
    assert not story.said(do.Complete)


def test_a_call_that_is_on_no_way_yet_is_cancelled_without_a_message(story: Story) -> None:
    busy(story, calls=2)  # its first message, with call 2, is on its way
    story.tell(ev.Submitted((make_call(3),)))
    story.tell(ev.Cancelled(3))
    assert story.said(do.NotifyCancelled)
    assert not story.said(do.Send)


def test_a_cancel_that_nobody_has_told_of_yet_is_heard_when_the_call_is_begun(
    story: Story,
) -> None:
    worker = busy(story, calls=2)
    story.answer(story.said(do.Send)[0])
    story.refused = {2}
    story.outcome(worker, 1)
    assert [item.call.id for item in story.said(do.NotifyCancelled)] == [2]
    assert ids(story.said(do.Send)[0], wire.KILL) == [2]
    story.tell(ev.Cancelled(2))  # the word for it: nothing happens twice
    assert not story.said(do.NotifyCancelled)


def test_closing_with_cancel_takes_back_everything_that_has_not_begun(story: Story) -> None:
    worker = busy(story, calls=4)
    story.answer(story.said(do.Send)[0])
    story.tell(ev.Closed(cancel=True))
    assert [item.call.id for item in story.said(do.CancelFuture)] == [2, 3, 4]
    assert ids(story.said(do.Send)[0], wire.KILL) == [2]
    story.answer(story.said(do.Send)[0], ev.GivenBack((2,)))
    story.outcome(worker, 1)
    assert wire.LEAVE in [entry.kind for entry in story.said(do.Send)[0].entries]


# --- launches -------------------------------------------------------------------------------------


def test_a_launch_that_nobody_wants_any_more_is_withdrawn_wherever_it_waits() -> None:
    story = Story(max_workers=60)
    story.submit(*(make_call(n) for n in range(1, 61)))
    launches = story.said(do.Launch)
    assert len(launches) == 60
    story.admit(launches[0])
    assert story.said(do.Post)
    story.tell(ev.Aborted("Ctrl-C"))
    assert len(story.said(do.Withdraw)) == 59
    for launch in launches[1:]:
        story.admit(launch)
        assert not story.said(do.Post)
    story.tell(ev.Launched(launches[0].worker, 1, story.job(launches[0].worker)))
    assert story.said(do.CancelJob)


def test_stopping_any_number_of_waiting_workers_does_not_recurse() -> None:
    story = Story(max_workers=3000)
    story.submit(*(make_call(n) for n in range(1, 3001)))
    story.tell(ev.Aborted("Ctrl-C"))
    assert story.said(do.Finish)
    assert not story.machine.workers


def test_a_call_that_is_cancelled_takes_its_launch_along(story: Story) -> None:
    story.submit(make_call(1))
    (launch,) = story.said(do.Launch)
    story.tell(ev.Cancelled(1))
    story.admit(launch)
    assert not story.said(do.Post)
    assert story.said(do.Withdraw)


def test_an_unclear_launch_is_looked_for_before_it_is_repeated(story: Story) -> None:
    launch = launch_unclearly(story)
    for _ in Rules().looks:
        assert not story.said(do.Launch)
        story.until(do.LookFor)
        story.tell(ev.Looked(launch.worker, ()))
    assert story.until(do.Launch) == [do.Launch(launch.worker, 2)]


def test_a_job_that_is_found_by_its_label_is_adopted_unless_it_is_not_ours(story: Story) -> None:
    launch = launch_unclearly(story)
    story.wait(0.3)
    foreign = story.job(launch.worker)._replace(id="evil", foreign="somebody else has started it")
    story.tell(ev.Looked(launch.worker, (foreign,)))
    assert not story.said(do.ReadLog)
    assert "somebody else" in story.said(do.Report)[0].text
    story.wait(0.6)
    story.tell(ev.Looked(launch.worker, (foreign, story.job(launch.worker))))
    assert story.said(do.ReadLog)[0].job == story.job(launch.worker).id


def test_a_foreign_job_with_our_labels_is_never_cancelled(story: Story) -> None:
    worker = busy(story)
    foreign = story.job(worker)._replace(id="evil", foreign="it belongs to 'others'")
    story.list(foreign, story.job(worker))
    assert not story.said(do.CancelJob)


def test_two_jobs_for_one_launch_leave_one(story: Story) -> None:
    worker = busy(story)
    story.list(story.job(worker), story.job(worker)._replace(id="twin"))
    assert story.said(do.CancelJob) == [do.CancelJob("twin")]
    story.list(story.job(worker), story.job(worker)._replace(id="twin"))
    assert not story.said(do.CancelJob)


def test_without_retries_a_job_is_launched_empty_and_so_may_be_launched_again() -> None:
    story = Story(max_workers=1, max_retries=0)
    story.submit(make_call(1))
    (launch,) = story.said(do.Launch)
    story.admit(launch)
    assert story.said(do.Post)[0].calls == ()
    unclear = HubUnavailableError("answered 500")
    story.tell(ev.LaunchFailed(launch.worker, 1, ev.LaunchFailure.UNCLEAR, unclear))
    for _ in Rules().looks:
        story.until(do.LookFor)
        story.tell(ev.Looked(launch.worker, ()))
    story.until(do.Launch)
    worker = story.up()
    assert handed(story.said(do.Send)[0]) == [1]
    assert worker == launch.worker


def test_without_retries_and_doors_the_error_says_what_is_known() -> None:
    story = Story(max_workers=1, max_retries=0, reuse_workers=False)
    launch = launch_unclearly(story)
    for _ in Rules().looks:
        story.until(do.LookFor)
        story.tell(ev.Looked(launch.worker, ()))
    text = str(story.said(do.Fail)[0].error)
    assert "answered 500" in text
    assert "looked for 4 times in 4" in text
    assert "max_retries=0" in text
    assert "300" not in text


@pytest.mark.parametrize("unwanted", [ev.Cancelled(1), ev.KillAsked(1)])
def test_a_launch_that_may_not_be_repeated_is_no_other_calls_end(unwanted: ev.Event) -> None:
    story = Story(max_workers=1, max_retries=0, reuse_workers=False)
    launch_unclearly(story)
    launch = story.launches.popleft()
    story.options = dataclasses.replace(story.options, max_retries=2)
    story.submit(make_call(2))
    said = story.tell(unwanted)
    for _ in Rules().looks:
        said += story.until(do.LookFor)
        said += story.tell(ev.Looked(launch.worker, ()))
    assert {command.call.id for command in said if type(command) is do.Fail} <= {1}
    story.start()
    assert [call.id for call in story.said(do.Started)[0].calls] == [2]


def test_a_hub_that_takes_no_port_gets_one_shot_jobs(story: Story) -> None:
    story.submit(make_call(1))
    (launch,) = story.said(do.Launch)
    story.admit(launch)
    refused = HubRequestError("no ports here")
    story.tell(ev.LaunchFailed(launch.worker, 1, ev.LaunchFailure.REFUSED, refused))
    (launch,) = story.said(do.Launch)
    story.admit(launch)
    assert story.said(do.Post)[0].one_shot


# --- stages -----------------------------------------------------------------------------------


def test_a_job_that_was_seen_running_is_not_stuck_whatever_an_older_list_says() -> None:
    """An older list, and one that misses it, once had a working job cancelled as stuck."""
    story = Story(max_workers=2)
    story.submit(make_call(1), make_call(2))
    one, two = story.said(do.Launch)
    for launch in (one, two):
        story.admit(launch)
        story.tell(ev.Launched(launch.worker, 1, story.job(launch.worker, "SCHEDULING")))
    for launch in (one, two):
        story.hello(launch.worker)
    for send in [c for c in story.commands if type(c) is do.Send]:
        story.answer(send)
    story.list(story.job(one.worker), story.job(two.worker))
    story.list(story.job(one.worker, "SCHEDULING"), story.job(two.worker))
    story.list(story.job(two.worker))
    story.outcome(two.worker, 2)  # and so is idle
    said: list[Any] = []
    for _ in range(300):
        said += story.wait(0.1)
        for send in story.said(do.Send):
            story.answer(send)
    assert not [c for c in said if type(c) is do.CancelJob]


def stuck() -> tuple[Story, str, str]:
    """Return a story in which a job is cancelled that does not begin, while another one is idle."""
    story = Story(max_workers=2)
    story.submit(make_call(1), make_call(2))
    one, two = story.said(do.Launch)
    for launch in (one, two):
        story.admit(launch)
        story.tell(ev.Launched(launch.worker, 1, story.job(launch.worker, "SCHEDULING")))
    story.hello(two.worker)
    story.outcome(two.worker, 2)
    for _ in range(100):
        story.wait(0.1)
        if story.said(do.CancelJob):
            break
    assert story.said(do.CancelJob) == [do.CancelJob(story.job(one.worker).id, look=True)]
    return story, one.worker, two.worker


def test_a_job_that_never_begins_gives_its_calls_to_idle_ones() -> None:
    story, one, two = stuck()
    story.tell(ev.CancelEnded(story.job(one).id))
    assert story.machine.pending.open[1].worker == two


def test_a_job_that_could_not_be_cancelled_keeps_what_it_will_run_all_the_same() -> None:
    """It was given up, and what it had said by then was never read: its call ran twice."""
    story, one, _ = stuck()
    story.tell(ev.CancelEnded(story.job(one).id, HubUnavailableError("down")))
    assert story.machine.pending.open[1].worker == one
    story.hello(one)
    story.outcome(one, 1)
    assert story.said(do.Complete)
    assert not story.machine.pending.open


def test_a_job_that_lists_go_on_to_miss_is_asked_for_more_and_more_seldom(story: Story) -> None:
    """Where lists lag they hide all jobs that are new, and hundreds were asked for each time."""
    worker = busy(story)
    asked = []
    for number in range(1, 20):
        story.wait(0.1)
        story.list()
        if story.said(do.Inspect):
            asked.append(number)
            story.tell(ev.Inspected(worker, story.job(worker)))
    assert asked == [2, 4, 8, 16]
    story.list(story.job(worker))
    story.list()
    story.list()
    assert story.said(do.Inspect)


def test_a_job_that_two_lists_miss_is_asked_for_by_its_id(story: Story) -> None:
    worker = busy(story)
    story.wait(0.1)
    story.list()
    assert not story.said(do.Inspect)
    story.list()
    assert story.said(do.Inspect) == [do.Inspect(worker, story.job(worker).id)]
    story.tell(ev.Inspected(worker, None))
    while worker in story.machine.workers:
        story.wait(0.1)
        if story.said(do.ReadLog):
            reading = story.said(do.ReadLog)[-1].reading
        if story.said(do.StopLog):
            reading = story.said(do.StopLog)[-1].reading
            story.tell(ev.LogEnded(worker, reading, said=False))
        elif story.said(do.ReadLog):
            story.tell(ev.LogEnded(worker, reading, said=False))
    assert story.machine.pending.open[1].lost == 1


# --- the worst --------------------------------------------------------------------------------


def die(story: Story, worker: str) -> None:
    """End a worker's job and its log, until the core is done with it."""
    job = story.machine.workers[worker].job
    assert job is not None
    story.list(job._replace(stage="ERROR"))
    for _ in range(200):
        if worker not in story.machine.workers:
            return
        for reading in (*story.said(do.StopLog), *story.said(do.ReadLog)):
            story.tell(ev.LogEnded(worker, reading.reading, said=False))
            break
        else:
            story.wait(0.1)
    raise AssertionError("it is not given up")


def test_the_calls_of_a_lost_job_run_again_alone_and_then_fail() -> None:
    story = Story(max_workers=1, max_retries=1)
    worker = busy(story, calls=1)
    die(story, worker)
    assert story.machine.pending.open[1].lost == 1
    story.tell(ev.Submitted((make_call(2),)))
    launch = story.launches.popleft()
    story.admit(launch)
    assert [call.id for call in story.said(do.Post)[0].calls] == [1]  # without company
    story.tell(ev.Launched(launch.worker, 1, story.job(launch.worker)))
    story.hello(launch.worker)
    die(story, launch.worker)
    assert 1 not in story.machine.pending.open


def test_a_suspect_gets_no_company_though_the_head_of_the_queue_was_just_cancelled(
    story: Story,
) -> None:
    pending = story.machine.pending
    pending.enter([make_call(1), make_call(2, lost=1), make_call(3)])
    pending.close(1)
    assert [call.id for call in pending.queue(("",)).dequeue(3, 1e9)] == [2]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("no such image", "Its page tells more; check image= and dependencies="),
        (
            'OCI runtime create failed: exec: "uv": executable file not found in $PATH: unknown',
            "Its image has no uv, with which jobs are started: add it",
        ),
    ],
)
def test_a_job_that_never_ran_fails_everything_with_what_it_said(
    story: Story, line: str, advice: str
) -> None:
    story.submit(make_call(1))
    worker = story.start()
    story.list(story.job(worker, "ERROR"))
    for _ in range(100):
        for reading in (*story.said(do.StopLog), *story.said(do.ReadLog)):
            story.tell(ev.LogEnded(worker, reading.reading, said=True, tail=(line,)))
            break
        else:
            story.wait(0.1)
        if story.said(do.Fail):
            break
    error = story.said(do.Fail)[0].error
    assert isinstance(error, JobFailedError)
    assert line in str(error)
    assert advice in str(error)


def test_an_outcome_of_no_call_that_no_supervisor_says_is_ignored(story: Story) -> None:
    worker = busy(story)
    story.tell(ev.Heard(worker, (ev.Done(0, outcome(status=b"V")),)))
    assert not story.said(do.Unwrap)
    assert story.said(do.Report)[0].level == logging.WARNING
    assert story.machine.pending.open


def test_what_no_job_can_run_fails_at_once_and_later_calls_too(story: Story) -> None:
    worker = busy(story)
    story.tell(ev.Heard(worker, (ev.Done(0, outcome(status=b"M")),)))
    assert story.said(do.Unwrap)
    story.tell(ev.Broken(worker, HubRequestError("the image has Python 3.9")))
    assert len(story.said(do.Fail)) == 5
    assert isinstance(story.machine.broken, BrokenHubExecutor)
    story.tell(ev.Submitted((make_call(9),)))
    assert story.said(do.Fail)
    assert not story.said(do.Launch)


def test_a_kill_is_said_again_when_the_door_works_again(story: Story) -> None:
    worker = busy(story, calls=1)
    (knock,) = story.said(do.Send)
    story.tell(ev.Unanswered(worker, knock.number, ev.DoorFailure.AMBIGUOUS, 0, "cut"))
    story.wait(2.0)
    story.tell(ev.KillAsked(1))
    for _ in range(50):
        if story.said(do.Send):
            break
        story.wait(0.1)
    story.answer(knock)
    assert ids(story.said(do.Send)[0], wire.KILL) == [1]


def test_a_call_that_is_killed_before_anybody_has_it_ends_at_once() -> None:
    story = Story(max_workers=1)
    busy(story, calls=4)
    story.tell(ev.KillAsked(4))
    (fail,) = story.said(do.Fail)
    assert isinstance(fail.error, CallStoppedError)


def test_a_refused_door_gives_its_calls_back_and_an_unclear_one_keeps_them(story: Story) -> None:
    worker = busy(story, calls=3)
    (knock,) = story.said(do.Send)
    story.tell(ev.Unanswered(worker, knock.number, ev.DoorFailure.REJECTED, 403, "no"))
    assert not story.machine.pending.open[2].worker
    assert story.machine.one_shot

    story = Story(max_workers=1, max_retries=0)
    story.submit(make_call(1), make_call(2))
    worker = story.up()
    (knock,) = story.said(do.Send)
    story.tell(ev.Unanswered(worker, knock.number, ev.DoorFailure.REJECTED, 409, "known"))
    assert story.machine.pending.open[1].worker == worker


@pytest.mark.parametrize(("lost", "stopped"), [(0, True), (1, False)])
def test_a_job_that_may_have_a_call_is_stopped_only_if_that_may_run_again(
    lost: int, stopped: bool
) -> None:
    story = Story(max_workers=1, max_retries=1)
    story.submit(make_call(1))
    worker = story.up()
    story.answer(story.said(do.Send)[0])
    story.outcome(worker, 1)
    story.submit(make_call(2, lost=lost))
    (send,) = story.said(do.Send)
    assert handed(send) == [2]

    said = story.tell(ev.Unanswered(worker, send.number, ev.DoorFailure.FORGED, 0, "whose?"))
    said += story.wait(10.0)
    assert any(type(command) is do.CancelJob for command in said) is stopped
    story.outcome(worker, 2)
    assert story.said(do.Complete)


def test_a_call_too_large_for_a_launch_without_a_door_says_so() -> None:
    story = Story(max_workers=1, reuse_workers=False, room=100)
    story.submit(make_call(1, size=101), make_call(2, size=10))
    (fail,) = story.said(do.Fail)
    assert isinstance(fail.error, PayloadTooLargeError)
    story.admit(story.said(do.Launch)[0])
    assert [call.id for call in story.said(do.Post)[0].calls] == [2]


def test_a_call_that_was_lost_half_way_to_its_job_has_not_been_tried() -> None:
    """It once counted as lost, and ended so without retries, although it cannot have begun."""
    story = Story(Rules(message=1000), max_workers=1, max_retries=0)
    story.submit(make_call(1, size=2500))
    worker = story.up()
    story.answer(story.said(do.Send)[0])  # a part of it
    assert story.said(do.Send)
    die(story, worker)
    assert not story.said(do.Fail)
    assert [call.lost for call in story.machine.pending.open.values()] == [0]


def test_what_is_left_of_an_earlier_try_to_fetch_an_outcome_does_not_count() -> None:
    """Its failures once ended the next try, and its parts had more requests go out than may."""
    rules = Rules(fetch_tries=1)
    story = Story(rules, max_workers=1)
    worker = busy(story, calls=1)
    story.answer(story.said(do.Send)[0])
    large = ev.Large(1, 20 * rules.fetch_bytes[1])
    story.tell(ev.Heard(worker, (large,)))
    first = story.said(do.Fetch)
    assert len(first) in rules.fetches
    story.tell(ev.FetchFailed(worker, first[0].number, 1, "cut"))
    story.tell(ev.Heard(worker, (large,)))
    second = story.said(do.Fetch)
    assert [fetch.start for fetch in second] == [fetch.start for fetch in first]
    assert second[0].key is not first[0].key
    for late in (
        ev.FetchFailed(worker, first[1].number, 1, "cut"),
        ev.Fetched(worker, first[2].number, 1, ()),
    ):
        story.tell(late)
        assert not story.said(do.Fetch)
    story.tell(ev.Fetched(worker, second[0].number, 1, ()))
    (fetch,) = story.said(do.Fetch)
    assert fetch.start == second[-1].stop


def test_an_outcome_for_which_there_is_no_memory_here_ends_its_call_and_is_let_go_there() -> None:
    story = Story(max_workers=1)
    worker = busy(story, calls=2)
    story.answer(story.said(do.Send)[0])
    story.tell(ev.Heard(worker, (ev.Large(1, 1 << 40),)))
    first, second, *_ = story.said(do.Fetch)
    said = story.tell(
        ev.FetchRefused(worker, first.number, 1, "no room"),
        ev.FetchRefused(worker, second.number, 1, "no room"),
    )
    (fail,) = (command for command in said if type(command) is do.Fail)
    assert isinstance(fail.error, PayloadTooLargeError)
    assert "no room" in str(fail.error)
    assert not [command for command in said if type(command) is do.Fetch]
    assert set(story.machine.pending.open) == {2}
    assert story.machine.workers[worker].channel.outgoing.acknowledgements == 1


# --- the end ----------------------------------------------------------------------------------


def test_a_job_without_a_door_is_left_to_leave_by_itself() -> None:
    """Each was once cancelled whose good-bye came a moment after its last outcome."""
    story = Story(max_workers=2, reuse_workers=False)
    story.submit(make_call(1), make_call(2))
    workers = [story.start(door=""), story.start(door="")]
    for worker in workers:
        story.hello(worker, door=False)
    said = [*story.outcome(workers[0], 1), *story.wait(1.0)]
    said += story.tell(ev.Heard(workers[0], (ev.Bye(1, returned=False),)))
    said += story.list(story.job(workers[0], "COMPLETED"), story.job(workers[1]))
    assert list(story.machine.workers) == workers[1:]
    assert not [command for command in said if type(command) in {do.CancelJob, do.Inspect}]


def test_a_launch_that_an_error_of_ours_breaks_off_ends_its_call_and_leaves_no_job(
    story: Story,
) -> None:
    story.submit(make_call(1))
    (launch,) = story.said(do.Launch)
    story.admit(launch)
    story.tell(ev.EdgeFailed(launch.worker, HubExecutorError("internal error")))
    (fail,) = story.said(do.Fail)
    assert (fail.call.id, str(fail.error)) == (1, "internal error")
    assert not story.machine.workers
    story.tell(ev.Closed())
    assert story.said(do.List)
    story.list()  # lists lag
    assert not story.said(do.Finish)
    story.until(do.List)
    story.list(story.job(launch.worker))
    assert story.said(do.CancelJob)


def test_a_worker_whose_door_is_not_known_yet_is_told_to_leave_when_it_is(story: Story) -> None:
    """Its job would be shown as cancelled, although all has gone well."""
    story.submit(make_call(1))
    worker = story.start(door="")
    story.hello(worker)
    story.outcome(worker, 1)
    story.tell(ev.Closed())
    assert not story.said(do.CancelJob)
    story.list(story.job(worker))
    assert wire.LEAVE in [entry.kind for entry in story.said(do.Send)[0].entries]
    story.answer(story.said(do.Send)[0])
    story.tell(ev.Heard(worker, (ev.Bye(1, returned=False),)))
    story.list(story.job(worker, "COMPLETED"))
    assert story.said(do.Finish)


def test_the_end_of_a_log_after_a_good_bye_is_asked_about_at_once(story: Story) -> None:
    """Who shuts down once waited for a twentieth of a second, as a list was just asked for."""
    story.submit(make_call(1))
    worker = story.start()
    (read,) = story.said(do.ReadLog)
    story.tell(ev.Heard(worker, (ev.Hello(1, door=True), ev.Done(1, outcome()))))
    assert story.said(do.List)
    story.answer(story.said(do.Send)[0])
    story.list(story.job(worker))
    story.tell(ev.Closed())
    story.tell(ev.Heard(worker, (ev.Bye(1, returned=False),)))
    assert not story.said(do.List)  # it ends in a moment: the list would not show it yet
    story.tell(ev.LogEnded(worker, read.reading, said=True))
    assert story.said(do.List)
    story.list(story.job(worker, "COMPLETED"))
    assert story.said(do.Finish)


def test_a_worker_that_does_not_leave_is_cancelled(story: Story) -> None:
    worker = busy(story, calls=1)
    story.answer(story.said(do.Send)[0])
    story.outcome(worker, 1)
    story.tell(ev.Closed())
    story.answer(story.said(do.Send)[0])
    story.wait(Rules().farewell)
    assert story.said(do.CancelJob)


def test_after_a_launch_that_stayed_unclear_the_end_looks_for_its_job(story: Story) -> None:
    launch = launch_unclearly(story)
    story.tell(ev.Aborted("Ctrl-C"))
    story.until(do.LookFor)
    story.tell(ev.Looked(launch.worker, (story.job(launch.worker),)))
    assert story.said(do.CancelJob)


def test_a_job_that_no_list_shows_yet_is_waited_for_at_the_end(story: Story) -> None:
    """Lists lag by seconds: a launch that was unclear just before the end once left its job."""
    launch = launch_unclearly(story)
    began = story.now
    story.tell(ev.Aborted("Ctrl-C"))
    for _ in Rules().looks:
        story.until(do.LookFor)
        story.tell(ev.Looked(launch.worker, ()))
    story.until(do.List)
    story.list()
    story.until(do.List)
    story.list(story.job(launch.worker))
    assert story.said(do.CancelJob)
    story.tell(ev.CancelEnded(story.job(launch.worker).id))
    while not story.said(do.Finish):
        story.until(do.List)
        story.list()
    assert story.now - began == pytest.approx(Rules().lag, abs=1.5)


def test_the_last_look_cancels_a_job_once_however_long_lists_show_it(story: Story) -> None:
    """Each list of the last look, one a second, once had it cancelled anew."""
    launch = launch_unclearly(story)
    story.tell(ev.Aborted("Ctrl-C"))
    for _ in Rules().looks:
        story.until(do.LookFor)
        story.tell(ev.Looked(launch.worker, ()))
    late = story.job(launch.worker, "SCHEDULING")
    cancels = []
    for failure in (HubUnavailableError("answered 500"), None, None):
        story.until(do.List)
        story.list(late)
        cancels.append(len(story.said(do.CancelJob)))
        story.tell(ev.CancelEnded(late.id, failure))
    assert cancels == [1, 1, 0]  # the first had failed


def test_a_hub_that_does_not_answer_holds_nobody_up_for_long(story: Story) -> None:
    busy(story)
    story.tell(ev.Aborted("Ctrl-C"))
    assert story.said(do.CancelJob)
    story.wait(Rules().parting)
    assert story.said(do.List)
    story.wait(Rules().parting)
    assert story.said(do.Finish)


def test_each_future_gets_an_error_of_its_own(story: Story) -> None:
    story.submit(make_call(1), make_call(2))
    story.tell(ev.ListFailed(HubUnavailableError("gone")))
    one, two = (fail.error for fail in story.said(do.Fail))
    assert str(one) == str(two)
    assert one is not two


def test_a_lost_call_says_which_job_it_was_in() -> None:
    story = Story(max_workers=1, max_retries=0)
    story.submit(make_call(1))
    worker = story.up()
    story.answer(story.said(do.Send)[0])
    die(story, worker)
    assert not story.machine.pending.open


def test_the_error_of_a_call_whose_job_has_spoken_does_not_say_scheduling() -> None:
    story = Story(max_workers=1, max_retries=0, reuse_workers=False)
    story.submit(make_call(1))
    worker = story.start()
    story.hello(worker, door=False)
    assert "stage RUNNING" in story.machine.workers[worker].describe()
    story.tell(ev.CancelEnded("other"))
    story.tell(ev.Aborted("why"))
    assert isinstance(story.said(do.Fail)[0].error, (CallStoppedError, JobLostError))


# --- what the simulation has found ------------------------------------------------------------


def test_jobs_that_leave_before_their_door_is_known_are_not_launched_for_ever() -> None:
    story = Story(max_workers=1, max_retries=0)
    story.submit(make_call(1))
    for _ in range(Rules().unused):
        worker = story.start(door="")
        story.hello(worker)
        story.tell(ev.Heard(worker, (ev.Bye(0, returned=False),)))
        story.list(story.job(worker, "COMPLETED", door=""))
        story.wait(0.1)
    assert story.machine.one_shot
    story.admit(story.launches.popleft())
    assert [call.id for call in story.said(do.Post)[0].calls] == [1]


def test_every_launch_under_way_may_be_told_that_there_are_no_ports() -> None:
    story = Story(max_workers=2)
    story.submit(make_call(1), make_call(2))
    one, two = story.said(do.Launch)
    story.admit(one)
    story.admit(two)
    refused = HubRequestError("no ports here")
    story.tell(ev.LaunchFailed(one.worker, 1, ev.LaunchFailure.REFUSED, refused))
    story.launches.popleft(), story.launches.popleft()
    story.start(door="")  # without a port, it comes up
    story.tell(ev.LaunchFailed(two.worker, 1, ev.LaunchFailure.REFUSED, refused))
    assert not story.said(do.Fail)


def test_a_launch_that_waits_for_its_turn_goes_without_a_port_too() -> None:
    story = Story(max_workers=2)
    story.submit(make_call(1), make_call(2))
    one, two = story.said(do.Launch)
    story.admit(one)
    refused = HubRequestError("no ports here")
    story.tell(ev.LaunchFailed(one.worker, 1, ev.LaunchFailure.REFUSED, refused))
    story.admit(two)
    (post,) = story.said(do.Post)
    assert (post.port, post.one_shot) == (None, True)


def test_a_log_that_is_opened_after_the_end_of_its_job_is_not_read_for_ever(story: Story) -> None:
    worker = busy(story, calls=1)
    story.list(story.job(worker, "ERROR"))
    readings = 0
    while worker in story.machine.workers:
        (stop,) = story.until(do.StopLog)
        readings += 1
        story.tell(ev.LogEnded(worker, stop.reading, said=True))
    assert readings == 1 + len(Rules().patience)


def test_what_is_killed_behind_a_shut_door_ends_when_nothing_else_is_left() -> None:
    story = Story(max_workers=2, slots_per_job=2)
    story.submit(make_call(1), make_call(2))
    worker = story.start()
    story.hello(worker, 2)
    (knock,) = story.said(do.Send)
    story.tell(ev.Unanswered(worker, knock.number, ev.DoorFailure.REJECTED, 403, "no"))
    story.tell(ev.KillAsked(1))
    assert not story.said(do.Fail)
    story.outcome(worker, 2)
    (fail,) = story.said(do.Fail)
    assert (fail.call.id, type(fail.error)) == (1, CallStoppedError)
    assert story.said(do.CancelJob)


def test_a_recall_that_brings_nothing_back_is_not_repeated_until_there_is_progress(
    story: Story,
) -> None:
    worker = busy(story, calls=2)
    story.answer(story.said(do.Send)[0])
    story.outcome(worker, 1, duration=1e-6)
    story.tell(ev.Submitted(tuple(make_call(n) for n in range(3, 60))))
    (send,) = story.said(do.Send)
    story.answer(send)
    recalls = []
    for _ in range(100):
        story.wait(0.05)
        while sends := story.said(do.Send):
            if recalled := ids(sends[0], wire.RECALL):
                recalls.append(recalled)
            story.answer(sends[0], ev.GivenBack(()))
    assert len(recalls) == Rules().in_vain
    assert recalls[1] == list(range(2, 60))  # the second one asks for all of them
    story.outcome(worker, 2, duration=1e-6)
    story.wait(0.5)
    assert ids(story.until(do.Send)[0], wire.RECALL)


def test_a_reply_to_a_message_without_a_recall_does_not_answer_one(story: Story) -> None:
    worker = busy(story, calls=2)
    knock = story.said(do.Send)[0]
    story.machine.workers[worker].recalling = True
    story.answer(knock, ev.GivenBack(()))
    assert story.machine.workers[worker].recalling


def test_a_suspect_in_the_middle_of_the_queue_goes_to_nobody_who_holds_others() -> None:
    story = Story(max_workers=2)
    story.submit(make_call(1), make_call(2))
    workers = [story.start(), story.start()]
    for worker in workers:
        story.hello(worker)
        story.answer(story.said(do.Send)[0])
    suspect = make_call(4, lost=1)
    story.tell(ev.Submitted((make_call(3), suspect, make_call(5))))
    holder = story.machine.workers.get(suspect.worker)
    assert holder is None or set(holder.held) == {4}


def test_jobs_whose_door_answers_too_late_make_way_for_one_shot_jobs() -> None:
    """They do what is aboard, leave, and what waited for their door bounces to the next one."""
    story = Story(max_workers=1)
    story.submit(*(make_call(n) for n in range(1, 20)))
    for _ in range(Rules().unused):
        worker = story.up()
        first = next(iter(story.machine.workers[worker].held))
        knock = story.said(do.Send)[0]
        story.tell(ev.Unanswered(worker, knock.number, ev.DoorFailure.REJECTED, 404, "not yet"))
        story.outcome(worker, first)
        story.tell(ev.Heard(worker, (ev.Bye(1, returned=False),)))
        die(story, worker)
    assert story.machine.one_shot
    assert all(call.lost == 0 for call in story.machine.pending.open.values())


def test_a_worker_that_says_nothing_is_asked_what_it_has_said(story: Story) -> None:
    story.submit(make_call(1))
    worker = story.up()
    for _ in range(3):
        for send in story.said(do.Send):
            story.answer(send)
    asked = []
    for _ in range(int(2 * Rules().probe / 0.1)):
        story.wait(0.1)
        for send in story.said(do.Send):
            asked += [entry for entry in send.entries if entry.kind == wire.AGAIN]
            story.answer(send)
    assert [wire.unpack_ids(entry.data) for entry in asked] == [(1,)]
    assert worker in story.machine.workers

"""Workers of several kinds: who gets which calls, and which jobs that takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_stories import Story, handed, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Buffer, CallOptions
from hfexecutor.errors import HubRequestError, JobLostError, PayloadTooLargeError


def of(call_id: int, *kinds: str, lost: int = 0):
    call = make_call(call_id, lost=lost)
    call.options = CallOptions(kinds=kinds)
    return call


def posted(story: Story) -> dict[str, do.Post]:
    """Let each launch that is wanted have its turn; return what is posted, by worker."""
    posts = {}
    while story.launches:
        launch = story.launches.popleft()
        (post,) = [c for c in story.admit(launch) if type(c) is do.Post]
        posts[launch.worker] = post
    return posts


def up(story: Story) -> dict[str, str]:
    """See each launch that is wanted through to a job that is up; return workers by kind."""
    workers = {}
    for worker, post in posted(story).items():
        story.tell(ev.Launched(worker, post.attempt, story.job(worker)))
        story.hello(worker)
        story.answer(story.said(do.Send)[0])  # the first knock
        workers[post.kind] = worker
    return workers


def test_each_call_goes_aboard_a_job_of_the_kind_that_it_asks_for() -> None:
    story = Story()
    story.submit(of(1, "cpu"), of(2, "gpu"), of(3, "cpu"), of(4, "gpu"))

    aboard = {(post.kind, *(call.id for call in post.calls)) for post in posted(story).values()}
    assert aboard == {("cpu", 1), ("cpu", 3), ("gpu", 2), ("gpu", 4)}


def test_the_hub_is_asked_once_about_each_choice_and_only_its_calls_wait_for_that() -> None:
    story = Story()
    assert story.tell(ev.Submitted((of(1, "cpu"),))) == [do.Connect(("cpu",))]
    assert story.tell(ev.Submitted((of(2, "gpu"),))) == [do.Connect(("gpu",))]
    story.tell(ev.Connected((ev.Offer("cpu", 1),)))
    assert [post.kind for post in posted(story).values()] == ["cpu"]

    said = story.tell(ev.ConnectFailed(("gpu",), HubRequestError("no gpu here")))
    assert [command.call.id for command in said if type(command) is do.Fail] == [2]
    assert set(story.machine.pending.open) == {1}


def test_calls_that_take_several_kinds_share_the_workers_of_those_that_take_one() -> None:
    story = Story(max_workers=1)
    story.submit(of(1, "cpu"))
    worker = up(story)["cpu"]
    story.outcome(worker, 1)

    story.submit(of(2, "gpu", "cpu"))
    assert [handed(send) for send in story.said(do.Send)] == [[2]]


def test_the_call_that_was_submitted_first_is_handed_out_first() -> None:
    story = Story(max_workers=1)
    story.submit(of(1, "cpu"))
    worker = up(story)["cpu"]
    story.submit(of(2, "gpu", "cpu"))  # one is held ahead
    story.answer(story.said(do.Send)[0])
    story.submit(of(3, "cpu"), of(4, "gpu", "cpu"), of(5, "cpu"))
    story.outcome(worker, 1, duration=10.0)
    assert [handed(send) for send in story.said(do.Send)] == [[3]]
    story.answer(story.said(do.Send)[0])
    story.outcome(worker, 2, duration=10.0)
    assert [handed(send) for send in story.said(do.Send)] == [[4]]


def test_a_refused_kind_fails_only_what_asks_for_it() -> None:
    story = Story()
    story.submit(of(1, "cpu"))
    up(story)
    story.submit(of(2, "gpu"))
    launch = story.launches.popleft()
    story.admit(launch)
    refused = ev.LaunchFailed(
        launch.worker, launch.attempt, ev.LaunchFailure.REFUSED, HubRequestError("not for you")
    )
    # The first refusal may be about the port.
    story.machine._state.ports.seen = True
    said = story.tell(refused)

    assert [command.call.id for command in said if type(command) is do.Fail] == [2]
    assert set(story.machine.pending.open) == {1}
    assert len(story.machine.workers) == 1


def test_what_each_kind_costs_is_reckoned_for_itself() -> None:
    story = Story(max_cost=0.025, max_retries=0)
    story.tell(ev.Submitted((of(1, "cpu"), of(2, "gpu"))))
    story.tell(ev.Connected((ev.Offer("cpu", 1, 0.6),)), ev.Connected((ev.Offer("gpu", 1, 1.2),)))

    # A cent a minute and two: together three, which is too much.
    assert [post.kind for post in posted(story).values()] == ["cpu"]


def with_gigabytes(call_id: int, count: int, *kinds: str):
    call = of(call_id, *kinds)
    call.buffers = (Buffer(bytes(32), count << 30),)
    return call


def test_what_no_machine_can_hold_is_refused_with_the_numbers_before_one_is_rented() -> None:
    story = Story()
    story.tell(ev.Submitted((with_gigabytes(1, 17, "cpu"), with_gigabytes(2, 15, "cpu"))))
    said = story.tell(ev.Connected((ev.Offer("cpu", 1, memory=16.0),)))
    said += story.tell(ev.Submitted((with_gigabytes(3, 17, "cpu"),)))
    fails = [command for command in said if type(command) is do.Fail]
    assert [fail.call.id for fail in fails] == [1, 3]
    assert isinstance(fails[0].error, PayloadTooLargeError)
    assert f"{(17 << 30) + 10:,} bytes" in str(fails[0].error)
    assert "flavor cpu has 16 GB" in str(fails[0].error)
    assert set(story.machine.pending.open) == {2}
    assert len(story.machine.workers) == 1


def test_what_one_of_several_kinds_may_hold_is_not_refused() -> None:
    story = Story()
    calls = (with_gigabytes(1, 17, "cpu", "gpu"), with_gigabytes(2, 17, "cpu", "unknown"))
    story.tell(ev.Submitted(calls))
    offers = (ev.Offer("cpu", 1, memory=16.0), ev.Offer("gpu", 1, memory=24.0))
    said = story.tell(ev.Connected(offers))
    said += story.tell(ev.Connected((offers[0], ev.Offer("unknown", 1))))
    assert not [command for command in said if type(command) is do.Fail]


# --- hardware that does not come ------------------------------------------------------------------


def scarce(story: Story, *kinds: str, memory: tuple[float, ...] = ()) -> None:
    """Have a call ask for several kinds, all of which the Hub offers."""
    call = of(1, *kinds)
    story.options = replace(story.options, kinds=kinds, on_memory_error=bool(memory))
    call.options = story.options
    story.tell(ev.Submitted((call,)))
    sizes = memory or (0.0,) * len(kinds)
    offers = (ev.Offer(kind, 1, memory=size) for kind, size in zip(kinds, sizes, strict=True))
    story.tell(ev.Connected(tuple(offers)))


def launched(story: Story, stage: str = "SCHEDULING") -> do.Post:
    """See the launch that is wanted through to a job in this stage."""
    ((worker, post),) = posted(story).items()
    story.tell(ev.Launched(worker, post.attempt, story.job(worker, stage)))
    return post


def wait_in_vain(story: Story, post: do.Post, seconds: float) -> list[do.CancelJob]:
    story.wait(seconds)
    story.list(story.job(post.worker, "SCHEDULING"))
    return story.said(do.CancelJob)


def test_the_next_kind_is_tried_once_the_cancel_is_confirmed_and_the_call_counts_as_untried() -> (
    None
):
    story = Story(scheduling_timeout=60.0)
    scarce(story, "a100", "l40s")
    post = launched(story)
    assert post.kind == "a100"
    assert wait_in_vain(story, post, 50.0) == []
    job = story.job(post.worker).id
    assert wait_in_vain(story, post, 11.0) == [do.CancelJob(job, look=True)]
    assert not story.launches  # never two

    story.tell(ev.CancelEnded(job, began=False))
    assert launched(story).kind == "l40s"
    (call,) = story.machine.pending.open.values()
    assert call.lost == 0
    assert story.machine.budget.past == 0.0


def test_a_call_that_may_have_begun_counts_as_lost() -> None:
    story = Story(scheduling_timeout=60.0)
    scarce(story, "a100", "l40s")
    post = launched(story)
    wait_in_vain(story, post, 61.0)
    story.tell(ev.CancelEnded(story.job(post.worker).id))

    assert [call.lost for call in story.machine.pending.open.values()] == [1]


@pytest.mark.parametrize("began", [False, True])
def test_what_is_to_begin_only_once_goes_to_the_next_kind_if_it_never_began(began: bool) -> None:
    story = Story(scheduling_timeout=60.0, max_retries=0, reuse_workers=False)
    scarce(story, "a100", "l40s")
    post = launched(story)
    assert [call.id for call in post.calls] == [1]
    job = story.job(post.worker).id
    assert wait_in_vain(story, post, 61.0) == [do.CancelJob(job, look=True)]
    assert not story.launches

    story.tell(ev.CancelEnded(job, began=began))
    if began:
        (fail,) = story.said(do.Fail)
        assert isinstance(fail.error, JobLostError)
        assert not story.launches
    else:
        post = launched(story)
        assert (post.kind, [call.id for call in post.calls]) == ("l40s", [1])


def test_a_job_waits_as_long_as_all_calls_allow_that_it_would_be_for() -> None:
    story = Story(scheduling_timeout=600.0)
    scarce(story, "a100", "l40s")
    post = launched(story)
    hasty = of(2, "a100", "l40s")
    hasty.options = replace(hasty.options, scheduling_timeout=30.0)
    story.tell(ev.Submitted((hasty,)))
    other = of(3, "a100")
    other.options = replace(other.options, scheduling_timeout=1.0)
    story.tell(ev.Submitted((other,)))
    assert wait_in_vain(story, post, 20.0) == []

    story.tell(ev.Cancelled(2))
    assert wait_in_vain(story, post, 30.0) == []  # who would not wait is gone
    assert wait_in_vain(story, post, 600.0) == [do.CancelJob(story.job(post.worker).id, look=True)]


def test_one_impatient_call_is_enough_for_another_kind() -> None:
    story = Story(scheduling_timeout=600.0)
    scarce(story, "a100", "l40s")
    post = launched(story)
    hasty = of(2, "a100", "l40s")
    hasty.options = replace(hasty.options, scheduling_timeout=30.0)
    story.tell(ev.Submitted((hasty,)))
    assert wait_in_vain(story, post, 31.0) == [do.CancelJob(story.job(post.worker).id, look=True)]


def test_the_last_kind_is_waited_for_and_that_is_told_with_the_words_of_the_hub() -> None:
    story = Story(scheduling_timeout=60.0)
    scarce(story, "a100", "l40s")
    post = launched(story)
    wait_in_vain(story, post, 61.0)
    story.tell(ev.CancelEnded(story.job(post.worker).id, began=False))
    post = launched(story)
    story.wait(600.0)
    story.list(story.job(post.worker, "SCHEDULING")._replace(message="no l40s is free"))

    assert not story.said(do.CancelJob)
    (report,) = story.said(do.Report)
    assert "1 job waits for l40s hardware, 600 s so far: no l40s is free" in report.text


def test_a_kind_that_did_not_come_is_passed_over_for_a_while() -> None:
    story = Story(scheduling_timeout=60.0, max_workers=1)
    scarce(story, "a100", "l40s")
    post = launched(story)
    wait_in_vain(story, post, 61.0)
    story.tell(ev.CancelEnded(story.job(post.worker).id, began=False))
    kinds = story.machine._state.kinds

    assert kinds.wanted(("a100", "l40s"), story.now).name == "l40s"
    assert kinds.wanted(("a100",), story.now).name == "a100"
    assert kinds.wanted(("a100", "l40s"), story.now + 1800.0).name == "a100"


# --- memory ---------------------------------------------------------------------------------------


def killed(story: Story, call: int) -> list[do.Command]:
    worker = story.machine.pending.open[call].worker
    return story.tell(ev.Heard(worker, (ev.Done(call, outcome(status=b"D"), True),)))


def test_a_call_that_was_killed_for_memory_runs_once_more_on_the_next_larger_kind() -> None:
    story = Story(max_workers=1)
    scarce(story, "small", "huge", "large", memory=(16.0, 256.0, 32.0))
    up(story)
    killed(story, 1)
    (again,) = story.machine.pending.open
    assert not story.said(do.Complete)

    # Its only place is the small one's, which is idle, and makes way.
    (small,) = story.machine.workers.values()
    story.tell(ev.Heard(small.id, (ev.Bye(1, returned=False),)))
    story.list(story.job(small.id, "COMPLETED"))
    up(story)
    assert [worker.kind for worker in story.machine.workers.values()] == ["large"]
    (complete,) = [c for c in killed(story, again) if type(c) is do.Complete]
    assert complete.completions[0].call.number == 1


def test_where_no_kind_is_larger_it_has_failed() -> None:
    for memory in ((32.0, 16.0), (16.0, 16.0), (0.0, 16.0)):
        story = Story()
        scarce(story, "one", "other", memory=memory)
        up(story)
        assert [type(command) for command in killed(story, 1)][:1] == [do.Complete]


def ended_whole(story: Story, message: str) -> None:
    """End the job that is there, of which nothing more is heard."""
    ((worker, _),) = story.machine.workers.items()
    for reading in range(1, 20):
        story.list(story.job(worker, "ERROR")._replace(message=message))
        story.tell(ev.LogEnded(worker, reading, said=True))
        if worker not in story.machine.workers:
            return
        story.wait(2.0)
    raise AssertionError("the job is not over")


@pytest.mark.parametrize("retries", [0, 2])
def test_a_job_that_ended_whole_for_memory_counts_for_what_ran_in_it(retries: int) -> None:
    story = Story(max_workers=1, max_retries=retries)
    scarce(story, "small", "large", memory=(16.0, 32.0))
    up(story)
    ended_whole(story, "Job failed with exit code: 137. Reason: OOMKilled")
    (again,) = story.machine.pending.open.values()
    assert (again.number, again.lost, again.kinds) == (1, 0, ("large",))
    up(story)
    assert [worker.kind for worker in story.machine.workers.values()] == ["large"]

    ended_whole(story, "Job failed with exit code: 137. Reason: OOMKilled")  # that was once
    lost = [call.lost for call in story.machine.pending.open.values()]
    assert lost == ([1] if retries else [])


def test_what_had_not_begun_in_a_job_that_ended_for_memory_stays_on_its_kind() -> None:
    story = Story(max_workers=1)
    scarce(story, "small", "large", memory=(16.0, 32.0))
    other = of(2, "small", "large")
    other.options = story.options
    up(story)
    story.tell(ev.Submitted((other,)))
    ended_whole(story, "Job failed with exit code: 137. Reason: OOMKilled")
    kinds = {call.number: call.kinds for call in story.machine.pending.open.values()}
    assert kinds == {1: ("large",), 2: ("small", "large")}


def test_a_job_that_ended_for_another_reason_runs_its_calls_on_the_same_kind() -> None:
    story = Story(max_workers=1)
    scarce(story, "small", "large", memory=(16.0, 32.0))
    up(story)
    ended_whole(story, "Job failed with exit code: 1. Reason: Error")
    (again,) = story.machine.pending.open.values()
    assert (again.lost, again.kinds) == (1, ("small", "large"))

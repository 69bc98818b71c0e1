"""Workers of several kinds: who gets which calls, and which jobs that takes."""

from __future__ import annotations

from core_stories import Story, handed, make_call

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import CallOptions
from hfexecutor.errors import HubRequestError


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

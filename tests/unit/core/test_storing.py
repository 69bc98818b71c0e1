"""Large values where there is no door, told to the core: stored first, collected later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_stories import Story, handed, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Buffer, Call
from hfexecutor.core.rules import Rules
from hfexecutor.errors import (
    DetachedError,
    HubRequestError,
    HubUnavailableError,
    JobLostError,
    PayloadTooLargeError,
)
from hfexecutor.remote import entries as wire
from hfexecutor.remote.outcomes import IN_BUCKET

ROOM = 1000
NAME = b"a" * 32
UNCLEAR = HubUnavailableError("answered 500")


def story(**limits) -> Story:
    known = {"max_workers": 1, "reuse_workers": False, "room": ROOM, "bucket": True}
    return Story(**known | limits)


def large(call_id: int, *names: bytes, size: int = 5000) -> Call:
    call = make_call(call_id)
    call.buffers = tuple(Buffer(name, size) for name in names)
    return call


def stored(told: Story) -> list[bytes]:
    return [command.buffer.name for command in told.said(do.Store)]


def start(told: Story) -> tuple[str, list[int]]:
    """Start the next job; return its worker and the calls aboard."""
    launch = told.launches.popleft()
    (post,) = [said for said in told.admit(launch) if isinstance(said, do.Post)]
    told.tell(ev.Launched(launch.worker, launch.attempt, told.job(launch.worker)))
    told.hello(launch.worker, door=False)
    return launch.worker, [call.id for call in post.calls]


def completed(told: Story) -> list[int]:
    return [one.call.id for said in told.said(do.Complete) for one in said.completions]


def test_nothing_is_launched_before_the_arguments_are_stored():
    told = story()
    told.submit(large(1, b"a", b"b"))
    assert stored(told) == [b"a", b"b"]
    told.tell(ev.Stored(b"a"), after=60)
    assert not told.launches
    told.tell(ev.Stored(b"b"))
    assert start(told)[1] == [1]


def test_what_is_stored_serves_all_calls_to_come():
    told = story(max_workers=2)
    told.submit(large(1, b"a"), large(2, b"a"))
    assert stored(told) == [b"a"]
    told.tell(ev.Stored(b"a"))
    assert start(told)[1] + start(told)[1] == [1, 2]
    told.submit(large(3, b"a"))
    assert stored(told) == []


def test_small_calls_pass_those_whose_arguments_are_on_their_way():
    told = story()
    told.submit(large(1, b"a"), make_call(2))
    worker, aboard = start(told)
    assert aboard == [2]
    told.tell(ev.Stored(b"a"))
    told.tell(ev.Heard(worker, (ev.Done(2, outcome()),)))
    assert completed(told) == [2]


def test_only_calls_whose_turn_is_near_have_their_arguments_stored():
    told = story()
    told.submit(*(large(n, b"%d" % n) for n in range(1, 6)))
    assert stored(told) == [b"1", b"2"]
    assert not told.launches
    told.tell(ev.Stored(b"1"))
    assert start(told)[1] == [1]


@pytest.mark.parametrize("bucket", [True, False])
def test_what_cannot_be_stored_fails_early_and_launches_nothing(bucket):
    told = story(bucket=bucket)
    told.submit(large(1, b"a"), large(2, b"a", b"b"))
    if bucket:
        told.tell(ev.StoreFailed(b"a", HubRequestError("no quota is left")))
    fails = told.said(do.Fail)
    assert [fail.call.id for fail in fails] == [1, 2]
    words = "no quota is left" if bucket else "bucket=False"
    for fail, size in zip(fails, ("5,010", "10,010"), strict=True):
        assert isinstance(fail.error, PayloadTooLargeError)
        for word in (size, "1,000", words, "reuse_workers=True"):
            assert word in str(fail.error)
    assert not told.launches
    told.tell(ev.Stored(b"b"))  # late news of what nobody waits for
    told.submit(make_call(3))
    assert start(told)[1] == [3]


def test_what_is_no_memory_in_large_pieces_is_refused_at_once():
    told = story()
    call = large(1, b"a")
    call.data = bytes(2 * ROOM)
    told.submit(call, make_call(2, size=2 * ROOM))
    told.tell(ev.Stored(b"a"))
    assert not told.machine.pending.open
    assert not told.launches


def test_one_that_is_cancelled_meanwhile_is_not_waited_for():
    told = story()
    told.submit(large(1, b"a"))
    told.tell(ev.Cancelled(1))
    told.tell(ev.Stored(b"a"), ev.Closed())
    assert told.machine.finished


def test_ports_that_are_given_up_later_are_no_hindrance():
    told = story(reuse_workers=True, bucket=None)
    told.submit(large(1, b"a"))
    launch = told.launches.popleft()
    told.admit(launch)
    refused = ev.LaunchFailure.REFUSED
    told.tell(ev.LaunchFailed(launch.worker, 1, refused, HubRequestError("no ports")))
    assert stored(told) == [b"a"]
    told.tell(ev.Stored(b"a"))
    assert start(told)[1] == [1]


def test_a_launch_that_keeps_its_port_is_not_given_what_is_stored():
    """Its job would have no folder with it, and its process would wait for it for ever."""
    told = story(reuse_workers=True, max_workers=2)
    told.slots = 1
    once, again = large(1, b"a"), large(2, b"b")
    told.options = replace(told.options, max_retries=0)
    told.submit(once)
    first = told.launches.popleft()
    told.admit(first)
    told.tell(ev.LaunchFailed(first.worker, 1, ev.LaunchFailure.UNCLEAR, UNCLEAR))
    assert told.machine._state.ports.shut()  # another job's door
    told.tell(ev.Cancelled(1))
    told.options = replace(told.options, max_retries=2)
    told.submit(again)
    told.tell(ev.Stored(b"b"))
    posts = []
    for _ in range(50):
        for look in told.said(do.LookFor):
            told.tell(ev.Looked(look.worker, ()))
        while told.launches:
            posts += [s for s in told.admit(told.launches.popleft()) if isinstance(s, do.Post)]
        told.wait(0.5)
    assert [[call.id for call in post.calls] for post in posts if not post.one_shot] == []
    assert any(post.one_shot and post.calls for post in posts)


def test_who_detaches_waits_for_what_is_on_its_way_to_be_handed_over():
    told = story()
    told.submit(large(1, b"a"))
    told.tell(ev.Detached(DetachedError("later")), after=1)
    assert not told.machine.finished
    told.tell(ev.Stored(b"a"))
    start(told)
    assert told.machine.finished


# --- results --------------------------------------------------------------------------------------


def in_bucket(told: Story) -> tuple[str, do.Collect]:
    """Have a call whose value its job has put into the bucket."""
    told.submit(make_call(1))
    worker, _ = start(told)
    told.tell(ev.Heard(worker, (ev.Done(1, outcome(status=IN_BUCKET)),)))
    (collect,) = told.said(do.Collect)
    return worker, collect


def test_a_future_waits_until_its_value_is_here():
    told = story()
    worker, collect = in_bucket(told)
    assert completed(told) == []
    told.tell(ev.Heard(worker, (ev.Done(1, outcome(status=IN_BUCKET)),)))  # the log, once more
    assert not told.said(do.Collect)
    told.tell(ev.Closed(), after=30)
    assert not told.machine.finished
    value = outcome()
    told.tell(ev.Collected(1, value))
    (completion,) = told.said(do.Complete)[0].completions
    assert (completion.outcome, completion.worker) == (value, worker)
    assert completion.where == collect.where


def test_a_value_that_is_not_to_be_had_is_an_error():
    told = story()
    in_bucket(told)
    told.tell(ev.CollectFailed(1, JobLostError("gone")))
    (fail,) = told.said(do.Fail)
    assert str(fail.error) == "gone"


def test_one_that_is_killed_meanwhile_is_over():
    told = story()
    in_bucket(told)
    told.tell(ev.KillAsked(1))
    assert told.said(do.Fail)
    told.tell(ev.Collected(1, outcome()))
    assert completed(told) == []


def results(told: Story) -> bool:
    """Start the next job; say whether it has a place for large results."""
    (post,) = [s for s in told.admit(told.launches.popleft()) if isinstance(s, do.Post)]
    return post.results


@pytest.mark.parametrize("bucket", [True, False, None])
def test_jobs_with_a_door_mount_the_bucket_where_that_is_asked_for(bucket):
    told = story(bucket=bucket, reuse_workers=True)
    told.submit(make_call(1))
    (post,) = [s for s in told.admit(told.launches.popleft()) if isinstance(s, do.Post)]
    assert not post.one_shot
    assert (post.arguments, post.results) == (bucket is True, bucket is True)


@pytest.mark.parametrize("bucket", [True, False])
def test_whether_jobs_have_a_place_for_large_results_can_be_said(bucket):
    told = story(bucket=bucket)
    told.submit(make_call(1))
    assert results(told) is bucket


def test_else_the_first_large_value_gives_one_to_the_jobs_after_it():
    told = story(bucket=None, max_workers=2)
    told.submit(make_call(1), make_call(2))
    launch = told.launches[0]
    assert not results(told)
    told.tell(ev.Launched(launch.worker, launch.attempt, told.job(launch.worker)))
    told.hello(launch.worker, door=False)
    told.tell(ev.Heard(launch.worker, (ev.Done(1, outcome(size=5 << 20)),)))
    assert results(told)


def test_a_job_that_was_given_large_arguments_has_one():
    told = story(bucket=None)
    told.submit(large(1, b"a"))
    told.tell(ev.Stored(b"a"))
    assert results(told)


# --- results that stay ----------------------------------------------------------------------------


def test_a_result_that_is_to_stay_is_not_collected_and_is_the_end_of_its_call():
    told = story(keep_remote=True, retry=True)
    told.submit(make_call(1))
    worker, _ = start(told)
    there = outcome(status=IN_BUCKET)
    told.tell(ev.Heard(worker, (ev.Done(1, there),)))
    assert not told.said(do.Collect)
    assert not told.said(do.WeighRetry)  # it has raised nothing
    (completion,) = told.said(do.Complete)[0].completions
    assert completion.outcome is there
    told.tell(ev.Heard(worker, (ev.Done(1, there),)))  # the log, once more
    assert completed(told) == []


def test_its_file_goes_when_nobody_refers_to_it():
    told = story(keep_remote=True)
    told.tell(ev.Unneeded("a" * 32))
    assert told.said(do.Remove) == [do.Remove("a" * 32)]


def test_of_a_run_that_is_left_to_itself_none_goes():
    told = story()
    told.submit(make_call(1))
    start(told)
    told.tell(ev.Detached(DetachedError("later")), ev.Unneeded("a" * 32))
    assert not told.said(do.Remove)


# --- what jobs with a door share ------------------------------------------------------------------

SHARED = 1 << 20
RULES = Rules(shared_bytes=SHARED, shared_jobs=(3, 2))


def sharing(**limits) -> Story:
    told = Story(rules=RULES, **{"max_workers": 4, "room": ROOM, "bucket": None} | limits)
    told.slots = 1  # of a kind
    return told


def shared(*call_ids: int, name: bytes = NAME) -> list[Call]:
    return [large(call_id, name, size=SHARED) for call_id in call_ids]


def post(told: Story) -> do.Post:
    """Send the next launch; return what goes out."""
    (said,) = [s for s in told.admit(told.launches.popleft()) if isinstance(s, do.Post)]
    return said


def up(told: Story, said: do.Post) -> list[int]:
    """Have a job come up whose door answers; return its orders to read."""
    told.tell(ev.Launched(said.worker, said.attempt, told.job(said.worker)))
    told.hello(said.worker)
    return orders(told)


def orders(told: Story) -> list[int]:
    """Answer all messages; return the numbers of the orders to read in them, and leave the rest."""
    found, others = [], []
    while sends := told.said(do.Send):
        found += [e.call for send in sends for e in send.entries if e.kind == wire.LOAD]
        others += [command for command in told.commands if type(command) is not do.Send]
        said = [told.answer(send) for send in sends]
        told.commands = [command for commands in said for command in commands]
    told.commands += others
    return found


def test_what_many_jobs_need_is_stored_before_they_are_launched():
    told = sharing()
    told.submit(*shared(1, 2, 3, 4, 5))
    assert stored(told) == [NAME]
    assert not told.launches
    told.tell(ev.Stored(NAME), after=60)
    assert len(told.launches) == 4
    said = post(told)
    assert (said.arguments, said.results, said.one_shot, said.calls) == (True, False, False, ())
    assert len(up(told, said)) == 1
    assert not told.said(do.SendRange)


def test_a_call_goes_once_its_file_was_read():
    told = sharing()
    told.submit(*shared(1, 2, 3, 4))
    told.tell(ev.Stored(NAME))
    said = post(told)
    (order,) = up(told, said)
    told.tell(ev.Heard(said.worker, (ev.Loaded(order, ""),)))
    assert handed(told.said(do.Send)[0])[0] == 1


def test_one_that_cannot_read_it_is_sent_it():
    told = sharing()
    told.submit(*shared(1, 2, 3, 4))
    told.tell(ev.Stored(NAME))
    said = post(told)
    (order,) = up(told, said)
    told.tell(ev.Heard(said.worker, (ev.Loaded(order, "it is not there"),)))
    assert told.said(do.SendRange)
    assert not told.said(do.Fail)
    assert any("not there" in report.text for report in told.said(do.Report))


@pytest.mark.parametrize(
    ("limits", "calls"),
    [
        ({"bucket": False}, shared(1, 2, 3, 4)),  # not wanted
        ({"max_workers": 2}, shared(1, 2, 3, 4)),  # few jobs
        ({}, [large(n, b"%d" % n, size=SHARED) for n in range(1, 5)]),  # each its own
        ({}, [large(n, NAME, size=SHARED - 1) for n in range(1, 5)]),  # small
        ({}, [*shared(1, 2), make_call(3), make_call(4)]),  # few calls
    ],
)
def test_else_it_is_not_stored(limits, calls):
    told = sharing(**limits)
    told.submit(*calls)
    assert stored(told) == []
    assert told.launches


def test_who_says_so_has_it_stored_for_two():
    told = sharing(bucket=True)
    told.submit(*shared(1, 2))
    assert stored(told) == [NAME]


def test_small_calls_behind_get_jobs_meanwhile():
    told = sharing()
    told.submit(*shared(1, 2, 3), make_call(4))
    assert stored(told) == [NAME]
    assert len(told.launches) == 1
    assert [call.id for call in post(told).calls] == [4]


def test_what_cannot_be_stored_goes_through_doors_and_is_not_tried_again():
    told = sharing()
    told.submit(*shared(1, 2, 3, 4))
    told.tell(ev.StoreFailed(NAME, HubRequestError("no quota is left")))
    assert not told.said(do.Fail)
    assert len([r for r in told.said(do.Report) if "no quota is left" in r.text]) == 1
    assert [post(told).arguments for _ in range(4)] == [False] * 4
    told.submit(*shared(5, 6, 7, 8, name=b"b" * 32))
    assert stored(told) == []


def test_a_launch_that_is_refused_for_its_mount_is_followed_by_one_without():
    told = sharing()
    told.submit(*shared(1, 2, 3, 4))
    told.tell(ev.Stored(NAME))
    launch = told.launches.popleft()
    assert [s.arguments for s in told.admit(launch) if isinstance(s, do.Post)] == [True]
    refused = ev.LaunchFailure.REFUSED
    told.tell(ev.LaunchFailed(launch.worker, 1, refused, HubRequestError("no volumes")))
    assert not told.said(do.Fail)
    assert not told.machine.one_shot
    assert len(told.launches) == 4
    assert not post(told).arguments


def test_of_a_launch_that_is_repeated_only_what_both_mount_is_read():
    told = sharing()
    told.submit(*shared(1))
    launch = told.launches.popleft()
    assert not next(s for s in told.admit(launch) if isinstance(s, do.Post)).arguments
    told.submit(*shared(2, 3, 4))
    told.tell(ev.LaunchFailed(launch.worker, 1, ev.LaunchFailure.UNDELIVERED, UNCLEAR))
    told.tell(ev.Stored(NAME), after=1)
    again = next(launch for launch in told.launches if launch.attempt == 2)
    assert not next(s for s in told.admit(again) if isinstance(s, do.Post)).arguments


def test_jobs_that_are_there_and_can_read_it_count_as_well():
    told = sharing()
    told.submit(*shared(1, 2, 3, 4))
    told.tell(ev.Stored(NAME))
    posts = [post(told) for _ in range(4)]
    for said in posts:
        for order in up(told, said):
            told.tell(ev.Heard(said.worker, (ev.Loaded(order, ""),)))
            assert orders(told) == []
    for said in posts:
        told.outcome(said.worker, *told.machine.workers[said.worker].held)
    assert not told.machine.pending.open
    other = b"b" * 32
    told.submit(*shared(5, 6, 7, 8, name=other))
    assert stored(told) == [other]
    told.tell(ev.Stored(other), after=0.0015)
    assert len(orders(told)) == 4


def test_who_detaches_has_nothing_stored_first():
    told = sharing()
    told.submit(make_call(9))
    told.tell(ev.Submitted(tuple(shared(1, 2, 3, 4))), ev.Detached(DetachedError("later")))
    assert stored(told) == []

"""The run of another process, told to the core: nothing is launched, and nothing runs again."""

from __future__ import annotations

from core_stories import Story, ids, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.errors import DetachedError, HubUnavailableError, JobLostError
from hfexecutor.remote import entries as wire
from hfexecutor.remote.outcomes import IN_BUCKET
from hfexecutor.runtime.adopted import RULES

FIRST = 1000
DOOR = "https://job--1234.hf.jobs"


def story() -> Story:
    told = Story(RULES, machine={"adopt": make_call, "first": FIRST})
    told.tell()
    assert told.said(do.List) == [do.List()]
    return told


def seen(worker: str, stage: str = "RUNNING", *, door: str = DOOR, aboard=(), foreign=""):
    return ev.JobSeen(
        f"job-{worker}", stage, "https://page", worker, door=door, aboard=aboard, foreign=foreign
    )


def completed(told: Story) -> list[int]:
    return [one.call.id for said in told.said(do.Complete) for one in said.completions]


def failed(told: Story) -> dict[int, type]:
    return {said.call.id: type(said.error) for said in told.said(do.Fail)}


def launched(told: Story) -> list:
    return [said for said in told.commands if isinstance(said, (do.Connect, do.Launch, do.Post))]


def asked(told: Story) -> do.Send:
    """Return the message that asks a job for everything."""
    (send,) = [s for s in told.said(do.Send) if any(e.kind == wire.AGAIN for e in s.entries)]
    return send


def read_in_vain(told: Story, worker: str) -> None:
    """Have a log end as often as it is read, with nothing more in it."""
    for _ in range(20):
        reads = told.said(do.ReadLog)
        if reads:
            told.tell(ev.LogEnded(worker, reads[-1].reading, said=True))
        if worker not in told.machine.workers:
            return
        told.wait(0.5)
    raise AssertionError("the log is read for ever")


def test_the_jobs_of_a_list_are_adopted_and_their_logs_read():
    told = story()
    told.list(seen("a"), seen("b", "COMPLETED"), seen("c", foreign="somebody else has started it"))

    assert {read.worker for read in told.said(do.ReadLog)} == {"a", "b"}
    assert launched(told) == []


def test_calls_are_known_by_the_labels_and_by_what_jobs_say():
    told = story()
    told.list(seen("a", aboard=(1, 2)))
    told.tell(ev.Heard("a", (ev.Hello(2, True), ev.Done(1, outcome()), ev.Done(7, outcome()))))

    assert completed(told) == [1, 7]
    assert set(told.machine.pending.open) == {2}


def test_of_calls_with_one_key_it_is_that_of_the_last_in_whatever_order_they_are_heard():
    told = story()
    told.list(seen("a"))
    one, other = b"1" * 32, b"2" * 32
    told.tell(ev.Heard("a", (ev.Hello(2, True), ev.Keyed(9, one, "one"), ev.Held((9,)))))
    told.tell(ev.Heard("a", (ev.Keyed(3 + (2 << 40), one, "one"), ev.Keyed(4, other, "other"))))

    assert told.machine.adopting.numbers == {one: 9, other: 4}
    assert told.machine.adopting.keys == {9: "one", 3: "one", 4: "other"}


def test_a_job_that_lives_is_asked_for_everything_by_a_number_that_nobody_has_used():
    told = story()
    told.list(seen("a"))
    told.hello("a")
    send = asked(told)

    assert send.port == 1234
    assert send.number > FIRST
    assert ids(send, wire.AGAIN) == []
    assert not told.machine.adopting.is_complete

    told.answer(send, ev.Held((4, 5)), ev.Done(3, outcome()))
    assert completed(told) == [3]
    assert set(told.machine.pending.open) == {4, 5}
    assert told.machine.adopting.is_complete


def test_a_call_that_was_given_back_is_waited_for_where_it_went():
    told = story()
    told.list(seen("a"), seen("b"))
    told.tell(ev.Heard("a", (ev.Hello(1, True), ev.Held((1,)))))
    sends = told.said(do.Send)
    told.hello("b")
    sends += told.said(do.Send)
    for send in sends:
        told.answer(send, ev.Held((1,) if send.worker == "b" else ()))
    told.list(seen("a", "COMPLETED"), seen("b"))
    told.tell(ev.LogEnded("a", 1, said=True))
    read_in_vain(told, "a")

    assert failed(told) == {}
    told.outcome("b", 1)
    assert completed(told) == [1]


def test_what_is_heard_after_that_is_acknowledged_at_once_so_that_the_job_may_leave():
    told = story()
    told.list(seen("a"))
    told.hello("a")
    told.answer(asked(told), ev.Held((4,)))
    told.outcome("a", 4)

    (send,) = told.said(do.Send)
    assert ids(send, wire.ACK) == [4]


def test_a_job_whose_first_words_are_out_of_sight_is_asked_all_the_same():
    told = story()
    told.list(seen("a"))
    told.tell(ev.Heard("a", (ev.Done(900, outcome()),)))

    asked(told)


def test_large_outcomes_are_fetched_where_a_job_keeps_them():
    told = story()
    told.list(seen("a"))
    told.hello("a")
    told.answer(asked(told), ev.Held(()), ev.Large(6, 10))

    (fetch,) = told.said(do.Fetch)
    told.tell(ev.Fetched("a", fetch.number, 6, (ev.Done(6, outcome()),)))
    assert completed(told) == [6]


def test_a_call_whose_job_is_over_without_its_outcome_is_lost():
    told = story()
    told.list(seen("a", "ERROR", aboard=(1,)))
    told.tell(ev.Heard("a", (ev.Hello(1, True),)))
    told.tell(ev.LogEnded("a", 1, said=True, tail=("Killed",)))
    lost: dict[int, type] = {}
    for _ in range(100):
        for read in told.said(do.ReadLog):
            told.tell(ev.LogEnded("a", read.reading, said=True, tail=("Killed",)))
            lost |= failed(told)
        told.wait(0.1)
        lost |= failed(told)

    assert lost == {1: JobLostError}
    assert not told.machine.pending.open


def lose_one(told: Story) -> dict[int, type]:
    """Have job "a" be over, which had call 1; return the calls that are failed for it."""
    told.tell(ev.Heard("a", (ev.Hello(1, True),)))
    told.tell(ev.LogEnded("a", 1, said=True))
    found: dict[int, type] = {}
    for _ in range(100):
        for read in told.said(do.ReadLog):
            if read.worker == "a":
                told.tell(ev.LogEnded("a", read.reading, said=True))
                found |= failed(told)
        told.wait(0.1)
        found |= failed(told)
    assert "a" not in told.machine.workers
    return found


def test_a_call_is_not_lost_as_long_as_another_job_may_have_it():
    told = story()
    told.list(seen("a", "ERROR", aboard=(1,)), seen("b"))
    told.hello("b")
    send = asked(told)

    assert lose_one(told) == {}
    told.answer(send, ev.Held((1,)))
    assert failed(told) == {}
    told.outcome("b", 1)
    assert completed(told) == [1]


def test_a_call_is_lost_once_all_others_have_said_that_they_do_not_have_it():
    told = story()
    told.list(seen("a", "ERROR", aboard=(1,)), seen("b"))
    told.hello("b")
    send = asked(told)

    assert lose_one(told) == {}
    told.answer(send, ev.Held(()))
    assert failed(told) == {1: JobLostError}


def test_a_call_that_ran_in_two_jobs_ends_with_the_outcome_of_either():
    told = story()
    told.list(seen("a", aboard=(1,)), seen("b"))
    told.hello("a")
    told.tell(ev.Heard("b", (ev.Hello(1, True), ev.Done(1, outcome()))))

    assert completed(told) == [1]


def test_a_hub_that_cannot_be_reached_for_an_hour_changes_nothing():
    told = story()
    told.list(seen("a", aboard=(1,)))
    for _ in range(60):
        told.tell(ev.ListFailed(HubUnavailableError("no network")), after=60)
        assert failed(told) == {}
        assert told.said(do.CancelJob) == []
    told.tell(ev.Heard("a", (ev.Hello(1, True), ev.Done(1, outcome()))))

    assert completed(told) == [1]


def test_a_job_that_appears_later_is_adopted_too_and_none_is_cancelled():
    told = story()
    told.list(seen("a", aboard=(1,)))
    told.list(seen("a", aboard=(1,)), seen("b", aboard=(2,)))

    assert [read.worker for read in told.said(do.ReadLog)] == ["b"]
    assert told.said(do.CancelJob) == []
    assert set(told.machine.pending.open) == {1, 2}


def test_a_door_that_the_hub_tells_later_is_knocked_at():
    told = story()
    told.list(seen("a", "SCHEDULING", door="", aboard=(1,)))
    told.list(seen("a"))
    told.hello("a")

    assert asked(told).door == DOOR


def test_who_stops_watching_leaves_the_jobs_alone():
    told = story()
    told.list(seen("a", aboard=(1,)))
    told.hello("a")
    told.tell(ev.Detached(DetachedError("bye"), now=True))

    assert failed(told) == {1: DetachedError}
    assert told.said(do.Finish) == [do.Finish()]
    assert told.said(do.CancelJob) == told.said(do.Send) == []


def test_what_shows_after_a_run_was_cancelled_is_stopped_at_once_too():
    told = story()
    told.list(seen("a", aboard=(1,)))
    told.tell(ev.Aborted("run x was cancelled"))
    said = told.list(seen("a", aboard=(1,)), seen("b", aboard=(2,)))
    assert [one.call.id for one in told.said(do.CancelFuture)] == [2]
    assert do.CancelJob("job-b", look=False) in said
    assert not told.machine.pending.open


def test_a_run_that_is_cancelled_leaves_no_job():
    told = story()
    told.list(seen("a", aboard=(1,)), seen("b", "COMPLETED"))
    told.hello("a")
    told.tell(ev.Aborted("run x was cancelled"))
    assert told.said(do.CancelJob) == [do.CancelJob("job-a")]
    told.tell(ev.CancelEnded("job-a"))
    told.until(do.Finish)


def test_of_several_attempts_the_last_one_counts_whichever_is_heard_first():
    """A call had raised and was run again elsewhere by the process that is gone."""
    second = 7 + (1 << 40)
    for heard in (("a", "b"), ("b", "a")):
        told = story()
        told.list(seen("a"), seen("b"))
        found: list[int] = []
        for worker in heard:
            done = ev.Done(7, outcome(status=b"E")) if worker == "a" else ev.Done(second, outcome())
            told.tell(ev.Heard(worker, (ev.Hello(1, True), done)))
            found += completed(told)
            told.answer(asked(told), ev.Held(()))
            found += completed(told)
        assert found == [second]
        assert not told.machine.pending.open


def test_what_a_call_has_raised_is_believed_once_all_jobs_have_told_what_they_know():
    told = story()
    told.list(seen("a"), seen("b"))
    told.tell(ev.Heard("a", (ev.Hello(1, True), ev.Done(7, outcome(status=b"E")))))
    assert completed(told) == []
    told.answer(asked(told), ev.Held(()))
    assert completed(told) == []
    told.hello("b")
    told.answer(asked(told), ev.Held(()))
    assert completed(told) == [7]


def test_a_value_counts_whichever_attempt_has_it_and_whatever_the_others_come_to():
    """There was a backup of the call, which the process that is gone has stopped; or not yet."""
    for of_backup in (ev.Done(7 + (1 << 40), outcome(status=b"D")), ev.Held((7 + (1 << 40),))):
        for heard in (("a", "b"), ("b", "a")):
            told = story()
            told.list(seen("a"), seen("b"))
            found: list[int] = []
            for worker in heard:
                news = ev.Done(7, outcome()) if worker == "a" else of_backup
                told.tell(ev.Heard(worker, (ev.Hello(1, True), news)))
                found += completed(told)
                told.answer(asked(told), ev.Held(()))
                found += completed(told)
            assert found == [7]
            assert not told.machine.pending.open


def test_a_value_that_is_in_the_bucket_counts_before_it_is_here():
    """A call had raised and was run again in another job, by the process that is gone."""
    second = 7 + (1 << 40)
    for heard in (("a", "b"), ("b", "a")):
        told = story()
        told.list(seen("a"), seen("b"))
        found: list[int] = []
        for worker in heard:
            of_second = ev.Done(second, outcome(status=IN_BUCKET))
            done = ev.Done(7, outcome(status=b"E")) if worker == "a" else of_second
            told.tell(ev.Heard(worker, (ev.Hello(1, True), done)))
            found += completed(told)
            told.answer(asked(told), ev.Held(()))
            found += completed(told)
        told.tell(ev.Collected(second, outcome()))
        assert found + completed(told) == [second]
        told.wait(1)
        assert completed(told) == []
        assert not told.machine.pending.open


def test_one_that_was_stopped_is_not_what_a_call_has_come_to_if_another_has_raised():
    told = story()
    told.list(seen("a"))
    backup = ev.Done(7 + (1 << 40), outcome(status=b"D"))
    told.tell(ev.Heard("a", (ev.Hello(1, True), ev.Done(7, outcome(status=b"E")), backup)))
    told.answer(asked(told), ev.Held(()))
    (said,) = told.said(do.Complete)
    assert [one.outcome.status for one in said.completions] == [b"E"]

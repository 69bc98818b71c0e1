"""Backups of calls that take far longer than others, told to the core."""

from __future__ import annotations

from core_stories import Story, handed, ids, make_call, outcome

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import CallOptions, number_of
from hfexecutor.core.speculation import Paces
from hfexecutor.errors import CostLimitError, JobLostError
from hfexecutor.remote import entries as wire

BACKUP = 1 + (1 << 40)


def story(done: int = 9, seconds: float = 2.0, **limits) -> tuple[Story, str, str]:
    """Have a call in one job that takes its time, while `done` others have ended in another."""
    told = Story(**{"max_workers": 2, "max_retries": 1, "speculate": True} | limits)
    told.submit(make_call(1), make_call(2))
    first, second = told.start(), told.start()
    for worker in (first, second):
        told.hello(worker)
        answer(told)
    for number in range(2, done + 2):
        if number > 2:
            told.submit(make_call(number))
            answer(told)
        holder = next(w.id for w in told.machine.workers.values() if number in w.held)
        told.outcome(holder, number, duration=seconds)
        answer(told)
    return told, first, second


def answer(told: Story) -> dict[str, list[int]]:
    """Answer what is said at doors; return what was handed over."""
    found: dict[str, list[int]] = {}
    for send in told.said(do.Send):
        if calls := handed(send):
            found[send.worker] = calls
        told.answer(send)
    return found


def begun(told: Story, seconds: float) -> list[int]:
    """Let some time pass; return what is handed over in it."""
    found: list[int] = []
    until = told.now + seconds
    while told.now < until:
        told.wait(0.1)
        found += [call for calls in answer(told).values() for call in calls]
    return found


def completed(told: Story) -> list[tuple[int, bytes]]:
    ends = [one for said in told.said(do.Complete) for one in said.completions]
    return [(one.call.number, one.outcome.status) for one in ends]


def killed(told: Story) -> list[int]:
    return [call for send in told.said(do.Send) for call in ids(send, wire.KILL)]


def lose(told: Story, worker: str, other: str) -> list[do.Fail]:
    """Have a job end without a word; return the calls that end with it."""
    failed: list[do.Fail] = []
    reading = 1
    for _ in range(60):
        told.list(
            told.job(worker, "ERROR"), *([told.job(other)] if other in told.machine.workers else [])
        )
        failed += told.said(do.Fail)
        if worker not in told.machine.workers:
            return failed
        told.tell(ev.LogEnded(worker, reading, said=True))
        failed += told.said(do.Fail)
        reading += 1
        told.wait(2.0)
        failed += told.said(do.Fail)
    raise AssertionError("it is not lost")


def test_a_call_that_takes_three_times_the_median_begins_again_elsewhere():
    told, first, second = story()
    assert begun(told, 5.0) == []
    assert begun(told, 2.0) == [BACKUP]
    workers = told.machine.workers
    assert (set(workers[first].held), set(workers[second].held)) == ({1}, {BACKUP})
    assert begun(told, 60.0) == []  # one is enough
    assert told.machine.counters.backups == 1


def test_the_first_outcome_counts_and_the_other_attempt_is_stopped():
    for wins, loses in ((1, BACKUP), (BACKUP, 1)):
        told, first, second = story()
        begun(told, 7.0)
        worker = {1: first, BACKUP: second}
        told.outcome(worker[wins], wins, duration=7.0)
        assert completed(told) == [(1, b"V")]
        assert killed(told) == [loses]
        answer(told)
        told.outcome(worker[loses], loses)  # it was quicker than the kill
        assert completed(told) == []
        assert not told.machine.pending.open


def test_a_backup_that_never_began_is_no_retry():
    told, first, second = story()
    while BACKUP not in told.machine.workers[second].held:
        told.wait(0.1)
    (send,) = told.said(do.Send)
    told.tell(ev.Unanswered(second, send.number, ev.DoorFailure.REJECTED, 401, "no rights"))
    assert BACKUP not in told.machine.pending.open
    assert lose(told, first, second) == []
    assert [call.number for call in told.machine.pending.open.values()] == [1]


def test_what_it_raises_counts_as_well():
    told, _, second = story()
    begun(told, 7.0)
    told.tell(ev.Heard(second, (ev.Done(BACKUP, outcome(status=b"E")),)))
    assert completed(told) == [(1, b"E")]
    assert killed(told) == [1]


def test_nothing_begins_twice_too_early_or_for_too_few():
    assert begun(story(done=8)[0], 30.0) == []  # of 9 calls
    told, *_ = story()
    told.submit(*(make_call(number) for number in range(100, 109)))
    answer(told)
    assert begun(told, 30.0) == []  # nine wait, or run


def test_short_calls_have_a_second():
    told, *_ = story(seconds=0.01)
    assert begun(told, 0.9) == []
    assert begun(told, 1.0) == [BACKUP]


def test_one_whose_job_is_lost_is_left_to_the_other():
    told, first, second = story(max_retries=1)
    begun(told, 7.0)
    lose(told, first, second)
    assert first not in told.machine.workers
    assert set(told.machine.pending.open) == {BACKUP}
    assert told.machine.counters.retried == 0


def test_where_both_are_lost_it_counts_as_often_as_it_began():
    told, first, second = story(max_retries=1)
    begun(told, 7.0)
    failed = lose(told, first, second) + lose(told, second, first)
    assert [type(said.error) for said in failed] == [JobLostError]
    assert not told.machine.pending.open


def test_who_is_told_of_a_backup_is_told_also_where_the_call_runs_after_both():
    told, first, second = story(max_retries=3)
    told.until(do.BackupStarted)
    assert [one.of_two for one in told.said(do.Started)] == [True]
    answer(told)
    lose(told, first, second)
    lose(told, second, first)
    told.start()
    (again,) = told.said(do.Started)
    assert ([call.id for call in again.calls], again.of_two) == ([BACKUP], False)


def test_a_kill_stops_both_and_ends_it_once():
    told, first, second = story()
    begun(told, 7.0)
    told.tell(ev.KillAsked(1))
    assert sorted(killed(told)) == [1, BACKUP]
    answer(told)
    told.tell(ev.Heard(second, (ev.Done(BACKUP, outcome(status=b"D")),)))
    assert completed(told) == [(1, b"D")]
    told.tell(ev.Heard(first, (ev.Done(1, outcome(status=b"D")),)))
    assert completed(told) == []


def test_an_abort_ends_it_once():
    told, *_ = story()
    begun(told, 7.0)
    told.tell(ev.Aborted("enough"))
    assert [number_of(said.call.id) for said in told.said(do.Fail)] == [1]


def test_no_job_is_started_for_a_backup():
    told, first, second = story()
    told.tell(ev.Heard(second, (ev.Bye(told.machine.workers[second].answers, returned=False),)))
    assert begun(told, 60.0) == []
    assert not told.launches
    assert told.machine.workers[first].held.keys() == {1}


def test_money_that_is_left_for_one_job_does_not_end_the_call():
    told, first, second = story(max_cost=0.0305)  # three minutes, of a cent each, with ports
    begun(told, 7.0)
    failed: list[do.Fail] = []
    for _ in range(70):
        told.wait(1.0)
        failed += told.said(do.Fail)
    ended = [w for w in (first, second) if told.machine.workers[w].cancelling]
    assert len(ended) == 1
    assert failed == []
    assert len(told.machine.pending.open) == 1
    told.wait(60.0)
    assert [type(said.error) for said in told.said(do.Fail)] in ([], [CostLimitError])


def test_calls_are_compared_with_those_of_the_same_options():
    paces, other = Paces(), CallOptions(speculate=True, max_retries=7)
    for number in range(2000):
        paces.note(CallOptions(speculate=True), float(number))
    assert paces.of(other) is None
    pace = paces.of(CallOptions(speculate=True))
    assert (pace.done, pace.median) == (2000, 1500.0)  # of the last 999

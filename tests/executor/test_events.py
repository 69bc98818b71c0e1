"""What an executor tells of its run: events, and lines of the log."""

from __future__ import annotations

import contextvars
import logging
import threading

import pytest

from hfexecutor.events import (
    CallCancelled,
    CallEnded,
    CallPrinted,
    CallsSent,
    CallsSubmitted,
    CallSubmitted,
    JobCreated,
    JobEnded,
    JobsLaunched,
    JobStarted,
    RunEnded,
    RunStarted,
    Transferred,
    Transferring,
    Trouble,
)


def fail(number):
    print(f"at {number}")
    raise KeyError(number)


def kill_the_job():
    import os
    import signal

    os.kill(os.getppid(), signal.SIGKILL)


BESIDE = JobCreated | CallsSent | Transferred  # told in their own time


def kinds(events):
    return [type(event) for event in events]


def test_a_run_is_told_from_its_first_job_to_its_end(make, caplog):
    caplog.set_level(logging.INFO, "hfexecutor")
    heard = []
    with make(1) as executor:
        everything = iter(executor.events)
        executor.events.listen(heard.append)
        good = executor.submit(pow, 2, 5)
        good.result()
        bad = executor.submit(fail, 3)
        bad.exception()

    jobs = [JobsLaunched, JobStarted]
    calls = [CallEnded, CallsSubmitted, CallPrinted, CallEnded]
    told = [event for event in heard if not isinstance(event, BESIDE)]
    assert kinds(told) == [RunStarted, CallsSubmitted, *jobs, *calls, JobEnded, RunEnded]
    assert [event.calls for event in heard if isinstance(event, CallsSent)] == [(1,), (2,)]
    assert list(everything) == heard
    _, submitted, launched, started, first, _, printed, second, ended, over = told
    assert submitted.calls == (first.call,)
    assert (printed.call, printed.job_id, printed.text) == (second.call, bad.job_id, "at 3")
    assert (launched.jobs, launched.flavor) == (1, "cpu-basic")
    assert (started.job_id, started.job_url) == (good.job_id, good.job_url)
    assert first.error is None
    assert (second.error, second.job_id) == ("KeyError", bad.job_id)
    assert second.call == first.call + 1
    assert ended.job_id == good.job_id
    assert (over.calls, over.failed, over.jobs) == (2, 1, 1)
    assert over.dollars > 0
    assert sorted(event.at for event in heard) == [event.at for event in heard]

    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    launching, up, failed, run = lines[-4:]
    assert launching == "launching 1 job on cpu-basic"
    assert up.endswith(good.job_url)
    assert failed.startswith("1 of 2 calls failed: ")
    assert failed.endswith("it printed last:\n    at 3")
    assert run.startswith("run over: 2 calls, 1 failed, 1 job, ")


def test_how_far_large_values_are_is_told_to_who_asks_and_that_they_are_there(make):
    told = []
    with make(1) as executor:
        executor.submit(pow, 2, 5).result()
        executor.events.listen(told.append, kinds=[Transferring, Transferred])
        value = bytes(30 << 20)
        assert executor.submit(bytes.__len__, value).result() == len(value)
        assert executor.submit(bytes, len(value)).result() == value

    moving = [event for event in told if isinstance(event, Transferring)]
    assert {event.to_send for event in moving} == {0, len(value)}
    assert max(event.to_fetch for event in moving) >= len(value)
    assert moving[-1] == Transferring(moving[-1].at)
    large = [event for event in told if isinstance(event, Transferred) and event.size > 1 << 20]
    assert [event.fetched for event in large] == [False, True]
    assert large[0].size == len(value)


def test_each_line_is_told_once_as_it_is_printed(make):
    with make(1) as executor:
        everything = iter(executor.events)
        executor.submit(print_lines, 200).result()
        executor.submit(pow, 2, 5).result()

    texts = [event.text for event in everything if isinstance(event, CallPrinted)]
    assert texts == [f"line {number}" for number in range(200)]


def print_lines(count):
    for number in range(count):
        print("line", number)


def test_a_call_that_is_cancelled_does_not_end(make):
    with make(1) as executor:
        everything = iter(executor.events)
        calls = [executor.submit(pow, 2, n) for n in range(2000)]
        assert calls[-1].cancel()
        executor.shutdown(cancel_futures=True)

    told = list(everything)
    submitted = [
        number for event in told if isinstance(event, CallsSubmitted) for number in event.calls
    ]
    cancelled = [event.call for event in told if isinstance(event, CallCancelled)]
    ended = [event.call for event in told if isinstance(event, CallEnded)]
    assert submitted[-1] in cancelled
    assert sorted(cancelled + ended) == submitted == sorted(submitted)


@pytest.mark.usefixtures("short_patience")
def test_a_job_that_is_lost_is_trouble(make):
    with make(1, max_retries=0) as executor:
        everything = iter(executor.events)
        error = executor.submit(kill_the_job).exception()

    told = list(everything)
    assert [event.error for event in told if isinstance(event, CallEnded)] == [type(error).__name__]
    assert kinds(told)[-1] is RunEnded
    assert JobEnded in kinds(told)


@pytest.mark.usefixtures("short_patience")
def test_a_lost_job_whose_calls_run_again_is_told(make, tmp_path):
    with make(1) as executor:
        everything = iter(executor.events)
        executor.submit(pow, 2, 3).result()  # else nobody may have heard of the job, busy as we are
        executor.submit(kill_once, str(tmp_path / "killed")).result()

    texts = [event.text for event in everything if isinstance(event, Trouble)]
    assert any("is lost, 1 calls run again" in text for text in texts)


def kill_once(path):
    from pathlib import Path

    if not Path(path).exists():
        Path(path).touch()
        kill_the_job()


def test_what_a_listener_does_harms_nobody(make, caplog):
    with make(1) as executor:
        executor.events.listen(lambda event: event.nothing)
        assert executor.submit(pow, 2, 3).result() == 8

    assert {record.message for record in caplog.records if record.levelno == logging.ERROR} == {
        "a listener of an executor's events raised"
    }


@pytest.mark.parametrize("end", ["shutdown", "exception"])
def test_who_iterates_comes_to_the_end_however_it_ends(make, end):
    told = []
    executor = make(1)
    thread = threading.Thread(target=lambda: told.extend(executor.events))
    thread.start()
    executor.submit(pow, 2, 3).result()
    if end == "shutdown":
        executor.shutdown()
    else:
        with pytest.raises(KeyError), executor:
            raise KeyError
    thread.join(30)

    assert kinds(told)[-1] is RunEnded


def test_a_submission_is_told_where_it_happens(make):
    variable, heard = contextvars.ContextVar("variable"), []
    with make(1) as executor:

        def note(event):
            assert event.name == "pow"
            heard.append((event.call, threading.current_thread(), variable.get()))

        executor.events.listen(note, kinds=[CallSubmitted])
        everything = []
        executor.events.listen(everything.append)
        variable.set("mine")
        executor.submit(pow, 2, 5).result()
    with pytest.raises(RuntimeError):
        executor.submit(pow, 2, 5)

    assert heard == [(1, threading.current_thread(), "mine")]
    assert CallSubmitted not in kinds(everything)

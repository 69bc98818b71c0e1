"""(fault, calls) -> (outcome of each future, jobs left = 0, threads left = 0, executions).

Each row is one way in which a Hub, or a job, misbehaves, once: what the core makes of it, in every
combination and with jobs of both kinds, is drawn in tests/simulation. What these rows have, and it
has not, are the real edges, and the bytes. The calls of a row that says nothing else
all return their value; whatever happens, no job is left running, no thread is left, and no call is
executed more often than allowed: once, plus once for each worker lost with it, at most
`max_retries` times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import hfexecutor
from hfexecutor.local import Timings
from hfexecutor.local import faults as f

from .conftest import DEADLINE, Run

POST = "POST /api/jobs/{namespace}"
LIST = "GET /api/jobs/{namespace}"
LOGS = "GET /api/jobs/{namespace}/{jobId}/logs"
CANCEL = "POST /api/jobs/{namespace}/{jobId}/cancel"
HARDWARE = "GET /api/jobs/hardware"

WARM, COLD = "warm", "cold"
COLD_FIRST = (COLD, WARM)


@dataclass
class Row:
    """One row; `error` is what every future ends with, None for its value.

    The first of the modes is always run, but for rows in LONG and DRAWN; the other one is marked
    slow, as they are.
    """

    faults: list[Any]
    error: type[BaseException] | None = None
    text: str = ""
    modes: tuple[str, ...] = (WARM, COLD)
    executed: int = 1  # at most, each call
    options: dict[str, Any] = field(default_factory=dict)


def values(*faults: Any, modes: tuple[str, ...] = (WARM, COLD), **options: Any) -> Row:
    """Return a row in which every call returns its value and is executed once."""
    return Row(list(faults), modes=modes, options=options)


def lost(
    *faults: Any, executed: int = 3, modes: tuple[str, ...] = (WARM, COLD), **options: Any
) -> Row:
    """Return a row in which workers are lost, and calls run again."""
    return Row(list(faults), executed=executed, modes=modes, options=options)


def fails(
    error: type[BaseException],
    text: str,
    *faults: Any,
    modes: tuple[str, ...] = (WARM, COLD),
    **options: Any,
) -> Row:
    """Return a row in which every call ends with an error."""
    return Row(list(faults), error, text, modes=modes, options=options)


TABLE: dict[str, Row] = {
    # --- requests
    "a launch is refused with 503 once": values(f.Refuse(503, route=POST, nth=1)),
    "a launch is answered with 500 although the job was created": values(
        f.Refuse(500, route=POST, nth=1, after=True), modes=COLD_FIRST
    ),
    "a launch's connection is reset before it is carried out": values(f.Reset(route=POST, nth=1)),
    "a launch's connection is reset after it was carried out": values(
        f.Reset(route=POST, nth=1, after=True), modes=COLD_FIRST
    ),
    "a launch is answered with a page of HTML": values(
        f.Garble(route=POST, nth=1, after=True), modes=COLD_FIRST
    ),
    "a page of HTML answers a launch in place of the hub": values(f.Garble(route=POST, nth=1)),
    "a launch's job is over before it is found": values(
        f.Refuse(500, route=POST, nth=1, after=True),
        f.Slow(route=LIST, seconds=0.8, nth=1),
        f.Slow(route=LIST, seconds=0.4),
    ),
    "a launch hangs, although the job was created": values(
        f.Hang(route=POST, nth=1, after=True), modes=(WARM,)
    ),
    "a launch is limited": values(f.Refuse(429, route=POST, times=2, retry_in=1)),
    "everything is limited now and then": values(f.Refuse(429, probability=0.2, retry_in=1)),
    "lists fail": values(f.Refuse(502, route=LIST, times=2)),
    "a page of HTML comes in place of a list": values(f.Garble(route=LIST, times=2)),
    "lists hang": values(f.Hang(route=LIST, nth=1)),
    "the hardware list fails": values(f.Refuse(504, route=HARDWARE, times=2)),
    "opening the log fails": values(f.Refuse(500, route=LOGS, times=2), modes=COLD_FIRST),
    "opening the log hangs": values(f.Hang(route=LOGS, nth=1), modes=(WARM,)),
    "opening the log is reset": values(f.Reset(route=LOGS, times=2)),
    "a page of HTML comes in place of a cancelled job": values(f.Garble(route=CANCEL, times=2)),
    "cancelling fails at first": values(f.Refuse(503, route=CANCEL, times=2)),
    "every fifth request fails": values(f.Refuse(503, probability=0.2), give_up_after=60.0),
    "every request is slow": values(f.Slow(seconds=0.15)),
    "the hub restarts while calls run": values(f.Restart(route=LIST, nth=2, down=0.3), seconds=0.3),
    # --- lists
    "lists lag": values(f.StaleList(seconds=0.7), modes=COLD_FIRST),
    "lists miss jobs": values(f.MissJob(probability=0.5)),
    "lists have one job a page": values(f.SmallPages(size=1)),
    "lists leave the environment out": values(f.BareList()),
    # --- logs, when read
    "the log is cut in the middle of a line, again and again": values(
        f.CutLog(lines=1, times=2), f.CutLog(lines=3, times=3)
    ),
    "the log is late": values(f.LateLog(seconds=0.4)),
    "the log's lines come twice": values(f.RepeatLines()),
    "the log's lines are shuffled": values(f.ShuffleLines(places=3)),
    "the log replays less than before": values(
        f.CutLog(lines=4, times=1), f.ShortReplay(lines=2, times=1), modes=COLD_FIRST
    ),
    "the log's tail is missing for a while": values(f.LoseTail(lines=2, seconds=0.8)),
    "the log has nothing at first": values(f.NoLog(times=2)),
    "the log goes on for ever, once": values(f.NoLog(endless=True, times=1)),
    "the log stalls before its first line, for good": values(f.StallLog(lines=0, times=2)),
    "the log stalls after some lines, for good": values(f.StallLog(lines=3, times=2)),
    "the log has lost its head": values(f.LoseHead(keep=2, times=2)),
    "the log never shows its tail": lost(f.LoseTail(lines=1, job=0)),
    # --- logs, when written
    "others write into the log between lines": values(f.Noise(every=1)),
    "others write into the middle of lines": values(f.Noise(every=2, within=True)),
    "the log has raw line separators of Unicode": values(f.RawLineEnds(every=1)),
    "lines are split at 16 KiB": values(f.SplitLines(size=16 * 1024), modes=COLD_FIRST),
    # --- jobs
    "a job is stuck before it runs for a while": values(f.Stuck(seconds=0.5, nth=1)),
    "a job never begins while another one works": lost(
        f.Stuck(job=1), executed=1, modes=(WARM,), seconds=0.1
    ),
    "a job has a stage that nobody knows": values(f.OddStage(after=0.0)),
    "the hub is as slow as the real one to say that a job is over": values(
        timings=Timings(stage_lag=0.5)
    ),
    "a job is killed": lost(f.KillJob(after=0.3, job=0), modes=COLD_FIRST, seconds=0.2),
    "a job is killed before its first word": lost(f.KillJob(after=0.0, job=0), max_workers=1),
    "a job is killed, and started again by the hub": lost(
        f.KillJob(after=0.3, job=0, retried=True), seconds=0.2
    ),
    "a job runs out of memory": lost(f.EndJob.oom(after=0.3, job=0), seconds=0.2),
    "a job times out": lost(f.EndJob.timeout(after=0.3, job=0), seconds=0.2),
    "a job is deleted": lost(f.EndJob.deleted(after=0.3, job=0), seconds=0.2),
    "a job is cancelled by somebody": lost(f.EndJob.canceled(after=0.3, job=0), seconds=0.2),
    # --- doors
    "a door refuses now and then": values(
        f.DoorFault(how="refuse", probability=0.5, times=6), modes=(WARM,)
    ),
    "a door drops what it has read": values(
        f.DoorFault(how="drop", probability=0.5, times=6), modes=(WARM,)
    ),
    "a door delivers, and drops the answer": values(
        f.DoorFault(how="deliver", probability=0.5, times=6), modes=(WARM,)
    ),
    "a door hangs": values(f.DoorFault(how="hang", times=1), modes=(WARM,)),
    # With a log that is late most outcomes come through the door, by requests that stand there.
    "the log is late, and a door cuts its answers": values(
        f.LateLog(seconds=0.4),
        *(f.DoorFault(how="cut", sent=sent, probability=0.3, times=2) for sent in (0, 20, 60, 100)),
        modes=(WARM,),
    ),
    "the log is late, and a door drops what it has delivered": values(
        f.LateLog(seconds=0.4),
        f.DoorFault(how="deliver", probability=0.5, times=8),
        modes=(WARM,),
    ),
    "the log is late, and the door is gone after some messages": values(
        f.LateLog(seconds=0.4), f.DoorFault(how="refuse", nth=4, times=200), modes=(WARM,)
    ),
    # --- what cannot be made good
    "every job is killed before its first word": fails(
        hfexecutor.JobFailedError,
        "before it could run anything",
        f.KillJob(after=0.0),
        modes=COLD_FIRST,
    ),
    "the token is refused": fails(
        hfexecutor.AuthenticationError, "hf auth login", f.Refuse(401, route=HARDWARE)
    ),
    "there are no credits": fails(
        hfexecutor.AuthenticationError, "credit|billing", f.Refuse(402, route=POST)
    ),
    "the token has no rights": fails(
        hfexecutor.AuthenticationError, "job", f.Refuse(403, route=POST)
    ),
    "the namespace is not known": fails(
        hfexecutor.HubRequestError, "namespace", f.Refuse(404, route=POST)
    ),
    "credits run out while it waits": fails(
        hfexecutor.JobFailedError, "NO_CREDITS", f.EndJob.no_credits(after=0.0)
    ),
    "the hub answers nothing but errors": fails(
        hfexecutor.HubUnavailableError, "503", f.Refuse(503), give_up_after=1.0
    ),
}

# What ends only when a deadline of ours has passed: ten seconds and more.
LONG = {
    "lists hang",
    "a door hangs",
    "the log stalls after some lines, for good",
    "every fifth request fails",
}
# What comes in by the same edges as another row does, and which the simulation draws as well, or a
# unit test of that edge.
DRAWN = {
    "a launch is refused with 503 once",
    "a launch is answered with 500 although the job was created",
    "a launch's connection is reset before it is carried out",
    "a launch is answered with a page of HTML",
    "a launch's job is over before it is found",
    "a launch is limited",
    "the hardware list fails",
    "opening the log hangs",
    "opening the log is reset",
    "a page of HTML comes in place of a cancelled job",
    "cancelling fails at first",
    "every request is slow",
    "lists lag",
    "lists miss jobs",
    "lists leave the environment out",
    "the log is late",
    "the log's lines come twice",
    "the log's lines are shuffled",
    "the log replays less than before",
    "the log's tail is missing for a while",
    "the log has nothing at first",
    "the log goes on for ever, once",
    "the log stalls before its first line, for good",
    "the log has lost its head",
    "the log never shows its tail",
    "others write into the log between lines",
    "the log has raw line separators of Unicode",
    "a job is stuck before it runs for a while",
    "a job never begins while another one works",
    "a job has a stage that nobody knows",
    "the hub is as slow as the real one to say that a job is over",
    "a job is killed before its first word",
    "a job is killed, and started again by the hub",
    "a job times out",
    "a job is deleted",
    "a job is cancelled by somebody",
    "a door refuses now and then",
    "a door drops what it has read",
    "the log is late, and a door drops what it has delivered",
    "there are no credits",
    "the token has no rights",
    "the namespace is not known",
}
assert set(TABLE) >= DRAWN | LONG
CASES = [
    pytest.param(row, mode, id=f"{name} ({mode})", marks=[pytest.mark.slow] if slow else [])
    for name, row in TABLE.items()
    for slow, mode in zip((name in LONG | DRAWN, True), row.modes, strict=False)
]


@pytest.mark.parametrize(("row", "mode"), CASES)
def test_row(run: Callable[..., Run], row: Row, mode: str, request: pytest.FixtureRequest) -> None:
    if row.executed > 1 or row.error is not None:
        request.getfixturevalue("short_patience")
    result = run(row.faults, warm=mode == WARM, **row.options)
    assert result.seconds < DEADLINE
    for n, future in enumerate(result.futures):
        assert future.done(), f"call {n} hangs"
        if row.error is None:
            assert future.result() == n * n
        else:
            error = future.exception()
            assert isinstance(error, row.error), repr(error)
            assert re.search(row.text, str(error)), str(error)
    assert result.left == []
    assert all(count <= row.executed for count in result.executed.values()), result.executed


# --- rows whose futures end differently ---


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("mode", [pytest.param(WARM, marks=pytest.mark.slow), COLD])
def test_without_retries_a_lost_call_fails_and_no_call_runs_twice(
    run: Callable[..., Run], mode: str
) -> None:
    result = run(
        [f.KillJob(after=1.0, job=0)],  # it has begun by then, on a busy machine too
        warm=mode == WARM,
        seconds=1.2,
        calls=3,
        max_workers=1,
        max_retries=0,
    )
    assert all(future.done() for future in result.futures)
    failed = [future for future in result.futures if future.exception() is not None]
    assert failed
    for future in failed:
        assert isinstance(future.exception(), hfexecutor.JobLostError)
        assert future.job_id in str(future.exception())
    assert max(result.executed.values()) == 1
    assert result.left == []


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("mode", [WARM, pytest.param(COLD, marks=pytest.mark.slow)])
def test_a_call_that_kills_its_worker_fails_alone(run: Callable[..., Run], mode: str) -> None:
    result = run([], warm=mode == WARM, call=die_once_in_three, calls=6, max_retries=1)
    for n, future in enumerate(result.futures):
        if n % 3 == 1:
            error = future.exception()
            assert isinstance(error, hfexecutor.JobError), repr(error)
            assert "http" in str(error)
            assert "before it could run anything" not in str(error)
        else:
            assert future.result() == n * n
    assert max(result.executed.values()) <= 2
    assert result.left == []


def die_once_in_three(path: str, n: int, seconds: float) -> int:
    import os
    import signal
    import time

    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write(f"{n}\n")
    if n % 3 == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return n * n


# A door's address may come with the reply to the launch, long before anybody listens there, or be
# told once the job runs; and any of the replies that have it may be lost, late or wrong.
ADDRESSES = {
    "nothing else is wrong": [],
    "denied after the launch": [f.Refuse(500, route=POST, after=True, nth=1)],
    "late to start": [f.Stuck(seconds=1.0, job=0)],
    "lists lag": [f.StaleList(seconds=0.5)],
    "doors refuse": [f.DoorFault(how="refuse", times=3)],
}
SLOW_ADDRESSES = {"late to start", "lists lag", "nothing else is wrong"}


@pytest.mark.parametrize("told", [pytest.param("launch", marks=pytest.mark.slow), "running"])
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(faults, id=name, marks=[pytest.mark.slow] * (name in SLOW_ADDRESSES))
        for name, faults in ADDRESSES.items()
    ],
)
def test_addresses_of_doors_may_be_told_early_or_late(
    run: Callable[..., Run], faults: list[Any], told: str
) -> None:
    result = run(faults, calls=60, expose_urls=told, timings=Timings(start=0.2))
    assert [future.result() for future in result.futures] == [n * n for n in range(60)]
    assert max(result.executed.values()) == 1
    assert result.hub.requests["POST door"] > 0
    assert result.left == []


def test_a_log_window_loses_nothing(run: Callable[..., Run]) -> None:
    result = run([], log_window=20, calls=300)
    assert [future.result() for future in result.futures] == [n * n for n in range(300)]


def test_faults_of_many_kinds_together(run: Callable[..., Run]) -> None:
    mixed = [
        f.Refuse(503, probability=0.05),
        f.Refuse(500, route=POST, after=True, probability=0.2),
        f.Reset(probability=0.03),
        f.CutLog(lines=5, probability=0.3),
        f.RepeatLines(every=3, probability=0.3),
        f.StaleList(seconds=0.3, probability=0.3),
        f.DoorFault(how="deliver", probability=0.05),
        f.DoorFault(how="drop", probability=0.05),
    ]
    result = run(mixed, calls=200, max_workers=4, seed=11)
    assert [future.result() for future in result.futures] == [n * n for n in range(200)]
    assert max(result.executed.values()) == 1
    assert result.left == []


@pytest.mark.usefixtures("short_patience")
def test_a_call_of_a_job_that_was_never_heard_counts_as_run_again(run: Callable[..., Run]) -> None:
    result = run([f.NoLog(job=1), f.KillJob(job=1, after=0.6)], warm=True, seconds=0.4)
    assert [future.result() for future in result.futures] == [n * n for n in range(6)]
    again = sum(result.executed.values()) - len(result.executed)
    assert result.stats.retried >= max(again, 1)
    assert result.left == []

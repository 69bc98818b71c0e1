"""Every constant of the core in one value, so that tests and the simulation hand in their own.

Seconds, unless it says otherwise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Limits", "Rules"]


class Limits(NamedTuple):
    """What the user has asked for, as far as the core has to know.

    Attributes:
        max_workers: Calls that may run at once.
        slots_per_job: Calls at once in one job; None: as many as the flavor is for.
        reuse_workers: Jobs take call after call.
        give_up_after: For how long a launch is repeated.
        room: Bytes of calls that a launch request can carry beside the other options; as many as
            there are where nobody says.
        bucket: What is larger may go through a bucket: False never, None once something is.
        max_cost: Dollars that all jobs together may cost; None without a limit.
        timeout: Seconds after which the Hub ends a job.
    """

    max_workers: int = 8
    slots_per_job: int | None = 1
    reuse_workers: bool = True
    give_up_after: float = 300.0
    room: float = math.inf
    bucket: bool | None = False
    max_cost: float | None = None
    timeout: float = math.inf


class Rules(NamedTuple):
    """How the core goes about it. The defaults are what ships."""

    # --- launches ----------------------------------------------------------------------------
    # Before each look for a job whose launch got no clear answer: lists lag.
    looks: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    late: float = 5.0  # without an answer, after which the job is looked for meanwhile
    relaunch: tuple[float, float] = (0.2, 10.0)  # first and longest pause, before chance halves it
    pause: float = 60.0  # without further jobs after a launch that failed for a while
    stillborn: int = 3  # jobs in a row that were over before a word of ours: then none is tried
    entry: int = 48  # bytes of a launch request for each call, besides the call itself

    # --- stages ------------------------------------------------------------------------------
    quick: float = 0.05  # between lists when something is about to change
    starting: float = 1.0
    calm: float = 30.0  # between lists when all jobs run and their logs are followed
    growth: float = 1.6  # of the pause from list to list
    ending: float = 2.0  # the longest pause while a job ends, or its door's address is wanted
    coming: float = 10.0  # the longest pause while a job starts
    relist: float = 5.0  # after a list that failed for good
    missed: int = 2  # lists in a row without a job before it is asked for by its id
    past: float = 60.0  # for which the job of a worker that is over may show as alive in lists

    # --- logs --------------------------------------------------------------------------------
    # Between readings of a log that should have more: a stage may be seen before the lines that
    # led to it, and the tail of a log be missing for a while. Four seconds in all.
    patience: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    reopen: tuple[float, float] = (0.1, 5.0)  # first and longest pause while the job lives
    log_grace: float = 3.0  # that a log may go on after its job is over

    # --- doors -------------------------------------------------------------------------------
    message: int = 4 << 20  # bytes; a larger call travels in parts (a worker takes 16 MiB)
    knock: float = 10.0  # for a small message and its answer
    slowest: int = 64 << 10  # bytes per second that a large one travels at least
    resend: tuple[float, float] = (0.02, 2.0)  # first and longest pause, before chance halves it
    trouble: float = 1.0  # of failing messages after which a worker is given no more calls
    door_wait: float = 20.0  # that a door may take until it answers for the first time
    shut_doors: int = 3  # workers in a row whose door cannot be used: then doors are given up
    listen: float = 25.0  # that a request stands; proxies wait for 30 and more
    log_quick: float = 0.02  # behind the door; a log that is no later is as good
    listen_after: float = 0.05  # of silence before a request stands where the log is quick
    listen_again: tuple[float, float] = (0.1, 30.0)  # first and longest pause after a failure
    acks: int = 512  # outcomes unacknowledged before an acknowledgement travels on its own
    # Of large outcomes from each worker, and of large buffers to it; a pair is for a door that is
    # near, and one that is far.
    near: float = 0.02  # a round trip to a door, at most, until that counts as far
    # Ranges on their way at once, each over its own connection. Sixteen connections carry what a
    # far door can; between two ranges each waits for a round trip, so there are some more.
    fetches: tuple[int, int] = (4, 20)
    fetch_bytes: tuple[int, int] = (1 << 20, 4 << 20)  # of a range; a near door is quick anyway,
    # and a small call waits behind each of them
    fetch_least: int = 256 << 10  # bytes of a range towards the end
    fetch_again: tuple[float, float] = (0.05, 5.0)  # first and longest pause after one that failed
    fetch_tries: int = 8  # in a row that fail until the log has to say it
    buffer_bytes: int = 4 << 30  # of buffers that a worker keeps for calls to come
    # Where so many jobs would be started for calls that share one of so many bytes, it is uploaded
    # once, to a bucket, and they read it there; the second number is for `bucket=True`.
    shared_bytes: int = 64 << 20
    shared_jobs: tuple[int, int] = (8, 2)
    # Until one is sent that a worker does not say to have read: its mount may be 30 s late. And
    # bytes per second that it reads at least.
    load: float = 45.0
    load_slowest: int = 16 << 20
    buffers: int = 256  # that it keeps, each of which costs it a descriptor
    functions: int = 4096  # that a worker is known to have; then they are sent anew

    # --- silence -----------------------------------------------------------------------------
    pulse: float = 1.0  # between two looks at workers that owe outcomes
    probe: float = 2.0  # of silence before a worker is asked whether it said something meanwhile
    longest_probe: float = 30.0
    probe_grace: float = 3.0  # that what it then says has to come through its log
    ask_every: float = 0.5  # between two questions for outcomes that may have been missed
    ask_most: int = 4096  # calls in one such question

    # --- placement ---------------------------------------------------------------------------
    cold_start: float = 6.0  # before any job was seen to start
    stall: float = 0.1  # without an outcome after which forecasts are not believed
    share_every: float = 0.01  # between two looks at who could take over from whom
    recall_after: float = 0.02  # without progress before calls are taken back for idle workers
    in_vain: int = 2  # recalls that bring nothing back, until one waits for an outcome
    deal: float = 2e-5  # for each worker, between two times that calls are dealt out
    stuck: tuple[float, float] = (3.0, 5.0)  # cold starts, and seconds, until a job is stuck
    unused: int = 3  # jobs in a row that left before their door answered: then doors are given up
    tell_waiting: float = 15.0  # of waiting for hardware before that is told; then each time twice
    passed_over: float = 1800.0  # for which a kind is not asked for again that did not come
    give_way: float = 30.0  # that calls wait for a place, before workers of other kinds make it
    bounced: int = 5  # workers that may leave without having had a call, until that counts as lost

    # --- backups -----------------------------------------------------------------------------
    speculate_every: float = 0.5  # between two looks at what runs
    speculate_from: int = 10  # calls, half of which are done
    speculate_after: float = 3.0  # times the median
    speculate_least: float = 1.0  # seconds over it: the way to a job and back takes some

    # --- age ---------------------------------------------------------------------------------
    # Before its timeout when a job runs no more calls, besides what a call takes: for the way of
    # what was given to it and of what it says. Seconds, or a part of the timeout if that is less.
    age_ahead: tuple[float, float] = (10.0, 0.1)  # see ahead_of

    # --- money -------------------------------------------------------------------------------
    end_ahead: float = 5.0  # before the end of a minute, when a job that gets no other is ended

    # --- the end -----------------------------------------------------------------------------
    hand_over: float = 30.0  # that jobs which are coming up are waited for by who leaves them
    farewell: float = 15.0  # that a worker has to leave when told to
    unreached: float = 3.0  # the same, where its door is not known, or does not answer
    lag: float = 6.0  # after an unclear launch in which its job may still appear in no list
    parting: float = 10.0  # for the last requests when everything is stopped

    def ahead_of(self, timeout: float) -> float:
        """Return how long before its timeout a job should have nothing left to run."""
        seconds, part = self.age_ahead
        return min(seconds, part * timeout)

"""One run: from its plan to its report."""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hfexecutor.core import events as ev
from hfexecutor.errors import DetachedError

from . import checks as checking
from . import user
from .attached import Attached
from .checks import Checks, WrongError
from .client import Client
from .clock import Clock, LivelockError
from .hub import Hub
from .plan import Plan

PATIENCE = 900.0  # seconds after everything heals in which all calls have to end, besides their own
MOST, FOR_EACH_CALL = 300_000, 100  # things that happen in a run
FAREWELL = 60.0  # in which the core has to finish once it is closed and no call is open


@dataclass
class Report:
    """What a run did, and what went wrong with it."""

    plan: Plan
    check: str = ""
    wrong: str = ""
    reached: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    jobs: int = 0
    requests: int = 0
    events: int = 0
    virtual: float = 0.0
    seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    minutes: int = 0  # that jobs are billed for,
    dollars: float = 0.0  # and what they cost

    @property
    def ok(self) -> bool:
        return not self.check

    def __str__(self) -> str:
        state = "ok" if self.ok else f"WRONG: {self.wrong}"
        return (
            f"seed {self.plan.seed}: {self.calls} calls, {self.jobs} jobs, {self.minutes} min, "
            f"${self.dollars:.2f}, "
            f"{self.requests} requests, {self.virtual:.0f} s in {self.seconds:.2f} s, "
            f"{dict(self.ends)}: {state}"
        )


class Run:
    """A run that goes step by step."""

    def __init__(self, plan: Plan, trace: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.rng = random.Random(f"user {plan.seed}")
        self.clock = Clock()
        self.work: dict[int, user.Work] = {}
        self.checks = checks = Checks(self.clock, plan, self.work)
        self.hub = Hub(
            self.clock,
            plan,
            random.Random(f"hub {plan.seed}"),
            work=self.work,
            on_begin=checks.began,
            on_leave=checks.left,
            sometimes=checks.sometimes,
        )
        checks.hub = self.hub
        self._edges = random.Random(f"edges {plan.seed}")
        self.client = Client(self.clock, self.hub, self._edges, checks)
        self.client.trace = trace
        self.futures: list[user.Future] = []
        self._next = 1
        self._submitted = False
        self._closed_at = -1.0
        self._load = 0.0
        self._killers = 0  # calls that take their job along
        self.clock.later(0.0, self.submit)
        self.clock.later(checking.REGULAR, self._look_around)
        if plan.leaves:
            self.clock.later(plan.leaves_at, self.leave)

    # --- the user -----------------------------------------------------------------------------

    def submit(self, count: int | None = None) -> None:
        """Submit a batch, and plan the next."""
        plan, rng = self.plan, self.rng
        if self.is_closed or self.checks.has_left:  # an executor that is shut down takes no calls
            self._submitted = True
            return
        count = min(plan.batch, plan.calls - len(self.futures)) if count is None else count
        calls = []
        for _ in range(count):
            work = self.work[self._next] = user.make_work(plan, rng)
            heavy = plan.heavy > 0 and rng.random() < plan.heavy
            options = user.options_of(plan, work, rng)
            call = user.make_call(self._next, work, heavy=heavy, options=options)
            self._load += plan.call_timeout if work.kind == "hang" else work.duration
            self._load += user.STRAGGLE * work.straggles
            self._killers += work.kind == "killjob"
            self._load += work.fails * (work.duration + user.LONGEST_PAUSE)
            self._next += 1
            calls.append(call)
            self.futures.append(call.future)
            hangs = work.kind == "hang" and not plan.call_timeout
            if not hangs and rng.random() < plan.cancels:
                self.clock.later(self._moment(), self.cancel, call.future)
            elif hangs or rng.random() < plan.kills:
                self.clock.later(self._moment(), self.kill, call.future)
        self.checks.submitted(calls)
        self.client.tell(ev.Submitted(tuple(calls)))
        if len(self.futures) < plan.calls:
            self.clock.later(plan.pause * rng.uniform(0.5, 1.5), self.submit)
        else:
            self._submitted = True
            if plan.end_early:
                self.clock.later(self._moment(), self.close)

    def _moment(self) -> float:
        return self.rng.choice((0.0, 0.001, 0.1, 1.0, 5.0)) * self.rng.uniform(0.5, 1.5)

    def cancel(self, future: user.Future) -> None:
        if self.checks.has_left:
            return
        was_done = future.done
        if future.cancel():
            if not was_done:
                future.asked = "cancel"
                self.checks.cancelled(future)
                # The core hears of it a moment later than the future: another thread's word.
                late = self.rng.choice((0.0, 0.001, 0.05))
                self.clock.later(late, self.client.tell, ev.Cancelled(future.call))
        else:
            self.checks.sometimes("a cancel comes too late")

    def kill(self, future: user.Future) -> None:
        if future.done or self.checks.has_left:
            return
        future.asked = "kill"
        self.cancel(future)
        if future.state == user.RUNNING:
            future.killed_at = self.clock.now
            self.client.tell(ev.KillAsked(future.call))

    @property
    def is_closed(self) -> bool:
        return self._closed_at >= 0

    def change(self, **knobs: Any) -> None:
        """Have the world get worse, or better, from now on."""
        self.plan = plan = replace(self.plan, **knobs)
        self.hub.plan = self.client.plan = self.checks.plan = plan
        self.checks.worst = replace(
            self.checks.worst,
            **{name: value for name, value in knobs.items() if value and name != "heals"},
        )

    def close(self, end: str = "") -> None:
        """Shut down in the way that the plan says."""
        if self.is_closed or self.checks.has_left:
            return
        self._closed_at = self.checks.closed_at = self.clock.now
        end = end or self.plan.end
        self.checks.closed = end in {"cancel", "abort"}
        if end == "abort":
            self.abort()
        else:
            self.client.tell(ev.Closed(end == "cancel"))

    def abort(self) -> None:
        """Stop everything, whatever else was wanted before."""
        if self.checks.has_left:
            self._detach(now=True)
            return
        self.checks.closed = self.checks.aborted = True
        self._closed_at = self.checks.closed_at = self.clock.now
        self.client.tell(ev.Aborted("the user wants it"))

    def leave(self) -> None:
        """Leave the jobs to themselves, or be killed."""
        if self.is_closed or self.is_finished:
            return
        self.checks.has_left = True
        self.checks.sometimes(f"a client {self.plan.leaves}")
        if self.plan.leaves == "is killed":
            self.client.die()
            return
        self._detach(now=self.plan.leaves == "detaches now")

    def _detach(self, *, now: bool) -> None:
        self._closed_at = self.clock.now
        error = DetachedError("the jobs are left to themselves")
        self.client.tell(ev.Detached(error, now))

    # --- the run ------------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        return self.client.dead or self.client.machine.finished

    def _look_around(self) -> None:
        if self.is_finished or self.checks.has_left:
            self.checks.look_at_bills()
        else:
            self.checks.look_around(self.client.machine)
            if self.rng.random() < 0.2:
                self.checks.budget(self.client.machine)
        if not self.is_finished or any(job.alive for job in self.hub.jobs.values()):
            self.clock.later(checking.REGULAR, self._look_around)

    @property
    def _most(self) -> int:
        return MOST + FOR_EACH_CALL * len(self.futures)

    @property
    def deadline(self) -> float:
        """When all calls have to have ended."""
        begun = max(self.plan.heals, self._closed_at)
        slots = min(self.plan.workers, 4)
        # Starts that follow each other; where no worker is used again, one for each call; where a
        # job has come up only when half its timeout is over, one for each few; and each time that a
        # call takes its job along.
        starts, jobs = 40.0, max(1, slots // self.plan.slots)
        if self.client.machine.one_shot:
            starts += 1.5 * len(self.futures) / slots
        elif self.plan.job_timeout < 2 * (self.plan.cold[1] + 1):
            starts += len(self.futures) / 4 / slots
        starts += 1.5 * self._killers * (self.plan.retries + 1) / jobs
        waits = 3 * self.plan.scheduling_timeout
        return begun + waits + PATIENCE + 3 * self._load / slots + starts * (self.plan.cold[1] + 1)

    def go(self) -> None:
        """Go on until everything has ended; raise what goes wrong."""
        self._work()
        if self.checks.has_left:
            self._attach()
            return
        self.checks.at_the_end(self.client.machine)
        self.checks.budget(self.client.machine)
        self._see_jobs_off()
        self.checks.printed()

    def _work(self) -> None:
        checks, clock = self.checks, self.clock
        done_at = -1.0
        while not self.is_finished:
            if not clock.step():
                raise WrongError("something always happens", f"nothing will, {self!r}")
            if self._submitted and not checks.open:
                if done_at < 0:
                    done_at = clock.now
                    if self._closed_at < 0:
                        clock.later(self._moment(), self.close)
                late = max(done_at, self._closed_at) + FAREWELL + 10.0
                if clock.now > late + 2 * self.plan.cancel_slow:
                    raise WrongError("an end is quick", f"still there, {self!r}")
            elif self.plan.never_comes and not checks.aborted and clock.now > self._patience:
                checks.sometimes("the user gives up waiting for hardware")
                self.abort()
            elif clock.now > self.deadline or clock.happened > self._most:
                raise WrongError("every future ends in time", f"{self!r}")

    def _attach(self) -> None:
        """Have another process watch until all jobs have ended, or stop them."""
        clock, plan, deadline = self.clock, self.plan, self.deadline
        self.client.die()
        deadline += plan.away + plan.keep_for + plan.idle_timeout + 3 * self._load
        self._wait_until(lambda: False, clock.now + plan.away)
        trace = self.client.trace
        self.client = attached = Attached(clock, self.hub, self._edges, self.checks)
        attached.trace = trace
        if plan.stopped:
            self._wait_until(lambda: False, clock.now + self.rng.choice((0.0, 1.0, 30.0)))
            attached.cancel()
            self._wait_until(lambda: attached.machine.finished, clock.now + FAREWELL)
            attached.found.is_stopped()
        self._wait_until(lambda: False, plan.heals + 2 * plan.cold[1])
        self._wait_until(lambda: not self._is_worked, deadline)
        if self._is_worked:
            raise WrongError("every job ends that is left to itself", f"{self!r}")
        if not plan.stopped:
            self._wait_until(lambda: attached.is_done, clock.now + FAREWELL)
            attached.found.is_whole()
            attached.leave()
            self._wait_until(lambda: attached.machine.finished, clock.now + 1.0)
        self.checks.check("who attached has left", attached.machine.finished, f"{self!r}")

    def _wait_until(self, happened: Callable[[], bool], moment: float) -> None:
        self.clock.at(moment, lambda: None)  # else nothing might happen until much later
        while not happened() and self.clock.now < moment and self.clock.step():
            pass

    @property
    def _is_worked(self) -> bool:
        return any(job.alive and job.started >= 0 for job in self.hub.jobs.values())

    def _see_jobs_off(self) -> None:
        """Wait until also those jobs have ended that the executor has left behind."""
        for job in self.hub.jobs.values():
            while job.alive and job.started >= 0:
                if not self.clock.step():
                    raise WrongError("every job ends", f"{job}")
        self.checks.look_at_bills()
        self.checks.look_at_costs(self.client.machine)

    @property
    def _patience(self) -> float:
        """When a user has waited long enough for hardware that does not come."""
        return (self.deadline + self.plan.heals) / 2

    def __repr__(self) -> str:
        machine = self.client.machine
        waiting = [future for future in self.futures if not future.done][:5]
        workers = [repr(worker) for worker in machine.workers.values()][:5]
        jobs = [repr(job) for job in self.hub.jobs.values() if job.alive][:5]
        return f"at {self.clock.now:.1f} s: {machine!r}, {waiting}, {workers}, {jobs}"


def run(plan: Plan, trace: Callable[[str], None] | None = None) -> Report:
    """Run a plan."""
    begun = time.perf_counter()
    report = Report(plan)
    this = None
    try:
        this = Run(plan, trace)
        this.go()
    except WrongError as error:
        report.check, report.wrong = error.check, str(error)
    except LivelockError as error:
        report.check, report.wrong = "no livelock", str(error)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        report.check = f"{type(error).__name__} in {where.name}"
        report.wrong = "".join(traceback.format_exception(error)[-4:])
    if this is not None:
        report.reached = this.checks.reached
        report.calls, report.jobs = len(this.futures), len(this.hub.jobs)
        report.minutes = sum(job.minutes for job in this.hub.jobs.values())
        report.dollars = sum(job.dollars for job in this.hub.jobs.values())
        report.requests = sum(this.hub.requests.values())
        report.virtual = this.clock.now
        report.events = this.clock.happened
        report.ends = Counter(_end_of(future) for future in this.futures)
    report.seconds = time.perf_counter() - begun
    return report


def _end_of(future: Any) -> str:
    if future.error is not None:
        return type(future.error).__name__
    return future.outcome.status.decode() if future.outcome is not None else future.state

"""Jobs from outside: how they are launched, shown, lost and ended."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.remote.frames import Seal
from hfexecutor.runtime.launch_request import launch_entries

from . import logs
from .plan import number_of
from .supervisor import Supervisor

if TYPE_CHECKING:
    from .clock import Clock
    from .plan import Plan
    from .user import Work

OVER = ("COMPLETED", "ERROR", "CANCELED", "DELETED")
DROPPED = 100.0  # seconds after which jobs that are over may be in no list any more
BOOT = 0.15  # seconds from a job's start to its supervisor's


class Job:
    """One job: its stages, its log, and the supervisor in it while it runs."""

    def __init__(self, hub: Hub, number: int, command: do.Post) -> None:
        self.hub = hub
        self.id = f"job{number}"
        self.command = command
        self.worker = command.worker
        self.created = hub.clock.now
        self.started = -1.0
        self.history: list[tuple[float, str]] = [(hub.clock.now, "SCHEDULING")]
        self.seal = Seal(command.worker.encode())
        self.log = logs.Log(hub.clock, self.seal)
        self.supervisor: Supervisor | None = None
        self.begun: set[int] = set()
        self.ended_by = ""  # the world, the core, itself
        self.dying = False
        self.restarted = False
        self.door_known_at = 0.0
        self.listed = False  # the core has been told of it
        self.cancel_failed = False
        self.messages: set[int] = set()  # that have arrived
        self.forgotten = False
        self.over_at = -1.0

    @property
    def waited(self) -> float:
        """Seconds that it waited for its hardware."""
        until = self.started if self.started >= 0 else self.over_at
        return (until if until >= 0 else self.hub.clock.now) - self.created

    @property
    def stage(self) -> str:
        return self.history[-1][1]

    @property
    def alive(self) -> bool:
        """Whether it costs money."""
        return self.stage not in OVER and not self.dying

    def stage_at(self, moment: float) -> str | None:
        """Return the stage that it had then; None before it was created."""
        if moment >= self.history[-1][0]:
            return self.history[-1][1]
        found = None
        for at, stage in self.history:
            if at > moment:
                break
            found = stage
        return found

    # --- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        hub, plan = self.hub, self.hub.plan
        if not self.alive or self.started >= 0:
            return
        self.started = hub.clock.now
        self.door_known_at = self.started + plan.door_not_found
        self._enter("RUNNING")
        hub.clock.later(plan.job_timeout, self._time_out)
        if hub.chance(plan.odd_stages):
            self._enter("UPDATING")
        self.log.write(b"===== Job started at 2026-01-01 =====\n")
        if hub.chance(plan.job_stillborn):
            hub.sometimes("a job ends before its first word")
            hub.clock.later(hub.rng.uniform(0.0, 0.3), self.end, "ERROR", "world")
            if hub.rng.random() < 0.5:
                self.log.write(b"error: no such image\n")
            return
        hub.clock.later(BOOT * hub.rng.uniform(0.5, 2), self.boot)

    def boot(self) -> None:
        if not self.alive:
            return
        hub, plan, command = self.hub, self.hub.plan, self.command
        config = {
            "slots": command.slots,
            "idle_timeout": plan.idle_timeout,
            "keep_for": plan.keep_for,
            "max_tasks_per_child": plan.max_tasks or None,
            "port": command.port,
            "one_shot": command.one_shot,
            "arguments": "/sim/arguments" if command.arguments else None,
        }
        initializer = b"initializer" if plan.broken or plan.initializer else None
        self.supervisor = Supervisor(
            hub.clock,
            plan,
            hub.rng,
            chance=hub.chance,
            sometimes=hub.sometimes,
            seal=self.seal,
            launch=launch_entries(config, initializer, command.calls),
            port=command.port,
            opens=not hub.chance(plan.no_door),
            work=hub.work,
            write=self.log.write,
            mimic=self._mimic,
            began=self._began,
            left=self._left,
            job_dies=lambda: self.end("ERROR", "world"),
            flavor=number_of(command.kind),
        )

    def _mimic(self) -> bytes:
        """Return lines that look like the supervisor's: one is, and was said before."""
        forged = b"#hfx1:0badcafe:7:AAAA:AAAAAAAAAAAAAAAAAAAAAA;"
        again = self.hub.rng.choice(self.log.lines[1:] or [""]).encode()
        return b"%b\nand %b\n" % (forged, again)

    def listen(self, message: bytes, answer: Callable[[int, bytes], None]) -> None:
        """Take a request to its door that stands there; its status is 0 if nobody is there."""
        supervisor = self.supervisor
        if not self.alive or supervisor is None or not supervisor.alive or not supervisor.door:
            answer(0, b"")
        else:
            supervisor.listen(message, answer)

    def message(self, message: bytes) -> tuple[int, bytes] | None:
        """Take a message to its door; None: nobody is there."""
        supervisor = self.supervisor
        if not self.alive or supervisor is None or not supervisor.alive or not supervisor.door:
            return None
        return supervisor.message(message)

    def range(self, message: bytes) -> tuple[int, bytes] | None:
        """Take a range to its door; None: nobody is there."""
        supervisor = self.supervisor
        if not self.alive or supervisor is None or not supervisor.alive or not supervisor.door:
            return None
        return supervisor.range(message)

    def _began(self, call: int) -> None:
        self.begun.add(call)
        self.hub.on_begin(self, call)

    def _left(self) -> None:
        if not self.alive:  # it was ended from outside
            return
        self.hub.on_leave(self)
        self.end("COMPLETED", "itself")

    def restart(self) -> None:
        """Have the Hub start it again, in the same log."""
        if self.alive and self.supervisor is not None and self.supervisor.alive:
            self.hub.sometimes("the Hub starts a job again")
            self.restarted = True
            self.supervisor.stop()
            self.messages.clear()
            self.hub.clock.later(1.0, self.boot)

    def end(self, stage: str, by: str) -> None:
        """End it; the stage may follow later than its last word."""
        if not self.alive:
            return
        self.dying, self.ended_by, self.over_at = True, by, self.hub.clock.now
        if self.supervisor is not None and self.supervisor.alive:
            if by == "core" and self.hub.rng.random() < self.hub.plan.terminates:
                self.hub.sometimes("a job is terminated and says good-bye")
                self.supervisor.terminate()
            self.supervisor.stop()
        lag = self.hub.plan.stage_lag if self.hub.rng.random() < 0.7 else 0.0
        self.hub.clock.later(lag, self._end, stage)

    def _time_out(self) -> None:
        if self.alive:
            self.hub.sometimes("a job reaches its timeout")
            self.end("ERROR", "world")

    def _end(self, stage: str) -> None:
        self._enter(stage)
        self.log.end()
        self.hub.freed()
        if self.hub.chance(self.hub.plan.forgets):
            self.hub.clock.later(self.hub.rng.uniform(0.0, 5.0), self._forget)

    def _forget(self) -> None:
        self.forgotten = True

    def _enter(self, stage: str) -> None:
        self.history.append((self.hub.clock.now, stage))

    @property
    def minutes(self) -> int:
        """Return how many minutes are billed: each that has begun, from its start to its end."""
        if self.started < 0:
            return 0
        until = self.over_at if self.over_at >= 0 else self.hub.clock.now
        return math.ceil((until - self.started) / 60)

    @property
    def dollars(self) -> float:
        """Return what they cost."""
        plan = self.hub.plan
        port = plan.door_hourly if self.command.port is not None else 0.0
        return self.minutes * (plan.hourly_of(self.command.kind) + port) / 60

    # --- how it is seen -----------------------------------------------------------------------

    def seen(self, lag: float = 0.0) -> ev.JobSeen | None:
        """Return it as it was `lag` seconds ago."""
        plan, now = self.hub.plan, self.hub.clock.now
        stage = self.stage_at(now - lag)
        if stage is None:
            return None
        door = ""
        if self.command.port is not None:
            runs = stage in {"RUNNING", "UPDATING"}
            told = {
                "launch": True,
                "running": runs,
                "late": runs and now - lag > self.started + 1.0,
                "never": False,
            }[plan.door_at]
            door = f"https://{self.id}--{self.command.port}.example" if told else ""
        return ev.JobSeen(
            self.id,
            stage,
            url=f"https://hub/jobs/{self.id}",
            launch=self.worker,
            message="" if stage not in OVER else "over",
            door=door,
            aboard=tuple(call.id for call in self.command.calls),
        )

    def __repr__(self) -> str:
        return f"<Job {self.id} of {self.worker} {self.stage} begun {sorted(self.begun)[:9]}>"


class Hub:
    """All jobs of a run.

    Attributes:
        requests: how many requests it was sent, by kind.
    """

    def __init__(
        self,
        clock: Clock,
        plan: Plan,
        rng: random.Random,
        *,
        work: dict[int, Work],
        on_begin: Callable[[Job, int], None],
        on_leave: Callable[[Job], None],
        sometimes: Callable[[str], None],
    ) -> None:
        self.clock = clock
        self.plan = plan
        self.rng = rng
        self.work = work
        self.on_begin = on_begin
        self.on_leave = on_leave
        self.sometimes = sometimes
        self.jobs: dict[str, Job] = {}
        self.by_worker: dict[str, list[Job]] = {}
        self.requests: dict[str, int] = {}
        self.listed_at = 0.0  # when all were shown for the last time
        self._waiting: list[Job] = []
        self._listed: list[Job] = []  # those that lists show: the Hub drops old ones

    @property
    def is_well(self) -> bool:
        """Whether nothing goes wrong any more."""
        return self.clock.now >= self.plan.heals

    def chance(self, rate: float) -> bool:
        """Say whether something goes wrong that does so at this rate."""
        return rate > 0 and not self.is_well and self.rng.random() < rate

    def count(self, kind: str) -> None:
        self.requests[kind] = self.requests.get(kind, 0) + 1

    def delay(self) -> float:
        return self.plan.api * self.rng.uniform(0.5, 1.5)

    # --- jobs come and go ---------------------------------------------------------------------

    def create(self, command: do.Post) -> Job:
        """Create the job of a launch request."""
        job = Job(self, len(self.jobs) + 1, command)
        self.jobs[job.id] = job
        self._listed.append(job)
        others = self.by_worker.setdefault(job.worker, [])
        if others:
            self.sometimes("two jobs for one launch")
        others.append(job)
        plan, rng = self.plan, self.rng
        if self.chance(plan.never_comes):
            self.sometimes("hardware never comes")
        elif self.chance(plan.never_starts):
            self.sometimes("hardware does not come")
            self.clock.at(plan.heals + rng.uniform(*plan.cold), self._schedule, job)
        else:
            self.clock.later(rng.uniform(*plan.cold), self._schedule, job)
        if self.chance(plan.job_killed):
            stage = rng.choice(("ERROR", "ERROR", "CANCELED", "DELETED", "COMPLETED"))
            after = rng.uniform(0.0, plan.cold[1] + plan.kill_after)
            self.clock.later(after, self._kill, job, stage)
        if self.chance(plan.job_restarted):
            self.clock.later(plan.cold[1] + rng.uniform(0.0, plan.kill_after), job.restart)
        return job

    def _kill(self, job: Job, stage: str) -> None:
        if not self.is_well and job.alive:
            self.sometimes("a job is killed")
            job.end(stage, "world")

    def _schedule(self, job: Job) -> None:
        if self._has_room(job.command.kind):
            job.start()
        else:
            self._waiting.append(job)
            self.sometimes("a job waits for capacity")
            self.clock.at(self.plan.heals, job.start)

    def _has_room(self, kind: str) -> bool:
        capacity = -1 if self.is_well else self.plan.capacity_of(kind)
        running = (
            job.alive and job.started >= 0 for job in self._listed if job.command.kind == kind
        )
        return capacity < 0 or sum(running) < capacity

    def freed(self) -> None:
        """Start a job that waits for capacity."""
        self._waiting = [job for job in self._waiting if job.alive and job.started < 0]
        for job in self._waiting:
            if self._has_room(job.command.kind):
                self._waiting.remove(job)
                job.start()
                return

    # --- requests -----------------------------------------------------------------------------

    def show(self, *, launch: str = "") -> tuple[ev.JobSeen, ...]:
        """Return what a list shows: jobs as they were, some not at all, and others' jobs."""
        plan, rng = self.plan, self.rng
        lag = 0.0
        if not launch:
            self.listed_at = self.clock.now
        if plan.list_lag and not self.is_well:
            # Where lists lag much, all of them do: no fresh one tells what others hide.
            lag = plan.list_lag * (1.0 if plan.list_lag >= 10 else rng.choice((0.0, 0.5, 1.0)))
        found = []
        if len(self._listed) > 100:
            horizon = self.clock.now - DROPPED
            self._listed = [j for j in self._listed if j.alive or j.history[-1][0] > horizon]
        jobs = self.by_worker.get(launch, []) if launch else self._listed
        for job in jobs:
            if job.forgotten or self.chance(plan.list_misses):
                continue
            seen = job.seen(lag)
            if seen is not None:
                found.append(seen)
        if self.chance(plan.foreign) and self.jobs:
            self.sometimes("a foreign job carries our labels")
            like = launch or rng.choice(self._listed or list(self.jobs.values())).worker
            found.insert(
                rng.randrange(len(found) + 1),
                ev.JobSeen("foreign", "RUNNING", launch=like, foreign="another owner"),
            )
        return tuple(found)

    def cancel(self, job_id: str) -> bool:
        """Cancel a job; False: it fails, and may have been carried out all the same."""
        job = self.jobs[job_id]
        fails = self.chance(self.plan.cancel_fails)
        if not fails or self.rng.random() < 0.5:
            job.end("CANCELED", "core")
        job.cancel_failed = job.cancel_failed or fails
        return not fails

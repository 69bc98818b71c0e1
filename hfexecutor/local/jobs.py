"""A job of a LocalHub: its record, and its life from SCHEDULING to the end."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import faults
from .errors import CannotStartError, OutOfMemoryError
from .injection.jobs import JobFaults
from .runners import Launch
from .stages import End, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .injection.injector import Injector
    from .logs import Log
    from .runners import Answer, Runner, Running
    from .schema import Spec
    from .timings import Timings


class Job:
    """One job: what it is, where it stands, its log, and the task that carries it through its life.

    Attributes:
        spec: what was asked for.
        labels, ports, public_ports: as in the spec, but they can be replaced while the job lives.
        was_exposed: whether it has had an exposed port at any time.
        urls: the address of each exposed port.
        urls_at_launch: whether they are told before the job runs.
    """

    def __init__(
        self,
        job_id: str,
        number: int,
        spec: Spec,
        log: Log,
        initiator: dict[str, Any],
        *,
        urls_at_launch: bool,
    ) -> None:
        self.id = job_id
        self.number = number
        self.spec = spec
        self.log = log
        self.initiator = initiator
        self.labels = dict(spec.labels)
        self.ports = spec.expose.ports
        self.public_ports = spec.expose.public
        self.was_exposed = bool(spec.expose.ports)
        self.stage = Stage.SCHEDULING
        self.message: str | None = None
        self.cancel_reason: str | None = None
        self.failures = 0
        self.created = datetime.now(UTC)
        self.started: datetime | None = None
        self.finished: datetime | None = None
        self.running: Running | None = None
        self.urls: dict[int, str] = {}
        self.urls_at_launch = urls_at_launch
        self.odd_stage: str | None = None
        self.log_ended: float | None = None
        self.history: list[tuple[float, Stage]] = [(time.monotonic(), self.stage)]
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.stage}>"

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that carry the job out."""
        return self.running.pids if self.running else ()

    @property
    def doors(self) -> Mapping[int, Answer]:
        """What answers at exposed ports in the place of a process."""
        return self.running.doors if self.running else {}

    @property
    def shown_stage(self) -> str:
        """The stage as the API tells it."""
        return self.word_for(self.stage)

    def word_for(self, stage: Stage) -> str:
        """Return what the API calls one of the job's stages."""
        return self.odd_stage if self.odd_stage and stage is Stage.RUNNING else str(stage)

    def stage_at(self, moment: float | None) -> Stage | None:
        """The stage at a moment (by the monotonic clock), or now; None: there was no job then."""
        if moment is None:
            return self.stage
        return next((stage for at, stage in reversed(self.history) if at <= moment), None)

    def end(self, end: End, *, at_once: bool = False) -> None:
        """Bring the job to an end from outside: cancel it, say.

        Args:
            end: stage and message.
            at_once: whether the stage changes before the processes are gone.
        """
        if not self._end.done():
            self._end.set_result(end)
            if at_once:
                self._finish(end)
        self.kill()

    def kill(self) -> None:
        """Kill what runs of the job; that is no end if it is tried again."""
        if self.running:
            self.running.kill()

    async def quiet(self) -> None:
        """Wait until nothing of the job runs."""
        await self._idle.wait()

    async def live(self, runner: Runner, timings: Timings, injector: Injector) -> None:
        """Take the job through its life."""
        self._idle.clear()
        try:
            end = await self._until_end(runner, timings, injector)
        finally:
            if self.running:
                self.running.kill()
            self._idle.set()
        self.log.end()
        self.log_ended = time.monotonic()
        if not self.stage.over:
            await asyncio.sleep(timings.stage_lag)
        self._finish(end)

    async def _until_end(self, runner: Runner, timings: Timings, injector: Injector) -> End:
        flavor = self.spec.flavor
        for stuck in injector.strike(faults.Stuck, self.number, self.labels, flavor=flavor):
            self.message = stuck.message
            await self._ends_within(stuck.seconds)
            self.message = None
        if self._end.done() or await self._ends_within(timings.start):
            return self._end.result()
        deadline = time.monotonic() + (self.spec.timeout or timings.job_timeout)
        job_faults = JobFaults(self, injector)
        end = End(Stage.ERROR)
        for attempt in itertools.count(1):
            try:
                end = await self._attempt(runner, attempt, deadline, job_faults)
            except CannotStartError as error:
                # What is missing now would be missing in the next attempt.
                self.log.say(str(error))
                self.failures += 1
                end = End(Stage.ERROR, str(error))
                break
            if end.stage is Stage.COMPLETED or self._end.done():
                break
            self.failures += 1
            if attempt >= self.spec.attempts + job_faults.retries:
                break
        job_faults.over()
        if not self._end.done():
            # The job has come to an end by itself: who cancels it before its stage tells so, which
            # lags, is too late.
            self._end.set_result(end)
        return self._end.result()

    async def _attempt(
        self, runner: Runner, attempt: int, deadline: float, job_faults: JobFaults
    ) -> End:
        self.log.say(f"===== Job started at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} =====")
        if job_faults.forestall():
            self._enter_running()
            return _failed(137, "Error")
        output = job_faults.output()
        self.running = running = await self._started(runner, attempt, output.feed, deadline)
        if running is None:
            return End(Stage.ERROR)
        self._enter_running()
        job_faults.begin()
        try:
            end = _ended(await self._status(running, deadline))
        except OutOfMemoryError:
            end = _failed(137, "OOMKilled")
        self.running = None
        output.flush()
        return end

    async def _started(
        self, runner: Runner, attempt: int, write: Callable[[bytes], None], deadline: float
    ) -> Running | None:
        """Start an attempt, which may take long; None: the job is to end before that is done."""
        starting = asyncio.ensure_future(runner.start(self._launch(attempt), write))
        try:
            await self._wait_for(starting, deadline)
        finally:
            starting.cancel()  # nothing happens where it is done
            await asyncio.wait({starting})
        return None if starting.cancelled() else starting.result()

    async def _status(self, running: Running, deadline: float) -> int:
        """Wait until the attempt has ended; end it when the job is to end or its time is up."""
        over = asyncio.ensure_future(running.wait())
        await self._wait_for(over, deadline)
        return await over

    async def _wait_for(self, one: asyncio.Future[Any], deadline: float) -> None:
        """Wait for something, but no longer than the job may live; past that, end the job."""
        left = max(0.0, deadline - time.monotonic())
        await asyncio.wait({one, self._end}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not one.done():
            self.end(End(Stage.ERROR, "Job timeout"))

    def _launch(self, attempt: int) -> Launch:
        spec = self.spec
        return Launch(
            job_id=self.id,
            number=self.number,
            attempt=attempt,
            image=spec.image or spec.space or "",
            command=spec.command,
            arguments=spec.arguments,
            environment=spec.environment,
            secrets=spec.secrets,
            labels=self.labels,
            flavor=spec.flavor,
            volumes=spec.mounts,
            ssh=spec.ssh.enabled,
        )

    def _enter_running(self) -> None:
        if self.stage is Stage.SCHEDULING:
            self.started = datetime.now(UTC)
            self._enter(Stage.RUNNING)

    def _finish(self, end: End) -> None:
        if self.stage.over:
            return
        self.message, self.cancel_reason = end.message, end.cancel_reason
        self.finished = datetime.now(UTC)
        self._enter(end.stage)

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self.history.append((time.monotonic(), stage))

    async def _ends_within(self, seconds: float | None) -> bool:
        if seconds is None or seconds > 0:
            await asyncio.wait({self._end}, timeout=seconds)
        return self._end.done()


def _ended(status: int) -> End:
    if status == 0:
        return End(Stage.COMPLETED)
    # A container tells the signal as 128 + its number.
    return _failed(status if status > 0 else 128 - status, "Error")


def _failed(code: int, reason: str) -> End:
    return End(Stage.ERROR, f"Job failed with exit code: {code}. Reason: {reason}")

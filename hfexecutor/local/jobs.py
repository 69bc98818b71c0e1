"""A job of a LocalHub: its record, and its life from SCHEDULING to the end."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import faults
from .errors import CannotStartError
from .mischief import Mischief
from .runners import Launch
from .stages import End, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .logs import Log
    from .plan import Plan
    from .runners import Answer, Runner, Running
    from .specs import Spec
    from .timings import Timings


class Job:
    """One job: what it is, where it stands, its log, and the task that carries it through its life.

    Attributes:
        spec: what was asked for.
        labels, ports, public_ports: as in the spec, but they can be replaced while the job lives.
        was_exposed: whether it has had an exposed port at any time.
    """

    def __init__(
        self, job_id: str, number: int, spec: Spec, log: Log, initiator: dict[str, Any]
    ) -> None:
        self.id = job_id
        self.number = number
        self.spec = spec
        self.log = log
        self.initiator = initiator
        self.labels = dict(spec.labels)
        self.ports = spec.ports
        self.public_ports = spec.public_ports
        self.was_exposed = bool(spec.ports)
        self.stage = Stage.SCHEDULING
        self.message: str | None = None
        self.cancel_reason: str | None = None
        self.failures = 0
        self.created = datetime.now(UTC)
        self.started: datetime | None = None
        self.finished: datetime | None = None
        self.running: Running | None = None
        self.urls: dict[int, str] = {}
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
        if self.running:
            self.running.kill()

    async def quiet(self) -> None:
        """Wait until nothing of the job runs."""
        await self._idle.wait()

    async def live(self, runner: Runner, timings: Timings, plan: Plan) -> None:
        """Take the job through its life."""
        self._idle.clear()
        try:
            end = await self._until_end(runner, timings, plan)
        finally:
            if self.running:
                self.running.kill()
            self._idle.set()
        self.log.end()
        self.log_ended = time.monotonic()
        if not self.stage.over:
            await asyncio.sleep(timings.stage_lag)
        self._finish(end)

    async def _until_end(self, runner: Runner, timings: Timings, plan: Plan) -> End:
        for stuck in plan.strike(faults.Stuck, self.number, self.labels):
            await self._ends_within(stuck.seconds)
        if self._end.done() or await self._ends_within(timings.start):
            return self._end.result()
        deadline = time.monotonic() + (self.spec.timeout or timings.job_timeout)
        mischief = Mischief(self, plan)
        end = End(Stage.ERROR)
        for attempt in itertools.count(1):
            try:
                end = await self._attempt(runner, attempt, deadline, mischief)
            except CannotStartError as error:
                # What is missing now would be missing in the next attempt.
                self.log.say(str(error))
                self.failures += 1
                end = End(Stage.ERROR, str(error))
                break
            if end.stage is Stage.COMPLETED or self._end.done():
                break
            self.failures += 1
            if attempt >= self.spec.attempts + mischief.retries:
                break
        mischief.over()
        return self._end.result() if self._end.done() else end

    async def _attempt(
        self, runner: Runner, attempt: int, deadline: float, mischief: Mischief
    ) -> End:
        self.log.say(f"===== Job started at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} =====")
        output = mischief.output()
        self.running = running = await self._started(runner, attempt, output.feed, deadline)
        if running is None:
            return End(Stage.ERROR)
        self._enter_running()
        mischief.begin()
        status = await self._status(running, deadline)
        self.running = None
        output.flush()
        return _ended(status)

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
            attempt=attempt,
            image=spec.image or spec.space or "",
            command=spec.command,
            arguments=spec.arguments,
            environment=spec.environment,
            secrets=spec.secrets,
            labels=self.labels,
            flavor=spec.flavor,
            volumes=spec.volumes,
            ssh=spec.ssh,
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
    code = status if status > 0 else 128 - status
    return End(Stage.ERROR, f"Job failed with exit code: {code}. Reason: Error")

"""The jobs of a hub, and what can be done with them. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from . import replies
from .errors import ApiError
from .jobs import Job
from .logs import Log
from .stages import End, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .doors import Doors
    from .plan import Plan
    from .runners import Runner
    from .specs import Spec
    from .timings import Timings


class Store:
    """All jobs, newest last."""

    def __init__(
        self, runner: Runner, timings: Timings, doors: Doors, plan: Plan, window: int | None
    ) -> None:
        self.runner = runner
        self.timings = timings
        self.doors = doors
        self.plan = plan
        self._window = window
        self._jobs: dict[str, Job] = {}
        self._lives: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs.values()))

    def __getitem__(self, job_id: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise ApiError(404, "Job not found")
        return job

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str | None) -> Job | None:
        """Return a job, or None if there is none of that id."""
        return self._jobs.get(job_id or "")

    def start(self, spec: Spec, initiator: dict[str, Any]) -> Job:
        """Create a job and set it going."""
        log = Log(replies.now, self._window)
        job = Job(secrets.token_hex(12), len(self._jobs), spec, log, initiator)
        self._jobs[job.id] = job
        life = asyncio.ensure_future(self._live(job))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return job

    async def _live(self, job: Job) -> None:
        try:
            await self.doors.open(job)
            await job.live(self.runner, self.timings, self.plan)
        except Exception as error:
            # A fault of this hub, or of the runner that it was given: nobody must wait for the job.
            job.end(End(Stage.ERROR, f"LocalHub failed: {error!r}"), at_once=True)
            job.log.end()
            raise
        finally:
            self.doors.job_over(job)

    async def cancel(self, job: Job) -> None:
        """Cancel a job; comes back when none of its processes is left.

        Raises:
            ApiError: 409, it is over already.
        """
        if job.stage.over:
            if job.stage is Stage.CANCELED:
                return
            raise ApiError(409, f"Job is already finished ({job.stage})")
        job.end(End(Stage.CANCELED, "Job canceled by user"), at_once=True)
        await job.quiet()

    async def expose(self, job: Job, ports: Iterable[int], public: Iterable[int]) -> None:
        """Replace the exposed ports of a job."""
        if job.stage.over:
            raise ApiError(409, f"Job is already finished ({job.stage})")
        job.ports = tuple(dict.fromkeys(ports))
        job.public_ports = tuple(dict.fromkeys(public))
        job.was_exposed = job.was_exposed or bool(job.ports)
        await self.doors.open(job)

    def find(
        self,
        stages: set[str],
        labels: list[tuple[str, str]],
        before: int | None = None,
        moment: float | None = None,
    ) -> Iterator[Job]:
        """Yield jobs that are in one of the stages and have all the labels, newest first.

        Args:
            stages: none: in any stage.
            labels: keys and values.
            before: only jobs whose numbers are lower.
            moment: the stages are those of then (by the monotonic clock); None: of now.
        """
        for job in reversed(self._jobs.values()):
            stage = job.stage_at(moment)
            if (
                stage is not None
                and (before is None or job.number < before)
                and (not stages or stage in stages)
                and all(job.labels.get(key) == value for key, value in labels)
            ):
                yield job

    async def close(self) -> None:
        """Kill all jobs, and wait until nothing is left of them."""
        for job in self:
            job.end(End(Stage.CANCELED, "The hub was closed"), at_once=True)
        await self.runner.close()
        for life in tuple(self._lives):
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)

"""The jobs of a hub, and what can be done with them. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import replies
from .errors import ApiError
from .jobs import Job
from .logs import Log
from .stages import End, Stage
from .volumes.runner import WithVolumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .doors import Doors
    from .injection.injector import Injector
    from .runners import Runner
    from .schema import Spec
    from .settings import Settings
    from .volumes.attaching import Volumes


class Store:
    """All jobs, newest last."""

    def __init__(
        self,
        runner: Runner,
        volumes: Callable[[], Volumes],
        *,
        settings: Settings,
        doors: Doors,
        injector: Injector,
        folder: str,
    ) -> None:
        self.runner = runner
        self._with_volumes = WithVolumes(runner, volumes)
        self.timings = settings.timings
        self.doors = doors
        self.injector = injector
        self._settings = settings
        self._logs = Path(folder, "logs")
        self._logs.mkdir()
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

    async def start(self, spec: Spec, initiator: dict[str, Any]) -> Job:
        """Create a job and set it going; its doors have their addresses when this returns."""
        job_id, settings = secrets.token_hex(12), self._settings
        log = Log(replies.now, self._logs / job_id, settings.log_window, settings.log_limit)
        job = Job(
            job_id,
            len(self._jobs),
            spec,
            log,
            initiator,
            urls_at_launch=settings.urls_at_launch,
        )
        self._jobs[job.id] = job
        await self.doors.open(job)
        life = asyncio.ensure_future(self._live(job))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return job

    async def _live(self, job: Job) -> None:
        try:
            await job.live(self._with_volumes, self.timings, self.injector)
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

"""What all edges share: the way to the Hub, the way to the core, and how their tasks end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from hfexecutor.core.events import EdgeFailed, JobSeen
from hfexecutor.errors import HubExecutorError
from hfexecutor.labels import CALLS_LABEL, LAUNCH_LABEL, calls_in_label

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from hfexecutor.core.events import Event
    from hfexecutor.hub.models import Job
    from hfexecutor.options import Options
    from hfexecutor.runtime.connection import Connection
    from hfexecutor.runtime.link import Links

__all__ = ["Surroundings", "Tasks", "internal_error", "seen"]

logger = logging.getLogger("hfexecutor")


class Tasks:
    """Tasks on the running loop, none of which fails unheard.

    Args:
        tell: Takes events to the core.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], tuple[str, set[asyncio.Task[None]]]] = {}

    def start(
        self,
        work: Coroutine[Any, Any, None],
        worker: str = "",
        *,
        among: set[asyncio.Task[None]] | None = None,
    ) -> asyncio.Task[None]:
        """Run `work` for a worker, or for none; what it dies of is told as EdgeFailed.

        Args:
            work: What to do.
            worker: For whom.
            among: Has the task in it for as long as it runs, for who may have to end it.
        """
        task = self._loop.create_task(work)
        tasks = set() if among is None else among
        tasks.add(task)
        self._tasks[task] = worker, tasks
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        worker, tasks = self._tasks.pop(task)
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell(EdgeFailed(worker, internal_error(error)))

    async def aclose(self) -> None:
        """Cancel all of them, and wait for their ends."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Surroundings(NamedTuple):
    """What each edge is given.

    Attributes:
        connection: The way to the Hub.
        options: The executor's.
        links: The keys of workers, and what puts together what they say.
        tasks: Where an edge's own work runs.
        tell: Takes events to the core.
    """

    connection: Connection
    options: Options
    links: Links
    tasks: Tasks
    tell: Callable[[Event], None]


def internal_error(error: BaseException) -> HubExecutorError:
    """Return what to tell a user of an error that nobody foresaw, and log it whole."""
    if isinstance(error, HubExecutorError):
        return error
    logger.error("internal error in hfexecutor, please report it", exc_info=error)
    told = HubExecutorError(
        f"internal error in hfexecutor, please report it ({type(error).__name__}: {error})"
    )
    told.__cause__ = error
    return told


def seen(job: Job, foreign: str | None = None) -> JobSeen:
    """Return what the core looks at of a job that the Hub shows."""
    return JobSeen(
        id=job.id,
        stage=job.stage,
        url=job.url,
        launch=job.labels.get(LAUNCH_LABEL, ""),
        message=job.message or "",
        cancel_reason=job.cancel_reason or "",
        door=job.expose_urls[0] if job.expose_urls else "",
        foreign=foreign or "",
        aboard=tuple(
            call for some in calls_in_label(job.labels.get(CALLS_LABEL, "")) for call in some
        ),
        started=job.started_at.timestamp() if job.started_at is not None else None,
    )

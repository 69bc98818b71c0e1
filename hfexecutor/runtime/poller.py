"""Jobs as the Hub knows them: one list for all, one by its id, and an end to one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from hfexecutor.core.events import CancelEnded, Inspected, Listed, ListFailed
from hfexecutor.errors import HubExecutorError, HubRequestError
from hfexecutor.runtime.edge import seen

if TYPE_CHECKING:
    from hfexecutor.core import commands as do
    from hfexecutor.runtime.edge import Surroundings

__all__ = ["Poller"]

_LOOKS: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds before each: stages lag


class Poller:
    """Ask for jobs, and cancel them."""

    def __init__(self, around: Surroundings) -> None:
        self._connection = around.connection
        self._tasks = around.tasks
        self._tell = around.tell
        self._loop = asyncio.get_running_loop()

    def list(self, _: do.List) -> None:
        """List the jobs of the run."""
        self._tasks.start(self._list())

    async def _list(self) -> None:
        connection, asked = self._connection, self._loop.time()
        try:
            jobs = await connection.hub.list_jobs(connection.labels)
            found = [seen(job, await connection.claim_problem(job)) for job in jobs]
        except HubExecutorError as error:
            self._tell(ListFailed(error))
        else:
            self._tell(Listed(asked, tuple(found)))

    def inspect(self, command: do.Inspect) -> None:
        """Ask for one job."""
        self._tasks.start(self._inspect(*command), command.worker)

    async def _inspect(self, worker: str, job_id: str) -> None:
        try:
            job = await self._connection.hub.inspect(job_id)
        except HubRequestError:
            self._tell(Inspected(worker, None))
        except HubExecutorError as error:
            self._tell(ListFailed(error))
        else:
            self._tell(Inspected(worker, seen(job)))

    def cancel(self, command: do.CancelJob) -> None:
        """Make sure that a job runs no longer."""
        self._tasks.start(self._cancel(*command))

    async def _cancel(self, job_id: str, look: bool) -> None:
        try:
            await self._connection.hub.cancel(job_id)
        except HubExecutorError as error:
            self._tell(CancelEnded(job_id, error))
        else:
            began = not look or await self._began(job_id)
            self._tell(CancelEnded(job_id, began=began))

    async def _began(self, job_id: str) -> bool:
        """Find out whether a job ever began to run; it may have, where nobody tells.

        A call may be waiting for this that must not begin twice. So what the Hub says counts once
        it shows the job as over, and not while it may still be catching up.
        """
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            try:
                job = await self._connection.hub.inspect(job_id)
            except HubExecutorError:
                return True
            if job.started_at is not None:
                return True
            if job.finished:
                return False
        return True

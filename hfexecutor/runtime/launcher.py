"""Launches: a place, the rate limit, one POST; and the look for a job whose POST was unclear."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from hfexecutor.core.events import Admitted, Launched, LaunchFailed, LaunchFailure, Looked
from hfexecutor.errors import HubError, HubExecutorError, RateLimitedError
from hfexecutor.hub.launch import (
    LaunchAmbiguousError,
    LaunchError,
    LaunchLimitedError,
    LaunchRefusedError,
    LaunchUndeliveredError,
)
from hfexecutor.labels import LAUNCH_LABEL
from hfexecutor.runtime.edge import seen
from hfexecutor.runtime.launch_request import compose

if TYPE_CHECKING:
    from hfexecutor.core import commands as do
    from hfexecutor.runtime.edge import Surroundings
    from hfexecutor.runtime.values import Values

__all__ = ["Launcher"]

PLACES: Final = 16  # requests under way at once


class Launcher:
    """Send launch requests.

    A launch that waits, for a place or for the rate limit, has sent nothing: the core says what
    goes aboard, or that nobody wants it any more, when it has its turn.
    """

    def __init__(self, around: Surroundings, values: Values) -> None:
        self._values = values
        self._connection = around.connection
        self._options = around.options
        self._tasks = around.tasks
        self._tell = around.tell
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(PLACES)
        self._turns: dict[str, asyncio.Future[do.Post]] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def launch(self, command: do.Launch) -> None:
        """Wait for a turn, and send what the core says then."""
        self._waiting[command.worker] = self._tasks.start(self._launch(command), command.worker)

    def post(self, command: do.Post) -> None:
        """Hand over what is to be sent."""
        self._waiting.pop(command.worker, None)  # from now on nothing takes it back
        self._turns.pop(command.worker).set_result(command)

    def withdraw(self, command: do.Withdraw) -> None:
        """Drop a launch that was not sent."""
        self._turns.pop(command.worker, None)
        if (task := self._waiting.pop(command.worker, None)) is not None:
            task.cancel()

    async def _launch(self, command: do.Launch) -> None:
        worker, attempt = command
        async with self._places:
            try:
                await self._connection.hub.admit_launch()
            except HubExecutorError as error:
                self._waiting.pop(worker, None)
                self._failed(worker, attempt, error)
                return
            turn = self._turns[worker] = self._loop.create_future()
            self._tell(Admitted(worker, attempt))
            await self._post(await turn)

    async def _post(self, command: do.Post) -> None:
        worker, attempt = command.worker, command.attempt
        try:
            mounts = await self._values.mounts(command)
            spec = compose(self._connection, self._options, command, mounts)
            job = await self._connection.hub.launch(spec)
        except (LaunchError, HubExecutorError) as error:
            self._failed(worker, attempt, error)
        else:
            self._connection.note_ours(job)
            self._tell(Launched(worker, attempt, seen(job)))

    def _failed(self, worker: str, attempt: int, error: Exception) -> None:
        failure, error = _sort(error)
        self._tell(LaunchFailed(worker, attempt, failure, error))

    def look_for(self, command: do.LookFor) -> None:
        """List the jobs that carry a launch's label."""
        self._tasks.start(self._look_for(command.worker), command.worker)

    async def _look_for(self, worker: str) -> None:
        connection = self._connection
        try:
            labels = {**connection.labels, LAUNCH_LABEL: worker}
            jobs = await connection.hub.list_jobs(labels)
            found = [seen(job, await connection.claim_problem(job)) for job in jobs]
        except HubError:
            self._tell(Looked(worker, None))
        else:
            self._tell(Looked(worker, tuple(found)))


def _sort(error: Exception) -> tuple[LaunchFailure, Exception]:
    """Return what an error says about the job, and what to tell of it."""
    if isinstance(error, LaunchRefusedError):
        return LaunchFailure.REFUSED, error.error
    if isinstance(error, LaunchAmbiguousError):
        return (LaunchFailure.UNCLEAR if error.again else LaunchFailure.HOPELESS), error
    if isinstance(error, (LaunchLimitedError, RateLimitedError)):
        return LaunchFailure.LIMITED, error
    if isinstance(error, LaunchUndeliveredError):
        return LaunchFailure.UNDELIVERED, error
    return LaunchFailure.REFUSED, error

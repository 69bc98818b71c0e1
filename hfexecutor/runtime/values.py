"""Large values on their way through a bucket that jobs mount."""

from __future__ import annotations

import asyncio
import logging
import weakref
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from hfexecutor.core import failures
from hfexecutor.core.events import Collected, CollectFailed, Stored, StoreFailed
from hfexecutor.errors import (
    HubError,
    HubExecutorError,
    HubUnavailableError,
    UnpicklableResultError,
)
from hfexecutor.hub.threads import in_thread
from hfexecutor.payload.remote_value import Carried
from hfexecutor.remote import outcomes
from hfexecutor.runtime.result_file import ResultFile
from hfexecutor.runtime.values_bucket import ARGUMENTS, RESULTS, ValuesBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingface_hub import Volume

    from hfexecutor.core import commands as do
    from hfexecutor.payload.remote_value import Content
    from hfexecutor.remote.outcomes import Outcome
    from hfexecutor.runtime.edge import Surroundings

__all__ = ["Mounts", "Values"]

logger = logging.getLogger("hfexecutor")

UPLOADS: Final = 2  # at once: each takes several connections
DOWNLOADS: Final = 4
_NOT_BEFORE: Final = (
    "no value of this run was large before, so its job had none (calls from now on have one, and "
    "with bucket=True all)"
)
_GATHER: Final = 5.0  # seconds in which results that nobody needs are gathered, for one request
_LEAVE: Final = 30.0  # seconds that the end of a run waits until its files are removed


class Mounts(NamedTuple):
    """What a job has of the bucket: volumes, and where arguments and results are there.

    `why_not` says why it has no place for results.
    """

    volumes: tuple[Volume, ...] = ()
    arguments: str | None = None
    results: str | None = None
    why_not: str = ""


class Values:
    """Store arguments, collect results, and remove what is left of both in the end.

    Args:
        around: What each edge is given.
        ours: The run is this process's: what was collected can go.
    """

    def __init__(self, around: Surroundings, *, ours: bool) -> None:
        self._ours = ours
        self._connection = around.connection
        self._options = around.options
        self._tasks = around.tasks
        self._tell = around.tell
        self._uploads = asyncio.Semaphore(UPLOADS)
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._opened: ValuesBucket | None = None
        self._unneeded: list[str] = []  # paths that are not removed yet
        self._why_not = ""  # jobs have a place for results, for good

    async def _bucket(self) -> ValuesBucket:
        hub = self._connection.hub
        namespace = await hub.resolve_namespace()
        if self._opened is None:
            self._opened = ValuesBucket(
                hub.endpoint, namespace, self._connection.nonce, self._options.name
            )
        self._opened.token = await hub.token()
        return self._opened

    # --- arguments ---------------------------------------------------------------------------

    def store(self, command: do.Store) -> None:
        """Put a buffer into the bucket."""
        self._tasks.start(self._store(command))

    async def _store(self, command: do.Store) -> None:
        buffer = command.buffer
        try:
            async with self._uploads:
                bucket = await self._bucket()
                await in_thread(partial(bucket.put, buffer))
        except (HubExecutorError, OSError, MemoryError) as error:
            self._tell(StoreFailed(buffer.name, _told(error)))
        else:
            self._tell(Stored(buffer.name))

    async def mounts(self, command: do.Post) -> Mounts:
        """Return what a job is to mount.

        One that cannot have a place for results runs all the same: most results are small.
        """
        volumes, arguments, results, why_not = [], None, None, self._why_not
        if not command.results:
            given = self._options.bucket is not None
            why_not = "bucket=False was given" if given else _NOT_BEFORE
        stored = {b.name: b for call in command.calls if call.stored for b in call.buffers}
        if stored:
            arguments = ARGUMENTS
            bucket = await self._bucket()
            await in_thread(partial(bucket.restore, stored.values()))
            volumes.append(bucket.volume("arguments", arguments, read_only=True))
        elif command.arguments:
            try:
                bucket = await self._bucket()
                await in_thread(partial(bucket.make_folder, "arguments"))
            except HubExecutorError as error:
                logger.info("large arguments go to a job through its port alone: %s", error)
            else:
                arguments = ARGUMENTS
                volumes.append(bucket.volume("arguments", arguments, read_only=True))
        if not why_not:
            try:
                bucket = await self._bucket()
                await in_thread(partial(bucket.make_folder, "results"))
            except HubExecutorError as error:
                why_not = str(error)
                if not isinstance(error, HubUnavailableError):  # it will not pass
                    self._why_not = why_not
                logger.info("large results cannot come back through a bucket: %s", error)
            else:
                results = RESULTS
                volumes.append(bucket.volume("results", results, read_only=False))
        return Mounts(tuple(volumes), arguments, results, why_not)

    # --- results -----------------------------------------------------------------------------

    def collect(self, command: do.Collect) -> None:
        """Get a value out of the bucket."""
        self._tasks.start(self._collect(command))

    async def _collect(self, command: do.Collect) -> None:
        call, outcome = command.call, command.outcome
        assert isinstance(outcome, outcomes.Outcome)
        try:
            said = outcome.details()
            async with self._downloads:
                bucket = await self._bucket()
                front, places = await in_thread(partial(bucket.get, said))
        except MemoryError as error:
            self._tell(CollectFailed(call.id, failures.no_room_here(command.where, str(error))))
        except (HubExecutorError, OSError) as error:
            self._tell(CollectFailed(call.id, _told(error)))
        except (outcomes.OutcomeError, LookupError, TypeError, ValueError, OverflowError) as error:
            text = f"the outcome from {command.where} cannot be read: {error!r}"
            self._tell(CollectFailed(call.id, UnpicklableResultError(text)))
        else:
            self._tell(Collected(call.id, outcome.with_value(front, places)))
            if self._ours:  # now: who attaches to a run that is detached meanwhile still has it
                await in_thread(partial(bucket.remove, [bucket.path_of(said)]))

    def content(self, outcome: Outcome, where: str, *, unneeded: Callable[[str], None]) -> Content:
        """Return what a handle stands for: a file, or what came with the outcome.

        Args:
            outcome: Of its call.
            where: That ran, for messages.
            unneeded: Hears the file's name when nobody refers to it any more.

        Raises:
            Exception: The outcome is none that our jobs say.
        """
        if outcome.status == outcomes.VALUE:
            return Carried(outcome.whole())
        assert self._opened is not None  # it is what the job has mounted
        token = self._connection.hub.token_now
        file = ResultFile(self._opened, outcome.details(), where, token)
        gone = weakref.finalize(file, unneeded, file.name)
        gone.atexit = False
        return file

    def remove(self, command: do.Remove) -> None:
        """Remove a result that nobody needs, together with those of the next seconds."""
        self._unneeded.append(command.name)
        if len(self._unneeded) == 1:
            self._tasks.start(self._remove())

    async def _remove(self) -> None:
        await asyncio.sleep(_GATHER)
        names, self._unneeded = self._unneeded, []
        try:
            bucket = await self._bucket()
            await in_thread(partial(bucket.remove, [bucket.path_of({"name": n}) for n in names]))
        except (HubExecutorError, MemoryError) as error:  # they go with the run
            logger.debug("results are left in the bucket: %s", error)

    # --- the end -----------------------------------------------------------------------------

    async def clear(self) -> None:
        """Remove what the run has in the bucket; what cannot be is told."""
        if self._opened is None or not self._opened.used:
            return
        try:
            bucket = await self._bucket()
            await in_thread(bucket.clear, _LEAVE)
        except (HubError, TimeoutError) as error:
            logger.warning(
                "large values of this run may be left in its bucket (%s): `hfexecutor sweep` "
                "removes them",
                _told(error),
            )


def _told(error: BaseException) -> HubExecutorError:
    if isinstance(error, HubExecutorError):
        return error
    told = HubExecutorError(f"{type(error).__name__}: {error}".removesuffix(": "))
    told.__cause__ = error
    return told

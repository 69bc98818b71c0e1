"""Gets the volumes of an attempt at a job ready before it starts, and puts them away after it."""

from __future__ import annotations

import asyncio
import itertools
import os
import posixpath
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hfexecutor.local import faults
from hfexecutor.local.errors import ApiError, CannotStartError
from hfexecutor.local.runners import Mount

from . import repositories
from .probe import hindrance
from .view import Delays, View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from hfexecutor.local.buckets.bucket import Bucket
    from hfexecutor.local.buckets.store import Buckets
    from hfexecutor.local.buckets.xet import Xet
    from hfexecutor.local.injection.injector import Injector
    from hfexecutor.local.runners import Launch
    from hfexecutor.local.timings import Timings

_SAVE_SECONDS = 60.0  # what the Hub is said to give mounts for their last writes


@dataclass(slots=True)
class Attached:
    """The volumes of one attempt.

    Attributes:
        mounts: where they are, and where they are to be.
    """

    say: Callable[[str], None]
    mounts: tuple[Mount, ...] = ()
    ends: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def release(self) -> None:
        """Take the last writes into the buckets, and delete the directories."""
        ends, self.ends = self.ends, []
        over = (asyncio.wait_for(end(), _SAVE_SECONDS) for end in ends)
        for error in await asyncio.gather(*over, return_exceptions=True):
            if error is not None:
                self.say(f"what was written to a volume is not in its bucket: {error!r}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One volume that is to be had; `isolated`: only its job will see it, at its place."""

    launch: Launch
    spec: Mapping[str, Any]
    place: str
    isolated: bool


class _Shared:
    """A view for all jobs that only read."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.users = 0
        self.opening = asyncio.ensure_future(view.open(writable=False))


class Volumes:
    """What jobs of this hub can mount.

    Args:
        directory: for the volumes; it is made here.
        buckets: of the hub.
        xet: reads and writes their files.
        timings: how late things are.
        injector: the faults.
    """

    def __init__(
        self,
        directory: Path,
        buckets: Buckets,
        xet: Xet,
        *,
        timings: Timings,
        injector: Injector,
    ) -> None:
        directory.mkdir()
        self._directory = directory
        self._buckets = buckets
        self._xet = xet
        self._timings = timings
        self._injector = injector
        self._numbers = itertools.count()
        self._shared: dict[tuple[str, str], _Shared] = {}

    async def attach(self, launch: Launch, say: Callable[[str], None]) -> Attached:
        """Get volumes ready.

        Args:
            launch: for which attempt.
            say: is told what the job's user has to know.

        Raises:
            CannotStartError: one is not to be had.
        """
        attached = Attached(say)
        places = [posixpath.normpath(str(one["mountPath"])) for one in launch.volumes]
        if twice := {place for place in places if places.count(place) > 1}:
            raise CannotStartError(f"two volumes are to be at {min(twice)}")
        isolated = await asyncio.to_thread(hindrance) is None
        await asyncio.sleep(self._timings.mount)
        try:
            for spec, place in zip(launch.volumes, places, strict=True):
                make = self._of_bucket if spec["type"] == "bucket" else self._of_repository
                mount = await make(_Wanted(launch, spec, place, isolated), attached)
                attached.mounts += (mount,)
        except BaseException:
            await attached.release()
            raise
        return attached

    async def _of_bucket(self, wanted: _Wanted, attached: Attached) -> Mount:
        bucket, folder = self._find(wanted.spec)
        read_only = wanted.spec.get("readOnly") is True
        if read_only and wanted.isolated:
            directory = await self._share(bucket, folder, attached)
        else:
            view = self._view(bucket, folder, self._delays(wanted.launch), attached.say)
            attached.ends.append(view.close)
            await view.open(writable=not read_only)
            directory = view.directory
        return Mount(str(directory), wanted.place, read_only)

    async def _of_repository(self, wanted: _Wanted, attached: Attached) -> Mount:
        kind, name = wanted.spec["type"], wanted.spec["source"]
        revision, path = wanted.spec.get("revision") or "main", wanted.spec.get("path") or ""
        source = repositories.snapshot(os.environ, kind, name, revision, path.strip("/"))
        directory = self._new()
        attached.ends.append(lambda: asyncio.to_thread(shutil.rmtree, directory, True))
        await asyncio.to_thread(repositories.show, source, directory, linked=wanted.isolated)
        note = f"of the {kind} {name} only what this machine's cache has is at {wanted.place}"
        return Mount(str(directory), wanted.place, read_only=True, note=note)

    def _find(self, spec: Mapping[str, Any]) -> tuple[Bucket, str]:
        """Return the bucket and the folder of a volume.

        Raises:
            CannotStartError: there is none; that the Hub fails such a job is told by its client.
        """
        namespace, _, name = spec["source"].partition("/")
        folder = (spec.get("path") or "").strip("/")
        try:
            bucket = self._buckets.get(namespace, name)
        except ApiError as error:
            raise CannotStartError(f"there is no bucket {spec['source']} to mount") from error
        if folder and next(bucket.below(folder), None) is None:
            raise CannotStartError(
                f"there is no folder {folder} in the bucket {bucket.id} to mount"
            )
        return bucket, folder

    async def _share(self, bucket: Bucket, folder: str, attached: Attached) -> Path:
        """Return the directory that all have who only read."""
        key = bucket.key, folder
        shared = self._shared.get(key)
        if shared is None:
            delays = Delays(self._timings.mount_read, None)
            shared = self._shared[key] = _Shared(self._view(bucket, folder, delays, attached.say))
        shared.users += 1
        attached.ends.append(lambda: self._leave(key))
        await asyncio.shield(shared.opening)
        return shared.view.directory

    async def _leave(self, key: tuple[str, str]) -> None:
        shared = self._shared[key]
        shared.users -= 1
        if shared.users == 0:
            del self._shared[key]
            shared.opening.cancel()
            await asyncio.wait({shared.opening})
            await shared.view.close()

    def _view(
        self, bucket: Bucket, folder: str, delays: Delays, say: Callable[[str], None]
    ) -> View:
        return View(
            self._buckets,
            self._xet,
            bucket,
            folder=folder,
            directory=self._new(),
            delays=delays,
            say=say,
        )

    def _new(self) -> Path:
        return self._directory / str(next(self._numbers))

    def _delays(self, launch: Launch) -> Delays:
        strike, which = self._injector.strike, (launch.number, launch.labels)
        late = sum(one.seconds for one in strike(faults.LateWrites, *which))
        lost = strike(faults.LoseWrites, *which)
        write = None if lost else self._timings.mount_write + late
        return Delays(self._timings.mount_read, write)

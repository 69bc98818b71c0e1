"""A directory that shows a folder of a bucket, and takes what is written to it back there.

As the Hub's mounts do, as far as their documentation tells: what others change in the bucket shows
after a while; a file that a job writes gets into the bucket some time after it was closed, and what
is still open when the job ends then. Who writes last wins, a file at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hfexecutor.local.buckets.bucket import File, why_not
from hfexecutor.local.errors import ApiError

from .watching import files, signature, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from hfexecutor.local.buckets.bucket import Bucket
    from hfexecutor.local.buckets.store import Buckets
    from hfexecutor.local.buckets.xet import Xet

    from .watching import Signature, Watch

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Delays:
    """How late things are, in seconds; None: never.

    Attributes:
        read: from a change of the bucket until the directory shows it.
        write: from the close of a file until it is in the bucket.
    """

    read: float
    write: float | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A file that is the same in the bucket and in the directory."""

    xet_hash: str
    signature: Signature


class View:
    """One directory.

    Args:
        buckets: all of them.
        xet: reads and writes their files.
        bucket: which one.
        folder: which folder of it; "" is all.
        directory: is made here, and a neighbour for what is under way.
        delays: how late things are.
        say: is told what a job's user has to know.
    """

    def __init__(
        self,
        buckets: Buckets,
        xet: Xet,
        bucket: Bucket,
        *,
        folder: str,
        directory: Path,
        delays: Delays,
        say: Callable[[str], None],
    ) -> None:
        self.directory = directory
        self._buckets = buckets
        self._xet = xet
        self._bucket = bucket
        self._prefix = f"{folder}/" if folder else ""
        self._delays = delays
        self._say = say
        self._known: dict[str, _Known] = {}
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._incoming = directory.with_name(f"{directory.name}.incoming")
        self._numbers = itertools.count()
        self._watch: Watch | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stop: Callable[[], None] = lambda: None

    async def open(self, *, writable: bool) -> None:
        """Show what is in the bucket, and keep in step with it from now on."""
        self.directory.mkdir()
        self._incoming.mkdir()
        self._stop = self._bucket.listen(self._news.set)
        await self._show()
        self._keep(self._follow())
        if writable:
            self._watch = watch(self.directory)
            self._keep(self._write_back(self._watch))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._over)
        self._tasks.append(task)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"a volume is no longer kept in step with its bucket: {error!r}")

    async def close(self) -> None:
        """Take into the bucket what is not there yet, and delete the directory."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stop()
        try:
            if self._watch is not None:
                self._watch.close()
                if self._delays.write is not None:
                    await self._save(None)
        finally:
            await asyncio.to_thread(self.remove)

    def remove(self) -> None:
        """Delete the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self._incoming, ignore_errors=True)

    # ------------------------------------------------------------------ from the bucket

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(self._delays.read)
            self._news.clear()
            if self._bucket.gone:
                return
            await self._show()

    async def _show(self) -> None:
        """Bring the directory to what the bucket is now."""
        async with self._lock:
            found = {file.path[len(self._prefix) :]: file for file in self._there()}
            new = {
                path: file
                for path, file in found.items()
                if (known := self._known.get(path)) is None or known.xet_hash != file.xet_hash
            }
            if new:
                await self._fetch(new)
            for path in self._known.keys() - found.keys():
                if self._unchanged(path):
                    with contextlib.suppress(OSError):
                        (self.directory / path).unlink()
                del self._known[path]

    def _there(self) -> list[File]:
        return list(self._bucket.starting_with(self._prefix))

    async def _fetch(self, new: dict[str, File]) -> None:
        drafts = {path: self._incoming / str(next(self._numbers)) for path in new}
        wanted = [(file.xet_hash, file.size, drafts[path]) for path, file in new.items()]
        try:
            await self._xet.in_thread(self._xet.fetch, self._bucket, wanted)
        except Exception:  # the library has many classes for this
            if self._bucket.gone:  # and its bytes with it
                return
            raise
        for path, file in new.items():
            self._place(drafts[path], path, file)

    def _place(self, draft: Path, path: str, file: File) -> None:
        """Put a file where it is to be seen, unless a job has written one there meanwhile."""
        if not self._unchanged(path):
            draft.unlink()
            return
        moment = (file.mtime or file.uploaded) - _EPOCH
        nanoseconds = moment // timedelta(microseconds=1) * 1000
        os.utime(draft, ns=(nanoseconds, nanoseconds))
        found = signature(draft)
        assert found is not None
        target = self.directory / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(target)
        except OSError:  # a bucket can have both "a" and "a/b", and a directory cannot
            draft.unlink()
            return
        self._known[path] = _Known(file.xet_hash, found)

    def _unchanged(self, path: str) -> bool:
        known = self._known.get(path)
        return signature(self.directory / path) == (known.signature if known else None)

    # ------------------------------------------------------------------ to the bucket

    async def _write_back(self, watch: Watch) -> None:
        while self._delays.write is not None:
            await watch.news.wait()
            await asyncio.sleep(self._delays.write)
            await self._save(watch.take())

    async def _save(self, closed: set[str] | None) -> None:
        """Bring the bucket to what the directory is now.

        Args:
            closed: the files, and directories, that have been closed or deleted; None: all are.
        """
        async with self._lock:
            found = await asyncio.to_thread(lambda: dict(files(self.directory)))
            changed = {
                path: at
                for path, at in found.items()
                if (known := self._known.get(path)) is None or known.signature != at
                if closed is None or path in closed
                if why_not(self._prefix + path) is None
            }
            deleted = self._known.keys() - found.keys()
            if (changed or deleted) and not self._bucket.gone:
                await self._upload(changed, deleted)

    async def _upload(self, changed: dict[str, Signature], deleted: set[str]) -> None:
        stored = await self._xet.in_thread(self._store, list(changed))
        now = datetime.now(UTC)
        new = []
        for path, (xet_hash, size) in stored.items():
            changed_at = _EPOCH + timedelta(microseconds=changed[path][0] // 1000)
            new.append(File(self._prefix + path, size, xet_hash, changed_at, now))
        try:
            self._buckets.change(self._bucket, new, [self._prefix + path for path in deleted])
        except ApiError as error:
            self._say(f"what was written to a volume is not in its bucket: {error.message}")
            return
        for path, (xet_hash, _) in stored.items():
            self._known[path] = _Known(xet_hash, changed[path])
        for path in deleted:
            self._known.pop(path, None)

    def _store(self, paths: list[str]) -> dict[str, tuple[str, int]]:
        """Upload files; of what cannot be read, say because it is gone, there is nothing."""
        if not paths:
            return {}
        try:
            found = self._xet.store(self._bucket, [self.directory / path for path in paths])
            return dict(zip(paths, found, strict=True))
        except Exception:  # the library does not say of which file it speaks, nor by which class
            if len(paths) == 1:
                return {}
            return {path: one for alone in paths for path, one in self._store([alone]).items()}

"""All buckets of a hub, and what can be done with them. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hfexecutor.local import faults
from hfexecutor.local.errors import ApiError

from .bucket import Bucket, File, why_not
from .cas import Cas
from .schema import CopyFile, DeleteFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from hfexecutor.local.injection.injector import Injector

    from .schema import AddFile, Operation

_NO_BUCKET = "Repository not found"
# In the Hub's words for repositories; those for buckets are not published.
_QUOTA = "Private repository storage limit reached, please upgrade your plan to increase it."


@dataclass(slots=True)
class Report:
    """How the operations of a batch went."""

    processed: int
    failed: list[tuple[str, str]] = field(default_factory=list)


class Buckets:
    """All buckets of a hub, in the order in which they were made.

    Args:
        directory: where the bytes are; it is made here.
        quota: how many bytes the files of all buckets may have together.
        injector: the faults.
    """

    def __init__(self, directory: Path, quota: int, injector: Injector) -> None:
        directory.mkdir()
        self._directory = directory
        self._quota = quota
        self._injector = injector
        self._stores: dict[str, Cas] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def __iter__(self) -> Iterator[Bucket]:
        return iter(tuple(self._buckets.values()))

    def get(self, namespace: str, name: str) -> Bucket:
        """Return a bucket.

        Raises:
            ApiError: 404, there is none.
        """
        bucket = self._buckets.get((namespace, name))
        if bucket is None:
            raise ApiError(404, _NO_BUCKET, "RepoNotFound")
        return bucket

    def create(self, namespace: str, name: str, *, private: bool) -> Bucket | None:
        """Make a bucket; None: there is one of that name."""
        if (namespace, name) in self._buckets:
            return None
        bucket = self._buckets[namespace, name] = Bucket(namespace, name, private)
        self._stores[bucket.key] = Cas(self._directory / bucket.key)
        return bucket

    def move(self, bucket: Bucket, name: str) -> None:
        """Give a bucket another name.

        Raises:
            ApiError: 409, another one has it.
        """
        if (bucket.namespace, name) in self._buckets:
            raise ApiError(409, f"{bucket.namespace}/{name} already exists")
        del self._buckets[bucket.namespace, bucket.name]
        bucket.name = name
        self._buckets[bucket.namespace, name] = bucket

    async def delete(self, bucket: Bucket) -> None:
        """Delete a bucket with all that was ever uploaded to it."""
        del self._buckets[bucket.namespace, bucket.name]
        bucket.delete()
        await asyncio.to_thread(self._stores.pop(bucket.key).remove)

    def cas(self, bucket: Bucket) -> Cas:
        """Return the storage of a bucket's bytes."""
        return self.cas_of(bucket.key)

    def cas_of(self, key: str) -> Cas:
        """Return the storage of the bytes of the bucket with this key.

        Raises:
            ApiError: 404, it has been deleted.
        """
        store = self._stores.get(key)
        if store is None:
            raise ApiError(404, _NO_BUCKET, "RepoNotFound")
        return store

    def apply(self, bucket: Bucket, operations: Sequence[Operation]) -> Report:
        """Carry out a batch: what can be done of it is done at once, and what cannot is reported.

        Raises:
            ApiError: 403, the quota would be exceeded; nothing is done then.
        """
        report = Report(len(operations))
        put: dict[str, File] = {}
        deleted: dict[str, None] = {}
        for one in operations:
            error = why_not(one.path) or self._fault()
            size = 0 if error or isinstance(one, DeleteFile) else self._size(bucket, one)
            if isinstance(size, str):
                error = size
            if error is not None:
                report.failed.append((one.path, error))
            elif isinstance(one, DeleteFile):
                # That there is no such file is no failure; what the Hub says then is not known.
                put.pop(one.path, None)
                deleted[one.path] = None
            else:
                assert isinstance(size, int)
                now = datetime.now(UTC)
                deleted.pop(one.path, None)
                put[one.path] = File(
                    one.path, size, one.xet_hash, one.changed, now, one.content_type
                )
        self.change(bucket, put.values(), deleted)
        return report

    def change(self, bucket: Bucket, files: Collection[File], deleted: Collection[str]) -> None:
        """Put files of which the content is there into a bucket, and take others out of it.

        Raises:
            ApiError: 403, the quota would be exceeded. 404, the bucket is no more.
        """
        if bucket.gone:
            raise ApiError(404, _NO_BUCKET, "RepoNotFound")
        growth = bucket.grown_by(files, deleted)
        if growth > 0 and growth + sum(one.size for one in self) > self._quota:
            raise ApiError(403, _QUOTA)
        bucket.change(files, deleted)

    def _fault(self) -> str | None:
        struck = self._injector.strike(faults.FailOperation)
        return struck[0].error if struck else None

    def _size(self, bucket: Bucket, one: AddFile | CopyFile) -> int | str:
        """Return the size of what is to be taken in, or why it cannot be."""
        if isinstance(one, CopyFile):
            return self._copied(bucket, one)
        size = self.cas(bucket).size(one.xet_hash)
        return f"No content {one.xet_hash} has been uploaded" if size is None else size

    def _copied(self, bucket: Bucket, one: CopyFile) -> int | str:
        """Have the content of another bucket's file in this bucket too."""
        if one.source_type != "bucket":
            return "LocalHub has no repositories to copy from"
        namespace, _, name = one.source.partition("/")
        source = self._buckets.get((namespace, name))
        file = None if source is None else source.find(one.xet_hash)
        if source is None or file is None:
            return f"No file of {one.source} has the content {one.xet_hash}"
        if source is not bucket:
            self.cas(bucket).copy(self.cas(source), one.xet_hash)
        return file.size

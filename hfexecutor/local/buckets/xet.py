"""Reads and writes files of buckets as clients do: with `hf_xet`, through this hub's own API.

All of it takes its time: nothing here is for an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from hfexecutor.local.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .access import Access
    from .bucket import Bucket, File


_T = TypeVar("_T")


class Xet:
    """The one session with `hf_xet` of a hub. It is begun when it is first needed.

    Args:
        access: to the bytes.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._begun: tuple[Any, Any] | None = None
        self._closed = False
        # Of its own: what is read here the hub has to send, and does in the loop's threads. Were
        # these all to wait for that, nobody would send it.
        self._threads = ThreadPoolExecutor(8, "xet")

    async def in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        """Return what a function returns that reads or writes; it is called in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def close(self) -> None:
        """Break off what is under way."""
        with self._lock:
            self._closed = True
            if self._begun is not None:
                with contextlib.suppress(KeyboardInterrupt):  # that is what it is made for
                    self._begun[0].sigint_abort()

    def read(self, bucket: Bucket, file: File, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` up to `end`."""
        if start < end:
            with self._session() as (session, library):
                group = session.new_download_stream_group(**self._endpoint(bucket, write=False))
                info = library.XetFileInfo(file.xet_hash, file.size)
                yield from group.download_stream(info, start=start, end=end)

    def fetch(self, bucket: Bucket, wanted: Sequence[tuple[str, int, Path]]) -> None:
        """Write files (hash, size, path), each of which replaces what is there."""
        for _, size, path in wanted:
            if not size:
                path.write_bytes(b"")
        contents = [one for one in wanted if one[1]]
        if not contents:
            return
        with (
            self._session() as (session, library),
            session.new_file_download_group(**self._endpoint(bucket, write=False)) as group,
        ):
            for xet_hash, size, path in contents:
                group.start_download_file(library.XetFileInfo(xet_hash, size), str(path))

    def store(self, bucket: Bucket, paths: Sequence[Path]) -> list[tuple[str, int]]:
        """Take files in; return the hash and the size of each."""
        with self._session() as (session, library):
            with session.new_upload_commit(**self._endpoint(bucket, write=True)) as commit:
                skip = library.SKIP_SHA256
                handles = [commit.start_upload_file(str(path), sha256=skip) for path in paths]
            found = [handle.result().xet_info for handle in handles]
        return [(one.hash, one.file_size) for one in found]

    def _endpoint(self, bucket: Bucket, *, write: bool) -> dict[str, Any]:
        found = self._access.to(bucket, write=write)
        return {
            "endpoint": found.url,
            "token": found.token,
            "token_expiry_unix_secs": found.expires,
        }

    @contextlib.contextmanager
    def _session(self) -> Iterator[tuple[Any, Any]]:
        """Yield the session and the library.

        Raises:
            ApiError: 501, the library is not installed; 503, the hub is being closed.
        """
        with self._lock:
            if self._closed:
                raise _closed()
            if self._begun is None:
                try:
                    # Only who has buckets needs it.
                    import hf_xet  # type: ignore[import-untyped]  # noqa: PLC0415
                except ImportError as error:
                    text = "LocalHub needs hf_xet for buckets: pip install hf_xet"
                    raise ApiError(501, text) from error
                self._begun = hf_xet.XetSession(), hf_xet
        try:
            yield self._begun
        except KeyboardInterrupt as error:  # what the library calls it when `close` breaks it off
            raise _closed() from error


def _closed() -> ApiError:
    return ApiError(503, "Service Unavailable")

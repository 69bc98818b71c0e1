"""Results that outlive their run: in a private bucket of the namespace, by what they are of.

A *segment* is a file with the results of some calls, written once and never changed; a run writes
one after about a second in which there are any. Each record says itself which call it is of, and
has a MAC under a key that follows from the token: what somebody else has written into the bucket,
or a disk has spoilt, is passed over, and nothing of it is unpickled.

Everything here blocks: it is for a thread of its own, or for who waits anyway.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import queue
import secrets
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hfexecutor.bucket_paths import RESULTS_BUCKET, segment_in, segment_path
from hfexecutor.errors import HubExecutorError
from hfexecutor.runtime.asking import ask
from hfexecutor.runtime.buckets import hub_errors, open_bucket
from hfexecutor.runtime.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from huggingface_hub import HfApi

    from hfexecutor.runtime.connection import Connection

__all__ = [
    "MOST_BYTES",
    "ResultsStore",
    "read_segment",
    "segments_in",
    "superfluous",
    "write_segment",
]

logger = logging.getLogger("hfexecutor")

MOST_BYTES: Final = 4 << 30  # of the bucket; the oldest segments go first
MOST_SECONDS: Final = 30 * 86400.0  # that a segment is kept
LARGEST: Final = 64 << 20  # bytes of one result
_SEGMENT_BYTES: Final = 16 << 20  # after which one is written at once
_PAUSE: Final = 1.0  # seconds in which results gather
_PATIENCE: Final = 30.0
_BUCKET: Final = "the bucket of results"
_MAGIC: Final = b"hfexecutor results 2\n"
_HEAD: Final = struct.Struct("<32s32sQ")  # which call, MAC, length


def write_segment(key: bytes, name: str, results: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a segment: results by the fingerprints of their calls."""
    pieces = [_MAGIC]
    for call, data in results:
        pieces += [_HEAD.pack(call, _mac(key, name, call, data), len(data)), data]
    return b"".join(pieces)


def read_segment(key: bytes, name: str, data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield fingerprint, place and length of each result that is authentic.

    What follows a record that is cut short is lost with it; one that is not authentic is passed
    over.
    """
    if not data.startswith(_MAGIC):
        return
    start = len(_MAGIC)
    while start + _HEAD.size <= len(data):
        call, mac, length = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        if length > len(data) - start:
            return
        if hmac.compare_digest(mac, _mac(key, name, call, data[start : start + length])):
            yield call, start, length
        start += length


def _mac(key: bytes, name: str, call: bytes, data: bytes) -> bytes:
    """Return a MAC: a result is one of this call, and of this name, alone."""
    inner = hashlib.sha256(name.encode()).digest() + call
    return hmac.new(key, inner + data, hashlib.sha256).digest()


class Segment(NamedTuple):
    """A file of the bucket: path, name, size, and when it was written (seconds since 1970)."""

    path: str
    name: str
    size: int
    written: float


def segments_in(entries: Iterable[Any]) -> list[Segment]:
    """Return the segments among what the Hub lists of the bucket."""
    return [
        Segment(entry.path, told.name, entry.size, told.written)
        for entry in entries
        if entry.type == "file" and (told := segment_in(entry.path)) is not None
    ]


def superfluous(
    segments: Iterable[Segment], now: float, *, most: int = MOST_BYTES, age: float = MOST_SECONDS
) -> list[str]:
    """Return the paths of what is too old, or does not fit any more: the oldest."""
    kept, found = 0, []
    for segment in sorted(segments, key=lambda one: one.written, reverse=True):
        kept += segment.size
        if now - segment.written > age or kept > most:
            found.append(segment.path)
    return found


class _Kept(NamedTuple):
    """Where a result is on this disk."""

    path: Path
    start: int
    length: int


class ResultsStore:
    """The results of a namespace, as an executor reads and writes them.

    Args:
        connect: Makes a connection; called in a loop of its own.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()  # guards what follows: the first one to ask opens the bucket
        self._bucket = ""
        self._token = ""
        self._key = b""
        self._api: HfApi | None = None
        self._folder: ScratchFolder | None = None
        self._known: dict[str, dict[bytes, _Kept]] = {}
        self._waiting: queue.SimpleQueue[tuple[str, bytes, bytes] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    # --- reading -----------------------------------------------------------------------------

    def load(self, name: str) -> None:
        """Have the results that were written under a name at hand; done once for each.

        Raises:
            HubError: The bucket cannot be read.
        """
        with self._lock:
            if name not in self._known:
                self._open()
                with hub_errors(_BUCKET, "read"):
                    self._known[name] = self._read(name)

    def get(self, name: str, call: bytes) -> bytes | None:
        """Return the result of a call, None if there is none; after `load`."""
        kept = self._known.get(name, {}).get(call)
        if kept is None:
            return None
        with kept.path.open("rb") as file:
            file.seek(kept.start)
            return file.read(kept.length)

    def _open(self) -> None:
        if self._api is not None:
            return
        connections: list[Connection] = []

        def connect() -> Connection:
            connections.append(self._connect())
            return connections[0]

        namespace = ask(lambda: connect().hub, lambda hub: hub.resolve_namespace(), _PATIENCE)
        connection = connections[0]
        self._token, self._key = connection.token, connection.results_key
        self._bucket = f"{namespace}/{RESULTS_BUCKET}"
        api = open_bucket(
            connection.hub.endpoint,
            self._bucket,
            self._token,
            name=_BUCKET,
            why="results are kept in a bucket",
        )
        self._folder = ScratchFolder("results")
        self._api = api

    def _read(self, name: str) -> dict[bytes, _Kept]:
        assert self._api is not None
        assert self._folder is not None
        tree = self._api.list_bucket_tree(self._bucket, recursive=True, token=self._token)
        segments = segments_in(tree)
        if old := superfluous(segments, time.time()):
            self._api.batch_bucket_files(self._bucket, delete=old, token=self._token)
        wanted = [one for one in segments if one.path not in old and one.name == name]
        wanted.sort(key=lambda one: one.written)
        files = [(one.path, self._folder.path / one.path.replace("/", "-")) for one in wanted]
        if files:
            self._api.download_bucket_files(self._bucket, list(files), token=self._token)
        found: dict[bytes, _Kept] = {}
        for _, path in files:
            if path.exists():  # it may have been deleted meanwhile
                for call, start, length in read_segment(self._key, name, path.read_bytes()):
                    found[call] = _Kept(path, start, length)
        return found

    # --- writing -----------------------------------------------------------------------------

    def put(self, name: str, call: bytes, data: bytes) -> None:
        """Have a result written before long; from any thread, and without waiting."""
        if len(data) > LARGEST:
            logger.warning(
                "a result of %s bytes is not kept for resume: at most %s are", len(data), LARGEST
            )
            return
        self._waiting.put((name, call, data))
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="hfexecutor-results")
                self._writer.start()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            self._waiting.put(None)
            writer.join()
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()

    def _write(self) -> None:
        over = False
        while not over:
            gathered, over = self._gather()
            for name, results in gathered.items():
                try:
                    self._write_segment(name, results)
                except (HubExecutorError, MemoryError) as error:
                    logger.warning("%s results are not kept for resume: %s", len(results), error)

    def _gather(self) -> tuple[dict[str, list[tuple[bytes, bytes]]], bool]:
        """Wait for results, and for what comes within a second; say whether there will be more."""
        gathered: dict[str, list[tuple[bytes, bytes]]] = {}
        size, until = 0, float("inf")
        while size < _SEGMENT_BYTES:
            left = None if until == float("inf") else until - time.monotonic()
            try:
                item = self._waiting.get(timeout=left) if left is None or left > 0 else None
            except queue.Empty:
                break
            if item is None:
                if left is not None and left <= 0:
                    break
                return gathered, True
            until = min(until, time.monotonic() + _PAUSE)
            name, call, data = item
            gathered.setdefault(name, []).append((call, data))
            size += len(data)
        return gathered, False

    def _write_segment(self, name: str, results: list[tuple[bytes, bytes]]) -> None:
        with self._lock:
            self._open()
        assert self._api is not None
        path = segment_path(name, time.time(), secrets.token_hex(8))
        data = write_segment(self._key, name, results)
        with hub_errors(_BUCKET, "write"):
            self._api.batch_bucket_files(self._bucket, add=[(data, path)], token=self._token)

"""Large values that are files: in folders of a bucket, which are mounted here.

A mount shows late what others have put there, and nobody answers for what is in it. So an argument
is waited for, copied, and compared with its name, which follows from its content; and of a result
the log says size and digest, by which the client knows it.
"""

from __future__ import annotations

import os
import time

from .entries import RANGE_BYTES
from .ranges import count_of, digest_of, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from .buffers import Buffer

__all__ = [
    "MOST_WITHOUT_BUCKET",
    "Bucket",
    "NoRoomError",
    "StoredArgumentError",
    "mount",
    "mounted",
]

# Bytes of one that has no other way: it is computed and paid for, and most windows are not missed.
MOST_WITHOUT_BUCKET = 64 << 20
_LATE_SECONDS = 60.0  # that an argument may take to show
_SLOWEST = 4 << 20  # bytes a second that a large result takes besides
_WRONG_SECONDS = 5.0  # the same, while something else is there
_PAUSES = (0.01, 1.0)  # between two looks for it


class StoredArgumentError(Exception):
    """An argument is not what the client has put into the bucket, or is not there."""


class NoRoomError(Exception):
    """A result cannot be put into the bucket; the text says why."""


class Bucket:
    """What one job has of it.

    Args:
        arguments: the folder of arguments, None without.
        results: the folder that results go to, None without.
        names: of the buffers that are files there.
        why_not: why results have none.
        late: seconds that an argument may take to show.
    """

    def __init__(
        self,
        arguments: str | None = None,
        results: str | None = None,
        names: Iterable[bytes] = (),
        *,
        why_not: str = "",
        late: float = _LATE_SECONDS,
    ) -> None:
        self._arguments = arguments
        self._results = results
        self._names = frozenset(names)
        self._why_not = why_not
        self._late = late

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def read(self, name: bytes, into: int = -1) -> Any:
        """Return memory with a buffer's bytes, which belongs to whoever asks.

        It is that of `into`, where that is the descriptor of a file in memory.

        Raises:
            StoredArgumentError: it is not there, or is not what it should be.
            OSError: it cannot be read.
        """
        path = f"{self._arguments}/{name.hex()}"
        return self._await(path, self._late, lambda: _read(path, name, into))

    def load(self, name: str, size: int, layout: Sequence[int], digest: str) -> Any:
        """Return the result of another call, which is a file, as the client has heard of it.

        Raises:
            StoredArgumentError: it is not there, or is not what that call has returned.
            OSError: it cannot be read.
            MemoryError: there is no room for it.
        """
        from . import buffers  # noqa: PLC0415 - seldom

        if self._results is None:
            why = f": {self._why_not}" if self._why_not else ""
            raise StoredArgumentError(f"the job has no folder of results mounted{why}")
        path, late = f"{self._results}/{name}", self._late + size / _SLOWEST
        found = self._await(path, late, lambda: _read_result(path, size, layout, digest))
        return buffers.load(*found)

    def _await(self, path: str, late: float, read: Callable[[], Any]) -> Any:
        """Return what `read` makes of a file once it is there, and right."""
        until, pause = time.monotonic() + late, _PAUSES[0]
        shown = False
        while True:
            problem = "is not what was put there"
            try:
                found = read()
            except FileNotFoundError:
                found, problem = None, "is not there"
            else:
                if not shown:  # it may still be on its way: what is wrong is not wrong for long
                    shown, until = True, time.monotonic() + min(late, _WRONG_SECONDS)
            if found is not None:
                return found
            if time.monotonic() >= until:
                raise StoredArgumentError(f"{path} {problem}")
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])

    def write(self, payload: Sequence[Buffer], layout: Sequence[int]) -> dict[str, Any]:
        """Write a result; return what the client has to know of it.

        Args:
            payload: its pieces.
            layout: kind and size of each buffer at its end.

        Raises:
            NoRoomError: there is no place for it.
        """
        if self._results is None or not os.path.isdir(self._results):  # noqa: PTH112 - no pathlib here
            raise NoRoomError(self._why_not or f"{self._results} is not mounted in the job")
        from hashlib import sha256  # noqa: PLC0415 - seldom

        name, digest, size = os.urandom(16).hex(), sha256(), 0
        try:
            with open(f"{self._results}/{name}", "xb", buffering=0) as file:  # noqa: PTH123
                for piece in payload:
                    with memoryview(piece) as view:
                        digest.update(view)
                        size += len(view)
                        _write(file.fileno(), view)
        except OSError as error:
            raise NoRoomError(f"it cannot be written into the bucket ({error})") from error
        return {"name": name, "size": size, "layout": list(layout), "digest": digest.hexdigest()}


def _read(path: str, name: bytes, into: int) -> Any:
    """Return memory with a file's bytes, None if they are not those of that name."""
    import mmap  # noqa: PLC0415

    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - no pathlib here
        size = os.fstat(file.fileno()).st_size
        if not size or (into >= 0 and size != os.fstat(into).st_size):
            return None
        memory = mmap.mmap(into, size)
        digests = []
        with memoryview(memory) as view:
            for part in range(count_of(size)):
                with view[part * RANGE_BYTES : (part + 1) * RANGE_BYTES] as piece:
                    if not _fill(file.fileno(), piece):
                        return None
                    digests.append(digest_of(piece))
    return memory if name_of(size, digests) == name else None


def _read_result(
    path: str, size: int, layout: Sequence[int], digest: str
) -> tuple[bytearray, list[Any]] | None:
    """Return front and places of a result that is a file, None if it is another one."""
    from hashlib import sha256  # noqa: PLC0415 - seldom

    from .buffers import Place  # noqa: PLC0415

    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - no pathlib here
        if os.fstat(file.fileno()).st_size != size:
            return None
        sizes = layout[1::2]
        front, found = bytearray(size - sum(sizes)), sha256()
        places = [Place(*one) for one in zip(layout[::2], sizes, strict=True)]
        for view in (memoryview(front), *(place.view for place in places)):
            if not _fill(file.fileno(), view):
                return None
            found.update(view)
    return (front, places) if found.hexdigest() == digest else None


def _fill(fd: int, view: memoryview) -> bool:
    got = 0
    while got < len(view):
        more = os.readv(fd, [view[got:]])
        if not more:
            return False
        got += more
    return True


def _write(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view) :]


_none = Bucket(why_not="this is no process of a job")
_mounted = _none


def mount(bucket: Bucket) -> None:
    """Have what is unpickled in this process find a bucket: a pickle has no other way to it."""
    global _mounted  # noqa: PLW0603
    _mounted = bucket


def mounted() -> Bucket:
    """Return what this process has of the bucket."""
    return _mounted

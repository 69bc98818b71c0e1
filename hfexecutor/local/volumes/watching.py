"""Which files of a directory have been written, told by the kernel, or found out by looking."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK_SECONDS = 0.5
_EVENT = struct.Struct("iIII")
_BUFFER = 1 << 16
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_ONLY_DIRECTORIES, _NO_LINKS = 0x01000000, 0x02000000
_IS_DIRECTORY, _OVERFLOW, _IGNORED = 0x40000000, 0x4000, 0x8000
_WATCHED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC

Signature = tuple[int, int, int]  # modification time in nanoseconds, size, inode


def signature(path: Path) -> Signature | None:
    """Return what changes when a file does; None: there is no file, or it is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    regular = (found.st_mode & 0o170000) == 0o100000  # noqa: PLR2004 - S_IFMT, S_IFREG
    return (found.st_mtime_ns, found.st_size, found.st_ino) if regular else None


def files(directory: Path) -> Iterator[tuple[str, Signature]]:
    """Yield all files below a directory, each with its path from there. Links are left out."""
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if (found := signature(path)) is not None:
                yield path.relative_to(directory).as_posix(), found


class Watch(Protocol):
    """Knows which files have been written, and closed, or deleted, since it was last asked."""

    news: asyncio.Event

    def take(self) -> set[str]:
        """Return their paths, from the directory."""

    def close(self) -> None:
        """Watch no longer."""


def watch(directory: Path) -> Watch:
    """Watch a directory and all below it."""
    try:
        return Inotify(directory)
    except (OSError, AttributeError):  # not Linux, or there are too many watches already
        return Looks(directory)


class Inotify:
    """Has the kernel tell of each file that was open for writing and has been closed."""

    def __init__(self, directory: Path) -> None:
        self.news = asyncio.Event()
        self._directory = directory
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._written: set[str] = set()
        self._parents: dict[int, str] = {}
        self._fd = _checked(self._libc.inotify_init1(_FLAGS))
        try:
            self._add("")
        except OSError:
            os.close(self._fd)
            raise
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def take(self) -> set[str]:
        """Return the paths."""
        found, self._written = self._written, set()
        self.news.clear()
        return found

    def close(self) -> None:
        """Watch no longer."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _add(self, parent: str) -> None:
        """Watch a directory; what is in it already has been missed, and is taken for written."""
        path = os.fsencode(self._directory / parent)
        mask = _WATCHED | _ONLY_DIRECTORIES | _NO_LINKS
        watch = _checked(self._libc.inotify_add_watch(self._fd, path, ctypes.c_uint32(mask)))
        self._parents[watch] = parent
        for entry in os.scandir(self._directory / parent):
            below = f"{parent}/{entry.name}" if parent else entry.name
            if entry.is_dir(follow_symlinks=False):
                self._add(below)
            else:
                self._tell(below)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        while data:
            watch, mask, _, length = _EVENT.unpack_from(data)
            name = data[_EVENT.size : _EVENT.size + length].rstrip(b"\0")
            data = data[_EVENT.size + length :]
            self._hear(watch, mask, os.fsdecode(name))

    def _hear(self, watch: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:  # events were lost
            for path, _ in files(self._directory):
                self._tell(path)
        elif mask & _IGNORED:
            self._parents.pop(watch, None)
        elif watch in self._parents:
            parent = self._parents[watch]
            path = f"{parent}/{name}" if parent else name
            if not mask & _IS_DIRECTORY:
                if mask & ~_CREATE:
                    self._tell(path)
            elif mask & (_CREATE | _MOVED_TO):
                self._enter(path)
            else:
                self._tell(path)

    def _enter(self, path: str) -> None:
        try:
            self._add(path)
        except OSError:
            # It is gone again, or can't be watched: what is in it is found at the end at least.
            self._tell(path)

    def _tell(self, path: str) -> None:
        self._written.add(path)
        self.news.set()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Looks:
    """Looks now and then; what has not changed between two looks is taken for closed."""

    def __init__(self, directory: Path, seconds: float = _LOOK_SECONDS) -> None:
        self.news = asyncio.Event()
        self._directory = directory
        self._seconds = seconds
        self._seen = dict(files(directory))
        self._settled = dict(self._seen)
        self._written: set[str] = set()
        self._task = asyncio.ensure_future(self._look())

    def take(self) -> set[str]:
        """Return the paths."""
        found, self._written = self._written, set()
        self.news.clear()
        return found

    def close(self) -> None:
        """Watch no longer."""
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            found = dict(files(self._directory))
            settled = {path: at for path, at in found.items() if self._seen.get(path) == at}
            moving = {path: at for path, at in self._settled.items() if path in found}
            self._seen, after = found, moving | settled
            changed = {path for path, at in after.items() if self._settled.get(path) != at}
            changed |= self._settled.keys() - after.keys()
            self._settled = after
            if changed:
                self._written |= changed
                self.news.set()

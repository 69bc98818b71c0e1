"""Memory that supervisor and children share: files without a name, which end with who holds them.

A child maps them privately: what it writes is its own, and what it only reads is there once for all
children.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Memory", "room"]

_F_ADD_SEALS, _ALL_SEALS = 1033, 0x0F  # of Linux: nobody can change it any more


class Memory:
    """The files of one supervisor, by the names of their content."""

    def __init__(self) -> None:
        self._files: dict[bytes, int] = {}

    def create(self, name: bytes, size: int) -> None:
        """Make room for so many bytes.

        Raises:
            OSError: there is no room for them, or too many files are open.
        """
        free = room()
        if free is not None and size > free:
            raise OSError(f"it has {size:,} bytes, and {free:,} are free in the job's memory")
        self._files[name] = fd = _open()
        os.ftruncate(fd, size)

    def write(self, name: bytes, start: int, data: memoryview) -> None:
        """Write a piece. Raises OSError if there is no room."""
        while data:
            written = os.pwrite(self._files[name], data, start)
            data, start = data[written:], start + written

    def finish(self, name: bytes) -> None:
        """Let nobody change it any more, where the system has that."""
        import fcntl  # noqa: PLC0415

        try:
            fcntl.fcntl(self._files[name], _F_ADD_SEALS, _ALL_SEALS)
        except OSError:  # a file on disk
            return

    def drop(self, name: bytes) -> None:
        """Let go of it; it is there for as long as a child has it mapped."""
        fd = self._files.pop(name, -1)
        if fd >= 0:
            os.close(fd)

    def descriptors(self, names: Sequence[bytes]) -> list[int]:
        """Return what children can map."""
        return [self._files[name] for name in names]


def _open() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("hfexecutor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    import tempfile  # noqa: PLC0415 - no Linux

    fd, path = tempfile.mkstemp()
    os.unlink(path)  # noqa: PTH108 - no pathlib here
    return fd


def room() -> int | None:
    """Return how many bytes of memory may still be taken here; None: nobody says."""
    rooms = (_free_in_machine(), _free_in_group())
    return min((free for free in rooms if free is not None), default=None)


def _free_in_machine() -> int | None:
    found = dict(line.split(":", 1) for line in _lines("/proc/meminfo"))
    if "MemAvailable" not in found:
        return None
    return 1024 * sum(int(found.get(name, "0").split()[0]) for name in ("MemAvailable", "SwapFree"))


def _free_in_group() -> int | None:
    try:
        most = int(_lines("/sys/fs/cgroup/memory.max")[0])
        taken = int(_lines("/sys/fs/cgroup/memory.current")[0])
    except (IndexError, ValueError):  # no such group, or one without a limit
        return None
    stat = (line.split() for line in _lines("/sys/fs/cgroup/memory.stat"))
    cached = sum(int(count) for name, count in stat if name == "inactive_file")
    return most - taken + cached  # what only caches files is given up for it


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - no pathlib here
            return file.readlines()
    except OSError:
        return []

"""How much memory a job's processes use, and what happens when that is too much."""

from __future__ import annotations

import contextlib
import os
import signal

from .processes import children

_LOOK_SECONDS = (0.05, 2.0)  # at least, and at most, between two looks at a job's memory
_FASTEST = 8 << 30  # bytes per second that a job may take, at most


class Memory:
    """Keeps a job within the memory that it is to have, as the kernel does with a container.

    That is looked at now and then: the more room there is left, the less often. Where too much is
    used, the process that uses most of it is killed.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.killed: int | None = None
        self.wait_ms = -1.0

    def check(self) -> None:
        """Look at what the processes below this one use; set when to look again."""
        if self._limit is None:
            return
        used = {pid: _resident(pid) for pid in _below(os.getpid())}
        if sum(used.values()) > self._limit:  # pages that processes share count more than once
            used = {pid: _proportional(pid) or size for pid, size in used.items()}
        total = sum(used.values())
        if total > self._limit:
            self.killed = max(used, key=lambda pid: used[pid])
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.killed, signal.SIGKILL)
        room = max(0, self._limit - total)
        self.wait_ms = 1e3 * min(_LOOK_SECONDS[1], max(_LOOK_SECONDS[0], room / _FASTEST))


def _below(root: int) -> list[int]:
    """Return all descendants of a process."""
    found = children(root)
    for pid in found:  # grows while it is read
        found += children(pid)
    return found


def _resident(pid: int) -> int:
    """Return the bytes of a process, those that it shares included."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Return the bytes of a process, those that it shares divided by how many share them."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            return next(int(line.split()[1]) for line in file if line.startswith(b"Pss:")) << 10
    except (OSError, StopIteration):
        return 0

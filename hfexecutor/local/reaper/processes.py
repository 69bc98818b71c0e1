"""Trees of processes: who is in them, how they are killed, and how their ends are noticed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform.startswith("linux")
_POLL_SECONDS = 0.5  # how often a parent's death is looked for where pidfds do not exist


class Lifeline:
    """Knows whether the hub's process lives, even where a fork of it holds our sockets open."""

    def __init__(self, hub_pid: int) -> None:
        self._parent = os.getppid()
        self._dead = self._parent != hub_pid
        self.fds: tuple[int, ...] = ()
        self.poll_ms = _POLL_SECONDS * 1e3
        if hasattr(os, "pidfd_open") and not self._dead:
            with contextlib.suppress(OSError):
                self.fds = (os.pidfd_open(hub_pid),)
                self.poll_ms = -1

    def gone(self, ready: set[int]) -> bool:
        """Say whether it has ended, given what a poller says of `fds`."""
        if self.fds:
            return self.fds[0] in ready
        # A keeper's parent is the reaper, which does not outlive the hub by more than a poll.
        self._dead = self._dead or os.getppid() == 1
        return self._dead


@contextlib.contextmanager
def leaving() -> Any:
    """Never return from a forked child into the parent's loop."""
    try:
        yield
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(70)
    os._exit(0)


def wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.write(writing, b"\0")  # a child may have ended before anybody listened
    return reading


def drain(fd: int) -> None:
    """Read what there is."""
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass


def kill_below(spared: set[int], group: int | None = None) -> None:
    """Kill every descendant that is not (below) a spared child, until there is none."""
    wait = 0.0002
    while True:
        if _reap_all(spared) or not _signal_below(os.getpid(), spared, group):
            return
        time.sleep(wait)
        wait = min(wait * 2, 0.02)


def _reap_all(spared: set[int]) -> bool:
    """Reap what has ended, but never a spared child; return whether no child is left at all."""
    if spared:
        for pid in children(os.getpid()):
            if pid not in spared:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        return False
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return False
        except ChildProcessError:
            return True


def _signal_below(root: int, spared: set[int], group: int | None) -> int:
    if group is not None and not _LINUX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    count = 0
    for pid in children(root):
        if pid in spared:
            continue
        # Stopped first, so that it starts nothing while its own children are being found.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGSTOP)
        count += 1 + _signal_below(pid, spared, None)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return count


def children(pid: int) -> list[int]:
    """Return the children of a process (of all its threads)."""
    try:
        found: list[int] = []
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        return [] if os.path.exists("/proc/self/task") else _children_by_ps(pid)  # noqa: PTH110
    return found


def _children_by_ps(pid: int) -> list[int]:
    with os.popen("ps -axo pid=,ppid=") as table:  # noqa: S605, S607
        pairs = [tuple(map(int, line.split())) for line in table]
    return [child for child, parent in pairs if parent == pid]


def remove_tree(root: str) -> None:
    """Delete a directory with all it holds; what cannot be deleted is left."""
    for directory, directories, files in os.walk(root, topdown=False):
        for name in files:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(directory, name))  # noqa: PTH108, PTH118
        for name in directories:
            path = os.path.join(directory, name)  # noqa: PTH118
            with contextlib.suppress(OSError):
                (os.unlink if os.path.islink(path) else os.rmdir)(path)  # noqa: PTH114
    with contextlib.suppress(OSError):
        os.rmdir(root)  # noqa: PTH106


def prctl(option: int, value: int) -> None:
    """Set an option of this process, where there are such (Linux)."""
    if _LINUX:
        _LIBC.prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None)

"""The warden: a small process of its own that starts a hub's jobs and lets none outlive the hub.

It is started as a script (`python -I -S warden.py`), imports a handful of modules and is therefore
cheap to fork. For each job it forks a *keeper*, which plays the part of process 1 in a container:

    hub ──one byte, three descriptors──▶ warden ──fork──▶ keeper ──fork, exec──▶ the command
     ▲                                                      │
     └───── a socket per job: "pid …", "exit …" ────────────┘   (the hub closes it: kill)

- A keeper adopts what its job daemonises: it is a "child subreaper". When the command ends, when
  the hub says so, or when the hub is no more, it kills all that is left below it, and then leaves.
- The end of the hub shows as the end of the job's socket or, should a fork of the user's process
  have inherited the other end of that, through a pidfd of the hub's process.
- A command that kills its own keeper is killed by the kernel with it (PDEATHSIG); what else it had
  started comes back to the warden, which kills it.

Without /proc and subreapers (macOS), the process group and the tree that `ps` shows are killed; a
grandchild that was both orphaned and moved to a session of its own escapes there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform.startswith("linux")
_POLL_SECONDS = 0.5  # how often a parent's death is looked for where pidfds do not exist
_SPEC_BYTES = 64 << 20


def main() -> None:
    """Serve the hub at the other end of the socket until it is gone."""
    channel, hub_pid, root = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_child()
    hub = _Lifeline(hub_pid)
    keepers: set[int] = set()
    _serve(channel, wake, hub, keepers)
    channel.close()
    _outlive(keepers)
    remove_tree(root)


def _serve(channel: socket.socket, wake: int, hub: _Lifeline, keepers: set[int]) -> None:
    """Fork a keeper for every start message."""
    poller = select.poll()
    for fd in (channel.fileno(), wake, *hub.fds):
        poller.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll(hub.poll_ms)}
        if wake in ready:
            _drain(wake)
            _bury(keepers)
        if hub.gone(ready):
            return
        if channel.fileno() in ready:
            fds = _next_start(channel)
            if fds is None:
                return
            keepers.add(_fork_keeper(fds, channel, wake, hub))


def _next_start(channel: socket.socket) -> list[int] | None:
    """Receive one start message: descriptors of the job's socket, its output and its spec."""
    try:
        message, fds, _flags, _address = socket.recv_fds(channel, 1, 3)
    except ConnectionError:
        return None
    return fds if message else None


def _fork_keeper(fds: list[int], channel: socket.socket, wake: int, hub: _Lifeline) -> int:
    pid = os.fork()
    if pid == 0:
        with _leaving():
            channel.close()
            os.close(wake)
            _keep(socket.socket(fileno=fds[0]), fds[1], fds[2], hub)
    for fd in fds:
        os.close(fd)
    return pid


def _outlive(keepers: set[int]) -> None:
    """Wait for the keepers; each has seen the hub's end by itself."""
    deadline = time.monotonic() + 10
    while keepers and time.monotonic() < deadline:
        _bury(keepers)
        time.sleep(0.005)
    _kill_below(set())


def _bury(keepers: set[int]) -> None:
    """Reap keepers, and kill what a killed keeper left to us."""
    orphaned = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            break
        orphaned = orphaned or status != 0 or pid not in keepers
        keepers.discard(pid)
    if orphaned:
        _kill_below(keepers)


# ------------------------------------------------------------------------------------ the keeper


def _keep(hub_end: socket.socket, output: int, spec_fd: int, hub: _Lifeline) -> None:
    """Run one job's command, say how it ended, and leave nothing of it behind."""
    os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_child()
    with os.fdopen(spec_fd, "rb") as file:
        file.seek(0)
        spec = json.loads(file.read(_SPEC_BYTES))
    for directory in spec["directories"]:
        os.mkdir(directory, 0o700)  # noqa: PTH102 - pathlib would make the warden start later
    command = os.fork()
    if command == 0:
        with _leaving():
            _become(spec, output, keeper=os.getppid())
    os.close(output)
    _say(hub_end, f"pid {command}\n")
    status = _await_end(command, hub_end, wake, hub)
    _kill_below(set(), group=command)
    if status is None:
        status = -signal.SIGKILL
    _say(hub_end, f"exit {status}\n")
    remove_tree(spec["directories"][0])


def _await_end(command: int, hub_end: socket.socket, wake: int, hub: _Lifeline) -> int | None:
    """Wait for the command's end; None when the job is to be killed before that."""
    poller = select.poll()
    for fd in (hub_end.fileno(), wake, *hub.fds):
        poller.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll(hub.poll_ms)}
        if wake in ready:
            _drain(wake)
            status = _reap(command)
            if status is not None:
                return status
        if hub_end.fileno() in ready or hub.gone(ready):
            return None


def _reap(command: int) -> int | None:
    """Reap what has ended, as process 1 does; return the command's status if it is among that."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = os.waitstatus_to_exitcode(status)


def _become(spec: dict[str, Any], output: int, keeper: int) -> NoReturn:
    """Turn this forked process into the job's command."""
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 1 << 20))
    try:
        os.chdir(spec["cwd"])
        os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except (OSError, ValueError) as error:  # ValueError: an argument that no process can have
        why = getattr(error, "strerror", None) or str(error)
        os.write(2, f"exec {spec['argv'][0]}: {why}\n".encode(errors="replace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


# ------------------------------------------------------------------------------ what both need


class _Lifeline:
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
        if self.fds:
            return self.fds[0] in ready
        # A keeper's parent is the warden, which does not outlive the hub by more than a poll.
        self._dead = self._dead or os.getppid() == 1
        return self._dead


@contextlib.contextmanager
def _leaving() -> Any:
    """Never return from a forked child into the parent's loop."""
    try:
        yield
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(70)
    os._exit(0)


def _wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.write(writing, b"\0")  # a child may have ended before anybody listened
    return reading


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass


def _say(hub_end: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):  # a hub that is gone need not be told
        hub_end.sendall(text.encode())


def _kill_below(spared: set[int], group: int | None = None) -> None:
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
        for pid in _children(os.getpid()):
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
    for pid in _children(root):
        if pid in spared:
            continue
        # Stopped first, so that it starts nothing while its own children are being found.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGSTOP)
        count += 1 + _signal_below(pid, spared, None)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return count


def _children(pid: int) -> list[int]:
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


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        _LIBC.prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None)

if __name__ == "__main__":
    main()

"""Plays the part of process 1 in a job's container."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
from typing import TYPE_CHECKING, Any, NoReturn

from .memory import Memory
from .mounting import enter
from .processes import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    Lifeline,
    drain,
    kill_below,
    leaving,
    prctl,
    remove_tree,
    wake_on_child,
)

if TYPE_CHECKING:
    import socket


def keep(hub_end: socket.socket, output: int, spec_fd: int, hub: Lifeline) -> None:
    """Run one job's command, say how it ended, and leave nothing of it behind."""
    os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake = wake_on_child()
    with os.fdopen(spec_fd, "rb") as file:
        file.seek(0)
        spec = marshal.load(file)  # noqa: S302 - of our own making
    _lay_out(spec)
    command = os.fork()
    if command == 0:
        with leaving():
            _become(spec, output, keeper=os.getppid())
    os.close(output)
    _say(hub_end, f"pid {command}\n")
    memory = Memory(spec["memory"])
    status = _await_end(command, hub_end, wake, hub, memory)
    kill_below(set(), group=command)
    if status is None:
        status = -signal.SIGKILL
    _say(hub_end, f"exit {status} {'oom' if memory.killed == command else ''}\n")
    _clear_away(spec)


def _lay_out(spec: dict[str, Any]) -> None:
    """Make the job's directories, links and files; pathlib would make the reaper start later."""
    for directory in spec["directories"]:
        os.mkdir(directory, 0o700)  # noqa: PTH102
    for target, path in spec["links"]:
        os.symlink(target, path)  # noqa: PTH211
    for path, text in spec["files"]:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, text.encode())
        os.close(fd)


def _clear_away(spec: dict[str, Any]) -> None:
    """Delete what was laid out, and whatever else is there by now.

    Most jobs have left nothing: then it is known what there is, and need not be looked for.
    """
    paths = [*(path for _, path in spec["links"]), *(path for path, _ in spec["files"])]
    try:
        for path in paths:
            os.unlink(path)  # noqa: PTH108
        for directory in reversed(spec["directories"]):
            os.rmdir(directory)  # noqa: PTH106
    except OSError:
        remove_tree(spec["directories"][0])


def _await_end(
    command: int, hub_end: socket.socket, wake: int, hub: Lifeline, memory: Memory
) -> int | None:
    """Wait for the command's end; None when the job is to be killed before that."""
    poller = select.poll()
    for fd in (hub_end.fileno(), wake, *hub.fds):
        poller.register(fd, select.POLLIN)
    while True:
        memory.check()
        waits = [wait for wait in (hub.poll_ms, memory.wait_ms) if wait >= 0]
        ready = {fd for fd, _ in poller.poll(min(waits, default=-1))}
        if wake in ready:
            drain(wake)
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
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if spec["mounts"]:
        _enter(spec)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after that: a new user namespace takes it away
    if os.getppid() != keeper:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 1 << 20))
    try:
        os.chdir(spec["cwd"])
        os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except (OSError, ValueError) as error:  # ValueError: an argument that no process can have
        why = getattr(error, "strerror", None) or str(error)
        os.write(2, f"exec {spec['argv'][0]}: {why}\n".encode(errors="replace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _enter(spec: dict[str, Any]) -> None:
    try:
        enter(spec["root"], spec["mounts"])
    except OSError as error:
        os.write(2, f"LocalHub cannot mount: {error.strerror}\n".encode())
        os._exit(126)


def _say(hub_end: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):  # a hub that is gone need not be told
        hub_end.sendall(text.encode())

"""Forks a keeper for each job, until the hub is gone."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time

from .keeping import keep
from .processes import (
    PR_SET_CHILD_SUBREAPER,
    Lifeline,
    drain,
    kill_below,
    leaving,
    prctl,
    remove_tree,
    wake_on_child,
)

_KEEPERS_SECONDS = 10.0


def main() -> None:
    """Serve the hub at the other end of the socket until it is gone."""
    channel, hub_pid, root = socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3]), sys.argv[4]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # a keeper lives for one job: to look for garbage would copy pages, and find none
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake = wake_on_child()
    hub = Lifeline(hub_pid)
    keepers: set[int] = set()
    _serve(channel, wake, hub, keepers)
    _outlive(keepers, wake)
    remove_tree(root)
    # The hub waits for the end of the channel, which is that of this process: not for the
    # interpreter to be taken down as well.
    os._exit(0)


def _serve(channel: socket.socket, wake: int, hub: Lifeline, keepers: set[int]) -> None:
    """Fork a keeper for every start message."""
    poller = select.poll()
    for fd in (channel.fileno(), wake, *hub.fds):
        poller.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll(hub.poll_ms)}
        if wake in ready:
            drain(wake)
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


def _fork_keeper(fds: list[int], channel: socket.socket, wake: int, hub: Lifeline) -> int:
    pid = os.fork()
    if pid == 0:
        with leaving():
            channel.close()
            os.close(wake)
            keep(socket.socket(fileno=fds[0]), fds[1], fds[2], hub)
    for fd in fds:
        os.close(fd)
    return pid


def _outlive(keepers: set[int], wake: int) -> None:
    """Wait for the keepers; each has seen the hub's end by itself."""
    deadline = time.monotonic() + _KEEPERS_SECONDS
    _bury(keepers)
    while keepers and (left := deadline - time.monotonic()) > 0:
        select.select([wake], [], [], left)
        drain(wake)
        _bury(keepers)
    kill_below(set())


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
        kill_below(keepers)

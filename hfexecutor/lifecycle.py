"""What happens to pools at the ends of a process: interpreter exit, SIGTERM, fork.

A plain end of the script waits for its calls, as the stdlib's executors do. After Ctrl-C, and at
SIGTERM where nobody else handles it, jobs are stopped instead: they cost money. A second Ctrl-C
ends the process at once.
"""

from __future__ import annotations

import _thread
import atexit

# Imported by huggingface_hub, later: too late if the script has come to its end by then, for this
# module wants to be told about that end.
import concurrent.futures.thread  # noqa: F401
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from hfexecutor.runtime.runner import Runner

__all__ = ["ending", "hook_sigterm", "hurry", "register"]

STOP_TIME = 12.0  # seconds that stopping all jobs may take at the end of the process
RESPONSE_TIME = 0.5  # seconds that a pool's thread may take to respond meanwhile
MOMENT = 0.01  # seconds for which the main thread goes on if it does not


class _Process:
    """The pools of this process, and whether it is about to end."""

    def __init__(self) -> None:
        self.pools: weakref.WeakSet[Runner] = weakref.WeakSet()
        self.ending = False
        self.hooked = False
        self.sigterm_seen_to = False
        self.stop_until: float | None = None  # once SIGTERM has come
        self.hurried = False  # stopping the jobs was interrupted, too
        self.fork = threading.local()  # `mask`: of signals, before the fork that is under way

    def hook(self) -> None:
        if self.hooked:
            return
        self.hooked = True
        # Non-daemon threads are joined before atexit callbacks run; so, like the stdlib, hook
        # into the moment before that. The name is private, but it is the stdlib's own way.
        getattr(threading, "_register_atexit", atexit.register)(self.at_exit)
        atexit.register(self.at_last)
        os.register_at_fork(
            before=self.before_fork, after_in_parent=self.after_fork, after_in_child=self.forked
        )

    def hook_sigterm(self) -> None:
        """Take SIGTERM over where nobody handles it.

        Python lets the main thread alone do so: it may come by later than the first pool is made,
        or never, and then SIGTERM ends the process as if we were not there.
        """
        if self.sigterm_seen_to or threading.current_thread() is not threading.main_thread():
            return
        self.sigterm_seen_to = True
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self.on_sigterm)

    def at_exit(self) -> None:
        self.ending = True
        pools = list(self.pools)
        if getattr(sys, "last_type", None) is not KeyboardInterrupt:
            for pool in pools:
                pool.wind_up()
            try:
                _join(pools)
            except KeyboardInterrupt:  # nothing is left of the script that could hear of it
                pass
            else:
                return
        self.stop(pools)

    def at_last(self) -> None:
        """Ctrl-C may have struck before our turn: then nobody has closed the pools, or waited."""
        if alive := [pool for pool in self.pools if pool.alive]:
            self.stop(alive)

    def stop(self, pools: list[Runner]) -> None:
        """Stop all jobs after Ctrl-C, but do not insist on it after another one."""
        try:
            for pool in pools:
                pool.abort("KeyboardInterrupt ended the script")
            if not self.hurried:
                _join(pools, STOP_TIME)
        except KeyboardInterrupt:
            self.hurried = True
        if self.hurried and any(pool.alive for pool in pools):
            _die_of(signal.SIGINT)  # or the interpreter would wait for the pools' threads

    def on_sigterm(self, number: int, _: FrameType | Any) -> None:
        """Stop all jobs, and end the process.

        The main thread stands where it was interrupted, and may hold a lock that the thread of a
        pool waits for, as that of a future. Where one does not respond the main thread goes on for
        a moment, after which this signal comes again.
        """
        self.ending = True
        pools = list(self.pools)
        if self.stop_until is None:
            self.stop_until = time.monotonic() + STOP_TIME
            for pool in pools:
                pool.abort("the process was terminated")
        while any(pool.alive for pool in pools) and time.monotonic() < self.stop_until:
            _join(pools, RESPONSE_TIME)
            if not all(pool.responds(RESPONSE_TIME) for pool in pools) and _come_again(number):
                return
        _die_of(number)

    def before_fork(self) -> None:
        """Keep SIGTERM back: the child forgets what arrives before it is set up."""
        self.fork.mask = None
        if signal.getsignal(signal.SIGTERM) == self.on_sigterm:
            self.fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def after_fork(self) -> None:
        """Let signals through as before."""
        if self.fork.mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.fork.mask)

    def forked(self) -> None:
        """The jobs stay the parent's; a child that creates an executor starts afresh.

        SIGTERM ends it as if we were not there. A handler in Python runs when the interpreter is
        next at work, which a child of `multiprocessing` that waits for its next task never is: its
        pool's `terminate` would wait for it for ever.
        """
        self.pools = weakref.WeakSet()
        if self.fork.mask is not None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.sigterm_seen_to = False
        self.after_fork()


def _join(pools: list[Runner], timeout: float | None = None) -> None:
    for pool in pools:
        if pool.alive:
            pool.join(timeout)


def _come_again(number: int) -> bool:
    """Send this process a signal in a moment; say whether that can be done."""

    def send() -> None:
        time.sleep(MOMENT)
        os.kill(os.getpid(), number)

    try:
        # No `threading.Thread`: to start one takes a lock, which the main thread may hold as well.
        _thread.start_new_thread(send, ())
    except RuntimeError:  # the interpreter ends: no new threads
        return False
    return True


def _die_of(number: int) -> None:
    """End the process by a signal, so that a shell sees what ended it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, broken, or replaced by who knows what
            stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


_process = _Process()


def register(pool: Runner) -> None:
    """See to it that `pool` leaves no job behind when the process ends."""
    _process.hook()
    _process.hook_sigterm()
    _process.pools.add(pool)


def hook_sigterm() -> None:
    """See to SIGTERM if that has not been done: the first executor may be made in any thread.

    Called wherever the main thread may come by.
    """
    if not _process.sigterm_seen_to:
        _process.hook_sigterm()


def ending() -> bool:
    """Say whether the interpreter is about to end."""
    return _process.ending


def hurry() -> None:
    """Note that somebody who waited for jobs to be stopped does not want to wait any more."""
    _process.hurried = True

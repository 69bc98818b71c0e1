"""The pool: the thread that an executor's work happens in, and the doors into it.

:class:`Pool` is what other threads may touch. It owns a background thread with an event loop;
everything that happens on the loop is the :class:`~hfexecutor.scheduler.Scheduler`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from hfexecutor.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.calls import Call
    from hfexecutor.connection import Connection
    from hfexecutor.futures import HubFuture
    from hfexecutor.options import Options

__all__ = ["Pool"]

BURST = 0.0005  # seconds between two wake-ups that make a burst
GATHER = 0.001  # seconds that a burst gathers


class Pool:
    """A scheduler in a thread of its own; every method may be called from any thread.

    Args:
        options: the executor's.
        connect: makes the connection; called in the pool's thread.
        farewell: called last in that thread, when no job is left.
    """

    def __init__(
        self,
        options: Options,
        connect: Callable[[], Connection],
        farewell: Callable[[], None] = lambda: None,
    ) -> None:
        self._inbox: deque[Call] = deque()
        self._awake = False
        self._drained = 0.0
        self._connect = connect
        self._farewell = farewell
        self._scheduler = Scheduler(options)
        self._loop: asyncio.AbstractEventLoop | None = None
        # Not a daemon: like the stdlib's executors, a script that ends waits for its calls.
        self._thread = threading.Thread(target=self._run, name="hfexecutor-pool")
        # Not asked of the thread: before Python 3.13 one whose join() is interrupted by Ctrl-C
        # counts as ended from then on, although it runs.
        self._over = threading.Event()
        self._pid = 0  # of the process that has the thread: a fork has none

    def start(self) -> None:
        """Start the thread."""
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        # The first thing on the loop, before whatever is called soon from now on.
        self._loop.call_soon(self._scheduler.begin, self._connect)
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether the thread was ever started."""
        return self._loop is not None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._pid == os.getpid() and not self._over.is_set()

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler, to be read only: it belongs to the pool's thread."""
        return self._scheduler

    def submit(self, call: Call) -> None:
        """Take a call over. One wake-up of the loop serves all calls that wait by then."""
        self._inbox.append(call)
        if not self._awake:
            self._awake = True
            self._call_soon(self._drain)

    def cancelled(self, future: HubFuture[Any]) -> None:
        """Hear that a future was cancelled by its owner."""
        self._call_soon(self._after_inbox, self._scheduler.cancelled, future)

    def kill(self, future: HubFuture[Any]) -> None:
        """Stop a running call."""
        self._call_soon(self._after_inbox, self._scheduler.kill, future)

    def close(self, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end when those in hand are done."""
        if cancel_futures:
            self._scheduler.hold()
        self._call_soon(self._after_inbox, self._scheduler.close, cancel_futures)

    def abort(self, why: str) -> None:
        """Stop everything now: pending calls are cancelled, running ones stopped."""
        self._scheduler.hold()
        self._call_soon(self._after_inbox, self._scheduler.abort, why)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread to end."""
        if threading.current_thread() is self._thread or self._pid != os.getpid():
            return
        if self._over.wait(timeout):
            self._thread.join()

    def _call_soon(self, function: Callable[..., None], *args: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is left to do
                self._loop.call_soon_threadsafe(function, *args)

    def _drain(self) -> None:
        """Take what `submit` left; in a burst leave it to gather for a moment.

        To wake the loop costs `submit` a system call and a switch of threads, several times the
        price of the rest. One call after the other is taken at once; calls that come within
        fractions of a millisecond are taken together.
        """
        assert self._loop is not None
        inbox, now = self._inbox, self._loop.time()
        burst = now - self._drained < BURST
        self._drained = now
        if not burst or not inbox:
            self._awake = False  # first: a call that comes from now on wakes the loop again
        else:
            self._loop.call_later(GATHER, self._drain)
        self._take_inbox()

    def _after_inbox(self, function: Callable[..., None], *args: Any) -> None:
        """Do something about calls that may still wait in the inbox: so take those first."""
        self._take_inbox()
        function(*args)

    def _take_inbox(self) -> None:
        inbox = self._inbox
        if inbox:
            self._scheduler.take(inbox.popleft() for _ in range(len(inbox)))

    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_until_complete(self._scheduler.run())
        finally:
            try:
                self._loop.close()
                self._farewell()
            finally:
                self._over.set()

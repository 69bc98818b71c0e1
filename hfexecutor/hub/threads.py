"""Wait in an event loop for a blocking call that nobody can interrupt.

The calls run in daemon threads of this module's own. A thread of a pool of the stdlib would be lost
to a call that hangs, and would keep the interpreter from exiting; these are not waited for, another
one is started when all are busy, and one that has been idle for a while ends.

But Python 3.12 starts no thread once the script has ended, not even while it waits for those that
run, and the jobs of a script are often launched just then. There some are started before, and stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread", "make_ready"]

T = TypeVar("T")
_Task: TypeAlias = "Callable[[], None]"

# Only of this version: before and after it threads can be started until the last of them ends.
_STARTS_NONE_AT_EXIT: Final = sys.version_info[:2] == (3, 12)
# Threads that always wait for work; one of them may be lost to a call that hangs.
_READY: Final = 2 if _STARTS_NONE_AT_EXIT else 0
_IDLE: Final = 2.0  # seconds that the others wait for more of it
_RESOLVERS: Final = 2


class _Threads:
    """Daemon threads, started when there is work that none of them is free for."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # guards _free
        self._free = 0  # threads that wait, less tasks that wait for one
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()

    @property
    def usable(self) -> bool:
        """Whether the threads exist: a fork has none."""
        return self._pid == os.getpid()

    def make_ready(self) -> None:
        """Have those threads wait for work that always do."""
        for _ in range(_READY - self._free):
            self._start()
            with self._lock:
                self._free += 1

    def run(self, task: _Task) -> None:
        """Run a task in one of the threads."""
        with self._lock:
            self._free -= 1
            busy = self._free < 0
        if busy:
            try:
                self._start()
            except RuntimeError:  # the interpreter starts no more: it waits for one that is there
                pass
            else:
                with self._lock:
                    self._free += 1
        self._tasks.put(task)

    def _start(self) -> None:
        threading.Thread(target=self._work, name="hfexecutor-helper", daemon=True).start()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            task()
            del task  # and what it has sent: this thread may wait for a long time
            with self._lock:
                self._free += 1

    def _next(self) -> _Task | None:
        """Wait for a task; None: none came, and this thread is not needed any more."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._tasks.get(timeout=_IDLE)
            with self._lock:
                if self._free > _READY:  # else a task is on its way to one of the threads
                    self._free -= 1
                    return None


_threads = _Threads()


def _of_this_process() -> _Threads:
    global _threads  # noqa: PLW0603  (a fork has none of the threads)
    if not _threads.usable:
        _threads = _Threads()
    return _threads


def make_ready(loop: asyncio.AbstractEventLoop) -> None:
    """Have threads wait for :func:`in_thread`, and for names that `loop` is to look up, if need be.

    Called before the loop runs, in a thread of the user's: so before the script can have ended.
    """
    _of_this_process().make_ready()
    if _STARTS_NONE_AT_EXIT:
        loop.set_default_executor(_resolver())


def _resolver() -> ThreadPoolExecutor:
    """Return a pool that has all its threads; the loop's own starts them as they are needed."""
    resolver = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="hfexecutor-resolver")
    all_there = threading.Barrier(_RESOLVERS)
    for future in [resolver.submit(all_there.wait) for _ in range(_RESOLVERS)]:
        future.result()
    return resolver


async def in_thread(function: Callable[[], T], seconds: float | None = None) -> T:
    """Return what `function` returns, run in a daemon thread.

    Args:
        function: What to call.
        seconds: How long to wait for it; None waits for ever.

    Raises:
        TimeoutError: It takes longer; it goes on in its thread, and nobody hears of its end.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        if outcome.done():
            return  # it waited for a thread for longer than anybody waits for it
        try:
            report: tuple[T | None, BaseException | None] = (function(), None)
        except BaseException as error:  # whatever it is, it belongs to the one who waits
            report = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *report)

    _of_this_process().run(run)
    async with asyncio.timeout(seconds):
        return await outcome

"""The calls of one map: submitted ahead, taken as their results are wanted, cancelled if not.

They know of their executor that it can submit, and of their futures what every future has. So all
of this works on any executor, and is tested beside the stdlib's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from hfexecutor.mapped_results import Place, remaining

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from hfexecutor.mapped_results import Results
    from hfexecutor.progress.maps import MapProgress

__all__ = ["MapOptions", "MappedCalls", "Row"]

E = TypeVar("E", bound="Executor")

Row: TypeAlias = tuple[Any, ...]


class MapOptions(NamedTuple):
    """The options of one map, checked.

    Attributes:
        deadline: Monotonic seconds after which a result is not waited for; None: never.
        chunksize: Rows that run one after the other in one call.
        buffersize: Calls that are submitted whose results were not taken; None: all.
        ordered: Results come in the order of the input, else as calls end.
        return_exceptions: What calls raise is a result like others.
        progress: How far the map has come is shown.
    """

    deadline: float | None
    chunksize: int
    buffersize: int | None
    ordered: bool
    return_exceptions: bool
    progress: bool

    @classmethod
    def check(
        cls,
        *,
        timeout: float | None,
        chunksize: int,
        buffersize: int | None,
        ordered: bool,
        return_exceptions: bool,
        progress: bool,
        keep: str | None = None,
        resume: str | None = None,
    ) -> MapOptions:
        """Return what the user has given; its time limit counts from now."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        if not isinstance(progress, bool):
            raise TypeError(f"progress must be True or False, not {progress!r}")
        if keep is not None and chunksize != 1:
            raise ValueError(
                f'keep="{keep}" leaves the result of each item where it is, and with chunksize='
                f"{chunksize} several are one: leave chunksize out"
            )
        if keep is not None and resume is not None:
            raise ValueError(
                f'keep="{keep}" leaves results until the run ends, and resume= is for later runs: '
                "leave one of the two out"
            )
        return cls(deadline, chunksize, buffersize, ordered, return_exceptions, progress)


class _InOrder:
    """Futures that are taken in the order of the input."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._futures: deque[Future[Any]] = deque()
        self._rows: deque[int] = deque()

    def add(self, future: Future[Any], rows: int) -> None:
        """Add a call of so many rows."""
        self._futures.append(future)
        self._rows.append(rows)

    def take(self, deadline: float | None) -> Future[Any]:
        """Return the next future, ended or not."""
        del deadline  # it is the future that will be waited for
        self._place.first += self._place.rows
        self._place.rows = self._rows.popleft()
        return self._futures.popleft()

    async def take_async(self, deadline: float | None) -> Future[Any]:
        """Return the next future when it has ended."""
        future = self._futures[0]
        if not future.done():
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            future.add_done_callback(lambda _: _call_in(loop, ended.set))
            async with asyncio.timeout(remaining(deadline)):
                await ended.wait()
        return self.take(deadline)

    def __len__(self) -> int:
        return len(self._futures)

    def __iter__(self) -> Iterator[Future[Any]]:
        return iter(self._futures)


class _AsTheyEnd:
    """Futures that are taken as they end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open: dict[Future[Any], tuple[int, int]] = {}  # with first row and number of rows
        self._added = 0
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def add(self, future: Future[Any], rows: int) -> None:
        """Add a call of so many rows."""
        self._open[future] = (self._added, rows)
        self._added += rows
        future.add_done_callback(self._note)

    def _note(self, future: Future[Any]) -> None:
        self._ended.put(future)
        if (waiting := self._waiting) is not None:
            loop, ended = waiting
            _call_in(loop, ended.set)

    def take(self, deadline: float | None) -> Future[Any]:
        """Return a future that has ended; TimeoutError if none has by the deadline."""
        try:
            future = self._ended.get(timeout=remaining(deadline))
        except queue.Empty:
            raise TimeoutError from None
        self._place.first, self._place.rows = self._open.pop(future)
        return future

    async def take_async(self, deadline: float | None) -> Future[Any]:
        """Return a future that has ended, when there is one."""
        async with asyncio.timeout(remaining(deadline)):
            while self._ended.empty():
                ended = asyncio.Event()
                self._waiting = asyncio.get_running_loop(), ended
                if self._ended.empty():  # still: who puts one there from now on sees the event
                    await ended.wait()
        return self.take(None)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Future[Any]]:
        return iter(self._open)


class MappedCalls:
    """The calls of one map.

    Args:
        executor: Whose they are; it is not kept alive.
        submit: Submits a call for some rows.
        rows: The input.
        options: Of the map.
        results: Makes results of futures.
        progress: Shows how far they have come; None, the default, if nobody wants to see that.

    Raises:
        Exception: Whatever `submit` raises, or the input.
    """

    def __init__(
        self,
        executor: E,
        submit: Callable[[E, list[Row]], Future[Any]],
        rows: Iterable[Row],
        options: MapOptions,
        results: Results,
        *,
        progress: MapProgress | None = None,
    ) -> None:
        self._submit: Callable[[Any, list[Row]], Future[Any]] = submit
        self._rows = iter(rows)
        self._options = options
        self._results = results
        self._place = Place()
        self._futures = (_InOrder if options.ordered else _AsTheyEnd)(self._place)
        self._executor = weakref.ref(executor)
        self._progress = progress
        self._all_taken = False
        try:
            self._add(options.buffersize)
        except BaseException:
            if progress is not None:
                progress.close()
            raise

    def results(self) -> Iterator[Any]:
        """Yield the results, and hold none that was yielded."""
        try:
            while self._futures:
                self._refill()
                rows = self._rows_of(self._futures.take(self._options.deadline))
                while rows:
                    yield rows.pop()
        finally:
            self._end()

    async def results_async(self) -> AsyncIterator[Any]:
        """Do so without blocking the event loop."""
        try:
            while self._futures:
                self._refill()
                rows = self._rows_of(await self._futures.take_async(self._options.deadline))
                while rows:
                    yield rows.pop()
        finally:
            self._end()

    def _refill(self) -> None:
        if self._options.buffersize is not None:
            self._add(1)

    def _add(self, count: int | None) -> None:
        """Submit so many calls more, or all; none if the executor is gone."""
        if (executor := self._executor()) is not None:
            for chunk in itertools.islice(iter(self._chunk, []), count):
                future = self._submit(executor, chunk)
                if self._progress is not None:
                    self._progress.add(future, len(chunk))
                self._futures.add(future, len(chunk))
            if self._progress is not None and self._all_taken:
                self._progress.no_more()

    def _chunk(self) -> list[Row]:
        """Return the rows of the next call; the last has fewer, and none come after it."""
        chunk = list(itertools.islice(self._rows, self._options.chunksize))
        if len(chunk) < self._options.chunksize:
            self._rows = iter(())  # a zip that has ended keeps a row
            self._all_taken = True
        return chunk

    def _rows_of(self, future: Future[Any]) -> list[Any]:
        """Return a call's results, the last one first, and leave no reference to its future."""
        try:
            try:
                return self._results.rows(future, self._options.deadline, self._place)
            finally:
                future.cancel()
        finally:
            del future

    def _end(self) -> None:
        for future in self._futures:
            future.cancel()
        self._results.end()
        if self._progress is not None:
            self._progress.close()


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Call a function in a loop, from any thread, unless the loop is over."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)

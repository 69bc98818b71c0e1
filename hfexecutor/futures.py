"""The future that :meth:`HubExecutor.submit` returns."""

from __future__ import annotations

import math
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, TypeVar, cast

from hfexecutor.condition import Condition
from hfexecutor.rich_display import Lines, Link, describe_error, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.rich_display import Part

__all__ = ["HubFuture", "PoolFuture"]

T = TypeVar("T")


class JobRef(Protocol):
    """What a future tells about the job that runs its call."""

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...


class Owner(Protocol):
    """Who hears what becomes of a future."""

    def cancelled(self, future: PoolFuture[Any]) -> None: ...
    def kill(self, future: PoolFuture[Any]) -> None: ...
    def awaited(self) -> None: ...


# Characters and lines, counted together, of what one call printed. An honest job shows 256 KiB and
# a few pieces of lines; but a line of the log is nobody's proof that the job wrote it.
MOST_KEPT = (256 + 64) * 1024
_SHOWN = 3  # lines in a notebook
LEFT_OUT = "[hfexecutor: the rest of this call's output was left out: it is more than a job prints]"


class Printed:
    """What one call printed: numbered lines, so that a log that is replayed changes nothing.

    No more than `MOST_KEPT` is held. Beyond that a line makes room for itself by driving out those
    with higher numbers, which are of an attempt that was lost; where there are none it is left out.

    Attributes:
        heard: Called with each new line as it is stored; None: nobody wants to hear of it.
    """

    __slots__ = ("_end", "_left_out", "_lines", "_open", "_size", "_unterminated", "heard")

    def __init__(self) -> None:
        self.heard: Callable[[str], None] | None = None
        self._lines: dict[int, str] = {}
        self._open: set[int] = set()
        self._size = 0
        self._end = 0  # no line has this number, or a higher one
        self._left_out = math.inf  # the lowest number of a line that was
        self._unterminated = -1  # the number of the last line, if the call has ended within it

    def add(self, number: int, text: str) -> None:
        """Store line `number`; a later copy of it replaces the first."""
        if self._size_with(number, text) > MOST_KEPT:
            self._cut(number + 1)
            if self._size_with(number, text) > MOST_KEPT:
                self._cut(number)
                return
        self._size = self._size_with(number, text)
        if self.heard is not None and self._lines.get(number) != text:
            self.heard(text)
        self._lines[number] = text
        if number == self._unterminated:
            self._open.add(number)
        else:
            self._open.discard(number)
        self._end = max(self._end, number + 1)
        if number == self._left_out:  # it was an earlier attempt's that was
            self._left_out += 1

    def join(self, number: int) -> None:
        """Note that line `number` did not end with a newline."""
        if number in self._lines:
            self._open.add(number)

    def end(self, count: int, *, unterminated: bool = False) -> None:
        """Note that the call printed `count` lines: others are of an attempt that was lost."""
        if unterminated:
            self._unterminated = count - 1
            self.join(count - 1)
        self._cut(count)
        if self._left_out == count:  # nothing of this attempt was
            self._left_out = math.inf

    def text(self) -> str:
        """Return everything in order; a newline ends each line that had one."""
        lines = [
            line if number in self._open else line + "\n"
            for number, line in sorted(self._lines.copy().items())  # the pool's thread adds more
        ]
        if self._left_out < math.inf:
            lines.append(LEFT_OUT + "\n")
        return "".join(lines)

    def _size_with(self, number: int, text: str) -> int:
        return self._size + len(text) + 1 - self._cost(number)

    def _cost(self, number: int) -> int:
        line = self._lines.get(number)
        return 0 if line is None else len(line) + 1

    def _cut(self, count: int) -> None:
        """Leave out what has number `count` or a higher one."""
        self._left_out = min(self._left_out, count)
        if self._end <= count:
            return
        for number in [number for number in self._lines if number >= count]:
            self._size -= self._cost(number)
            del self._lines[number]
            self._open.discard(number)
        self._end = count


class HubFuture(Future[T]):
    """A :class:`concurrent.futures.Future` that knows the job in which its call runs.

    Everything that takes a future takes this one: ``wait``, ``as_completed``,
    ``asyncio.wrap_future``. Added are :attr:`job_id`, :attr:`job_url`, :meth:`logs` and
    :meth:`kill`.
    """

    # Class-level defaults keep a pending future as small as the stdlib's own.
    _job: JobRef | None = None
    _printed: Printed | None = None
    _pool: Owner | None = None

    def __init__(self) -> None:
        # All that the stdlib's does, but for the kind of condition.
        self._condition = Condition()  # type: ignore[assignment] # all that they use of one
        self._state = "PENDING"
        self._result = None
        self._exception = None
        self._waiters = []
        self._done_callbacks: list[Any] = []

    @property
    def job_id(self) -> str | None:
        """Id of the job that runs, or ran, the call; ``None`` before one was started for it."""
        return self._job.id if self._job is not None else None

    @property
    def job_url(self) -> str | None:
        """Page of that job on the Hub; ``None`` before one was started."""
        return self._job.url if self._job is not None else None

    if TYPE_CHECKING:  # the stdlib's own, of which a callback gets this kind of future

        def add_done_callback(self, fn: Callable[[Self], object]) -> None: ...  # noqa: D102

    def result(self, timeout: float | None = None) -> T:
        """Return the call's value, or raise its exception, as in the stdlib.

        Also an exception that is false in a boolean context: before Python 3.13 the stdlib takes
        that for none.
        """
        self._tell_that_it_is_awaited()
        try:
            value = super().result(timeout)
            if self._exception is not None:
                raise self._exception
            return value
        finally:
            del self  # an exception's traceback would refer to the future that refers to it

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, as in the stdlib."""
        self._tell_that_it_is_awaited()
        return super().exception(timeout)

    def _tell_that_it_is_awaited(self) -> None:
        if (pool := self._pool) is not None:
            pool.awaited()

    def logs(self) -> str:
        r"""Return what the call has printed so far (stdout and stderr, in order).

        Lines arrive while the call runs. Output beyond a cap of 256 KiB a call is cut out of its
        middle, and one line says how much.

        Example:
            >>> future = executor.submit(print, "hello")   # doctest: +SKIP
            >>> future.result(); future.logs()             # doctest: +SKIP
            'hello\n'
        """
        return self._printed.text() if self._printed is not None else ""

    def cancel(self) -> bool:
        """Cancel the call if it has not begun, as far as this side knows; as in the stdlib.

        It also works for one that a job was handed ahead of time. A job that was started for this
        call alone, and does not run yet, is cancelled with it. To stop a call that is running use
        :meth:`kill`.
        """
        cancelled = super().cancel()
        if cancelled and (pool := self._pool) is not None:
            self._pool = None
            pool.cancelled(cast("PoolFuture[Any]", self))  # no other kind has a pool
        return cancelled

    def kill(self) -> bool:
        """Stop the call even if it is running: its process gets SIGKILL, its job goes on.

        Returns:
            ``False`` when the call is already done, else ``True``: the future then ends soon,
            cancelled if it had not begun, else with :class:`CallStoppedError`, unless the call's
            own outcome was faster.
        """
        if self.cancel():
            return True
        if self.done():
            return False
        if (pool := self._pool) is not None:
            pool.kill(cast("PoolFuture[Any]", self))
        return True

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a HubFuture cannot be sent to a job: pass its result(), as soon as that is there"
        )

    def __repr__(self) -> str:
        text = super().__repr__().replace(type(self).__name__, HubFuture.__name__, 1)
        return f"{text[:-1]} job={self.job_id}>" if self._job is not None else text

    def _repr_html_(self) -> str:
        state, outcome = self._described()
        job = self._job
        rows: list[tuple[str, Part]] = [
            ("job", Link(job.id, job.url) if job is not None else ""),
            outcome,
            ("printed last", Lines(tuple(self.logs().splitlines()[-_SHOWN:]))),
        ]
        return table(HubFuture.__name__, state, rows)

    def _described(self) -> tuple[str, tuple[str, str]]:
        """Return the state, and what came of the call; it tells the pool of no one who waits."""
        if self.cancelled():
            return "cancelled", ("", "")
        if not self.done():
            return ("running" if self.running() else "pending"), ("", "")
        if (error := self._exception) is not None:
            return "failed", ("raised", describe_error(error))
        return "finished", ("returned", type(self._result).__name__)


class PoolFuture(HubFuture[T]):
    """A :class:`HubFuture` as the pool sees it: with the ends that its users must not touch."""

    call_id: int = 0
    attempts: tuple[str, ...] = ()  # what those have raised that the call was retried after

    def bind(self, call_id: int, pool: Owner) -> None:
        """Tie a new future to its call, and to who is to hear that it was cancelled."""
        self.call_id = call_id
        self._pool = pool

    def started_in(self, job: JobRef | None) -> None:
        """Note the job that runs the call."""
        self._job = job

    def printed(self) -> Printed:
        """Return the place for what the call prints."""
        if self._printed is None:
            self._printed = Printed()
        return self._printed

    def replace_printed(self, printed: Printed | None) -> None:
        """Have what another attempt of the call has printed instead."""
        self._printed = printed

    def printed_in_all(self, count: int, *, unterminated: bool = False) -> None:
        """Note how many lines the call printed, and whether the last one had no newline."""
        if self._printed is not None:
            self._printed.end(count, unterminated=unterminated)

    def release(self) -> None:
        """Drop what ties a finished future to its executor."""
        self._pool = None
        if self._printed is not None:
            self._printed.heard = None

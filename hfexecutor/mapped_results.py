"""From the futures of a map to the results that it yields: values, or also what was raised."""

from __future__ import annotations

import logging
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hfexecutor.errors import DetachedError
from hfexecutor.failures import Failures
from hfexecutor.futures import PoolFuture
from hfexecutor.names import name_of
from hfexecutor.remote.exceptions import Raised
from hfexecutor.remote.loading import PACKAGE
from hfexecutor.results import rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["Place", "Raise", "Results", "Return", "remaining", "run_keeping", "run_rows"]

T = TypeVar("T")

logger = logging.getLogger("hfexecutor")


class Place:
    """Where in the input the call stands that was taken last: its first row, and how many."""

    def __init__(self) -> None:
        self.first = 0
        self.rows = 0


class Results(Protocol):
    """Makes results of futures."""

    def rows(self, future: Future[Any], deadline: float | None, place: Place) -> list[Any]:
        """Return the results of a call's rows, the last one first."""

    def failed(self, future: Future[Any], rows: int) -> int:
        """Return how many of a call's rows have failed, when it has ended."""

    def end(self) -> None:
        """No more are wanted."""


class Raise:
    """Yield values, and raise what a call has raised.

    Args:
        single: A future's value is a row's, not a list of several rows'.
    """

    def __init__(self, *, single: bool) -> None:
        self._single = single

    def rows(self, future: Future[Any], deadline: float | None, place: Place) -> list[Any]:
        """Return the results of a call's rows, the last one first."""
        del place
        try:
            value = future.result(remaining(deadline))
        finally:
            del future
        return [value] if self._single else value[::-1]

    def failed(self, future: Future[Any], rows: int) -> int:
        """Return how many of a call's rows have failed: none of them is known to be good."""
        return rows if future.exception() is not None else 0

    def end(self) -> None:
        """Do nothing: who sees the exception knows of it."""


class Return:
    """Yield values, and exceptions as if they were some; log a summary of those at the end.

    Args:
        single: A future's value is a row's, not a list of what `run_keeping` says of several.
        summary: Hears of how many calls of the executor that failed the summary has told.
    """

    def __init__(self, *, single: bool, summary: Callable[[int], None]) -> None:
        self._single = single
        self._summary = summary
        self._failures = Failures()
        self._calls = 0  # that failed, in the executor's eyes

    def rows(self, future: Future[Any], deadline: float | None, place: Place) -> list[Any]:
        """Return the results of a call's rows, the last one first."""
        error: BaseException | None
        try:
            error = future.exception(remaining(deadline))
        except CancelledError:
            error = CancelledError()  # a new one: the other's traceback refers to the future
        self._failures.calls += place.rows
        if error is not None:
            self._calls += _has_failed(future, error)
            return [self._failed(place.first + n, error, future) for n in range(place.rows)][::-1]
        if self._single:
            return [future.result()]
        kept = enumerate(future.result(), place.first)
        return [self._row(number, done, value, future) for number, (done, value) in kept][::-1]

    def failed(self, future: Future[Any], rows: int) -> int:
        """Return how many of a call's rows have failed."""
        if future.exception() is not None:
            return rows
        return 0 if self._single else sum(not done for done, _ in future.result())

    def _row(self, number: int, done: bool, value: Any, future: Future[Any]) -> Any:
        if done:
            return value
        where = f"job {getattr(future, 'job_id', None)}, {getattr(future, 'job_url', None)}"
        return self._failed(number, rebuilt(Raised.decode(value), where), future)

    def _failed(self, number: int, error: BaseException, future: Future[Any]) -> BaseException:
        self._failures.note(number, error, future)
        return error

    def end(self) -> None:
        """Say what has failed, if anything has."""
        if self._failures:
            logger.warning("%s", self._failures)
            self._summary(self._calls)


def _has_failed(future: Future[Any], error: BaseException) -> bool:
    """Say whether the executor counts it as failed: one that was neither cancelled nor left."""
    submitted = isinstance(future, PoolFuture) and future.call_id > 0
    return submitted and not future.cancelled() and not isinstance(error, DetachedError)


# Nested functions are always pickled by value, so the job need not have this package.


def run_rows(fn: Callable[..., T]) -> Callable[[list[tuple[Any, ...]]], list[T]]:
    """Return a function that calls `fn` with one row after the other."""

    def run_chunk(chunk: list[tuple[Any, ...]]) -> list[T]:
        return [fn(*row) for row in chunk]

    run_chunk.__qualname__ = name_of(fn)  # what it is called where calls are shown
    return run_chunk


def run_keeping(fn: Callable[..., T]) -> Callable[[list[tuple[Any, ...]]], list[tuple[bool, Any]]]:
    """Return a function that does so, and goes on after an exception.

    For each row it returns True and the value, or False and the exception as calls report it.
    """
    package = PACKAGE

    def run_chunk(chunk: list[tuple[Any, ...]]) -> list[tuple[bool, Any]]:
        done: list[tuple[bool, Any]] = []
        for row in chunk:
            try:
                done.append((True, fn(*row)))
            except BaseException as error:
                from importlib import import_module  # noqa: PLC0415 - in the job

                report = import_module(f"{package}.error_report")
                done.append((False, report.raised(error).encode()))
        return done

    run_chunk.__qualname__ = name_of(fn)  # what it is called where calls are shown
    return run_chunk


def remaining(deadline: float | None) -> float | None:
    """Return the seconds until a deadline, none below zero."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())

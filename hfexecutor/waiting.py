"""The stdlib's ``as_completed`` and ``wait``, with types that keep what kind of future it is.

They are the stdlib's, which by their declared types hand out a plain ``Future`` of what was a
:class:`~hfexecutor.futures.HubFuture`, so that a type checker knows nothing of its ``job_url``.
"""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["DoneAndNotDone", "as_completed", "wait"]

F = TypeVar("F", bound=concurrent.futures.Future[Any])


class DoneAndNotDone(NamedTuple, Generic[F]):
    """What :func:`wait` returns: the futures that have ended, and the others."""

    done: set[F]
    not_done: set[F]


def as_completed(fs: Iterable[F], timeout: float | None = None) -> Iterator[F]:
    """Return an iterator over futures as they end, each once.

    Args:
        fs: Futures, of any executors.
        timeout: Seconds from now after which waiting for the next one raises TimeoutError. None,
            the default: as long as it takes.

    Example:
        >>> from hfexecutor import HubExecutor
        >>> with HubExecutor(2, endpoint="local") as executor:
        ...     futures = [executor.submit(pow, 2, n) for n in range(3)]
        ...     sorted(future.result() for future in as_completed(futures))
        [1, 2, 4]
    """
    ended: Iterator[Any] = concurrent.futures.as_completed(fs, timeout)
    return ended


def wait(
    fs: Iterable[F],
    timeout: float | None = None,
    return_when: str = concurrent.futures.ALL_COMPLETED,
) -> DoneAndNotDone[F]:
    """Wait for futures; return the sets of those that have ended and those that have not.

    Args:
        fs: Futures, of any executors.
        timeout: Seconds after which to return in any case. None, the default: as long as it takes.
        return_when: ``"ALL_COMPLETED"``, the default, ``"FIRST_COMPLETED"`` or
            ``"FIRST_EXCEPTION"``: the stdlib's constants of these names.
    """
    sets: tuple[set[Any], set[Any]] = concurrent.futures.wait(fs, timeout, return_when)
    return DoneAndNotDone(*sets)

"""A condition variable for each of many futures, of which hardly any is ever waited for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Condition"]


class Condition:
    """What futures need of :class:`threading.Condition`, which is made when somebody waits.

    One of those has a queue of waiters and five bound methods of its own: of the 1.8 kB of a
    pending call they were 1.2, and a fifth of the time of `submit`.
    """

    __slots__ = ("_condition", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._condition: threading.Condition | None = None

    def __repr__(self) -> str:
        return f"<Condition of {self._lock!r}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; as :meth:`threading.Condition.acquire`."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Let go of the lock; as :meth:`threading.Condition.release`."""
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be notified; as :meth:`threading.Condition.wait`, with the lock taken."""
        if self._condition is None:  # nobody else makes one meanwhile: the lock is taken
            self._condition = threading.Condition(self._lock)
        return self._condition.wait(timeout)

    def notify_all(self) -> None:
        """Wake all who wait; as :meth:`threading.Condition.notify_all`, with the lock taken."""
        if self._condition is not None:
            self._condition.notify_all()

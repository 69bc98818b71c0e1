"""What threads wait for: conditions of many futures, and what happens once.

Ctrl-C raises KeyboardInterrupt in the main thread, after any call and before any function, those
of the standard library among them. Two things follow:

- Where it strikes while the methods of a :class:`threading.Condition` or :class:`threading.Event`
  take the lock, or are about to release it, the lock stays taken, and the thread that has something
  to tell hangs with all that wait. So locks that the main thread shares with the executor's are
  taken and released in C here.
- A signal that arrives when the main thread is just about to wait is noted, and nobody looks at the
  note before the wait is over. So waits come in pieces.
"""

from __future__ import annotations

import contextlib
import math
import threading
from _thread import RLock
from collections import deque
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Condition", "Latch"]

FIRST_PIECE, LONGEST_PIECE = 0.25, 60.0  # seconds


class Condition(RLock):  # type: ignore[misc] # that it is final is true of its stub alone
    """What futures need of :class:`threading.Condition`: one of those is made by who waits.

    Hardly any future is ever waited for. A condition of the stdlib's has a queue of waiters and
    five bound methods of its own: of the 1.8 kB of a pending call they were 1.2, and a fifth of the
    time of `submit`.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: tuple[threading.Condition, ...] = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be notified; as :meth:`threading.Condition.wait`, with the lock taken."""
        mine = threading.Condition(self)
        self._waiting = (*self._waiting, mine)

        def wait(piece: float) -> bool:
            # The notification may come when a piece is over, and the lock not yet taken again.
            return mine.wait(piece) or mine not in self._waiting

        try:
            return _in_pieces(wait, timeout)
        finally:  # the lock is taken again
            self._waiting = tuple(one for one in self._waiting if one is not mine)

    def notify_all(self) -> None:
        """Wake all who wait; as :meth:`threading.Condition.notify_all`, with the lock taken."""
        waiting, self._waiting = self._waiting, ()
        for one in waiting:
            one.notify_all()


class Latch:
    """Something that happens once: a :class:`threading.Event` whose waiters share no lock."""

    def __init__(self) -> None:
        self._happened = False
        self._waiting: deque[threading.Lock] = deque()  # each taken until it has happened

    def happened(self) -> bool:
        """Say whether it has."""
        return self._happened

    def release(self) -> None:
        """Note that it has happened, and wake who waits for it."""
        self._happened = True
        while self._waiting:
            self._waiting.popleft().release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, for `timeout` seconds at most; return whether it has happened."""
        mine = threading.Lock()
        mine.acquire()
        self._waiting.append(mine)
        if not self._happened:  # looked at last: what happens from now on finds the waiter
            _in_pieces(partial(mine.acquire, True), timeout)
        with contextlib.suppress(ValueError):  # it has been taken out to be woken
            self._waiting.remove(mine)
        return self._happened


def _in_pieces(wait: Callable[[float], bool], timeout: float | None) -> bool:
    """Do as `wait` does, which takes how many seconds at most, until it says True.

    A signal is likely where a wait begins, for that is when a script says that it waits; where a
    piece of it begins it is as likely as in any other microsecond. So pieces grow.
    """
    piece, end = FIRST_PIECE, math.inf if timeout is None else monotonic() + timeout
    while (left := end - monotonic()) > piece:
        if wait(piece):
            return True
        piece = min(4 * piece, LONGEST_PIECE)
    return wait(max(left, 0.0))

"""Wait for many things at once: descriptors and moments. One thread, one poll.

By hand, because :mod:`selectors` cannot watch a descriptor for nothing but its end: that is how the
loss of the log is noticed while there is nothing to write.
"""

from __future__ import annotations

import select
import time
from math import inf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventLoop"]

_READ = select.POLLIN | select.POLLPRI
_WRITE = select.POLLOUT
_BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL
_NO_READ, _NO_WRITE = ~_READ, ~_WRITE
_LONGEST_WAIT = 3600.0  # seconds; poll takes no more than 24 days


class EventLoop:
    """Call back when a descriptor is ready or a moment has come.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._poll = select.poll()  # few descriptors, so the oldest call is the fastest one
        self._events: dict[int, int] = {}
        self._readers: dict[int, Callable[[], object]] = {}
        self._writers: dict[int, Callable[[], object]] = {}
        self._enders: dict[int, Callable[[], object]] = {}
        self._moments: dict[Callable[[], object], float] = {}
        self._first = inf  # of the moments
        self._next: list[Callable[[], object]] = []

    def on_readable(self, fd: int, callback: Callable[[], object] | None) -> None:
        """Call `callback` whenever `fd` can be read or is at its end; None: no more."""
        self._set(self._readers, fd, callback)

    def on_writable(self, fd: int, callback: Callable[[], object] | None) -> None:
        """Call `callback` whenever `fd` can be written or is broken; None: no more."""
        self._set(self._writers, fd, callback)

    def on_broken(self, fd: int, callback: Callable[[], object] | None) -> None:
        """Call `callback` when nobody reads any more what is written to `fd`; None: no more."""
        self._set(self._enders, fd, callback)

    def forget(self, fd: int) -> None:
        """Watch `fd` no more; to be called before it is closed."""
        self.on_readable(fd, None)
        self.on_writable(fd, None)
        self.on_broken(fd, None)

    def at(self, moment: float | None, callback: Callable[[], object]) -> None:
        """Call `callback` once, at `moment` of the clock; None: not at all.

        There is one moment for each callback; the last one named counts.
        """
        if moment is None:
            self._moments.pop(callback, None)
        else:
            self._moments[callback] = moment
        self._first = min(self._moments.values(), default=inf)

    def before_waiting(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, when the next step begins: what is done until then comes first."""
        self._next.append(callback)

    def step(self, until: float = inf) -> None:
        """Wait for something to happen, at most until a moment of the clock, and call back."""
        while self._next:
            callbacks, self._next = self._next, []
            for callback in callbacks:
                callback()
        wait = min(until, self._first) - self.clock()
        for fd, events in self._poll.poll(1000 * min(wait, _LONGEST_WAIT) if wait > 0 else 0):
            # A callback may have closed another descriptor of this round: look again.
            if events & _NO_READ and (writer := self._writers.get(fd)) is not None:
                writer()
            if events & _NO_WRITE and (reader := self._readers.get(fd)) is not None:
                reader()
            if events & _BROKEN and (ender := self._enders.get(fd)) is not None:
                ender()
        if self._first <= self.clock():
            self._call_due()

    def clear(self) -> None:
        """Forget everything."""
        for fd in self._events:
            self._poll.unregister(fd)
        for known in (self._events, self._readers, self._writers, self._enders, self._moments):
            known.clear()
        self._next.clear()
        self._first = inf

    def _call_due(self) -> None:
        now = self.clock()
        due = [callback for callback, moment in self._moments.items() if moment <= now]
        for callback in due:
            if self._moments.get(callback, inf) <= now:
                self.at(None, callback)
                callback()

    def _set(
        self,
        known: dict[int, Callable[[], object]],
        fd: int,
        callback: Callable[[], object] | None,
    ) -> None:
        if callback is None:
            known.pop(fd, None)
        else:
            known[fd] = callback
        events = (_READ if fd in self._readers else 0) | (_WRITE if fd in self._writers else 0)
        if not events and fd not in self._enders:
            if self._events.pop(fd, None) is not None:
                self._poll.unregister(fd)
        elif events != self._events.get(fd):
            self._poll.register(fd, events)
            self._events[fd] = events

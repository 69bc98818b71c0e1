"""Write to a descriptor without ever waiting for its reader."""

from __future__ import annotations

import os
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .event_loop import EventLoop

__all__ = ["BufferedWriter"]


_AT_ONCE = 256 << 10  # bytes, then others have their turn


class BufferedWriter:
    """What is written goes out at once as far as it can, the rest when the reader is ready.

    Args:
        fd: a descriptor that does not block.
        loop: tells when it can be written again.
        on_broken: called once if the reader is gone.
        on_empty: called whenever nothing is left to write after something had to wait.
    """

    def __init__(
        self,
        fd: int,
        loop: EventLoop,
        on_broken: Callable[[], None],
        on_empty: Callable[[], None] | None = None,
    ) -> None:
        self._fd = fd
        self._loop = loop
        self._on_broken = on_broken
        self._on_empty = on_empty
        self._waiting: deque[memoryview] = deque()
        self.backlog = 0
        self.broken = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write `data`, now or later. What is written to a broken writer is lost."""
        if self.broken or not len(data):
            return
        written = 0 if self._waiting else self._try(data)
        if written < len(data) and not self.broken:
            if not self._waiting:
                self._loop.on_writable(self._fd, self._go_on)
            self._waiting.append(memoryview(data)[written:])
            self.backlog += len(data) - written

    def close(self) -> None:
        """Drop what is left; the descriptor is the caller's to close."""
        self.broken = True
        self._waiting.clear()
        self.backlog = 0
        self._loop.on_writable(self._fd, None)

    def _try(self, data: bytes | bytearray | memoryview) -> int:
        if len(data) > _AT_ONCE:
            data = memoryview(data)[:_AT_ONCE]
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # the reader is gone
            self.close()
            self._on_broken()
            return 0

    def _go_on(self) -> None:
        while self._waiting:
            data = self._waiting[0]
            written = self._try(data)
            if self.broken:
                return
            self.backlog -= written
            if written < len(data):
                self._waiting[0] = data[written:]
                return
            self._waiting.popleft()
        self._loop.on_writable(self._fd, None)
        if self._on_empty is not None:
            self._on_empty()

"""Give a child descriptors without ever waiting for it."""

from __future__ import annotations

import errno
import os
from collections import deque

from . import shared_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .event_loop import EventLoop

__all__ = ["FileSender"]

_AGAIN_SECONDS = 0.005
_LATER = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})  # others are on their way


class FileSender:
    """What is sent goes out at once as far as it can, the rest when there is room.

    Args:
        fd: the channel; does not block.
        loop: tells when there may be room again.
    """

    def __init__(self, fd: int, loop: EventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._waiting: deque[list[int]] = deque()

    def send(self, files: Sequence[int]) -> None:
        """Send descriptors in one message, now or later. They are the caller's to close."""
        if self._waiting or not self._try(files):
            self._waiting.append([os.dup(fd) for fd in files])

    def close(self) -> None:
        """Drop what waits; the channel is the caller's to close."""
        self._loop.at(None, self._go_on)
        while self._waiting:
            _close(self._waiting.popleft())

    def _try(self, files: Sequence[int]) -> bool:
        """Say whether that is done with."""
        try:
            shared_memory.send_files(self._fd, files)
        except BlockingIOError:
            self._loop.on_writable(self._fd, self._go_on)
            return False
        except OSError as error:
            if error.errno in _LATER:
                self._loop.at(self._loop.clock() + _AGAIN_SECONDS, self._go_on)
                return False
        return True  # or the child is gone, which is noticed elsewhere

    def _go_on(self) -> None:
        self._loop.on_writable(self._fd, None)
        while self._waiting and self._try(self._waiting[0]):
            _close(self._waiting.popleft())


def _close(files: Sequence[int]) -> None:
    for fd in files:
        os.close(fd)

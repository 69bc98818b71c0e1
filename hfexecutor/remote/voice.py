"""The output of one child: read from its pipe, given to its calls, shown line by line."""

from __future__ import annotations

import os

from .prints import Output, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .loop import Loop

__all__ = ["Voice"]

_READ_BYTES = 1 << 18
_MOST_READS = 64  # until the marker: many times what the pipe holds, in case a call lost it
_PATIENCE = 1.0  # seconds after which a line that has begun is shown, then twice as many, up to
_MOST_PATIENCE = 16.0  # these: somebody watches a progress bar, yet each time takes two lines


class Voice:
    """What a child prints.

    Args:
        fd: the reading end of its pipe, which does not block.
        marker: what the child writes after each call.
        cap: bytes of a call's output that are shown.
        loop: tells when there is output.
        on_line: called with number, whether it goes on the last line, and text of a line.
    """

    def __init__(
        self,
        fd: int,
        marker: bytes,
        cap: int,
        loop: Loop,
        on_line: Callable[[int, bool, bytes], None],
    ) -> None:
        self._fd = fd
        self._stream = Stream(marker)
        self._cap = cap
        self._output = Output(cap)
        self._loop = loop
        self._on_line = on_line
        self._patience = _PATIENCE
        self._waits = False  # for the rest of a line
        loop.on_readable(fd, self._read)

    def finish(self) -> int:
        """Show the rest of what the present call printed; return how many lines it has in all.

        To be called when the call's answer is there: its marker is in the pipe then.
        """
        for _ in range(_MOST_READS):
            if self._stream.ended or not self._read():
                break
        if self._output.begun:
            self._show(self._output.end())
        return self._output.total

    def turn(self) -> None:
        """Go on to the next call."""
        self._begin()
        self._take(self._stream.turn())
        if not self._stream.ended:
            self._loop.on_readable(self._fd, self._read)

    def begin(self) -> None:
        """Begin a call after a pause: what was printed meanwhile is not the call's."""
        if self._output.begun:
            self._show(self._output.end())
            self._begin()

    def close(self) -> None:
        """Stop listening; the descriptor is the caller's to close."""
        self._loop.forget(self._fd)
        self._stop_waiting()

    def _begin(self) -> None:
        if self._output.begun:
            self._output = Output(self._cap)
            self._patience = _PATIENCE
            self._stop_waiting()

    def _read(self) -> bool:
        """Read what is there, once; say whether there was anything."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._take(self._stream.feed(data))
        if self._stream.ended or not data:  # more is for the next call, so not before its turn
            self._loop.on_readable(self._fd, None)
        return bool(data)

    def _take(self, data: bytes) -> None:
        if data:
            self._show(self._output.feed(data))
            if not self._output.partial:
                self._stop_waiting()
            elif not self._waits:
                self._waits = True
                self._loop.at(self._loop.clock() + self._patience, self._flush)

    def _stop_waiting(self) -> None:
        if self._waits:
            self._waits = False
            self._loop.at(None, self._flush)

    def _flush(self) -> None:
        self._waits = False
        self._patience = min(2 * self._patience, _MOST_PATIENCE)
        self._show(self._output.flush())

    def _show(self, lines: Iterable[tuple[int, bool, bytes]]) -> None:
        for number, joined, text in lines:
            self._on_line(number, joined, text)

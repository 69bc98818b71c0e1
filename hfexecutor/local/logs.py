"""A job's log: bytes in, server-sent events out.

The bytes of an event are made once, when its line is complete, and shared by all who follow the log
or replay it. The newest events are in memory, where those who follow a log find them; the others
are on disk, so that a log costs no memory however long it gets. `now` is the only clock.
"""

from __future__ import annotations

import logging
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from .segments import Segments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_logger = logging.getLogger("hfexecutor")

# A container runtime hands longer lines on in pieces of this size.
PIECE_BYTES = 16 * 1024
# Readers that split text at these are common. To leave them as they are is a fault, see faults.py.
_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}
_ESCAPED = bytes(range(32)) + b'"\\'
_IN_MEMORY = 64 * 1024  # bytes of events, of each log
_LIMIT = 256 << 20


class Log:
    """The lines of one job, or the last `window` of them.

    Args:
        now: returns the time as the Hub writes it, "2026-05-12T14:58:23.645Z".
        path: where the log may put files; their names begin with the path's.
        window: how many lines are kept; None: all.
        limit: how many bytes of it are kept, as events; of what is more the oldest goes.
        escape: whether line ends beyond ASCII are escaped in the JSON.
    """

    def __init__(
        self,
        now: Callable[[], str],
        path: Path,
        window: int | None = None,
        limit: int = _LIMIT,
        *,
        escape: bool = True,
    ) -> None:
        self._now = now
        self._window = window
        self.escape = escape
        self._stored = Segments(path, limit)
        self._newest: list[bytes] = []
        self._newest_size = 0
        self._total = 0
        self._first: list[bytes] = []
        self._partial = b""
        self._listeners: dict[int, Callable[[], None]] = {}
        self._next_listener = 0
        self.ended = False

    @property
    def total(self) -> int:
        """How many lines the log has had so far."""
        return self._total

    @property
    def start(self) -> int:
        """The number of the oldest line that is kept."""
        oldest = self._stored.first
        return oldest if self._window is None else max(oldest, self._total - self._window)

    @property
    def first(self) -> list[bytes]:
        """The event of the very first line, whether or not it is kept; empty: there was none."""
        return list(self._first)

    def feed(self, data: bytes) -> None:
        """Take in bytes as a job wrote them; lines end at LF only."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        pieces = [piece for line in lines for piece in _pieces(line)]
        if len(self._partial) >= PIECE_BYTES:
            *full, self._partial = _pieces(self._partial)
            pieces += full
        if pieces:
            self._append(pieces)

    def say(self, text: str) -> None:
        """Add a line of the Hub's own."""
        self.flush()
        self._append([text.encode()])

    def flush(self) -> None:
        """Make a line of what was written without a line end."""
        if self._partial:
            rest, self._partial = self._partial, b""
            self._append([rest])

    def end(self) -> None:
        """Say that no line will follow."""
        self.flush()
        self._store()
        self.ended = True
        self._tell()

    def after(self, position: int) -> tuple[list[bytes], int]:
        """Return events from line number `position` on, and the position after them.

        Of a long log these are not all: ask again until the position is `total`.
        """
        if position >= self._total:
            return [], position
        position = max(position, self.start)
        if position >= self._stored.end:
            return self._newest[position - self._stored.end :], self._total
        events = self._stored.read(position)
        return events, position + len(events)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each change; return what ends that."""
        number = self._next_listener
        self._next_listener += 1
        self._listeners[number] = wake
        return lambda: self._listeners.pop(number, None) and None

    def _append(self, lines: list[bytes]) -> None:
        tail = b'", "timestamp": "%s"}\n\n' % self._now().encode()
        events = [b'data: {"data": "%s%s' % (self._within_quotes(line), tail) for line in lines]
        self._first = self._first or events[:1]
        self._newest += events
        self._newest_size += sum(map(len, events))
        self._total += len(lines)
        if self._newest_size > _IN_MEMORY:
            self._store()
        self._tell()

    def _store(self) -> None:
        """Move what is in memory to the disk."""
        if not self._newest:
            return
        try:
            self._stored.append(self._newest)
        except FileNotFoundError:
            pass  # the hub's folder has gone, and the hub with it
        except OSError as error:
            _logger.warning("LocalHub has lost lines of a job's log: %s", error)
        self._newest, self._newest_size = [], 0
        self._stored.drop_before(self.start)

    def _within_quotes(self, line: bytes) -> bytes:
        """Return a line as the inside of a JSON string."""
        # Most lines need nothing; finding that out this way is several times as fast as encoding.
        if line.isascii() and len(line.translate(None, _ESCAPED)) == len(line):
            return line
        quoted = encode_basestring(line.decode(errors="replace"))[1:-1]
        if self.escape and not quoted.isascii():
            for end, escaped in _LINE_ENDS.items():
                quoted = quoted.replace(end, escaped)
        return quoted.encode()

    def _tell(self) -> None:
        for wake in list(self._listeners.values()):
            wake()


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= PIECE_BYTES:
        return [line]
    return [line[at : at + PIECE_BYTES] for at in range(0, len(line), PIECE_BYTES)]

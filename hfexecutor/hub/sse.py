r"""Server-sent events, decoded from whatever pieces the network delivers. Pure.

Lines end at ``\n`` and nowhere else (a ``\r`` before it goes, too): a log line may hold U+2028,
U+2029, U+0085 or a lone ``\r``, all of which are line ends for somebody.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_EVENT", "SSEDecoder"]

MAX_EVENT: Final = 1 << 20


class SSEDecoder:
    r"""Turn chunks of bytes into the data of events.

    Never raises, and never holds more than about twice `max_event` bytes: what is longer is cut
    there.

    Example:
        >>> decoder = SSEDecoder()
        >>> decoder.feed(b": keep-alive\n\nda"), decoder.feed(b"ta: one\n\ndata: two\n\n")
        ([], [b'one', b'two'])
    """

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max = max_event
        self._open = bytearray()  # a line whose end has not come yet, at most _max bytes of it
        self._data: list[bytes] = []  # the data lines of the event that is not over yet
        self._size = 0  # of them, joined

    def __repr__(self) -> str:
        return f"<SSEDecoder {self.held} bytes held>"

    @property
    def held(self) -> int:
        """How many bytes are kept for later."""
        return len(self._open) + self._size

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that `chunk` completes."""
        first, *rest = chunk.split(b"\n")
        self._extend(first)
        if not rest:
            return []
        events: list[bytes] = []
        self._line(bytes(self._open), events)
        self._open.clear()
        last = rest.pop()
        for line in rest:
            self._line(line, events)
        self._extend(last)
        return events

    def _extend(self, piece: bytes) -> None:
        self._open += piece[: self._max - len(self._open)]

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line.startswith(b"data:"):
            self._add(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line and self._data:
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
            self._data.clear()
            self._size = 0
        # Anything else is a comment, or a field that says nothing about a log.

    def _add(self, data: bytes) -> None:
        room = self._max - self._size
        if len(data) > room:
            data = data[: max(0, room)]
            if not data and self._data:
                return
        self._data.append(data)
        self._size += len(data) + 1

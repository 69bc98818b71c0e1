"""What calls print, on its way into the log: whose it is, cut into lines, within its cap. Pure.

A child's output is one stream of bytes for all its calls; after each call the child writes a
marker into it. So whose bytes these are is never a matter of timing.
"""

from __future__ import annotations

from math import inf

from .outcomes import UNTERMINATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Line = tuple[int, bool, bytes]

__all__ = ["LONGEST_LINE", "ChildOutput", "Output", "Stream"]

LONGEST_LINE = 4096  # bytes of a line in the log; longer ones are cut and joined by the client
_PATIENCE = 1.0  # seconds after which a line that has begun is shown, then twice as many, up to
_MOST_PATIENCE = 16.0  # these: somebody watches a progress bar, yet each time takes two lines


class ChildOutput:
    """The output of one process: what it prints becomes lines of one call after the other.

    Lines are tuples of number, whether it goes on the last one, and text; where none are returned
    that is told by an empty tuple, for most calls print nothing.

    Args:
        marker: what the process writes after each call.
        cap: bytes of a call's output that are shown.
    """

    def __init__(self, marker: bytes, cap: int) -> None:
        self._stream = Stream(marker)
        self._cap = cap
        self._output = Output(cap)
        self._patience = _PATIENCE
        self.flush_at = inf  # a line has begun, and is shown then

    @property
    def ended(self) -> bool:
        """Whether all that the present call has printed is here; more is for the next one."""
        return self._stream.ended

    def feed(self, data: bytes, now: float) -> Iterable[Line]:
        """Take more output; return lines to show."""
        data = self._stream.feed(data)
        return self._take(data, now) if data else ()

    def end_call(self) -> Iterable[Line]:
        """Return the rest of what the present call has printed; `total` is right after that."""
        return self._output.end() if self._output.begun else ()

    @property
    def total(self) -> int:
        """How many lines the present call has printed; with `UNTERMINATED` if the last is open."""
        return self._output.total

    def next_call(self, now: float) -> Iterable[Line]:
        """Go on to the next call; return what is here already of it."""
        self._begin()
        data = self._stream.turn()
        return self._take(data, now) if data else ()

    def begin_call(self) -> Iterable[Line]:
        """Begin a call after a pause: what was printed meanwhile is not the call's."""
        lines = self.end_call()
        self._begin()
        return lines

    def flush(self, now: float) -> Iterator[Line]:
        """Yield a line that has been begun a while ago."""
        if self.flush_at <= now:
            self.flush_at = inf
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
            yield from self._output.flush()

    def _begin(self) -> None:
        if self._output.begun:
            self._output = Output(self._cap)
            self._patience = _PATIENCE
            self.flush_at = inf

    def _take(self, data: bytes, now: float) -> Iterator[Line]:
        yield from self._output.feed(data)
        if not self._output.partial:
            self.flush_at = inf
        elif self.flush_at == inf:
            self.flush_at = now + self._patience


class Stream:
    """Cut a process's output at its markers."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._data = b""
        self.ended = False  # the marker was met; the rest waits for `turn`

    def feed(self, data: bytes) -> bytes:
        """Take more output; return what of it belongs to the present call."""
        self._data = self._data + data if self._data else data
        return b"" if self.ended else self._cut()

    def turn(self) -> bytes:
        """Go on to the next call; return what is here already of its output."""
        self.ended = False
        return self._cut() if self._data else b""

    def _cut(self) -> bytes:
        data, marker = self._data, self._marker
        end = data.find(marker)
        if end >= 0:
            self.ended = True
            self._data = data[end + len(marker) :]
            return data[:end]
        end = data.find(marker[:1], max(0, len(data) - len(marker) + 1))
        while end >= 0 and not marker.startswith(data[end:]):
            end = data.find(marker[:1], end + 1)
        if end < 0:
            end = len(data)  # no part of a marker at the end
        self._data = data[end:]
        return data[:end]


class Output:
    """The output of one call, as lines of the log.

    Of much output the beginning is shown as it comes, the end when the call ends, and in between
    a line says how much is missing.

    Args:
        cap: bytes to show, half of them from the beginning and half from the end.
    """

    def __init__(self, cap: int) -> None:
        self._room = cap - cap // 2
        self._tail_room = cap // 2 + 1  # and the byte before, which tells where a line begins
        self._line = b""  # begun, not shown yet
        self._tail = b""
        self._missing_bytes = 0
        self._missing_lines = 0
        self._open = False  # the last line shown had no newline
        self.begun = False  # there was any output
        self.lines = 0

    @property
    def partial(self) -> bool:
        """Whether a line has begun that :meth:`flush` would show."""
        return bool(self._line)

    def feed(self, data: bytes) -> Iterator[Line]:
        """Take more output; yield lines to show: number, whether it goes on the last one, text."""
        if not data:
            return
        self.begun = True
        if self._room > 0:
            head, data = data[: self._room], data[self._room :]
            self._room -= len(head)
            self._line += head
            yield from self._show_lines()
            if self._room <= 0:  # the line that has begun goes to the rest, with its room
                self._tail_room += len(self._line)
                data, self._line = self._line + data, b""
        if data:
            self._keep_tail(data)

    def flush(self) -> Iterator[Line]:
        """Yield the line that has begun: somebody may be waiting for a progress bar to move."""
        end = _whole_characters(self._line)
        data, self._line = self._line[:end], self._line[end:]
        if data:
            yield self._number(data, ended=False)

    def end(self) -> Iterator[Line]:
        """Yield what is left when the call has ended."""
        yield from self._show_rest()
        data, self._tail = self._tail, b""
        if self._missing_bytes:
            cut = data.find(b"\n") + 1
            data, gone = data[cut:], data[:cut]
            yield self._number(self._gap(gone), ended=True, joined=False)
        self._line = data
        yield from self._show_lines()
        yield from self._show_rest()

    @property
    def total(self) -> int:
        """How many lines there are; with `UNTERMINATED` if the last one has no newline."""
        return self.lines | (UNTERMINATED if self._open else 0)

    def _show_rest(self) -> Iterator[Line]:
        data, self._line = self._line, b""
        if data:
            yield self._number(data, ended=False)

    def _gap(self, more: bytes) -> bytes:
        lines = self._missing_lines + more.count(b"\n")
        size = _size(self._missing_bytes + len(more))
        return f"[hfexecutor: {lines:,} lines ({size}) of this call's output not shown]".encode()

    def _keep_tail(self, data: bytes) -> None:
        data = self._tail + data
        surplus = len(data) - self._tail_room
        if surplus > 0:
            self._missing_bytes += surplus
            self._missing_lines += data.count(b"\n", 0, surplus)
            data = data[surplus:]
        self._tail = data

    def _show_lines(self) -> Iterator[Line]:
        data, start = self._line, 0
        while True:
            end = data.find(b"\n", start, start + LONGEST_LINE + 1)
            if end >= 0:
                yield self._number(data[start:end], ended=True)
                start = end + 1
            elif len(data) - start > LONGEST_LINE:
                end = start + _whole_characters(data[start : start + LONGEST_LINE])
                yield self._number(data[start:end], ended=False)
                start = end
            else:
                break
        self._line = data[start:]

    def _number(self, text: bytes, *, ended: bool, joined: bool = True) -> Line:
        number, joined = self.lines, joined and self._open
        self.lines += 1
        self._open = not ended
        if not text.isascii():
            text = text.decode("utf-8", "replace").encode()
        return number, joined, text


def _whole_characters(data: bytes) -> int:
    """Return where the last character of UTF-8 in `data` that may be cut short begins."""
    for back in range(1, 1 + min(3, len(data))):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:  # noqa: PLR2004 - the first byte of a longer one
            size = 2 + (byte >= 0xE0) + (byte >= 0xF0)  # noqa: PLR2004
            return len(data) - back if size > back else len(data)
        if byte < 0x80:  # noqa: PLR2004 - a character of its own
            break
    return len(data)


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - of kilo, mega
            return f"{count} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.1f} GB"

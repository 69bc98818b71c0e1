"""What a worker's log says: frames become entries, everything else is what calls printed.

The log is replayed from its start at every connection, may be cut, doubled or mixed up. Entries
carry their own identity, and each printed line is numbered by the frame before it; so reading
everything again changes nothing.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hfexecutor.futures import Printed

__all__ = ["LogParser"]

TAIL_LINES = 20


class LogParser:
    """Read one worker's log lines.

    `printed_of` finds the place for a call's lines (None: the call is not ours). `tail` keeps the
    last plain lines for error messages.
    """

    def __init__(self, seal: frames.Seal, printed_of: Callable[[int], Printed | None]) -> None:
        self._reader = frames.LineReader(seal)
        self._assembler = wire.Assembler()
        self._printed_of = printed_of
        self._speaker: tuple[Printed | None, int] = (None, 0)
        self._speaking = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._next: dict[str, int] = {}  # number of the next frame, by stream
        self._gap = False
        self._line = self._lines = 0  # number of the last line, and of the last one ever
        self._fresh = False
        self.forged = 0
        self._told_of_forgery = False

    def take_gap(self) -> bool:
        """Say whether frames were missed since this was last asked: outcomes may be in them."""
        gap, self._gap = self._gap, False
        return gap

    def take_fresh(self) -> bool:
        """Say whether there were lines since this was last asked that no earlier reading had."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def take_forgery(self) -> bool:
        """Say, once, that something has the shape of a frame and is not authentic."""
        news = self.forged > 0 and not self._told_of_forgery
        self._told_of_forgery = self._told_of_forgery or news
        return news

    @property
    def starts(self) -> int:
        """How many supervisors have spoken in this log: more than one if the job was restarted."""
        return len(self._next)

    @property
    def tail(self) -> list[str]:
        """The last lines of the log that are no frames, oldest first."""
        return list(self._tail)

    def rewind(self) -> None:
        """Begin again: the next line is the first one of a replay."""
        self._speaker = (None, 0)
        self._tail.clear()
        self._line = 0

    def feed(self, lines: Iterable[str]) -> Iterator[wire.Entry]:
        """Yield the complete entries of these lines in order."""
        for text in lines:
            self._line += 1
            line = self._reader.feed(text)
            if line.number is not None and line.stream is not None:
                self._count(line.stream, line.number)
            for entry in line.entries:
                whole = entry if entry.parts == 1 else self._assembler.feed(entry)
                if whole is None:
                    continue
                if whole.kind == wire.SPEAKER:
                    self._turn_to(whole)
                    continue
                if whole.call == self._speaking and whole.kind == wire.OUTCOME:
                    self._speaker = (None, 0)  # what is printed from now on is not its own
                yield whole
            if line.forged:
                self.forged += 1
            if line.plain is not None:
                self._add_plain(line.plain)
            if self._line > self._lines:
                self._lines, self._fresh = self._line, True

    def told(self, entries: Iterable[wire.Entry]) -> Iterator[wire.Entry]:
        """Yield the entries that a worker tells as it happens, but for lines of calls.

        Those are stored, as they are when the log shows them.
        """
        for entry in entries:
            if entry.kind != wire.PRINTED:
                yield entry
                continue
            with contextlib.suppress(wire.FrameError):
                number, joined, text = wire.unpack_printed(entry.data)
                if (printed := self._printed_at(entry.call, number, joined=joined)) is not None:
                    printed.add(number, text)

    def _count(self, stream: str, number: int) -> None:
        expected = self._next.get(stream, 0)
        self._gap = self._gap or number > expected
        # As well as by counting lines: what is shown of a long log may be each time as long.
        self._fresh = self._fresh or number >= expected
        self._next[stream] = max(expected, number + 1)

    def _turn_to(self, entry: wire.Entry) -> None:
        try:
            number, joined = wire.unpack_speaker(entry.data)
        except wire.FrameError:
            return
        self._speaker = (self._printed_at(entry.call, number, joined=joined), number)
        self._speaking = entry.call

    def _printed_at(self, call: int, number: int, *, joined: bool) -> Printed | None:
        """Return what a call printed, before its line `number` comes; `joined` to the last one."""
        printed = self._printed_of(call)
        if printed is not None and joined and number:
            printed.join(number - 1)
        return printed

    def _add_plain(self, text: str) -> None:
        self._tail.append(text)
        printed, number = self._speaker
        if printed is not None:
            printed.add(number, text)
            self._speaker = (printed, number + 1)

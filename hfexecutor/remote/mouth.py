"""The supervisor's mouth: what it says into the log, and when.

Outcomes are packed many to a line, for the log is a window of perhaps a thousand lines; yet the
first of a burst, and the last one when nothing else runs, are said at once. What the client has
not acknowledged is kept and said again.
"""

from __future__ import annotations

import struct
from collections import deque

from .entries import LARGE, OUTCOME, SPEAKER, Entry, entry_size, pack_ids
from .frames import MAX_BODY, LineWriter
from .unacknowledged import Unacknowledged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .loop import Loop
    from .sink import Sink

__all__ = ["LARGE_BYTES", "Mouth"]

_SPEAKER = struct.Struct("<QB")
_NO_NEWLINE = 1
_SPEAKER_EVERY = 100  # lines: so that a window that has lost the first name finds another
_HELLO_AGAIN = 2.0  # seconds; then twice as many, until somebody has come to the door
_SHORTEST_GAP, _LONGEST_GAP = 0.002, 0.05  # seconds between lines while a burst lasts
_WRITE_BYTES = 1 << 16
LARGE_BYTES = 1 << 18  # an outcome of so many bytes is fetched through the door
_FETCH_SECONDS = 60.0  # after which it is said in the log
_BACKLOG = 1 << 18


class Mouth:
    """Say entries and lines into the log.

    Args:
        writer: makes frames.
        sink: the log.
        loop: tells the time, and when to speak.
    """

    def __init__(self, writer: LineWriter, sink: Sink, loop: Loop) -> None:
        self._writer = writer
        self._sink = sink
        self._loop = loop
        self._entries: list[Entry] = []  # waiting for company
        self._size = 0
        self._lines: deque[Iterator[bytes]] = deque()  # on their way to the sink
        self._speaker = (0, 0)  # the call whose line was the last one, and that line's number
        self._spoken_at = float("-inf")
        self._gap = _SHORTEST_GAP
        self.fetched = False  # a client comes to the door, and fetches what is large
        self._fetch_by: dict[int, float] = {}  # announced outcomes, and when they are said at last
        self.fresh = 0  # lines said for the first time
        self.unacknowledged = Unacknowledged()

    def say(self, entry: Entry) -> None:
        """Say `entry` in one of the next lines."""
        size = entry_size(entry)
        if self._size + size > MAX_BODY and self._entries:
            self._speak()
        self._entries.append(entry)
        self._size += size

    def introduce(self, hello: Entry, pause: float = _HELLO_AGAIN) -> None:
        """Say HELLO, and again after a while: without it nobody knows of the door."""
        if not self.fetched:
            self.say(hello)
            due = self._loop.clock() + pause
            self._loop.at(due, lambda: self.introduce(hello, 2 * pause))

    def answer(self, call: int, data: bytes) -> None:
        """Say a call's outcome and keep it until it is acknowledged.

        Of a large one only the size is said where somebody can fetch it; if nobody does, it is
        said after all.
        """
        kept = self.unacknowledged
        kept.keep(call, data, self.fresh)
        if self.fetched and len(data) >= LARGE_BYTES and kept.has_room:
            self.say(self.announce(call, len(data)))
        else:
            self.say(Entry(OUTCOME, call, 0, 1, data))

    def announce(self, call: int, size: int) -> Entry:
        """Return what tells of an outcome that is to be fetched; if nobody does, it is said."""
        self.unacknowledged.announce(call)
        self._fetch_by.setdefault(call, self._loop.clock() + _FETCH_SECONDS)
        self._await_fetches()
        return Entry(LARGE, call, 0, 1, pack_ids([size]))

    def fetching(self, call: int) -> None:
        """Hear that a client fetches an outcome: it may take its time."""
        if call in self._fetch_by:
            self._fetch_by[call] = self._loop.clock() + _FETCH_SECONDS

    @property
    def awaits_fetches(self) -> bool:
        """Whether something was announced that may still be fetched."""
        return any(call in self.unacknowledged for call in self._fetch_by)

    def _await_fetches(self) -> None:
        if self._fetch_by:
            self._loop.at(min(self._fetch_by.values()), self._say_unfetched)

    def _say_unfetched(self) -> None:
        now = self._loop.clock()
        due = [call for call, moment in self._fetch_by.items() if moment <= now]
        for call in due:
            del self._fetch_by[call]
        self.repeat(self.unacknowledged.take_announced(due))
        self._await_fetches()

    def repeat(self, outcomes: Iterable[tuple[int, bytes]]) -> None:
        """Say outcomes again, whole."""
        entries = [Entry(OUTCOME, call, 0, 1, data) for call, data in outcomes]
        if entries:
            self._speak()
            self._lines.append(self._writer.lines(entries))

    def show(self, call: int, number: int, joined: bool, text: bytes) -> None:
        """Show a line that a call printed: its number, and whether it goes on the last one."""
        fluent = self._speaker == (call, number - 1) and number % _SPEAKER_EVERY and not joined
        if not fluent:
            flags = _NO_NEWLINE if joined else 0
            self.say(Entry(SPEAKER, call, 0, 1, _SPEAKER.pack(number, flags)))
            self._speak()
        self._speaker = (call, number)
        self._lines.append(iter((text,)))
        self.fresh += 1

    def breathe(self, *, alone: bool) -> None:
        """Decide what is said now; to be called when all that has happened was dealt with.

        Args:
            alone: nothing more is about to be said, so there is nothing to wait for.
        """
        if self._entries:
            now = self._loop.clock()
            due = self._spoken_at + self._gap
            if alone or now >= due:
                self._adapt(now - due)
                self._speak()
            else:
                self._loop.at(due, self._do_nothing)
        self.repeat(self.unacknowledged.out_of_sight(self.fresh))
        self.pump()

    def pump(self) -> None:
        """Move lines to the sink as long as it takes them."""
        while self._lines and self._sink.backlog < _BACKLOG:
            self._sink.write(self._collect())

    @property
    def silent(self) -> bool:
        """Whether all that was to be said is said."""
        return not (self._entries or self._lines or self._sink.backlog)

    def _collect(self) -> bytes:
        pieces, size = [], 0
        while self._lines and size < _WRITE_BYTES:
            line = next(self._lines[0], None)
            if line is None:
                self._lines.popleft()
                continue
            pieces.append(line)
            size += len(line)
        pieces.append(b"")
        return b"\n".join(pieces)

    def _adapt(self, late: float) -> None:
        """Wait longer while one line follows the other; begin again after a pause."""
        self._gap = min(2 * self._gap, _LONGEST_GAP) if late < _LONGEST_GAP else _SHORTEST_GAP

    def _speak(self) -> None:
        if not self._entries:
            return
        entries, self._entries, self._size = self._entries, [], 0
        self._lines.append(self._writer.lines(entries))
        self._spoken_at = self._loop.clock()
        self.fresh += 1

    def _do_nothing(self) -> None:
        """Wake the loop; what has to be said is said in :meth:`breathe`."""

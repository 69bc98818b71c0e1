"""What is written into the log, and when. Pure: lines come out of `chunk` when they are wanted.

Outcomes are packed many to a line, for the log is a window of perhaps a thousand lines; yet the
first of a burst, and the last one when nothing else runs, are written at once. What the client has
not acknowledged is kept and written again.
"""

from __future__ import annotations

from collections import deque
from math import inf

from . import outcomes
from .entries import (
    HELD,
    KEY,
    LARGE,
    OUTCOME,
    PRINTED,
    SPEAKER,
    Entry,
    entry_size,
    pack_ids,
    pack_printed,
    pack_speaker,
)
from .frames import MAX_BODY
from .unacknowledged import Unacknowledged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .buffers import Buffer
    from .frames import LineWriter
    from .listeners import Feed

__all__ = ["LARGE_BYTES", "Log"]

_SPEAKER_EVERY = 100  # lines: so that a window that has lost the first name finds another
_HELLO_AGAIN = 2.0  # seconds; then twice as many, until somebody has come to the door
_SHORTEST_GAP, _LONGEST_GAP = 0.002, 0.05  # seconds between lines while a burst lasts
_CHUNK_BYTES = 1 << 16
LARGE_BYTES = 1 << 18  # an outcome of so many bytes is fetched through the door
_FETCH_SECONDS = 60.0  # after which it is written into the log
_VISIT_SECONDS = 10.0  # the same, while nobody has come to the door
_HELD_SECONDS = 1.0  # that a call is here before the log says so: most are over by then
_HELD_AT_ONCE = 500  # calls of which one entry says so
_KEYS = 100_000  # that are remembered


class Log:
    """Entries and printed lines on their way into the log.

    Args:
        writer: makes frames.
        feed: takes outcomes and lines as they are written for the first time; None for none.

    Attributes:
        lines: to be written, which :meth:`chunk` takes.
        has_door: there is one, as far as is known.
        fetched: a client comes to the door, and fetches what is large.
        unacknowledged: outcomes that the client may not have.
    """

    def __init__(self, writer: LineWriter, feed: Feed | None = None) -> None:
        self._writer = writer
        self._feed = feed
        self._entries: list[Entry] = []  # waiting for company
        self._size = 0
        self.lines: deque[Iterator[bytes]] = deque()
        self._speaker = (0, 0)  # the call whose line was the last one, and that line's number
        self._written_at = float("-inf")
        self._gap = _SHORTEST_GAP
        self._closed = False  # a line was closed since the last step
        self._hello: Entry | None = None
        self._hello_at, self._hello_pause = inf, _HELLO_AGAIN
        self._fetch_by: dict[int, float] = {}  # announced outcomes, and when they are written
        self._held: dict[int, float] = {}  # calls that are here, and when that is written
        self._look_at = inf  # before which nothing of these three is due
        self._keys: dict[int, bytes] = {}  # of calls that have one, until they are acknowledged
        self._fresh = 0  # lines written for the first time
        self.has_door = feed is not None
        self.fetched = False
        self.unacknowledged = Unacknowledged()

    # --- what is to be written ------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        """Write an entry in one of the next lines."""
        size = entry_size(entry)
        if self._size + size > MAX_BODY and self._entries:
            self.close_line()
        self._entries.append(entry)
        self._size += size

    def introduce(self, hello: Entry, now: float) -> None:
        """Write HELLO, and again after a while: without it nobody knows of the door."""
        self._hello, self._hello_at, self._hello_pause = hello, now, _HELLO_AGAIN
        self._repeat_hello(now)
        self._look_at = min(self._look_at, self._hello_at)

    def outcome(self, call: int, data: Buffer, now: float) -> None:
        """Write an outcome and keep it until it is acknowledged; that of call 0 is never kept.

        Of a large one only the size is written where somebody can fetch it; if nobody does, it is
        written after all.
        """
        self._held.pop(call, None)
        if self._keys:
            self._add_keys((call,))
        large = self.has_door and len(data) >= LARGE_BYTES
        if call and self.unacknowledged.keep(call, data, self._fresh, announce=large):
            self.add(self._announcement(call, data, now))
        else:
            self.add(_outcome(call, data))

    def announce(self, call: int, data: Buffer, now: float) -> Entry | None:
        """Return what tells of an outcome that is to be fetched; if nobody does, it is written.

        None if too much waits to be fetched already.
        """
        return self._announcement(call, data, now) if self.unacknowledged.announce(call) else None

    def _announcement(self, call: int, data: Buffer, now: float) -> Entry:
        seconds = _FETCH_SECONDS if self.fetched else _VISIT_SECONDS
        self._fetch_by.setdefault(call, now + seconds)
        self._look_at = min(self._look_at, now + seconds)
        numbers = (len(data), *outcomes.layout_of(data))
        return Entry(LARGE, call, 0, 1, pack_ids(numbers))

    def read(self, call: int, start: int, stop: int, now: float, new: bool) -> Buffer:
        """Return a range of an outcome; who is `new` to ask for it may take his time."""
        if new and call in self._fetch_by:
            self._fetch_by[call] = now + _FETCH_SECONDS
        return self.unacknowledged.range(call, start, stop)

    def hold(self, call: int, now: float) -> None:
        """Write that a call is here, unless it has an outcome before long.

        It is what a later process learns from which calls were handed out.
        """
        self._held[call] = now + _HELD_SECONDS
        self._look_at = min(self._look_at, now + _HELD_SECONDS)

    def let_go(self, calls: Iterable[int]) -> None:
        """Note that calls were given back."""
        for call in calls:
            self._held.pop(call, None)
            self._keys.pop(call, None)

    def note_key(self, call: int, key: bytes) -> None:
        """Note a call's key, which is written with whatever is written of the call."""
        if len(self._keys) >= _KEYS:
            self._keys.pop(next(iter(self._keys)))
        self._keys[call] = key

    def keys_of(self, calls: Iterable[int]) -> Iterator[Entry]:
        """Yield what tells the keys of these calls, as far as they have any."""
        for call in calls if self._keys else ():
            if (key := self._keys.get(call)) is not None:
                yield Entry(KEY, call, 0, 1, key)

    def _add_keys(self, calls: Iterable[int]) -> None:
        for key in self.keys_of(calls):
            self.add(key)

    def acknowledge(self, calls: Iterable[int]) -> None:
        """Forget outcomes that the client has."""
        for call in calls:
            self.unacknowledged.drop(call)
            self._keys.pop(call, None)

    @property
    def awaits_fetches(self) -> bool:
        """Whether something was announced that may still be fetched."""
        return bool(self._fetch_by) and any(call in self.unacknowledged for call in self._fetch_by)

    def repeat(self, said: Iterable[tuple[int, Buffer]]) -> None:
        """Write outcomes again, whole."""
        entries = [
            entry for call, data in said for entry in (*self.keys_of((call,)), _outcome(call, data))
        ]
        if entries:
            self.close_line()
            self.lines.append(self._writer.lines(entries))

    def show(self, call: int, number: int, joined: bool, text: bytes) -> None:
        """Write a line that a call printed: its number, and whether it goes on the last one."""
        fluent = self._speaker == (call, number - 1) and number % _SPEAKER_EVERY and not joined
        if not fluent:
            self.add(Entry(SPEAKER, call, 0, 1, pack_speaker(number, joined=joined)))
            self.close_line()
        self._speaker = (call, number)
        self.lines.append(iter((text,)))
        self._fresh += 1
        if self._feed is not None and call:
            line = pack_printed(number, text, joined=joined)
            self._feed.add(Entry(PRINTED, call, 0, 1, line))

    def last_words(self) -> None:
        """Write once more what the client may not have, as far as it is little."""
        self.repeat(self.unacknowledged.last_words())

    # --- when -----------------------------------------------------------------------------------

    def due(self) -> float:
        """Return before when :meth:`step` has nothing to do unless something happens; inf: ever.

        It may have nothing to do then either: that a call ended before it had to be said that it is
        here, as nearly all of them do, is noticed when that moment has come.
        """
        if self._entries:
            return min(self._look_at, self._written_at + self._gap)
        return self._look_at

    def step(self, now: float, *, alone: bool) -> None:
        """Decide what is written now; to be called when all that has happened was dealt with.

        Args:
            now: seconds.
            alone: nothing more is about to be written, so there is nothing to wait for.
        """
        if self._look_at <= now:
            self._look(now)
        if self._closed:
            self._written_at, self._closed = now, False
        if self._entries:
            due = self._written_at + self._gap
            if alone or due <= now:
                # Wait longer while one line follows the other; begin again after a pause.
                pause = now - due >= _LONGEST_GAP
                self._gap = _SHORTEST_GAP if pause else min(2 * self._gap, _LONGEST_GAP)
                self.close_line()
                self._written_at, self._closed = now, False
        if self.unacknowledged.look_at <= self._fresh:
            self.repeat(self.unacknowledged.out_of_sight(self._fresh))

    def chunk(self) -> bytes:
        """Return the next lines, about 64 KiB of them; nothing if there is none."""
        if not self.lines:
            return b""
        pieces, size = [], 0
        while self.lines and size < _CHUNK_BYTES:
            for line in self.lines[0]:
                pieces.append(line)
                size += len(line)
                if size >= _CHUNK_BYTES:
                    break
            else:
                self.lines.popleft()
        pieces.append(b"")
        return b"\n".join(pieces)

    def _look(self, now: float) -> None:
        """Write what is due of what waits for a moment, and find out when the next one is."""
        self._repeat_hello(now)
        self._write_unfetched(now)
        self._write_held(now)
        held = next(iter(self._held.values()), inf)  # the longest here comes first
        self._look_at = min(self._hello_at, held, *self._fetch_by.values())

    def _repeat_hello(self, now: float) -> None:
        if self._hello is None or self._hello_at > now:
            return
        if self.fetched:
            self._hello, self._hello_at = None, inf
            return
        self.add(self._hello)
        self._hello_at, self._hello_pause = now + self._hello_pause, 2 * self._hello_pause

    def _write_unfetched(self, now: float) -> None:
        due = [call for call, moment in self._fetch_by.items() if moment <= now]
        for call in due:
            del self._fetch_by[call]
        if due:
            self.repeat(self.unacknowledged.take_announced(due))

    def _write_held(self, now: float) -> None:
        due = []
        for call, moment in self._held.items():
            if moment > now:
                break
            due.append(call)
        for call in due:
            del self._held[call]
        for start in range(0, len(due), _HELD_AT_ONCE):
            self.add(Entry(HELD, 0, 0, 1, pack_ids(due[start : start + _HELD_AT_ONCE])))
        self._add_keys(due)

    def close_line(self) -> None:
        """Let what waits for company be written without it."""
        if self._entries:
            entries, self._entries, self._size = self._entries, [], 0
            self.lines.append(self._writer.lines(entries))
            self._fresh += 1
            self._closed = True
            if self._feed is not None:
                for entry in entries:
                    if entry.kind == OUTCOME or entry.kind == LARGE:  # noqa: PLR1714 - by far the fastest
                        self._feed.add(entry)


def _outcome(call: int, data: Buffer) -> Entry:
    return Entry(OUTCOME, call, 0, 1, data)  # type: ignore[arg-type] # it is only written

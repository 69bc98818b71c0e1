"""What is said as it happens, besides the log: to requests that stand until there is something.

A log is late on its way, nobody knows how much. So what is written into it for the first time is
also put into a *feed*, numbered; and whoever asks, through the door, for what comes after a number
is answered as soon as there is anything. Nothing depends on it: an answer that is lost is asked for
again by its number, what the feed had no room for is in the log, and nothing is said there less
often. Pure.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import inf

from . import seals
from .effects import Reply
from .entries import POSITION, PRINTED, REPLY_BYTES, Entry, entry_size, pack, unpack_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from .effects import Effect

__all__ = ["Feed", "Listeners"]

_FEED_BYTES = 4 << 20
_MOST_LISTENERS = 4  # a proxy may deliver a request twice, and a client give one up
_LONGEST_SECONDS = 300.0
_LINES_SECONDS = 0.02  # between two answers in which there are only lines


class Feed:
    """The latest of what was written into the log, outcomes and lines of calls, by number.

    Args:
        most: bytes to keep; beyond, the oldest is dropped.
    """

    def __init__(self, most: int = _FEED_BYTES) -> None:
        self._most = most
        self._bytes = 0
        self._kept: deque[Entry] = deque()
        self._first = 0  # the number of the first one that is kept
        self._cut: set[int] = set()  # calls of which lines were dropped
        self._ends = 0  # how many of them are no lines

    def __repr__(self) -> str:
        return f"<Feed {self._first} to {self.end}>"

    @property
    def end(self) -> int:
        """The number that the next entry will have."""
        return self._first + len(self._kept)

    @property
    def has_ends(self) -> bool:
        """Whether the end of a call is in it."""
        return self._ends > 0

    def add(self, entry: Entry) -> None:
        """Add an entry, unless there is no room for it.

        An outcome has to come after all lines that its call has printed: where some were dropped
        it comes through the log alone, where they are.
        """
        call, size = entry.call, entry_size(entry)
        if entry.kind != PRINTED:
            if call in self._cut:
                self._cut.discard(call)
                return
            if size > self._most:
                return
            self._ends += 1
        self._kept.append(entry)
        self._bytes += size
        while self._bytes > self._most:
            dropped = self._drop()
            if dropped.kind == PRINTED:
                self._cut.add(dropped.call)

    def read(self, position: int) -> tuple[list[Entry], int]:
        """Return what has number `position` or a higher one, about a mebibyte of it at the most.

        Returns:
            The entries, and the number after the last of them.
        """
        if position > self.end:  # of a supervisor before this one
            position = 0
        start = max(position - self._first, 0)
        entries: list[Entry] = []
        room = REPLY_BYTES
        for entry in islice(self._kept, start, None):
            room -= entry_size(entry)
            if room < 0 and entries:
                break
            entries.append(entry)
        return entries, self._first + start + len(entries)

    def forget(self, position: int) -> None:
        """Drop what comes before `position`: whoever asks has it."""
        while self._kept and self._first < position:
            self._drop()

    def skip(self, position: int, owed: Container[int]) -> int:
        """Return where to read on, from `position` or from the first entry that is of any use.

        The client has the outcomes that are not owed: it has acknowledged them. Where the log was
        quick these are nearly all, and were many, which came here while nobody asked.
        """
        if position > self.end:  # of a supervisor before this one
            return position
        while self._kept:
            first = self._kept[0]
            if first.kind == PRINTED or not first.call or first.call in owed:
                break
            self._drop()
        return max(position, self._first)

    def _drop(self) -> Entry:
        entry = self._kept.popleft()
        self._first += 1
        self._bytes -= entry_size(entry)
        self._ends -= entry.kind != PRINTED
        return entry


class _Listener:
    """One request that stands."""

    __slots__ = ("number", "position", "ticket", "until")

    def __init__(self, ticket: int, number: int, position: int, until: float) -> None:
        self.ticket = ticket
        self.number = number
        self.position = position
        self.until = until


class Listeners:
    """The requests that stand, and when each is answered.

    Args:
        seal: of the launch.
        feed: what they are answered with.
        owed: calls whose outcomes were not acknowledged.

    Attributes:
        standing: the requests.
    """

    def __init__(self, seal: seals.Seal, feed: Feed, owed: Container[int]) -> None:
        self._seal = seal
        self._feed = feed
        self._owed = owed
        self.standing: deque[_Listener] = deque()
        self._newest = 0
        self._answered_at = float("-inf")

    def add(self, ticket: int, number: int, order: Entry, now: float) -> None:
        """Let a request stand.

        Args:
            ticket: what the answer is to be given to.
            number: of its message.
            order: LISTEN, with the position after what the client has, and milliseconds.
            now: seconds.
        """
        position, milliseconds = unpack_ids(order.data)
        seconds = min(milliseconds / 1000, _LONGEST_SECONDS)
        until = now + seconds
        if number < self._newest:  # sent again by somebody: it is not held
            until = now
        else:
            self._newest = number
            self._feed.forget(position)
            position = self._feed.skip(position, self._owed)
        self.standing.append(_Listener(ticket, number, position, until))
        if len(self.standing) > _MOST_LISTENERS:
            self.standing[0].until = now

    def due(self) -> float:
        """Return when :meth:`step` has something to do although nothing happens; inf: never."""
        due = inf
        for listener in self.standing:
            due = min(due, listener.until)
            if listener.position != self._feed.end:
                due = min(due, self._answered_at + _LINES_SECONDS)
        return due

    def step(self, now: float) -> list[Effect]:
        """Return the answers that are to be given now."""
        ready = self._feed.has_ends or self._answered_at + _LINES_SECONDS <= now
        effects: list[Effect] = []
        for listener in list(self.standing):
            news = listener.position != self._feed.end
            if (ready and news) or listener.until <= now:
                effects.append(self._answer(listener))
                self.standing.remove(listener)
                if news:
                    self._answered_at = now
        return effects

    def _answer(self, listener: _Listener) -> Reply:
        said, position = self._feed.read(listener.position)
        body = pack([Entry(POSITION, position, 0, 1, b""), *said])
        return Reply(listener.ticket, seals.seal_reply(self._seal, listener.number, body))

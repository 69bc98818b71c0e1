"""What the page of a job shows of its log: the newest lines, older ones, or those that match."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlencode

from . import frames, words
from .filters import as_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from starlette.datastructures import QueryParams

    from hfexecutor.local.logs import Log

MOST_LINES = 1000  # on a page
_LOOKED_AT = 64 * MOST_LINES  # at most, or so, to find that many among those that are folded away
_AROUND = 50  # lines after one that is looked for
_LONGEST = 4000  # characters that are shown of a line
_DATA = len(b"data: ")
_MARK = frames.MARK.encode()


class Line(NamedTuple):
    """A line as it is shown.

    Attributes:
        number: its place in the log, from 0.
        stamp: its time as the Hub writes it.
        clock: the time of day here.
        parts: its text, the parts that match what is searched for marked.
        more: how many characters of it are left out.
        talk: what frames in it say, where they are shown.
    """

    number: int
    stamp: str
    clock: str
    parts: tuple[tuple[str, bool], ...]
    more: int
    talk: str


@dataclass(frozen=True, slots=True)
class Search:
    """What of a log is to be shown.

    Attributes:
        text: only lines with this in them, in capitals or not; empty: all.
        frames: whether frames are shown.
        before: only lines of lower numbers; None: to the end, and what follows.
    """

    text: str = ""
    frames: bool = False
    before: int | None = None

    @classmethod
    def read(cls, query: QueryParams) -> Self:
        """Return what an address asks for."""
        return cls(
            text=query.get("q", "")[:200],
            frames=query.get("frames") == "show",
            before=as_number(query.get("before", "")),
        )

    def query(self, *, before: int | None = None, frames: bool | None = None) -> str:
        """Return the query of an address of this search, elsewhere or with frames or without."""
        pairs = [("q", self.text), ("before", "" if before is None else str(before))]
        pairs += [("frames", "show" if (self.frames if frames is None else frames) else "")]
        text = urlencode([pair for pair in pairs if pair[1]])
        return f"?{text}" if text else ""

    def around(self, number: int) -> str:
        """Return the query of an address that shows a line among those around it."""
        return Search(frames=self.frames).query(before=number + _AROUND)

    def keeps(self, event: bytes) -> bool:
        """Say whether the line of an event is to be shown. Asked of each line of a log."""
        framed = _MARK in event
        if not framed and not self.text:
            return True
        text = json.loads(event[_DATA:])["data"]
        if framed:
            plain, bodies = frames.split(text)
            if plain is None and not self.frames:
                return False
            text = (plain or "") + (_talk(bodies) if self.frames else "")
        return self.text.lower() in words.shown(text).lower()

    def line(self, number: int, event: bytes) -> Line:
        """Return the line of an event as it is shown."""
        record = json.loads(event[_DATA:])
        plain, bodies = frames.split(record["data"])
        text = words.shown(plain or "")
        return Line(
            number=number,
            stamp=record["timestamp"],
            clock=words.clock(record["timestamp"]),
            parts=_marked(text[:_LONGEST], self.text),
            more=max(0, len(text) - _LONGEST),
            talk=_talk(bodies) if self.frames else "",
        )

    def lines(self, pairs: Iterable[tuple[int, bytes]]) -> list[Line]:
        """Return lines as they are shown, of their numbers and events."""
        return [self.line(number, event) for number, event in pairs]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a log.

    Attributes:
        lines: the last of them last.
        position: of the log's next line when they were read.
        earlier: before which line there are earlier ones; None: there are none.
        found: how many lines match, where one searches.
    """

    lines: list[Line]
    position: int
    earlier: int | None = None
    found: int | None = None


async def lines(log: Log, search: Search) -> Lines:
    """Return what a search finds."""
    return await _matching(log, search) if search.text else _window(log, search)


def read(log: Log, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers and events of lines, from one number to before another."""
    while first < last:
        first = max(first, log.start)
        events, after = log.after(first)
        if not events:
            return
        yield from zip(range(first, last), events, strict=False)
        first = after


async def texts(log: Log) -> AsyncIterator[bytes]:
    """Yield all that there is of a log as it was written, in pieces, with ends of lines."""
    position, last = log.start, log.total
    while position < last:
        events, position = log.after(position)
        whole = [json.loads(event[_DATA:])["data"] for event in events]
        yield "".join(f"{text}\n" for text in whole).encode("utf-8", "replace")
        await asyncio.sleep(0)


def _window(log: Log, search: Search) -> Lines:
    """Return the last lines that are shown, of those before a place."""
    total = log.total
    low = total if search.before is None else min(search.before, total)
    found: deque[tuple[int, bytes]] = deque()
    step = MOST_LINES
    while low > log.start and len(found) < MOST_LINES and step < _LOOKED_AT:
        first = max(log.start, low - step)
        kept = [pair for pair in read(log, first, low) if search.keeps(pair[1])]
        found.extendleft(reversed(kept))
        low, step = first, 2 * step
    while len(found) > MOST_LINES:
        low = found.popleft()[0] + 1
    return Lines(search.lines(found), total, low if low > log.start else None)


async def _matching(log: Log, search: Search) -> Lines:
    """Return the last lines that match, of the whole log; others go on while it is read."""
    kept: deque[tuple[int, bytes]] = deque(maxlen=MOST_LINES)
    count = 0
    position, total = log.start, log.total
    last = total if search.before is None else min(search.before, total)
    while position < last:
        events, after = log.after(position)
        for number, event in zip(range(after - len(events), last), events, strict=False):
            if search.keeps(event):
                kept.append((number, event))
                count += 1
        position = after
        await asyncio.sleep(0)
    earlier = kept[0][0] if count > len(kept) else None
    return Lines(search.lines(kept), total, earlier, count)


def _marked(text: str, wanted: str) -> tuple[tuple[str, bool], ...]:
    """Return a text in parts, of which every second one is what is wanted."""
    if not wanted:
        return ((text, False),)
    parts = re.split(f"({re.escape(wanted)})", text, flags=re.IGNORECASE)
    return tuple((part, at % 2 == 1) for at, part in enumerate(parts))


def _talk(bodies: list[str]) -> str:
    """Return what frames say, as far as one can tell."""
    if not bodies:
        return ""
    ended = [outcome for body in bodies for outcome in frames.outcomes(body)]
    numbers = ", ".join(f"{one.call}{' failed' if one.failed else ''}" for one in ended[:20])
    more = f" and {len(ended) - 20} more" if len(ended) > 20 else ""  # noqa: PLR2004
    size = sum(map(len, bodies)) * 3 // 4
    said = f": outcome of call {numbers}{more}" if ended else ""
    return f"{words.plural(size, 'byte')} to the client{said}"

"""A job's events on disk: a file that is only appended to, cut into segments.

The oldest segment goes when there is too much. In memory there is of each segment where every
`_STEP`-th of its events begins, so that reading can begin anywhere.
"""

from __future__ import annotations

import contextlib
from array import array
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STEP = 64
_SEGMENT_BYTES = 4 << 20
_READ_BYTES = 1 << 20
_END = b"\n\n"  # of an event; within one there is no such thing


class _Segment:
    """One file: how many events it holds, from which number on, and where they begin in it."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.count = 0
        self.size = 0
        self.marks = array("Q")

    def append(self, events: Sequence[bytes]) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(events))
        for event in events:
            if self.count % _STEP == 0:
                self.marks.append(self.size)
            self.count += 1
            self.size += len(event)

    def read(self, number: int) -> list[bytes]:
        """Return events from this number on: at least one, and no more than is read at once."""
        mark, skipped = divmod(number - self.first, _STEP)
        with self.path.open("rb") as file:
            file.seek(self.marks[mark])
            data = file.read(min(_READ_BYTES, self.size - self.marks[mark]))
            while data.count(_END) <= skipped and (more := file.read(_READ_BYTES)):
                data += more
        *events, _cut = data.split(_END)
        return [event + _END for event in islice(events, skipped, None)]


class Segments:
    """The events of one log that are on disk.

    Args:
        path: of the files, which get numbers appended to it.
        limit: so many bytes are kept, or hardly more.

    Attributes:
        first: the number of the oldest event that is kept.
        end: the number of the event that is appended next.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._segment_bytes = max(1, min(_SEGMENT_BYTES, limit // 4))
        self._segments: list[_Segment] = []
        self.end = 0

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self._segments[0].first if self._segments else self.end

    def append(self, events: Sequence[bytes]) -> None:
        """Write events.

        Raises:
            OSError: they could not be written; their numbers are taken all the same.
        """
        if not self._segments or self._segments[-1].size >= self._segment_bytes:
            self._begin()
        self.end += len(events)
        try:
            self._segments[-1].append(events)
        except OSError:
            # Half of it may have been written. What is there is given up, for numbers must not lie.
            self.drop_before(self.end)
            raise
        while len(self._segments) > 1 and sum(one.size for one in self._segments) > self._limit:
            self._drop_oldest()

    def read(self, number: int) -> list[bytes]:
        """Return the events from this number on, or the first of them: a megabyte or so."""
        at = bisect_right(self._segments, number, key=lambda one: one.first)
        return self._segments[at - 1].read(number)

    def drop_before(self, number: int) -> None:
        """Forget what holds only events of lower numbers."""
        while self._segments and self._segments[0].first + self._segments[0].count <= number:
            self._drop_oldest()

    def _begin(self) -> None:
        path = self._path.with_name(f"{self._path.name}.{self.end}")
        self._segments.append(_Segment(path, self.end))

    def _drop_oldest(self) -> None:
        with contextlib.suppress(OSError):
            self._segments.pop(0).path.unlink()

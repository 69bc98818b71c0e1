"""Ranges of bytes, as requests ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_DIGITS = 18  # of a number in a range, at most


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to `end`."""

    start: int
    end: int


def asked_for(header: str | None, size: int) -> Span | None:
    """Return what a header Range asks for of so many bytes; None: there is nothing there.

    What is not understood is ignored, as the standard has it.

    >>> asked_for("bytes=2-3", 9), asked_for("bytes=-2", 9), asked_for("bytes=9-", 9)
    (Span(start=2, end=4), Span(start=7, end=9), None)
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or not any(match.groups()) or max(map(len, match.groups())) > _DIGITS:
        return Span(0, size)
    first, last = match.groups()
    if not first:
        span = Span(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return Span(0, size)
    else:
        span = Span(int(first), min(size, int(last) + 1 if last else size))
    return span if span.start < span.end else None

"""What jobs of hfexecutor say of themselves: labels, and the lines that they write to their client.

The Hub knows nothing of calls: to it these are labels and lines like others. Such a line, a frame,
is ``#hfx1:<stream>:<number>:<base64 of the body>:<mac>;``, wherever it stands. Its body is a row
of entries, each a head and its data. Whoever has no key cannot tell whether a frame is authentic,
so what is read here is a claim of the job: good to be shown, and for nothing else. Pure.
"""

from __future__ import annotations

import binascii
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "hfexecutor"
"""The label that all jobs of all runs have; those of other names begin with it and a dash."""
RUN = "hfexecutor-name"
"""The label that has the name of a job's run."""

MARK = "#hfx1:"
_FRAME = re.compile(r"#hfx1:[0-9a-f]{8}:[0-9]{1,20}:([A-Za-z0-9+/]*={0,2}):[A-Za-z0-9_-]{22};")
_HEAD = struct.Struct("<BQIII")  # kind, call, part, parts, length of the data
_OUTCOME, _LARGE = 2, 8
_GOOD = (b"V", b"S")  # a value in the log, and one in a bucket


class Outcome(NamedTuple):
    """How a call ended, as a job says; a large one is only announced, and was no failure."""

    call: int
    failed: bool


def split(text: str) -> tuple[str | None, list[str]]:
    """Return what a line says besides frames, None for nothing, and the bodies of its frames.

    >>> split("plain")
    ('plain', [])
    """
    if MARK not in text:
        return text, []
    bodies = _FRAME.findall(text)
    rest = _FRAME.sub("", text) if bodies else text
    return (rest if rest.strip() else None), bodies


def outcomes(body: str) -> Iterator[Outcome]:
    """Yield the outcomes in a frame's body; what is no such body has none."""
    try:
        data = binascii.a2b_base64(body)
    except binascii.Error:
        return
    start = 0
    while start + _HEAD.size <= len(data):
        kind, call, part, _parts, length = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        if part == 0 and kind in (_OUTCOME, _LARGE):
            failed = kind == _OUTCOME and data[start : start + 1] not in _GOOD
            yield Outcome(call, failed)
        start += length

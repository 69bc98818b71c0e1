"""Entries: the unit of everything that is said between client and job, in both directions.

A call, an outcome, an order, an acknowledgement is one entry; a large one travels as several
parts. Bodies are entries one after the other; what carries and authenticates a body is in
:mod:`frames`. Nothing here does I/O, and nothing but :class:`FrameError` comes out.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from math import inf

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NamedTuple

__all__ = [
    "ACK",
    "AGAIN",
    "ARCHIVE",
    "BUFFER",
    "BYE",
    "CALL",
    "CALL_HEAD_BYTES",
    "CONFIG",
    "CONTACT",
    "DROP",
    "FETCH",
    "FUNCTION",
    "HELD",
    "HELLO",
    "INIT",
    "INSTALL",
    "KEY",
    "KILL",
    "LARGE",
    "LEAVE",
    "LISTEN",
    "LOAD",
    "LOADED",
    "MOST_IN_LOG",
    "NAME_BYTES",
    "NEED",
    "OUTCOME",
    "POSITION",
    "PRINTED",
    "RANGE_BYTES",
    "RECALL",
    "REFUSED",
    "REPLY_BYTES",
    "SPEAKER",
    "STATE",
    "STORED",
    "Assembler",
    "Entry",
    "FrameError",
    "body_of",
    "buffers_of",
    "call_head",
    "entry_size",
    "head_of",
    "kinds_of",
    "limit_of",
    "names_of",
    "need_of",
    "pack",
    "pack_archive",
    "pack_ids",
    "pack_key",
    "pack_printed",
    "pack_speaker",
    "split",
    "unpack",
    "unpack_archive",
    "unpack_ids",
    "unpack_key",
    "unpack_printed",
    "unpack_speaker",
]

# Up, in log lines.
HELLO, OUTCOME, SPEAKER, BYE, REFUSED, STATE = range(1, 7)  # the plain values are of `plain`
LARGE = 8
LOADED = 13  # number (of the LOAD), why (not; empty where the buffer is here)
INSTALL = 12  # began, seconds (null while it goes on), failed
HELD = 11  # numbers of calls: in the log, and in the answer to who asks for everything AGAIN
# Up, to a request that stands: lines of calls, and the position after all that is in the reply.
PRINTED, POSITION = 9, 10
# Down, in the launch message and through the door.
CONFIG, INIT, FUNCTION, CALL, ACK, RECALL, KILL, LEAVE, AGAIN, FETCH = range(32, 42)
BUFFER = 46  # in the launch message: a name, and the bytes of that buffer
STORED = 50  # in the launch message: names of buffers that are files of a bucket (:mod:`.bucket`)
LOAD = 51  # a buffer is to be read from a file; its call is a number, its data the size and a name
DROP = 47  # names of buffers; its call is the number up to which their ranges are old
NEED, ARCHIVE = 42, 43  # before the first call that needs them; numbered as functions are
# Before a call that has a key of its submitter's; and up again, beside HELD and the outcome.
KEY = 48
# A message of its own, from somebody who only looks: answered with how long all others are silent.
CONTACT = 45
LISTEN = 44  # a message of its own: a position, and for how many milliseconds it may stand

# A LARGE outcome is fetched through the door in ranges, for the log is no way for megabytes. Its
# data are numbers: its size, then kind and size of each buffer at its end (:mod:`.buffers`). FETCH,
# a message of its own, has where a range begins and ends, and is answered with those bytes as they
# are; with none where the outcome is not there.
REPLY_BYTES = 1 << 20  # of outcomes in one answer, about
MOST_IN_LOG = 4 << 20  # bytes of a result: a log may be a window of a thousand lines
RANGE_BYTES = 1 << 20  # of a buffer, in one request (:mod:`.ranges`)

_HEAD = struct.Struct("<BQIII")
_unpack_head = _HEAD.unpack_from
_pack_head = _HEAD.pack


class FrameError(ValueError):
    """What was received is not what a peer of ours sends."""


if TYPE_CHECKING:

    class Entry(NamedTuple):
        """One thing said: what it is, which call (or function) it is about, and its data."""

        kind: int
        call: int
        part: int
        parts: int
        data: bytes  # or what else has bytes in it, if it is only to be written
else:
    Entry = namedtuple("Entry", ("kind", "call", "part", "parts", "data"))  # noqa: PYI024 - see above


def pack(entries: Iterable[Entry]) -> bytes:
    """Return the body that holds `entries`."""
    pieces: list[bytes] = []
    for kind, call, part, parts, data in entries:
        pieces += (_pack_head(kind, call, part, parts, len(data)), data)
    return b"".join(pieces)


def unpack(body: bytes | bytearray | memoryview) -> list[Entry]:
    """Return the entries of `body`.

    Raises:
        FrameError: `body` is cut short, or has a part that cannot be.
    """
    view = body if isinstance(body, bytes) else memoryview(body)  # slices of both are quick
    entries = []
    stop, end, size = 0, len(view), _HEAD.size
    while stop < end:
        start = stop + size
        if start > end:
            raise FrameError("an entry's head is cut short")
        kind, call, part, parts, length = _unpack_head(view, stop)
        stop = start + length
        if stop > end:
            raise FrameError("an entry's data is cut short")
        if part >= parts:
            raise FrameError(f"an entry has part {part} of {parts}")
        entries.append(Entry(kind, call, part, parts, bytes(view[start:stop])))
    return entries


def entry_size(entry: Entry) -> int:
    """Return how many bytes of a body the entry takes."""
    return _HEAD.size + len(entry.data)


def split(entry: Entry, room: int) -> Iterable[Entry]:
    """Return `entry` in parts of at most `room` bytes each, heads included.

    Where it is cut depends on nothing but its data and `room`: said again, its parts are the
    same, whatever else travels with them.
    """
    step = room - _HEAD.size
    # Not made by a generator, as those of what is large are: this is asked for each call.
    return (entry,) if len(entry.data) <= step else _parts(entry, step)


def _parts(entry: Entry, step: int) -> Iterator[Entry]:
    data = entry.data
    parts = -(-len(data) // step)
    for part in range(parts):
        yield Entry(entry.kind, entry.call, part, parts, data[part * step : (part + 1) * step])


def pack_ids(ids: Iterable[int]) -> bytes:
    """Return call ids as the data of an entry: little-endian u64, one after the other."""
    ids = list(ids)
    return struct.pack(f"<{len(ids)}Q", *ids)


def unpack_ids(data: bytes) -> tuple[int, ...]:
    """Return the call ids of an entry's data.

    Raises:
        FrameError: `data` is no list of call ids.
    """
    if len(data) % 8:
        raise FrameError("a list of call ids is cut short")
    return struct.unpack(f"<{len(data) // 8}Q", data)


# --- what the data of some entries is -----------------------------------------------------------

_CALL = struct.Struct("<IIdHB")
CALL_HEAD_BYTES = _CALL.size  # where no buffers are named
NAME_BYTES = 32  # of a buffer's name
_SPEAKER = struct.Struct("<QB")
_JOINED = 1
_KEY_DIGEST = 32  # bytes of a key's digest
_KEY_TEXT = 200  # characters of its text


def call_head(
    function: int,
    need: int = 0,
    limit: float = 0.0,
    kinds: bytes = b"",
    names: bytes = b"",
    *,
    keep: bool = False,
) -> bytes:
    """Return what stands before a CALL's pickle: its function, its need, how long it may run.

    The first two are numbers, 0 where the function is in the pickle itself, and where the call
    needs nothing. The limit is in seconds; 0 is none. With `keep` its result stays in the bucket
    if it is large. Of the buffers that the pickle refers to, the kinds follow (:mod:`.mapped`), and
    then the names.
    """
    head = _CALL.pack(function, need, limit, len(kinds), keep)
    return head + kinds + names if kinds else head


def head_of(data: bytes | bytearray) -> tuple[int, int, float, int, int]:
    """Return what stands in a CALL's head.

    The numbers of the function and of the need, the limit (0: none), how many buffers it names, and
    whether its result stays in the bucket if it is large.
    """
    return _CALL.unpack_from(data)


def need_of(data: bytes | bytearray) -> int:
    """Return the number of the need that a CALL's data names."""
    number: int = _CALL.unpack_from(data)[1]
    return number


def limit_of(data: bytes | bytearray) -> float:
    """Return the seconds that a CALL may run, infinity for any."""
    limit: float = _CALL.unpack_from(data)[2]
    return limit if limit > 0 else inf


def kinds_of(data: bytes | bytearray) -> bytes:
    """Return what the buffers have to become that a CALL's data names."""
    return bytes(data[_CALL.size : _CALL.size + _CALL.unpack_from(data)[3]])


def buffers_of(data: bytes | bytearray) -> tuple[bytes, ...]:
    """Return the names of the buffers that a CALL's data names."""
    count: int = _CALL.unpack_from(data)[3]
    start = _CALL.size + count
    return names_of(data[start : start + count * NAME_BYTES]) if count else ()


def body_of(data: bytes | bytearray) -> int:
    """Return where the pickle begins in a CALL's data; 0: that is no data of a call.

    >>> body_of(call_head(1, 2) + b"pickle") == CALL_HEAD_BYTES
    True
    """
    if len(data) < _CALL.size:
        return 0
    end: int = _CALL.size + _CALL.unpack_from(data)[3] * (1 + NAME_BYTES)
    return end if end <= len(data) else 0


def names_of(data: bytes | bytearray) -> tuple[bytes, ...]:
    """Return the names of buffers that stand one after the other."""
    return tuple(bytes(data[i : i + NAME_BYTES]) for i in range(0, len(data), NAME_BYTES))


def pack_archive(name: str, digest: str, data: bytes) -> bytes:
    """Return the data of an ARCHIVE: the module that is in it, what it is called, a zip file."""
    return b"%s\0%s\0%s" % (name.encode(), digest.encode(), data)


def unpack_archive(data: bytes | bytearray) -> tuple[str, str, memoryview]:
    """Return what :func:`pack_archive` packed."""
    name, digest, _ = data.split(b"\0", 2)
    return name.decode(), digest.decode(), memoryview(data)[len(name) + len(digest) + 2 :]


def pack_key(digest: bytes, text: str) -> bytes:
    """Return the data of a KEY: what identifies it, and as much of its text as people need."""
    return digest + text[:_KEY_TEXT].encode("utf-8", "replace")


def unpack_key(data: bytes) -> tuple[bytes, str]:
    """Return what :func:`pack_key` packed.

    Raises:
        FrameError: it was not that.
    """
    if len(data) < _KEY_DIGEST:
        raise FrameError("a key is cut short")
    return data[:_KEY_DIGEST], data[_KEY_DIGEST:].decode("utf-8", "replace")


def pack_speaker(number: int, *, joined: bool) -> bytes:
    """Return the data of a SPEAKER, after which plain lines are those that its call has printed.

    Args:
        number: of the next line among the call's.
        joined: that line goes on the one before it, which had no newline.
    """
    return _SPEAKER.pack(number, _JOINED if joined else 0)


def unpack_speaker(data: bytes) -> tuple[int, bool]:
    """Return what :func:`pack_speaker` packed.

    Raises:
        FrameError: it was not that.
    """
    if len(data) != _SPEAKER.size:
        raise FrameError("a SPEAKER of another size")
    number, flags = _SPEAKER.unpack(data)
    return number, bool(flags & _JOINED)


def pack_printed(number: int, text: bytes, *, joined: bool) -> bytes:
    """Return the data of a PRINTED: a line as it is in the log, and what a SPEAKER tells of it."""
    return pack_speaker(number, joined=joined) + text


def unpack_printed(data: bytes) -> tuple[int, bool, str]:
    """Return number, whether it goes on the line before it, and text of a line.

    Raises:
        FrameError: it was none.
    """
    number, joined = unpack_speaker(data[: _SPEAKER.size])
    return number, joined, data[_SPEAKER.size :].decode("utf-8", "replace")


class Assembler:
    """Put the parts of large entries together.

    Parts may come in any order and any number of times; an entry that comes whole again is
    returned again. An entry may come cut in several ways, by way of the log and through the door:
    each is put together by itself. Memory is bounded: where more than `max_bytes` or `max_open`
    entries wait for parts, those that began to wait first are given up (and found again when they
    are said again), but for the one that a part was just taken for.
    """

    def __init__(self, max_bytes: int = 256 << 20, max_open: int = 1024) -> None:
        self._max_bytes = max_bytes
        self._max_open = max_open
        self._open: dict[tuple[int, int, int], dict[int, bytes]] = {}
        self.held = 0

    def feed(self, entry: Entry) -> Entry | None:
        """Take one part; return the whole entry if that was the last one missing."""
        kind, call, part, parts, data = entry
        if parts == 1:
            return entry
        have = self._open.setdefault((kind, call, parts), {})
        if part in have or not 0 <= part < parts:
            return None
        have[part] = data
        self.held += len(data)
        if len(have) < parts:
            self._give_up((kind, call, parts))
            return None
        for key in [key for key in self._open if key[:2] == (kind, call)]:
            self._drop(key)
        return Entry(kind, call, 0, 1, b"".join(have[i] for i in range(parts)))

    def _give_up(self, latest: tuple[int, int, int]) -> None:
        """Make room; but never for an entry in its own place, or it could never be complete."""
        while self.held > self._max_bytes or len(self._open) > self._max_open:
            oldest = next((key for key in self._open if key != latest), None)
            if oldest is None:
                return
            self._drop(oldest)

    def _drop(self, key: tuple[int, int, int]) -> None:
        self.held -= sum(map(len, self._open.pop(key).values()))

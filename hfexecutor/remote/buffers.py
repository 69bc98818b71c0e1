"""A pickle, and the large buffers that are not in it: they are copied once, to where they go.

The pickler hands each large buffer (the content of ``bytes``, of a ``bytearray``, of an array) to
its file by itself, after an opcode with its size. So a list can be the file: it holds the user's
own memory, and nothing was copied. Cut out of the pickle, a buffer is read into a place of its own,
which becomes a part of the value as it is. What travels::

    0, count, and for each buffer its kind and size
    the pickle, with NEXT_BUFFER where a buffer was
    the buffers, one after the other

A value without large buffers is its pickle, which never begins with a 0.
"""

from __future__ import annotations

import struct
from itertools import accumulate

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pickle import loads
    from typing import Any

    Buffer = bytes | bytearray | memoryview
else:
    try:  # the same as `pickle`, without the modules that it imports
        from _pickle import loads
    except ImportError:  # a Python without its accelerators
        from pickle import loads

__all__ = [
    "MOST_BUFFERS",
    "Pieces",
    "Place",
    "arrange",
    "cut_opening",
    "layout_of",
    "load",
    "loads",
]

BYTES, BYTEARRAY, WRITABLE = range(3)  # what a buffer has to become
_FRESH = 1 << 20  # bytes from which on a place has memory of its own: a process has 65,000 mappings
MOST_BUFFERS = 256  # of one value; what is beyond stays in the pickle

_LEAST = 1 << 16  # what is as large the pickler hands over by itself
_TABLE = struct.Struct("<BI")
_BUFFER = struct.Struct("<BQ")
_SIZE = struct.Struct("<Q")
_FRAME, _NEXT_BUFFER = 0x95, b"\x97"
_OPENINGS = ((b"B", 4, BYTES), (b"\x8e", 8, BYTES), (b"\x96", 8, BYTEARRAY))


class Pieces(list):  # type: ignore[type-arg]
    """A file for a pickler: what it has written, in pieces, large buffers as they are."""

    write = list.append


def arrange(pieces: Sequence[Any]) -> list[Buffer]:
    """Return what travels, in pieces, for what a pickler has written."""
    pickle: list[Buffer] = []
    found: list[tuple[int, memoryview]] = []
    for piece in pieces:
        data = memoryview(piece)
        if type(piece) is not bytes:
            data = data.cast("B") if data.c_contiguous else piece.raw()
        kind = cut_opening(pickle, data) if len(found) < MOST_BUFFERS else None
        if kind is None:
            pickle.append(data)
        elif kind == BYTEARRAY and type(piece) is not bytearray:  # an array's, say
            found.append((WRITABLE, data))
        else:
            found.append((kind, data))
    if not found:
        return pickle
    table = [_TABLE.pack(0, len(found)), *(_BUFFER.pack(kind, len(data)) for kind, data in found)]
    return [b"".join([*table, *pickle]), *(data for _, data in found)]


def cut_opening(pickle: list[Buffer], data: memoryview) -> int | None:
    """Say what `data` has to become, and cut off what stands before it; None: it is no buffer."""
    if len(data) < _LEAST or not pickle or _looks_like_a_frame(data):
        return None
    before = bytes(pickle[-1])
    for opcode, size, kind in _OPENINGS:
        opening = opcode + len(data).to_bytes(8, "little")[:size]
        if before.endswith(opening) and len(data) < 1 << 8 * size:
            pickle[-1] = before[: -len(opening)] + _NEXT_BUFFER
            return kind
    return None


def _looks_like_a_frame(data: memoryview) -> bool:
    """Say whether this may be a piece of the pickle itself; what is as large is always a frame."""
    return data[0] == _FRAME and _SIZE.unpack_from(data, 1)[0] <= len(data)


def layout_of(payload: Buffer) -> tuple[int, ...]:
    """Return kind and size of each buffer, one after the other; nothing without buffers.

    Raises:
        struct.error: these bytes are nothing that we have made.
    """
    if not len(payload) or payload[0]:
        return ()
    count = _TABLE.unpack_from(payload)[1]
    starts = range(_TABLE.size, _TABLE.size + count * _BUFFER.size, _BUFFER.size)
    return tuple(item for start in starts for item in _BUFFER.unpack_from(payload, start))


class Place:
    """Where a buffer is read into, and what it becomes: the same memory.

    Args:
        kind: what it has to become.
        size: in bytes.

    Attributes:
        view: where it is read into.

    Raises:
        MemoryError: there is no room for it.
    """

    def __init__(self, kind: int, size: int) -> None:
        self._kind = kind
        self._made: bytes | bytearray | None = None
        if size < _FRESH:
            self._made = bytearray(size)
            self.view = memoryview(self._made)
            return
        from . import fresh  # noqa: PLC0415 - large values alone need it

        if kind == BYTES:
            self._made, self.view = fresh.new_bytes(size)
        elif kind == BYTEARRAY:
            self._made = fresh.new_bytearray(size)
            self.view = memoryview(self._made)
        else:
            self.view = memoryview(fresh.new_mapping(size))

    def take(self) -> Buffer:
        """Return what it becomes. To be called once."""
        made, self._made = self._made, None
        if self._kind == WRITABLE or made is None:
            return self.view
        self.view.release()
        return bytes(made) if self._kind == BYTES else made


def load(payload: Buffer, places: Sequence[Place] | None = None) -> Any:
    """Return the value. Raises whatever unpickling raises.

    Args:
        payload: what travelled; without the buffers if there are places.
        places: of the buffers; None if they are in the payload.
    """
    layout = layout_of(payload)
    if not layout:
        return loads(payload)
    start = _TABLE.size + len(layout) // 2 * _BUFFER.size
    with memoryview(payload) as view:
        end = len(view)
        if places is None:
            sizes = layout[1::2]
            places = [Place(*one) for one in zip(layout[::2], sizes, strict=True)]
            end -= sum(sizes)
            starts = accumulate(sizes[:-1], initial=end)
            for place, first, size in zip(places, starts, sizes, strict=True):
                place.view[:] = view[first : first + size]
        return loads(view[start:end], buffers=[place.take() for place in places])

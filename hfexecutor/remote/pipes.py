"""What supervisor and child say to each other through their pipes: both ends in one place.

Down go items: functions, what calls need, the word that the initializer may run, and calls. The
child works on a call only when it holds the call's ticket, 8 bytes in a pipe of their own, so what
it has not begun can be taken back: whoever reads the ticket has the call. A call whose ticket was
taken back is skipped. A call that refers to buffers comes with their descriptors, in a message of
its own through a socket, in the order of the calls.

Up go results, one for each call, after the child has ended the call's output with its marker. A
large one is in shared memory, of which the descriptor goes before its head through that socket.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    # status, call, when it began on the clock of this machine, seconds, payload
    Result = tuple[bytes, int, float, float, Any]

__all__ = [
    "ARCHIVE",
    "CALL",
    "ENVIRONMENT",
    "FUNCTION",
    "INITIALIZER",
    "READY",
    "SHARED",
    "TICKET",
    "ItemReader",
    "ResultReader",
    "pack_item",
    "pack_result_head",
]

FUNCTION, INITIALIZER, CALL = b"F", b"I", b"C"
ENVIRONMENT, ARCHIVE = b"E", b"A"  # to be put on the search path
READY = b"R"  # a result of no call: the child has started

TICKET = struct.Struct("<Q")
_ITEM = struct.Struct("<cQQ")
_unpack_item, _ITEM_BYTES = _ITEM.unpack_from, _ITEM.size
_RESULT = struct.Struct("<cQddQ")
SHARED = 1 << 63  # in place of the size of a result: it is in shared memory
_AT_ONCE = 1 << 18


def pack_item(kind: bytes, number: int, data: bytes) -> tuple[bytes, bytes]:
    """Return the head and the data of an item: a function, an initializer or a call."""
    return _ITEM.pack(kind, number, len(data)), data


def pack_result_head(status: bytes, call: int, began: float, duration: float, size: int) -> bytes:
    """Return what stands before the payload of a result, of `size` bytes, or in its place."""
    return _RESULT.pack(status, call, began, duration, size)


class ItemReader:
    """Read exact amounts from a blocking pipe, few reads for many small items."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = b""
        self._start = 0

    def item(self) -> tuple[bytes, int, bytes | bytearray]:
        """Return kind, number and data of the next item.

        Raises:
            EOFError: the supervisor is gone.
        """
        data, start = self._data, self._start
        if len(data) < start + _ITEM_BYTES:
            data, start = self._read_on(data[start:], _ITEM_BYTES), 0
        kind, number, size = _unpack_item(data, start)
        start += _ITEM_BYTES
        end = start + size
        if end > len(data):
            if size > _AT_ONCE:
                self._data, self._start = b"", 0
                return kind, number, _read_large(self._fd, data[start:], size)
            data, start, end = self._read_on(data[start:], size), 0, size
        self._data, self._start = data, end
        return kind, number, data[start:end]

    def _read_on(self, have: bytes, size: int) -> bytes:
        """Return what is here with what comes, `size` bytes or more."""
        while len(have) < size:
            more = os.read(self._fd, _AT_ONCE)
            if not more:
                raise EOFError
            have += more
        return have


def _read_large(fd: int, have: bytes, size: int) -> bytearray:
    data = bytearray(size)
    data[: len(have)] = have
    with memoryview(data) as view:
        got = len(have)
        while got < size:
            more = os.readv(fd, [view[got:]])
            if not more:
                raise EOFError
            got += more
    return data


class ResultReader:
    """Put a child's results together from what its pipe gives at a time.

    Args:
        shared: returns the next payload that came in shared memory, None if it cannot be had.
    """

    def __init__(self, shared: Callable[[], Any] | None = None) -> None:
        self._shared = shared
        self._data = b""
        self._large: bytearray | None = None  # a payload that comes in many reads
        self._head: tuple[bytes, int, float, float, int] = (b"", 0, 0.0, 0.0, 0)
        self._got = 0

    def read(self, fd: int) -> bool:
        """Read once from `fd`, which does not block; say whether it may have more.

        Raises:
            BlockingIOError: there is nothing now.
        """
        if self._large is not None:
            with memoryview(self._large) as view:
                more = os.readv(fd, [view[self._got :]])
            self._got += more
            return more > 0
        data = os.read(fd, _AT_ONCE)
        self._data = self._data + data if self._data else data
        return len(data) > 0

    def take(self) -> Iterator[Result]:
        """Yield each result that is complete."""
        if self._large is not None:
            if self._got < len(self._large):
                return
            yield (*self._head[:4], self._large)
            self._large = None
        data, start, size = self._data, 0, _RESULT.size
        self._data = b""
        while len(data) - start >= size:
            status, call, began, duration, length = head = _RESULT.unpack_from(data, start)
            if length & SHARED:
                assert self._shared is not None
                start += size
                yield status, call, began, duration, self._shared()
                continue
            end = start + size + length
            if end > len(data):
                if length > _AT_ONCE:
                    self._begin_large(head, data[start + size :])
                    return
                break
            yield status, call, began, duration, data[start + size : end]
            start = end
        self._data = data[start:]

    def _begin_large(self, head: tuple[bytes, int, float, float, int], have: bytes) -> None:
        self._head, self._large, self._got = head, bytearray(head[4]), len(have)
        self._large[: len(have)] = have

"""Large buffers, by content: what is not copied into pickles, and travels once to each worker.

The pickler hands what is large (the content of ``bytes``, of a ``bytearray``, of an array) to its
file as it is, after an opcode with its size. Cut out there, it travels beside the pickle.

A call gets what its arguments were at `submit`. So memory that its owner may change is copied then,
once for all calls that are open and have the same in it; what nobody can change is not.
"""

from __future__ import annotations

import functools
import logging
import os
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hfexecutor.core.call import Buffer
from hfexecutor.remote import mapped
from hfexecutor.remote.buffers import BYTES, cut_opening
from hfexecutor.remote.fresh import new_mapping
from hfexecutor.remote.ranges import RANGE_BYTES, digest_of, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["LARGE", "MOST", "Buffers", "Pickled"]

LARGE: Final = 256 << 10
"""Bytes from which on a buffer travels beside the pickle."""

MOST: Final = 64
"""Buffers beside one pickle; what else is large in it is copied into it."""

_COMPARED: Final = 64 << 10  # bytes at once
_MUCH: Final = 8 << 30  # bytes that were compared, half a second or more, until that is told

logger = logging.getLogger("hfexecutor")


class Pickled(NamedTuple):
    """A pickle without its large buffers; these, and what they have to become.

    `contents` are those of the remote values that it refers to: they have to be there meanwhile.
    """

    data: bytes
    kinds: bytes = b""
    buffers: tuple[Buffer, ...] = ()
    contents: tuple[Any, ...] = ()

    @property
    def pickle(self) -> bytes:
        """The pickle, wherever it is."""
        if not self.kinds or self.kinds[-1] != mapped.PICKLE:
            return self.data
        data = self.buffers[-1].data.obj
        return data if type(data) is bytes else bytes(data)

    @property
    def size(self) -> int:
        """Bytes of all together."""
        return len(self.data) + sum(buffer.size for buffer in self.buffers)


class Buffers:
    """The buffers of open calls. Safe to use from several threads."""

    def __init__(self) -> None:
        self._by_name: weakref.WeakValueDictionary[bytes, Buffer] = weakref.WeakValueDictionary()
        # By the id of who has the memory, which a buffer keeps alive as long as it is alive itself.
        self._by_owner: weakref.WeakValueDictionary[int, Buffer] = weakref.WeakValueDictionary()
        # By the id of who had it when it was copied: that may be another object by now.
        self._by_source: weakref.WeakValueDictionary[int, Buffer] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()  # guards all: equal content is one buffer
        self._compared = 0  # bytes that were found to be as they were

    def take_from(self, pieces: Sequence[Any]) -> Pickled:
        """Return what a pickler has written, with its large buffers beside it."""
        views = [p.raw() if type(p) is pickle.PickleBuffer else p for p in pieces]
        if sum(map(len, views)) < LARGE:
            return Pickled(b"".join(views))
        rest: list[bytes | bytearray | memoryview] = []
        kinds = bytearray()
        buffers: list[Buffer] = []
        for piece, content in zip(pieces, views, strict=True):
            view = memoryview(content)
            fits = len(view) >= LARGE and len(buffers) < MOST
            kind = cut_opening(rest, view) if fits else None
            if kind is None:
                rest.append(view)
                continue
            if type(piece) is pickle.PickleBuffer:  # of an array, say, which may be guarded
                rest += (pickle.READONLY_BUFFER,) if kind == BYTES else ()
                kind = mapped.MEMORY
            kinds.append(kind)
            buffers.append(self.of(view))
        data = b"".join(rest)
        if len(data) >= LARGE:
            kinds.append(mapped.PICKLE)
            buffers.append(self.of(memoryview(data)))
            data = b""
        return Pickled(data, bytes(kinds), tuple(buffers))

    def of(self, view: memoryview) -> Buffer:
        """Return the buffer of some memory: contiguous, one dimension, bytes."""
        owner, size = view.obj, view.nbytes
        known = self._by_owner.get(id(owner))
        if known is not None and known.size == size and known.data.obj is owner:
            return known
        mutable = not _is_immutable(view)
        if mutable:
            known = self._by_source.get(id(owner))
            if known is not None and _equal(view, known.data):
                self._note_compared(size)
                return known
            view = _copy(view)
        digests = tuple(digest_of(part) for part in _ranges(view))
        name = name_of(size, digests)
        with self._lock:
            buffer = self._by_name.get(name)
            if buffer is None:
                buffer = self._by_name[name] = Buffer(name, size, digests, view)
                if memoryview(view.obj).nbytes == size:
                    self._by_owner[id(view.obj)] = buffer
            if mutable:
                self._by_source[id(owner)] = buffer
        return buffer

    def _note_compared(self, size: int) -> None:
        """Say, once, how to do without: nobody would look for the time in `submit`."""
        before, self._compared = self._compared, self._compared + size
        if before < _MUCH <= self._compared:
            logger.warning(
                "arguments of %s MB in all were compared with those of earlier calls, and are the "
                "same; executor.share(value) spares that, see its documentation",
                f"{self._compared / 1e6:,.0f}",
            )


def _is_immutable(view: memoryview) -> bool:
    """Say whether nobody has a way to change this memory, down to who owns it."""
    owner: Any = view.obj
    while view.readonly and type(owner) is not bytes:
        base = getattr(owner, "base", None)  # of numpy's arrays: whose memory it is
        if base is None:
            return type(owner).__module__.partition(".")[0] == "numpy"
        try:
            owner, view = base, memoryview(base)
        except (TypeError, ValueError):
            return False
    return view.readonly


def _copy(view: memoryview) -> memoryview:
    """Return a copy that nobody else knows of, in memory that goes back to the system after it."""
    size = view.nbytes
    memory = new_mapping(size)
    for start in range(0, size, RANGE_BYTES):  # not at once: others want to run meanwhile
        memory[start : start + RANGE_BYTES] = view[start : start + RANGE_BYTES]
    return memoryview(memory).toreadonly()


def _equal(one: memoryview, other: memoryview) -> bool:
    """Compare memory: eight times as fast as hashing it, and over at the first difference."""
    size = one.nbytes
    if size != other.nbytes:
        return False
    try:
        first, second = _address(one), _address(other)
    except (TypeError, ImportError):  # memory without an address, a Python without ctypes
        return _equal_in_pieces(one, other)
    return _memcmp()(first, second, size) == 0


def _address(view: memoryview) -> Any:
    """Return the address of some memory, as C functions take it; it keeps the memory there.

    Raises:
        TypeError: This is not to be had of memory that cannot be written to.
    """
    import ctypes  # noqa: PLC0415 - large values alone need it

    owner = view.obj
    if view.readonly and memoryview(owner).nbytes == view.nbytes:  # a copy of ours
        return ctypes.byref(ctypes.c_char.from_buffer(owner))
    return ctypes.byref(ctypes.c_char.from_buffer(view))


@functools.cache
def _memcmp() -> Callable[..., int]:
    """Return the C library's function: while it compares, other threads run."""
    import ctypes  # noqa: PLC0415

    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("msvcrt")
    compare = library.memcmp
    compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return compare


def _equal_in_pieces(one: memoryview, other: memoryview) -> bool:
    """Compare memory, half as fast."""
    taken = bytearray()  # the one type that compares itself with memory at once
    for start in range(0, one.nbytes, _COMPARED):
        taken[:] = one[start : start + _COMPARED]
        if taken != other[start : start + _COMPARED]:
            return False
    return True


def _ranges(view: memoryview) -> Iterator[memoryview]:
    return (view[start : start + RANGE_BYTES] for start in range(0, view.nbytes, RANGE_BYTES))

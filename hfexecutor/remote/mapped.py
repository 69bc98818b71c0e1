"""Load what was pickled with its buffers beside it.

They are mapped, not copied: what a call writes into one is its own, and pages that it only reads
are there once for all processes. Only ``bytes`` and ``bytearray`` have to be copied out of theirs.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys

from .buffers import BYTES, WRITABLE, Place
from .pickling import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["load", "map_files", "shared"]

MEMORY, PICKLE = WRITABLE, WRITABLE + 1  # a buffer that is used as it is; the pickle itself
_LARGE = 32 << 20  # bytes from which on malloc takes new pages each time


def map_files(files: Sequence[int]) -> list[mmap.mmap]:
    """Map descriptors privately, and close them."""
    try:
        return [mmap.mmap(fd, 0, access=mmap.ACCESS_COPY) for fd in files]
    finally:
        for fd in files:
            os.close(fd)


def _copy(kind: int, buffer: Any) -> Any:
    """Copy a buffer out; a large one into large pages, as small ones take half of the time."""
    size = memoryview(buffer).nbytes
    with contextlib.suppress(ImportError):  # a Python without ctypes
        if size >= _LARGE:
            place = Place(kind, size)
            place.view[:] = buffer
            return place.take()
    return bytes(buffer) if kind == BYTES else bytearray(buffer)


def load(data: Any, kinds: Iterable[int], buffers: Iterable[Any]) -> Any:
    """Unpickle `data`, or what is in the last buffer if that is the pickle."""
    made = []
    for kind, buffer in zip(kinds, buffers, strict=True):
        if kind == PICKLE:
            data = buffer
        else:
            made.append(buffer if kind == MEMORY else _copy(kind, buffer))
    return loads(data, buffers=made)


def shared(_imports: Any, data: Any, kinds: bytes, *buffers: Any) -> Any:
    """Return the value of a handle: pickles of calls refer to this function by its name in jobs.

    What the value imports stands there for the client, which reads it from the pickles of calls.
    """
    pairs = zip(kinds, buffers, strict=True)
    return load(data, kinds, [_memory_of(one) if kind == MEMORY else one for kind, one in pairs])


def _memory_of(buffer: Any) -> Any:
    """Return memory that can be written to: the value's own pickle says whether it may be."""
    memory = memoryview(buffer).obj
    return bytearray(buffer) if type(memory) is bytes else memory


_MODULE = "hfexecutor_remote.mapped"
shared.__module__ = _MODULE
sys.modules.setdefault(_MODULE, sys.modules[__name__])

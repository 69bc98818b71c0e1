"""New memory for what is to be read into it: nobody has touched it, so it costs nothing before.

``bytes`` and ``bytearray`` are made by Python's C API, which is for just this: made without a
content, they are filled before anybody else sees them. Where the system has large pages it is asked
for them: a fourth of the time goes into 4 KiB pages otherwise.
"""

from __future__ import annotations

import contextlib
import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["new_bytearray", "new_bytes", "new_mapping"]

_HUGE_PAGE = 2 << 20
_FLAGS = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def new_mapping(size: int) -> mmap.mmap:
    """Return mapped memory. Raises MemoryError if there is no room for it."""
    try:
        mapping = mmap.mmap(-1, size, **_FLAGS)
    except OSError as error:
        raise MemoryError(f"no room for {size:,} bytes: {error}") from error
    if size >= _HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel that has none
            mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping


def new_bytes(size: int) -> tuple[bytes, memoryview]:
    """Return bytes without a content yet, and the view to fill them through.

    Nobody may look at them before they are filled. The view keeps them alive.
    """
    import ctypes  # noqa: PLC0415 - large values alone need it

    value: bytes = _made("PyBytes_FromStringAndSize", size)
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)
    address = prototype(("PyBytes_AsString", ctypes.pythonapi))(value)
    memory: Any = (ctypes.c_ubyte * size).from_address(address)
    memory.owner = value  # or who still writes would do so into memory that is free
    _ask_for_huge_pages(address, size)
    return value, memoryview(memory).cast("B")


def new_bytearray(size: int) -> bytearray:
    """Return a bytearray without a content yet: its own constructor writes zeros everywhere."""
    import ctypes  # noqa: PLC0415

    value: bytearray = _made("PyByteArray_FromStringAndSize", size)
    if size:
        _ask_for_huge_pages(ctypes.addressof(ctypes.c_char.from_buffer(value)), size)
    return value


def _made(function: str, size: int) -> Any:
    import ctypes  # noqa: PLC0415

    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)
    return prototype((function, ctypes.pythonapi))(None, size)


def _ask_for_huge_pages(address: int, size: int) -> None:
    """Ask for large pages within some memory, where that is known."""
    import ctypes  # noqa: PLC0415

    start = -(-address // _HUGE_PAGE) * _HUGE_PAGE
    length = (address + size) // _HUGE_PAGE * _HUGE_PAGE - start
    if length <= 0 or not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    ask = ctypes.CDLL(None).madvise
    ask.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    ask(start, length, mmap.MADV_HUGEPAGE)  # in vain where the kernel has none

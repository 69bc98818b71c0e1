"""Which buffers of the client are here, whole or in part. Pure, but for the memory behind it.

The client alone decides what is forgotten: what was whole here is whole until it says so.
"""

from __future__ import annotations

from .ranges import RANGE_BYTES, count_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .memory import Memory
    from .ranges import Range

__all__ = ["BufferCache"]

_REMEMBERED = 1024  # names of what was dropped


class BufferCache:
    """What has arrived of each buffer.

    Args:
        memory: where their bytes are.

    Attributes:
        stored: names of those that are files of a bucket, which children read by themselves.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.stored: set[bytes] = set()
        self._missing: dict[bytes, set[int]] = {}  # ranges, of those that are begun
        self._loading: dict[bytes, int] = {}  # those that are read from files, and which order
        self._whole: set[bytes] = set()
        self._dropped: dict[bytes, int] = {}  # and the number up to which their ranges are old

    def __repr__(self) -> str:
        return f"<BufferCache {len(self._whole)} whole, {len(self._missing)} begun>"

    def __contains__(self, name: bytes) -> bool:
        return name in self._whole or name in self.stored

    @property
    def is_loading(self) -> bool:
        """Whether one is being read from its file."""
        return bool(self._loading)

    def take(self, number: int, part: Range, data: memoryview) -> str:
        """Keep a range that arrived with request `number`; return why that is impossible, or "".

        One that is here already, and one that was under way when its buffer was dropped, is done.
        """
        name, size, index, _ = part
        if name in self._whole or number <= self._dropped.get(name, 0):
            return ""
        try:
            if name not in self._missing:
                self._forget(name)  # whoever reads it from its file was too slow
                self._memory.create(name, size)
                self._missing[name] = set(range(count_of(size)))
            self._memory.write(name, index * RANGE_BYTES, data)
        except (OSError, OverflowError) as error:
            self._forget(name)
            return str(error)
        missing = self._missing[name]
        missing.discard(index)
        if not missing:
            self._finish(name)
        return ""

    def put(self, name: bytes, data: memoryview) -> None:
        """Keep a buffer that came whole, in the launch message."""
        if name not in self._whole:
            self._memory.create(name, len(data))
            self._memory.write(name, 0, data)
            self._finish(name)

    def begin(self, number: int, name: bytes, size: int) -> bool:
        """Make memory for a buffer that is read from its file by order `number`.

        Say whether it is to be read: it may be here. Raises OSError if there is no room.
        """
        if name in self._whole:
            return False
        self._forget(name)
        self._memory.create(name, size)
        self._loading[name] = number
        return True

    def loading(self, number: int) -> bytes | None:
        """Return what an order reads; None if it was dropped, or comes through the door."""
        return next((name for name, order in self._loading.items() if order == number), None)

    def end(self, number: int, *, whole: bool) -> bool:
        """Note that the reading of an order has ended; say whether that still matters."""
        name = self.loading(number)
        if name is None:
            return False
        if whole:
            self._finish(name)
        else:
            self._forget(name)
        return True

    def drop(self, names: Iterable[bytes], number: int) -> None:
        """Forget buffers, and what may yet come of them in requests up to `number`."""
        for name in names:
            self._forget(name)
            self._dropped.pop(name, None)
            self._dropped[name] = number
        while len(self._dropped) > _REMEMBERED:
            del self._dropped[next(iter(self._dropped))]

    def _finish(self, name: bytes) -> None:
        self._missing.pop(name, None)
        self._loading.pop(name, None)
        self._whole.add(name)
        self._memory.finish(name)

    def _forget(self, name: bytes) -> None:
        self._missing.pop(name, None)
        self._loading.pop(name, None)
        self._whole.discard(name)
        self._memory.drop(name)

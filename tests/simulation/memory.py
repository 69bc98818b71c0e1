"""The memory of a job: what it keeps of buffers, and when there is no room for one."""

from __future__ import annotations

from collections.abc import Callable


class Memory:
    """Does what :class:`hfexecutor.remote.memory.Memory` does, without files."""

    def __init__(self, is_full: Callable[[], bool]) -> None:
        self._is_full = is_full
        self._buffers: dict[bytes, bytearray] = {}
        self._whole: set[bytes] = set()

    def create(self, name: bytes, size: int) -> None:
        assert name not in self._buffers, "a buffer is created twice"
        if self._is_full():
            raise OSError("simulated: no memory")
        self._buffers[name] = bytearray(size)

    def open(self, name: bytes) -> bytearray:
        """Return the memory of a buffer, for who fills it whatever becomes of it here."""
        return self._buffers[name]

    def write(self, name: bytes, start: int, data: memoryview) -> None:
        assert name not in self._whole, "a buffer is changed that is whole"
        self._buffers[name][start : start + len(data)] = data

    def finish(self, name: bytes) -> None:
        self._whole.add(name)

    def drop(self, name: bytes) -> None:
        self._buffers.pop(name, None)
        self._whole.discard(name)

    def content(self, name: bytes) -> bytearray | None:
        """Return what a call gets; None where it is not there."""
        return self._buffers[name] if name in self._whole else None

    @property
    def size(self) -> int:
        return sum(map(len, self._buffers.values()))

"""Buffers that are read from files of a mounted bucket, instead of coming through the door. Pure.

The client orders it (LOAD), and is told how it ended (LOADED): until then it sends no call that
refers to the buffer. So a file that is late, or wrong, costs time and no call: what cannot be read
comes through the door. A range that does so meanwhile ends the reading.
"""

from __future__ import annotations

from . import plain
from .effects import Load
from .entries import LOADED, NAME_BYTES, Entry, unpack_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .buffer_cache import BufferCache
    from .log import Log

__all__ = ["Loads"]


class Loads:
    """What is being read.

    Args:
        buffers: where it goes.
        log: where it is said how it ended.
        mounted: whether there is a folder with such files.

    Attributes:
        ordered: what is to be read, and was not taken yet.
    """

    def __init__(self, buffers: BufferCache, log: Log, *, mounted: bool) -> None:
        self._buffers = buffers
        self._log = log
        self._mounted = mounted
        self.ordered: list[Load] = []

    def __repr__(self) -> str:
        return f"<Loads into {self._buffers}>"

    def order(self, number: int, data: bytes) -> None:
        """Begin to read what an order names: its data are a size, and the buffer's name."""
        (size,), name = unpack_ids(data[:-NAME_BYTES]), data[-NAME_BYTES:]
        if not self._mounted:
            self._tell(number, "the job has mounted no such folder")
            return
        try:
            if self._buffers.begin(number, name, size):
                self.ordered.append(Load(number, name))
            else:  # it is here
                self._tell(number)
        except (OSError, OverflowError) as error:
            self._tell(number, str(error))

    def ended(self, number: int, why: str) -> None:
        """Note that the file was read; `why` says why not."""
        if self._buffers.end(number, whole=not why):
            self._tell(number, why)

    def take(self) -> list[Load]:
        """Return what is to be read now."""
        ordered, self.ordered = self.ordered, []
        return [load for load in ordered if self._buffers.loading(load.number) is not None]

    def _tell(self, number: int, why: str = "") -> None:
        words = plain.pack({"number": number, "why": why})
        self._log.add(Entry(LOADED, 0, 0, 1, words))

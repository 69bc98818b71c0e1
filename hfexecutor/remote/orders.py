"""What the client says, and what follows from it. Pure."""

from __future__ import annotations

from . import entries, plain
from .entries import Assembler, Entry, FrameError
from .log import LARGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .loads import Loads
    from .log import Log
    from .pool import Pool

__all__ = ["LackingError", "Orders"]


class LackingError(Exception):
    """A call refers to what was never said here: it was said before the Hub started the job again.

    Without its function it could not run, and without its packages it would run wrongly.
    """


class Orders:
    """Do what messages say.

    Args:
        pool: runs calls, gives them back, kills them.
        log: writes outcomes until they are acknowledged.
        loads: reads buffers from files.

    Attributes:
        leave: the worker is to leave once it has nothing left to do.
    """

    def __init__(self, pool: Pool, log: Log, loads: Loads) -> None:
        self._pool = pool
        self._log = log
        self._assembler = Assembler()
        self._told: list[Entry] = []  # outcomes for the reply at hand
        self._now = 0.0
        self.leave = False
        self._orders: dict[int, Callable[[Entry], list[int] | None]] = {
            entries.CALL: self._take_call,
            entries.KEY: lambda entry: self._log.note_key(entry.call, entry.data),
            entries.FUNCTION: self._take_function,
            entries.NEED: self._take_need,
            entries.ARCHIVE: self._take_archive,
            entries.ACK: self._acknowledge,
            entries.RECALL: lambda entry: self._pool.recall(_ids(entry)),
            entries.KILL: lambda entry: self._pool.kill(_ids(entry)),
            entries.AGAIN: self._again,
            entries.LEAVE: self._leave,
            entries.BUFFER: self._take_buffer,
            entries.DROP: self._drop,
            entries.STORED: self._take_stored,
            entries.LOAD: lambda entry: loads.order(entry.call, entry.data),
        }

    def receive(self, message: Iterable[Entry], now: float) -> list[Entry]:
        """Do what a message says; return the reply.

        In it are the outcomes that were asked for, the calls given back, and the state.

        Raises:
            LackingError: a call refers to what is not here; what came before it is done.
        """
        self._now = now
        given_back: list[int] = []
        self._told = []
        for part in message:
            entry = self._assembler.feed(part)
            if entry is not None and entry.kind in self._orders:
                given_back += self._orders[entry.kind](entry) or ()
        if given_back:
            self._log.let_go(given_back)
        state = {"unacked": len(self._log.unacknowledged)}
        return [
            *self._told,
            Entry(entries.RECALL, 0, 0, 1, entries.pack_ids(given_back) if given_back else b""),
            Entry(entries.STATE, 0, 0, 1, plain.pack(state)),
        ]

    # --- each kind of entry ---------------------------------------------------------------------

    def _take_call(self, entry: Entry) -> None:
        known = self._pool.holds(entry.call) or entry.call in self._log.unacknowledged
        if not known and entries.body_of(entry.data):
            if not self._pool.has_all_for(entry.data):
                raise LackingError
            self._pool.queue.add(entry.call, entry.data)
            self._log.hold(entry.call, self._now)

    def _take_function(self, entry: Entry) -> None:
        self._pool.queue.add_function(entry.call, entry.data)

    def _take_need(self, entry: Entry) -> None:
        self._pool.environments.learn(entry.call, entry.data)

    def _take_buffer(self, entry: Entry) -> None:
        with memoryview(entry.data) as view:
            name = bytes(view[: entries.NAME_BYTES])
            self._pool.buffers.put(name, view[entries.NAME_BYTES :])

    def _take_stored(self, entry: Entry) -> None:
        self._pool.buffers.stored.update(entries.names_of(entry.data))

    def _drop(self, entry: Entry) -> None:
        self._pool.buffers.drop(entries.names_of(entry.data), entry.call)

    def _take_archive(self, entry: Entry) -> None:
        self._pool.environments.archives[entry.call] = entry.data

    def _acknowledge(self, entry: Entry) -> None:
        self._log.acknowledge(_ids(entry))

    def _again(self, entry: Entry) -> None:
        """Tell outcomes again: who asks has missed them in the log, so in the reply if they fit."""
        calls, kept = _ids(entry), self._log.unacknowledged
        if not calls:
            held = self._pool.held
            self._told.append(Entry(entries.HELD, 0, 0, 1, entries.pack_ids(held)))
            self._told += self._log.keys_of(held)
        room, rest = entries.REPLY_BYTES, []
        for call, data in kept.some(calls) if calls else kept.all():
            self._told += self._log.keys_of((call,))
            large = self._log.announce(call, data, self._now) if len(data) >= LARGE_BYTES else None
            if large is not None:
                self._told.append(large)
            elif len(data) <= room:
                self._told.append(Entry(entries.OUTCOME, call, 0, 1, bytes(data)))
                room -= len(data)
            else:
                rest.append((call, data))
        self._log.repeat(rest)

    def _leave(self, _: Entry) -> None:
        self.leave = True


def _ids(entry: Entry) -> tuple[int, ...]:
    try:
        return entries.unpack_ids(entry.data)
    except FrameError:  # authentic, and still nonsense: a bug of the client
        return (0,)  # no call, and not all of them either

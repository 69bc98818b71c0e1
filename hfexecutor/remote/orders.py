"""What the client says, and what follows from it."""

from __future__ import annotations

from . import entries, plainjson
from .entries import Assembler, Entry, FrameError
from .mouth import LARGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .crew import Crew
    from .mouth import Mouth

__all__ = ["Orders"]

_FUNCTION_BYTES = 8  # with which a call's data names its function


class Orders:
    """Do what messages say.

    Args:
        crew: runs calls, gives them back, kills them.
        mouth: says outcomes until they are acknowledged.
        on_leave: called when the worker is to leave once it has nothing left to do.
    """

    def __init__(self, crew: Crew, mouth: Mouth, on_leave: Callable[[], None]) -> None:
        self._crew = crew
        self._mouth = mouth
        self._on_leave = on_leave
        self._assembler = Assembler()
        self._told: list[Entry] = []  # outcomes for the reply at hand
        self._orders: dict[int, Callable[[Entry], list[int] | None]] = {
            entries.CALL: self._take_call,
            entries.FUNCTION: self._take_function,
            entries.ACK: self._acknowledged,
            entries.RECALL: lambda entry: self._crew.recall(_ids(entry)),
            entries.KILL: lambda entry: self._crew.kill(_ids(entry)),
            entries.AGAIN: self._again,
            entries.FETCH: self._fetch,
            entries.LEAVE: lambda _: self._on_leave(),
        }

    def receive(self, message: Iterable[Entry]) -> list[Entry]:
        """Do what a message says; return the reply.

        In it are the outcomes that were asked for, the calls given back, and the state.
        """
        given_back: list[int] = []
        self._told = []
        for part in message:
            entry = self._assembler.feed(part)
            if entry is not None and entry.kind in self._orders:
                given_back += self._orders[entry.kind](entry) or ()
        self._crew.deal()
        return [
            *self._told,
            Entry(entries.RECALL, 0, 0, 1, entries.pack_ids(given_back)),
            Entry(entries.STATE, 0, 0, 1, plainjson.dumps(self._state())),
        ]

    def _state(self) -> dict[str, int]:
        crew, unacknowledged = self._crew, len(self._mouth.unacknowledged)
        return {"held": crew.held, "running": crew.running, "unacked": unacknowledged}

    def _take_call(self, entry: Entry) -> None:
        known = self._crew.holds(entry.call) or entry.call in self._mouth.unacknowledged
        if not known and len(entry.data) >= _FUNCTION_BYTES:
            self._crew.queue.add(entry.call, entry.data)

    def _take_function(self, entry: Entry) -> None:
        self._crew.queue.add_function(entry.call, entry.data)

    def _acknowledged(self, entry: Entry) -> None:
        for call in _ids(entry):
            self._mouth.unacknowledged.drop(call)

    def _again(self, entry: Entry) -> None:
        """Tell outcomes again: who asks has missed them in the log, so in the reply if they fit."""
        calls, kept = _ids(entry), self._mouth.unacknowledged
        room, rest = entries.FETCH_BYTES, []
        for call, data in kept.some(calls) if calls else kept.all():
            if len(data) >= LARGE_BYTES:
                self._told.append(self._mouth.announce(call, len(data)))
            elif len(data) <= room:
                self._told.append(Entry(entries.OUTCOME, call, 0, 1, data))
                room -= len(data)
            else:
                rest.append((call, data))
        self._mouth.repeat(rest)

    def _fetch(self, entry: Entry) -> None:
        self._mouth.fetching(entry.call)
        for number in _ids(entry):
            part = self._mouth.unacknowledged.part(entry.call, number)
            if part is not None:
                self._told.append(part)


def _ids(entry: Entry) -> tuple[int, ...]:
    try:
        return entries.unpack_ids(entry.data)
    except FrameError:  # authentic, and still nonsense: a bug of the client
        return (0,)  # no call, and not all of them either

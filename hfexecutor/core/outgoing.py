"""What is to be taken to one worker's door: calls, acknowledgements and orders, many to a message.

Orders come last in a message: they may be about calls that were just handed over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hfexecutor.remote import entries as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfexecutor.core.call import Attachment, Call, Function
    from hfexecutor.core.rules import Rules

__all__ = ["Outgoing"]


class Outgoing:
    """Collect what has to be said until a message takes it.

    Attributes:
        is_urgent: There is something for which a message should go.
        unsent: Ids of the calls that are on no way to the worker yet.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.is_urgent = False  # noted, for it is asked for at each turn
        self._calls: deque[Call] = deque()
        self.unsent: set[int] = set()
        self._on_hold: set[int] = set()  # those of them that are to be handed over later
        self._pieces: deque[wire.Entry] = deque()  # of the call that is being sent
        self._kept: set[tuple[int, int]] = set()  # kinds and numbers of what the worker has
        # What the last call referred to: most refer to the same.
        self._function: Function | None = None
        self._attachments: tuple[Attachment, ...] = ()
        self._acks: list[int] = []
        self._safe: set[int] = set()  # outcomes that were acknowledged lately
        self._kills: dict[int, None] = {}
        self._recalls: list[int] = []
        self._again: list[int] | None = None
        self._leave = False
        self._knock = False

    @property
    def incomplete(self) -> set[int]:
        """Ids of the calls of which the worker has at most a part: it cannot have begun them."""
        return self.unsent | {entry.call for entry in self._pieces if entry.kind == wire.CALL}

    @property
    def acknowledgements(self) -> int:
        """How many outcomes are safe here, which the worker was not told yet."""
        return len(self._acks)

    # --- what is to be said ------------------------------------------------------------------

    def aboard(self, calls: Iterable[Call]) -> None:
        """Note what the launch request carries."""
        for call in calls:
            for kind, number, _ in call.kept:
                self._kept.add((kind, number))

    def relaunched(self, calls: Iterable[Call]) -> None:
        """Note that the request goes out once more, perhaps without some that were cancelled."""
        self._kept.clear()
        self._function, self._attachments = None, ()
        self.aboard(calls)

    def give(self, call: Call) -> None:
        """Hand a call over."""
        self._calls.append(call)
        self.unsent.add(call.id)
        self.is_urgent = True

    def hold(self, call: Call) -> None:
        """Note a call that is to be handed over later."""
        self.unsent.add(call.id)
        self._on_hold.add(call.id)

    def let_go(self, call: Call) -> None:
        """Hand over a call that was held, unless it was taken back meanwhile."""
        if call.id in self._on_hold:
            self._on_hold.discard(call.id)
            self._calls.append(call)
            self.is_urgent = True

    def acknowledge(self, call_id: int) -> None:
        """Say that an outcome is safe here: with what goes anyway, or when many wait.

        Once is enough, although most are heard twice, through the door and in the log: a message
        arrives, or the door is given up.
        """
        if call_id in self._safe:
            return
        if len(self._safe) >= self._rules.ask_most:
            self._safe.clear()
        self._safe.add(call_id)
        self._acks.append(call_id)
        if len(self._acks) >= self._rules.acks:
            self.is_urgent = True

    def kill(self, call_ids: Iterable[int]) -> None:
        """Stop calls: what has begun is killed, what has not is given back."""
        self._kills.update(dict.fromkeys(call_ids))
        self.is_urgent = self.is_urgent or bool(self._kills)

    def recall(self, call_ids: Iterable[int]) -> None:
        """Ask for calls back, as far as they have not begun."""
        self._recalls += call_ids
        self.is_urgent = self.is_urgent or bool(self._recalls)

    def again(self, call_ids: Iterable[int]) -> None:
        """Ask for what was said about these calls to be said again."""
        self._again = list(call_ids)
        self.is_urgent = True

    def leave(self) -> None:
        """Let the worker leave once it has nothing to do."""
        self._leave = self.is_urgent = True

    def knock(self) -> None:
        """Say something, to see that the door opens."""
        self._knock = self.is_urgent = True

    # --- a message ---------------------------------------------------------------------------

    def compose(self) -> tuple[wire.Entry, ...]:
        """Take what is waiting, up to a message's size."""
        entries: list[wire.Entry] = []
        if self._acks or self._knock:
            entries.append(_ids(wire.ACK, self._acks))
            self._acks, self._knock = [], False
        room = self._rules.message
        pieces = self._pieces
        while (pieces or self._cut()) and (size := wire.entry_size(pieces[0])) <= room:
            room -= size
            entries.append(pieces.popleft())
        if not self._pieces:
            entries += self._orders()
        # All else is in it: orders are left only where pieces are.
        self.is_urgent = bool(self._pieces)
        return tuple(entries)

    def _orders(self) -> list[wire.Entry]:
        orders = []
        if self._recalls:
            orders.append(_ids(wire.RECALL, self._recalls))
            self._recalls = []
        if self._kills:
            orders.append(_ids(wire.KILL, self._kills))
            self._kills = {}
        if self._again is not None:
            orders.append(_ids(wire.AGAIN, self._again))
            self._again = None
        if self._leave:
            orders.append(_ids(wire.LEAVE, ()))
            self._leave = False
        return orders

    def _cut(self) -> bool:
        """Cut the next call to a message's size, when no other is; False when there is none."""
        while self._calls and not self._pieces:
            call = self._calls.popleft()
            # Else it was taken back meanwhile, and perhaps given again, to wait.
            if call.id in self.unsent and call.id not in self._on_hold:
                self.unsent.discard(call.id)
                for entry in self._entries_of(call):
                    self._pieces += wire.split(entry, self._rules.message)
        return bool(self._pieces)

    def _entries_of(self, call: Call) -> Sequence[wire.Entry]:
        """Return the entries that hand over `call`, after what it refers to and is new there."""
        function, attachments = call.function, call.attachments
        if function is self._function and attachments is self._attachments:
            return call.itself
        self._function, self._attachments = function, attachments
        entries = []
        for kind, number, data in call.kept:
            if (kind, number) not in self._kept:
                if len(self._kept) >= self._rules.functions:
                    self._kept.clear()
                self._kept.add((kind, number))
                entries.append(wire.Entry(kind, number, 0, 1, data))
        return [*entries, *call.itself]

    # --- what does not go after all ----------------------------------------------------------

    def take_back(self, call_id: int) -> bool:
        """Take a call back that is on no way yet; say whether that was so."""
        if call_id in self.unsent:
            self.unsent.discard(call_id)
            self._on_hold.discard(call_id)
            return True
        return False

    def clear(self) -> set[int]:
        """Drop everything; return the calls of which the worker has at most a part."""
        incomplete, kept = self.incomplete, self._kept
        self.__init__(self._rules)  # type: ignore[misc]
        self._kept = kept
        return incomplete


def _ids(kind: int, call_ids: Iterable[int]) -> wire.Entry:
    return wire.Entry(kind, 0, 0, 1, wire.pack_ids(call_ids))

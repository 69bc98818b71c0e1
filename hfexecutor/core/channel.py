"""The way to one worker through its door: an exposed port that takes messages.

One message is on its way at a time, so what piles up meanwhile travels together. Beside it travel
large buffers (:mod:`~hfexecutor.core.transfers`) and large outcomes
(:mod:`~hfexecutor.core.fetching`), and one request stands until the worker has something to say
(:mod:`~hfexecutor.core.listening`). A message whose answer was lost is sent again under its old
number: the worker then repeats its answer and does nothing twice.

=========  ================================  =====================================================
door       what it is                        what ends it
=========  ================================  =====================================================
ABSENT     the job was started without one   nothing
AWAITED    HELLO or the address is missing   both are there (NEW); no address in list after list
                                             for `door_wait` seconds, or HELLO says that it could
                                             not be opened (SHUT)
NEW        it has never answered             an answer (OPEN); none for `door_wait` seconds, or a
                                             refusal (SHUT). A 404 may pass: a new address is not
                                             known everywhere at once
OPEN       it answers                        no answer for `trouble` seconds (TROUBLED); a refusal
                                             (SHUT)
TROUBLED   it has answered, and does not     an answer (OPEN); a refusal (SHUT). That it fails for
           now: no new calls                 long is no reason to give it up: the worker may be
                                             running calls, and leaves if it hears nothing more
SHUT       it cannot be used                 nothing
=========  ================================  =====================================================
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from hfexecutor.core.commands import Fetch, Listen, Send, SendRange
from hfexecutor.core.events import DoorFailure
from hfexecutor.core.fetching import Fetching
from hfexecutor.core.listening import Listening
from hfexecutor.core.outgoing import Outgoing
from hfexecutor.core.transfers import Transfers
from hfexecutor.remote import entries as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hfexecutor.core.call import Call
    from hfexecutor.core.rules import Rules

__all__ = ["Channel", "Door", "Message", "Undelivered"]

_NOT_FOUND, _KNOWN = 404, 409


class Door(Enum):
    """What is known of a worker's door."""

    ABSENT = "absent"
    AWAITED = "awaited"
    NEW = "new"
    OPEN = "open"
    TROUBLED = "troubled"
    SHUT = "shut"


class Undelivered(NamedTuple):
    """What a door that is given up leaves: calls never delivered, and those that may have been."""

    returned: frozenset[int]
    unsure: frozenset[int]


class Message(NamedTuple):
    """A message on its way: what is in it, and when it was sent for the first time."""

    number: int
    entries: tuple[wire.Entry, ...]
    begun: float

    def has(self, kind: int) -> bool:
        """Say whether an entry of this kind is in it."""
        return kind in [entry.kind for entry in self.entries]


class Channel:
    """The door of one worker, and what goes through it.

    Args:
        worker: Its id.
        port: The port that its job exposes; None for a job without a door.
        rules: The pauses and sizes.
        jitter: Returns a number from 0 to 1.

    Attributes:
        door: What is known of the door.
        outgoing: What is to be said.
        transfers: The large buffers that calls need.
        listening: The request that stands.
        fetching: Large outcomes on their way.
        round_trip: Seconds that the last message took.
        resend_at: When the message on its way is to be sent again.
    """

    def __init__(
        self, worker: str, port: int | None, rules: Rules, *, jitter: Callable[[], float]
    ) -> None:
        self._worker = worker
        self._port = port
        self._rules = rules
        self._jitter = jitter
        self.door = Door.ABSENT if port is None else Door.AWAITED
        self.outgoing = Outgoing(rules)
        self.transfers = Transfers(rules)
        self.listening = Listening(rules)
        self.fetching = Fetching(rules, jitter=jitter)
        self.round_trip = 0.0
        self._nearest = math.inf  # the quickest round trip
        self.resend_at = math.inf
        self._job = ""
        self._address = ""
        self._unaddressed_since = math.inf
        self._number = 0
        self._message: Message | None = None
        self._tries = 0  # of that message
        self._perhaps = False  # one of them may have been delivered
        self._late = False  # its answer has been missing for `trouble` seconds

    def __repr__(self) -> str:
        return f"<Channel {self._worker} {self.door.value} {self._address}>"

    @property
    def takes_calls(self) -> bool:
        """Whether calls may be given to the worker now."""
        # Not by membership in a set: an enum's members are hashed in Python, and this is asked of
        # every worker at every turn.
        return (self.door is Door.OPEN or self.door is Door.NEW) and not self._late

    @property
    def takes_orders(self) -> bool:
        """Whether what is said arrives, sooner or later."""
        door = self.door
        return door is Door.OPEN or door is Door.NEW or door is Door.TROUBLED

    @property
    def is_delivering(self) -> bool:
        """Whether calls are on their way, or wait for one."""
        message = self._message
        under_way = message is not None and message.has(wire.CALL)
        return under_way or bool(self.outgoing.incomplete)

    @property
    def due(self) -> float:
        """When there is something to do for it."""
        due = min(self.resend_at, self.listening.due, self.fetching.due)
        return min(due, self.transfers.due) if self.transfers.used else due

    # --- the door ----------------------------------------------------------------------------

    def open(self, job: str, address: str) -> None:
        """Take the address of a door of which HELLO was heard."""
        assert self.door is Door.AWAITED
        self.door, self._job, self._address = Door.NEW, job, address
        self.outgoing.knock()  # the first message shows whether it can be used

    def count_from(self, number: int) -> None:
        """Begin at a higher number: another process may have sent messages before."""
        self._number = max(self._number, number)

    def note_unaddressed(self, now: float) -> bool:
        """Note that the Hub shows the job without an address; say whether that is for good."""
        self._unaddressed_since = min(self._unaddressed_since, now)
        return now - self._unaddressed_since > self._rules.door_wait

    def shut(self) -> Undelivered:
        """Give the door up; return what becomes of the calls on their way."""
        returned = self.outgoing.clear()
        unsure: set[int] = set()
        if self._message is not None:
            calls = _calls(self._message)
            (unsure if self._perhaps else returned).update(calls)
        self.door, self.resend_at, self._message = Door.SHUT, math.inf, None
        self.listening.due = math.inf
        self.fetching.clear()
        self.transfers.clear()
        return Undelivered(frozenset(returned - unsure), frozenset(unsure))

    # --- calls -------------------------------------------------------------------------------

    def aboard(self, calls: Iterable[Call]) -> None:
        """Note the calls that the launch request carries."""
        calls = list(calls)
        self.outgoing.aboard(calls)
        for call in calls:
            if call.buffers:
                self.transfers.aboard(call)

    def relaunched(self, calls: Iterable[Call]) -> None:
        """Note that the launch request goes out once more, with these calls.

        Either may make the job: of what they refer to it has only what both carry.
        """
        self.outgoing.relaunched(calls)
        self.transfers.relaunched()

    def give(self, calls: Iterable[Call]) -> None:
        """Hand calls over, each after the buffers that it needs."""
        for call in calls:
            if call.buffers:
                self.outgoing.hold(call)
                self.transfers.wait(call)
            else:
                self.outgoing.give(call)

    def release(self, call: Call) -> None:
        """Note that the worker has done with a call, or is not to have it."""
        if self.fetching.outcomes:
            self.fetching.drop(call.id)
        if call.buffers:
            self.transfers.release(call.id)

    # --- messages ----------------------------------------------------------------------------

    def send(
        self, now: float, *, owes: bool = False, since: float = math.inf
    ) -> list[Send | SendRange | Fetch | Listen]:
        """Return what goes out now.

        Args:
            now: The time.
            owes: The worker has calls to answer.
            since: When it was heard last, or was given calls.
        """
        # Asked at each turn, in most of which nothing goes out.
        is_open = self.door is Door.OPEN
        if not is_open and not self.takes_orders:
            return []
        commands: list[Send | SendRange | Fetch | Listen] = []
        moves = self.transfers.used and bool(self.transfers)  # with most calls nothing does
        if moves:
            for call in self.transfers.let_in():
                self.outgoing.let_go(call)
        urgent = self.outgoing.is_urgent or (moves and self.transfers.is_urgent)
        if urgent and self._message is None and (entries := self._compose(now)):
            self._number += 1
            self._message = Message(self._number, entries, now)
            self._tries, self._perhaps = 0, False
            commands.append(self._send())
        if moves and is_open and not self._late:
            commands += self._send_ranges(now)
        # Not at one that is new: the first message shows whether it can be used.
        if self.fetching.outcomes and self.door is not Door.NEW:
            commands += self._fetch(now)
        if is_open and self.listening.is_wanted(now, owes=owes, since=since + self.round_trip):
            commands.append(self._listen(now))
        return commands

    def _compose(self, now: float) -> tuple[wire.Entry, ...]:
        if not self.transfers:
            return self.outgoing.compose()
        first = []
        if names := b"".join(self.transfers.to_drop()):
            first.append(wire.Entry(wire.DROP, self._number, 0, 1, names))
        for number, buffer in self.transfers.to_load(now, self._next_number):
            data = wire.pack_ids([buffer.size]) + buffer.name
            first.append(wire.Entry(wire.LOAD, number, 0, 1, data))
        return (*first, *self.outgoing.compose())

    def _send_ranges(self, now: float) -> Iterator[SendRange]:
        assert self._port is not None
        where = (self._worker, self._job, self._address, self._port)
        most = self._rules.fetches[self._nearest > self._rules.near]
        patience = self._rules.knock + most * wire.RANGE_BYTES / self._rules.slowest
        for number, buffer, part in self.transfers.send(now, most, self._next_number):
            yield SendRange(*where, number, buffer, part, patience)

    def range_kept(self, number: int) -> None:
        """Note that a range has arrived, and perhaps all that a call was waiting for."""
        for call in self.transfers.arrived(number):
            self.outgoing.let_go(call)

    def loaded(self, number: int, *, read: bool) -> bool:
        """Note how the reading of a file has ended; say whether anybody wanted to know."""
        ready = self.transfers.loaded(number, read=read)
        for call in ready or ():
            self.outgoing.let_go(call)
        return ready is not None

    def range_failed(self, number: int, now: float) -> None:
        """Note that a range has not arrived, as far as anybody knows."""
        self.transfers.failed(number, now, self._jitter())

    def range_refused(self, number: int, now: float) -> list[Call]:
        """Note that there is no room for a buffer; return the calls that cannot run for that."""
        return self.transfers.refused(number, now, self._jitter())

    def _listen(self, now: float) -> Listen:
        assert self._port is not None
        self._number += 1
        self.listening.begin(self._number, now)
        seconds = self._rules.listen
        patience = seconds + self._rules.knock
        return Listen(
            self._worker,
            self._job,
            self._address,
            self._port,
            self._number,
            self.listening.position,
            seconds,
            patience,
        )

    def tick(self, now: float) -> list[Send]:
        """Send the message again whose pause is over."""
        self.listening.tick(now)
        self.transfers.tick(now)
        if now < self.resend_at or self._message is None:
            return []
        self.resend_at = math.inf
        return [self._send()]

    def _send(self) -> Send:
        assert self._message is not None
        number, entries, _ = self._message
        size = sum([len(entry.data) for entry in entries])
        patience = self._rules.knock + size / self._rules.slowest
        assert self._port is not None
        return Send(self._worker, self._job, self._address, self._port, number, entries, patience)

    def answered(self, number: int, seconds: float) -> Message | None:
        """Take the answer to a message, and return that; None if it is not the one on its way."""
        message = self._message
        if not self.takes_orders:
            return None
        # Whichever message it answers: the door works.
        self.door, self._late = Door.OPEN, False
        if message is None or number != message.number:
            return None
        self._message, self.resend_at, self.round_trip = None, math.inf, seconds
        self._nearest = min(self._nearest, seconds)
        for entry in message.entries if self.transfers.used else ():
            if entry.kind == wire.DROP:
                self.transfers.dropped(wire.names_of(entry.data))
        return message

    def failed(
        self, number: int, failure: DoorFailure, status: int, now: float
    ) -> Undelivered | None:
        """Take the failure of a message; return what it leaves if the door is given up for it."""
        message = self._message
        if message is None or number != message.number or not self.takes_orders:
            return None
        # 409: it was done, and its answer is forgotten there. FORGED: somebody without the key has
        # answered, who may have passed it on all the same.
        known = failure is DoorFailure.REJECTED and status == _KNOWN
        delivered = known or failure is DoorFailure.FORGED
        self._perhaps = self._perhaps or failure is DoorFailure.AMBIGUOUS
        waited = now - message.begun
        if not self._tries and waited > 2 * self._send().patience:
            # No try takes so long: the process stood still, and that time is not the door's.
            self._message, waited = message._replace(begun=now), 0.0
        if not self._may_pass(failure, status) or (
            self.door is Door.NEW and waited > self._rules.door_wait
        ):
            self._perhaps = self._perhaps or delivered
            return self.shut()
        # A door that has never answered stays NEW: it is given up after `door_wait`.
        self._late = waited > self._rules.trouble
        if self._late and self.door is Door.OPEN:
            self.door = Door.TROUBLED
        first, longest = self._rules.resend
        self.resend_at = now + self._jitter() * min(longest, first * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return None

    def _may_pass(self, failure: DoorFailure, status: int) -> bool:
        """Say whether a door may answer later."""
        if failure is DoorFailure.REJECTED:
            return status == _NOT_FOUND and self.door is Door.NEW
        return failure is not DoorFailure.FORGED

    # --- large outcomes ----------------------------------------------------------------------

    def fetch(self, call: int, size: int, layout: tuple[int, ...] = ()) -> None:
        """Fetch a large outcome, as soon as the door answers."""
        if self.takes_orders or self.door is Door.AWAITED:
            self.fetching.add(call, size, layout)

    def _fetch(self, now: float) -> Iterator[Fetch]:
        assert self._port is not None
        rules = self._rules
        for call, key, start, stop in self.fetching.ask(now, self._nearest, self._next_number):
            patience = rules.knock + max(rules.fetches) * (stop - start) / rules.slowest
            number = self._number
            yield Fetch(
                self._worker,
                self._job,
                self._address,
                self._port,
                number,
                call,
                key,
                start,
                stop,
                patience,
            )

    def _next_number(self) -> int:
        self._number += 1
        return self._number


def _calls(message: Message) -> set[int]:
    return {entry.call for entry in message.entries if entry.kind == wire.CALL}

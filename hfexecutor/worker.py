"""A worker: one live job that we feed. Its state and what follows from it; no I/O.

The tasks that act on it stand in :mod:`hfexecutor.launching`, :mod:`hfexecutor.following` and
:mod:`hfexecutor.feeding`; all run on the pool's loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from hfexecutor import dispatch
from hfexecutor.intake import Intake
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames
from hfexecutor.stages import Evidence, Phase, Words, phase_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.calls import Call
    from hfexecutor.futures import Printed
    from hfexecutor.hub.models import Job

__all__ = ["Worker"]

MESSAGE_BYTES = 4 << 20  # a larger call travels in parts; the worker takes up to 16 MiB
ACKS_AT_ONCE = 512  # outcomes unacknowledged before an acknowledgement travels on its own
FIRST_PROBE = 2.0  # seconds of silence before it is asked whether it said something meanwhile
ASK_EVERY = 0.5  # seconds between two questions for outcomes that may have been missed
MOST_ASKED = 4096  # calls in one such question
STALL = 0.1  # seconds without an outcome after which forecasts are not believed
JOB_STARTED = "===== Job started"  # the Hub's own line at the head of a log
_SMOOTHING = 0.05  # the mean reaches back some twenty calls


class Worker:
    """State of one launched job.

    Args:
        launch_id: the label value that only this launch carries.
        seal: authenticates what goes to and comes from this job.
        slots: child processes it runs (a guess until HELLO when they are "auto").
        one_shot: leaves when the calls aboard are done, has no door.
    """

    def __init__(
        self,
        launch_id: str,
        seal: frames.Seal,
        *,
        slots: int,
        one_shot: bool,
        printed_of: Callable[[int], Printed | None],
        now: float,
    ) -> None:
        self.launch_id = launch_id
        self.seal = seal
        self.slots = slots
        self.one_shot = one_shot
        self.held: dict[int, Call] = {}
        self.intake = Intake(seal, printed_of)
        self.launched_at = now
        # What the Hub says.
        self.job: Job | None = None
        self.port: int | None = None
        # What the worker says.
        self.hello: dict[str, Any] | None = None
        self.bye: dict[str, Any] | None = None
        self.began = False  # its job was seen running
        self.silent = False  # its log has ended or broken off
        self.duration: float | None = None
        # What goes down to it.
        self.door: str | None = None
        self.door_shut = False  # it has none, or it cannot be reached
        self.door_answered = False
        self.unaddressed_since: float | None = None  # the Hub shows it running without an address
        self.unsure: set[int] = set()  # calls in a message that may not have been delivered
        self.outbox: deque[Call] = deque()
        self.pieces: deque[wire.Entry] = deque()  # of the call that is being sent
        self.functions: set[int] = set()
        self.acks: list[int] = []
        self.orders: list[wire.Entry] = []  # RECALL, KILL, AGAIN, LEAVE
        self.fetching: set[int] = set()  # calls whose large outcomes are on their way
        self.number = 0
        self.round_trip = 0.0
        self.troubled = False  # its door does not answer at the moment
        self.recalling = False
        self.suspects = 0  # held calls that lost a worker
        self.answers = 0
        self.mail = asyncio.Event()
        # How it ends.
        self.leaving = False  # told to leave, or being cancelled: gets no more calls
        self.cancelled = False
        self.over = False
        self.posting = False  # its launch request is under way, or was
        self.doubtful = False  # its launch got no answer: there may be a second job
        self.task: asyncio.Task[None] | None = None  # sees it through its life
        self.rereads = 0
        self.changed = asyncio.Event()  # its stage was seen to change
        self.progress_at = now
        self.deadline: asyncio.Timeout | None = None  # how long the log may go on
        self.unheard = False  # it has said outcomes that did not arrive here
        self.probe_after = FIRST_PROBE
        self.asked_at = -math.inf

    # --- what is true of it ------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """The phase of its last seen stage."""
        return phase_of(self.job.stage if self.job else None)

    @property
    def evidence(self) -> Evidence:
        """What decides about its end, patience aside."""
        if self.bye is not None:
            words = Words.BYE_OWING if self.held else Words.BYE
        elif self.hello is not None or self.intake.starts:  # its HELLO may be out of sight
            words = Words.OWING if self.held else Words.IDLE
        else:
            words = Words.NONE
        return Evidence(self.phase, words)

    @property
    def takes_calls(self) -> bool:
        """Whether calls may be given to it now."""
        return self.door is not None and not self.troubled and not self.closing

    @property
    def closing(self) -> bool:
        """Whether it is on its way out."""
        return self.leaving or self.cancelled or self.over or self.bye is not None

    @property
    def ended_from_outside(self) -> bool:
        """Whether its job began and ended without any output: killed, evicted, cancelled."""
        said = [line for line in self.intake.tail if not line.startswith(JOB_STARTED)]
        return not said and (self.began or len(self.intake.tail) > 0)

    def stalled(self, now: float) -> bool:
        """Whether its outcomes fail to appear as earlier ones promised."""
        patience = max(STALL, 3 * (self.duration or 0.0))
        return len(self.held) >= self.slots and now - self.progress_at > patience

    def view(self, *, cautious: bool = False, risk: bool = False) -> dispatch.View:
        """Return what dispatch needs to know; see there for `cautious` (alone) and `risk`."""
        return dispatch.View(
            slots=self.slots,
            held=len(self.held),
            duration=self.duration,
            round_trip=self.round_trip,
            alone=cautious,
            risk=risk or self.suspects > 0,
        )

    def describe(self) -> str:
        """Return the job's id, stage and page in one line, for error messages."""
        if self.job is None:
            return "a job that was not created"
        job = self.job
        detail = f": {job.message}" if job.message else ""
        reason = f", cancel reason {job.cancel_reason}" if job.cancel_reason else ""
        return f"job {job.id} (stage {job.stage}{detail}{reason}) {job.url}"

    # --- what it is given --------------------------------------------------------------------

    def give(self, calls: Iterable[Call], now: float) -> None:
        """Put calls on their way to its door."""
        if not self.held:
            self.progress_at = now
        for call in calls:
            self.held[call.id] = call
            self.outbox.append(call)
            self.suspects += call.lost > 0
        self.mail.set()

    def board(self, calls: Iterable[Call]) -> None:
        """Take calls aboard, before its launch request is composed."""
        for call in calls:
            self.held[call.id] = call
            self.suspects += call.lost > 0
            if call.function is not None:
                self.functions.add(call.function.id)

    def drop(self, call_id: int) -> Call | None:
        """Forget a call: answered, given back or cancelled."""
        call = self.held.pop(call_id, None)
        if call is not None:
            self.suspects -= call.lost > 0
        return call

    def take_unsent(self) -> list[Call]:
        """Take back the calls that are on no way to it yet, or only in part."""
        unsent = [self.drop(entry.call) for entry in self.pieces if entry.kind == wire.CALL]
        unsent += [self.drop(call.id) for call in self.outbox]
        self.pieces.clear()
        self.outbox.clear()
        return [call for call in unsent if call is not None]

    def order(self, kind: int, ids: Iterable[int] = ()) -> None:
        """Put an order (RECALL, KILL, AGAIN, LEAVE) on its way to its door."""
        self.orders.append(wire.Entry(kind, 0, 0, 1, wire.pack_ids(ids)))
        self.mail.set()

    def recall(self, ids: list[int]) -> None:
        """Ask for calls back that it has not begun; it answers which it gives."""
        self.recalling = True
        self.order(wire.RECALL, ids)

    def ask_again(self, now: float) -> None:
        """Have it say again which of the calls it holds are done; not more than twice a second."""
        if self.takes_calls and self.held and now - self.asked_at > ASK_EVERY:
            self.asked_at = now
            self.order(wire.AGAIN, list(self.held)[:MOST_ASKED])

    @property
    def holds_only_unsure(self) -> bool:
        """Whether all that it holds may never have reached it."""
        return self.held.keys() <= self.unsure

    def note_answer(self, call_id: int) -> None:
        """Note an outcome that nobody waits for any more."""
        self.answers += self.drop(call_id) is not None
        self.acknowledge(call_id)

    @property
    def owes_nothing(self) -> bool:
        """Whether it said good-bye, and every outcome that it ever said has arrived here.

        Then the calls that it still holds never reached it.
        """
        bye = self.bye
        return bye is not None and not bye.get("returned") and bye.get("calls") == self.answers

    def log_tail(self) -> str:
        """Return the last lines of its log, for error messages."""
        tail = self.intake.tail
        return "\nThe last lines of its log:\n" + "\n".join(tail) if tail else ""

    def acknowledge(self, call_id: int) -> None:
        """Note that an outcome is safe here; told with the next message, or when many wait."""
        if self.one_shot:
            return
        self.acks.append(call_id)
        if len(self.acks) >= ACKS_AT_ONCE:
            self.mail.set()

    @property
    def has_mail(self) -> bool:
        """Whether anything waits to be taken to its door."""
        return bool(self.pieces or self.outbox or self.orders or self.acks)

    def compose(self) -> list[wire.Entry]:
        """Take what is waiting, up to a message's size, and return it."""
        entries: list[wire.Entry] = []
        if self.acks:
            entries.append(wire.Entry(wire.ACK, 0, 0, 1, wire.pack_ids(self.acks)))
            self.acks = []
        room = MESSAGE_BYTES
        while self._cut() and (size := wire.entry_size(self.pieces[0])) <= room:
            room -= size
            entries.append(self.pieces.popleft())
        if not self.pieces:  # orders come last: they may be about calls that were just handed over
            entries += self.orders
            self.orders = []
        return entries

    def _cut(self) -> bool:
        """Cut the next call to a message's size; False when there is none."""
        while self.outbox and not self.pieces:
            call = self.outbox.popleft()
            if call.id in self.held:  # else it was cancelled or answered meanwhile
                for entry in self.entries_of(call):
                    self.pieces += wire.split(entry, MESSAGE_BYTES)
        return bool(self.pieces)

    def entries_of(self, call: Call) -> list[wire.Entry]:
        """Return the entries that hand over `call`, its function first if it is new there."""
        entry = wire.Entry(wire.CALL, call.id, 0, 1, call.data)
        function = call.function
        if function is None or function.id in self.functions:
            return [entry]
        self.functions.add(function.id)
        return [wire.Entry(wire.FUNCTION, function.id, 0, 1, function.data), entry]

    # --- what it says ------------------------------------------------------------------------

    def seal_message(self, entries: Iterable[wire.Entry]) -> tuple[int, bytes]:
        """Return the next message to its door, with its number."""
        self.number += 1
        return self.number, frames.seal_message(self.seal, self.number, wire.pack(entries))

    def greet(self, entry: wire.Entry) -> None:
        """Take its HELLO."""
        self.probe_after = FIRST_PROBE
        self.hello = _json(entry.data)
        slots = self.hello.get("slots")
        if isinstance(slots, int) and slots > 0:
            self.slots = slots
        self.door_shut = self.hello.get("door") is None

    def take_state(self, entry: wire.Entry) -> None:
        """Take its STATE: how many outcomes it keeps because we did not acknowledge them."""
        kept = _json(entry.data).get("unacked")
        self.unheard = isinstance(kept, int) and kept > len(self.acks)

    def part(self, entry: wire.Entry) -> None:
        """Take its BYE."""
        self.bye = _json(entry.data)
        self.mail.set()

    def answered(self, call: Call, seconds: float, now: float) -> None:
        """Note that it has answered `call` after running it for `seconds`."""
        self.drop(call.id)
        self.acknowledge(call.id)
        self.progress_at = now
        self.probe_after = max(FIRST_PROBE, 4 * seconds)
        self.answers += 1
        mean = self.duration or 0.0
        self.duration = mean + max(_SMOOTHING, 1 / self.answers) * (seconds - mean)


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

"""The worker's decisions, without a process, a socket, a clock or any other I/O.

:class:`Machine` is told what has happened, and says what is to be done. The supervisor around it
(:mod:`.supervisor`) forks, reads, writes and waits; a test, or a simulator in virtual time, can be
around it as well. Whoever drives it does this, over and over:

1. Tell what has happened, with the time: `start` and `greet`, once; then `message`, `range`,
   `forked`, `fork_failed`, `output`, `result`, `stopped`, `ended`, `terminate`. Between `start` and
   `greet` there may be one step, and after `greet` the log is written before the next one: the
   first call that is given may be the end of the worker, and HELLO has to be out by then.
2. Call ``step(now)`` and carry out the effects (:mod:`.effects`) in their order; some of them are
   answered by what is told next (Fork by `forked`, Stop by `stopped`, Install by `installed` or
   `install_failed`, Load by `loaded`). Do so until there is none. A Reply is for the `ticket` of an
   earlier message.
3. Write what ``log.chunk()`` returns, as long as it returns anything and the log takes it.
4. If `over`: call ``stop()``, tell what processes still had to say, kill them, call
   ``take_leave(now)``, write the rest of the log, and end.
5. Wait until something happens, at most until ``due()``, which is infinity for ever.

A model of processes for a simulator has to keep these rules, as real ones do:

- A process takes its calls in the order of their tickets, one at a time; `take_back` returns (and
  removes) those tickets of a slot that it has not taken. A call whose ticket was taken back is
  never run: its item is passed over.
- Its first result is READY, for call 0 (or INITIALIZER with call 0, after which it ends).
- What a call printed is told before its result, followed by the slot's marker: `result` may be told
  once `output_is_complete`.
- `ended` is told when all results and all output of the process were told; `stopped` when it stands
  (SIGSTOP), likewise.

Example, with one slot and a call that returns at once::

    machine = Machine(seal, launch, "0123abcd", take_back=lambda slot: [], memory=Memory())
    machine.start(0.0)
    machine.step(0.0)                                     # [Fork(0, False)]
    machine.forked(0, b"marker")
    machine.output(0, b"marker", 0.1)
    machine.result(0, (pipes.READY, 0, 0.0, 0.0, b""), 0.1)
    machine.step(0.1)                                     # [Give(0, [(b"C", 1, ...)], [1])]
    machine.output(0, b"marker", 0.2)
    machine.result(0, (outcomes.VALUE, 1, 0.19, 0.01, pickled), 0.2)
    machine.step(0.2)                                     # []
    machine.log.chunk()                                   # the first frames
"""

from __future__ import annotations

from math import inf

from . import entries, plain
from .buffer_cache import BufferCache
from .config import Config
from .entries import Entry
from .frames import LineWriter
from .listeners import Feed, Listeners
from .loads import Loads
from .log import Log
from .messages import FORBIDDEN, OK, Messages
from .orders import Orders
from .pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .effects import Effect
    from .memory import Memory
    from .messages import Reply
    from .pipes import Result
    from .seals import Seal

__all__ = ["Machine"]

_REFUSED_SECONDS = 60.0  # between two reports
# Launched without a call, until somebody has come to the door: a new address takes some seconds to
# be listed and to work; who leaves before that was launched in vain, and so is the next one.
_FIRST_VISIT_SECONDS = 30.0


class Machine:
    """The worker of one launch.

    Args:
        seal: of the launch.
        launch: the entries of the launch message.
        stream: 8 hexadecimal digits, new for each start of a supervisor.
        take_back: the one question that is answered at once: takes back those calls of a slot that
            its process has not begun, and returns them.
        memory: keeps the bytes of buffers, at once and without an answer but an error.
        folder: where packages are installed; nothing is done to it here.

    Attributes:
        config: what the launch message says about the worker.
        initializer: pickled, empty for none.
        log: what is written.
        pool: the slots and the queue.
    """

    def __init__(
        self,
        seal: Seal,
        launch: Iterable[Entry],
        stream: str,
        *,
        take_back: Callable[[int], Iterable[int]],
        memory: Memory,
        folder: str = "",
    ) -> None:
        launch = list(launch)
        self.config = Config(_only(launch, entries.CONFIG, plain.pack({})))
        self.initializer = _only(launch, entries.INIT, b"")
        reachable = self.config.port is not None and not self.config.one_shot
        feed = Feed()
        self.log = Log(LineWriter(seal, stream), feed if reachable else None)
        self._listeners = Listeners(seal, feed, self.log.unacknowledged)
        buffers = BufferCache(memory)
        self.pool = Pool(
            self.config,
            self.log,
            take_back,
            initializer=bool(self.initializer),
            buffers=buffers,
            folder=folder,
        )
        mounted = reachable and self.config.arguments is not None
        self._loads = Loads(buffers, self.log, mounted=mounted)
        self._orders = Orders(self.pool, self.log, self._loads)
        self._messages = Messages(
            seal, self._listeners, self._orders.receive, self.log.read, buffers
        )
        self._why = "done" if self.config.one_shot else ""  # to leave, once nothing is left to do
        self._terminated = False
        self._idle_since: float | None = None
        self._idle_at = inf
        self._had_calls = False
        self._awaits_visit = False  # there is a door, to which nobody has come, and no call
        self._refused_until = float("-inf")
        self._launch = launch

    def __repr__(self) -> str:
        waiting = len(self.pool.queue)
        return f"<Machine {self.pool.slots} [{waiting} waiting, {self.pool.answered} answered]>"

    # --- what happens ---------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin with the calls of the launch message."""
        launch, self._launch = self._launch, []
        self.pool.origin = now
        self._orders.receive(launch, now)
        self._had_calls = self.pool.busy

    def greet(
        self, port: int | None, error: str | None, now: float, *, clock: float | None = None
    ) -> None:
        """Say HELLO: where the door is, or why there is none.

        `clock` is when the machine was started, in seconds since 1970: outcomes reckon from there.
        """
        hello = _words(
            entries.HELLO, slots=self.config.slots, door=port, door_error=error, clock=clock
        )
        if port is None:  # nobody can come, so it need not be said until somebody does
            self.log.has_door = False
            self.log.add(hello)
        else:
            self._awaits_visit, self._idle_since = not self._had_calls, None
            self.log.introduce(hello, now)
        # At once: without it, who looks at the end of a job takes it for one that never began.
        self.log.close_line()

    def message(
        self, message: bytes | bytearray, now: float, ticket: int = 0
    ) -> tuple[int, Reply] | None:
        """Take a message that came through the door; return HTTP status and body of the reply.

        A large body is not made before it can be sent: then it is what returns its pieces.
        None where there is nothing to say yet: then a Reply follows, sooner or later, for the
        `ticket`. A request that stands is no work, and keeps no worker from leaving.
        """
        answer = self._messages.answer(message, now, ticket)
        if answer is None:
            return None
        status, reply = answer
        if status == OK and self._messages.heard_at == now:  # not from who only looks
            self.log.fetched = True  # there is somebody who will come for what is large
            if self._awaits_visit:
                self._awaits_visit, self._idle_since = False, None
        self._note_refusal(status, now)
        return status, reply

    def range(self, message: bytes | bytearray, now: float) -> tuple[int, bytes]:
        """Take a range of a buffer that came through the door; return HTTP status and body.

        Its call is on its way, and a worker that gets one is not idle.
        """
        status, reply = self._messages.take_range(message, now)
        if status == OK:
            self._awaits_visit, self._idle_since = False, None
        self._note_refusal(status, now)
        return status, reply

    def _note_refusal(self, status: int, now: float) -> None:
        if status == FORBIDDEN and now >= self._refused_until:
            self._refused_until = now + _REFUSED_SECONDS
            why = "a message through the door is not authentic"
            self.log.add(_words(entries.REFUSED, why=why))

    def installed(self, now: float) -> None:
        """Note that an installation has succeeded."""
        self.pool.installed(now)

    def install_failed(self, why: str, now: float) -> None:
        """Note that an installation has failed; `why` is what uv has said last."""
        self.pool.install_failed(why, now)

    def loaded(self, number: int, why: str) -> None:
        """Note that a buffer was read from its file; `why` says why not, and is empty if it was."""
        self._loads.ended(number, why)

    def forked(self, slot: int, marker: bytes) -> None:
        """Note that a slot has a process, which writes `marker` after each call's output."""
        self.pool.forked(slot, marker)

    def fork_failed(self, slot: int, now: float) -> None:
        """Note that a process could not be started."""
        self.pool.fork_failed(slot, now)

    def output(self, slot: int, data: bytes, now: float) -> None:
        """Take what a process has printed."""
        self.pool.output(slot, data, now)

    def output_is_complete(self, slot: int) -> bool:
        """Say whether all output of a slot's present call is here, so that its result may come."""
        return self.pool.slots[slot].output.ended

    def result(self, slot: int, result: Result, now: float) -> None:
        """Take a result of a process, after all that its call has printed."""
        self.pool.result(slot, result, now)

    def stopped(self, slot: int) -> None:
        """Note that a process stands still, and that all was told that it has said."""
        self.pool.stopped(slot)

    def ended(self, slot: int, pid: int, code: int, now: float) -> None:
        """Note that a process has ended, and that all was told that it has said.

        `code` is its exit code, or the negative number of the signal that has killed it.
        """
        self.pool.ended(slot, pid, code, now)

    def terminate(self) -> None:
        """Leave at once: we were asked to by a signal, or nobody reads the log any more."""
        self._why, self._terminated = "asked", True

    def let_go(self) -> bytes:
        """Forget everything, in a forked child, and return the initializer."""
        initializer = self.initializer
        parts = (*self.pool.slots, self.pool.queue, self.pool, self.log, self._orders)
        for part in (*parts, self._listeners, self):
            part.__dict__.clear()
        return initializer

    # --- what follows ---------------------------------------------------------------------------

    def step(self, now: float) -> list[Effect]:
        """Decide, and return what is to be done."""
        # In this order: the end of the last call is a reason to leave, and said before it; and so
        # is that what was announced is fetched no more, after which nothing else need happen.
        pool = self.pool
        pool.step(now)
        busy = pool.busy
        self.log.step(now, alone=not busy)
        self._look_for_a_reason_to_leave(now, busy=busy)
        effects, pool.effects = pool.effects, []
        if self._loads.ordered:
            effects += self._loads.take()
        if self._listeners.standing:
            effects += self._listeners.step(now)
        return effects

    def due(self) -> float:
        """Return when :meth:`step` is to be called although nothing has happened; inf: never."""
        return min(self.pool.due(), self.log.due(), self._listeners.due(), self._idle_at)

    @property
    def over(self) -> bool:
        """Whether it is time to leave."""
        return self._terminated or (bool(self._why) and not self.pool.busy)

    def stop(self) -> None:
        """Start no process any more: whoever drives the machine kills those that are there."""
        self.pool.close()

    def take_leave(self, now: float) -> None:
        """Write what the client may not have, and BYE."""
        self.log.last_words()
        self.log.add(
            _words(
                entries.BYE,
                why=self._why,
                calls=self.pool.answered,
                returned=self.pool.busy,
            )
        )
        self.log.step(now, alone=True)

    def _look_for_a_reason_to_leave(self, now: float, *, busy: bool) -> None:
        if self.pool.broken:  # at once: what is queued would never run here
            self._why, self._terminated = "initializer", True
        if self._orders.leave:
            self._why = self._why or "asked"
        timeout = self.config.idle_timeout
        # What is large and announced lives in this memory alone until it is fetched, or said.
        busy = busy or self.pool.buffers.is_loading or self.log.awaits_fetches
        if busy or timeout is None:
            self._idle_since, self._idle_at = None, inf
            return
        if self._idle_since is None:
            self._idle_since = now
        if self._awaits_visit:
            timeout = max(timeout, _FIRST_VISIT_SECONDS)
        if self.log.unacknowledged:
            timeout = max(timeout, self.config.keep_for)
        self._idle_at = self._idle_since + timeout
        if self._idle_at <= now:
            self._why = self._why or "idle"


def _words(kind: int, **words: object) -> Entry:
    return Entry(kind, 0, 0, 1, plain.pack(words))


def _only(launch: Iterable[Entry], kind: int, default: bytes) -> bytes:
    return next((entry.data for entry in launch if entry.kind == kind), default)

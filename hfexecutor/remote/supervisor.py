"""The supervisor: runs in a job, never runs user code, and ends when there is nothing left to do.

The data flow, actor by actor::

    client ──> Porter ──> Desk ──> Orders ──> Crew: Queue ──> Slot ══ items, tickets ══> child
                                                                                          │
    client <── log <── Mouth <── Supervisor <── Crew <── Slot, Voice <══ answers, output ═╝

- The *launch message* brings configuration, functions and the first calls; the *porter* takes in
  more of them, acknowledgements and orders, and the *desk* opens each message once, if its MAC is
  right. Nothing is ever unpickled here.
- The *crew* has a *queue* of calls that no child has been given, and *slots*. A slot gives its
  child one call at a time; micro-calls also some ahead, to be taken back whenever they have not
  begun.
- A *child* is forked from here, lets go of everything, and runs calls. What it prints comes through
  a pipe to the *voice*, which cuts it into calls and lines; how a call ends comes through another
  one. If the child ends instead, its present call ends with it, and a new child takes its place.
- The *mouth* packs outcomes and output into lines of the log and says again what was not
  acknowledged.

All of it is one thread around one :class:`Loop`; no part waits for another one, for a reader of
the log, or for a client.
"""

from __future__ import annotations

import os

from . import child, entries, frames, outcomes, plainjson, signals
from .config import Config, identity, limit_threads
from .crew import Crew
from .desk import Desk
from .entries import Entry
from .loop import Loop
from .mouth import Mouth
from .orders import Orders
from .sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from .porter import Porter
    from .settling import Pipes

__all__ = ["Supervisor", "main"]

_OK, _FORBIDDEN = 200, 403
_REFUSED_SECONDS = 60.0  # between two reports
_LAST_WORDS_SECONDS = 30.0  # that a log which is not read may take


class Supervisor:
    """The worker of one launch.

    Args:
        seal: of the launch.
        launch: the entries of the launch message.
        log: the descriptor of the log; does not block.
        loop: tells the time, and what happens.
    """

    def __init__(self, seal: frames.Seal, launch: Iterable[Entry], log: int, loop: Loop) -> None:
        self._seal = seal
        self._loop = loop
        self._log = log
        self._sink = Sink(log, loop, on_broken=self._lose_log, on_empty=self._pump)
        writer = frames.LineWriter(seal, os.urandom(4).hex())
        self._mouth = Mouth(writer, self._sink, loop)
        self._answered = 0
        self._why = ""  # to leave, once nothing is left to do
        self._at_once = False  # leave even so
        self._idle_at: float | None = None
        launch = list(launch)
        self._config = Config(_only(launch, entries.CONFIG, b"{}"))
        self._initializer = _only(launch, entries.INIT, b"")
        if self._config.one_shot:
            self._why = "done"
        self._crew = Crew(
            loop,
            self._config,
            initializer=bool(self._initializer),
            on_outcome=self._on_outcome,
            on_ready=self._on_ready,
            on_line=self._mouth.show,
        )
        self._orders = Orders(self._crew, self._mouth, on_leave=self._leave)
        self._porter: Porter | None = None
        self._greeted = False
        self._is_ready = False
        self._launch = launch

    # --- life ---------------------------------------------------------------------------------

    def run(self) -> Pipes | None:
        """Work until there is a reason to leave. Returns a child's pipes in that child only."""
        limit_threads(self._config.slots)
        self._signals = signals.listen()
        self._loop.on_readable(self._signals, self._on_signal)
        self._loop.on_broken(self._log, self._lose_log)
        self._orders.receive(self._launch)
        self._launch = []
        while True:
            pipes = self._crew.fork_missing()
            if pipes is not None:
                return pipes
            if not self._greeted:
                self._greet()  # while the first child starts
            if self._is_over():
                break
            self._crew.settle()
            self._mouth.breathe(alone=not self._crew.busy)
            self._loop.step()
            self._crew.deal()
        self._take_leave()
        return None

    def let_go(self) -> bytes:
        """Drop everything, in a forked child, and return the initializer."""
        initializer = self._initializer
        self._seal.wipe()
        self._loop.clear()
        if self._porter is not None:
            self._porter.let_go()
        for slot in self._crew.slots:
            slot.__dict__.clear()
        for part in (self._crew, self._mouth, self._orders, self):
            part.__dict__.clear()
        return initializer

    def _greet(self) -> None:
        self._greeted = True
        port, error = self._open_door()
        words = {"slots": self._config.slots, "door": port, "door_error": error}
        hello = _told(entries.HELLO, {**identity(), **words})
        if port is None:
            self._mouth.say(hello)
        else:
            self._mouth.introduce(hello)
        self._mouth.breathe(alone=True)

    def _open_door(self) -> tuple[int | None, str | None]:
        config = self._config
        if config.one_shot or config.port is None:
            return None, None
        from .porter import Porter  # noqa: PLC0415 - a job without a door does not pay for it

        try:
            desk = Desk(self._seal, self._orders.receive)
            self._porter = Porter((config.host, config.port), self._loop, self._guard(desk))
        except (OSError, OverflowError) as error:
            return None, str(error)
        return self._porter.port, None

    def _guard(self, desk: Desk) -> Callable[[bytes | bytearray], tuple[int, bytes]]:
        """Report who comes without the key, at most once a minute."""
        silent_until = 0.0

        def answer(message: bytes | bytearray) -> tuple[int, bytes]:
            nonlocal silent_until
            status, reply = desk.answer(message)
            self._mouth.fetched = self._mouth.fetched or status == _OK
            now = self._loop.clock()
            if status == _FORBIDDEN and now >= silent_until:
                silent_until = now + _REFUSED_SECONDS
                self._say(entries.REFUSED, {"why": "a message through the door is not authentic"})
            return status, reply

        return answer

    def _is_over(self) -> bool:
        if self._at_once:
            return True
        if self._crew.busy:
            self._idle_at = None
            return False
        if self._why:
            return True
        if self._mouth.awaits_fetches:
            self._idle_at = None
            return False
        now, timeout = self._loop.clock(), self._config.idle_timeout
        if timeout is None:
            return False
        if self._idle_at is None:
            self._idle_at = now + timeout
            self._loop.at(self._idle_at, _wake)
        elif now >= self._idle_at:
            self._why = "idle"
        return bool(self._why)

    def _take_leave(self) -> None:
        if self._porter is not None:
            self._porter.close()  # first: what it accepted would be dropped
        self._crew.stop()
        words = {"why": self._why, "calls": self._answered, "returned": self._crew.busy}
        self._mouth.repeat(self._mouth.unacknowledged.last_words())
        self._say(entries.BYE, words)
        limit = self._loop.clock() + _LAST_WORDS_SECONDS
        self._loop.at(limit, _wake)
        self._mouth.breathe(alone=True)
        while not self._mouth.silent and not self._sink.broken and self._loop.clock() < limit:
            self._loop.step()
            self._mouth.pump()

    def _on_signal(self) -> None:
        numbers = os.read(self._signals, 4096)
        if not signals.ENDING.isdisjoint(numbers):
            self._why, self._at_once = "asked", True
        self._crew.reap()

    def _leave(self) -> None:
        self._why = self._why or "asked"

    def _lose_log(self) -> None:
        """Nobody hears us any more: there is nothing left to work for."""
        self._at_once = True
        self._sink.close()
        self._loop.forget(self._log)

    def _pump(self) -> None:
        self._mouth.pump()

    # --- what the children say ----------------------------------------------------------------

    def _on_outcome(
        self, call: int, status: bytes, duration: float, printed: int, payload: bytes | bytearray
    ) -> None:
        data = outcomes.encode(status, duration, printed, payload)
        if call:
            self._answered += 1
            self._mouth.answer(call, data)
        else:  # no child can be started, so no call will ever run here
            self._mouth.say(Entry(entries.OUTCOME, 0, 0, 1, data))
            self._why, self._at_once = "initializer", True

    def _on_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._say(entries.READY, {})

    def _say(self, kind: int, words: dict[str, object]) -> None:
        self._mouth.say(_told(kind, words))


def _told(kind: int, words: dict[str, object]) -> Entry:
    return Entry(kind, 0, 0, 1, plainjson.dumps(words))


def _only(launch: Iterable[Entry], kind: int, default: bytes) -> bytes:
    return next((entry.data for entry in launch if entry.kind == kind), default)


def _wake() -> None:
    """Wake the loop; what is due is found out there."""


# --- the process ------------------------------------------------------------------------------


def main(launch: dict[str, bytearray]) -> NoReturn:
    """Be the supervisor, or a child of it.

    Args:
        launch: the key and the message; both are taken out, and the key is overwritten.
    """
    supervisor = _hire(launch)
    pipes = supervisor.run()
    if pipes is not None:
        child.live(pipes, supervisor.let_go())
    os._exit(0)


def _hire(launch: dict[str, bytearray]) -> Supervisor:
    key, message = launch.pop("key"), launch.pop("message")
    seal = frames.Seal(key)
    key[:] = bytes(len(key))
    _, body = frames.open_message(seal, message)
    return Supervisor(seal, entries.unpack(body), _open_log(), Loop())


def _open_log() -> int:
    """Return a descriptor for the log that does not block, if that can be had.

    The other ends of the same description, which other processes may hold, stay as they are
    where the system lets us open it once more.
    """
    import stat  # noqa: PLC0415

    if not stat.S_ISFIFO(os.fstat(1).st_mode):
        return 1
    try:
        return os.open("/proc/self/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        os.set_blocking(1, False)
        return 1

"""A slot: the place of one child at a time. Forks it, feeds it, hears it, buries it."""

from __future__ import annotations

import os

from . import items, schedule, signals
from .settling import Pipes
from .sink import Sink
from .voice import Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import Loop

__all__ = ["Slot"]

_PIPE_BYTES = 1 << 18
_F_SETPIPE_SZ = 1031  # of Linux; the others have pipes that are large enough


class Slot:
    """One child, or the place for it.

    Args:
        loop: tells when the child says something.
        cap: bytes of a call's output that are shown.
        on_answer: called with status, call, duration, printed lines and payload.
        on_line: called with call, number, whether it goes on the last line, and text.
    """

    def __init__(
        self,
        loop: Loop,
        cap: int,
        on_answer: Callable[[bytes, int, float, int, bytes | bytearray], None],
        on_line: Callable[[int, int, bool, bytes], None],
    ) -> None:
        self._loop = loop
        self._cap = cap
        self._on_answer = on_answer
        self._on_line = on_line
        self.pid = 0  # 0: there is no child
        self.ready = False  # the child has started and runs what it is given
        self.killed = b""  # the status of the outcome that we have killed it for
        self.began = 0.0  # when the present call did
        self.given: dict[int, bytes] = {}  # in the order in which the child takes them
        self.pace = schedule.Pace()

    def __repr__(self) -> str:
        return f"<Slot pid {self.pid} [{len(self.given)} calls]>"

    @property
    def current(self) -> int:
        """The call that the child runs or is about to, 0 for none."""
        return next(iter(self.given), 0) if self.ready else 0

    # --- life ---------------------------------------------------------------------------------

    def fork(self) -> Pipes | None:
        """Start a child. Returns its pipes in the child, None in the supervisor.

        Raises:
            OSError: there is no memory, no process or no descriptor left.
        """
        pipes = tickets, calls, answers, output = [os.pipe() for _ in range(4)]
        marker = b"\x00" + os.urandom(15)
        try:
            pid = os.fork()
        except OSError:
            for fd in (fd for pipe in pipes for fd in pipe):
                os.close(fd)
            raise
        if not pid:
            os.setpgid(0, 0)
            return Pipes(tickets[0], calls[0], answers[1], output[1], marker)
        _set_group(pid)
        for fd in (calls[0], answers[1], output[1]):
            os.close(fd)
        self._tickets_back, self._tickets = tickets
        self._calls, self._answers, self._output = calls[1], answers[0], output[0]
        for fd in self._descriptors():
            os.set_blocking(fd, False)
        for fd in (self._calls, self._answers, self._output):
            _widen(fd)
        self._begin(pid, marker)
        return None

    def _begin(self, pid: int, marker: bytes) -> None:
        self.pid, self.ready, self.killed = pid, False, b""
        self.pace = schedule.Pace()
        self._known: set[int] = set()  # functions that the child has
        self._sink = Sink(self._calls, self._loop, on_broken=_leave_it_to_the_end)
        self._reader = items.Answers()
        self._voice = Voice(self._output, marker, self._cap, self._loop, self._show)
        self._loop.on_readable(self._answers, self._hear)

    def kill(self, why: bytes = b"") -> None:
        """Kill the child and all that it has started; `why` is the status for its call."""
        if self.pid:
            self.killed = self.killed or why
            _kill_group(self.pid)

    def bury(self) -> tuple[int, int, dict[int, bytes]]:
        """Clear up after a child that has ended, once all that it said was heard.

        Returns:
            The call that it was running (0: none), how many lines that had printed, and the calls
            that it had not begun.
        """
        _kill_group(self.pid)  # what the child has left behind
        self.hear_all()
        left = self.take_back()
        running = next(iter(self.given), 0)
        self.ready = self.ready or bool(running)
        printed = self._voice.finish()
        self._close()
        self.pid, self.ready, self.given = 0, False, {}
        return running, printed, left

    def _close(self) -> None:
        self._sink.close()
        self._voice.close()
        for fd in self._descriptors():
            self._loop.forget(fd)
            os.close(fd)

    def _descriptors(self) -> tuple[int, ...]:
        return self._tickets_back, self._tickets, self._calls, self._answers, self._output

    # --- down ---------------------------------------------------------------------------------

    def give(self, calls: dict[int, bytes], functions: dict[int, bytes]) -> None:
        """Give calls to the child, with the functions that it does not have yet."""
        if not self.given:
            self.began = self._loop.clock()
            if self.ready:
                self._voice.begin()
        pieces: list[bytes] = []
        for call, data in calls.items():
            (function,) = items.TICKET.unpack_from(data)
            if function not in self._known and function in functions:
                self._known.add(function)
                pieces += items.item(items.FUNCTION, function, functions[function])
            pieces += items.item(items.CALL, call, data)
        self.given.update(calls)
        self._write(pieces)
        try:
            os.write(self._tickets, b"".join(map(items.TICKET.pack, calls)))
        except OSError:
            _leave_it_to_the_end()

    def _write(self, pieces: list[bytes]) -> None:
        if sum(map(len, pieces)) <= _PIPE_BYTES:
            self._sink.write(b"".join(pieces))
        else:
            for piece in pieces:
                self._sink.write(piece)

    def take_back(self) -> dict[int, bytes]:
        """Take back the calls that the child has not begun."""
        if not self.given:
            return {}
        try:
            tickets = os.read(self._tickets_back, 1 << 16)
        except BlockingIOError:
            return {}
        return {call: self.given.pop(call) for (call,) in items.TICKET.iter_unpack(tickets)}

    # --- up -----------------------------------------------------------------------------------

    def hear_all(self) -> None:
        """Deal with all the answers that are here."""
        while self.pid and self._hear():
            pass

    def _hear(self) -> bool:
        """Deal with the answers that are here; say whether there was anything."""
        try:
            more = self._reader.read(self._answers)
        except BlockingIOError:
            return False
        if not more:  # the end of the pipe, and perhaps not yet that of the child
            self._loop.on_readable(self._answers, None)
            return False
        for status, call, duration, payload in self._reader.take():
            printed = self._voice.finish()
            self.given.pop(call, None)
            self.ready = True
            self.began = self._loop.clock()
            if call:
                self.pace.note(duration)
            self._on_answer(status, call, duration, printed, payload)
            self._voice.turn()
        return True

    def _show(self, number: int, joined: bool, text: bytes) -> None:
        self._on_line(self.current, number, joined, text)


def _leave_it_to_the_end() -> None:
    """Do nothing: a child whose pipes are broken ends, and that is noticed."""


def _set_group(pid: int) -> None:
    """Do in the supervisor what the child does, too: neither can know who is first."""
    try:
        os.setpgid(pid, pid)
    except OSError:  # it has ended already
        return


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signals.SIGKILL)
    except OSError:  # nobody left
        return


def _widen(fd: int) -> None:
    import fcntl  # noqa: PLC0415

    try:
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:  # no Linux, or too many large pipes for this user
        return

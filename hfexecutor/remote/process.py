"""A child process: forked, fed, heard, halted and buried. Decides nothing.

Everything that it says is told to the machine in the order in which it was said, a call's output
before its result.
"""

from __future__ import annotations

import os

from . import outcomes, pipes, plain, shared_memory, signals
from .buffered_writer import BufferedWriter
from .child_setup import ChildPipes
from .entries import buffers_of
from .file_sender import FileSender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .buffers import Buffer
    from .effects import Give
    from .event_loop import EventLoop
    from .machine import Machine
    from .memory import Memory

__all__ = ["Process"]

_PIPE_BYTES = 1 << 18
_F_SETPIPE_SZ = 1031  # of Linux; the others have pipes that are large enough
_READ_BYTES = 1 << 18
_MOST_READS = 64  # until the marker: many times what the pipe holds, in case a call lost it


class Process:
    """The process of one slot, one after the other.

    Args:
        slot: which one.
        machine: is told what the process says.
        loop: tells when it says something.
        memory: has the buffers that calls refer to.
    """

    def __init__(self, slot: int, machine: Machine, loop: EventLoop, memory: Memory) -> None:
        self._slot = slot
        self._machine = machine
        self._loop = loop
        self._memory = memory
        self.pid = 0  # 0: there is none
        self._stands = False  # it is stopped, by us or by itself
        self._halted = False  # by us
        self._listens = False  # to its output

    def __repr__(self) -> str:
        return f"<Process {self.pid} of slot {self._slot}>"

    # --- life -----------------------------------------------------------------------------------

    def fork(self) -> ChildPipes | None:
        """Start a process. Returns its pipes in the child, None in the supervisor.

        Raises:
            OSError: there is no memory, no process or no descriptor left.
        """
        opened: list[tuple[int, int]] = []
        marker = b"\x00" + os.urandom(15)
        try:
            for _ in range(4):
                opened.append(os.pipe())  # noqa: PERF401 - those before one that fails are closed
            opened.append(shared_memory.channel())
            pid = os.fork()
        except OSError:
            for fd in (fd for pipe in opened for fd in pipe):
                os.close(fd)
            raise
        tickets, items, results, output, handles = opened
        if not pid:
            os.setpgid(0, 0)
            return ChildPipes(tickets[0], items[0], results[1], output[1], handles[1], marker)
        _set_group(pid)
        for fd in (items[0], results[1], output[1], handles[1]):
            os.close(fd)
        self._tickets_back, self._tickets = tickets
        self._items, self._results, self._output = items[1], results[0], output[0]
        self._handles = handles[0]
        for fd in self._descriptors():
            os.set_blocking(fd, False)
        for fd in (self._items, self._results, self._output):
            _widen(fd)
        self.pid, self._stands, self._halted, self._listens = pid, False, False, False
        self._writer = BufferedWriter(self._items, self._loop, on_broken=_leave_it_to_the_end)
        self._files = FileSender(self._handles, self._loop)
        self._reader = pipes.ResultReader(self._map_shared)
        self._loop.on_readable(self._results, self._hear)
        self._machine.forked(self._slot, marker)
        self._listen()
        return None

    def stop(self) -> None:
        """Halt the process; `stopped` is told when it stands."""
        if self._stands:  # a call has done it, say: it would not be reported again
            self.note_stopped()
        elif self.pid:
            self._halted = True
            _signal(self.pid, signals.SIGSTOP)

    def note_stopped(self) -> None:
        """Deal with the news that the process stands."""
        self._stands = True
        self.hear_all()
        self._machine.stopped(self._slot)

    def note_continued(self) -> None:
        """Deal with the news that the process goes on."""
        self._stands = False

    def resume(self) -> None:
        """Let the process go on, if it was us who halted it."""
        if self.pid and self._halted:
            self._stands = self._halted = False
            _signal(self.pid, signals.SIGCONT)

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        if self.pid:
            _kill_group(self.pid)

    def bury(self, code: int) -> None:
        """Tell what the process had to say, and its end; clear up after it."""
        pid = self.pid
        _kill_group(pid)  # what it has left behind
        self.hear_all()
        self._read_output_of_call()
        self._machine.ended(self._slot, pid, code, self._loop.clock())
        self.pid = 0
        self._writer.close()
        self._files.close()
        for fd in self._descriptors():
            self._loop.forget(fd)
            os.close(fd)

    def _descriptors(self) -> tuple[int, ...]:
        fds = (self._tickets_back, self._tickets, self._items, self._results, self._output)
        return tuple(fd for fd in (*fds, self._handles) if fd >= 0)

    # --- down -----------------------------------------------------------------------------------

    def give(self, effect: Give) -> None:
        """Give the process items and tickets, and the buffers that its calls refer to."""
        for kind, _, data in effect.items:
            if kind == pipes.CALL and (names := buffers_of(data)):
                self._send(names)
        pieces = [piece for item in effect.items for piece in pipes.pack_item(*item)]
        if sum(map(len, pieces)) <= _PIPE_BYTES:
            self._writer.write(b"".join(pieces))
        else:
            for piece in pieces:
                self._writer.write(piece)
        try:
            os.write(self._tickets, b"".join(map(pipes.TICKET.pack, effect.calls)))
        except OSError:
            _leave_it_to_the_end()

    def _send(self, names: tuple[bytes, ...]) -> None:
        """Send the buffers of a call that are not files, which the child reads itself."""
        stored = self._machine.pool.buffers.stored
        if in_memory := [name for name in names if name not in stored]:
            self._files.send(self._memory.descriptors(in_memory))

    def close_input(self) -> None:
        """Let the process come to an end: it finds that there is nobody to give it anything."""
        if self.pid and self._tickets >= 0:
            os.close(self._tickets)
            self._tickets = -1

    def take_back(self) -> list[int]:
        """Take back the tickets that the process has not taken; return their calls."""
        try:
            tickets = os.read(self._tickets_back, 1 << 16) if self.pid else b""
        except BlockingIOError:
            return []
        return [call for (call,) in pipes.TICKET.iter_unpack(tickets)]

    # --- up -------------------------------------------------------------------------------------

    def hear_all(self) -> None:
        """Tell all the results that are here."""
        while self.pid and self._hear():
            pass

    def _hear(self) -> bool:
        """Tell the results that are here; say whether there was anything."""
        try:
            more = self._reader.read(self._results)
        except BlockingIOError:
            return False
        if not more:  # the end of the pipe, and perhaps not yet that of the process
            self._loop.on_readable(self._results, None)
            return False
        for result in self._reader.take():
            self._read_output_of_call()
            whole = _unmapped(result) if result[3] is None else result
            self._machine.result(self._slot, whole, self._loop.clock())
        self._listen()
        return True

    def _map_shared(self) -> Buffer | None:
        try:
            return shared_memory.receive(self._handles)
        except OSError:
            return None

    def _read_output_of_call(self) -> None:
        """Read what the present call has printed: its marker is in the pipe when its result is."""
        for _ in range(_MOST_READS):
            if self._machine.output_is_complete(self._slot) or not self._read_output():
                break

    def _read_output(self) -> bool:
        """Read what is there, once; say whether there was anything."""
        try:
            data = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._machine.output(self._slot, data, self._loop.clock())
        else:
            self._turn_away()
        return bool(data)

    def _on_output(self) -> None:
        if self._machine.output_is_complete(self._slot):
            self._turn_away()  # more is for the next call's turn
        else:
            self._read_output()

    def _turn_away(self) -> None:
        self._loop.on_readable(self._output, None)
        self._listens = False

    def _listen(self) -> None:
        if not self._listens and not self._machine.output_is_complete(self._slot):
            self._listens = True
            self._loop.on_readable(self._output, self._on_output)


def _unmapped(result: pipes.Result) -> pipes.Result:
    """Return the result of a call whose value cannot be had."""
    why = "the job has no descriptor or no memory left for it"
    details = {"type": "", "repr": "a large value", "error": why, "traceback": ""}
    return outcomes.UNPICKLABLE, *result[1:4], plain.pack(details)


def _leave_it_to_the_end() -> None:
    """Do nothing: a process whose pipes are broken ends, and that is noticed."""


def _set_group(pid: int) -> None:
    """Do in the supervisor what the child does, too: neither can know who is first."""
    try:
        os.setpgid(pid, pid)
    except OSError:  # it has ended already
        return


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:  # it has ended, and that is noticed
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

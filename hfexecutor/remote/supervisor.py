"""The supervisor: runs in a job, never runs user code, and ends when there is nothing left to do.

The data flow, actor by actor::

    client ──> HTTPServer ──> Machine: Messages ──> Pool: Queue, Slot ──> Process ══ items ══> child
                                                                                               │
    client <── log <── BufferedWriter <── Machine: Log <── Pool: Slot <── Process <══ results ═╝

- The *machine* decides everything, and does nothing: it is told what happened and says what is to
  be done. It opens messages if their MAC is right, queues calls, deals them to *slots*, and makes
  the lines of the log. Nothing is ever unpickled here.
- A *process* is forked from here, lets go of everything, and runs calls. It is given one call at a
  time; micro-calls also some ahead, to be taken back whenever they have not begun. What it prints
  comes through one pipe, how a call ends through another one. If it ends instead, its present call
  ends with it, and a new one takes its place.

All of it is one thread around one :class:`EventLoop`; no part waits for another one, for a reader
of the log, or for a client.
"""

from __future__ import annotations

import gc
import os
import time

from . import child, effects, entries, seals, signals
from .bucket import Bucket
from .buffered_writer import BufferedWriter
from .config import set_defaults, set_device
from .event_loop import EventLoop
from .machine import Machine
from .memory import Memory
from .pickling import load_cloudpickle
from .process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    from .child_setup import ChildPipes
    from .effects import Effect, Install
    from .http_server import HTTPServer
    from .installer import Installation
    from .messages import Reply

__all__ = ["Supervisor", "main"]

_LAST_WORDS_SECONDS = 30.0  # that a log which is not read may take
_BACKLOG = 1 << 18  # bytes of lines that wait for the log; more are made when it takes them

_TO_A_PROCESS = {
    effects.Stop: Process.stop,
    effects.Resume: Process.resume,
    effects.Kill: Process.kill,
    effects.Close: Process.close_input,
}


class Supervisor:
    """What a machine needs to act.

    Args:
        seal: of the launch.
        launch: the entries of the launch message.
        log: the descriptor of the log; does not block.
        loop: tells the time, and what happens.
    """

    def __init__(
        self, seal: seals.Seal, launch: Iterable[entries.Entry], log: int, loop: EventLoop
    ) -> None:
        self._seal = seal
        self._loop = loop
        self._log = log
        self._writer = BufferedWriter(log, loop, on_broken=self._lose_log, on_empty=self._write_log)
        self.folder = f"{os.environ.get('TMPDIR') or '/tmp'}/hfexecutor-{os.urandom(6).hex()}"  # noqa: S108
        memory = Memory()
        self._machine = Machine(
            seal,
            launch,
            os.urandom(4).hex(),
            take_back=self._take_back,
            memory=memory,
            folder=self.folder,
        )
        self._memory = memory
        self._readers: dict[int, int] = {}  # by pid, the orders that they carry out
        self._installation: Installation | None = None
        slots = range(self._machine.config.slots)
        self._processes = [Process(slot, self._machine, loop, memory) for slot in slots]
        self._server: HTTPServer | None = None
        self._deeds: dict[type, Callable[[Any], None]] = {
            effects.Reply: self._reply,
            effects.Install: self._install,
            effects.Load: self._load,
        }

    def run(self) -> ChildPipes | None:
        """Work until there is a reason to leave. Returns a child's pipes in that child only."""
        gc.freeze()  # see loading
        gc.enable()
        set_defaults(self._machine.config.slots)
        self._signals = signals.listen()
        self._loop.on_readable(self._signals, self._on_signal)
        self._loop.on_broken(self._log, self._lose_log)
        clock = round(time.time(), 4)
        self._machine.start(self._loop.clock())
        pipes = self._do(self._machine.step(self._loop.clock()))
        if pipes is not None:
            return pipes
        door = self._open_door()  # while the first child starts
        self._machine.greet(*door, self._loop.clock(), clock=clock)
        self._write_log()  # before any call is given: it may be the end of us
        while True:
            pipes = self._act()
            if pipes is not None:
                return pipes
            if self._machine.over:
                break
            self._write_log()
            self._loop.step(self._machine.due())
        self._take_leave()
        return None

    @property
    def has_door(self) -> bool:
        """Whether the job is to be reached through a port."""
        config = self._machine.config
        return config.port is not None and not config.one_shot

    def let_go(self) -> tuple[bytes, str, Bucket]:
        """Drop everything, in a forked child; return what it is told of the job.

        That is the initializer, the job's own folder, and what it has of the bucket.
        """
        config, stored = self._machine.config, self._machine.pool.buffers.stored
        bucket = Bucket(config.arguments, config.results, stored, why_not=config.no_results)
        self._seal.wipe()
        self._loop.clear()
        if self._server is not None:
            self._server.let_go()
        initializer, folder = self._machine.let_go(), self.folder
        for part in (*self._processes, self):
            part.__dict__.clear()
        return initializer, folder, bucket

    # --- what the machine wants -----------------------------------------------------------------

    def _act(self) -> ChildPipes | None:
        """Do what the machine wants, until it wants nothing."""
        while wanted := self._machine.step(self._loop.clock()):
            pipes = self._do(wanted)
            if pipes is not None:
                return pipes
            # To give calls tells the machine nothing new, and is all that most messages lead to.
            if all(isinstance(effect, effects.Give) for effect in wanted):
                break
        return None

    def _do(self, wanted: Iterable[Effect]) -> ChildPipes | None:
        for effect in wanted:
            if isinstance(effect, effects.Give):
                self._processes[effect.slot].give(effect)
            elif isinstance(effect, effects.Fork):
                pipes = self._fork(effect)
                if pipes is not None:
                    return pipes
            elif effect.slot >= 0:
                _TO_A_PROCESS[type(effect)](self._processes[effect.slot])
            else:
                self._deeds[type(effect)](effect)
        return None

    def _reply(self, effect: effects.Reply) -> None:
        if self._server is not None:
            self._server.reply(effect.ticket, effect.body)

    def _fork(self, effect: effects.Fork) -> ChildPipes | None:
        if effect.cloudpickle:
            load_cloudpickle()  # once here, and not in each child
        try:
            pipes = self._processes[effect.slot].fork()
        except OSError:
            self._machine.fork_failed(effect.slot, self._loop.clock())
            return None
        if pipes is not None:  # this is the child
            set_device(effect.slot, self._machine.config)
        return pipes

    def _install(self, effect: Install) -> None:
        from .installer import Installation  # noqa: PLC0415 - most jobs install nothing

        path = self._machine.pool.environment_path(effect.environment)
        try:
            self._installation = Installation(path, effect.requirements, self._loop)
        except OSError as error:
            why = f"no process can be started for it: {error}"
            self._machine.install_failed(why, self._loop.clock())

    def _load(self, effect: effects.Load) -> None:
        from . import reader  # noqa: PLC0415 - few jobs have anything to read

        folder, (memory,) = self._machine.config.arguments, self._memory.descriptors([effect.name])
        assert folder is not None
        try:
            self._readers[reader.start(folder, effect.name, memory)] = effect.number
        except OSError as error:
            self._machine.loaded(effect.number, f"no process can be started for it: {error}")

    def _note_reading(self, pid: int, status: int) -> None:
        if pid in self._readers and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            from .reader import why_not  # noqa: PLC0415

            why = why_not(os.waitstatus_to_exitcode(status))
            self._machine.loaded(self._readers.pop(pid), why)

    def _take_back(self, slot: int) -> list[int]:
        return self._processes[slot].take_back()

    def _write_log(self) -> None:
        log = self._machine.log
        while log.lines and self._writer.backlog < _BACKLOG:
            self._writer.write(log.chunk())

    def _open_door(self) -> tuple[int | None, str | None]:
        """Return the door's port, or why there is none."""
        config = self._machine.config
        if config.port is None or not self.has_door:
            return None, None
        from .http_server import HTTPServer  # noqa: PLC0415 - without a door nobody pays for it

        try:
            address = (config.host, config.port)
            self._server = HTTPServer(address, self._loop, self._handle, self._take_range)
        except (OSError, OverflowError) as error:
            return None, str(error)
        return self._server.port, None

    def _take_leave(self) -> None:
        if self._server is not None:
            self._server.close()  # first: what it accepted would be dropped
        self._machine.stop()
        if self._installation is not None:
            self._installation.kill()
        for pid in self._readers:
            os.kill(pid, signals.SIGKILL)  # it is there until it is reaped
        for process in self._processes:
            process.hear_all()
            process.kill()
        self._machine.take_leave(self._loop.clock())
        limit = self._loop.clock() + _LAST_WORDS_SECONDS
        self._write_log()
        while self._writer.backlog and self._loop.clock() < limit:
            self._loop.step(limit)

    # --- what happens ---------------------------------------------------------------------------

    def _handle(self, message: bytes | bytearray, ticket: int) -> tuple[int, Reply] | None:
        return self._machine.message(message, self._loop.clock(), ticket)

    def _take_range(self, message: bytes | bytearray) -> tuple[int, bytes]:
        return self._machine.range(message, self._loop.clock())

    def _on_signal(self) -> None:
        numbers = os.read(self._signals, 4096)
        if not signals.ENDING.isdisjoint(numbers):
            self._machine.terminate()
        self._reap()

    def _reap(self) -> None:
        """Hear of all children that have ended, or stopped, or gone on."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if not pid:
                return
            if self._installation is not None and self._installation.pid == pid:
                self._note_installation(status)
            self._note_reading(pid, status)
            for process in self._processes:  # or it is an orphan of a call
                if process.pid == pid:
                    _note(process, status)

    def _note_installation(self, status: int) -> None:
        installation = self._installation
        if installation is None or not (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            return
        self._installation = None
        said = installation.last_words()
        if os.waitstatus_to_exitcode(status):
            self._machine.install_failed(said, self._loop.clock())
        else:
            self._machine.installed(self._loop.clock())

    def _lose_log(self) -> None:
        """Nobody hears us any more: there is nothing left to work for."""
        self._machine.terminate()
        self._writer.close()
        self._loop.forget(self._log)


def _note(process: Process, status: int) -> None:
    if os.WIFSTOPPED(status):
        process.note_stopped()
    elif os.WIFCONTINUED(status):
        process.note_continued()
    else:
        process.bury(os.waitstatus_to_exitcode(status))


# --- the process ------------------------------------------------------------------------------


def main(launch: dict[str, bytearray]) -> NoReturn:
    """Be the supervisor, or a child of it.

    Args:
        launch: the key and the message; both are taken out, and the key is overwritten.
    """
    supervisor = _start(launch)
    pipes = supervisor.run()
    if pipes is not None:
        has_door = supervisor.has_door
        child.live(pipes, *supervisor.let_go(), has_door=has_door)
    os._exit(0)


def _start(launch: dict[str, bytearray]) -> Supervisor:
    key, message = launch.pop("key"), launch.pop("message")
    seal = seals.Seal(key)
    key[:] = bytes(len(key))
    _, body = seals.open_message(seal, message)
    return Supervisor(seal, entries.unpack(body), _open_log(), EventLoop())


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

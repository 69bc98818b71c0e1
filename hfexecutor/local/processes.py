"""Runs jobs as processes, through a warden that lets none of them outlive the hub."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import commands, uv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .runners import Answer, Launch

_CHUNK = 1 << 20
_WARDEN_SECONDS = 10.0
_WARDEN = Path(__file__).with_name("warden.py")
_KILLED = -signal.SIGKILL


class ProcessRunner:
    """Start jobs as local processes.

    The warden is started with the first job or, to save that job the wait, by `prepare`.
    """

    def __init__(self) -> None:
        self._warden: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._root: str | None = None
        self._lock = asyncio.Lock()
        self._running: set[ProcessRun] = set()
        self._pythons: dict[str, str] = {}

    def prepare(self) -> None:
        """Start the warden unless there is one."""
        if self._warden is not None and self._warden.poll() is None:
            return
        self._forget_warden()
        ours, theirs = socket.socketpair()
        self._root = self._root or tempfile.mkdtemp(prefix="localhub-")
        with theirs:
            argv = [sys.executable, "-I", "-S", str(_WARDEN), str(theirs.fileno())]
            self._warden = subprocess.Popen(
                [*argv, str(os.getpid()), self._root],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._channel = ours

    async def start(self, launch: Launch, write: Callable[[bytes], None]) -> ProcessRun:
        """Start a job's command; what it writes to either stream goes to `write`."""
        home = f"{launch.job_id}-{launch.attempt}"
        self.prepare()
        path = f"{self._root}/{home}"
        plan = await self._plan(launch, path)
        spec = {
            "argv": plan.argv,
            "env": dict(plan.env),
            "cwd": path,
            "directories": [path, str(Path(path, "tmp"))],
        }
        run = ProcessRun(write, self._running)
        try:
            with _sealed(json.dumps(spec).encode()) as spec_fd:
                theirs, output = run.open()
                with theirs, open(output, "wb", buffering=0):  # noqa: ASYNC230, PTH123
                    await self._send([theirs.fileno(), output, spec_fd])
            await run.started.wait()
        except asyncio.CancelledError:
            run.kill()
            await run.gone.wait()
            raise
        return run

    async def _plan(self, launch: Launch, home: str) -> commands.Plan:
        while True:
            try:
                return commands.plan(launch, home, self._pythons)
            except commands.PythonWantedError as wanted:
                version = wanted.version
            self._pythons[version] = await uv.provide_python(version)

    async def _send(self, fds: list[int]) -> None:
        async with self._lock:
            while True:
                self.prepare()
                assert self._channel is not None
                try:
                    socket.send_fds(self._channel, [b"j"], fds)
                except BlockingIOError:
                    await _writable(self._channel)
                except ConnectionError:
                    self._forget_warden()
                else:
                    return

    async def close(self) -> None:
        """Kill all jobs and wait until nothing is left of them."""
        while self._running:
            for run in self._running:
                run.kill()
            await next(iter(self._running)).gone.wait()
        self.abandon()

    def abandon(self) -> None:
        """End the warden, and with it whatever still runs."""
        self._forget_warden()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)  # the warden has done so, unless killed

    def _forget_warden(self) -> None:
        if self._channel is not None and self._warden is not None:
            # Its end of the channel closes when it ends. Popen.wait with a timeout would poll.
            self._channel.settimeout(_WARDEN_SECONDS)
            with self._channel, contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
                self._channel.recv(1)
            self._channel = None
        if self._warden is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._warden.wait(timeout=_WARDEN_SECONDS)
            self._warden = None


class ProcessRun:
    """One command and everything it started."""

    doors: Mapping[int, Answer] = {}

    def __init__(self, write: Callable[[bytes], None], running: set[ProcessRun]) -> None:
        self._write = write
        self._running = running
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._said = b""
        self._status = _KILLED
        self._keeper: socket.socket | None = None
        self._output = -1
        self.started = asyncio.Event()
        self.gone = asyncio.Event()
        self.pids: tuple[int, ...] = ()

    def open(self) -> tuple[socket.socket, int]:
        """Create the keeper's socket and the output's pipe; return the ends that travel."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._keeper = ours
        self._running.add(self)
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        _widen(output)
        self._loop.add_reader(ours, self._hear)
        self._loop.add_reader(self._output, self._read)
        return theirs, output

    async def wait(self) -> int:
        """Return the exit code, once the process tree is gone and all output has been read."""
        await self._over.wait()
        return self._status

    def kill(self) -> None:
        """Have the whole process tree killed."""
        if self._keeper is not None:
            with contextlib.suppress(OSError):
                self._keeper.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._write(data)
        else:
            self._loop.remove_reader(self._output)

    def _hear(self) -> None:
        assert self._keeper is not None
        try:
            data = self._keeper.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            self._understand(line)
        if not data:
            self._end()

    def _understand(self, line: bytes) -> None:
        word, _, value = line.partition(b" ")
        if word == b"pid":
            self.pids = (int(value),)
            self.started.set()
        elif word == b"exit":
            self._status = int(value)
            self._drain()
            self._over.set()

    def _drain(self) -> None:
        """Read what the job has left in the pipe; nobody writes any more.

        The end of the pipe is not waited for: a fork of the user's process may hold it open.
        """
        while self._output >= 0:
            try:
                data = os.read(self._output, _CHUNK)
            except BlockingIOError:
                data = b""
            if data:
                self._write(data)
            else:
                self._loop.remove_reader(self._output)
                os.close(self._output)
                self._output = -1

    def _end(self) -> None:
        assert self._keeper is not None
        self._loop.remove_reader(self._keeper)
        self._keeper.close()
        self._keeper = None
        self._drain()
        self.pids = ()
        self.started.set()
        self._over.set()
        self._running.discard(self)
        self.gone.set()


@contextlib.contextmanager
def _sealed(data: bytes) -> Iterator[int]:
    """Yield a descriptor of an unnamed file with `data`: secrets touch no directory."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


async def _writable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(channel)


def _widen(pipe: int) -> None:
    """Let a job write a burst without waiting for us (Linux; refused where pipes are scarce)."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)

"""Runs jobs as processes, through a reaper that lets none of them outlive the hub."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import marshal
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from . import commands, differences, images, interpreters, reaper, uv
from .differences import Difference
from .errors import CannotStartError, OutOfMemoryError
from .hardware import FLAVORS
from .interpreters import Interpreters, Layout
from .volumes import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .runners import Answer, Launch

_logger = logging.getLogger("hfexecutor")
_CHUNK = 1 << 20
_RESOLVED_FOR = 24 * 3600.0  # seconds after which newer releases of packages are looked for
_REAPER_SECONDS = 10.0
_KILLED = -signal.SIGKILL


class ProcessRunner:
    """Start jobs as local processes.

    The reaper is started with the first job or, to save that job the wait, by `prepare`.

    Args:
        root: the folder for the jobs' directories; it is deleted in the end. None: a new one.
    """

    def __init__(self, root: str | None = None) -> None:
        self._reaper: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._root = root
        self._lock = asyncio.Lock()
        self._running: set[ProcessRun] = set()
        self._interpreters = Interpreters()
        self._uv_settings: uv.Settings | None = None
        self._told: set[str] = set()

    def prepare(self) -> None:
        """Start the reaper unless there is one."""
        if self._reaper is not None and self._reaper.poll() is None:
            return
        self._forget_reaper()
        ours, theirs = socket.socketpair()
        self._root = self._root or tempfile.mkdtemp(prefix="localhub-")
        with theirs:
            self._reaper = subprocess.Popen(
                reaper.command(theirs.fileno(), os.getpid(), self._root),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._channel = ours

    async def start(self, launch: Launch, write: Callable[[bytes], None]) -> ProcessRun:
        """Start a job's command; what it writes to either stream goes to `write`."""
        self.prepare()
        home = commands.Home(f"{self._root}/{launch.job_id}-{launch.attempt}")
        hindered = await asyncio.to_thread(probe.hindrance) if launch.mounts else None
        if hindered:
            launch = commands.relocated(launch)
        tools, found = await self._tools(launch)
        found += differences.of_mounts(launch.mounts, hindered)
        plan = commands.plan(launch, home, tools)
        layout = self._layout(home, tools)
        spec = {
            "argv": plan.argv,
            "env": dict(plan.env),
            "cwd": home.work,
            "directories": layout.directories,
            "links": layout.links,
            "files": layout.files,
            "memory": _limit(launch),
            "root": home.view,
            "mounts": []
            if hindered
            else [(m.directory, m.place, m.read_only) for m in launch.mounts],
        }
        run = ProcessRun(self._announcing(found, write), self._running)
        try:
            with _sealed(marshal.dumps(spec)) as spec_fd:
                theirs, output = run.open()
                with theirs, open(output, "wb", buffering=0):  # noqa: ASYNC230, PTH123
                    await self._send([theirs.fileno(), output, spec_fd])
            await run.started.wait()
        except asyncio.CancelledError:
            run.kill()
            await run.gone.wait()
            raise
        return run

    async def _tools(self, launch: Launch) -> tuple[commands.Tools, list[Difference]]:
        """Find what a job needs on this machine; say what it gets in place of what it would have.

        Raises:
            CannotStartError: it asks for a Python that is not to be had.
        """
        command = commands.check(launch)
        image = images.look_up(launch.image)
        version = commands.python_wanted(command, image)
        interpreter = None if version is None else await self._interpreters.find(version)
        needs_it = command[0] == "uv" or command[0].startswith("python")
        if version is not None and interpreter is None and needs_it:
            raise CannotStartError(f"image pull failed: {differences.without(version)}")
        places = [one.place for one in launch.mounts]
        tools = commands.Tools(image, interpreter, f"{self._root}/bin", places=places)
        if image.uv:
            shared = interpreters.shared(interpreter, os.environ) if interpreter else None
            variables = sorted(self._uv().variables)
            tools = tools._replace(shared_python=shared, uv_variables=variables)
            if shared and (run := uv.parse(command)) and run.dependencies:
                resolution = self._resolution(shared, run.dependencies)
                tools = tools._replace(resolution=resolution)
        found = differences.of_image(launch.image, image, interpreter)
        found += differences.of_hardware(launch)
        if image.uv and (path := uv.path_requirement(command)):
            found.append(Difference(f"{path!r} is a path of this machine, which no job can see"))
        return tools, found

    def _uv(self) -> uv.Settings:
        """Have uv in a directory of its own, once: beside it may be what no job is to see."""
        if self._uv_settings is None:
            settings = uv.Settings.of(os.environ)
            directory = Path(f"{self._root}/bin")
            directory.mkdir(exist_ok=True)
            store = str(interpreters.cache(os.environ) / "environments")
            (directory / "uv").write_text(settings.wrapper(store), encoding="utf-8")
            (directory / "uv").chmod(0o700)
            self._uv_settings = settings
        return self._uv_settings

    def _resolution(self, python: Path, dependencies: tuple[str, ...]) -> commands.Resolution:
        """Return where it is noted when a set of requirements was resolved for a Python."""
        settings = self._uv()
        known_by = repr(
            (str(python), dependencies, settings.file, sorted(settings.variables.items()))
        )
        path = python.parents[2] / "resolved" / sha256(known_by.encode()).hexdigest()
        path.parent.mkdir(exist_ok=True)
        try:
            recent = time.time() - path.stat().st_mtime < _RESOLVED_FOR
        except FileNotFoundError:
            recent = False
        return commands.Resolution(str(path), recent)

    def _layout(self, home: commands.Home, tools: commands.Tools) -> Layout:
        """Return what an attempt finds on the disk."""
        directories = [home.root, home.work, home.home, home.temporary, home.view]
        links: tuple[tuple[str, str], ...] = ()
        files: list[tuple[str, str]] = []
        if tools.image.uv:
            config = f"{home.home}/.config"
            directories += [config, f"{config}/uv"]
            files.append((f"{config}/uv/uv.toml", self._uv().file))
        if tools.interpreter:
            python = tools.interpreter.layout(home.python, tools.shared_python)
            directories += python.directories
            links = python.links
            files += python.files
        return Layout(tuple(directories), links, tuple(files))

    def _announcing(
        self, found: Iterable[Difference], write: Callable[[bytes], None]
    ) -> Callable[[bytes], None]:
        """Return what writes to a job's log, and before the first of it how the job differs.

        A job that never writes anything has nothing in its log here either: a client may take that
        for a sign. In this process's own log, each difference is told once.
        """
        for one in found:
            if one.text not in self._told:
                self._told.add(one.text)
                _logger.log(
                    logging.INFO if one.slight else logging.WARNING, "LocalHub: %s", one.text
                )
        ahead = "".join(f"===== LocalHub: {one.text} =====\n" for one in found).encode()

        def write_after(data: bytes) -> None:
            nonlocal ahead
            first, ahead = ahead, b""
            write(first + data)

        return write_after

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
                    self._forget_reaper()
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
        """End the reaper, and with it whatever still runs."""
        self._forget_reaper()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)  # the reaper has done so, unless killed

    def _forget_reaper(self) -> None:
        if self._channel is not None and self._reaper is not None:
            # Its end of the channel closes when it ends. Popen.wait with a timeout would poll.
            self._channel.settimeout(_REAPER_SECONDS)
            with self._channel, contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
                self._channel.recv(1)
            self._channel = None
        if self._reaper is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._reaper.wait(timeout=_REAPER_SECONDS)
            self._reaper = None


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
        self._out_of_memory = False
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
        """Return the exit code, once the process tree is gone and all output has been read.

        Raises:
            OutOfMemoryError: it was killed because its job took more memory than the flavor has.
        """
        await self._over.wait()
        if self._out_of_memory:
            raise OutOfMemoryError
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
            status, _, why = value.partition(b" ")
            self._status, self._out_of_memory = int(status), why == b"oom"
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


def _limit(launch: Launch) -> int | None:
    """Return how much memory a job may use; None: this machine has no more anyway."""
    limit = FLAVORS[launch.flavor].ram_gb << 30
    return limit if limit < differences.memory() else None


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

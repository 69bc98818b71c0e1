"""Whoever is killed with many megabytes half way leaves no file, no memory and no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfexecutor import HubExecutor
from hfexecutor.events import Transferring
from hfexecutor.local import LocalHub, Timings

from .conftest import until

SIZE = 48 << 20
# As the client: says when a value is half way, and waits for its end.
CLIENT = f"""
import sys
from hfexecutor import HubExecutor
from hfexecutor.events import Transferring
way, endpoint, token = sys.argv[1:]
def note(event):
    if event.sent > 4 << 20 or event.fetched > 4 << 20:
        print("half way", flush=True)
with HubExecutor(1, endpoint=endpoint, token=token, idle_timeout=1) as executor:
    executor.submit(pow, 2, 5).result()
    executor.events.listen(note, kinds=[Transferring])
    args = (len, bytes({SIZE})) if way == "up" else (bytes, {SIZE})
    executor.submit(*args).result()
print("too late", flush=True)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left in /proc"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything of this test has its temporary files, and its jobs their command lines."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def hub(folder: Path) -> Iterator[LocalHub]:
    """A hub through whose doors a value takes seconds."""
    shared_memory = set(os.listdir("/dev/shm"))
    with LocalHub(timings=Timings(door_rate=2 << 20)) as hub:
        yield hub
        left = processes(folder)
    until(lambda: not any(map(is_alive, left)), 10)
    assert not list(folder.iterdir())
    named = set(os.listdir("/dev/shm")) - shared_memory
    assert not [name for name in named if "hfexecutor" in name]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes(folder: Path) -> list[int]:
    """Return the processes of jobs: their interpreters are in the hub's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and str(folder) in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:  # it has just ended
            continue
    return [pid for pid in found if pid != os.getpid() and is_alive(pid)]


def with_our_memory(folder: Path) -> list[int]:
    """Return those of them that hold memory of large values."""
    return [pid for pid in processes(folder) if any(map(_is_ours, _open_files(pid)))]


def _open_files(pid: int) -> list[str]:
    try:
        return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def _is_ours(file: str) -> bool:
    return file.startswith("/memfd:hfexecutor")


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_client_that_is_killed_half_way_leaves_nothing(
    hub: LocalHub, folder: Path, way: str
) -> None:
    command = [sys.executable, "-c", CLIENT, way, hub.endpoint, hub.token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "half way\n"
        assert with_our_memory(folder)
        client.kill()
    if way == "up":  # nobody waits for anything there; a result it keeps for a minute
        until(lambda: not with_our_memory(folder), 60)
        until(lambda: hub.running == 0, 30)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_job_that_is_killed_half_way_leaves_nothing_and_its_call_runs_elsewhere(
    hub: LocalHub, folder: Path, make: Callable[..., HubExecutor], way: str
) -> None:
    killed: list[int] = []

    def kill(event: Transferring) -> None:
        if not killed and (event.sent > 4 << 20 or event.fetched > 4 << 20):
            killed.extend(with_our_memory(folder))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with make(1) as executor:
        executor.submit(pow, 2, 5).result()
        files = len(os.listdir("/proc/self/fd"))
        executor.events.listen(kill, kinds=[Transferring])
        if way == "up":
            assert executor.submit(len, bytes(SIZE)).result(120) == SIZE
        else:
            assert executor.submit(bytes, SIZE).result(120) == bytes(SIZE)
        assert killed
        assert executor.stats().jobs_started == 2
        until(lambda: not any(map(is_alive, killed)), 10)
    assert hub.running == 0
    assert len(os.listdir("/proc/self/fd")) <= files

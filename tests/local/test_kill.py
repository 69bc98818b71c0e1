"""Nothing of a job outlives it, and no job outlives its hub, however that ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hfexecutor.local import LocalHub

# Starts a grandchild in a session of its own whose parent leaves at once, as a daemon does.
DAEMON = """
import os, sys, time
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setpgid(0, 0)
        print(os.getpid(), flush=True)
        os.closerange(3, 100)
        time.sleep(60)
    os._exit(0)
os.close(writing)
os.read(reading, 1)
print(os.getpid(), flush=True)
time.sleep(60)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's subreapers")


def pids(raw, job):
    lines = raw.lines(job)
    return [int(next(lines)), int(next(lines))]


@linux
def test_cancel_reaches_daemons(raw, alive):
    job = raw.python(DAEMON)
    found = pids(raw, job)
    assert all(map(alive, found))
    raw.cancel(job)
    assert not any(map(alive, found))


@linux
def test_the_end_of_the_command_ends_its_daemons(raw, alive):
    job = raw.python(DAEMON.rpartition("time.sleep(60)")[0] + "os.kill(os.getpid(), 9)")
    found = pids(raw, job)
    raw.wait(job)
    assert not any(map(alive, found))


@linux
def test_a_bush_of_processes_is_cleared(raw, alive):
    code = (
        "import os, time\n"
        "for n in range(5):\n    if os.fork() == 0 and n % 2:\n        os.setsid()\n"
        "os.write(1, b'%d\\n' % os.getpid())\ntime.sleep(60)"
    )
    job = raw.python(code)
    lines = raw.lines(job)
    found = [int(next(lines)) for _ in range(32)]
    raw.cancel(job)
    assert not any(map(alive, found))


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_that_kills_its_keeper_dies_with_it(raw, alive, until, number):
    job = raw.python(DAEMON)
    found = pids(raw, job)
    keeper = int(Path(f"/proc/{found[1]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, number)
    assert raw.wait(job)["status"]["stage"] == "ERROR"
    until(lambda: not any(map(alive, found)))


@linux
def test_a_killed_reaper_is_replaced(make, alive):
    hub, raw = make()
    first = raw.python(DAEMON)
    found = pids(raw, first)
    reaper = hub._core.store.runner._reaper
    os.kill(reaper.pid, signal.SIGKILL)
    reaper.wait()
    job = raw.run("echo", "still there")
    assert raw.log(job) == ["still there"]
    assert all(map(alive, found))
    raw.cancel(first)
    assert not any(map(alive, found))


def test_closing_the_hub_kills_its_jobs(make, alive):
    hub, raw = make()
    found = pids(raw, raw.python(DAEMON))
    job = raw.run("sleep", "60")
    root = Path(hub._core.store.runner._root)
    assert root.exists()
    hub.close()
    assert not any(map(alive, found))
    assert not root.exists()
    assert {view.stage for view in hub.jobs()} == {"CANCELED"}
    assert job in {view.id for view in hub.jobs()}
    hub.close()


@linux
def test_a_hub_that_a_script_leaves_open_is_closed_when_it_ends():
    code = (
        "import atexit, threading\n"
        "atexit.register(lambda: print([t.name for t in threading.enumerate()]))\n"  # run last
        "from hfexecutor.local import LocalHub\n"
        "hub = LocalHub().start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "['MainThread']\n"
    assert done.stderr == ""


# Counted where nobody else opens, closes or starts anything meanwhile: in a process of its own.
USED = """
import os, threading
from hfexecutor.local import LocalHub

def used():
    return threading.active_count(), len(os.listdir("/dev/fd"))

with LocalHub():
    pass
before = used()
for _ in range(3):
    with LocalHub() as hub:
        assert threading.active_count() == before[0] + 1
        assert repr(hub) == f"<LocalHub {hub.endpoint} [0 running, 0 jobs]>"
    assert repr(hub) == f"<LocalHub {hub.endpoint} [closed]>"
assert used() == before, (used(), before)
"""


def test_closing_leaves_no_thread_and_no_descriptor():
    subprocess.run([sys.executable, "-W", "error", "-c", USED], check=True, timeout=120)


@pytest.mark.parametrize("end", ["close", "restart"])
def test_who_is_let_in_as_the_hub_stops_listening_is_cut_off(end):
    """Asyncio makes a connection a round after it has accepted it, and not for a closed server."""
    with LocalHub() as hub:
        core = hub._core

        async def connect_and_end():
            client = socket.create_connection(("127.0.0.1", core._port))
            await asyncio.sleep(0)  # the loop sees it
            await asyncio.sleep(0)  # and accepts it
            core._stop_listening()
            core._begin(core._close() if end == "close" else core._go_down(3600))
            return client

        ended = asyncio.run_coroutine_threadsafe(connect_and_end(), core._loop)
        with ended.result(60) as client:
            client.settimeout(60)
            assert client.recv(1) == b""
    gc.collect()  # a socket that nobody closed would be reported


def test_an_abandoned_hub_closes_itself(alive, until):
    from .conftest import Raw

    hub = LocalHub().start()
    raw = Raw(hub)
    found = pids(raw, raw.python(DAEMON))
    raw.http.close()
    thread = hub._core._thread
    del hub, raw
    gc.collect()
    until(lambda: not any(map(alive, found)))
    until(lambda: not thread.is_alive())


HOLDER = """
import os, sys, threading, time, json, urllib.request
from hfexecutor.local import LocalHub

hub = LocalHub().start()
spec = {"flavor": "cpu-basic", "dockerImage": "python", "command": ["python", "-c", sys.argv[1]]}
url = f"{hub.endpoint}/api/jobs/{hub.namespace}"
headers = {"Authorization": f"Bearer {hub.token}"}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
job = json.load(opener.open(urllib.request.Request(url, json.dumps(spec).encode(), headers)))
log = opener.open(urllib.request.Request(f"{url}/{job['id']}/logs", headers=headers))
found = []
while len(found) < 2:
    line = log.readline()
    if line.startswith(b"data") and b"=====" not in line:
        found.append(int(json.loads(line[6:])["data"]))
print(*found, hub._core.store.runner._root, flush=True)
"""
FORK = "if os.fork() == 0:\n    os.close(1)\n    time.sleep(5)\n    os._exit(0)"
ENDINGS = {
    "end of the script": "",
    "an exception": "1 / 0",
    "sys.exit": "sys.exit(3)",
    "os._exit": "os._exit(3)",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "SIGTERM": "os.kill(os.getpid(), 15)",
    "SIGKILL while a fork lives": "FORK\nos.kill(os.getpid(), 9)",
    "SIGKILL of its group": "os.setpgid(0, 0); os.killpg(0, 9)",
    "another thread goes on": "threading.Thread(target=time.sleep, args=[0.2]).start()",
}


QUICK = {"end of the script", "SIGTERM", "SIGKILL while a fork lives"}


@linux
@pytest.mark.parametrize(
    "ending",
    [pytest.param(one, marks=[pytest.mark.slow] * (one not in QUICK)) for one in ENDINGS],
)
def test_no_job_outlives_the_process_of_its_hub(ending, alive, until):
    code = HOLDER + ENDINGS[ending].replace("FORK", FORK)
    holder = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, DAEMON],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with holder:
        first, second, root = holder.stdout.readline().split()
        holder.wait(120)
        until(lambda: not alive(int(first)) and not alive(int(second)))
        until(lambda: not Path(root).exists())


@linux
def test_a_fork_of_the_process_harms_nothing():
    code = HOLDER + (
        "import gc\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        hub.close(); del hub; gc.collect(); sys.exit(0)\n"
        "    assert os.wait()[1] == 0\n"
        "assert hub.running == 1, hub\n"
        "os.kill(found[0], 0); os.kill(found[1], 0)\n"
        "hub.close()\n"
        "print('fine')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, DAEMON],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.endswith("fine\n"), done.stderr
    assert done.stderr == ""


@linux
def test_a_fork_that_holds_the_hubs_sockets_does_not_keep_them_open():
    code = HOLDER + (
        "import socket\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60); os._exit(0)\n"
        "hub.restart()\n"
        "while log.readline(): pass\n"
        "opener.open(urllib.request.Request(url, headers=headers))\n"
        "hub.close()\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', int(hub.endpoint[17:])), 5)\n"
        "except ConnectionRefusedError:\n"
        "    print('fine')\n"
        "os.kill(child, 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, DAEMON],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.endswith("fine\n"), done.stderr


def test_a_hub_that_cannot_start_leaves_nothing():
    def hubs():
        return {thread for thread in threading.enumerate() if thread.name == "LocalHub"}

    before = hubs()
    with LocalHub() as first:
        port = int(first.endpoint.rpartition(":")[2])
        second = LocalHub(port=port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        assert hubs() <= {*before, first._core._thread}
        assert repr(second) == "<LocalHub [not started]>"
        second.close()
    with second:
        assert second.endpoint == first.endpoint
    with pytest.raises(RuntimeError, match="closed"):
        second.start()


def test_the_next_hub_removes_what_was_left_of_a_hub_and_its_reaper(make, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, strange = tmp_path / "localhub-dead", tmp_path / "localhub-strange"
    for folder in (dead, strange):
        (folder / "buckets" / "b").mkdir(parents=True)
    (dead / "hub").touch()
    hub, _ = make()
    make()
    assert not dead.exists()
    assert strange.exists()
    assert Path(hub._core._folder).exists()


def test_a_client_that_is_killed_while_it_sends_leaves_nothing(make, until):
    hub, raw = make()
    raw("POST", "/api/buckets/me/b", json={})
    told = raw("GET", f"/api/buckets/{hub.namespace}/b/xet-write-token").json()
    host, _, path = told["casUrl"].removeprefix("http://").partition("/")
    address = ("127.0.0.1", int(host.partition(":")[2]))
    folder = Path(hub._core._folder, "buckets", path.rpartition("/")[2])
    with socket.create_connection(address) as client:
        client.sendall(
            f"POST /{path}/v1/xorbs/default/{'a' * 64} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {told['accessToken']}\r\n"
            f"Content-Length: 100\r\n\r\nhalf".encode()
        )
        until(lambda: folder.exists() and list(folder.iterdir()))
    until(lambda: not list(folder.iterdir()))

"""Nothing of a job outlives it, and no job outlives its hub, however that ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
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
def test_a_killed_warden_is_replaced(make, alive):
    hub, raw = make()
    first = raw.python(DAEMON)
    found = pids(raw, first)
    warden = hub._core.store.runner._warden
    os.kill(warden.pid, signal.SIGKILL)
    warden.wait()
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


def test_closing_leaves_no_thread_and_no_descriptor():
    def used():
        return threading.active_count(), len(list(Path("/dev/fd").iterdir()))

    with LocalHub():
        pass
    before = used()
    for _ in range(3):
        with LocalHub() as hub:
            assert threading.active_count() == before[0] + 1
            assert repr(hub) == f"<LocalHub {hub.endpoint} [0 running, 0 jobs]>"
        assert repr(hub) == f"<LocalHub {hub.endpoint} [closed]>"
    assert used() == before


def test_an_abandoned_hub_closes_itself(alive):
    from .conftest import Raw

    before = threading.active_count()
    hub = LocalHub().start()
    raw = Raw(hub)
    found = pids(raw, raw.python(DAEMON))
    raw.http.close()
    del hub, raw
    gc.collect()
    deadline = time.monotonic() + 10
    while any(map(alive, found)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert threading.active_count() == before


HOLDER = """
import os, sys, threading, time, json, urllib.request
from hfexecutor.local import LocalHub

hub = LocalHub().start()
spec = {"flavor": "cpu-basic", "dockerImage": "any", "command": [sys.executable, "-c", sys.argv[1]]}
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


@linux
@pytest.mark.parametrize("ending", ENDINGS)
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
        holder.wait(20)
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
        timeout=30,
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
        timeout=30,
        check=False,
    )
    assert done.stdout.endswith("fine\n"), done.stderr


def test_a_hub_that_cannot_start_leaves_nothing(alive):
    with LocalHub() as first:
        before = threading.active_count()
        port = int(first.endpoint.rpartition(":")[2])
        second = LocalHub(port=port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        assert threading.active_count() == before
        assert repr(second) == "<LocalHub [not started]>"
        second.close()
    with second:
        assert second.endpoint == first.endpoint
    with pytest.raises(RuntimeError, match="closed"):
        second.start()

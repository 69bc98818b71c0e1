"""With `endpoint="local"` nothing tries to leave the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# An audit hook sees each attempt in the process, which is the client's and the hub's, of whatever
# library and however well hidden; it cannot be suppressed by whoever made the attempt.
GUARD = """
import ipaddress, os, sys

def loopback(host):
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def guard(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        bad = isinstance(address, tuple) and not loopback(address[0])
    elif event.startswith("socket.get") and "name" in event or event == "socket.getaddrinfo":
        bad = bool(args) and not loopback(args[0])
    elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        bad = os.path.basename(os.fsdecode(args[0] or "")) in ("uv", "uvx", "pip", "git", "curl")
    else:
        return
    if bad:
        os.write(2, f"left the machine: {event} {args!r}\\n".encode())
        os._exit(97)

sys.addaudithook(guard)
"""

CALLS = """
from hfexecutor import HubExecutor

if __name__ == "__main__":
    for reuse in (True, False):
        with HubExecutor(2, endpoint="local", reuse_workers=reuse) as executor:
            assert list(executor.map(pow, range(6), range(6))) == [n**n for n in range(6)]
            future = executor.submit(print, "hello")
            assert future.result() is None
            assert future.job_url.startswith("http://127.0.0.1:")
            executor.stats()
    print("all is well")
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    kept = ("PATH", "HOME", "HF_HOME", "LANG", "TMPDIR")
    return subprocess.run(
        [sys.executable, "-c", GUARD + code],
        env={name: os.environ[name] for name in kept if name in os.environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_leaves_the_machine() -> None:
    done = run(CALLS)
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('192.0.2.1', 9), 0.01)",
        "import socket; socket.getaddrinfo('example.invalid', 443)",
        "import httpx; httpx.get('http://example.invalid/')",
        "import subprocess; subprocess.run(['/usr/bin/git', '--version'])",
    ],
)
def test_the_guard_sees_who_tries(attempt: str) -> None:
    done = run(f"try:\n    {attempt}\nexcept Exception:\n    pass\n")
    assert done.returncode == 97
    assert "left the machine" in done.stderr

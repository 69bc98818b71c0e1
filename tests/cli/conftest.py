"""A hub with runs on it, and a shell, with or without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress

import click
import cloudpickle
import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub


def on(hub, *args, **options):
    return HubExecutor(*args, endpoint=hub.endpoint, token=hub.token, **options)


def squared(n):
    print(f"working on {n}")
    if n == 5:
        raise ValueError("five is\nright out")
    return n * n


@pytest.fixture(scope="package")
def hub():
    with LocalHub() as hub:
        yield hub


@pytest.fixture(scope="package", autouse=True)
def _by_value():
    """Jobs have no such file."""
    module = sys.modules[squared.__module__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(scope="package")
def nightly(hub, _by_value):
    """A run of twelve calls that is over; the sixth has failed."""
    with on(hub, 4, name="nightly") as executor:
        futures = [executor.submit(squared, n) for n in range(12)]
        for future in futures:
            future.exception(60)
        return executor._pool.connection.nonce


@pytest.fixture(name="on", scope="package")
def _on():
    return on


@pytest.fixture
def surroundings(hub):
    """What a user exports to work on the hub."""
    left_out = {"COLUMNS", "HFEXECUTOR_ENDPOINT"}
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**env, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}


@pytest.fixture
def until():
    """Wait for a condition."""

    def wait(condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass"
            time.sleep(0.05)

    return wait


@pytest.fixture
def here(hub, monkeypatch):
    """The same for verbs that run in this process."""
    monkeypatch.delenv("HFEXECUTOR_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", hub.token)


@pytest.fixture
def shell(surroundings):
    """Run `hfexecutor` with these words as a shell does; return what has ended."""

    def run(*words, env=None):
        return subprocess.run(
            [sys.executable, "-m", "hfexecutor.cli", *words],
            env={**surroundings, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def terminal(surroundings):
    """Run it in a terminal of a width; return the exit code and the lines on the screen."""

    def run(*words, width, typed=""):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        with subprocess.Popen(
            [sys.executable, "-m", "hfexecutor.cli", *words],
            env={**surroundings, "TERM": "dumb"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        ) as process:
            os.close(slave)
            os.write(master, typed.encode())
            shown = b""
            with suppress(OSError):  # the other end is closed
                while part := os.read(master, 65536):
                    shown += part
            os.close(master)
            code = process.wait(120)
        return code, click.unstyle(shown.decode()).replace("\r\n", "\n").splitlines()

    return run

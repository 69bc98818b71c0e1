"""A client that stood still (SIGSTOP, as with a machine that sleeps) goes on where it was."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

HEAD = """
import os, sys, time
from pathlib import Path

from hfexecutor import HubExecutor

begun = Path({folder!r}, "begun")


def work(number):
    with begun.open("a") as file:
        file.write(f"{{number}}\\n")
    if number == 0:
        while not Path({folder!r}, "go").exists():
            time.sleep(0.01)
    time.sleep(0.05)
    return number * number

"""

OF_ITS_OWN = """
with HubExecutor(
    2, endpoint={endpoint!r}, token={token!r}, name="stood-still", slots_per_job=1,
    idle_timeout=0.5, give_up_after=1, max_retries=0,
) as executor:
    futures = [executor.submit(work, number) for number in range(60)]
    while sum(future.done() for future in futures) < 5:
        time.sleep(0.01)
    print("now", flush=True)
    print([future.result() for future in futures], flush=True)
    assert executor.submit(pow, 2, 5).result() == 32
"""


@pytest.mark.slow
def test_calls_go_on_after_a_client_stood_still_longer_than_anything_waits(hub, tmp_path):
    names = {"folder": str(tmp_path), "endpoint": hub.endpoint, "token": hub.token}
    script = tmp_path / "script.py"
    script.write_text((HEAD + OF_ITS_OWN).format(**names))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        os.kill(process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        (tmp_path / "go").touch()
        deadline = stopped + 60
        # Its jobs finish what they hold, find nobody, and leave.
        while hub.running:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        left = max(0.0, stopped + 3.0 - time.monotonic())
        threading.Event().wait(left)  # it is to last longer than give_up_after
        os.kill(process.pid, signal.SIGCONT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == f"{[number * number for number in range(60)]}\n"
    begun = collections.Counter((tmp_path / "begun").read_text().split())
    assert set(begun.values()) == {1}
    assert hub.running == 0

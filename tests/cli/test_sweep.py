"""`sweep` finds what nobody is in touch with, and leaves alone what somebody is."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from hfexecutor import cli
from hfexecutor.local import LocalHub

SCRIPT = """
import time
from hfexecutor import HubExecutor

with HubExecutor(1, name="left-alone") as executor:
    future = executor.submit(time.sleep, 600)
    while not future.running():
        time.sleep(0.01)
    print("runs", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def hub():
    """One where no other test leaves jobs behind."""
    with LocalHub() as hub:
        yield hub


def swept(capsys, *words):
    code = cli.main(["sweep", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_a_job_whose_client_is_there_is_left_alone(hub, on, here, capsys):
    with on(hub, 1, name="attended", max_retries=0) as executor:
        future = executor.submit(time.sleep, 600)
        while not future.running():
            time.sleep(0.01)

        code, found = swept(capsys, "--yes", "--silent-for", "60")
        assert (code, [one["run"] for one in found]) == (0, [])
        assert not future.done()
        executor.terminate_workers()


def test_a_job_whose_client_was_killed_is_found_and_cancelled(
    hub, here, surroundings, tmp_path, capsys, until
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script)], env=surroundings, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "runs\n"
        process.kill()
    until(lambda: swept(capsys, "--silent-for", "0.5")[0] == 1)  # its last request has run out
    (found,) = swept(capsys, "--silent-for", "0.5")[1]
    assert found["run"] == "left-alone"
    assert not found["canceled"]

    assert cli.main(["sweep", "--silent-for", "0.5"]) == 1
    assert "nothing is cancelled without --yes" in capsys.readouterr().err
    assert hub.running == 1
    assert cli.main(["sweep", "--silent-for", "0.5", "--yes"]) == 0
    told = capsys.readouterr().out
    assert "left-alone" in told
    assert told.endswith("1 cancelled\n")
    until(lambda: hub.running == 0)
    assert cli.main(["sweep"]) == 0
    assert capsys.readouterr().out == "no job of ours is running\n"

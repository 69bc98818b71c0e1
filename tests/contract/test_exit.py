"""What happens to calls when the interpreter ends: always seen from outside, in a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import COLD, kind_of

# The stdlib's show that these tests are fair.
PROCESSES = pytest.param("processes", marks=pytest.mark.slow)

HEAD = """
import atexit, concurrent.futures, hfexecutor, multiprocessing, sys, time

def work(text):
    time.sleep(0.2)
    return text

def show(future):
    print(future.result(), flush=True)
"""


@pytest.fixture(scope="module", params=[PROCESSES, "hub-warm", COLD])
def kind(request):
    """Leave out threads: what they do at the end of a script follows from Python's threads."""
    return kind_of(request)


@pytest.fixture
def run(kind, tmp_path, request):
    """Run a script whose main part gets `executor`; return what it printed."""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if kind.hub:
        hub = request.getfixturevalue("hub")
        environment |= {"HFEXECUTOR_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}

    def run(main, workers=1):
        lines = [f"executor = {kind.source.format(workers=workers)}", *main.strip().splitlines()]
        body = "".join(f"    {line}\n" for line in lines)
        script: Path = tmp_path / "script.py"
        script.write_text(f"{HEAD}\nif __name__ == '__main__':\n{body}")
        done = subprocess.run(
            [sys.executable, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout.splitlines()

    return run


def test_a_script_that_ends_waits_for_its_calls(run):
    printed = run("""
for text in ("one", "two"):
    executor.submit(work, text).add_done_callback(show)
print("end of the script")
""")

    assert printed == ["end of the script", "one", "two"]


def test_shut_down_without_waiting_a_script_still_waits_at_its_end(run):
    printed = run("""
executor.submit(work, "worked").add_done_callback(show)
executor.shutdown(wait=False)
print("end of the script")
""")

    assert printed == ["end of the script", "worked"]


def test_nothing_can_be_submitted_when_the_interpreter_ends(run):
    printed = run("""
executor.submit(work, "worked").add_done_callback(show)

@atexit.register
def too_late():
    try:
        executor.submit(work, "never")
    except RuntimeError as error:
        print("refused:", error)
""")

    assert printed[0] == "worked"
    assert printed[1].startswith("refused: cannot schedule new futures after ")


def test_an_executor_made_when_the_interpreter_ends_takes_nothing(kind, run):
    printed = run(f"""
@atexit.register
def too_late():
    try:
        {kind.source.format(workers=1)}.submit(work, "never")
    except RuntimeError as error:
        print("refused:", error)
""")

    assert printed == ["refused: cannot schedule new futures after interpreter shutdown"]


def test_executors_that_are_idle_or_were_never_used_do_not_hold_the_script(kind, run):
    printed = run(f"""
unused = {kind.source.format(workers=1)}
print(executor.submit(work, "worked").result())
""")

    assert printed == ["worked"]

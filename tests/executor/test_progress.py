"""Progress of real calls, where people look: a pipe and a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

SCRIPT = """
import signal, sys
from hfexecutor import HubExecutor

what, how = sys.argv[1:]

def work(n):
    print("at", n)
    if n == 3 and how == "error":
        raise ValueError("three")
    return n

shown = {what: True}
of_map = shown if what == "progress" and how != "run" else {}
of_run = {} if of_map else shown
with HubExecutor(1, name="demo", **of_run) as executor:
    for n in executor.map(work, range(9), **of_map):
        print(f"result {n}\\n", end="")  # at once: another thread prints, too
        if n == 3 and how == "interrupt":
            signal.raise_signal(signal.SIGINT)
print("after", sys.stdout is sys.__stdout__)
"""


@pytest.fixture
def script(tmp_path, hub):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    environment = {"HFEXECUTOR_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token, "COLUMNS": "80"}

    def run(*arguments, **options):
        command = [sys.executable, str(path), *arguments]
        return subprocess.Popen(command, env={**os.environ, **environment}, text=True, **options)

    return run


RESULTS = [f"result {n}" for n in range(9)]


@pytest.mark.parametrize("where", ["map", pytest.param("run", marks=pytest.mark.slow)])
def test_a_pipe_has_one_line(script, where):
    process = script("progress", where, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)

    assert out.splitlines() == [*RESULTS, "after True"]
    title = "work" if where == "map" else "demo"
    assert re.fullmatch(
        rf"{title}: 9 of 9 done, 1 job\w*( running)?, \$[\d.]+, after [\d:]+\n", err
    )


def test_what_calls_print_is_printed_with_their_number(script):
    process = script("stream_logs", "run", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)

    lines = out.splitlines()
    assert [line for line in lines if not line.startswith("[call ")] == [*RESULTS, "after True"]
    assert {f"[call {n + 1}] at {n}" for n in range(9)} == set(lines) - {*RESULTS, "after True"}
    assert err == ""


@pytest.mark.parametrize("how", ["run", pytest.param("error", marks=pytest.mark.slow), "interrupt"])
def test_a_terminal_is_left_as_it_was(script, how):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = script("progress", how, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = "".join(iter(lambda: read(ours), ""))
    code = process.wait(120)
    os.close(ours)

    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    bars = [line for line in lines if re.match(r"(work|demo)? *\d+%\|", line)]
    assert len(bars) == 1, repr(text)
    if how == "run":
        assert [line for line in lines if line not in {*bars, ""}] == [*RESULTS, "after True"]
        assert "9/9" in bars[0]
        assert code == 0
    else:
        assert lines.index(bars[0]) < lines.index("Traceback (most recent call last):")
        assert [line for line in lines if line.startswith("result")] == RESULTS[
            : 3 + (how[0] == "i")
        ]
        assert code != 0


def read(terminal):
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:  # nobody has the other end any more
        return ""

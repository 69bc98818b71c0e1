"""What a job's process has loaded, leaves behind, and takes for Python's own."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest
from worker_process import WorkerProcess, call_entry, entries

SLOW = {
    "asyncio", "cloudpickle", "dataclasses", "enum", "inspect", "json", "linecache", "logging",
    "pathlib", "pickle", "re", "socket", "subprocess", "tempfile", "threading", "traceback",
    "typing",
}  # fmt: skip


def imported(expression):
    import sys

    return sorted(sys.modules)


@pytest.mark.parametrize("function", [builtins.eval, imported], ids=["name", "value"])
def test_a_plain_call_pays_for_no_slow_import(function):
    # Without -S the environment's own .pth files import what they like, so those do not count.
    before = call_entry(1, function, "sorted(__import__('sys').modules)")
    with WorkerProcess(before, one_shot=True) as worker:
        loaded = set(worker.outcome(1).value())
        worker.bye()
    code = "import sys; print(*sys.modules)"
    start = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (loaded - set(start.stdout.split())) & SLOW == set()


def test_nothing_is_left_in_the_temporary_directory(tmp_path):
    calls = [
        call_entry(1, builtins.eval, "__import__('os')._exit(1)"),
        call_entry(2, builtins.abs, -5),
    ]
    with WorkerProcess(*calls, env={"TMPDIR": str(tmp_path)}, one_shot=True) as worker:
        assert worker.bye()["calls"] == 2
        assert worker.outcomes[2].value() == 5
    assert list(tmp_path.iterdir()) == []


def test_modules_of_the_working_directory_do_not_pass_for_pythons(tmp_path, monkeypatch):
    (tmp_path / "select.py").write_text("raise RuntimeError('not this one')")
    (tmp_path / "mine.py").write_text("value = 5")
    monkeypatch.chdir(tmp_path)
    calls = [call_entry(1, builtins.eval, "__import__('mine').value")]
    with WorkerProcess(*calls, one_shot=True) as worker:
        assert worker.outcome(1).value() == 5
        assert entries.HELLO in worker.said

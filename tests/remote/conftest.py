"""A worker for the tests of a module: what travels, run as a job runs it."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:  # pytest imports tests by path, so their helpers have to be findable
    sys.path.insert(0, HERE)

from worker_process import WorkerProcess, call_entry  # noqa: E402


@pytest.fixture(scope="module")
def worker():
    with WorkerProcess() as running:
        yield running


@pytest.fixture
def run(worker):
    """Run a call and return its outcome, then see that the next call works."""

    def run_one(function, *args, **kwargs):
        number = worker.number + 1
        worker.tell(call_entry(number, function, *args, **kwargs))
        outcome = worker.outcome(number)
        worker.until(lambda: outcome.printed <= len(worker.printed.get(number, {})))
        run_one.printed = worker.text(number)
        following = worker.number + 1
        worker.tell(call_entry(following, math.sqrt, 9))
        assert worker.outcome(following).value() == 3
        return outcome

    return run_one


@pytest.fixture
def gate(tmp_path):
    return str(tmp_path / "gate")

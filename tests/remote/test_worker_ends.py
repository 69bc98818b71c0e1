"""How a worker comes to its end, and what it says before."""

# ruff: noqa: PTH108 - calls travel by value, and take along what they import

from __future__ import annotations

import math
import os
from pathlib import Path

import cloudpickle
from worker_process import (
    DEADLINE,
    WorkerProcess,
    by_value,
    call_entry,
    entries,
    gone,
    nap,
    outcomes,
    touch_and_wait,
    wait_for,
)


def test_one_shot_leaves_when_its_calls_are_done():
    calls = [call_entry(i, math.sqrt, i) for i in range(1, 6)]
    with WorkerProcess(*calls, one_shot=True, slots=2) as worker:
        assert worker.bye() == {"why": "done", "calls": 5, "returned": False}
        assert [worker.outcomes[i].value() for i in range(1, 6)] == [
            math.sqrt(i) for i in range(1, 6)
        ]
        assert worker.hello()["door"] is None
        assert worker.order[0] == (entries.HELLO, 0)
        assert worker.errors == b""


def test_one_shot_without_calls_leaves_at_once():
    with WorkerProcess(one_shot=True) as worker:
        assert worker.bye()["calls"] == 0


def test_a_worker_leaves_after_its_idle_timeout():
    with WorkerProcess(call_entry(1, math.sqrt, 4), idle_timeout=0.1) as worker:
        assert worker.bye()["why"] == "idle"
        assert worker.outcomes[1].value() == 2


def test_work_keeps_a_worker_from_being_idle():
    with WorkerProcess(call_entry(1, by_value(nap), 0.4), idle_timeout=0.1) as worker:
        worker.bye()
        assert worker.outcomes[1].status == outcomes.VALUE


def test_leave_lets_the_held_calls_finish(gate):
    with WorkerProcess(
        call_entry(1, by_value(touch_and_wait), gate), call_entry(2, math.sqrt, 4)
    ) as worker:
        wait_for(gate)
        worker.tell(worker.order_of(entries.LEAVE))
        os.unlink(gate)
        assert worker.bye() == {"why": "asked", "calls": 2, "returned": False}
        assert worker.outcomes[2].value() == 2


def test_sigterm_ends_it_at_once_with_last_words(gate):
    with WorkerProcess(
        call_entry(1, by_value(touch_and_wait), gate), call_entry(2, math.sqrt, 4)
    ) as worker:
        wait_for(gate)
        worker.terminate()
        assert worker.bye() == {"why": "asked", "calls": 0, "returned": True}


def test_it_ends_with_its_children_when_nobody_can_read_its_log(gate):
    reading, writing = os.pipe()
    with WorkerProcess(call_entry(1, by_value(touch_and_wait), gate), log=writing) as worker:
        os.close(writing)
        wait_for(gate)
        pid = worker.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.close(reading)
        assert worker.process.wait(DEADLINE) == 0
        assert len(children) == 1
        assert gone(int(children[0]))


# --- initializers


def test_an_initializer_runs_once_in_each_child():
    def prepare(value):
        import sys

        print("preparing")
        sys.prepared = [*getattr(sys, "prepared", []), value]

    def look():
        import os
        import sys

        return os.getpid(), sys.prepared

    init = entries.Entry(entries.INIT, 0, 0, 1, cloudpickle.dumps((by_value(prepare), ("ready",))))
    with WorkerProcess(init, call_entry(1, look), call_entry(2, look)) as worker:
        first, second = worker.outcome(1).value(), worker.outcome(2).value()
        assert first == second
        assert first[1] == ["ready"]
        assert worker.outcomes[1].printed == 0
        assert worker.text(0) == ["preparing"]


def test_a_failing_initializer_ends_the_worker():
    def prepare():
        raise ValueError("no licence")

    init = entries.Entry(entries.INIT, 0, 0, 1, cloudpickle.dumps((by_value(prepare), ())))
    with WorkerProcess(init, call_entry(1, math.sqrt, 4)) as worker:
        assert worker.bye() == {"why": "initializer", "calls": 0, "returned": True}
        assert set(worker.outcomes) == {0}
        assert worker.outcomes[0].status == outcomes.INITIALIZER
        assert "no licence" in str(worker.outcomes[0].exception())


def test_an_initializer_that_kills_its_child_ends_the_worker():
    init = entries.Entry(
        entries.INIT, 0, 0, 1, b"cos\n_exit\n(I4\nt\x86.".replace(b"t\x86.", b"t") + b"\x86."
    )
    with WorkerProcess(init, call_entry(1, math.sqrt, 4)) as worker:
        assert worker.bye()["why"] == "initializer"
        details = worker.outcomes[0].details()
        assert (details["during"], details["exitcode"]) == ("initializer", 4)

"""What a client orders a worker to do: give back, kill, say again; and when calls wait for none."""

# ruff: noqa: PTH108, PTH123 - calls travel by value, and take along what they import

from __future__ import annotations

import math
import os
from pathlib import Path

from worker_process import (
    WorkerProcess,
    by_value,
    call_entry,
    entries,
    gone,
    limited_entry,
    outcomes,
    touch_and_wait,
    wait_for,
)

# --- timeouts, recall, kill


def test_a_call_that_takes_too_long_is_killed_with_what_it_started(tmp_path):
    def start_and_wait(path):
        import subprocess
        import time

        child = subprocess.Popen(["sleep", "60"])
        with open(path, "w") as file:
            file.write(str(child.pid))
        print("waiting")
        time.sleep(60)

    path = str(tmp_path / "pid")
    calls = [limited_entry(0.5, 1, start_and_wait, path), call_entry(2, math.sqrt, 4)]
    with WorkerProcess(*calls) as worker:
        outcome = worker.outcome(1)
        assert outcome.status == outcomes.TIMEOUT
        assert outcome.details() == {"seconds": 0.5}
        assert outcome.printed == 1
        assert worker.text(1) == ["waiting"]
        assert outcome.duration >= 0.5
        assert gone(int(Path(path).read_text()))
        assert worker.outcome(2).value() == 2


def test_recall_gives_back_what_has_not_begun(gate):
    calls = [call_entry(i, math.sqrt, i) for i in range(2, 6)]
    with WorkerProcess(call_entry(1, by_value(touch_and_wait), gate), *calls) as worker:
        wait_for(gate)
        assert worker.given_back(worker.tell(worker.order_of(entries.RECALL, 1, 3, 77))) == [3]
        assert worker.given_back(worker.tell(worker.order_of(entries.RECALL))) == [2, 4, 5]
        worker.tell(call_entry(4, math.sqrt, 4))  # it may come again
        os.unlink(gate)
        assert worker.outcome(4).value() == 2
        assert set(worker.outcomes) == {1, 4}


def test_kill_ends_a_running_call_and_gives_back_a_waiting_one(gate):
    calls = [
        call_entry(1, by_value(touch_and_wait), gate),
        call_entry(2, math.sqrt, 2),
        call_entry(3, math.sqrt, 9),
    ]
    with WorkerProcess(*calls) as worker:
        wait_for(gate)
        assert worker.given_back(worker.tell(worker.order_of(entries.KILL, 1, 2))) == [2]
        outcome = worker.outcome(1)
        assert outcome.status == outcomes.DIED
        assert outcome.details()["asked"]
        assert outcome.details()["signal"] == 9
        assert worker.outcome(3).value() == 3
        assert 2 not in worker.outcomes


def test_what_was_given_ahead_of_a_slow_call_can_be_taken_back(gate):
    """Micro-calls make the worker give calls ahead; a slow one among them holds up nobody."""
    with WorkerProcess(call_entry(1, math.sqrt, 4)) as worker:
        worker.outcome(1)
        micro = [call_entry(i, math.sqrt, 4) for i in range(10, 100)]
        rest = [call_entry(i, math.sqrt, 4) for i in range(200, 300)]
        worker.tell(*micro, call_entry(100, by_value(touch_and_wait), gate), *rest)
        wait_for(gate)
        back = worker.given_back(worker.tell(worker.order_of(entries.RECALL)))
        assert back == list(range(200, 300))
        os.unlink(gate)
        worker.outcome(100)
        worker.tell(worker.order_of(entries.LEAVE))
        worker.bye()
        assert not set(back) & set(worker.outcomes)


def test_no_call_waits_behind_a_long_one_while_a_slot_is_idle(gate):
    calls = [call_entry(1, by_value(touch_and_wait), gate)]
    calls += [call_entry(i, math.sqrt, i) for i in range(2, 200)]
    with WorkerProcess(*calls, slots=2) as worker:
        worker.until(lambda: all(i in worker.outcomes for i in range(2, 200)))
        assert 1 not in worker.outcomes
        wait_for(gate)
        os.unlink(gate)
        worker.outcome(1)


def test_the_slots_run_at_once(tmp_path):
    gates = [str(tmp_path / name) for name in "abc"]
    calls = [call_entry(i, by_value(touch_and_wait), path) for i, path in enumerate(gates, 1)]
    with WorkerProcess(*calls, slots=3) as worker:
        for path in gates:
            wait_for(path)
        for path in gates:
            os.unlink(path)
        for number in (1, 2, 3):
            worker.outcome(number)


def test_auto_takes_the_cores_that_the_job_was_given():
    def threads():
        import os

        return os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]

    env = {"CPU_CORES": "6", "MKL_NUM_THREADS": "5"}
    with WorkerProcess(call_entry(1, threads), slots="auto", env=env) as worker:
        assert worker.hello()["slots"] == 6
        assert worker.outcome(1).value() == ("1", "5")


# --- acknowledgements


def test_what_was_not_acknowledged_is_said_again_when_asked():
    with WorkerProcess(call_entry(1, math.sqrt, 4), call_entry(2, math.sqrt, 9)) as worker:
        worker.outcome(1)
        worker.outcome(2)
        worker.tell(worker.order_of(entries.ACK, 1))
        for calls in ((), (1, 2)):
            reply = worker.tell(worker.order_of(entries.AGAIN, *calls))
            assert [entry.call for entry in reply if entry.kind == entries.OUTCOME] == [2]


def test_what_was_not_acknowledged_is_said_again_when_much_was_printed():
    def speak(count):
        for i in range(count):
            print(i)

    with WorkerProcess(call_entry(1, math.sqrt, 4)) as worker:
        worker.outcome(1)
        worker.tell(call_entry(2, by_value(speak), 400))
        worker.outcome(2)
        worker.until(lambda: worker.times_said[1] == 2)


def test_one_shot_says_early_outcomes_again_at_the_end():
    def speak(count):
        for i in range(count):
            print(i)

    calls = [call_entry(1, math.sqrt, 4), call_entry(2, by_value(speak), 1000)]
    with WorkerProcess(*calls, one_shot=True) as worker:
        worker.bye()
        assert worker.times_said[1] >= 2
        last = len(worker.order) - 1 - worker.order[::-1].index((entries.OUTCOME, 1))
        assert worker.order[last:].count((entries.SPEAKER, 2)) <= 4

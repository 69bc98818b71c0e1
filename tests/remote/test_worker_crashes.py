"""Calls that end their process, or try to, in a real worker; then the next one works."""

from __future__ import annotations

import pytest
from worker_process import outcomes


def test_os_exit_ends_the_call_with_its_code(run):
    def leave():
        import os

        os._exit(3)

    outcome = run(leave)
    assert outcome.status == outcomes.DIED
    details = outcome.details()
    assert (details["exitcode"], details["signal"], details["during"]) == (3, None, "call")
    assert not details["asked"]


@pytest.mark.parametrize("number", [9, 11, 6, 15])
def test_a_signal_ends_the_call_with_its_number(run, number):
    def die(number):
        import os

        os.kill(os.getpid(), number)

    details = run(die, number).details()
    assert (details["exitcode"], details["signal"]) == (None, number)


def test_a_segfault_says_where(run):
    def crash():
        import ctypes

        print("before the crash")
        ctypes.string_at(0)

    outcome = run(crash)
    assert outcome.details()["signal"] == 11
    assert "before the crash" in run.printed
    assert any("Segmentation fault" in line for line in run.printed)
    assert outcome.printed == len(run.printed)


def test_closing_the_small_descriptors_does_no_harm(run):
    def close():
        import os

        os.closerange(0, 256)

    assert run(close).status == outcomes.VALUE


def test_closing_all_descriptors_ends_that_call_only(run):
    def close():
        import os

        os.closerange(0, 5000)

    outcome = run(close)
    assert outcome.status == outcomes.DIED
    assert outcome.details()["exitcode"] == 71


def test_closing_stdout_is_repaired(run):
    def close():
        import sys

        print("said")
        sys.stdout.close()
        sys.stderr.close()

    def speak():
        print("heard again")

    assert run(close).status == outcomes.VALUE
    assert run.printed == ["said"]
    run(speak)
    assert run.printed == ["heard again"]


def test_replacing_stdout_does_no_harm(run):
    def replace():
        import sys

        sys.stdout = None
        sys.stderr = object()

    def speak():
        print("heard again")

    assert run(replace).status == outcomes.VALUE
    run(speak)
    assert run.printed == ["heard again"]


def test_a_forked_copy_of_the_call_answers_nothing(worker, run):
    def fork():
        import os

        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return pid

    before = dict(worker.times_said)
    assert run(fork).value() > 0
    assert all(worker.times_said[call] == 1 for call in set(worker.times_said) - set(before))


def test_threads_and_processes_left_behind_do_no_harm(run):
    def leave_behind():
        import subprocess
        import threading
        import time

        threading.Thread(target=time.sleep, args=(30,)).start()
        return subprocess.Popen(["sleep", "30"]).pid

    assert run(leave_behind).status == outcomes.VALUE


def test_a_callers_processes_find_what_is_installed(run):
    def spawn():
        import multiprocessing
        import sys

        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            return pool.apply(abs, (-5,)), sys.flags.no_site

    assert run(spawn).value() == (5, 0)

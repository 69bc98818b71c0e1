"""What calls print, in a real worker process: whose it is, in what lines, and how much of it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import cloudpickle
import pytest
from worker_process import DEADLINE, WorkerProcess, by_value, call_entry, entries, frames

CAP = 20_000


@pytest.fixture(scope="module")
def worker():
    with WorkerProcess(print_cap=CAP) as running:
        yield running


@pytest.fixture
def printed(worker):
    """Run a call and return the lines that it printed."""

    def run(function, *args):
        number = worker.number + 1
        worker.tell(call_entry(number, function, *args))
        outcome = worker.outcome(number)
        assert outcome.value() is None
        return worker.text(number)

    return run


def test_each_line_is_a_line(printed):
    def speak():
        print("one")
        print("two\nthree")
        print("four", end="")

    assert printed(speak) == ["one", "two", "three", "four"]


def test_stderr_and_processes_are_heard_in_order(printed):
    def speak():
        import os
        import sys

        print("out")
        print("err", file=sys.stderr)
        os.system("echo system")
        os.write(1, b"raw\n")

    assert printed(speak) == ["out", "err", "system", "raw"]


def test_four_thousand_prints_without_a_newline_are_one_line(printed):
    def speak():
        for _ in range(4000):
            print("abc", end="")

    assert printed(speak) == ["abc" * 4000]


def test_bytes_that_are_no_text_do_no_harm(printed):
    def speak():
        import os

        os.write(1, bytes(range(256)).replace(b"\n", b"") + b"\nnext\n")

    lines = printed(speak)
    assert lines[-1] == "next"
    assert "ABC" in lines[0]


def test_a_character_is_not_cut_in_two(printed):
    def speak():
        print("x" + "é" * 3000)

    assert printed(speak) == ["x" + "é" * 3000]


def test_a_progress_bar_is_seen_while_it_moves(worker):
    def speak():
        import sys
        import time

        for i in range(17):
            sys.stderr.write(f"\r {i}%")
            sys.stderr.flush()
            time.sleep(0.1)
        sys.stderr.write("\n")

    number = worker.number + 1
    worker.tell(call_entry(number, speak))
    worker.until(lambda: worker.text(number) != [])
    assert number not in worker.outcomes
    assert worker.text(number)[0].startswith("\r 0%")
    worker.outcome(number)
    assert worker.text(number) == ["".join(f"\r {i}%" for i in range(17))]


def test_a_line_that_looks_like_a_frame_is_a_line(worker, printed):
    forged = "#hfx1:00000000:0:AAAA:" + "A" * 22 + ";"

    def speak(text):
        print(text)

    before = worker.forged
    assert printed(speak, forged) == [forged]
    assert worker.forged == before + 1


def test_of_a_flood_the_beginning_and_the_end_are_shown(printed):
    def speak():
        for i in range(100_000):
            print("line", i)

    lines = printed(speak)
    (gap,) = [line for line in lines if line.startswith("[hfexecutor:")]
    shown = [line for line in lines if line != gap]
    first = lines.index(gap)
    missing = int(gap.split()[1].replace(",", ""))
    assert lines[:3] == ["line 0", "line 1", "line 2"]
    assert lines[-1] == "line 99999"
    assert abs(len(shown) + missing - 100_000) <= 1
    assert sum(map(len, shown)) <= CAP
    assert first > 100
    assert len(lines) - first > 100


def cpu_seconds(pid):
    """Return what a process has used: unlike a clock, it says little of who else is busy."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_flood_is_as_fast_as_it_can_be_and_takes_no_memory(worker, printed):
    def speak(megabytes):
        import os

        for _ in range(megabytes):
            os.write(1, b"x" * 99 + b"\n" * 1 + b"y" * ((1 << 20) - 100))

    before = cpu_seconds(worker.process.pid)
    lines = printed(speak, 200)
    assert cpu_seconds(worker.process.pid) - before < 5
    assert sum(map(len, lines)) < 2 * CAP
    assert "199 lines (209.7 MB)" in "".join(lines)
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < 80_000


def test_micro_calls_that_are_given_ahead_keep_their_lines_apart(worker):
    def speak(number):
        if number % 3:
            print("call", number)

    function = entries.Entry(entries.FUNCTION, 900, 0, 1, cloudpickle.dumps(by_value(speak)))
    first = worker.number + 1000
    calls = [
        entries.Entry(
            entries.CALL,
            first + i,
            0,
            1,
            entries.call_head(900) + cloudpickle.dumps(((i,), {})),
        )
        for i in range(500)
    ]
    worker.tell(function, *calls)
    worker.until(lambda: all(first + i in worker.outcomes for i in range(500)))

    for i in range(500):
        assert worker.text(first + i) == ([f"call {i}"] if i % 3 else [])
        assert worker.outcomes[first + i].printed == (1 if i % 3 else 0)


def test_two_slots_that_print_at_once_keep_their_lines_apart():
    def speak(name):
        import time

        for i in range(50):
            print(name, i)
            time.sleep(0.001)

    calls = [call_entry(i, speak, f"call-{i}") for i in (1, 2)]
    with WorkerProcess(*calls, slots=2) as worker:
        for number in (1, 2):
            assert worker.outcome(number).printed == 50
            assert worker.text(number) == [f"call-{number} {i}" for i in range(50)]


def test_what_a_thread_prints_between_calls_is_nobodys(worker):
    def leave():
        import threading

        timer = threading.Timer(0.1, lambda: print("from the thread", flush=True))
        timer.start()

    number = worker.number + 1
    worker.tell(call_entry(number, leave))
    worker.outcome(number)
    worker.until(lambda: "from the thread" in worker.plain)
    assert worker.text(number) == []


def test_the_name_of_the_speaker_is_repeated(worker, printed):
    def speak():
        for i in range(250):
            print(i)

    before = worker.order.count((entries.SPEAKER, worker.number + 1))
    assert len(printed(speak)) == 250
    assert worker.order.count((entries.SPEAKER, worker.number)) - before == 3


def test_a_log_that_is_not_read_holds_up_neither_the_door_nor_the_calls(tmp_path):
    def speak(path):
        for i in range(20_000):
            print("line", i)
        with open(path, "w"):  # noqa: PTH123 - it travels
            pass

    reading, writing = os.pipe()
    path = tmp_path / "done"
    with WorkerProcess(call_entry(1, speak, str(path)), log=writing, one_shot=False) as worker:
        os.close(writing)
        limit = time.monotonic() + DEADLINE
        while not path.exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", worker.port), timeout=DEADLINE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        reader, said, told = frames.LineReader(worker.seal), [], False
        with os.fdopen(reading) as log:
            for line in log:
                said += [entry.kind for entry in reader.feed(line).entries]
                if not told and entries.OUTCOME in said:  # before, it might not have heard of it
                    told = True
                    worker.terminate()
        assert told
        assert said[-1] == entries.BYE
        assert worker.process.wait(DEADLINE) == 0

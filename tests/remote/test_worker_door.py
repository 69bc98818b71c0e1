"""The door of a real worker, and what nobody finds behind it."""

# ruff: noqa: PTH108, PTH123 - calls travel by value, and take along what they import

from __future__ import annotations

import math
import os
import socket

import pytest
from worker_process import (
    DEADLINE,
    WorkerProcess,
    by_value,
    call_entry,
    entries,
    frames,
    nap,
    outcomes,
    plain,
    touch_and_wait,
    wait_for,
)


def test_the_same_message_twice_is_done_once():
    with WorkerProcess() as worker:
        worker.hello()
        message = frames.seal_message(worker.seal, 5, frames.pack([call_entry(1, math.sqrt, 4)]))
        first, second = worker.post(message), worker.post(message)
        assert first == second
        assert first[0] == 200
        worker.outcome(1)
        worker.tell(worker.order_of(entries.ACK, 1), number=6)
        assert worker.post(message) == first
        worker.tell(call_entry(2, math.sqrt, 9), number=3)  # overtaken on its way
        assert worker.outcome(2).value() == 3
        assert worker.times_said[1] == 1


def test_a_message_without_the_key_is_refused_and_reported():
    with WorkerProcess() as worker:
        worker.hello()
        stranger = frames.Seal(b"another key")
        message = frames.seal_message(stranger, 1, frames.pack([call_entry(1, math.sqrt, 4)]))
        assert worker.post(message) == (403, b"")
        assert worker.post(b"") == (403, b"")
        assert worker.post(b"x" * 1000) == (403, b"")
        worker.tell(call_entry(2, math.sqrt, 9))
        worker.outcome(2)
        assert worker.order.count((entries.REFUSED, 0)) == 1
        assert 1 not in worker.outcomes


def test_the_launch_message_cannot_be_sent_again_through_the_door():
    with WorkerProcess() as worker:
        worker.hello()
        message = frames.seal_message(worker.seal, 0, frames.pack([call_entry(1, math.sqrt, 4)]))
        assert worker.post(message)[0] == 409


def test_somebody_is_at_home():
    with WorkerProcess() as worker:
        worker.hello()
        with socket.create_connection(("127.0.0.1", worker.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"hfexecutor worker\n")


def test_a_body_that_is_too_large_is_refused_before_it_comes():
    with WorkerProcess() as worker:
        worker.hello()
        with socket.create_connection(("127.0.0.1", worker.port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_strangers_who_say_nothing_keep_nobody_out():
    with WorkerProcess() as worker:
        worker.hello()
        strangers = [socket.create_connection(("127.0.0.1", worker.port)) for _ in range(40)]
        worker.tell(call_entry(1, math.sqrt, 4))
        assert worker.outcome(1).value() == 2
        for stranger in strangers:
            stranger.close()


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with WorkerProcess(call_entry(1, math.sqrt, 4), port=port, idle_timeout=0.2) as worker:
            assert worker.hello()["door"] is None
            assert "in use" in worker.hello()["door_error"]
            worker.bye()
            assert worker.outcomes[1].value() == 2


def test_ten_megabytes_there_and_back():
    def same(data):
        return data

    data = os.urandom(10 << 20)
    with WorkerProcess() as worker:
        worker.tell(call_entry(1, same, data))
        assert worker.outcome(1).value() == data


def test_a_large_call_does_not_hold_up_the_door(gate):
    def same(data):
        return len(data)

    with WorkerProcess(call_entry(1, by_value(touch_and_wait), gate)) as worker:
        wait_for(gate)
        worker.tell(call_entry(2, same, b"x" * (8 << 20)))
        assert plain.unpack(worker.tell()[1].data) == {"unacked": 0}
        os.unlink(gate)
        assert worker.outcome(2).value() == 8 << 20


# --- secrets


@pytest.mark.parametrize("careful", [False, True])
def test_no_process_of_the_job_has_the_key_in_its_environment(careful):
    def look():
        import os
        import posix

        texts = [str(posix.environ)]
        for pid in (os.getpid(), os.getppid()):
            with open(f"/proc/{pid}/environ") as file:
                texts.append(file.read())
        return texts, dict(os.environ)

    with WorkerProcess(call_entry(1, look), env={"MINE": "kept"}, careful=careful) as worker:
        texts, environment = worker.outcome(1).value()
        for text in (*texts, str(environment)):
            assert "HFEXECUTOR" not in text
            assert worker.key.hex() not in text
            assert "kept" in text


def test_a_call_finds_neither_seal_nor_other_calls_in_its_memory():
    def look():
        import gc
        import os

        gc.collect()
        kinds = {type(item).__name__ for item in gc.get_objects()}
        return kinds & {"Seal", "HMAC", "Entry", "LineWriter", "Desk", "socket"}, sorted(
            int(fd) for fd in os.listdir("/proc/self/fd")
        )

    with WorkerProcess() as worker:
        worker.tell(
            call_entry(1, by_value(nap), 0.05), call_entry(2, os._exit, 1), call_entry(3, look)
        )
        kinds, descriptors = worker.outcome(3).value()
        assert kinds == set()
        assert len([fd for fd in descriptors if fd > 3]) == 5


def test_a_wrong_python_is_told_before_anything_is_unpickled():
    with WorkerProcess(call_entry(1, math.sqrt, 4), wanted="3.10") as worker:
        worker.until(lambda: entries.BYE in worker.said)
        assert worker.said[entries.BYE] == {"why": "python", "calls": 0}
        assert worker.outcomes[1].status == outcomes.MISMATCH
        assert worker.outcomes[1].details()["wanted"] == [3, 10]
        assert "3.10" in worker.plain[0]
        assert worker.process.wait(DEADLINE) == 0

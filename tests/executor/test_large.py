"""Values of many megabytes go through the door, both ways; the log is no way for them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f

MEGABYTE = 1 << 20


def same(data: bytes) -> bytes:
    return data


def grow(n: int) -> bytes:
    return hashlib.shake_128(str(n).encode()).digest(3 * MEGABYTE + n)


def test_ten_megabytes_come_back_whole_and_stay_out_of_the_log(
    warm: HubExecutor, hub: LocalHub
) -> None:
    data = os.urandom(10 * MEGABYTE)
    warm.submit(same, b"").result(30)  # the door is known from then on
    future = warm.submit(same, data)
    assert future.result(60) == data
    (job,) = (job for job in hub.jobs() if job.id == future.job_id)
    assert job.lines < 50


def test_more_than_a_worker_keeps_arrives_all_the_same(warm: HubExecutor) -> None:
    futures = [warm.submit(grow, n) for n in range(40)]  # 120 MB
    for n, future in enumerate(futures):
        assert future.result(120) == grow(n)


def test_the_first_large_value_stays_out_of_the_log_as_well(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    with make(1) as executor:
        future = executor.submit(grow, 1)
        assert future.result(60) == grow(1)
        (job,) = (job for job in hub.jobs() if job.id == future.job_id)
        assert job.lines < 50


# A client that may take 100 MB more, and a result of twice as much.
NO_ROOM = """
import resource, sys
from hfexecutor import HubExecutor, PayloadTooLargeError
with HubExecutor(1, endpoint=sys.argv[1], token=sys.argv[2]) as executor:
    executor.submit(bytes, 1 << 20).result()
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 100_000_000,) * 2)
    future = executor.submit(bytes, 200_000_000)
    error = future.exception(60)
    assert type(error) is PayloadTooLargeError, error
    print(error)
    assert executor.submit(pow, 2, 5).result(60) == 32
    assert executor.submit(pow, 2, 6).result(60) == 64
"""


def test_a_result_that_this_process_cannot_hold_is_an_error_on_its_future(hub: LocalHub) -> None:
    command = [sys.executable, "-c", NO_ROOM, hub.endpoint, hub.token]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "200,000," in done.stdout
    assert "Return less" in done.stdout


def mixed(n: int) -> dict[str, object]:
    return {"bytes": bytes(n), "bytearray": bytearray(n), "list": list(range(n)), "text": "x" * n}


def test_large_parts_of_a_value_are_of_the_type_that_they_were(warm: HubExecutor) -> None:
    value = warm.submit(mixed, MEGABYTE).result(60)
    assert value == mixed(MEGABYTE)
    assert {type(part) for part in value.values()} == {bytes, bytearray, list, str}


def test_large_values_survive_bad_doors_and_a_narrow_log(make: Callable[..., HubExecutor]) -> None:
    bad = [
        f.DoorFault(how="drop", probability=0.1),
        f.DoorFault(how="deliver", probability=0.1),
        f.DoorFault(how="refuse", probability=0.1),
    ]
    with LocalHub(log_window=30, faults=bad, seed=3) as hub:
        with make(endpoint=hub.endpoint, token=hub.token) as executor:
            for n, value in enumerate(executor.map(grow, range(8))):
                assert value == grow(n)
        assert hub.running == 0


def test_a_large_value_whose_lines_are_out_of_sight_is_fetched(
    make: Callable[..., HubExecutor],
) -> None:
    with LocalHub(log_window=5, faults=[f.StallLog(lines=100, times=1)]) as hub:
        with make(1, endpoint=hub.endpoint, token=hub.token) as executor:
            assert executor.submit(grow, 1).result(60) == grow(1)
            assert executor.stats().retried == 0


def test_the_first_large_value_does_not_wait_for_a_door(make: Callable[..., HubExecutor]) -> None:
    with make(reuse_workers=False) as executor:
        assert executor.submit(grow, 1).result(60) == grow(1)

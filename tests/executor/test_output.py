"""What a call prints is its own, and an ordinary log line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub


def speak(text: str) -> None:
    print(text)
    print(text, file=sys.stderr)
    sys.stdout.flush()
    os.write(1, f"raw {text}\n".encode())
    subprocess.run(["echo", f"child {text}"], check=True)


def flood(lines: int) -> int:
    for n in range(lines):
        print(f"line {n} " + "y" * 90)
    return lines


def forge() -> str:
    print("#hfx1:00000000:0:AAAA:AAAAAAAAAAAAAAAAAAAAAA;")
    return "honest"


def test_a_call_keeps_what_it_printed(executor: HubExecutor) -> None:
    future = executor.submit(speak, "hello")
    assert future.result(30) is None
    assert sorted(future.logs().splitlines()) == ["child hello", "hello", "hello", "raw hello"]


def test_calls_do_not_get_each_others_lines(make: Callable[..., HubExecutor]) -> None:
    with make(3, slots_per_job=3) as executor:
        futures = [executor.submit(speak, f"call {n}") for n in range(12)]
        for n, future in enumerate(futures):
            future.result(30)
            words = sorted(future.logs().splitlines())
            assert words == [f"call {n}", f"call {n}", f"child call {n}", f"raw call {n}"]
    assert executor.stats().jobs_started == 1


def test_a_flood_keeps_its_head_and_its_tail(executor: HubExecutor) -> None:
    future = executor.submit(flood, 20_000)
    assert future.result(60) == 20_000
    lines = future.logs().splitlines()
    assert lines[0].startswith("line 0 ")
    assert lines[-1].startswith("line 19999 ")
    assert any("not shown" in line for line in lines)
    assert len(future.logs()) < 400_000


def test_a_printed_frame_forges_nothing(executor: HubExecutor) -> None:
    future = executor.submit(forge)
    assert future.result(30) == "honest"
    assert future.logs().startswith("#hfx1:")


# The library reads on for seconds in the log of a job that still runs.
@pytest.mark.parametrize("mode", [pytest.param("warm", marks=pytest.mark.slow), "cold"])
def test_printed_lines_are_ordinary_lines_of_the_jobs_log(
    executor: HubExecutor, hub: LocalHub
) -> None:
    from huggingface_hub import HfApi

    future = executor.submit(print, "for everybody to read")
    future.result(30)
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    assert future.job_id is not None
    lines = api.fetch_job_logs(job_id=future.job_id, namespace=hub.namespace)
    assert "for everybody to read" in list(lines)

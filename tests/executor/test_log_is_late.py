"""Outcomes and printed lines come through the door where the log does not bring them.

The hub of these tests shows of each log its first line and HELLO, and never anything more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfexecutor import CallDiedError, HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub(faults=[f.StallLog(lines=2)]) as running:
        yield running


@pytest.fixture(scope="module")
def deaf(hub: LocalHub) -> Iterator[HubExecutor]:
    with HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
        yield executor
    assert hub.running == 0


def echo(value: object) -> object:
    return value


def say(*lines: str) -> int:
    for line in lines:
        print(line)
    print("the end", end="")
    return len(lines)


def say_and_wait(path: str) -> None:
    import pathlib
    import time

    print("begun")
    while not pathlib.Path(path).exists():
        time.sleep(0.01)


def fail() -> None:
    raise LookupError("nowhere")


def die() -> None:
    import os

    os._exit(3)


def test_what_a_call_has_printed_is_there_with_its_result(deaf: HubExecutor) -> None:
    for _ in range(10):
        future = deaf.submit(say, "one", "zwölf")

        assert future.result(60) == 2
        assert future.logs() == "one\nzwölf\nthe end"


def test_lines_come_while_the_call_runs(deaf: HubExecutor, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    future = deaf.submit(say_and_wait, str(gate))
    deadline = time.monotonic() + 60
    while "begun" not in future.logs():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not future.done()
    gate.touch()
    future.result(60)


def test_calls_may_end_in_any_way(deaf: HubExecutor) -> None:
    with pytest.raises(LookupError, match="nowhere"):
        deaf.submit(fail).result(60)
    with pytest.raises(CallDiedError):
        deaf.submit(die).result(60)
    assert deaf.submit(echo, b"x" * 3_000_000).result(60) == b"x" * 3_000_000


def test_many_calls_come_in_few_answers(deaf: HubExecutor, hub: LocalHub) -> None:
    before = hub.requests["POST door"]

    assert list(deaf.map(echo, range(500), timeout=60)) == list(range(500))

    assert hub.requests["POST door"] - before < 500

"""A program may have chosen another event loop for all that it runs: ours are not among it."""

from __future__ import annotations

import asyncio
import os

import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub

uvloop = pytest.importorskip("uvloop")


@pytest.fixture(autouse=True)
def _uvloop_for_all():
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(None)


def swapped(data: bytes) -> bytes:
    return data[::-1]


def test_calls_run_and_large_values_pass_through_doors():
    data = os.urandom(3 << 20)
    with LocalHub() as hub, HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
        for _ in range(3):
            assert executor.submit(swapped, data).result(30) == data[::-1]
        assert executor.stats().jobs_started == 1


def test_a_question_beside_a_run_is_asked_in_a_loop_of_ours(monkeypatch):
    def refuse(policy):
        raise AssertionError("the loop that the program has chosen")

    monkeypatch.setattr(uvloop.EventLoopPolicy, "new_event_loop", refuse, raising=False)
    with LocalHub() as hub, HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
        assert executor.submit(swapped, b"ab").result(30) == b"ba"
        place = {"endpoint": hub.endpoint, "token": hub.token}
        with HubExecutor.attach(executor.name, **place) as attached:
            assert attached.futures[1].result(30) == b"ba"

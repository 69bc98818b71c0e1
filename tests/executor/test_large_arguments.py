"""Large arguments: they arrive as they were at submit, and travel once to each worker."""

from __future__ import annotations

import os
import pickle
import time

import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub

SIZE = 3 << 20


class Array:
    """Memory as arrays have it: pickled as it is."""

    def __init__(self, memory):
        self.memory = memory

    def __reduce_ex__(self, protocol):
        return Array, (pickle.PickleBuffer(self.memory),)


@pytest.fixture(scope="module")
def hub():
    with LocalHub() as hub:
        yield hub


@pytest.fixture(scope="module")
def executor(hub):
    with HubExecutor(1, endpoint=hub.endpoint, token=hub.token, slots_per_job=1) as executor:
        executor.submit(int).result()
        yield executor


@pytest.fixture
def sent(executor, monkeypatch):
    """The ranges that go out, by the names of their buffers."""
    ranges = []
    client = executor._pool.connection.hub
    fetch = client.fetch

    async def counted(door, query, *, timeout):  # noqa: ASYNC109 - its signature
        if query.path:
            ranges.append(query.path)
        await fetch(door, query, timeout=timeout)

    monkeypatch.setattr(client, "fetch", counted)
    return ranges


def returned(value):
    return value


def write_and_sum(array):
    array.memory[0] = 255 - array.memory[0]
    return sum(array.memory[:10])


def test_values_of_any_kind_arrive(executor):
    data = os.urandom(SIZE)
    values = [data, bytearray(data), "x" * SIZE, list(range(200_000))]
    assert [executor.submit(returned, value).result() for value in values] == values


def test_what_a_call_writes_is_its_own(executor):
    array = Array(bytearray(SIZE))
    assert [executor.submit(write_and_sum, array).result() for _ in range(3)] == [255] * 3
    assert array.memory[0] == 0


def test_a_call_gets_what_its_arguments_were_at_submit(executor):
    value = bytearray(SIZE)
    before = executor.submit(time.sleep, 0.2)
    future = executor.submit(max, value)
    value[:] = b"\1" * SIZE
    assert not before.done()
    assert future.result() == 0


def test_a_value_that_many_calls_share_travels_once(executor, sent):
    value = bytearray(os.urandom(SIZE))
    assert list(executor.map(len, [value] * 20)) == [SIZE] * 20
    assert list(executor.map(len, [bytes(value)] * 20)) == [SIZE] * 20  # by content
    assert len(sent) == 3
    value[0] ^= 1
    assert executor.submit(len, value).result() == SIZE
    assert len(sent) == 6


def test_a_job_for_one_call_gets_what_fits_into_its_launch(hub):
    with HubExecutor(1, endpoint=hub.endpoint, token=hub.token, reuse_workers=False) as executor:
        assert executor.submit(len, bytes(300_000)).result() == 300_000
        with pytest.raises(Exception, match=r"3,145,\d+ bytes .*reuse_workers=True"):
            executor.submit(len, bytes(SIZE)).result()

"""Large arguments: they arrive as they were at submit, and travel once to each worker."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
import weakref

import pytest

from hfexecutor import HubExecutor, UnpicklableCallError
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


# --- values that are shared -----------------------------------------------------------------------


def test_a_shared_value_is_sent_once_and_compared_never(executor, sent):
    array = Array(bytearray(SIZE - 1))
    shared = executor.share(array)
    array.memory[0] = 7  # it is what it was when it was shared
    calls = [executor.submit(write_and_sum, shared) for _ in range(5)]
    assert [call.result() for call in calls] == [255] * 5
    assert len(sent) == 3
    assert repr(shared).startswith("<Shared Array, 3,14")


def test_a_handle_arrives_as_the_value_wherever_it_stands(executor):
    table = executor.share({"rows": list(range(200_000))})
    small = executor.share([1, 2])
    nested = executor.share({"table": table, "small": small})
    value, inner, again = executor.submit(returned, (nested, [table], table)).result()
    assert value == {"table": {"rows": list(range(200_000))}, "small": [1, 2]}
    assert inner[0] == value["table"]
    assert inner[0] is again
    assert list(executor.map(len, [table, small, nested])) == [1, 2, 2]
    assert executor.submit(lambda: len(table["rows"])).result() == 200_000
    assert executor.with_options(max_retries=0).submit(len, small).result() == 2


def test_a_handle_is_of_one_executor(executor):
    shared = executor.share([1])
    with HubExecutor(1, endpoint="local") as other:
        mine = other.share([2])
        with pytest.raises(UnpicklableCallError, match="another executor"):
            other.submit(len, shared).result()
    with pytest.raises(RuntimeError, match="shutdown"):
        other.submit(len, mine)
    with pytest.raises(RuntimeError, match="shutdown"):
        other.share([3])
    with pytest.raises(TypeError, match="nowhere else"):
        pickle.dumps(mine)
    with pytest.raises(UnpicklableCallError, match="cannot be shared"):
        executor.share(threading.Lock())
    with pytest.raises(UnpicklableCallError, match="initializer"):
        HubExecutor(1, endpoint="local", initializer=len, initargs=(mine,))


def test_nothing_is_kept_of_a_shared_value_whose_handle_is_gone(executor):
    shared = executor.share(bytearray(SIZE))
    assert executor.submit(len, shared).result() == SIZE
    (buffer,) = shared._pickled.buffers
    buffer = weakref.ref(buffer)
    transfers = [worker.channel.transfers for worker in executor._pool.machine.workers.values()]
    kept = {name for one in transfers for name in one._kept}
    assert buffer().name in kept
    name = buffer().name
    del shared
    deadline = time.monotonic() + 10
    while buffer() is not None or any(name in one._kept for one in transfers):
        assert time.monotonic() < deadline
        gc.collect()
        executor.submit(int).result()

"""What is large travels beside the pickle, by content, as it was at submit."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import weakref

import pytest

from hfexecutor.payload import buffers
from hfexecutor.payload.buffers import LARGE, MOST
from hfexecutor.payload.calls import Pickler
from hfexecutor.remote import entries, mapped

SIZE = LARGE + 1000


class Array:
    """Memory as arrays have it: pickled as they are."""

    def __init__(self, memory):
        self.memory = memory

    def __reduce_ex__(self, protocol):
        return Array, (pickle.PickleBuffer(self.memory),)

    @property
    def base(self):
        return None


def load(frozen):
    """Do what a child does with a call; its maps are private copies."""
    data = frozen.data
    content = {buffer.name: buffer.data for buffer in frozen.buffers}
    copies = [bytearray(content[name]) for name in entries.buffers_of(data)]
    with memoryview(data) as view:
        loaded = mapped.load(view[entries.body_of(data) :], entries.kinds_of(data), copies)
    return loaded[-2]


def freeze(*args, pickler=None):
    return (pickler or Pickler()).freeze(print, args, {})


@pytest.mark.parametrize("size", [0, 1, LARGE // 2, LARGE, SIZE, 3 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray, Array])
def test_large_values_arrive_as_they_are(kind, size):
    data = os.urandom(size)
    value = kind(bytearray(data)) if kind is Array else kind(data)
    frozen = freeze(value, [value])
    assert len(frozen.data) < LARGE + 10_000
    one, (same,) = load(frozen)
    assert one is same
    assert type(one) is kind
    assert bytes(getattr(one, "memory", one)) == data
    assert len(frozen.buffers) == (size >= LARGE)


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("has_ctypes", [True, False])
def test_very_large_values_arrive_as_they_are(kind, has_ctypes, monkeypatch):
    value = kind(os.urandom(1 << 20) * 32 + b"end")
    frozen = freeze(value)
    if not has_ctypes:
        monkeypatch.setitem(sys.modules, "ctypes", None)
    (made,) = load(frozen)
    assert type(made) is kind
    assert made == value


def test_what_can_be_written_to_can_be_there_as_well_and_what_cannot_can_not():
    data = os.urandom(SIZE)
    writable, guarded = load(freeze(Array(bytearray(data)), Array(data)))
    writable.memory[0] = 1
    assert guarded.memory.readonly
    assert not memoryview(writable.memory).readonly


def test_equal_content_is_one_buffer_and_two_values():
    data = os.urandom(SIZE)
    one, other = bytearray(data), bytearray(data)
    frozen = freeze(one, other)
    assert len(frozen.buffers) == 1
    first, second = load(frozen)
    first[0] ^= 1
    assert second == data


def test_a_call_gets_what_its_arguments_were_at_submit():
    value = bytearray(SIZE)
    frozen = freeze(value)
    value[-1] = 1
    again = freeze(value)
    assert load(frozen) == (bytearray(SIZE),)
    assert load(again) == (value,)


def test_what_nobody_can_change_is_not_copied():
    value = os.urandom(SIZE)
    (buffer,) = freeze(value).buffers
    assert buffer.data.obj is value
    pickler = Pickler()
    first, second = freeze(value, pickler=pickler), freeze([value], pickler=pickler)
    assert first.buffers == second.buffers


def test_memory_that_somebody_else_can_change_is_copied_although_it_is_read_only():
    value = bytearray(SIZE)
    frozen = freeze(Array(memoryview(value).toreadonly()))
    value[0] = 1
    assert load(frozen)[0].memory[0] == 0


@pytest.mark.parametrize("place", [0, SIZE // 2, SIZE - 1])
@pytest.mark.parametrize(
    "as_argument",
    [
        lambda memory: memory,
        Array,
        lambda memory: Array(memoryview(memory).toreadonly()),
        lambda memory: Array(memoryview(memory).toreadonly()[: SIZE - 1]),  # no address to be had
    ],
    ids=["bytearray", "memory", "read-only", "part"],
)
def test_one_copy_serves_all_calls_that_have_the_same(as_argument, place):
    memory, pickler = bytearray(os.urandom(SIZE)), Pickler()
    value = as_argument(memory)
    calls = [freeze(number, value, pickler=pickler) for number in range(3)]
    assert len({id(call.buffers[0]) for call in calls}) == 1
    memory[min(place, calls[0].buffers[0].size - 1)] ^= 1
    assert freeze(value, pickler=pickler).buffers[0] is not calls[0].buffers[0]


def test_memory_is_compared_with_what_it_was_also_where_somebody_else_has_the_same():
    data, known = os.urandom(SIZE), buffers.Buffers()
    kept, memory = known.of(memoryview(data)), bytearray(data)
    assert [known.of(memoryview(memory)) for _ in range(3)] == [kept] * 3
    memory[-1] ^= 1
    assert known.of(memoryview(memory)).name != kept.name


def test_memory_is_compared_without_ctypes_as_well(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctypes", None)
    memory, known = bytearray(SIZE), buffers.Buffers()
    kept = known.of(memoryview(memory))
    assert known.of(memoryview(memory)) is kept
    memory[-1] = 1
    assert known.of(memoryview(memory)).name != kept.name


def test_much_comparing_is_told_once_with_what_spares_it(monkeypatch, caplog):
    monkeypatch.setattr(buffers, "_MUCH", 3 * SIZE)
    memory, known = bytearray(SIZE), buffers.Buffers()
    kept = known.of(memoryview(memory))
    for times, told in [(2, 0), (1, 1), (4, 1)]:
        for _ in range(times):
            assert known.of(memoryview(memory)) is kept
        assert len(caplog.records) == told
    assert "executor.share(value)" in caplog.text


def test_nothing_is_kept_when_no_call_has_it():
    pickler = Pickler()
    frozen = freeze(bytearray(SIZE), pickler=pickler)
    gone = weakref.ref(frozen.buffers[0])
    del frozen
    gc.collect()
    assert gone() is None


def test_a_large_pickle_is_a_buffer_itself():
    value = list(range(200_000))
    frozen = freeze(value)
    assert len(frozen.data) < 1000
    assert load(frozen) == (value,)


def test_there_is_a_limit_to_what_travels_beside_a_pickle():
    values = [os.urandom(LARGE) for _ in range(MOST + 2)]
    frozen = freeze(values)
    assert len(frozen.buffers) == MOST + 1  # the others are in the pickle, which is large for that
    assert load(frozen) == (values,)


def test_bytes_that_look_like_a_piece_of_a_pickle_arrive_all_the_same():
    value = b"\x95" + (1000).to_bytes(8, "little") + bytes(SIZE)
    assert load(freeze(value)) == (value,)


def test_large_constants_of_a_function_travel_beside_its_calls():
    space = {"__name__": "__main__", "DATA": os.urandom(SIZE)}
    exec("def f(x): return len(DATA) + x", space)
    pickler = Pickler()
    calls = [pickler.freeze(space["f"], (number,), {}) for number in range(3)]
    assert [len(call.buffers) for call in calls] == [1, 1, 1]
    assert all(len(call.data) < 5000 for call in calls)
    assert calls[1].buffers == calls[2].buffers

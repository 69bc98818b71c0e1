"""A value whose large buffers go apart from its pickle is the same at the other end."""

from __future__ import annotations

import gc
import pickle
import random
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import buffers, pickling
from hfexecutor.remote.buffers import Place

LARGE = 1 << 16


class Array:
    """What numpy's arrays do: their memory is offered apart."""

    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return Array, (pickle.PickleBuffer(self.data),)

    def __eq__(self, other):
        return isinstance(other, Array) and bytes(self.data) == bytes(other.data)

    __hash__ = None


def arranged(value):
    pieces = buffers.Pieces()
    pickle.Pickler(pieces, 5).dump(value)
    return buffers.arrange(pieces)


def received(pieces):
    """Return the value, its buffers read into places of their own."""
    layout = buffers.layout_of(pieces[0])
    places = [Place(*one) for one in zip(layout[::2], layout[1::2], strict=True)]
    for place, piece in zip(places, pieces[len(pieces) - len(places) :], strict=True):
        place.view[:] = piece
    return buffers.load(b"".join(pieces[: len(pieces) - len(places)]), places)


VALUES = [
    None,
    b"",
    b"x" * LARGE,
    bytearray(b"y" * LARGE),
    "s" * LARGE,
    {"a": [b"x" * LARGE, (bytearray(LARGE), 1.5)], "b": b"z" * (LARGE - 1)},
    list(range(100_000)),
    [b"\x95" * LARGE, b"\x95" + bytes(LARGE), b"\x95\x01" + bytes(LARGE)],
    [bytes([n]) * LARGE for n in range(100)],
    Array(bytearray(b"a" * LARGE)),
    [Array(bytearray(b"a" * 3 * LARGE)), Array(b"b" * LARGE), Array(bytearray(3))],
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_in_one_piece_and_in_places(value):
    pieces = arranged(value)
    assert buffers.load(b"".join(pieces)) == value
    back = received(pieces)
    assert back == value
    assert type(back) is type(value)


def test_large_buffers_are_apart_and_nobody_has_copied_them():
    data, more = bytes(LARGE), bytearray(LARGE)
    array = Array(bytearray(LARGE))
    front, *apart = arranged([data, more, array, data])
    assert len(front) < 500
    assert [view.obj for view in apart[:2]] == [data, more]
    more[0] = array.data[0] = 1
    assert [view[0] for view in apart] == [0, 1, 1]


def test_what_was_writable_is_writable_and_what_was_not_is_not():
    back = received(arranged([Array(bytearray(LARGE)), Array(bytes(LARGE)), bytearray(LARGE)]))
    back[0].data[0] = 1
    back[2][0] = 1
    with pytest.raises(TypeError):
        back[1].data[0] = 1


def test_one_object_twice_is_one_object_still():
    data = bytes(LARGE)
    first, second = received(arranged([data, data]))
    assert first is second


def test_beyond_the_most_buffers_they_stay_in_the_pickle():
    value = [bytes([n % 251]) * LARGE for n in range(buffers.MOST_BUFFERS + 3)]
    pieces = arranged(value)
    assert len(buffers.layout_of(pieces[0])) == 2 * buffers.MOST_BUFFERS
    assert received(pieces) == value


# Bytes that look like what the pickler writes itself: openings with a size, and frames.
DECEPTIVE = st.one_of(
    st.just(b"B" + LARGE.to_bytes(4, "little")),
    st.just(b"\x8e" + LARGE.to_bytes(8, "little")),
    st.just(b"\x96" + (LARGE + 1).to_bytes(8, "little")),
    st.just(b"\x95" + (LARGE - 9).to_bytes(8, "little")),
)
CHUNKS = st.one_of(
    DECEPTIVE,
    st.builds(lambda head, n: head + bytes(n), DECEPTIVE, st.integers(LARGE - 20, LARGE + 20)),
    st.builds(lambda n, tail: bytes(n) + tail, st.integers(LARGE - 20, LARGE + 20), DECEPTIVE),
    st.builds(lambda head: int.from_bytes(head, "little"), DECEPTIVE),
    st.builds(lambda n, tail: "s" * n + tail.decode("latin-1"), st.just(LARGE), DECEPTIVE),
    st.builds(bytearray, st.integers(LARGE - 1, LARGE + 1)),
)


@given(st.lists(CHUNKS, max_size=6))
def test_what_looks_like_a_pickle_within_a_value_deceives_nobody(value):
    pieces = arranged(value)
    assert buffers.load(b"".join(pieces)) == value
    assert received(pieces) == value


def test_the_pickler_of_results_hands_over_what_is_large():
    assert len(pickling.dump({"a": bytes(LARGE)})) == 2
    assert len(pickling.dump(Array(bytearray(LARGE)))) == 2
    assert len(pickling.dump([1, "a"])) == 1


@pytest.mark.parametrize("size", [0, LARGE, (1 << 20) - 1, 1 << 20, (9 << 20) + 5])
@pytest.mark.parametrize("kind", [buffers.BYTES, buffers.BYTEARRAY, buffers.WRITABLE])
def test_a_place_becomes_what_was_read_into_it(kind, size):
    data = random.Random(size).randbytes(size)
    place = Place(kind, size)
    place.view[: size // 2] = data[: size // 2]
    place.view[size // 2 :] = data[size // 2 :]

    taken = place.take()
    assert bytes(taken) == data
    assert type(taken) is {0: bytes, 1: bytearray, 2: memoryview}[kind]
    assert kind == buffers.BYTES or not memoryview(taken).readonly


def test_a_place_becomes_bytes_without_as_much_memory_again():
    script = f"""
        from hfexecutor.remote.buffers import Place
        place = Place({buffers.BYTES}, 200 << 20)
        for start in range(0, 200 << 20, 1 << 20):
            place.view[start : start + (1 << 20)] = b"x" * (1 << 20)
        data = place.take()
        assert data.count(b"x") == 200 << 20
        status = open("/proc/self/status").read()
        print(int(status.split("VmHWM:")[1].split()[0]) >> 10)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert 200 <= int(done.stdout) < 260


@pytest.mark.parametrize("kind", [buffers.BYTES, buffers.BYTEARRAY, buffers.WRITABLE])
def test_a_place_that_is_collected_with_its_view_goes_without_a_word(kind, monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    place = Place(kind, 2 << 20)
    cycle: list[object] = [place, place.view]
    cycle.append(cycle)
    del place, cycle
    gc.collect()
    assert said == []

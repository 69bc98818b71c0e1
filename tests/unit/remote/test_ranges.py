"""Ranges of buffers: whatever befalls them on their way, what is whole is what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import frames, ranges
from hfexecutor.remote.buffer_cache import BufferCache
from hfexecutor.remote.memory import Memory
from hfexecutor.remote.ranges import RANGE_BYTES, Range, digest_of, name_of, open_range, seal_range

SEAL = frames.Seal(b"key")
CONTENT = bytes(range(256)) * (RANGE_BYTES // 256) + b"and the rest of it"
PARTS = [CONTENT[:RANGE_BYTES], CONTENT[RANGE_BYTES:]]
NAME = name_of(len(CONTENT), map(digest_of, PARTS))


def sealed(number, part, seal=SEAL):
    head = Range(NAME, len(CONTENT), part, digest_of(PARTS[part]))
    return seal_range(seal, number, head) + PARTS[part]


def content(memory, name=NAME):
    import mmap

    (fd,) = memory.descriptors([name])
    with mmap.mmap(fd, 0, access=mmap.ACCESS_COPY) as mapped:
        return bytes(mapped)


@pytest.fixture
def memory():
    memory = Memory()
    yield memory
    memory.drop(NAME)


def test_a_range_is_opened_as_it_was_sealed():
    number, part, data = open_range(SEAL, sealed(7, 1))
    assert (number, part.name, part.part, bytes(data)) == (7, NAME, 1, PARTS[1])


@given(st.data())
def test_no_range_is_believed_that_was_changed_or_cut_at_any_byte(data):
    message = bytearray(sealed(1, 1))
    place = data.draw(st.integers(0, len(message) - 1))
    if data.draw(st.booleans()):
        del message[place:]
    else:
        message[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(frames.FrameError):
        open_range(SEAL, message)


def test_no_range_is_believed_of_somebody_without_the_key():
    with pytest.raises(frames.FrameError):
        open_range(SEAL, sealed(1, 0, frames.Seal(b"another key")))


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=12))
def test_in_any_order_and_any_number_ranges_make_the_whole_or_nothing(arrivals):
    memory = Memory()
    cache = BufferCache(memory)
    try:
        here = set()
        for number, (part, cut) in enumerate(arrivals, 1):
            message = sealed(number, part)
            if cut:
                with pytest.raises(frames.FrameError):
                    open_range(SEAL, message[:-1])
                continue
            assert cache.take(*open_range(SEAL, message)) == ""
            here.add(part)
        assert (NAME in cache) == (len(here) == 2)
        if NAME in cache:
            assert content(memory) == CONTENT
    finally:
        memory.drop(NAME)


def test_what_was_under_way_when_its_buffer_was_dropped_is_passed_over(memory):
    cache = BufferCache(memory)
    assert cache.take(*open_range(SEAL, sealed(1, 0))) == ""
    cache.drop([NAME], 2)
    assert cache.take(*open_range(SEAL, sealed(2, 1))) == ""
    assert repr(cache) == "<BufferCache 0 whole, 0 begun>"
    for number, part in ((3, 1), (4, 0)):
        cache.take(*open_range(SEAL, sealed(number, part)))
    assert content(memory) == CONTENT


def test_nobody_can_change_what_is_whole(memory):
    import os

    cache = BufferCache(memory)
    for number, part in ((1, 0), (2, 1)):
        cache.take(*open_range(SEAL, sealed(number, part)))
    (fd,) = memory.descriptors([NAME])
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)


def test_what_there_is_no_memory_for_is_refused_with_its_size(memory):
    cache = BufferCache(memory)
    part = Range(NAME, 1 << 50, 0, digest_of(PARTS[0]))
    why = cache.take(1, part, memoryview(PARTS[0]))
    assert f"{1 << 50:,} bytes" in why
    assert repr(cache) == "<BufferCache 0 whole, 0 begun>"


def test_the_answer_to_a_range_has_one_size():
    for why in ("", "no memory", "x" * 1000):
        body = ranges.pack_reply(why)
        assert len(body) == ranges.REPLY_BYTES
        assert why.startswith(ranges.unpack_reply(body))

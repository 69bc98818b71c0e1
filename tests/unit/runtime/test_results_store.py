"""Results in a file: what is believed of it, and what of a bucket is too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.runtime.results_store import Segment, read_segment, superfluous, write_segment

KEY = b"k" * 32
CALLS = [(bytes([n]) * 32, bytes([n]) * (10 * n)) for n in range(1, 4)]


def read(data: bytes, *, key: bytes = KEY, name: str = "nightly") -> list[tuple[bytes, bytes]]:
    found = read_segment(key, name, data)
    return [(call, data[start : start + length]) for call, start, length in found]


def test_results_come_out_as_they_were():
    assert read(write_segment(KEY, "nightly", CALLS)) == CALLS


@pytest.mark.parametrize("other", [{"key": b"x" * 32}, {"name": "weekly"}])
def test_what_is_of_another_token_or_name_is_not_believed(other):
    assert read(write_segment(KEY, "nightly", CALLS), **other) == []


def test_a_result_is_believed_of_its_own_call_alone():
    data = bytearray(write_segment(KEY, "nightly", CALLS[:1]))
    start = data.index(CALLS[0][0])
    data[start : start + 32] = CALLS[1][0]

    assert read(bytes(data)) == []


@given(st.integers(0), st.integers(1, 255))
def test_nothing_that_was_changed_is_believed(place, change):
    whole = write_segment(KEY, "nightly", CALLS)
    data = bytearray(whole)
    data[place % len(data)] ^= change

    assert set(read(bytes(data))) < set(CALLS)


@given(st.integers(0))
def test_of_a_file_that_is_cut_short_the_beginning_counts(length):
    whole = write_segment(KEY, "nightly", CALLS)
    found = read(whole[: length % len(whole)])

    assert found == CALLS[: len(found)]


def test_the_oldest_goes_when_there_is_too_much():
    segments = [Segment(str(n), "nightly", 10, float(n)) for n in (3, 1, 2)]

    assert superfluous(segments, 3.0, most=20, age=100) == ["1"]
    assert superfluous(segments, 3.0, most=30, age=100) == []


def test_what_is_old_goes():
    segments = [Segment(str(n), "nightly", 10, float(n)) for n in (1, 2, 3)]

    assert superfluous(segments, 4.5, most=100, age=2) == ["2", "1"]

"""Paths in the buckets of a namespace: what is ours is recognised, and whose it is."""

from __future__ import annotations

import doctest

import pytest

from hfexecutor import bucket_paths
from hfexecutor.bucket_paths import run_of_value, segment_in, segment_path, value_path

NONCE = "0123456789abcdef" * 2


def test_a_segment_tells_its_name_and_its_time():
    found = segment_in(segment_path("a.b-c_d", 1_750_000_000.25, "f" * 16))
    assert found == ("a.b-c_d", 1_750_000_000.25)


@pytest.mark.parametrize("name", ["one", "up/one", "up/a-b/c"])
def test_a_value_tells_its_run(name):
    assert run_of_value(value_path(NONCE, name)) == NONCE


@pytest.mark.parametrize(
    "path",
    ["", "notes.txt", f"{NONCE}", f"{NONCE}/", f"{NONCE}//x", f"x/{NONCE}/y", "nightly/12-ab"],
)
def test_what_somebody_else_has_put_there_is_nobody_s(path):
    assert run_of_value(path) is None
    assert segment_in(path) is None


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(bucket_paths).failed == 0

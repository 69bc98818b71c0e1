"""Plain values arrive as they were, and whatever else is said to be some is refused."""

from __future__ import annotations

import contextlib
import json
import pickle
import random

import pytest

from hfexecutor.remote import plain


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"why": "idle", "calls": 0, "clock": 1.5, "door": None, "asked": True},
        {"layout": [0, 1 << 40, 2, 3], "name": "\udcff and ü", "why": b"\0"},
    ],
)
def test_plain_values_arrive(values):
    assert plain.unpack(plain.pack(values)) == values
    assert plain.unpack(memoryview(bytearray(plain.pack(values)))) == values


class _Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("value", [_Evil(), {"x": _Evil()}, {"x": pytest}, {"x": print}, [1], None])
def test_nothing_else_is_taken_and_nothing_runs(value, capsys):
    try:
        data = pickle.dumps(value)
    except TypeError:  # a module
        data = b"cos\nsystem\n."
    with pytest.raises(ValueError, match="no plain values"):
        plain.unpack(data)
    assert capsys.readouterr().out == ""


def test_damaged_bytes_are_refused():
    chance = random.Random(7)
    whole = plain.pack({"slots": 4, "door": 20_000, "why": "idle", "layout": [1, 2]})
    for _ in range(3000):
        data = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(3)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(ValueError):
            assert isinstance(plain.unpack(data), dict)
    with pytest.raises(ValueError, match="no plain values"):
        plain.unpack(json.dumps({"slots": 1}).encode())

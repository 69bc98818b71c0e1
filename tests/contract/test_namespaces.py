"""What calls see of a script's globals, classes and caches: the same script on every kind of pool.

docs/namespaces.md has this as a table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("namespaces_script.py")
KINDS = ["threads", "fork", "spawn", "ours"]
_NO = "PicklingError"

# What is the same wherever a pool has one worker.
ALIKE: dict[str, Any] = {
    "the initializer sets a global": ["set"] * 3,
    "the initializer fills a dict": ["set"] * 3,
    "a counter": [1, 2, 3, 4],
    "a counter in a helper": [5, 6],
    "a class attribute": [1, 2, 3, 4],
    "isinstance between calls": True,
    "an instance comes back": True,
    "an enum's member there": True,
    "an enum's member comes back": True,
    "a class comes back": True,
    "a function comes back": True,
    "a singleton": [1, 2, 3],
    "a cached helper": [0, 1, 2],
    "a cached function": 610,
    "its cache": [16, 10],
    "it comes back": True,
    "a mutable default": [1, 2, 3],
    "one namespace": True,
    "a global, before": 1,
    "a dict, before": 1,
    "a helper, before": 1,
    "what the initializer set, at last": "set",
}
# What is not, in the order of KINDS.
DIFFERENT: dict[str, list[Any]] = {
    "the counter, here": [6, 0, 0, 0],
    "a global that was assigned here": [2, 1, 1, 2],
    "a dict that was changed here": [2, 1, 1, 2],
    "a lambda": [5, _NO, _NO, 5],
    "a closure": [11, _NO, _NO, 11],
    "a helper that was defined again": [2, 1, 1, 2],
}


@pytest.fixture(scope="module", params=KINDS)
def answers(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Return a kind of pool, and what its calls have said."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), request.param],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout)


@pytest.mark.parametrize("question", ALIKE)
def test_a_pool_is_a_pool(answers, question):
    _, found = answers

    assert found[question] == ALIKE[question]


@pytest.mark.parametrize("question", DIFFERENT)
def test_where_pools_differ_each_does_as_it_is_told_to(answers, question):
    kind, found = answers
    expected = DIFFERENT[question][KINDS.index(kind)]

    if expected == _NO:  # Python 3.14 has another error for it
        assert found[question] in {"PicklingError", "AttributeError"}
    else:
        assert found[question] == expected


def test_every_question_is_answered_and_looked_at(answers):
    _, found = answers

    assert set(found) == {*ALIKE, *DIFFERENT}

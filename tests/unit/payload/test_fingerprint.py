"""When two calls are the same: in any process, and never after the code has changed."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
import textwrap
import threading
import types
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.errors import UnpicklableCallError
from hfexecutor.payload.fingerprint import digest_of, fingerprint, fingerprint_of_key

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find


def defined(source: str, name: str = "f", **given: object):
    """Return what a script would define, which no job can import."""
    space: dict[str, object] = {"__name__": "__main__", **given}
    exec(compile(textwrap.dedent(source), "script.py", "exec"), space)
    return space[name]


SAME = """
    import enum
    from dataclasses import dataclass

    LIMIT = 3
    WORDS = {"b", "a", "c"}

    class Color(enum.Enum):
        RED = 1
        BLUE = 2

    @dataclass
    class Point:
        x: int
        def norm(self): return self.x * LIMIT

    def helper(x): return x in WORDS or x in {"p", "q", "r"}

    def f(x, y=Color.RED, *, z=Point(2)):
        def inner(): return helper(x)
        return inner() and f(x - 1)
"""


def test_it_is_the_same_in_every_process_whatever_the_hash_seed_and_the_path(tmp_path):
    script = textwrap.dedent(SAME) + textwrap.dedent("""
        from hfexecutor.payload.fingerprint import fingerprint
        arguments = ({"k", "l", "m"}, {"b": 1, "a": Point(3)}, [Color.BLUE, 1.5, b"x", None])
        print(fingerprint(f, arguments, {"z": (1, 2)}, ()).hex())
    """)
    found = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        path = folder / f"script{seed}.py"
        path.write_text("\n" * int(seed) + script)
        done = subprocess.run(
            [sys.executable, str(path)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)

    assert len(found) == 1


CHANGES = [
    ("return x in WORDS", "return x not in WORDS"),
    ("LIMIT = 3", "LIMIT = 4"),
    ('"b", "a", "c"', '"b", "a", "d"'),
    ('"p", "q", "r"', '"p", "q", "s"'),
    ("BLUE = 2", "BLUE = 3"),
    ("self.x * LIMIT", "self.x + LIMIT"),
    ("z=Point(2)", "z=Point(3)"),
    ("f(x - 1)", "f(x - 2)"),
    ("y=Color.RED", "y=Color.BLUE"),
]


@pytest.mark.parametrize(("before", "after"), CHANGES, ids=[after for _, after in CHANGES])
def test_whatever_changes_in_what_a_function_reaches_makes_it_another(before, after):
    assert before in SAME
    assert digest_of(defined(SAME)) == digest_of(defined(SAME))
    assert digest_of(defined(SAME)) != digest_of(defined(SAME.replace(before, after)))


def test_where_a_function_stands_and_what_it_does_not_reach_is_of_no_account():
    moved = "\n\nUNUSED = 5\n" + textwrap.dedent(SAME)

    assert digest_of(defined(SAME)) == digest_of(defined(moved))


def test_a_closure_counts():
    def adder(n):
        return defined("def make(n):\n    return lambda x: x + n", "make")(n)

    assert digest_of(adder(1)) == digest_of(adder(1))
    assert digest_of(adder(1)) != digest_of(adder(2))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(ANY) | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(ANY), inner),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_values_have_the_same_digest_only_if_they_read_the_same(one, other):
    assert (digest_of(one) == digest_of(other)) == (repr(one) == repr(other))


DIFFERENT = [1, True, 1.0, "1", b"1", bytearray(b"1"), 1 + 0j, [1], (1,), {1}, frozenset({1}), -1]


def test_values_of_different_types_are_different():
    assert len({digest_of(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_what_is_shared_counts_as_what_is_equal():
    one = [1, 2]

    assert digest_of([one, one]) == digest_of([[1, 2], [1, 2]])


def test_what_leads_back_to_itself_ends():
    def ring(length):
        first = last = []
        for _ in range(length - 1):
            last.append([])
            last = last[0]
        last.append(first)
        return first

    assert digest_of(ring(2)) == digest_of(ring(2))
    assert digest_of(ring(2)) != digest_of(ring(3))


class Kind(enum.Enum):
    ONE = 1


@dataclass
class Pair:
    left: object
    right: object


NAMED = {
    "a member of an enumeration": Kind.ONE,
    "a dataclass": Pair(1, {"a": 2}),
    "a partial": functools.partial(pow, 2),
    "a function in C": len,
    "a method of a class": dict.fromkeys,
    "a method of a list": [].append,
    "a class": int,
}


@pytest.mark.parametrize("value", NAMED.values(), ids=NAMED)
def test_objects_count_by_what_they_are_made_of(value):
    assert digest_of(value) == digest_of(value)
    assert digest_of(value) != digest_of(Pair(1, 2))


def test_arrays_count_by_what_is_in_them():
    numpy = pytest.importorskip("numpy")

    assert digest_of(numpy.arange(3)) == digest_of(numpy.arange(3))
    assert digest_of(numpy.arange(3)) != digest_of(numpy.arange(3)[::-1].copy())


def test_what_no_process_can_compare_is_refused_with_what_to_do():
    with pytest.raises(UnpicklableCallError, match="give it a key of its own, with submit_keyed"):
        fingerprint(len, (threading.Lock(),), {}, ())


def test_a_key_is_no_call():
    assert fingerprint_of_key("a") != fingerprint_of_key("b")
    assert len(fingerprint_of_key("ü" * 1000)) == 32


def test_names_count_for_what_a_job_imports():
    assert digest_of(types) == digest_of(types)
    assert digest_of(types) != digest_of(enum)
    assert digest_of(functools.reduce) != digest_of(functools.wraps)


def test_a_module_of_ones_own_counts_with_what_is_in_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import helper
        from hfexecutor.payload.calls import Pickler
        from hfexecutor.payload.fingerprint import fingerprint
        from hfexecutor.payload.needs import NeedsFinder
        from hfexecutor.payload.requirements import Dependencies

        def f(x):
            return helper.work(x)

        needs = NeedsFinder(Dependencies.read("auto"))
        frozen = Pickler(attach=needs.attached).freeze(f, (1,), {})
        print(fingerprint(f, (1,), {}, frozen.attachments).hex())
        """)
    )

    def said(source: str) -> str:
        (tmp_path / "helper.py").write_text("import deeper\ndef work(x): return deeper.N")
        (tmp_path / "deeper.py").write_text(source)
        done = subprocess.run(
            [sys.executable, "-B", str(script)], capture_output=True, text=True, check=True
        )
        return done.stdout

    first, again, changed = said("N = 1"), said("N = 1"), said("N = 2")
    assert first == again != changed

"""What a pickle, code and sources will import, found without running anything."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import functools
import gc
import inspect
import os
import pickle
import threading
import time
import typing
from fractions import Fraction

import cloudpickle
import pytest

from hfexecutor.payload import byvalue
from hfexecutor.payload.imports import Import, code_imports, pickled_imports, source_imports


def modules(value) -> set[str]:
    """Return the modules that the pickle names, both as cloudpickle makes it and as we do."""
    found = {one.module for one in pickled_imports(byvalue.dumps(value))}
    assert found == {one.module for one in pickled_imports(cloudpickle.dumps(value, 5))}
    return found


def by_value(source: str, **names):
    """Return the last function of a source, as a script would have it."""
    space = {"__name__": "__main__", **names}
    exec(source, space)
    return [value for value in space.values() if callable(value)][-1]


# --- by reference -------------------------------------------------------------------------------


def test_plain_values_import_nothing():
    assert modules((1, "text", b"bytes", 2.5, None, [1, {"a": (2,)}], {3})) == set()


def test_an_accidental_byte_of_the_opcode_imports_nothing():
    assert modules(bytes([0x93]) * 100) == set()


def test_functions_and_classes_of_modules_are_named():
    assert modules(functools.reduce) == {"_functools"}
    assert modules([Fraction, decimal.Decimal("1.5")]) == {"fractions", "decimal"}


def test_a_bound_method_names_the_module_of_its_object():
    assert "decimal" in modules(decimal.Decimal(2).sqrt)


def test_a_partial_names_what_it_holds():
    assert {"functools", "fractions"} <= modules(functools.partial(Fraction, 1))


def test_a_module_is_named_by_its_use_as_a_global():
    used = by_value("def call(): return fractions.Fraction(1)", fractions=__import__("fractions"))

    assert "fractions" in modules(used)


def test_a_name_that_is_memoized_is_still_seen():
    assert {"fractions", "decimal"} <= modules([Fraction(1), decimal.Decimal(1)] * 3)


def test_every_kind_of_object_is_gone_through():
    class Base:
        __slots__ = ("a",)

    @dataclasses.dataclass
    class Point(Base):
        x: int = 0

        def __hash__(self):
            return self.x

    class Color(enum.Enum):
        RED = 1
        GREEN = 2

    class Pair(typing.NamedTuple):
        a: int

    values = [
        Point(1),
        {Point(2): Point(3)},
        {Point(4), Color.RED},
        frozenset([Color.GREEN]),
        Pair(1),
        collections.OrderedDict(a=Point(5)),
        collections.deque([1, 2]),
        collections.defaultdict(list, a=[1]),
        bytearray(b"x"),
        Color,
        int | None,
        ValueError("x"),
    ]
    for dumps in (byvalue.dumps, cloudpickle.dumps):
        data = dumps([*values, Fraction(1)])
        assert Import("fractions") in pickled_imports(data)  # the last one: nothing stopped it


class Nasty:
    ran = 0

    def __reduce__(self):
        return _run, ()


def _run():
    Nasty.ran += 1


def test_nothing_of_a_pickle_is_run():
    data = pickle.dumps([Nasty(), Fraction(1)])

    assert {one.module for one in pickled_imports(data)} == {__name__, "fractions"}
    assert Nasty.ran == 0


def test_several_pickles_are_put_together():
    data = [pickle.dumps(Fraction(1)), pickle.dumps(decimal.Decimal(1))]

    assert {one.module for one in pickled_imports(*data)} == {"fractions", "decimal"}


def test_what_is_no_pickle_names_nothing():
    assert pickled_imports(b"\x93 this is none") == frozenset()


def test_out_of_band_buffers_need_not_be_there():
    data = pickle.dumps(
        [pickle.PickleBuffer(b"x" * 100), Fraction(1)], 5, buffer_callback=[].append
    )

    assert pickled_imports(data) == {Import("fractions")}


# --- code that travels by value -----------------------------------------------------------------

SOURCES = {
    "a lazy import": ("def call():\n import a.b as c\n return c", {"a.b"}),
    "a lazy from": ("def call():\n from a import b\n return b", {"a", "a:b"}),
    "several names": ("def call():\n from a.b import (c, d as e)", {"a.b", "a.b:c", "a.b:d"}),
    "a nested function": ("def call():\n def g():\n  import a\n return g", {"a"}),
    "a lambda": ("def call():\n return lambda: __import__('a')", {"a"}),
    "a comprehension": ("def call():\n return [__import__('a') for i in 'x']", {"a"}),
    "a class body": ("def call():\n class C:\n  def m(self):\n   import a\n return C", {"a"}),
    "within try": ("def call():\n try:\n  import a\n except ImportError:\n  import b", {"a", "b"}),
    "by function": ("def call():\n import importlib\n importlib.import_module('a.b')", {"a.b"}),
    "with a name at run time": ("def call(x):\n import importlib\n importlib.import_module(x)", ()),
    "a generator": ("def call():\n import a\n yield 1", {"a"}),
    "a coroutine": ("async def call():\n import a", {"a"}),
    "nothing": ("def call():\n return 'import a'", ()),
}


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES)
def test_code_names_what_it_imports(source, expected):
    found = code_imports(by_value(source).__code__)
    names = {f"{one.module}:{one.name}" if one.name else one.module for one in found}

    assert names - {"importlib"} == set(expected)


def test_the_code_of_a_pickled_function_is_read():
    call = by_value("def call():\n def inner():\n  import a.b\n return inner")

    assert "a.b" in modules(call)


def test_the_code_of_methods_of_a_class_that_travels_is_read():
    made = by_value("class C:\n @property\n def p(self):\n  import a\n def m(self):\n  import b\n")

    assert {"a", "b"} <= modules(made())


def test_what_a_decorator_wraps_is_read():
    source = (
        "import functools\n"
        "def deco(f):\n @functools.wraps(f)\n def w():\n  import a\n  return f()\n return w\n"
        "@deco\ndef call():\n import b\n"
    )

    assert {"a", "b"} <= modules(by_value(source))


def test_what_a_closure_holds_is_read():
    source = (
        "def make():\n def helper():\n  import a\n def call():\n  return helper()\n return call"
    )

    assert "a" in modules(by_value(source)())


def test_a_relative_import_is_relative_to_the_package_that_the_function_is_of():
    call = by_value("def call():\n from .b import c", __package__="a")

    wanted = {Import("a.b"), Import("a.b", "c")}
    assert wanted <= pickled_imports(cloudpickle.dumps(call))
    assert wanted <= pickled_imports(byvalue.dumps(call))


def test_a_relative_import_out_of_every_package_is_left_alone():
    assert code_imports(by_value("def call():\n from ...b import c").__code__, "a") == frozenset()


def test_what_is_called_like_the_opcode_is_no_import():
    """Operands are skipped: only every second byte is an instruction."""
    source = "def call(x):\n" + "".join(f" x{i} = {i}\n" for i in range(200)) + " return x"

    assert code_imports(by_value(source).__code__) == frozenset()


# --- sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import a, b.c as d", "", {"a", "b.c"}),
        ("from a import b, c", "", {"a", "a:b", "a:c"}),
        ("from a import *", "", {"a"}),
        ("from . import b", "p.q", {"p.q", "p.q:b"}),
        ("from ..b import c", "p.q", {"p.b", "p.b:c"}),
        ("from .... import c", "p.q", set()),
        ("def f():\n import a", "", {"a"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import a", "", {"typing"}),
        (
            "import typing as t\nif t.TYPE_CHECKING:\n import a\nelse:\n import b",
            "",
            {"b", "typing"},
        ),
        ("if __name__ == '__main__':\n import a", "", set()),
        ("if x == 1:\n import a", "", {"a"}),
        ("import importlib\nimportlib.import_module('.b', __package__)", "p", {"p.b"}),
        ("this is no Python", "", set()),
        ("import a\0", "", set()),
    ],
)
def test_sources_name_what_they_import(source, package, expected):
    found = source_imports(source, package)
    names = {f"{one.module}:{one.name}" if one.name else one.module for one in found}

    if "importlib" in source:
        names -= {"importlib"}
    if "TYPE_CHECKING import" in source:
        names = {name for name in names if ":" not in name}
    assert {name for name in names if not name.startswith("typing:")} == expected


def test_an_encoding_that_the_source_declares_is_heeded():
    source = "# -*- coding: latin-1 -*-\nname = 'ü'\nimport a\n".encode("latin-1")

    assert source_imports(source) == {Import("a")}


@pytest.fixture
def garbage_that_switches_threads():
    """Collect garbage all the time, and let other threads run meanwhile, as a finalizer may."""

    def switch(_phase, _info):
        time.sleep(0)

    before = gc.get_threshold()
    gc.set_threshold(50)
    gc.callbacks.append(switch)
    yield
    gc.callbacks.remove(switch)
    gc.set_threshold(*before)


@pytest.mark.usefixtures("garbage_that_switches_threads")
def test_sources_are_read_in_several_threads_at_once():
    """Seen with joblib: a thread that submits, and one whose callback submits the next batch."""
    source, found = inspect.getsource(functools), []
    threads = [
        threading.Thread(target=lambda: found.append(source_imports(source))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_leaves_no_lock_taken():
    stop = threading.Event()

    def read_on():
        while not stop.is_set():
            source_imports("import os\n" * 1000)

    thread = threading.Thread(target=read_on)
    thread.start()
    for _ in range(10):
        child = os.fork()
        if not child:
            os._exit(source_imports("import os") != {Import("os")})
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    stop.set()
    thread.join()

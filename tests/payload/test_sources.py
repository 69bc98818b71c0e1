"""Tracebacks of code that travels by value: the client's file, and the lines of its source."""

from __future__ import annotations

import linecache
import pickle
import subprocess
import sys

import pytest

import hfexecutor
from hfexecutor.payload.calls import Pickler
from hfexecutor.remote import sources

JOB = """
import pickle, sys, traceback
from hfexecutor.remote import namespaces
from hfexecutor.remote.entries import body_of
for data in pickle.load(sys.stdin.buffer):
    fn, args, kwargs = pickle.loads(data[body_of(data):])
    try:
        fn(*args, **kwargs)
    except Exception:
        traceback.print_exc(file=sys.stdout)
"""

# As in a job: there the package's own __init__, which imports a good deal, is not.
LEAN = f"""
import sys, types
package = sys.modules["hfexecutor"] = types.ModuleType("hfexecutor")
package.__path__ = {list(hfexecutor.__path__)!r}
"""

SOURCE = '''
"""A script."""

def outer():
    def inner():
        return 1 / 0  # in vain

    return inner()


class Thing:
    def method(self):
        raise ValueError("of a method")
'''


def raised_elsewhere(*calls):
    """Return what a process prints that has none of the files."""
    done = subprocess.run(
        [sys.executable, "-c", JOB], input=pickle.dumps(calls), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def define(filename, source=SOURCE):
    space = {"__name__": "__main__"}
    exec(compile(source, filename, "exec"), space)
    return space


@pytest.fixture(params=["a file", "linecache alone"])
def filename(request, tmp_path):
    if request.param == "a file":
        path = tmp_path / "script.py"
        path.write_text(SOURCE)
        yield str(path)
        return
    name = "<ipython-input-7-0123456789ab>"
    linecache.cache[name] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), name)
    yield name
    linecache.cache.pop(name)


def test_a_traceback_shows_the_clients_file_and_lines(filename, tmp_path):
    space = define(filename)
    frozen = [
        Pickler().freeze(space["outer"], (), {}).data,
        Pickler().freeze(space["Thing"]().method, (), {}).data,
    ]
    for path in tmp_path.iterdir():
        path.unlink()
    text = raised_elsewhere(*frozen)

    for line in (
        f'File "{filename}", line 8, in outer\n    return inner()',
        f'File "{filename}", line 6, in inner\n    return 1 / 0  # in vain',
        f'File "{filename}", line 13, in method\n    raise ValueError("of a method")',
    ):
        assert line in text


def test_a_function_without_a_source_names_its_file_all_the_same():
    # Not "<string>": from 3.13 on that has a source where Python itself runs a command (-c).
    space = define("<nowhere>", "def f(): return 1 / 0")

    assert 'File "<nowhere>", line 1, in f\nZero' in raised_elsewhere(
        Pickler().freeze(space["f"], (), {}).data
    )


def test_the_source_of_a_huge_function_stays_here(tmp_path):
    source = "def f():\n" + "    x = 'some long line of a function'\n" * 1000
    path = tmp_path / "huge.py"
    path.write_text(source)
    f = define(str(path), source)["f"]

    assert sources.excerpt(f.__code__) is None
    assert len(Pickler().freeze(f, (), {}).data) < 30_000


def test_only_the_functions_own_lines_travel(tmp_path):
    source = "secret = 'abc'\ndef f():\n    return 1\nother = 'def'\n"
    path = tmp_path / "some.py"
    path.write_text(source)

    assert sources.excerpt(define(str(path), source)["f"].__code__) == (
        2,
        "def f():\n    return 1\n",
    )


def test_lines_of_several_functions_of_a_file_are_shown_where_they_stand():
    try:
        sources.show("/nowhere/some.py", 4, "d\ne\n")
        sources.show("/nowhere/some.py", 2, "b\n")
        sources.show("/nowhere/some.py", 5, "E\nf\n")
        linecache.checkcache("/nowhere/some.py")

        assert linecache.getlines("/nowhere/some.py") == [
            "\n", "b\n", "\n", "d\n", "E\n", "f\n"
        ]  # fmt: skip
    finally:
        linecache.cache.pop("/nowhere/some.py")


def test_lines_wait_for_who_makes_tracebacks(tmp_path):
    script = tmp_path / "script.py"  # from 3.13 on a command (-c) loads linecache
    code = """
from hfexecutor.remote import sources
sources.show("/nowhere.py", 2, "b")
assert "linecache" not in sys.modules
import linecache
assert linecache.getlines("/nowhere.py") == []
sources.show_waiting()
assert linecache.getlines("/nowhere.py") == ["\\n", "b"]
"""
    script.write_text(LEAN + code)
    subprocess.run([sys.executable, script], check=True)

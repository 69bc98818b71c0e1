"""From a pickled call to what its job needs, with real packages and projects on disk."""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import os
import sys
import threading
import time
import weakref
from textwrap import dedent

import cloudpickle
import pytest

from hfexecutor.errors import DependencyError, PayloadTooLargeError
from hfexecutor.payload.attachments import shipped
from hfexecutor.payload.byvalue import dumps
from hfexecutor.payload.needs import NOTHING, NeedsFinder
from hfexecutor.payload.requirements import Dependencies


@pytest.fixture
def finder():
    return NeedsFinder(Dependencies())


def script(source: str):
    """Return what a script that is run defines."""
    space = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(compile(dedent(source), "script.py", "exec", dont_inherit=True), space)
    return space


def needs_of(finder, fn, *args):
    return finder.find(0, b"", dumps((fn, args, {})))


def shown(needs) -> tuple[list[str], list[str]]:
    return [*needs.requirements], [archive.name for archive in needs.archives]


# --- the least ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [
        pow,
        len,
        "import json\ndef call():\n import decimal\n return json, decimal",
        lambda: os.getpid,
    ],
)
def test_a_call_of_the_standard_library_needs_nothing(finder, fn):
    fn = script(fn)["call"] if isinstance(fn, str) else fn

    assert needs_of(finder, fn) is NOTHING


def test_what_the_script_imports_and_the_call_does_not_use_is_not_needed(finder, site):
    site.install("used")
    site.install("unused")
    space = script("import used, unused\ndef call(): return used")

    assert shown(needs_of(finder, space["call"])) == (["used==1.0"], [])


def test_answers_are_values(finder, site):
    site.install("used")
    call = script("import used\ndef call(): return used")["call"]

    first, second = needs_of(finder, call), needs_of(NeedsFinder(Dependencies()), call)

    assert first == second
    assert hash(first) == hash(second)
    assert first is not second


# --- how a call can lead to a package -----------------------------------------------------------

ROADS = {
    "a global": "import lib\ndef call(): return lib.f()",
    "an alias": "import lib as l\ndef call(): return l.f()",
    "a name of it": "from lib import f\ndef call(): return f()",
    "the function itself": "from lib import f as call",
    "a class": "from lib import C\ndef call(): return C()",
    "a base class": "from lib import C\nclass D(C): pass\ndef call(): return D()",
    "an annotation's class": "from lib import C\ndef call(x: C = None): return x",
    "a default": "from lib import C\ndef call(x=C()): return x",
    "a closure": (
        "import lib\ndef make():\n l = lib\n def call(): return l\n return call\ncall = make()"
    ),
    "a partial": "import functools, lib\ncall = functools.partial(lib.f, 1)",
    "a bound method": "from lib import C\ncall = C().m",
    "a class method": "from lib import C\ncall = C.cm",
    "a static method": "from lib import C\ncall = C.sm",
    "a lazy import": "def call():\n import lib\n return lib",
    "a helper of the script": "import lib\ndef helper(): return lib\ndef call(): return helper()",
    "a helper's lazy import": "def helper():\n from lib import f\ndef call(): return helper()",
    "a decorator of the package": "from lib import deco\n@deco\ndef call(): return 1",
    "a lambda": "import lib\ncall = lambda: lib.f()",
    "a submodule": "import lib.sub\ndef call(): return lib.sub.g()",
    "an optional import": "def call():\n try:\n  import lib\n except ImportError:\n  lib = None",
    "import_module": "import importlib\ndef call(): return importlib.import_module('lib.sub')",
    "an instance in a global list": "from lib import C\nthings = [C()]\ndef call(): return things",
    "a dataclass field": (
        "import dataclasses\nfrom lib import C\n@dataclasses.dataclass\nclass D:\n"
        " c: C = dataclasses.field(default_factory=C)\ndef call(): return D()"
    ),
    "a named tuple": (
        "import typing\nfrom lib import C\nclass T(typing.NamedTuple):\n c: C\n"
        "def call(): return T(1)"
    ),
    "an exception": "from lib import E\ndef call(): raise E",
    "a coroutine": "import lib\nasync def call(): return lib",
    "a generator expression": "import lib\ndef call(): return list(lib.f() for _ in 'x')",
    "a method of a class of the script": (
        "import lib\nclass K:\n def m(self): return lib\n def __call__(self): return self.m()\n"
        "call = K()"
    ),
}
LIBRARY = dedent(
    """
    import functools
    def f(*a): return a
    class C:
        def m(self): return 1
        @classmethod
        def cm(cls): return 1
        @staticmethod
        def sm(): return 1
    class E(Exception): pass
    def deco(fn):
        @functools.wraps(fn)
        def wrapper(*args):
            return f(fn(*args))
        return wrapper
    """
)


# A single file has no submodules.
CASES = [
    (name, kind)
    for name in ROADS
    for kind in ("installed", "module", "package")
    if not (kind == "module" and "lib.sub" in ROADS[name])
]


@pytest.mark.parametrize(("road", "kind"), CASES)
def test_every_road_to_a_module_is_found(finder, site, project, road, kind):
    files = {"lib/__init__.py": LIBRARY, "lib/sub.py": "def g(): return 1"}
    if kind == "installed":
        site.install("library", "2.1", files=files)
    elif kind == "package":
        for path, text in files.items():
            project.put(path, text)
    else:
        project.put("lib.py", LIBRARY)
    call = script(ROADS[road])["call"]

    found = shown(needs_of(finder, call))

    assert found == ((["library==2.1"], []) if kind == "installed" else ([], ["lib"]))


def test_the_class_of_an_argument_is_needed(finder, site):
    site.install("library", files={"lib/__init__.py": LIBRARY})
    from lib import C

    assert shown(needs_of(finder, print, [{"a": (C(),)}])) == (["library==1.0"], [])


def test_a_module_that_is_registered_by_value_travels_in_the_pickle(finder, project, site):
    site.install("plain")
    project.put("valued.py", "import plain\ndef call(): return plain")
    import valued

    cloudpickle.register_pickle_by_value(valued)
    try:
        assert shown(needs_of(finder, valued.call)) == (["plain==1.0"], [])
    finally:
        cloudpickle.unregister_pickle_by_value(valued)


# --- local code and what it needs itself --------------------------------------------------------


def test_local_modules_bring_what_they_import_in_turn(finder, project, site):
    site.install("plain")
    site.install("lazy")
    site.install("typed")
    project.put("one.py", "import two\ndef call(): return two")
    project.put("two.py", "from pack.deep import thing\ndef f():\n import lazy")
    project.put("pack/__init__.py", "")
    project.put(
        "pack/deep.py",
        "from typing import TYPE_CHECKING\nfrom . import inner as thing\n"
        "if TYPE_CHECKING:\n import typed",
    )
    project.put("pack/inner.py", "import plain")
    project.put("pack/unused.py", "import nothing_of_that_name")
    import one

    assert shown(needs_of(finder, one.call)) == (
        ["lazy==1.0", "plain==1.0"],
        ["one", "pack", "two"],
    )


def test_a_circle_of_imports_ends(finder, project):
    project.put("one.py", "import two\ndef call(): return two")
    project.put("two.py", "import one")
    import one

    assert shown(needs_of(finder, one.call)) == ([], ["one", "two"])


def test_modules_that_import_this_library_bring_it_not(finder, project):
    project.put(
        "one.py", "from hfexecutor import HubExecutor\nimport cloudpickle\ndef call(): pass"
    )
    import one

    assert shown(needs_of(finder, one.call)) == ([], ["one"])


def test_a_pure_package_installed_from_a_path_is_sent(finder, site):
    """`pip install .` is on no index; its files are here."""
    site.install("plain")
    url = {"url": "file:///home/me/mine", "dir_info": {}}
    site.install("mine", files={"mine/__init__.py": "import plain\ndef call(): pass"}, url=url)
    import mine

    assert shown(needs_of(finder, mine.call)) == (["plain==1.0"], ["mine"])


def test_machine_code_installed_from_a_path_is_an_error_unless_overridden(finder, site):
    url = {"url": "file:///home/me/fast.whl", "archive_info": {}}
    site.install(
        "fast", url=url, tag="cp311-cp311-linux_x86_64", files={"fast/__init__.py": LIBRARY}
    )
    import fast

    with pytest.raises(DependencyError, match=r"fast was installed from file:///home/me/fast\.whl"):
        needs_of(finder, fast.f)
    other = NeedsFinder(Dependencies.read(["auto", "fast==2"]))
    assert shown(needs_of(other, fast.f)) == (["fast==2"], [])


def test_machine_code_of_the_project_is_an_error(finder, project):
    project.put(
        "pack/__init__.py", f"{LIBRARY}\ntry:\n from . import _fast\nexcept ImportError: pass"
    )
    project.put(f"pack/_fast{importlib.machinery.EXTENSION_SUFFIXES[0]}", b"")
    import pack

    with pytest.raises(DependencyError, match=r"pack\._fast"):
        needs_of(finder, pack.f)


def test_too_much_local_code_is_an_error(project):
    project.put("one.py", LIBRARY)
    import one

    with pytest.raises(PayloadTooLargeError, match=r"one\.py"):
        needs_of(NeedsFinder(Dependencies(), most_bytes=10), one.f)


# --- the option ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("auto", ["library==1.0"]),
        (["auto", "Library>=3", "more"], ["Library>=3", "more"]),
        (["more"], []),  # every job has it from its launch on
        ([], []),
        (None, []),
    ],
)
def test_the_option_decides_about_packages_and_local_code_goes_along(
    site, project, option, expected
):
    site.install("library", files={"lib.py": LIBRARY})
    project.put("one.py", "import lib\ndef call(): pass")
    import one

    found = shown(needs_of(NeedsFinder(Dependencies.read(option)), one.call))

    assert found == (expected, ["one"])


def test_the_initializer_is_needed_by_every_call(site):
    site.install("library", files={"lib.py": LIBRARY})
    import lib

    data = cloudpickle.dumps((lib.f, (1,)), 5)

    assert shown(needs_of(NeedsFinder(Dependencies(), initializer=data), pow)) == (
        ["library==1.0"],
        [],
    )


def test_what_is_not_here_is_told_and_not_an_error(finder):
    call = script("def call():\n import flash_attention_of_the_image")["call"]

    findings = finder.explain(0, b"", cloudpickle.dumps((call, (), {})))

    assert findings.needs is NOTHING
    assert findings.missing == ("flash_attention_of_the_image",)


def test_a_wheel_for_this_machine_alone_is_said_once(finder, site, caplog):
    site.install("built", tag="cp311-cp311-linux_x86_64", files={"built.py": LIBRARY})
    import built

    needs_of(finder, built.f)
    needs_of(finder, built.C)

    assert [record.message for record in caplog.records] == [
        "built was built here (linux_x86_64): jobs have to build it themselves"
    ]


# --- new code for new calls ---------------------------------------------------------------------


@pytest.mark.parametrize("reload", [True, False])
def test_an_edited_module_is_another_archive_from_the_next_call_on(project, reload):
    path = project.put("one.py", "def call(): return 1")
    import one

    finder = NeedsFinder(Dependencies(), clock=iter(range(10**6)).__next__)
    before = needs_of(finder, one.call)
    path.write_text("def call(): return 2  # edited")
    for _ in range(20):  # of the clock of this test, of which a look takes one and its rest ten
        finder.find(0, b"", b"")
        needs_of(finder, one.call)
    if reload:
        importlib.reload(one)
    after = needs_of(finder, one.call)

    assert before != after
    assert [archive.name for archive in after.archives] == ["one"]
    assert needs_of(finder, one.call) is after


def test_a_quick_edit_is_seen_with_the_real_clock(finder, project):
    path = project.put("one.py", "value = 0\ndef call(): return value")
    import one

    seen = set()
    for value in range(20):
        path.write_text(f"value = {value}\n{'#' * value}\ndef call(): return value")
        importlib.reload(one)
        seen.add(needs_of(finder, one.call))

    assert len(seen) == 20


def test_an_edited_module_that_imports_something_new_brings_it(finder, project, site):
    site.install("plain")
    path = project.put("one.py", "def call(): return 1")
    import one

    assert shown(needs_of(finder, one.call)) == ([], ["one"])
    path.write_text("import plain\ndef call(): return 2")
    importlib.reload(one)

    assert shown(needs_of(finder, one.call)) == (["plain==1.0"], ["one"])


def test_an_edit_elsewhere_leaves_an_archive_as_it_is(finder, project):
    project.put("one.py", "import two\ndef call(): return 1")
    path = project.put("two.py", "")
    import one

    before = needs_of(finder, one.call)
    path.write_text("# edited")
    after = needs_of(finder, one.call)

    assert before.archives[0] == after.archives[0]
    assert before.archives[1] != after.archives[1]


def test_what_was_missing_and_is_installed_meanwhile_is_found(finder, site):
    call = script("def call():\n import late")["call"]
    assert needs_of(finder, call) is NOTHING
    site.install("late")

    assert shown(needs_of(finder, call)) == (["late==1.0"], [])


# --- speed and memory ---------------------------------------------------------------------------


def test_a_known_function_costs_microseconds(finder, site, project):
    site.install("library", files={"lib.py": LIBRARY})
    project.put("one.py", "import lib\ndef call(x): pass")
    import one

    function, data = cloudpickle.dumps(one.call, 5), cloudpickle.dumps(((1,), {}), 5)
    finder.find(1, function, data)
    best = min(_per_call(finder, function, data) for _ in range(5))

    assert best < 20e-6


def _per_call(finder, function, data, count=2000) -> float:
    """Return seconds of this thread's own CPU time: what else the machine does is not ours."""
    start = time.thread_time()
    for _ in range(count):
        finder.find(1, function, data)
    return (time.thread_time() - start) / count


def test_a_package_of_a_thousand_files_costs_no_more_in_a_burst(finder, project):
    project.put("large/__init__.py", "def call(x): pass")
    for i in range(1000):
        project.put(f"large/m{i}.py", "")
    import large

    function, data = cloudpickle.dumps(large.call, 5), cloudpickle.dumps(((1,), {}), 5)
    finder.find(1, function, data)

    assert min(_per_call(finder, function, data) for _ in range(5)) < 20e-6


def test_nothing_of_a_call_is_kept(finder):
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    needs_of(finder, lambda x: x, thing)
    del thing
    gc.collect()

    assert gone() is None


def test_several_threads_get_the_same_answer(finder, project, site):
    site.install("library", files={"lib.py": LIBRARY})
    project.put("one.py", "import lib\ndef call(x): pass")
    import one

    data = cloudpickle.dumps((one.call, (), {}), 5)
    answers, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait()
        answers.append(finder.find(0, b"", data))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert len({id(answer) for answer in answers}) == 1


# --- what metadata say ---------------------------------------------------------------------------


def test_importlib_metadata_481_the_egg_info_of_a_flat_project_does_not_make_it_installed(
    finder, project
):
    project.put("mine/__init__.py", LIBRARY)
    project.put("mine.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    project.put("mine.egg-info/top_level.txt", "mine\n")
    import mine

    assert shown(needs_of(finder, mine.f)) == ([], ["mine"])


def test_google_cloud_packages_share_a_namespace(finder, site):
    site.install("spacious-storage", "1", files={"spacious/cloud/storage/__init__.py": LIBRARY})
    site.install("spacious-query", "2", files={"spacious/cloud/query/__init__.py": LIBRARY})
    call = script("def call():\n from spacious.cloud import storage\n return storage")["call"]

    assert shown(needs_of(finder, call)) == (["spacious-storage==1"], [])


def test_a_test_module_and_the_helpers_beside_it_travel(finder, project):
    """This very test module, as pytest has imported it."""
    needs = needs_of(finder, sys.modules[__name__].needs_of)

    assert __name__ in shown(needs)[1]
    assert any(item.startswith("pytest==") for item in needs.requirements)


# --- how they travel ----------------------------------------------------------------------------


def test_equal_needs_have_one_number_and_equal_archives_too(project):
    project.put("one.py", "import two\ndef call(): pass\ndef other(): pass")
    project.put("two.py", "def call(): pass")
    import one
    import two

    finder = NeedsFinder(Dependencies())
    first, again, alone = (
        finder.attached(None, dumps((fn, (), {}))) for fn in (one.call, one.other, two.call)
    )

    assert first == again
    assert first.number != alone.number
    assert alone.attachments[0] in first.attachments
    assert finder.attached(None, dumps((pow, (), {})))[:2] == (0, ())


def test_what_went_along_can_be_told(site, project):
    site.install("plain")
    project.put("one.py", "import plain\ndef call(): pass")
    import one

    attached = NeedsFinder(Dependencies()).attached(None, dumps((one.call, (), {})))

    assert shipped(attached.attachments) == (["plain==1.0"], ["one"])

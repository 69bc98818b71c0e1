"""Freezing calls: what travels is the state at `submit`, and an unchanged function travels once."""

from __future__ import annotations

import gc
import math
import pickle
import sys
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.errors import UnpicklableCallError
from hfexecutor.hub.limits import FOR_CALLS, FOR_US, FOR_USERS
from hfexecutor.payload.calls import Pickler
from hfexecutor.payload.package import launch_secrets, message_room
from hfexecutor.remote import entries

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find


def define(source):
    """Run a script's source; what it defines is pickled by value, like that of a user's script."""
    namespace = {"__name__": "__main__"}
    exec(source, namespace)
    return namespace


def run(frozen):
    """Do what a worker does with a frozen call."""
    function_id = entries.head_of(frozen.data)[0]
    rest = pickle.loads(frozen.data[entries.CALL_HEAD_BYTES :])
    if frozen.function is None:
        assert function_id == 0
        fn, args, kwargs = rest
    else:
        assert function_id == frozen.function.id != 0
        fn, (args, kwargs) = pickle.loads(frozen.function.data), rest
    return fn(*args, **kwargs)


def used(fn):
    """Return a pickler that has seen a function once: from its second call on it travels apart."""
    pickler = Pickler()
    pickler.freeze(fn, (), {})
    return pickler


def call(pickler, fn, *args, **kwargs):
    return run(pickler.freeze(fn, args, kwargs))


# --- what is the same travels once ----------------------------------------------------------

SAME = {
    "a plain function": "def f(): return 1",
    "a function with defaults": "def f(a=1, *, b=(2, 'x')): return a",
    "a function with annotations": "def f(a: int = 0, b: 'str' = '') -> list[int] | None: ...",
    "a function that uses a global": "n = 1\ndef f(): return n",
    "a function that uses a global that is not there": "def f(): return missing",
    "a function that uses a module": "import math\ndef f(): return math.pi",
    "a function that uses a class of a module": "from decimal import Decimal as D\ndef f(): D()",
    "a function that uses a helper": "def g(): return 1\ndef f(): return g()",
    "a recursive function": "def f(n=0): return f(n + 1)",
    "functions that call each other": "def g(): return f()\ndef f(): return g()",
    "a closure": "def outer(n):\n def f(): return n\n return f\nf = outer(1)",
    "a recursive closure": "def outer():\n def f(): return f()\n return f\nf = outer()",
    "a wrapped function": (
        "import functools\ndef g(): return 1\n@functools.wraps(g)\ndef f(): return g()"
    ),
    "a builtin": "f = len",
    "a function of a module": "from os.path import join as f",
    "a type": "f = int",
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_an_unchanged_function_is_pickled_once(source):
    fn = define(source)["f"]
    pickler = used(fn)

    first = pickler.freeze(fn, (), {})
    second = pickler.freeze(fn, (1,), {})

    assert first.function is not None
    assert second.function is first.function
    assert first.data != second.data


def test_each_function_has_an_id_of_its_own():
    functions = (len, abs, max)
    ids = {used(fn).freeze(fn, (), {}).function.id for fn in functions}

    assert len(ids) == len(functions)
    assert 0 not in ids


INLINE = {
    "a bound method": "f = 'a'.upper",
    "a method of a list": "f = [1].append",
    "a partial": "import functools\nf = functools.partial(max, 1)",
    "an instance": "class C:\n def __call__(self): ...\nf = C()",
    "a class of the script": "class f: ...",
    "a function with a mutable global": "n = []\ndef f(): return n",
}


@pytest.mark.parametrize("source", INLINE.values(), ids=INLINE)
def test_what_may_change_unseen_travels_within_each_call(source):
    fn = define(source)["f"]
    pickler = used(fn)

    assert [pickler.freeze(fn, (), {}).function for _ in range(3)] == [None] * 3
    assert {found for known in pickler._known.values() for found in known} <= {None}


# --- what is changed travels again ----------------------------------------------------------

NESTED = "def outer(n):\n def f(): return n\n return f\nf = outer({})\n"

# what changes -> (the script, what it does between two calls); f() is 2 after it, and not before
CHANGES = {
    "a global": ("n = 1\ndef f(): return n", "n = 2"),
    "a global that appears": (
        "def f():\n try: return n\n except NameError: return 1",
        "n = 2",
    ),
    "a global that goes": (
        "n = 1\ndef f():\n try: return n\n except NameError: return 2",
        "del n",
    ),
    "a global that becomes mutable": ("n = (1,)\ndef f(): return n[0]", "n = [2]"),
    "a global that hides a builtin": ("def f(): return len('a')", "def len(x): return 2"),
    "a global of an inner function": ("n = 1\ndef f(): return (lambda: n)()", "n = 2"),
    "a global of a comprehension": ("n = 1\ndef f(): return [n for _ in 'a'][0]", "n = 2"),
    "a list": ("n = [1]\ndef f(): return n[-1]", "n.append(2)"),
    "a dict": ("n = {'a': 1}\ndef f(): return n['a']", "n['a'] = 2"),
    "a list in a tuple": ("n = ([1],)\ndef f(): return n[0][-1]", "n[0].append(2)"),
    "an instance": ("class C: a = 1\nn = C()\ndef f(): return n.a", "n.a = 2"),
    "an attribute of a class": ("class C: a = 1\ndef f(): return C.a", "C.a = 2"),
    "a method of a class": (
        "class C:\n def m(self): return 1\ndef f(): return C().m()",
        "C.m = lambda self: 2",
    ),
    "the code": ("def f(): return 1", "f.__code__ = (lambda: 2).__code__"),
    "the defaults": ("def f(a=1): return a", "f.__defaults__ = (2,)"),
    "a mutable default": ("def f(a=[1]): return a[-1]", "f.__defaults__[0].append(2)"),
    "a keyword's default": ("def f(*, a=1): return a", "f.__kwdefaults__ = {'a': 2}"),
    "a keyword's default in place": ("def f(*, a=1): return a", "f.__kwdefaults__['a'] = 2"),
    "a keyword's new default": (
        "def f(**k): return k.get('a', 1)\ndef g(*, a=2): return a",
        "f.__code__ = g.__code__; f.__kwdefaults__ = {'a': 2}",
    ),
    "a cell": (NESTED.format(1), "f.__closure__[0].cell_contents = 2"),
    "a list in a cell": (
        NESTED.format("[1]") + "def h(c): return c[-1]\ndef wrap(g):\n return lambda: g()[-1]\n"
        "f = wrap(f)",
        "f.__closure__[0].cell_contents.__closure__[0].cell_contents.append(2)",
    ),
    "an attribute": ("def f(): return getattr(f, 'a', 1)", "f.a = 2"),
    "an attribute that was there": ("def f(): return f.a\nf.a = 1", "f.a = 2"),
    "an annotation": (
        "def f(): return f.__annotations__.get('a', 1)",
        "f.__annotations__['a'] = 2",
    ),
    "an annotation's value": (
        "def f(a: 1 = 0): return f.__annotations__['a']",
        "f.__annotations__['a'] = 2",
    ),
    "the docstring": ("def f(): return f.__doc__ or 1", "f.__doc__ = 2"),
    "the name": ("def f(): return len(f.__name__)", "f.__name__ = 'ff'"),
    "a helper": ("def g(): return 1\ndef f(): return g()", "def g(): return 2"),
    "a helper's global": ("n = 1\ndef g(): return n\ndef f(): return g()", "n = 2"),
    "a helper's default": ("def g(a=1): return a\ndef f(): return g()", "g.__defaults__ = (2,)"),
    "a helper's attribute": ("def g(): ...\ng.a = 1\ndef f(): return g.a", "g.a = 2"),
    "a helper of a helper": (
        "def h(): return 1\ndef g(): return h()\ndef f(): return g()",
        "def h(): return 2",
    ),
    "a helper in a tuple": (
        "def g(a=1): return a\nn = (g,)\ndef f(): return n[0]()",
        "g.__defaults__ = (2,)",
    ),
    "a helper as a default": (
        "def g(a=1): return a\ndef f(g=g): return g()",
        "g.__defaults__ = (2,)",
    ),
    "what is wrapped": (
        "import functools\ndef g(a=1): return a\nf = functools.wraps(g)(lambda: f.__wrapped__())",
        "g.__defaults__ = (2,)",
    ),
    "a function that calls back": (
        "n = 1\ndef g(k): return f(k)\ndef f(k=1): return g(0) if k else n",
        "n = 2",
    ),
    "a module for another": (
        "import types\nm = types.ModuleType('m')\nm.n = 1\ndef f(): return m.n",
        "m.n = 2",
    ),
}


@pytest.mark.parametrize(("source", "change"), CHANGES.values(), ids=CHANGES)
def test_what_a_function_depends_on_is_seen_to_change(source, change):
    namespace = define(source)
    pickler = used(namespace["f"])

    before = call(pickler, namespace["f"])
    exec(change, namespace)

    assert before != 2
    assert [call(pickler, namespace["f"]) for _ in range(2)] == [2, 2]


WORLD = """
def make():
    kept = 0
    def outer(x=0, *, y=0):
        return (x, y, kept, n, helper(), outer.__doc__, sorted(outer.__dict__.items()), box)
    return outer
n, box = 0, (0,)
def base(): return n
def helper(z=0): return base() + z
f = make()
"""
STEPS = [
    "n += 1",
    "box = box + (n,)",
    "box = [n]",
    "box = list(box) + [1]; box.append(2)",
    "box = (helper.__defaults__, ('a', n))",
    "f.__defaults__ = (n,)",
    "f.__kwdefaults__ = {'y': n + 3}",
    "f.__kwdefaults__['y'] += 1",
    "f.__closure__[f.__code__.co_freevars.index('kept')].cell_contents = ('kept', n)",
    "f.__doc__ = f'doc {n}'",
    "f.note = n",
    "f.__dict__.clear()",
    "helper.__defaults__ = (n + 5,)",
    "def helper(z=1): return (base(), z, n)",
    "def helper(): return n * 7",
    "def base(): return -n",
    "base.__code__ = (lambda: n + 100).__code__",
    "f = make()",
    "pass",
]


@given(st.lists(st.sampled_from(STEPS), max_size=8))
def test_every_call_travels_as_it_is_at_that_moment(steps):
    namespace, pickler = define(WORLD), Pickler()
    for step in steps:
        try:
            exec(step, namespace)
        except TypeError:  # the step needs an earlier one
            continue
        expected = namespace["f"]()

        for _ in range(3):  # within the call, apart from it, as before
            assert call(pickler, namespace["f"]) == expected


def test_arguments_are_frozen_when_the_call_is():
    argument = [1]
    frozen = Pickler().freeze(len, (argument,), {})
    argument.append(2)

    assert run(frozen) == 1


# --- modules --------------------------------------------------------------------------------


@pytest.fixture
def module(monkeypatch):
    """A module that can be imported here, but nowhere else."""
    module = types.ModuleType("only_here")
    exec("n = 1\ndef f(): return n\ndef g(): return 0\nclass C: n = 1", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    yield module
    if "only_here" in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.parametrize("use", ["only_here.n", "only_here.C.n", "only_here.f()"])
def test_a_registered_module_as_a_global_is_seen_to_change(module, use):
    cloudpickle.register_pickle_by_value(module)
    namespace = define(f"import only_here\ndef f(): return {use}")
    pickler = used(namespace["f"])

    before = call(pickler, namespace["f"])
    module.n = module.C.n = 2

    assert (before, call(pickler, namespace["f"])) == (1, 2)


def test_the_parts_of_a_registered_package_travel_by_value_and_its_namesakes_do_not(monkeypatch):
    names = ["pkg", "pkg.part", "pkgs"]
    modules = [types.ModuleType(name) for name in names]
    for name, module in zip(names, modules, strict=True):
        exec("def f(): return 1", module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)
    cloudpickle.register_pickle_by_value(modules[0])
    try:
        functions = [used(module.f).freeze(module.f, (), {}).function for module in modules]
    finally:
        cloudpickle.unregister_pickle_by_value(modules[0])

    assert [len(function.data) > 100 for function in functions] == [True, True, False]


@pytest.mark.parametrize("name", ["f", "C"])
def test_a_name_that_stands_for_something_else_now_is_not_sent(module, name):
    thing = getattr(module, name)
    pickler = used(thing)
    by_name = pickler.freeze(thing, (), {})
    setattr(module, name, None)

    frozen = pickler.freeze(thing, (), {})

    assert frozen.function is not by_name.function
    assert b"hfexecutor_remote" in (frozen.function.data if frozen.function else frozen.data)


def test_a_submodule_that_was_imported_meanwhile_travels_along(module, monkeypatch):
    module.__package__ = "only_here"
    source = "import only_here\ndef f(): return only_here.part"
    namespace = define(source)
    pickler = used(namespace["f"])
    before = pickler.freeze(namespace["f"], (), {})
    monkeypatch.setitem(sys.modules, "only_here.part", types.ModuleType("only_here.part"))

    whole = pickler.freeze(namespace["f"], (), {})
    apart = pickler.freeze(namespace["f"], (), {})

    assert b"only_here.part" not in before.function.data
    assert b"only_here.part" in whole.data
    assert b"only_here.part" in apart.function.data


# --- nothing is kept ------------------------------------------------------------------------


@pytest.fixture
def collect():
    """Collect what the test alone has made: to go through everything takes long."""
    gc.freeze()
    yield gc.collect
    gc.unfreeze()


KEPT = {
    "a function": "def f(): return 1",
    "a function with a default": "def f(a=(1, 2)): return 1",
    "a recursive function": "def f(): return f()",
    "functions that call each other": "def g(): return f()\ndef f(): return g()",
    "a function among its own globals": "def f(): return n\nn = (f, 1)",
    "a recursive closure": "def outer():\n def f(): return f()\n return f\nf = outer()",
    "closures that call each other": (
        "def outer():\n def f(): return g()\n def g(): return f()\n return f\nf = outer()"
    ),
    "a function that has itself": "def f(): ...\nf.me = f",
    "a function whose default is itself": "def f(): ...\nf.__defaults__ = (f,)",
}


@pytest.mark.parametrize("source", KEPT.values(), ids=KEPT)
def test_a_function_is_let_go(source, collect):
    namespace = define(source)
    pickler = used(namespace["f"])
    pickler.freeze(namespace["f"], (), {})
    gone = weakref.ref(namespace["f"])
    namespace.clear()
    del namespace
    collect()

    assert gone() is None
    assert len(pickler._known) == 0


def test_a_helper_is_let_go_when_it_is_redefined(collect):
    namespace = define("def g(): ...\ndef f(): return g()")
    pickler = used(namespace["f"])
    pickler.freeze(namespace["f"], (), {})
    gone = weakref.ref(namespace["g"])
    exec("def g(): ...", namespace)
    collect()

    assert gone() is None
    pickler.freeze(namespace["f"], (), {})


def test_arguments_are_let_go():
    class Thing:
        def __reduce__(self):
            return (int, ())

    thing = Thing()
    gone = weakref.ref(thing)
    frozen = used(repr).freeze(repr, (thing,), {"a": thing})
    del thing

    assert gone() is None
    assert frozen.function is not None


# --- what cannot travel ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "what"),
    [
        ((1, threading.Lock()), {}, "argument 1 of the call to max cannot be pickled (lock; "),
        ((1,), {"key": threading.Lock()}, "argument 'key' of the call to max cannot be pickled"),
        (([(i for i in "a")],), {}, "argument 0 of the call to max cannot be pickled (list; "),
    ],
)
def test_an_argument_that_cannot_travel_is_named(args, kwargs, what):
    with pytest.raises(UnpicklableCallError) as caught:
        Pickler().freeze(max, args, kwargs)

    assert str(caught.value).startswith(what)
    assert "create them inside the function" in str(caught.value)
    assert isinstance(caught.value.__cause__, TypeError)
    assert isinstance(caught.value, pickle.PicklingError)


def test_a_function_that_cannot_travel_is_named():
    namespace = define("import threading\nlock = threading.Lock()\ndef f(): return lock")
    with pytest.raises(UnpicklableCallError, match=r"^the function of the call to f cannot be"):
        Pickler().freeze(namespace["f"], (), {})


def test_parts_that_can_travel_alone_and_not_together_are_told_apart_from_a_culprit():
    class Once:
        seen = 0

        def __reduce__(self):
            Once.seen += 1
            if Once.seen == 1:
                raise RuntimeError("not now")
            return (int, ())

    with pytest.raises(UnpicklableCallError) as caught:
        Pickler().freeze(max, (Once(),), {})

    assert str(caught.value) == "the call to max cannot be pickled (RuntimeError: not now)"


# --- the rest -------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(ANY), st.binary())),
    st.dictionaries(st.text(ANY, min_size=1), st.lists(st.integers(), max_size=2), max_size=2),
)
def test_arguments_arrive_as_they_were(args, kwargs):
    echo = define("def f(*a, **k): return a, k")["f"]
    pickler = Pickler()

    assert call(pickler, echo, *args) == (tuple(args), {})
    assert call(pickler, echo, *args, **kwargs) == (tuple(args), kwargs)


def test_a_pickler_is_used_from_several_threads():
    namespace = define("def g(): return 1\ndef f(x): return g() + x")
    pickler = used(namespace["f"])
    with ThreadPoolExecutor(4) as threads:
        frozen = list(threads.map(lambda n: pickler.freeze(namespace["f"], (n,), {}), range(200)))

    assert [run(call) for call in frozen] == list(range(1, 201))
    assert len({call.function.id for call in frozen}) <= 4


def test_a_builtin_travels_by_name():
    assert pickle.loads(used(math.sqrt).freeze(math.sqrt, (4.0,), {}).function.data) is math.sqrt


def test_a_function_made_for_one_call_is_not_kept_by_workers():
    pickler = Pickler()

    def once():
        return 1

    assert pickler.freeze(once, (), {}).function is None
    again = pickler.freeze(once, (), {}).function
    assert again is not None
    assert pickler.freeze(once, (), {}).function is again


def test_workers_do_not_keep_every_version_of_a_function_that_changes_with_each_call():
    space = {}
    exec("def f(): return state", space)
    f, pickler = space["f"], Pickler()
    changing = []
    for space["state"] in range(6):
        changing.append(pickler.freeze(f, (), {}).function)
    assert sum(function is not None for function in changing) <= 1

    steady = [pickler.freeze(f, (), {}).function for _ in range(3)]
    assert steady[-1] is not None
    assert steady[-1] is steady[-2]


def test_our_own_code_leaves_the_room_that_calls_of_a_launch_are_promised():
    ours = launch_secrets("0" * 64, b"", "3.14")

    assert sum(len(name) + len(value) for name, value in ours.items()) <= FOR_US
    assert message_room(0) >= FOR_CALLS
    assert message_room(FOR_USERS) > 0

"""Pickles of one client, loaded one after the other in a process that runs its calls."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import types
import weakref

import cloudpickle
import pytest

from hfexecutor.errors import UnpicklableCallError
from hfexecutor.payload import versions
from hfexecutor.payload.calls import Pickler

JOB = """
import os, pickle, struct, sys
import cloudpickle
from hfexecutor.remote import namespaces, pickling
from hfexecutor.remote.entries import body_of
from hfexecutor.remote.functions import Functions, load

def run(calls):
    sys.modules["__main__"] = type(sys)("__main__")
    functions, added = Functions(), set()
    for function, data in calls:
        if function is not None and function[0] not in added:
            added.add(function[0])
            functions.add(*function)
        (number,) = struct.unpack_from("<I", data)
        loaded = load(data[body_of(data):])
        fn, args, kwargs = (functions.get(number), *loaded) if number else loaded
        yield pickling.dumps(fn(*args, **kwargs))

while True:
    calls = pickle.load(sys.stdin.buffer)
    pid = os.fork()
    if not pid:
        pickle.dump(list(run(calls)), sys.stdout.buffer)
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit("it has failed")  # and who waits for its results reads the end of them
"""


@pytest.fixture(scope="module")
def job():
    """A process that knows nothing of this one, and forks another one for each list of calls."""
    process = subprocess.Popen(
        [sys.executable, "-c", JOB], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


class Client:
    """A module of a client, what it sends, and a process that runs it."""

    def __init__(self, name, job):
        self.job = job
        self.module = types.ModuleType(name)
        self.space = self.module.__dict__
        self.pickler = Pickler()
        self.sent = []

    def do(self, source):
        exec(source, self.space)

    def send(self, name, *args):
        self.sent.append(self.pickler.freeze(self.space[name], args, {}))

    def results(self, order=None):
        """Return what calls have returned, each as it comes back here."""
        sent = self.sent if order is None else [self.sent[i] for i in order]
        calls = [(call.function and tuple(call.function), call.data) for call in sent]
        pickle.dump(calls, self.job.stdin)
        self.job.stdin.flush()
        return [pickle.loads(result) for result in pickle.load(self.job.stdout)]


@pytest.fixture
def client(monkeypatch, job):
    client = Client("client_module", job)
    monkeypatch.setitem(sys.modules, "client_module", client.module)
    cloudpickle.register_pickle_by_value(client.module)
    yield client
    cloudpickle.unregister_pickle_by_value(client.module)


def test_what_calls_assign_stays_until_the_client_assigns_something_else(client):
    client.do("n = 0\ndef f():\n global n\n n += 1\n return n")
    for _ in range(3):
        client.send("f")
    client.do("n = 10")
    for _ in range(3):
        client.send("f")

    assert client.results() == [1, 2, 3, 11, 12, 13]


def test_the_same_value_assigned_again_is_nothing_else(client):
    client.do("n = 0\ndef f():\n global n\n n += 1\n return n")
    client.send("f")
    client.do("n = 0")
    client.send("f")

    assert client.results() == [1, 2]


def test_the_body_of_a_class_in_a_function_sees_the_clients_globals(client):
    client.do("n = 41\ndef f():\n class C:\n  m = n + 1\n return C.m")
    client.send("f")

    assert client.results() == [42]


@pytest.mark.parametrize("repeated", [1, 3])
def test_a_call_that_runs_late_sees_what_it_was_submitted_with(client, repeated):
    client.do("n = 1\ndef f(): return n")
    for _ in range(repeated):  # from the second one on, the function is kept by the process
        client.send("f")
    client.do("n = 2")
    client.send("f")
    late = [0, *range(repeated + 1), repeated - 1, repeated]

    assert client.results(late) == [1, *[1] * repeated, 2, 1, 2]


def test_a_name_that_the_client_deletes_is_gone(client):
    client.do("n = 1\ndef f():\n try: return n\n except NameError: return 'gone'")
    client.send("f")
    client.do("del n")
    client.send("f")
    client.do("n = 1")
    client.send("f")

    assert client.results() == [1, "gone", 1]


def test_a_dict_that_only_calls_fill_keeps_what_they_filled_in(client):
    client.do("d = {'a': 1}\ndef put(k): d[k] = k\ndef get(): return sorted(d)")
    client.send("put", "b")
    client.send("get")
    client.do("d['c'] = 1")
    client.send("get")

    assert client.results() == [None, ["a", "b"], ["a", "c"]]


def test_what_is_only_assigned_need_not_be_fit_to_travel(client):
    client.do("import threading\nlock = threading.Lock()\ndef f():\n global lock\n lock = 1")
    client.do("def g(): return 3\nunused = threading.Lock()")
    client.send("f")
    client.send("g")

    assert client.results() == [None, 3]


def test_what_is_only_assigned_in_one_function_has_the_clients_value_in_another(client):
    client.do("n = 1\ndef put(k):\n global n\n if k: n = k\ndef get(): return n")
    client.send("put", 0)
    client.send("get")
    client.send("put", 5)
    client.send("get")

    assert client.results() == [None, 1, None, 5]


def test_a_global_that_is_used_and_cannot_travel_is_an_error(client):
    client.do("import threading\nlock = threading.Lock()\ndef f(): return lock")

    with pytest.raises(UnpicklableCallError, match="lock"):
        client.send("f")


def test_functions_of_two_pickles_share_their_namespace_and_helpers(client):
    client.do(
        "import functools\nseen = []\n@functools.cache\ndef h(k):\n seen.append(k)\n return k\n"
        "def f(k): return h(k)\ndef g(k): return h(k), h.cache_info().hits, len(seen)"
    )
    client.send("f", 1)
    client.send("g", 1)
    client.send("g", 2)

    assert client.results() == [1, (1, 1, 1), (2, 1, 2)]


def test_an_attribute_of_a_class_is_the_clients_when_it_was_set_there(client):
    client.do("class C: n = 0\ndef f():\n C.n += 1\n return C.n, hasattr(C, 'm')")
    client.send("f")
    client.send("f")
    client.do("C.n = 10\nC.m = 1")
    client.send("f")
    client.do("del C.m")
    client.send("f")

    assert client.results() == [(1, False), (2, False), (11, True), (12, False)]
    assert client.module.C.n == 10


def test_a_method_that_was_exchanged_is_the_new_one(client):
    client.do("class C:\n def m(self): return 1\ndef f(c): return c.m()\nc = C()")
    client.send("f", client.space["c"])
    client.do("C.m = lambda self: 2")
    client.send("f", client.space["c"])

    assert client.results() == [1, 2]


def test_a_class_that_was_defined_again_is_another_one(client):
    client.do(
        "class C: pass\nkept = []\ndef f(c):\n kept.append(c)\n return len({*map(type, kept)})"
    )
    client.send("f", client.space["C"]())
    client.send("f", client.space["C"]())
    client.do("class C: pass")
    client.send("f", client.space["C"]())

    assert client.results() == [1, 1, 2]


def test_an_abstract_class_stays_one(client):
    client.do(
        "import abc\nclass A(abc.ABC): n = 0\n@A.register\nclass B: pass\n"
        "def f(b):\n A.n += 1\n return A.n, isinstance(b, A)"
    )
    for _ in range(3):
        client.send("f", client.space["B"]())

    assert client.results() == [(1, True), (2, True), (3, True)]


def test_what_comes_back_is_the_clients_own_and_nothing_is_assigned_to_it(client):
    client.do(
        "import enum\nclass C: n = 1\nclass E(enum.Enum): A = 1\nn = 1\ndef g(): return n\n"
        "def f():\n global n\n n = C.n = 2\n return C(), E.A, g, C"
    )
    space = client.space
    before = dict(vars(space["C"]))
    client.send("f")
    instance, member, function, cls = client.results()[0]

    assert (type(instance), member, function, cls) == (
        space["C"],
        space["E"].A,
        space["g"],
        space["C"],
    )
    assert dict(vars(space["C"])) == before
    assert (space["n"], function()) == (1, 1)


def test_a_function_that_was_made_in_a_call_uses_the_clients_globals_when_it_comes_back(client):
    client.do("n = 1\ndef f(k):\n def made(): return n, k\n return made")
    client.send("f", 5)
    made = client.results()[0]
    client.do("n = 2")

    assert made.__globals__ is client.space
    assert made() == (2, 5)


def test_a_class_that_the_client_has_let_go_comes_back_all_the_same(client):
    client.do("class C: n = 7\ndef f(): return C()")
    client.send("f")
    gone = weakref.ref(client.space.pop("C"))
    client.pickler = None
    del client.space["f"]
    gc.collect()
    assert gone() is None

    assert client.results()[0].n == 7


def test_a_cached_property_travels(client):
    client.do(
        "import functools\nclass C:\n @functools.cached_property\n def p(self): return [1]\n"
        "def f(c): return c.p is c.p, c.p"
    )
    client.send("f", client.space["C"]())

    assert client.results() == [(True, [1])]


def test_a_registered_module_is_one_with_the_globals_of_its_functions(client):
    main = types.ModuleType("other_client_module")
    sys.modules["other_client_module"] = main
    cloudpickle.register_pickle_by_value(main)
    try:
        client.do("n = 1\ndef up():\n global n\n n += 1\n return n")
        main.client_module = client.module
        exec("def f(): return client_module.up(), client_module.n", main.__dict__)
        client.send("up")
        client.sent.append(client.pickler.freeze(main.f, (), {}))
        client.sent.append(client.pickler.freeze(main.f, (), {}))

        assert client.results() == [2, (3, 3), (4, 4)]
    finally:
        cloudpickle.unregister_pickle_by_value(main)
        del sys.modules["other_client_module"]


def test_functions_of_no_module_have_a_namespace_of_their_own(client):
    for n in (1, 2):
        space = {"__name__": "client_module", "n": n}
        exec("def f():\n global n\n n += 10\n return n", space)
        client.sent.append(client.pickler.freeze(space["f"], (), {}))

    assert client.results() == [11, 12]


def test_a_process_that_was_forked_in_the_middle_can_send(client):
    """Another thread may be at it just then, and is not in the new process to let go."""
    client.do("n = 1\ndef f(): return n")
    with versions._lock:
        pid = os.fork()
        if not pid:
            signal.alarm(20)
            try:
                client.send("f")
                os._exit(0)
            finally:
                os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_nothing_of_a_client_is_kept_alive(client):
    client.do("class C: pass\ndef g(): return C\ndef f(c=C): return g(), C\nvalue = C()")
    client.send("f")
    client.send("f", client.space["value"])
    things = [weakref.ref(client.space[name]) for name in ("C", "f", "g", "value")]
    for name in ("C", "f", "g", "value"):
        del client.space[name]
    client.sent.clear()
    gc.collect()

    assert [thing() for thing in things] == [None] * 4

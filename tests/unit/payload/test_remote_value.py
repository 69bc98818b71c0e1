"""A handle of a result as it travels: as little as a name, and what the value needs."""

from __future__ import annotations

import pickle
import threading

import cloudpickle
import pytest

from hfexecutor.errors import UnpicklableCallError, UnpicklableResultError
from hfexecutor.payload.calls import Pickler
from hfexecutor.payload.imports import Import, pickled_imports
from hfexecutor.payload.remote_value import Carried, RemoteValue
from hfexecutor.remote import entries, handles
from hfexecutor.remote.pickling import dump

WANTED = frozenset({Import("colorsys"), Import("html", "escape")})


class File:
    """A file that nobody has to read."""

    size = 5 << 20

    def __str__(self) -> str:
        return "list, 5 MiB"

    def read(self):
        raise AssertionError

    def reduce(self):
        return handles.stored, ("a" * 32, self.size, (0, 5), "digest")


@pytest.fixture
def pickler() -> Pickler:
    return Pickler()


def remote(pickler: Pickler, content) -> RemoteValue:
    return RemoteValue(content, imports=WANTED, buffers=pickler.buffers)


def carried(pickler: Pickler, value: object) -> RemoteValue:
    return remote(pickler, Carried(b"".join(dump(value))))


def arguments(frozen):
    return pickle.loads(frozen.data[entries.CALL_HEAD_BYTES :])[1]


def test_a_call_has_its_name_and_what_the_value_needs(pickler, monkeypatch):
    monkeypatch.setattr(handles, "mounted", lambda: loaded)

    class loaded:  # noqa: N801
        load = staticmethod(lambda *said: said)

    value = remote(pickler, File())
    frozen = pickler.freeze(len, ([value, value],), {})
    ((one, other),) = arguments(frozen)
    assert one == ("a" * 32, 5 << 20, (0, 5), "digest")
    assert one is other
    assert len(frozen.data) < 500
    assert pickled_imports(frozen.data[entries.CALL_HEAD_BYTES :]) >= WANTED


def test_a_value_that_is_carried_is_made_in_the_job(pickler):
    value = carried(pickler, {"a": bytearray(70_000)})
    frozen = pickler.freeze(len, (value,), {})
    assert arguments(frozen) == ({"a": bytearray(70_000)},)
    assert pickled_imports(frozen.data[entries.CALL_HEAD_BYTES :]) >= WANTED
    assert value.get() == {"a": bytearray(70_000)}
    assert value.get() is not value.get()


def test_what_a_call_refers_to_is_known_wherever_it_stands(pickler):
    file, other = File(), File()
    value, inner = remote(pickler, file), pickler.share({"in": [remote(pickler, other)]})
    assert pickler.freeze(len, (inner,), {"key": value}).contents == (other, file)
    assert pickler.freeze(lambda: value, (), {}).contents == (file,)
    again = pickler.freeze(lambda: value, (), {})
    assert again.contents == (file,)
    assert pickler.freeze(len, ("abc",), {}).contents == ()


def test_it_is_not_blamed_for_what_stands_beside_it(pickler):
    value = remote(pickler, File())
    with pytest.raises(UnpicklableCallError, match=r"argument 1 .*\(lock; "):
        pickler.freeze(len, (value, threading.Lock()), {})


def test_it_goes_nowhere_else(pickler):
    value = remote(pickler, File())
    assert repr(value) == "<RemoteValue list, 5 MiB>"
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(TypeError, match=r"RemoteValue list.* nowhere else"):
            dumps(value)
    with pytest.raises(UnpicklableCallError, match="another executor"):
        Pickler().freeze(len, (value,), {})


def test_what_cannot_be_unpickled_here_says_so(pickler):
    value = remote(pickler, Carried(b"cnowhere_to_be_found\nThing\n."))
    with pytest.raises(UnpicklableResultError, match="is a package missing on this side"):
        value.get()


def test_whether_a_result_is_to_stay_travels_with_the_call(pickler):
    for keep in (False, True):
        frozen = pickler.freeze(len, ("abc",), {}, keep=keep)
        assert bool(entries.head_of(frozen.data)[4]) is keep

"""Pickle what cannot go by its name, so that all pickles make one world in the job.

A function travels as its code and its attributes (:mod:`hfexecutor.remote.function_state`), a class
as cloudpickle says. Both have the name of their module with them and the versions of the names that
they use, their own among them, for :mod:`hfexecutor.remote.namespaces` to put together; code the
file and the lines that tracebacks show. docs/namespaces.md tells what follows from it for users.
"""

from __future__ import annotations

import dis
import functools
import io
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, Final

import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.payload.marks import Cached, Marks, goes_by_name
from hfexecutor.payload.remote_value import RemoteValue, content_of, reduced
from hfexecutor.payload.shared import Shared
from hfexecutor.payload.versions import absent, token, versions
from hfexecutor.remote import function_state, namespaces, sources
from hfexecutor.remote.buffers import Pieces
from hfexecutor.remote.pickling import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hfexecutor.payload.buffers import Buffers, Pickled

__all__ = ["dump", "dumps"]

_BY_NAME = frozenset({namespaces.MODULE, "cloudpickle.cloudpickle"})  # what pickles are made with
_ABOUT = ("__name__", "__package__", "__path__", "__file__")
_NOT_SENT = ("__builtins__", "__loader__", "__spec__", "__cached__", *_ABOUT)


def dumps(value: Any) -> bytes:
    """Return the pickle of a call, an initializer, or a part of one."""
    file = io.BytesIO()
    _CallPickler(file, PROTOCOL).dump(value)
    return file.getvalue()


def dump(value: Any, buffers: Buffers) -> Pickled:
    """Return the pickle of a call, or of a part of one, with its large buffers beside it."""
    pieces = Pieces()
    pickler = _CallPickler(pieces, PROTOCOL, buffers)
    pickler.dump(value)
    pickled = buffers.take_from(pieces)
    return pickled._replace(contents=tuple(pickler.contents)) if pickler.contents else pickled


class _CallPickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(
        self, file: io.BytesIO | Pieces, protocol: int, buffers: Buffers | None = None
    ) -> None:
        super().__init__(file, protocol)
        self.buffers = buffers
        self.marks = Marks()
        self.contents: list[Any] = []  # of remote values
        self._about: dict[str, dict[str, Any]] = {}

    def reducer_override(self, value: Any) -> Any:
        """Say how to pickle what travels by value; leave all else to pickle."""
        reducer = _REDUCERS.get(type(value))
        if reducer is not None:
            return reducer(self, value)
        reduced = super().reducer_override(value)
        if type(reduced) is tuple and len(reduced) == 6 and isinstance(value, type):  # noqa: PLR2004 - by value
            return _reduce_class(value, reduced, self.marks)
        return reduced

    def about(self, module: types.ModuleType) -> dict[str, Any]:
        """Return what is to be told of a module: the same dict each time, to be pickled once."""
        name = module.__name__
        found = self._about.get(name)
        if found is None:
            space = module.__dict__
            found = self._about[name] = {key: space[key] for key in _ABOUT if key in space}
        return found

    def by_cloudpickle(self, fn: types.FunctionType) -> tuple[Any, ...]:
        """Return how cloudpickle would pickle a function by value."""
        reduced: tuple[Any, ...] = super().reducer_override(fn)
        return reduced


def _reduce_class(cls: type, reduced: tuple[Any, ...], marks: Marks) -> tuple[Any, ...]:
    make, args, (attributes, slots), _, _, setstate = reduced
    namespaces.know_class(cls)
    names = versions(cls, _comparable(attributes), marks)
    state = (setstate, attributes, slots, names)
    return make, args, state, None, None, namespaces.fill_class


def _comparable(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a class's attributes without what cloudpickle makes anew each time."""
    registered = attributes.get("_abc_impl")
    if registered is None:
        return attributes
    return {**attributes, "_abc_impl": str(sorted(map(id, registered)))}


def _reduce_function(pickler: _CallPickler, fn: types.FunctionType) -> Any:
    if fn.__module__ in _BY_NAME or goes_by_name(fn):
        return NotImplemented
    module = _module_of(fn)
    if module is None:  # the namespace of exec, say, is a world of its own
        return _reduce_lonely_function(pickler, fn)
    facts, attributes, own = _facts_of(fn.__code__), function_state.attributes(fn), fn.__globals__
    used = {name: own[name] for name in facts.used if name in own}
    number = token(fn, pickler.marks)
    submodules = _submodules(pickler, fn, used, attributes)
    names = _names(module, fn, used, pickler.marks)
    state = (number, attributes, submodules, facts.source, module.__name__, *names)
    args = (number, facts.data, module.__name__, pickler.about(module))
    return namespaces.function, args, state, None, None, namespaces.fill_function


def _reduce_lonely_function(pickler: _CallPickler, fn: types.FunctionType) -> tuple[Any, ...]:
    _, (code, space, *_), (_, slots), *_ = pickler.by_cloudpickle(fn)
    facts, submodules = _facts_of(code), slots["_cloudpickle_submodules"]
    attributes = function_state.attributes(fn)
    state: tuple[Any, ...] = (0, attributes, submodules, facts.source, "", {}, slots["__globals__"])
    args = (0, facts.data, "", space)
    return namespaces.function, args, state, None, None, namespaces.fill_function


def _submodules(
    pickler: _CallPickler,
    fn: types.FunctionType,
    used: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> list[types.ModuleType]:
    """Return modules that a function uses as attributes of packages, for jobs to import."""
    reachable = (*used.values(), *attributes.get("__closure__", {}).values())
    if any(type(value) is types.ModuleType for value in reachable):
        found: list[types.ModuleType] = pickler.by_cloudpickle(fn)[2][1]["_cloudpickle_submodules"]
        return found
    return []


def _names(
    module: types.ModuleType, fn: types.FunctionType, used: Mapping[str, Any], marks: Marks
) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the versions of the names that a function uses, and the values that travel."""
    own = {fn.__name__: fn} if module.__dict__.get(fn.__name__) is fn else {}
    facts = _facts_of(fn.__code__)
    if not (own or facts.used):
        return {}, {}
    values = {**used, **own}
    gone = absent(module, [name for name in facts.used if name not in values])
    sent = {name: value for name, value in values.items() if name in facts.read or name in own}
    versioned = versions(module, values, marks)
    return {**versioned, **gone}, {**sent, **dict.fromkeys(gone, namespaces.Absent)}


def _reduce_code(_: _CallPickler, code: types.CodeType) -> Any:
    data = function_state.marshalled(code)
    return NotImplemented if data is code else (namespaces.code, (data,))


def _reduce_cached(pickler: _CallPickler, fn: Any) -> Any:
    if goes_by_name(fn):
        return NotImplemented
    inner = fn.__wrapped__
    module = _module_of(inner) if type(inner) is types.FunctionType else None
    params = fn.cache_parameters()
    number = token(fn, pickler.marks) if module else 0
    return namespaces.cached, (number, inner, params["maxsize"], params["typed"])


def _reduce_cached_property(_: _CallPickler, value: functools.cached_property[Any]) -> Any:
    """Leave out the lock that it has in Python 3.11."""
    return functools.cached_property, (value.func,), {"attrname": value.attrname}


def _reduce_module(pickler: _CallPickler, module: types.ModuleType) -> Any:
    if goes_by_name(module) or sys.modules.get(module.__name__) is not module:
        return cloudpickle.Pickler.reducer_override(pickler, module)
    values = {name: value for name, value in vars(module).items() if name not in _NOT_SENT}
    state = (versions(module, values, pickler.marks), values)
    args = (module.__name__, pickler.about(module))
    return namespaces.module, args, state, None, None, namespaces.fill_module


def _reduce_shared(pickler: _CallPickler, value: Shared) -> Any:
    pickler.contents += value.contents
    return value.reduce(pickler.buffers)


def _reduce_remote_value(pickler: _CallPickler, value: RemoteValue[Any]) -> Any:
    pickler.contents.append(content_of(value))
    return reduced(value, pickler.buffers)


_REDUCERS: dict[type, Callable[[_CallPickler, Any], Any]] = {
    types.FunctionType: _reduce_function,
    types.CodeType: _reduce_code,
    Cached: _reduce_cached,
    functools.cached_property: _reduce_cached_property,
    types.ModuleType: _reduce_module,
    Shared: _reduce_shared,
    RemoteValue: _reduce_remote_value,
}


def _module_of(fn: types.FunctionType) -> types.ModuleType | None:
    """Return the module whose namespace a function has, None if that is none's."""
    module = sys.modules.get(fn.__globals__.get("__name__", ""))
    if type(module) is types.ModuleType and module.__dict__ is fn.__globals__:
        return module
    return None


class _Facts:
    """What is to be known of a piece of code to send it.

    Attributes:
        data: it, as it travels.
        source: file, first line and text of its source, if that travels.
        used: names of globals that it reads or assigns, nested functions included.
        read: those of them that it reads.
    """

    __slots__ = ("alive", "data", "read", "source", "used")

    def __init__(self, code: types.CodeType) -> None:
        found = sources.excerpt(code)
        self.data = function_state.marshalled(code)
        self.source = None if found is None else (code.co_filename, *found)
        self.used = tuple(_names_of(code, _READS | _WRITES))
        self.read = frozenset(_names_of(code, _READS))
        self.alive: weakref.ref[types.CodeType] | None = None


_READS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_WRITES: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
# By the id of code, for as long as that lives: equal code may be of several files, as cells of a
# notebook are, and to hash it takes longer the longer it is.
_facts: dict[int, _Facts] = {}


def _facts_of(code: types.CodeType) -> _Facts:
    key = id(code)
    found = _facts.get(key)
    if found is None:
        found = _Facts(code)
        found.alive = weakref.ref(code, lambda _: _facts.pop(key, None))
        _facts[key] = found
    return found


def _names_of(code: types.CodeType, operations: frozenset[str]) -> Iterator[str]:
    found = (
        instruction.argval
        for part in _with_inner(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname in operations
    )
    return iter(dict.fromkeys(found))


def _with_inner(code: types.CodeType) -> list[types.CodeType]:
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return [code, *(part for const in inner for part in _with_inner(const))]

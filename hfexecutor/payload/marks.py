"""Marks: small values that tell whether something still is what it was, as far as pickles go."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import pickle
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.remote.pickling import ATOMS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = [
    "BY_IDENTITY",
    "Cached",
    "Marks",
    "function_parts",
    "global_names",
    "goes_by_name",
    "is_where_its_name_says",
]

Cached = type(functools.cache(len))  # what functools.cache and lru_cache make of a function
BY_IDENTITY = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, Cached)
_serials: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_next_serial = itertools.count(1)


class Marks:
    """Marks of values, made while nothing changes: of a function that comes again, once."""

    def __init__(self) -> None:
        self._functions: dict[types.FunctionType, Hashable] = {}

    def of(self, value: Any) -> Hashable:
        """Return a mark of `value`: equal to an earlier one if what would travel is the same.

        What is assigned anew counts as changed, unless it is an equal number or text; so does what
        was changed in place.
        """
        kind = type(value)
        if kind in ATOMS:
            return kind, value
        if kind is types.FunctionType:
            found = self._functions.get(value)
            if found is None:
                self._functions[value] = _serial(value)  # for those that lead back to themselves
                found = self._functions[value] = self._of_function(value)
            return found
        if kind is Cached:
            return _serial(value), self.of(value.__wrapped__)
        if kind is types.CodeType or isinstance(value, BY_IDENTITY):
            return _serial(value)
        return id(value), _digest(value)

    def _of_function(self, fn: types.FunctionType) -> Hashable:
        plain = not (fn.__closure__ or fn.__dict__ or fn.__kwdefaults__ or fn.__annotations__)
        if plain and fn.__defaults__ is None:  # most methods: a fifth of the time
            return _serial(fn), fn.__code__, fn.__qualname__, fn.__name__, fn.__module__, fn.__doc__
        return _serial(fn), *map(self.of, function_parts(fn))


def _serial(value: Any) -> int:
    """Return a number that no other object of this process has, ever; an address may come again."""
    try:
        serial = _serials.get(value)
        if serial is None:
            serial = _serials.setdefault(value, next(_next_serial))
    except TypeError:  # a class whose metaclass does not let it be hashed
        return id(value)
    return serial


def _digest(value: Any) -> bytes | None:
    """Return a digest of what `value` holds, None if that cannot be told."""
    file, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    try:
        _Digester(file, 5, buffer_callback=buffers.append).dump(value)
    except Exception:  # a pickler runs users' __reduce__: anything may come out
        return None
    digest = hashlib.sha256(file.getbuffer())  # of what OpenSSL has, the quickest
    for buffer in buffers:
        digest.update(buffer.raw())
    return digest.digest()


class _Digester(pickle.Pickler):
    """Pickles for comparison alone: functions, classes and modules are told by their serials."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, BY_IDENTITY) and not goes_by_name(value):
            return _serial, (_serial(value),)
        return NotImplemented


# --- functions and names -----------------------------------------------------------------------


def function_parts(fn: types.FunctionType) -> list[Any]:
    """Return what a function is made of, besides its globals; code first."""
    parts: list[Any] = [
        fn.__code__, fn.__defaults__, fn.__name__, fn.__qualname__, fn.__module__, fn.__doc__,
    ]  # fmt: skip
    if fn.__closure__:
        try:
            parts += [cell.cell_contents for cell in fn.__closure__]
        except ValueError:  # a cell that is still empty
            parts.append(object())
    for mapping in (fn.__kwdefaults__, fn.__annotations__, fn.__dict__):
        parts += (None, *mapping, *mapping.values()) if mapping else (None,)
    return parts


def global_names(code: types.CodeType) -> Iterator[str]:
    """Yield all names that code may look for in its globals, and perhaps some others."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant)


def goes_by_name(value: Any) -> bool:
    """Say whether cloudpickle sends only the name of this function, class or module."""
    if not is_where_its_name_says(value):
        return False
    registered = cloudpickle.list_registry_pickle_by_value()
    if not registered:
        return True
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    return not any(f"{name}.".startswith(f"{root}.") for root in registered)


def is_where_its_name_says(value: Any) -> bool:
    """Say whether a job that imports the module of this function or class would find it there."""
    if isinstance(value, types.ModuleType):
        return sys.modules.get(value.__name__) is value
    if value is None:  # it was collected
        return False
    if type(value) is types.BuiltinFunctionType and type(value.__self__) is not types.ModuleType:
        return False  # `[].append` carries its list
    name = getattr(value, "__module__", None) or "__main__"
    found: Any = None if name == "__main__" else sys.modules.get(name)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value

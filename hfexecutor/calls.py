"""From ``fn(*args, **kwargs)`` to bytes, in the caller's thread, when ``submit`` is called.

Arguments are frozen at that moment: what the caller changes later is not seen by the call.

A function that is the same as at the last call is not pickled again. That is not a matter of
taste: cloudpickle takes 40 microseconds for a small function of ``__main__`` and several
milliseconds for one with a big closure, and a worker needs to see it only once. *The same* is
checked at every call (see :class:`_Snapshot`), so a changed global or closure is never missed.
"""

from __future__ import annotations

import itertools
import pickle
import struct
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.errors import UnpicklableCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfexecutor.futures import HubFuture

__all__ = ["Call", "Frozen", "Function", "Pickler"]

PROTOCOL = 5  # every Python that we support writes and reads it

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
_INLINE = struct.pack("<Q", 0)
_function_ids = itertools.count(1)


class Function(NamedTuple):
    """A pickled function that workers keep: its id, unique in this process, and its bytes."""

    id: int
    data: bytes


class Frozen(NamedTuple):
    """A pickled call: the function if it travels apart, and the payload that names it."""

    function: Function | None
    data: bytes


class Call:
    """One submitted call on its way: the future it answers and the bytes that travel.

    `lost` counts the workers that were lost while they ran it, or may have run it; `bounced` those
    that left without having had it. `killed` says that it is to be stopped.
    """

    __slots__ = ("bounced", "data", "function", "future", "id", "killed", "lost")

    def __init__(self, call_id: int, future: HubFuture[Any], frozen: Frozen) -> None:
        self.id = call_id
        self.future = future
        self.function = frozen.function
        self.data = frozen.data
        self.lost = 0
        self.bounced = 0
        self.killed = False

    @property
    def size(self) -> int:
        """Bytes that travel if the worker does not know the function yet."""
        return len(self.data) + (len(self.function.data) if self.function else 0)


class Pickler:
    """Pickle calls, and each unchanged function only once. Safe to use from several threads.

    Args:
        keep_first: Have workers keep a function from its first call on. False: from its second, so
            that lambdas that are made for one call each, and functions that change with each call
            (a global, say), do not pile up in the jobs.
    """

    def __init__(self, *, keep_first: bool = True) -> None:
        self._keep_first = keep_first
        # Weak keys: the cache must not keep a user's function, and what it closes over, alive.
        self._known: weakref.WeakKeyDictionary[Any, tuple[_Snapshot | None, Function | None]] = (
            weakref.WeakKeyDictionary()
        )

    def freeze(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Frozen:
        """Return the bytes of ``fn(*args, **kwargs)``.

        Raises:
            UnpicklableCallError: the function or an argument cannot be pickled; the message
                names which, the cause is the pickler's own error.
        """
        try:
            function = self._function(fn)
            if function is None:
                return Frozen(None, _INLINE + cloudpickle.dumps((fn, args, kwargs), PROTOCOL))
            return Frozen(function, struct.pack("<Q", function.id) + _dump_arguments(args, kwargs))
        except Exception as error:  # a pickler runs users' __reduce__: anything may come out
            raise UnpicklableCallError(_blame(fn, args, kwargs, error)) from error

    def _function(self, fn: Callable[..., Any]) -> Function | None:
        if type(fn) not in _CACHEABLE:
            return None
        known = self._known.get(fn)
        if known is None and not self._keep_first:
            self._known[fn] = (None, None)
            return None
        snapshot, function = known or (None, None)
        changed = snapshot is not None and not snapshot.holds()
        if function is not None and not changed:
            return function
        if snapshot is None or changed:
            snapshot = _Snapshot.of(fn)
        if snapshot is None:
            return None
        if changed and not self._keep_first:  # it may do so for each call: wait until it does not
            self._known[fn] = (snapshot, None)
            return None
        function = Function(next(_function_ids), cloudpickle.dumps(fn, PROTOCOL))
        self._known[fn] = (snapshot, function)
        return function


_BY_IDENTITY = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)
_CACHEABLE = frozenset({types.FunctionType, types.BuiltinFunctionType, type})
_ALIASES = frozenset({types.GenericAlias, types.UnionType})  # list[int], int | None
_MISSING: Any = object()


class _Snapshot:
    """Everything a pickled function depends on, if all of it is immutable or goes by name.

    A function pickled by value carries its code, defaults, closure and the globals it uses. If
    each of those is an immutable value, or something that goes by name, then *the same objects*
    means *the same pickle*, and comparing identities is enough. Functions, classes and modules
    are referred to weakly: helpers refer to each other, and to what uses them.
    """

    __slots__ = ("_functions", "_named", "_world")

    def __init__(self) -> None:
        self._world = _world()
        self._named: list[weakref.ref[Any]] = []
        self._functions: list[tuple[weakref.ref[types.FunctionType], list[Any], _Names]] = []

    @classmethod
    def of(cls, fn: Any) -> _Snapshot | None:
        """Return the snapshot of `fn`, or None when `fn` has to be pickled at every call."""
        snapshot = cls()
        return snapshot if snapshot._add(fn, {}) else None

    def holds(self) -> bool:
        """Say whether nothing has been exchanged since."""
        return (
            self._world == _world()
            and all(_is_where_its_name_says(ref()) for ref in self._named)
            and all(_unchanged(*function) for function in self._functions)
        )

    def _add(self, value: Any, seen: dict[int, Any]) -> bool:
        """Add `value`; return False when it may change without changing its identity."""
        if id(value) in seen or type(value) in _ATOMS:
            return True
        seen[id(value)] = value
        if type(value) is tuple:  # held as it is, so nothing in it may lead back to who holds it
            return all(_is_plain(item) and self._add(item, seen) for item in value)
        if type(value) in _ALIASES:
            origin = getattr(value, "__origin__", None)
            return self._add((origin, *value.__args__), seen)
        if not isinstance(value, _BY_IDENTITY):
            return False
        if _goes_by_name(value):
            self._named.append(weakref.ref(value))
            return True
        return type(value) is types.FunctionType and self._add_function(value, seen)

    def _add_function(self, fn: types.FunctionType, seen: dict[int, Any]) -> bool:
        code, *parts = _parts(fn)
        names = {name: fn.__globals__.get(name, _MISSING) for name in _global_names(code)}
        for value in (*parts, *names.values()):
            if value is not _MISSING and not self._add(value, seen):
                return False
        held = {name: _hold(value) for name, value in names.items()}
        self._functions.append((weakref.ref(fn), [code, *map(_hold, parts)], held))
        return True


_Names: TypeAlias = dict[str, Any]


def _world() -> tuple[int, set[str]]:
    """Return what decides how cloudpickle treats modules.

    It tells which submodules a function needs by looking at what is imported.
    """
    return len(sys.modules), cloudpickle.list_registry_pickle_by_value()


def _is_plain(item: Any) -> bool:
    return type(item) is not types.FunctionType or _goes_by_name(item)


def _hold(value: Any) -> Any:
    return weakref.ref(value) if isinstance(value, _BY_IDENTITY) else value


def _same(held: Any, value: Any) -> bool:
    return (held() if type(held) is weakref.ref else held) is value


def _unchanged(ref: weakref.ref[types.FunctionType], parts: list[Any], names: _Names) -> bool:
    """Say whether a function still is what its snapshot says."""
    fn = ref()
    if fn is None:
        return False
    now = _parts(fn)
    if len(now) != len(parts) or not all(map(_same, parts, now)):
        return False
    namespace = fn.__globals__
    return all(_same(held, namespace.get(name, _MISSING)) for name, held in names.items())


def _parts(fn: types.FunctionType) -> list[Any]:
    """Return what a function is made of, besides its globals; code first."""
    try:
        cells = [cell.cell_contents for cell in fn.__closure__ or ()]
    except ValueError:  # a cell that is still empty
        cells = [object()]
    parts = [fn.__code__, fn.__defaults__, fn.__name__, fn.__qualname__, fn.__module__, fn.__doc__]
    parts += cells
    for mapping in (fn.__kwdefaults__, fn.__annotations__, fn.__dict__):
        parts += (None, *mapping, *mapping.values()) if mapping else (None,)
    return parts


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _goes_by_name(value: Any) -> bool:
    """Say whether cloudpickle sends only the name of this function, class or module."""
    if not _is_where_its_name_says(value):
        return False
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    return not any(
        f"{name}.".startswith(f"{root}.") for root in cloudpickle.list_registry_pickle_by_value()
    )


def _is_where_its_name_says(value: Any) -> bool:
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


def _dump_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    # The plain pickler is seven times as fast, and for these types it does the same.
    if not kwargs and all(type(arg) in _ATOMS for arg in args):
        return pickle.dumps((args, kwargs), PROTOCOL)
    data: bytes = cloudpickle.dumps((args, kwargs), PROTOCOL)
    return data


def _blame(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> str:
    """Say which part of the call cannot be pickled, and what to do about it."""
    reason = f"{type(error).__name__}: {error}"
    named = [("the function", fn)]
    named += [(f"argument {i}", arg) for i, arg in enumerate(args)]
    named += [(f"argument {name!r}", arg) for name, arg in kwargs.items()]
    for what, value in named:
        try:
            cloudpickle.dumps(value, PROTOCOL)
        except Exception:
            kind = type(value).__name__
            return (
                f"{what} of the call to {_name(fn)} cannot be pickled ({kind}; {reason}). "
                "Locks, sockets, open files, generators and thread pools cannot travel: create "
                "them inside the function, or pass what is needed to create them."
            )
    return f"the call to {_name(fn)} cannot be pickled ({reason})"


def _name(fn: Any) -> str:
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)

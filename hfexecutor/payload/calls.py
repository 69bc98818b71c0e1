"""From ``fn(*args, **kwargs)`` to bytes, in the caller's thread, when ``submit`` is called.

Arguments are frozen at that moment: what the caller changes later is not seen by the call.

A function that is the same as at the last call is not pickled again. That is not a matter of
taste: cloudpickle takes 40 microseconds for a small function of ``__main__`` and several
milliseconds for one with a big closure, and a worker needs to see it only once. *The same* is
checked at every call (see :class:`_Snapshot`), so a changed global or closure is never missed.
"""

from __future__ import annotations

import itertools
import operator
import pickle
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.core.call import Function
from hfexecutor.errors import UnpicklableCallError
from hfexecutor.payload.attachments import NO_NEED
from hfexecutor.payload.buffers import LARGE, Buffers, Pickled
from hfexecutor.payload.byvalue import dump, dumps
from hfexecutor.payload.marks import (
    BY_IDENTITY,
    Cached,
    function_parts,
    global_names,
    goes_by_name,
    is_where_its_name_says,
)
from hfexecutor.payload.shared import Shared
from hfexecutor.remote.buffers import Pieces
from hfexecutor.remote.entries import call_head
from hfexecutor.remote.pickling import ATOMS, PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.core.call import Attachment, Buffer
    from hfexecutor.payload.attachments import Attached
    from hfexecutor.payload.imports import Import

__all__ = ["Frozen", "Pickler"]

_function_ids = itertools.count(1)


class Frozen(NamedTuple):
    """A pickled call: what travels apart, and the payload that names it."""

    function: Function | None
    data: bytes
    attachments: tuple[Attachment, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    contents: tuple[Any, ...] = ()
    imports: frozenset[Import] = frozenset()


class Pickler:
    """Pickle calls, and each unchanged function only once. Safe to use from several threads.

    A function travels apart, to be kept by workers, from its second call on: so lambdas that are
    made for one call each, and functions that change with each call (a global, say), do not pile up
    in the jobs.

    Args:
        attach: Finds what a call needs in its job besides Python, from its function and the rest.
    """

    def __init__(
        self,
        *,
        attach: Callable[[Function | None, bytes], Attached] = lambda _function, _data: NO_NEED,
        buffers: Buffers | None = None,
    ) -> None:
        self.buffers = buffers if buffers is not None else Buffers()
        self._attach = attach
        # Weak keys: the cache must not keep a user's function, and what it closes over, alive.
        self._known: weakref.WeakKeyDictionary[Any, tuple[_Snapshot | None, Function | None]] = (
            weakref.WeakKeyDictionary()
        )

    def freeze(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None = None,
        *,
        keep: bool = False,
    ) -> Frozen:
        """Return the bytes of ``fn(*args, **kwargs)``, which may run for `limit` seconds.

        With `keep` its result stays in the bucket if it is large.

        Raises:
            UnpicklableCallError: the function or an argument cannot be pickled; the message
                names which, the cause is the pickler's own error.
            PayloadError: what it needs cannot be had in a job.
        """
        function, pickled = self.dump(fn, args, kwargs)
        data, kinds, buffers, contents = pickled
        needs = self._attach(function, pickled.pickle if buffers else data)
        number, attachments, imports = needs
        used = function.id if function is not None else 0
        if not buffers:
            head = call_head(used, number, limit or 0.0, keep=keep)
            return Frozen(function, head + data, attachments, (), contents, imports)
        names = b"".join(buffer.name for buffer in buffers)
        head = call_head(used, number, limit or 0.0, kinds, names, keep=keep)
        # Each once, however often the call has it.
        each = tuple(dict.fromkeys(buffers))
        return Frozen(function, head + data, attachments, each, contents, imports)

    def dump(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Function | None, Pickled]:
        """Return the function, if it travels apart, and the pickle of the rest of the call."""
        try:
            function = self._function(fn)
            if function is None:
                return None, dump((fn, args, kwargs), self.buffers)
            return function, self._dump_arguments(args, kwargs)
        except UnpicklableCallError:  # of a shared value
            raise
        except Exception as error:  # a pickler runs users' __reduce__: anything may come out
            raise UnpicklableCallError(_blame(fn, args, kwargs, error)) from error

    def share(self, value: Any) -> Shared:
        """Return a handle of a value, which is pickled and hashed now.

        Raises:
            UnpicklableCallError: It cannot be pickled.
        """
        try:
            return Shared(value, dump(value, self.buffers), self.buffers)
        except UnpicklableCallError:
            raise
        except Exception as error:  # as above
            raise UnpicklableCallError(
                f"the value cannot be shared, for it cannot be pickled "
                f"({type(value).__name__}; {type(error).__name__}: {error})"
            ) from error

    def _function(self, fn: Callable[..., Any]) -> Function | None:  # noqa: PLR0911 - one a case
        if type(fn) not in _CACHEABLE:
            return None
        known = self._known.get(fn)
        if known is None:
            self._known[fn] = (None, None)
            return None
        snapshot, function = known
        changed = snapshot is not None and not snapshot.holds()
        if function is not None and not changed:
            return function if function is not _LARGE_FUNCTION else None
        if snapshot is None or changed:
            snapshot = _Snapshot.of(fn)
        if snapshot is None:
            return None
        if changed:  # it may do so for each call: wait until it does not
            self._known[fn] = (snapshot, None)
            return None
        pickled = dump(fn, self.buffers)
        if pickled.data and pickled.buffers:
            # What is large in it travels once by its content, and the rest with each call.
            self._known[fn] = (snapshot, _LARGE_FUNCTION)
            return None
        function = Function(next(_function_ids), pickled.data or dumps(fn))
        self._known[fn] = (snapshot, function)
        return function

    def _dump_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pickled:
        # The plain pickler is seven times as fast, and for these types it does the same.
        if not kwargs and ATOMS.issuperset(map(type, args)):
            return _dump_atoms(args, self.buffers)
        return dump((args, kwargs), self.buffers)


_CACHEABLE = frozenset({types.FunctionType, types.BuiltinFunctionType, type, Cached})
_ALIASES = frozenset({types.GenericAlias, types.UnionType})  # list[int], int | None
_MISSING: Any = object()
_LARGE_FUNCTION = Function(0, b"")  # in the place of one that has large buffers


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
        self._functions: list[_SeenFunction] = []

    @classmethod
    def of(cls, fn: Any) -> _Snapshot | None:
        """Return the snapshot of `fn`, or None when `fn` has to be pickled at every call."""
        snapshot = cls()
        return snapshot if snapshot._add(fn, {}) else None

    def holds(self) -> bool:
        """Say whether nothing has been exchanged since."""
        # Loops, for this is asked at each submit, and `all` would take as long again.
        if self._world != _world():
            return False
        for ref in self._named:
            if not is_where_its_name_says(ref()):
                return False
        for function in self._functions:  # noqa: SIM110
            if not function.is_the_same():
                return False
        return True

    def _add(self, value: Any, seen: dict[int, Any]) -> bool:
        """Add `value`; return False when it may change without changing its identity."""
        if id(value) in seen or type(value) in ATOMS:
            return True
        seen[id(value)] = value
        if type(value) is tuple:  # held as it is, so nothing in it may lead back to who holds it
            return all(_is_plain(item) and self._add(item, seen) for item in value)
        if type(value) in _ALIASES:
            origin = getattr(value, "__origin__", None)
            return self._add((origin, *value.__args__), seen)
        if not isinstance(value, BY_IDENTITY):
            return False
        if goes_by_name(value):
            self._named.append(weakref.ref(value))
            return True
        value = value.__wrapped__ if type(value) is Cached else value
        return type(value) is types.FunctionType and self._add_function(value, seen)

    def _add_function(self, fn: types.FunctionType, seen: dict[int, Any]) -> bool:
        code, *parts = function_parts(fn)
        names = tuple(dict.fromkeys(global_names(code)))
        values = [fn.__globals__.get(name, _MISSING) for name in names]
        for value in (*parts, *values):
            if value is not _MISSING and not self._add(value, seen):
                return False
        self._functions.append(_SeenFunction(fn, [code, *parts], names, values))
        return True


class _SeenFunction:
    """A function by value as it was seen: what it is made of, and the globals that it names."""

    __slots__ = ("_fn", "_names", "_parts", "_values")

    def __init__(
        self, fn: types.FunctionType, parts: list[Any], names: tuple[str, ...], values: list[Any]
    ) -> None:
        self._fn = weakref.ref(fn)
        self._parts = _Seen(parts)
        self._names = names
        self._values = _Seen(values)

    def is_the_same(self) -> bool:
        """Say whether it is what it was."""
        fn = self._fn()
        if fn is None or not self._parts.are(function_parts(fn)):
            return False
        if not self._names:
            return True
        space = fn.__globals__
        return self._values.are([space.get(name, _MISSING) for name in self._names])


class _Seen:
    """Values as they were seen, to be compared by identity; those that go by it are held weakly."""

    __slots__ = ("_strong", "_weak")

    def __init__(self, values: list[Any]) -> None:
        by_identity = [isinstance(value, BY_IDENTITY) for value in values]
        self._weak = [
            (index, weakref.ref(values[index])) for index, weak in enumerate(by_identity) if weak
        ]
        pairs = zip(values, by_identity, strict=True)
        self._strong = [None if weak else value for value, weak in pairs]

    def are(self, values: list[Any]) -> bool:
        """Say whether these are the same values; the list is used up."""
        if len(values) != len(self._strong):
            return False
        for index, ref in self._weak:
            if ref() is not values[index] or values[index] is None:
                return False
            values[index] = None
        return all(map(operator.is_, self._strong, values))


def _world() -> tuple[int, set[str]]:
    """Return what decides how cloudpickle treats modules.

    It tells which submodules a function needs by looking at what is imported.
    """
    return len(sys.modules), cloudpickle.list_registry_pickle_by_value()


def _is_plain(item: Any) -> bool:
    return type(item) not in {types.FunctionType, Cached} or goes_by_name(item)


def _dump_atoms(args: tuple[Any, ...], buffers: Buffers) -> Pickled:
    for arg in args:
        if type(arg) in _SIZED and len(arg) >= LARGE // 4:
            pieces = Pieces()
            pickle.Pickler(pieces, PROTOCOL).dump((args, {}))
            return buffers.take_from(pieces)
    return Pickled(pickle.dumps((args, {}), PROTOCOL))


_SIZED = frozenset({str, bytes})


def _blame(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> str:
    """Say which part of the call cannot be pickled, and what to do about it."""
    reason = f"{type(error).__name__}: {error}"
    named = [("the function", fn)]
    named += [(f"argument {i}", arg) for i, arg in enumerate(args)]
    named += [(f"argument {name!r}", arg) for name, arg in kwargs.items()]
    for what, value in named:
        try:
            dumps(value)
        except UnpicklableCallError:  # a handle, which is good for calls
            continue
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

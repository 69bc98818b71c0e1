"""Whether two calls are the same: a digest of a call that is one in all processes and machines.

A pickle is no such thing: it depends on the hash seed, on identities, on paths. Here values are
taken apart by what they are made of:

- Functions and classes that a job imports by name count by that name, with the digest of the local
  code that travels with the call, and the pinned versions of the packages that it needs.
- Others, those of the script, count by their code, defaults, closure, attributes, and the globals
  that their code names, each of them taken apart likewise. Neither file nor line count.
- Sets have no order, dicts have that of insertion. Other objects count by their class and what
  pickle would make them of.

What cannot be taken apart so is refused, rather than guessed. Bytecode is of one minor version of
Python, and so is a digest.
"""

from __future__ import annotations

import hashlib
import json
import struct
import types
from typing import TYPE_CHECKING, Any, Final

from hfexecutor.environment import client_python
from hfexecutor.errors import UnpicklableCallError
from hfexecutor.payload.marks import Cached, global_names, goes_by_name
from hfexecutor.remote import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Attachment

__all__ = ["digest_of", "fingerprint", "fingerprint_of_key"]

_VERSION: Final = b"hfexecutor call 1"
_OF_CODE: Final = (
    "co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount",
    "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_exceptiontable", "co_qualname",
)  # fmt: skip
# What a class has that says nothing of what it does, or is made of the rest.
_NOT_OF_CLASSES: Final = frozenset(
    {
        "__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__",
        "__abstractmethods__", "_abc_impl", "__annotate__", "__annotate_func__",
        "__annotations_cache__",
    }
)  # fmt: skip
_DESCRIPTORS: Final = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


def fingerprint(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    attachments: Iterable[Attachment],
) -> bytes:
    """Return 32 bytes that two calls have in common only if they are the same.

    Args:
        fn: The function.
        args: Its arguments.
        kwargs: Those by name; their order counts, for a function can see it.
        attachments: What goes along: local code, and requirements.

    Raises:
        UnpicklableCallError: Something of it cannot be compared across processes.
    """
    try:
        parts = [digest_of(fn), digest_of(args), digest_of(kwargs)]
    except (TypeError, ValueError, AttributeError, RecursionError, struct.error) as error:
        raise UnpicklableCallError(
            f"whether this call was completed before cannot be told ({error}); give it a key of "
            "its own, with submit_keyed"
        ) from error
    return _digest(_VERSION, client_python().encode(), *parts, *_needs(attachments))


def fingerprint_of_key(key: str) -> bytes:
    """Return the fingerprint that stands for a key of the user's."""
    return _digest(b"hfexecutor key 1", key.encode("utf-8", "surrogatepass"))


def _needs(attachments: Iterable[Attachment]) -> list[bytes]:
    found = []
    for attachment in attachments:
        if attachment.kind == entries.ARCHIVE:
            name, digest, _ = entries.unpack_archive(attachment.data)
            found.append(f"archive {name} {digest}".encode())
        elif attachment.kind == entries.NEED:
            words = json.loads(attachment.data)["requirements"]
            found += [f"requirement {text}".encode() for _, text in words]
    return sorted(found)


def digest_of(value: Any) -> bytes:
    """Return the digest of a value.

    Raises:
        TypeError, ValueError, AttributeError, RecursionError: It cannot be taken apart.
    """
    return _Digester().of(value)


class _Digester:
    """Digests of values within one another; what leads back to itself counts by how far up."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}  # values that are being taken apart, and their depths
        self._highest = 0  # the least depth that something has led back to
        self._known: dict[int, tuple[Any, bytes]] = {}  # with the value, so that ids stay theirs

    def of(self, value: Any) -> bytes:
        atom = _ATOMS.get(type(value))
        if atom is not None:
            return _digest(type(value).__name__.encode(), atom(value))
        key, depth = id(value), len(self._open)
        if key in self._known:
            return self._known[key][1]
        if key in self._open:
            self._highest = min(self._highest, self._open[key])
            return _digest(b"up", str(depth - self._open[key]).encode())
        before, self._highest = self._highest, depth
        self._open[key] = depth
        try:
            found = self._compound(value)
        finally:
            del self._open[key]
        if self._highest >= depth:  # nothing in it leads out of it: it is the same everywhere
            self._known[key] = (value, found)
        self._highest = min(before, self._highest)
        return found

    def _compound(self, value: Any) -> bytes:
        kind = type(value)
        if kind in {set, frozenset}:
            return _digest(kind.__name__.encode(), *sorted(map(self.of, value)))
        if (parts := _PARTS.get(kind)) is not None:
            return self._all(kind.__name__, parts(value))
        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type, Cached)):
            return self._named(value)
        if isinstance(value, _DESCRIPTORS):
            return _digest(b"descriptor", value.__qualname__.encode())
        return self._object(value)

    def _named(self, value: Any) -> bytes:
        """Digest what a job may find by its name."""
        if goes_by_name(value):
            return _digest(b"name", value.__module__.encode(), value.__qualname__.encode())
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Cached):
            return self._all("cached", [value.__wrapped__, value.cache_parameters()])
        return self._object(value)

    def _function(self, fn: types.FunctionType) -> bytes:
        space = fn.__globals__
        names = sorted({name for name in global_names(fn.__code__) if name in space})
        cells = [cell.cell_contents for cell in fn.__closure__ or ()]
        parts: list[Any] = [fn.__code__, fn.__defaults__, fn.__kwdefaults__, fn.__qualname__]
        parts += [cells, fn.__dict__, fn.__annotations__, names]
        return self._all("function", parts + [space[name] for name in names])

    def _class(self, cls: type) -> bytes:
        own = sorted(name for name in vars(cls) if name not in _NOT_OF_CLASSES)
        parts: list[Any] = [cls.__qualname__, type(cls), cls.__bases__, own]
        return self._all("class", parts + [vars(cls)[name] for name in own])

    def _object(self, value: Any) -> bytes:
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            return _digest(b"global", type(value).__module__.encode(), reduced.encode())
        make, args, *rest = reduced
        state, items, pairs = (*rest[:3], None, None, None)[:3]
        inner = [make, args, state, *(items or ()), *_flat(pairs)]
        return self._all("object", [type(value), *inner])

    def _all(self, name: str, parts: Iterable[Any]) -> bytes:
        return _digest(name.encode(), *map(self.of, parts))


_ATOMS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"",
    type(...): lambda _: b"",
    type(NotImplemented): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: b"%x" % value,
    float: lambda value: struct.pack("<d", value),
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
}


def _flat(pairs: Iterable[tuple[Any, Any]] | None) -> list[Any]:
    return [part for pair in pairs or () for part in pair]


# What the values of a type are made of, in an order that is the same everywhere.
_PARTS: Final[dict[type, Callable[[Any], Iterable[Any]]]] = {
    tuple: lambda value: value,
    list: lambda value: value,
    dict: lambda value: _flat(value.items()),
    types.MappingProxyType: lambda value: _flat(value.items()),
    types.CodeType: lambda value: [getattr(value, name, None) for name in _OF_CODE],
    types.ModuleType: lambda value: [value.__name__],
    types.MethodType: lambda value: [value.__func__, value.__self__],
    staticmethod: lambda value: [value.__func__],
    classmethod: lambda value: [value.__func__],
    property: lambda value: [value.fget, value.fset, value.fdel],
}


def _digest(*parts: bytes) -> bytes:
    """Return the digest of parts, each with its length: none runs into the next."""
    found = hashlib.sha256()
    for part in parts:
        found.update(struct.pack("<Q", len(part)))
        found.update(part)
    return found.digest()

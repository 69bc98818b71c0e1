"""Which value of a name jobs have been sent last: a new one gets a new version."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from hfexecutor.remote import namespaces

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from hfexecutor.payload.marks import Marks

__all__ = ["absent", "token", "versions"]

_lock = threading.Lock()
# Random: it may meet there what another process has sent, if a call has an executor of its own.
_numbers = itertools.count((int.from_bytes(os.urandom(6), "little") << 40) + 1)
_names: weakref.WeakKeyDictionary[Any, dict[str, tuple[Hashable, int]]] = (
    weakref.WeakKeyDictionary()
)
_tokens: weakref.WeakKeyDictionary[Any, tuple[Hashable, int]] = weakref.WeakKeyDictionary()
_ABSENT = object()


def _renew_lock() -> None:
    """Forget who held the lock when this process was forked: that thread is not in it."""
    global _lock  # noqa: PLW0603 - there is one for the process
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def versions(owner: Any, values: Mapping[str, Any], marks: Marks) -> dict[str, int]:
    """Return the versions of these names of a module or class, with their present values."""
    # Outside of the lock: it may run users' code.
    marked = [(name, marks.of(value)) for name, value in values.items()]
    with _lock:
        known = _names.setdefault(owner, {})
        return {name: _version(known, name, mark) for name, mark in marked}


def absent(owner: Any, names: Sequence[str]) -> dict[str, int]:
    """Return the versions of those names that had a value when last sent, and have none now."""
    if not names:
        return {}
    with _lock:
        known = _names.get(owner)
        if not known:
            return {}
        return {name: _version(known, name, _ABSENT) for name in names if name in known}


def _version(known: dict[str, tuple[Hashable, int]], name: str, mark: Hashable) -> int:
    last, version = known.get(name, (None, 0))
    if not version or last != mark:
        version = next(_numbers)
        known[name] = (mark, version)
    return version


def token(function: Any, marks: Marks) -> int:
    """Return the number by which jobs know a function as it is now."""
    mark = marks.of(function)
    with _lock:
        last, number = _tokens.get(function, (None, 0))
        if not number or last != mark:
            number = next(_numbers)
            _tokens[function] = (mark, number)
            namespaces.know(number, function)
        return number

"""One namespace for each of the client's modules, in every process that runs calls.

What the client cannot send by name (functions and classes of ``__main__``, of notebooks, of modules
that are registered with cloudpickle) travels by value, and each pickle brings all that it needs: by
itself that would be a world of its own for every call. Here these worlds become one, as in a pool
of forked or spawned processes:

- A module of the client is one namespace, the ``__globals__`` of all its functions.
- Every name in it comes with the version of its value, which is new when the client has assigned
  something else. Only a version that is not here yet is assigned; what calls have assigned since
  stays. Attributes of classes are such names, too.
- A function or class is made once. What brings it again gets the one that is here.

On the way back the same holds for the client: what it has sent is its own when it returns, and
nothing is assigned to it.

Pickles refer to the functions of this module by the name that it has in jobs, on both sides.
"""

from __future__ import annotations

import builtins
import sys
from weakref import WeakKeyDictionary, WeakValueDictionary

from . import function_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, ModuleType
    from typing import Any

    Versions = Mapping[str, int]

MODULE = "hfexecutor_remote.namespaces"


class Absent:
    """In place of a value: the client has deleted the name."""


class _World:
    """What this process has got so far. There is one, for there is one ``__main__``."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}
        self.names: dict[str, dict[str, int]] = {}  # of modules, with the versions of their values
        self.classes: WeakKeyDictionary[type, dict[str, int]] = WeakKeyDictionary()
        self.made: WeakValueDictionary[int, Any] = WeakValueDictionary()
        # Of functions of the client's, once they are more than a shell; 0 of those that none has.
        self.tokens: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        # What the pickles of late have brought: to be looked at again by whoever keeps what they
        # brought it for, when other versions have come meanwhile (`replaced` counts those).
        self.brought: list[Callable[[], None]] = []
        self.replaced = 0


_world = _World()


def take_brought() -> list[Callable[[], None]]:
    """Return what was brought since the last time; calling one brings it again."""
    if not _world.brought:
        return []
    brought, _world.brought = _world.brought, []
    return brought


def replaced() -> int:
    """Return how many values have been replaced by other versions so far."""
    return _world.replaced


def know(token: int, value: Any) -> None:
    """Note that a function of this process goes by `token`, in pickles from and to it."""
    _world.made[token] = value


def know_class(cls: type) -> None:
    """Note that a class of this process has been sent away, and may come back."""
    _world.classes.setdefault(cls, {})


def token_of(function: Any) -> int:
    """Return the token of a function that came from the client, 0 for any other."""
    return _world.tokens.get(function, 0)


def is_known_class(cls: type) -> bool:
    """Say whether a class came from the client."""
    return cls in _world.classes


def module_of(namespace: Mapping[str, Any]) -> ModuleType | None:
    """Return the client's module that has this namespace, None if there is none."""
    for module in _world.modules.values():
        if module.__dict__ is namespace:
            return module
    return None


# --- from the client ---------------------------------------------------------------------------


def module(name: str, about: dict[str, Any]) -> ModuleType:
    """Return the module that stands for one of the client's; `about` it, what no code assigns."""
    found = _world.modules.get(name)
    if found is None:
        found = sys.modules["__main__"] if name == "__main__" else type(sys)(name)
        found.__dict__.update(about, __builtins__=builtins)
        _world.modules[name] = found
    return found


def namespace(name: str, about: dict[str, Any]) -> dict[str, Any]:
    """Return the namespace of one of the client's modules."""
    return module(name, about).__dict__


def fill_module(found: ModuleType, state: tuple[Versions, dict[str, Any]]) -> None:
    """Assign what is new of a module's names."""
    _bring_to_module(found.__name__, *state)


def code(data: bytes | CodeType) -> CodeType:
    """Return code from the client's file."""
    return function_state.unmarshalled(data)


def function(token: int, data: bytes | CodeType, name: str, about: dict[str, Any]) -> Any:
    """Return the function of this token, or a shell of it that is to be filled.

    Its namespace is that of the client's module of this name; without one it is `about` itself.
    """
    found = _world.made.get(token)
    if found is None:
        space = namespace(name, about) if name else about
        found = function_state.make(function_state.unmarshalled(data), space)
        if token:
            _world.made[token] = found
    return found


def own_function(token: int, data: bytes | CodeType, name: str) -> Any:
    """Return the function of this token, which is this process's own, or a shell of another."""
    return _world.made.get(token) or function_state.make(
        function_state.unmarshalled(data), own_module(name).__dict__
    )


def fill_function(found: Any, state: tuple[Any, ...]) -> None:
    """Complete a function, unless it is, and assign what is new of the names that it uses."""
    token, attributes, _submodules, source, module_name, versions, values = state
    if found not in _world.tokens:
        function_state.set_attributes(found, attributes)
        _world.tokens[found] = token
        if source is not None:
            from . import sources  # noqa: PLC0415 - not every function has any

            sources.show(*source)
    if not module_name:  # a namespace that is no module's, of what `exec` has run, say
        found.__globals__.update(values, __builtins__=builtins)
    elif versions:
        _bring_to_module(module_name, versions, values)


def cached(token: int, inner: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return the function of this token, whose results are cached."""
    found = _world.made.get(token)
    if found is None:
        from functools import lru_cache  # noqa: PLC0415 - only who uses it pays for it

        found = lru_cache(maxsize, typed)(inner)
        if token:
            _world.made[token] = found
            _world.tokens[found] = token
    return found


def fill_class(cls: type, state: tuple[Any, ...]) -> None:
    """Set what is new of a class's attributes."""
    _bring_to_class(cls, *state)


def _bring_to_module(name: str, versions: Versions, values: dict[str, Any]) -> None:
    names = _world.names.setdefault(name, {})
    space = _world.modules[name].__dict__
    for key, value in _news(names, versions, values, space).items():
        if value is Absent:
            space.pop(key, None)
        else:
            space[key] = value
    _world.brought.append(lambda: _bring_to_module(name, versions, values))


def _bring_to_class(
    cls: type,
    setstate: Callable[..., None],
    values: dict[str, Any],
    slots: Any,
    versions: Versions,
) -> None:
    names = _world.classes.setdefault(cls, {})
    gone = [key for key in names if key not in versions]
    for key in gone:
        del names[key]
        if key in cls.__dict__:
            delattr(cls, key)
    news = _news(names, versions, values, cls.__dict__)
    if news:
        setstate(cls, (news, slots))
    _world.brought.append(lambda: _bring_to_class(cls, setstate, values, slots, versions))


def _news(
    names: dict[str, int], versions: Versions, values: dict[str, Any], space: Mapping[str, Any]
) -> dict[str, Any]:
    """Return those of `values` that are to be assigned, and note their versions in `names`.

    A version without a value is that of a name which is only assigned to where it is mentioned.
    It is noted as a negative number: whoever reads the name brings the value, which counts if
    nothing has been assigned until then.
    """
    news = {}
    for key, version in versions.items():
        known = names.get(key)
        if known == version or (known == -version and key not in values):
            continue
        names[key] = version if key in values else -version
        if key in values and not (known == -version and key in space):
            news[key] = values[key]
        if known is not None and known != -version:
            _world.replaced += 1
    return news


# --- to the client -----------------------------------------------------------------------------


def own_module(name: str) -> ModuleType:
    """Return a module of this process that had been sent away."""
    return sys.modules.get(name) or module(name, {})


def fill_own_function(found: Any, state: tuple[int, dict[str, Any]]) -> None:
    """Complete a function that was made in a job; leave alone what is this process's own."""
    token, attributes = state
    if _world.made.get(token) is not found:
        function_state.set_attributes(found, attributes)


def fill_own_class(cls: type, state: tuple[Callable[..., None], Any]) -> None:
    """Complete a class that was made in a job; leave alone what is this process's own."""
    if cls not in _world.classes:
        setstate, own = state
        setstate(cls, own)


for _loader in (
    Absent,
    module,
    fill_module,
    code,
    function,
    fill_function,
    cached,
    fill_class,
    own_module,
    own_function,
    fill_own_function,
    fill_own_class,
):
    _loader.__module__ = MODULE
sys.modules.setdefault(MODULE.partition(".")[0], sys.modules[__package__ or ""])
sys.modules.setdefault(MODULE, sys.modules[__name__])

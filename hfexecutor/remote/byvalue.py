"""Pickle what a call returns: what came from the client goes back as the client's own."""

from __future__ import annotations

import functools
from types import FunctionType, ModuleType

import cloudpickle  # type: ignore[import-untyped]

from . import function_state, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["dump"]

_Cached = type(functools.cache(len))


def dump(value: Any, file: Any, protocol: int) -> None:
    """Pickle any value that can be pickled into `file`. Raises whatever pickling raises."""
    _ResultPickler(file, protocol).dump(value)


class _ResultPickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, value: Any) -> Any:
        """Say how to pickle a function, class or module; leave all else to pickle."""
        if type(value) is _Cached and not _goes_by_name(value):
            params = value.cache_parameters()
            token = namespaces.token_of(value)
            args = (token, value.__wrapped__, params["maxsize"], params["typed"])
            return namespaces.cached, args
        if type(value) is ModuleType and namespaces.module_of(value.__dict__) is value:
            return namespaces.own_module, (value.__name__,)
        reduced = super().reducer_override(value)
        if type(reduced) is not tuple or len(reduced) != 6:  # noqa: PLR2004 - goes by its name
            return reduced
        make, args, state, _, _, setstate = reduced
        if type(value) is FunctionType:
            return _function(value) or reduced
        if namespaces.is_known_class(value):
            return make, args, (setstate, state), None, None, namespaces.fill_own_class
        return reduced


def _function(function: FunctionType) -> Any:
    module = namespaces.module_of(function.__globals__)
    if module is None:
        return None
    code = function_state.marshalled(function.__code__)
    token = namespaces.token_of(function)
    args = (token, code, module.__name__)
    state = (token, function_state.attributes(function))
    return namespaces.own_function, args, state, None, None, namespaces.fill_own_function


def _goes_by_name(value: Any) -> bool:
    """Say whether the client finds this function where its name says."""
    import sys  # noqa: PLC0415

    module: Any = sys.modules.get(value.__module__)
    return value.__module__ != "__main__" and getattr(module, value.__qualname__, None) is value

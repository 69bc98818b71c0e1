"""What a function is called, for people."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["name_of"]


def name_of(function: Any) -> str:
    """Return a function's name without where it was defined; of what has none, that of its type.

    >>> name_of(str.upper), name_of(functools.partial(pow, 2)), name_of(lambda: 0)
    ('str.upper', 'pow', '<lambda>')
    """
    while type(function) is functools.partial:
        function = function.func
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):  # an object that can be called
        name = type(function).__qualname__
    return name.rpartition("<locals>.")[2] if "<locals>." in name else name
